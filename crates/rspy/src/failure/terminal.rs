//! The terminal.

use std::io;

use super::Failure;
use super::output::reason;

impl Failure {
    /// The terminal cannot be drawn on, or read.
    pub fn no_terminal(error: &io::Error) -> Failure {
        Failure::new(
            format!("The terminal cannot be drawn on: {}.", reason(error)),
            "Use another terminal, or see the same as text: rspy top --once --pid PID.",
        )
    }
}
