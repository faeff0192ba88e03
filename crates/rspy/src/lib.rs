//! The command line of rspy, the sampling loop and the commands, one file each.
//!
//! Knows no offset of any structure: what a process is comes from `rspy-process`
//! and `rspy-cpython`, what a profile is from `rspy-profile`.
#![forbid(unsafe_code)]

pub mod cli;
mod clock;
mod columns;
mod dump;
mod failure;
mod launch;
mod names;
mod progress;
mod record;
mod recorder;
mod target;

use std::process::ExitCode;

use cli::{Cli, Command};

/// Runs one command line to its end. What goes wrong is printed to stderr with
/// what to do about it; the exit code is 1 then.
pub fn run(cli: Cli) -> ExitCode {
    let outcome = match cli.command {
        Command::Record(options) => record::record(&options),
        Command::Dump(options) => dump::dump(&options),
    };
    outcome.unwrap_or_else(|failure| {
        if failure.is_broken_pipe() {
            // Whoever read our output has enough of it: `rspy dump … | head`.
            return ExitCode::SUCCESS;
        }
        progress::report(format_args!("rspy: {failure}"));
        ExitCode::FAILURE
    })
}
