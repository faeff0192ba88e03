//! Telling reads that lasted too long: rspy had no CPU in the middle of them.

use std::time::Duration;

/// How many times as long as usual is too long.
const FACTOR: f64 = 2.5;
/// After so many of them in a row, that is how long it takes now.
const IN_A_ROW: u32 = 8;

/// What a read is taken to cost: so much for itself, for each range, and for each byte; only how these
/// compare matters.
const CALL: f64 = 0.9;
const RANGE: f64 = 0.41;
const BYTE: f64 = 0.08 / 1024.0;

/// How long reads usually take for what they are: about the median of the last ones.
#[derive(Default)]
pub struct Usual {
    /// Nanoseconds to a unit of cost.
    nanoseconds: f64,
    long: u32,
}

impl Usual {
    /// Whether a read of so many `ranges` and `bytes` that took `time` was not interrupted; learns
    /// from it.
    pub fn is_usual(&mut self, time: Duration, ranges: usize, bytes: usize) -> bool {
        let time = time.as_nanos() as f64 / (CALL + RANGE * ranges as f64 + BYTE * bytes as f64);
        if self.nanoseconds == 0.0 {
            self.nanoseconds = time;
        }
        let step = self.nanoseconds / 32.0;
        self.nanoseconds += if time > self.nanoseconds { step } else { -step };
        if time <= FACTOR * self.nanoseconds {
            self.long = 0;
            return true;
        }
        self.long += 1;
        if self.long == IN_A_ROW {
            self.long = 0;
            self.nanoseconds = time;
            return true;
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_reads_are_told_until_all_are() {
        let mut usual = Usual::default();
        for _ in 0..100 {
            assert!(usual.is_usual(Duration::from_nanos(2_000), 3, 4000));
            assert!(usual.is_usual(Duration::from_nanos(9_000), 5, 70_000));
        }
        assert!(!usual.is_usual(Duration::from_micros(50), 3, 4000));
        assert!(usual.is_usual(Duration::from_nanos(3_000), 3, 4000));
        let long = (0..20).filter(|_| !usual.is_usual(Duration::from_micros(50), 3, 4000)).count();
        assert_eq!(long as u32, IN_A_ROW - 1);
    }
}
