//! When to sample: absolute deadlines, so that the asked rate is delivered, each
//! moved by chance within its period, so that sampling never locks step with a
//! program that repeats itself at the same rate.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, Instant};

/// How often to sample.
#[derive(Copy, Clone, Debug, PartialEq)]
pub enum Rate {
    /// So many times a second.
    Hz(f64),
    /// Again as soon as a sample is taken.
    Max,
}

/// Once in a day or so: the time to a deadline must be a time that can be added.
const LOWEST: f64 = 1e-5;

impl Rate {
    /// In hertz, as [`rspy_profile::Metadata::rate`] has it: 0 for [`Rate::Max`].
    pub fn hertz(self) -> f64 {
        match self {
            Rate::Hz(rate) => rate,
            Rate::Max => 0.0,
        }
    }

    /// The time from one tick to the next; none at all for [`Rate::Max`].
    pub fn period(self) -> Duration {
        match self {
            Rate::Hz(rate) => Duration::from_secs_f64(rate.max(LOWEST).recip()).max(Duration::from_nanos(1)),
            Rate::Max => Duration::ZERO,
        }
    }
}

impl FromStr for Rate {
    type Err = &'static str;

    /// `100`, `2.5`, `10k`, `10kHz`, `1mhz`, which is a million, `max`; in any case.
    fn from_str(text: &str) -> Result<Rate, Self::Err> {
        let lower = text.to_ascii_lowercase();
        if lower == "max" {
            return Ok(Rate::Max);
        }
        let number = lower.strip_suffix("hz").unwrap_or(&lower);
        let (number, unit) = match (number.strip_suffix('k'), number.strip_suffix('m')) {
            (Some(number), _) => (number, 1e3),
            (_, Some(number)) => (number, 1e6),
            _ => (number, 1.0),
        };
        match number.parse::<f64>().map(|number| number * unit) {
            Ok(rate) if rate.is_finite() && rate >= LOWEST => Ok(Rate::Hz(rate)),
            _ => Err("give the samples a second, as 100, 2.5k or 1mhz, or max for as many as can be had"),
        }
    }
}

impl fmt::Display for Rate {
    /// What follows "sampling the process": `100 times a second`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Rate::Hz(rate) => write!(formatter, "{rate} times a second"),
            Rate::Max => formatter.write_str("as often as can be"),
        }
    }
}

/// The deadlines of one recording.
pub struct Clock {
    start: Instant,
    /// In nanoseconds; 0 if it is always time.
    period: u64,
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
    /// Ticks at `rate` from `start` on. `seed` decides the jitter.
    pub fn new(start: Instant, rate: Rate, seed: u64) -> Clock {
        let period = rate.period().as_nanos() as u64;
        // Xorshift stays at zero if it starts there.
        Clock { start, period, tick: 0, random: seed | 1 }
    }

    /// Goes on at another rate from `now` on.
    pub fn change(&mut self, now: Instant, rate: Rate) {
        *self = Clock { start: now, period: rate.period().as_nanos() as u64, tick: 0, random: self.random };
    }

    /// The next deadline as seen `now`: ticks whose whole period is over are missed.
    pub fn next(&mut self, now: Instant) -> Tick {
        let elapsed = now.saturating_duration_since(self.start).as_nanos() as u64;
        let Some(current) = elapsed.checked_div(self.period) else {
            return Tick { due: now, missed: 0 };
        };
        let missed = current.saturating_sub(self.tick);
        self.tick = self.tick.max(current);
        let base = self.period.saturating_mul(self.tick);
        let jitter = self.random_below(self.period);
        self.tick += 1;
        Tick { due: self.start + Duration::from_nanos(base.saturating_add(jitter)), missed }
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
        let mut clock = Clock::new(start, Rate::Hz(1000.0), 42);
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
        let mut clock = Clock::new(start, Rate::Hz(100.0), 7);
        assert_eq!(clock.next(start).missed, 0);
        let late = clock.next(start + Duration::from_millis(55));
        assert_eq!(late.missed, 4);
        assert!(late.due < start + Duration::from_millis(60));
        assert_eq!(clock.next(start + Duration::from_millis(57)).missed, 0);
    }

    #[test]
    fn ticks_and_missed_ones_are_what_was_asked_for() {
        let start = Instant::now();
        // Each sample takes 0 to 4 periods: what it does not let happen is counted.
        for rate in [Rate::Hz(0.1), Rate::Hz(1e3), Rate::Hz(1e6), Rate::Hz(1e12)] {
            let mut clock = Clock::new(start, rate, 3);
            let period = rate.period();
            let (mut now, mut taken, mut missed) = (start, 0_u64, 0);
            for sample in 0..10_000 {
                let tick = clock.next(now);
                (taken, missed) = (taken + 1, missed + tick.missed);
                now = now.max(tick.due) + period * (sample % 5);
            }
            let periods = ((now - start).as_nanos() / period.as_nanos()) as u64;
            assert!((taken + missed).abs_diff(periods) <= 5, "{taken} and {missed} of {periods}");
        }
    }

    #[test]
    fn at_the_highest_rate_it_is_always_time() {
        let start = Instant::now();
        let mut clock = Clock::new(start, Rate::Max, 7);
        let later = start + Duration::from_secs(3);
        assert_eq!(clock.next(start), Tick { due: start, missed: 0 });
        assert_eq!(clock.next(later), Tick { due: later, missed: 0 });
    }

    #[test]
    fn rates_are_read_and_said() {
        for (text, rate) in [
            ("1", 1.0),
            ("100", 100.0),
            ("+100", 100.0),
            ("1000000", 1e6),
            ("18446744073709551615", 18446744073709551615.0),
            ("0.5", 0.5),
            ("100Hz", 100.0),
            ("1k", 1e3),
            ("2.5K", 2.5e3),
            ("10khz", 1e4),
            ("20kHz", 2e4),
            ("1m", 1e6),
            ("1MHZ", 1e6),
        ] {
            assert_eq!(text.parse(), Ok(Rate::Hz(rate)), "{text}");
        }
        assert_eq!("Max".parse(), Ok(Rate::Max));
        for text in
            ["", "0", "-1", "0.000001", "inf", "infinity", "nan", "k", "hz", "1kk", "1g", "0x10", "1 k"]
        {
            assert!(text.parse::<Rate>().is_err(), "{text}");
        }
        assert_eq!(Rate::Hz(100.0).to_string(), "100 times a second");
        assert_eq!(Rate::Max.hertz(), 0.0);
    }
}
