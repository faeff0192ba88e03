//! How much a program may be stopped, and which samples are worth it.
//!
//! Whether a sample is taken with a stop is decided before it is taken, and by nothing that
//! it could show: stopping only what could not be read otherwise would favour the moments
//! that move. While the budget allows it each sample is; beyond it, a fair coin decides.

use std::time::{Duration, Instant};

use crate::target::Pausing;

/// A stop that lasts longer is more than anybody should notice: there are more runnable threads
/// than CPUs, and no more stops for a while.
const LONG: Duration = Duration::from_millis(1);
/// How long that while is at first, and at most: twice as long each time.
const FIRST_REST: Duration = Duration::from_millis(250);
const LONGEST_REST: Duration = Duration::from_secs(8);
/// What a stop is taken to cost until one was measured.
const GUESS: Duration = Duration::from_micros(30);
/// Samples until the rate is known.
const LEARNING: u32 = 16;
/// How much may be spent ahead of time: so much of the budget of a second.
const CREDIT: f64 = 0.2;

/// The stops that are allowed.
pub struct Budget {
    pausing: Pausing,
    start: Instant,
    /// What the stops so far have cost.
    spent: Duration,
    /// What one costs, lately.
    usual: f64,
    /// The time from one sample to the next, lately, in seconds, and how many samples tell of it.
    period: f64,
    samples: u32,
    last: Instant,
    resting: Option<Instant>,
    rest: Duration,
    suspensions: u64,
    random: u64,
}

impl Budget {
    /// What `pausing` allows from `now` on. `seed` is the coin's.
    pub fn new(pausing: Pausing, now: Instant, seed: u64) -> Budget {
        Budget {
            pausing,
            start: now,
            spent: Duration::ZERO,
            usual: GUESS.as_secs_f64(),
            period: 0.0,
            samples: 0,
            last: now,
            resting: None,
            rest: FIRST_REST,
            suspensions: 0,
            random: seed | 1,
        }
    }

    /// Whether the sample that is due `now` is taken with a stop.
    pub fn decide(&mut self, now: Instant) -> bool {
        let share = match self.pausing {
            Pausing::Always => return true,
            Pausing::Never => return false,
            Pausing::Budget(share) => share,
        };
        let since = now.saturating_duration_since(self.last).as_secs_f64();
        self.last = now;
        self.samples = self.samples.saturating_add(1);
        self.period += (since - self.period) / f64::from(self.samples.min(16));
        // The coin is thrown in any case, so that it does not depend on what came before.
        let coin = self.coin();
        if self.resting.is_some_and(|until| now < until) {
            return false;
        }
        let allowed = share * (now.saturating_duration_since(self.start).as_secs_f64() + CREDIT);
        let has_means = self.spent.as_secs_f64() + self.usual <= allowed;
        // The first samples tell nothing of the rate; there is credit for them.
        has_means && (self.samples <= LEARNING || coin < share * self.period / self.usual.max(1e-9))
    }

    /// Accounts for a stop that lasted `time`, up to `now`.
    pub fn spend(&mut self, time: Duration, now: Instant) {
        self.spent += time;
        self.usual += (time.min(LONG).as_secs_f64() - self.usual) / 16.0;
        if !matches!(self.pausing, Pausing::Budget(_)) {
            return;
        }
        if time > LONG {
            self.resting = now.checked_add(self.rest);
            self.rest = (self.rest * 2).min(LONGEST_REST);
            self.suspensions += 1;
        } else if self.resting.is_some_and(|until| now > until + self.rest) {
            // It went well for as long as it was left alone.
            self.resting = None;
            self.rest = FIRST_REST;
        }
    }

    /// Takes note that a thread could not be stopped, as another traces it or it is not permitted: that
    /// may pass.
    pub fn refused(&mut self, now: Instant) {
        self.resting = now.checked_add(LONGEST_REST);
    }

    /// How often stopping was suspended because a stop took long.
    pub fn suspensions(&self) -> u64 {
        self.suspensions
    }

    /// From 0 up to 1.
    fn coin(&mut self) -> f64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random >> 11) as f64 / (1u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Samples at `hertz` for `seconds`, stops of `cost`: the share that was stopped, and of the
    /// time.
    fn run(share: f64, hertz: u64, seconds: u64, cost: Duration) -> (f64, f64) {
        let start = Instant::now();
        let mut budget = Budget::new(Pausing::Budget(share), start, 42);
        let mut stops = 0;
        for tick in 1..=hertz * seconds {
            let now = start + Duration::from_nanos(tick * 1_000_000_000 / hertz);
            if budget.decide(now) {
                stops += 1;
                budget.spend(cost, now);
            }
        }
        (f64::from(stops) / (hertz * seconds) as f64, budget.spent.as_secs_f64() / seconds as f64)
    }

    #[test]
    fn each_sample_is_stopped_as_long_as_the_budget_lasts() {
        assert_eq!(run(0.01, 100, 10, Duration::from_micros(40)).0, 1.0);
        assert_eq!(run(0.01, 100, 10, Duration::from_micros(90)).0, 1.0);
    }

    #[test]
    fn beyond_it_the_share_that_it_allows() {
        for (hertz, cost) in [(1_000, 30), (10_000, 20), (50_000, 10)] {
            let (_, time) = run(0.01, hertz, 10, Duration::from_micros(cost));
            assert!((0.008..0.0105).contains(&time), "{hertz}: {time}");
        }
    }

    #[test]
    fn always_and_never_are_just_that() {
        let now = Instant::now();
        let mut always = Budget::new(Pausing::Always, now, 1);
        always.spend(Duration::from_secs(1), now);
        assert!(always.decide(now));
        assert!(!Budget::new(Pausing::Never, now, 1).decide(now));
    }

    #[test]
    fn a_long_stop_is_the_last_for_a_while() {
        let start = Instant::now();
        let mut budget = Budget::new(Pausing::Budget(1.0), start, 1);
        let mut at = start + Duration::from_millis(10);
        assert!(budget.decide(at));
        budget.spend(Duration::from_millis(3), at);
        for _ in 0..20 {
            at += Duration::from_millis(10);
            assert!(!budget.decide(at));
        }
        at += FIRST_REST;
        assert!(budget.decide(at));
        assert_eq!(budget.suspensions(), 1);
    }
}
