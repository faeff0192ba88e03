//! How far a count may be off by chance.

/// So many standard deviations may a share be off: by chance that is one recording in a million.
pub const SIGMAS: f64 = 5.0;

/// The standard deviation of a share that was counted in `samples`.
pub fn deviation(share: f64, samples: u64) -> f64 {
    (share * (1.0 - share) / samples as f64).sqrt()
}

/// How often something may have come that is expected `expected` times: more is less likely than one in 10,000.
pub fn most_by_chance(expected: f64) -> u64 {
    // The terms of the Poisson distribution, one after the other.
    let mut term = (-expected).exp();
    let mut at_most = term;
    let mut count = 0;
    // Rounding may keep the sum from ever reaching 1, so the terms themselves have to end it too.
    while 1.0 - at_most > 1e-4 && (term > 1e-9 || (count as f64) < expected) {
        count += 1;
        term *= expected / count as f64;
        at_most += term;
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn allows_what_chance_does() {
        assert_eq!(most_by_chance(0.0), 0);
        assert_eq!(most_by_chance(0.01), 1);
        assert_eq!(most_by_chance(0.1), 3);
        assert_eq!(most_by_chance(1.0), 6);
        assert!((130..150).contains(&most_by_chance(100.0)));
    }

    #[test]
    fn a_share_of_more_samples_is_known_better() {
        assert!((deviation(0.5, 100) - 0.05).abs() < 1e-12);
        assert!((deviation(0.5, 10_000) - 0.005).abs() < 1e-12);
    }
}
