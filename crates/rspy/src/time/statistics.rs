//! What several runs say together.

use serde::Serialize;
use statrs::distribution::{ContinuousCDF, StudentsT};

/// How far from the median a run is called an outlier, in deviations: Iglewicz and Hoaglin, How to detect and handle
/// outliers, 1993.
const OUTLYING: f64 = 3.5;

/// Of fewer figures none is called that: the others say too little of how far they spread.
const FEWEST: usize = 5;

/// What the median of the distances from the median is, in standard deviations of a normal distribution.
const OF_DEVIATION: f64 = 1.4826;

/// How certain an interval is.
const CONFIDENCE: f64 = 0.95;

/// Several figures of one kind.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Summary {
    /// The smallest one.
    pub minimum: f64,
    /// As many are smaller as are larger.
    pub median: f64,
    /// The average.
    pub mean: f64,
    /// The standard deviation, as an estimate from these; 0 of a single one.
    pub deviation: f64,
    /// The largest one.
    pub maximum: f64,
    /// Those that are far from the others.
    pub outliers: Vec<f64>,
}

impl Summary {
    /// Of these; `None` of none.
    pub fn of(figures: &[f64]) -> Option<Summary> {
        let mut sorted = figures.to_vec();
        sorted.sort_by(f64::total_cmp);
        let (minimum, maximum) = (*sorted.first()?, *sorted.last()?);
        let median = median(&sorted);
        let mut distances: Vec<f64> = sorted.iter().map(|figure| (figure - median).abs()).collect();
        distances.sort_by(f64::total_cmp);
        let scale = self::median(&distances) * OF_DEVIATION;
        let is_told = figures.len() >= FEWEST && scale > 0.0;
        let is_outlying = |figure: &&f64| is_told && (**figure - median).abs() > OUTLYING * scale;
        Some(Summary {
            minimum,
            median,
            mean: mean(figures),
            deviation: variance(figures).sqrt(),
            maximum,
            outliers: sorted.iter().filter(is_outlying).copied().collect(),
        })
    }
}

/// How much longer one takes than another.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Ratio {
    /// So many times as long.
    pub ratio: f64,
    /// The interval in which the true one is in 95 of 100 cases.
    pub interval: [f64; 2],
    /// Whether there is a difference at all, as certain as that.
    pub is_certain: bool,
}

impl Ratio {
    /// How much longer `one` takes than `other`, by Welch's t-test of the logarithms: times are never below 0, and
    /// mostly spread upwards. `None` of fewer than two each.
    pub fn of(one: &[f64], other: &[f64]) -> Option<Ratio> {
        let logarithms =
            |figures: &[f64]| figures.iter().map(|figure| figure.max(1e-9).ln()).collect::<Vec<_>>();
        let (one, other) = (logarithms(one), logarithms(other));
        if one.len() < 2 || other.len() < 2 {
            return None;
        }
        let difference = mean(&one) - mean(&other);
        let errors = [&one, &other].map(|figures| variance(figures) / figures.len() as f64);
        let error = errors[0] + errors[1];
        let freedom = error.powi(2)
            / (errors[0].powi(2) / (one.len() - 1) as f64 + errors[1].powi(2) / (other.len() - 1) as f64);
        // Runs that are all alike leave no room for chance.
        let width = match StudentsT::new(0.0, 1.0, freedom) {
            Ok(student) if error > 0.0 => student.inverse_cdf(0.5 + CONFIDENCE / 2.0) * error.sqrt(),
            _ => 0.0,
        };
        Some(Ratio {
            ratio: difference.exp(),
            interval: [(difference - width).exp(), (difference + width).exp()],
            is_certain: difference.abs() > width,
        })
    }
}

fn mean(figures: &[f64]) -> f64 {
    figures.iter().sum::<f64>() / figures.len().max(1) as f64
}

/// The variance of what these were drawn from, as an estimate.
fn variance(figures: &[f64]) -> f64 {
    let mean = mean(figures);
    let sum: f64 = figures.iter().map(|figure| (figure - mean).powi(2)).sum();
    if figures.len() > 1 { sum / (figures.len() - 1) as f64 } else { 0.0 }
}

fn median(sorted: &[f64]) -> f64 {
    let middle = sorted.len() / 2;
    match (sorted.get(middle), sorted.len() % 2) {
        (Some(figure), 1) => *figure,
        (Some(figure), _) => (figure + sorted[middle - 1]) / 2.0,
        (None, _) => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_is_what_others_compute() {
        // numpy: median, mean, std(ddof=1).
        let summary = Summary::of(&[1.2, 1.0, 1.1, 1.3, 9.0]).unwrap();
        assert_eq!((summary.minimum, summary.median, summary.maximum), (1.0, 1.2, 9.0));
        assert!(
            (summary.mean - 2.72).abs() < 1e-12 && (summary.deviation - 3.512_406_582_387_637).abs() < 1e-9
        );
        assert_eq!(summary.outliers, [9.0]);
        assert_eq!(Summary::of(&[1.0, 2.0]).unwrap().median, 1.5);
        assert!(Summary::of(&[1.0, 1.1, 9.0]).unwrap().outliers.is_empty());
        assert_eq!(Summary::of(&[2.0]).unwrap().deviation, 0.0);
        assert_eq!(Summary::of(&[]), None);
    }

    #[test]
    fn a_ratio_is_what_welch_says() {
        // scipy.stats.ttest_ind(numpy.log(a), numpy.log(b), equal_var=False).confidence_interval().
        let (one, other) = ([1.10, 1.12, 1.09, 1.11], [1.00, 1.01, 0.99, 1.02]);
        let ratio = Ratio::of(&one, &other).unwrap();
        assert!((ratio.ratio - 1.099_514_246_954).abs() < 1e-9, "{ratio:?}");
        assert!(
            (ratio.interval[0] - 1.076_351_062_973).abs() < 1e-6
                && (ratio.interval[1] - 1.123_175_905_002).abs() < 1e-6,
            "{ratio:?}"
        );
        assert!(ratio.is_certain);
        assert!(!Ratio::of(&one, &[1.0, 1.3, 0.9, 1.2]).unwrap().is_certain);
        assert_eq!(Ratio::of(&one, &[1.0]), None);
        let alike = Ratio::of(&[1.0, 1.0], &[1.0, 1.0]).unwrap();
        assert!(!alike.is_certain && alike.ratio == 1.0);
    }

    #[test]
    fn equal_commands_are_called_different_in_one_case_of_twenty() {
        let mut seed = 1_u64;
        let mut random = || {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (seed >> 11) as f64 / (1_u64 << 53) as f64
        };
        // The sum of twelve is nearly normal, with a deviation of one.
        let mut run = || 1.0 + 0.03 * ((0..12).map(|_| random()).sum::<f64>() - 6.0);
        let trials = 4000;
        let wrong = (0..trials)
            .filter(|_| {
                let runs: [Vec<f64>; 2] = std::array::from_fn(|_| (0..10).map(|_| run()).collect());
                Ratio::of(&runs[0], &runs[1]).unwrap().is_certain
            })
            .count();
        let share = wrong as f64 / f64::from(trials);
        assert!((0.04..0.06).contains(&share), "{share}");
    }
}
