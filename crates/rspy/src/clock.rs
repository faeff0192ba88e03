//! When to sample: absolute deadlines, so that the asked rate is delivered, each
//! moved by chance within its period, so that sampling never locks step with a
//! program that repeats itself at the same rate.

use std::time::{Duration, Instant};

/// The deadlines of one recording.
pub struct Clock {
    start: Instant,
    period: Duration,
    tick: u64,
    random: u64,
}

/// One deadline.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Tick {
    /// When it is due.
    pub due: Instant,
    /// How many before it have passed unused.
    pub missed: u64,
}

impl Clock {
    /// `rate` ticks a second from `start` on. `seed` decides the jitter.
    pub fn new(start: Instant, rate: u32, seed: u64) -> Clock {
        let period = Duration::from_secs(1) / rate.max(1);
        // Xorshift stays at zero if it starts there.
        Clock { start, period, tick: 0, random: seed | 1 }
    }

    /// The next deadline as seen `now`: ticks whose whole period is over are missed.
    pub fn next(&mut self, now: Instant) -> Tick {
        let elapsed = now.saturating_duration_since(self.start).as_nanos();
        let current = (elapsed / self.period.as_nanos().max(1)) as u64;
        let missed = current.saturating_sub(self.tick);
        self.tick = self.tick.max(current);
        let base = self.period.as_nanos() as u64 * self.tick;
        let jitter = self.random_below(self.period.as_nanos() as u64);
        self.tick += 1;
        Tick { due: self.start + Duration::from_nanos(base + jitter), missed }
    }

    fn random_below(&mut self, limit: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random % limit.max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_period_has_one_tick_somewhere_in_it() {
        let start = Instant::now();
        let mut clock = Clock::new(start, 1000, 42);
        let mut offsets = Vec::new();
        for period in 0..1000u64 {
            let begin = start + Duration::from_millis(period);
            let tick = clock.next(begin);
            assert_eq!(tick.missed, 0);
            assert!(tick.due >= begin && tick.due < begin + Duration::from_millis(1));
            offsets.push((tick.due - begin).as_micros());
        }
        let mean = offsets.iter().sum::<u128>() / 1000;
        assert!((400..600).contains(&mean), "jitter is not even: {mean}");
    }

    #[test]
    fn ticks_that_passed_are_counted() {
        let start = Instant::now();
        let mut clock = Clock::new(start, 100, 7);
        assert_eq!(clock.next(start).missed, 0);
        let late = clock.next(start + Duration::from_millis(55));
        assert_eq!(late.missed, 4);
        assert!(late.due < start + Duration::from_millis(60));
        assert_eq!(clock.next(start + Duration::from_millis(57)).missed, 0);
    }
}
