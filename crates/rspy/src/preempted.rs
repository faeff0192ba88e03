//! Telling reads that lasted too long: rspy had no CPU in the middle of them.

use std::time::Duration;

/// How many times as long as usual is too long.
const FACTOR: f64 = 2.5;
/// After so many of them in a row, that is how long it takes now.
const IN_A_ROW: u32 = 8;

/// How long reads usually take: about the median of the last ones.
#[derive(Default)]
pub struct Usual {
    nanoseconds: f64,
    long: u32,
}

impl Usual {
    /// Whether a read that took `time` was not interrupted; learns from it.
    pub fn is_usual(&mut self, time: Duration) -> bool {
        let time = time.as_nanos() as f64;
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
            assert!(usual.is_usual(Duration::from_nanos(2_000)));
            assert!(usual.is_usual(Duration::from_nanos(2_200)));
        }
        assert!(!usual.is_usual(Duration::from_micros(50)));
        assert!(usual.is_usual(Duration::from_nanos(3_000)));
        let long = (0..20).filter(|_| !usual.is_usual(Duration::from_micros(50))).count();
        assert_eq!(long as u32, IN_A_ROW - 1);
    }
}
