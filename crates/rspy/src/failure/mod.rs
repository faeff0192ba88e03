//! What a user is told when something went wrong: the cause that was found, and
//! what to do.
//!
//! Every message is a row of `docs/errors.md`, which the tests hold against what
//! is printed.

mod analysis;
mod attaching;
mod circumstances;
mod heap;
mod neighbours;
mod output;
mod panic;
mod permission;
mod proc_status;
mod recordings;
mod stops;
mod surroundings;
mod terminal;
#[cfg(test)]
mod tests;
mod threads;

use std::fmt;

pub use panic::report_panics;
pub use stops::refused_stops;

/// Lines of a message are at most this long, except for commands, which must be
/// copied whole.
const WIDTH: usize = 80;

/// What a message's lines after the first begin with: as wide as `rspy: `.
const INDENT: &str = "      ";

/// A failed command.
#[derive(Debug, PartialEq, Eq)]
pub struct Failure {
    cause: String,
    advice: String,
    command: Option<String>,
    broken_pipe: bool,
}

impl Failure {
    /// A failure with its cause and what to do, both whole sentences.
    pub fn new(cause: impl Into<String>, advice: impl Into<String>) -> Failure {
        Failure { cause: cause.into(), advice: advice.into(), command: None, broken_pipe: false }
    }

    /// The same with a command that mends it, on a line of its own: `advice` leads to it.
    pub fn with_command(self, command: impl Into<String>) -> Failure {
        Failure { command: Some(command.into()), ..self }
    }

    /// Whether it is only that nobody reads our output any more.
    pub fn is_broken_pipe(&self) -> bool {
        self.broken_pipe
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n{INDENT}{}", wrapped(&self.cause), wrapped(&self.advice))?;
        match &self.command {
            Some(command) => write!(f, "\n\n{INDENT}    {command}"),
            None => Ok(()),
        }
    }
}

/// `text` in lines, all but the first indented. What belongs together, as an
/// option with hyphens or a path, is never taken apart.
fn wrapped(text: &str) -> String {
    let options = textwrap::Options::new(WIDTH)
        .initial_indent(INDENT)
        .subsequent_indent(INDENT)
        .break_words(false)
        .word_splitter(textwrap::WordSplitter::NoHyphenation);
    textwrap::fill(text, options).trim_start().to_owned()
}
