//! Figures as text.

use std::time::Duration;

/// `98.7`, or `-` where it is not known.
pub fn percent(percent: Option<f64>) -> String {
    match percent {
        Some(percent) if percent >= 999.5 => format!("{percent:.0}"),
        Some(percent) => format!("{percent:.1}"),
        None => "-".to_owned(),
    }
}

/// `12.3` seconds, or `123`.
pub fn seconds(seconds: f64) -> String {
    if seconds >= 9999.5 { format!("{seconds:.0}") } else { format!("{seconds:.2}") }
}

/// `1:02:03`, or `2:03`, or `1d 02:03:04`.
pub fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (days, hours, minutes) = (seconds / 86400, seconds / 3600 % 24, seconds / 60 % 60);
    let seconds = seconds % 60;
    match (days, hours) {
        (0, 0) => format!("{minutes}:{seconds:02}"),
        (0, _) => format!("{hours}:{minutes:02}:{seconds:02}"),
        _ => format!("{days}d {hours:02}:{minutes:02}:{seconds:02}"),
    }
}

/// `12.3 MB`, or `1.23 GB`.
pub fn megabytes(bytes: Option<u64>) -> String {
    match bytes {
        Some(bytes) if bytes >= 1_000_000_000 => format!("{:.2} GB", bytes as f64 / 1e9),
        Some(bytes) => format!("{:.1} MB", bytes as f64 / 1e6),
        None => "-".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_short() {
        assert_eq!(duration(Duration::from_secs(59)), "0:59");
        assert_eq!(duration(Duration::from_secs(3723)), "1:02:03");
        assert_eq!(duration(Duration::from_secs(90_061)), "1d 01:01:01");
        assert_eq!(percent(Some(1000.0)), "1000");
        assert_eq!((percent(Some(99.95)), percent(None)), ("100.0".to_owned(), "-".to_owned()));
        assert_eq!(megabytes(Some(1_230_000_000)), "1.23 GB");
        assert_eq!(seconds(12_345.6), "12346");
    }
}
