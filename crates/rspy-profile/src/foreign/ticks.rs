//! Times as whole numbers: weights of samples are counts of ticks, and many formats write seconds with a fraction.

/// How many ticks make a second, and so how many each time is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Ticks {
    rate: f64,
}

/// Ticks no smaller than this are told from each other.
const NANOSECONDS: f64 = 1e9;

/// How far a rate may be from a round one to be taken for it, as a share of it.
const TOLERANCE: f64 = 1e-9;

impl Ticks {
    /// Ticks of which each of `times`, in seconds, is a whole number: as many nanoseconds as divide a second and all of
    /// them. Where they are no whole nanoseconds, but multiples of the smallest, as those of a sampler are, that one.
    pub(super) fn of(times: impl Iterator<Item = f64> + Clone) -> Self {
        let nanoseconds = Self { rate: NANOSECONDS };
        let smallest = times.clone().filter(|time| *time > 0.0).fold(f64::INFINITY, f64::min);
        let multiples = Self { rate: round(1.0 / smallest) };
        let is_usable = multiples.rate > 0.0 && multiples.rate <= NANOSECONDS;
        if is_usable && !nanoseconds.fit(times.clone()) && multiples.fit(times.clone()) {
            return multiples;
        }
        let counts = times.map(|time| nanoseconds.count(time));
        let divisor = counts.fold(NANOSECONDS as u64, greatest_common_divisor);
        Self { rate: NANOSECONDS / divisor as f64 }
    }

    /// Whether all of `times` are whole numbers of ticks, but for what calculating with `f64` loses.
    fn fit(self, mut times: impl Iterator<Item = f64>) -> bool {
        times.all(|time| {
            let ticks = time * self.rate;
            (ticks - ticks.round()).abs() <= 1e-6 + 8.0 * f64::EPSILON * ticks
        })
    }

    /// How many make a second.
    pub(super) fn rate(self) -> f64 {
        self.rate
    }

    /// How many there are in `time`, in seconds, which is not negative.
    pub(super) fn count(self, time: f64) -> u64 {
        // A conversion of a number that is out of range gives the nearest one that is in it.
        (time * self.rate).round() as u64
    }
}

fn greatest_common_divisor(mut one: u64, mut other: u64) -> u64 {
    while other > 0 {
        (one, other) = (other, one % other);
    }
    one
}

/// A rate without what its calculation from a period has added to it.
fn round(rate: f64) -> f64 {
    let rounded = (rate * 1000.0).round() / 1000.0;
    if (rounded - rate).abs() <= TOLERANCE * rate { rounded } else { rate }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_of_a_sampler_is_found() {
        for rate in [1.0, 99.5, 100.0, 200.0, 999.0, 1000.0, 300_000.0] {
            let ticks = [1_u64, 61, 7, 143, 10_000];
            let times = ticks.map(|ticks| ticks as f64 / rate);
            let found = Ticks::of(times.into_iter());
            assert_eq!(found.rate(), rate);
            assert_eq!(times.map(|time| found.count(time)), ticks);
        }
    }

    #[test]
    fn other_times_are_nanoseconds() {
        let times = [0.5, 0.3, 0.000_000_7];
        let found = Ticks::of(times.into_iter());
        assert_eq!(found.rate(), 1e7);
        assert_eq!(times.map(|time| found.count(time)), [5_000_000, 3_000_000, 7]);
        assert_eq!(Ticks::of([1e-9, 1.0 / 3.0].into_iter()).rate(), 1e9);
        assert_eq!(Ticks::of([0.41].into_iter()).rate(), 100.0);
        assert_eq!(Ticks::of([].into_iter()).rate(), 1.0);
        assert_eq!(Ticks::of([0.0].into_iter()).rate(), 1.0);
        assert_eq!(Ticks::of([1e-300].into_iter()).count(f64::MAX), u64::MAX);
    }
}
