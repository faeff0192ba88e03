//! The command line of rspy, the sampling loop and the commands, one file each.
//!
//! Knows no offset of any structure: what a process is comes from `rspy-process`
//! and `rspy-cpython`, what a profile is from `rspy-profile`.
#![forbid(unsafe_code)]

mod accountant;
mod analysis;
mod attach;
mod budget;
pub mod cli;
mod clock;
mod columns;
mod completions;
mod costs;
mod dump;
mod failure;
mod figures;
mod filter;
mod gather;
mod heap;
mod later;
mod launch;
mod load;
mod log;
mod look;
mod names;
mod output;
mod picker;
mod preempted;
mod printable;
mod progress;
mod queue;
mod reader;
mod record;
mod recorder;
mod report;
mod roster;
mod sampler;
mod session;
mod signals;
mod sink;
mod source;
mod stats;
mod subject;
mod taken;
mod target;
mod terminal;
mod time;
mod top;
mod tree;
mod turns;
mod wait;

/// The sampling thread's part and the one that finds processes, for the tests and benches of it: no interface to build upon.
#[doc(hidden)]
pub mod sampling {
    pub use crate::sampler::{Only, Sampler, Wanted, Which};
    pub use crate::target::{Pausing, Target};
    pub use crate::tree::{Event, Finder, Found};
}

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;
use cli::{Cli, Command};

/// Runs rspy with the command line it was started with.
pub fn main() -> ExitCode {
    let words: Vec<OsString> = std::env::args_os().collect();
    match Cli::try_parse_from(&words) {
        Ok(cli) => run(cli),
        Err(error) => match with_process(&words, error.kind()) {
            Some(Ok(cli)) => run(cli),
            Some(Err(code)) => code,
            None => error.exit(),
        },
    }
}

/// The same command line with a process that the user has picked, if a process is all that it lacks and there is a
/// terminal to pick one on; else how that ended.
fn with_process(words: &[OsString], lacks: ErrorKind) -> Option<Result<Cli, ExitCode>> {
    let with = |pid: u32| {
        let (command, options) = words.split_at_checked(2)?;
        let process = [OsString::from("--pid"), pid.to_string().into()];
        Cli::try_parse_from(command.iter().chain(&process).chain(options)).ok()
    };
    if lacks != ErrorKind::MissingRequiredArgument || with(1).is_none() || !picker::can_ask() {
        return None;
    }
    failure::report_panics();
    match picker::pick() {
        Ok(Some(pid)) => with(pid).map(Ok),
        Ok(None) => Some(Err(ExitCode::SUCCESS)),
        Err(failure) => {
            progress::report(format_args!("rspy: {failure}"));
            Some(Err(ExitCode::FAILURE))
        }
    }
}

/// Runs one command line to its end. What goes wrong is printed to stderr with
/// what to do about it; the exit code is 1 then.
pub fn run(cli: Cli) -> ExitCode {
    failure::report_panics();
    log::start();
    let outcome = match cli.command {
        Command::Record(options) => later::record(&options).and_then(|()| record::record(&options)),
        Command::Top(options) => later::top(&options).and_then(|()| top::top(&options)),
        Command::Dump(options) => later::dump(&options).and_then(|()| dump::dump(&options)),
        Command::Report(options) => report::report(&options),
        Command::Lines(options) => analysis::lines(&options),
        Command::Stats(options) => analysis::stats(&options),
        Command::Memory(options) => analysis::memory(options),
        Command::Heap(options) => heap::heap(&options),
        Command::Time(options) => time::time(&options),
        Command::Completions(options) => completions::completions(&options),
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
