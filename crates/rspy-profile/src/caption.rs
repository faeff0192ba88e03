//! What stands above a picture or a table: what it is of, and how much it is based on.

use crate::fold::Totals;
use crate::label;
use crate::options::Options;
use crate::profile::Profile;

/// The number of characters of a command line that fit beside the rest of a title.
const PROGRAM_LENGTH: usize = 48;

/// `python app.py · Python 3.13.0 · pid 8306`, or the title asked for.
pub(crate) fn title(profile: &Profile, options: &Options) -> String {
    if let Some(title) = &options.title {
        return label::printable(title);
    }
    let metadata = &profile.metadata;
    let mut parts = Vec::new();
    if !metadata.program.trim().is_empty() {
        parts.push(clip(&label::printable(without_directory(&metadata.program)), PROGRAM_LENGTH));
    }
    if let Some(version) = &metadata.python_version {
        parts.push(format!("Python {}", label::printable(version)));
    }
    if metadata.pid > 0 {
        parts.push(format!("pid {}", metadata.pid));
    }
    if parts.is_empty() {
        parts.push("A profile".to_owned());
    }
    parts.join(" · ")
}

/// No sampler is as fast as this, in hertz: where other tools wrote a time with each sample, a tick is a unit of it.
const UNIT_OF_TIME: f64 = 1e6;

/// `1,234 samples at 100 Hz over 12.3 s · 0 lost · 3 cut · 56 idle left out`; seconds where weights are times.
pub(crate) fn subtitle(profile: &Profile, options: &Options, totals: &Totals) -> String {
    let metadata = &profile.metadata;
    let is_time = metadata.rate >= UNIT_OF_TIME;
    let amount = |weight: u64| match is_time {
        true => format!("{:.2} s", weight as f64 / metadata.rate),
        false => grouped(weight),
    };
    let all = match is_time {
        true => format!("{} of samples", amount(totals.samples)),
        false => format!("{} at {}", samples(totals.samples), rate(metadata.rate)),
    };
    let duration = metadata.duration.as_secs_f64();
    let (lost, cut) = (amount(totals.lost), amount(totals.cut));
    let mut text = format!("{all} over {duration:.1} s · {lost} lost · {cut} cut");
    if totals.left_out > 0 {
        let what = if options.gil { "" } else { "idle " };
        text += &format!(" · {} {what}left out", amount(totals.left_out));
    }
    text
}

/// `100 Hz`, or `max` where no rate was asked for.
fn rate(rate: f64) -> String {
    if rate > 0.0 { format!("{} Hz", (rate * 100.0).round() / 100.0) } else { "max".into() }
}

/// `1 sample`, `1,234 samples`.
pub(crate) fn samples(count: u64) -> String {
    format!("{} {}", grouped(count), if count == 1 { "sample" } else { "samples" })
}

/// A number with a comma between every three digits.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A command line without the directory of its program: `python app.py`.
fn without_directory(command: &str) -> &str {
    let program = command.split(' ').next().unwrap_or(command);
    let name = program.rfind('/').map_or(0, |slash| slash + 1);
    &command[name..]
}

/// At most `length` characters of `text`, the last one an ellipsis if some are left out.
fn clip(text: &str, length: usize) -> String {
    if text.chars().count() <= length {
        return text.into();
    }
    text.chars().take(length - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_by_three_digits() {
        for (number, text) in [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(grouped(number), text);
        }
        assert_eq!(samples(1), "1 sample");
        assert_eq!(samples(1234), "1,234 samples");
    }

    #[test]
    fn rates_are_rounded() {
        assert_eq!(rate(100.0), "100 Hz");
        assert_eq!(rate(2.5), "2.5 Hz");
        assert_eq!(rate(0.0), "max");
    }

    #[test]
    fn times_are_not_called_samples() {
        let mut profile = Profile::default();
        profile.metadata.rate = 1e6;
        let totals = Totals { samples: 1_230_000, cut: 10_000, ..Totals::default() };
        let text = subtitle(&profile, &Options::default(), &totals);
        assert_eq!(text, "1.23 s of samples over 0.0 s · 0.00 s lost · 0.01 s cut");
    }

    #[test]
    fn command_lines_lose_the_directory_of_their_program() {
        assert_eq!(without_directory("/usr/bin/python3 /srv/app.py"), "python3 /srv/app.py");
        assert_eq!(without_directory("python3 /srv/app.py"), "python3 /srv/app.py");
        assert_eq!(without_directory(""), "");
    }

    #[test]
    fn long_text_is_clipped_by_characters() {
        assert_eq!(clip("größe", 5), "größe");
        assert_eq!(clip("größer", 5), "größ…");
    }
}
