//! What rspy says while it works: messages, and progress on a terminal.

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// What a recording tells its user, in py-spy's words.
pub struct Messages {
    /// stdout belongs to another: the program, or the recording.
    pub on_stderr: bool,
    /// Whether lines begin with `rspy> `.
    pub named: bool,
}

impl Messages {
    /// Says one thing.
    pub fn say(&self, message: impl Display) {
        let name = if self.named { "rspy> " } else { "" };
        self.print(format_args!("{name}{message}"));
    }

    /// Leaves a line empty.
    pub fn pause(&self) {
        self.print("");
    }

    /// Nobody listening any more is no reason to stop.
    fn print(&self, line: impl Display) {
        if self.on_stderr {
            report(line);
        } else {
            let _ = writeln!(io::stdout(), "{line}");
        }
    }
}

/// Says something on stderr. Nobody listening any more is no reason to stop.
pub fn report(message: impl Display) {
    let _ = writeln!(io::stderr(), "{message}");
}

/// A line on stderr that tells how a recording goes.
#[derive(Clone)]
pub struct Progress {
    bar: ProgressBar,
    limit: Option<Duration>,
}

impl Progress {
    /// Progress towards `limit`, or of a recording without one. Drawn only if
    /// stderr is a terminal and it is not `hidden`.
    pub fn new(limit: Option<Duration>, hidden: bool) -> Progress {
        let target = if hidden || !io::stderr().is_terminal() {
            ProgressDrawTarget::hidden()
        } else {
            ProgressDrawTarget::stderr_with_hz(4)
        };
        let length = limit.map(|limit| limit.as_millis() as u64);
        let bar = ProgressBar::with_draw_target(length, target);
        // A terminal of any width gets one line: what does not fit is left out.
        let template = match limit {
            Some(_) => "{elapsed_precise} {bar:10} {wide_msg}",
            None => "{elapsed_precise} {wide_msg}",
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        Progress { bar, limit }
    }

    /// Shows how far the recording is.
    pub fn show(&self, elapsed: Duration, samples: u64, lost: u64) {
        if self.bar.is_hidden() {
            return;
        }
        if self.limit.is_some() {
            self.bar.set_position(elapsed.as_millis() as u64);
        }
        let lost = if lost == 0 { String::new() } else { format!(", {} lost", grouped(lost)) };
        self.bar.set_message(format!("{} samples{lost}", grouped(samples)));
    }

    /// Takes the line away.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

/// Progress through so many bytes of files, on a terminal, of what takes long enough to be looked at.
pub fn conversion(bytes: u64, hidden: bool) -> ProgressBar {
    const LONG: u64 = 4 << 20;
    if hidden || bytes < LONG || !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::with_draw_target(Some(bytes), ProgressDrawTarget::stderr_with_hz(8));
    if let Ok(style) = ProgressStyle::with_template("{bar:20} {bytes} of {total_bytes} read") {
        bar.set_style(style);
    }
    bar
}

/// Does what may take seconds, and tells on a terminal what that is as long as it goes on.
pub fn during<T>(what: &'static str, work: impl FnOnce() -> T) -> T {
    const PERIOD: Duration = Duration::from_millis(200);
    if !io::stderr().is_terminal() {
        return work();
    }
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    if let Ok(style) = ProgressStyle::with_template("{elapsed_precise} {wide_msg}") {
        bar.set_style(style);
    }
    bar.set_message(what);
    bar.enable_steady_tick(PERIOD);
    let result = work();
    bar.finish_and_clear();
    result
}

/// How many runs are over, as a line on stderr.
pub struct Runs {
    bar: ProgressBar,
}

impl Runs {
    /// Of `count` runs. Drawn only if stderr is a terminal.
    pub fn new(count: u64) -> Runs {
        if !io::stderr().is_terminal() {
            return Runs { bar: ProgressBar::hidden() };
        }
        let bar = ProgressBar::with_draw_target(Some(count), ProgressDrawTarget::stderr());
        if let Ok(style) = ProgressStyle::with_template("{elapsed_precise} {bar:10} {pos} of {len} runs") {
            bar.set_style(style);
        }
        Runs { bar }
    }

    /// One more is over.
    pub fn step(&self) {
        self.bar.inc(1);
    }

    /// Takes the line away.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

/// A number with commas between groups of three digits.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(1000), "1,000");
        assert_eq!(grouped(1234567), "1,234,567");
    }
}
