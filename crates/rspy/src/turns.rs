//! Whose turn it is: of many that sleep, chance chooses some to be looked at in each pass, since looking at all of them
//! would cost more than all else. What one that is found awake does counts as often as it was passed over, so that
//! sums stay true.

use std::time::{Duration, Instant};

/// What looking at those that sleep may come to.
#[derive(Copy, Clone, Debug)]
pub struct Limits {
    /// The fewest of which it is worth to look at some only.
    pub few: usize,
    /// What one look costs, in seconds.
    pub cost: f64,
    /// What all looks may take of the time.
    pub share: f64,
    /// One time in so many each is looked at, at least.
    pub most_seldom: u32,
    /// The longest that one is not looked at, on average.
    pub longest: Duration,
}

/// What chance knows of passes.
#[derive(Debug)]
pub struct Turns {
    limits: Limits,
    /// When the last pass began, and how far apart passes are, in seconds.
    begun: Option<Instant>,
    period: f64,
    random: u64,
}

impl Turns {
    /// Before the first pass. `seed` decides what is left to chance.
    pub fn new(limits: Limits, seed: u64) -> Turns {
        Turns { limits, begun: None, period: 0.0, random: seed | 1 }
    }

    /// Something to be the seed of others.
    pub fn chance(&self) -> u64 {
        self.random
    }

    /// A pass begins.
    pub fn begin(&mut self, now: Instant) {
        let since = self.begun.map_or(0.0, |begun| now.saturating_duration_since(begun).as_secs_f64());
        self.begun = Some(now);
        self.period += (since - self.period) / 8.0;
    }

    /// How seldom each of those that sleep is looked at: one time in so many.
    pub fn seldom(&self, asleep: usize) -> u32 {
        let Limits { few, cost, share, most_seldom, longest } = self.limits;
        if asleep < few {
            return 1;
        }
        let most = (share * self.period / cost).max(1.0);
        let seldom = (asleep as f64 / most).ceil().min(longest.as_secs_f64() / self.period);
        (seldom as u32).clamp(1, most_seldom)
    }

    /// Whether one of them is passed over this time.
    pub fn passes_over(&mut self, seldom: u32) -> bool {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        !self.random.is_multiple_of(u64::from(seldom))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits =
        Limits { few: 10, cost: 1e-5, share: 0.01, most_seldom: 32, longest: Duration::from_millis(200) };

    fn turns(period: Duration) -> Turns {
        let mut turns = Turns::new(LIMITS, 7);
        let start = Instant::now();
        (0..200).for_each(|pass| turns.begin(start + period * pass));
        turns
    }

    #[test]
    fn the_more_sleep_the_more_seldom_each_is_looked_at() {
        let turns = turns(Duration::from_millis(10));
        assert_eq!([9, 12, 25, 95, 1_000].map(|asleep| turns.seldom(asleep)), [1, 2, 3, 10, 20]);
    }

    #[test]
    fn nobody_waits_long_for_a_turn() {
        assert_eq!(turns(Duration::from_millis(100)).seldom(1_000_000), 2);
        assert_eq!(turns(Duration::from_secs(1)).seldom(1_000_000), 1);
        assert_eq!(turns(Duration::from_micros(100)).seldom(1_000_000), 32);
        // Nothing is known yet.
        assert_eq!(Turns::new(LIMITS, 7).seldom(1_000_000), 32);
    }

    #[test]
    fn each_has_its_turn_as_often_as_it_is_said() {
        let mut turns = turns(Duration::from_millis(10));
        let looks = (0..100_000).filter(|_| !turns.passes_over(10)).count();
        assert!((9_600..10_400).contains(&looks), "{looks}");
        assert!(!turns.passes_over(1));
    }
}
