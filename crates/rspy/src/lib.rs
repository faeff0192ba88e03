//! The command line of rspy, the sampling loop and the commands, one file each.
//!
//! Knows no offset of any structure: what a process is comes from `rspy-process`
//! and `rspy-cpython`, what a profile is from `rspy-profile`.
#![forbid(unsafe_code)]

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
// Until the sampler asks it.
#[allow(dead_code, unused_imports)]
mod filter;
mod later;
mod launch;
mod log;
// Until the recorder learns of cells.
#[allow(dead_code)]
mod names;
mod output;
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
mod stats;
mod subject;
mod target;
mod top;
mod tree;
mod wait;

/// The sampling thread's part and the one that finds processes, for the tests and benches of it: no interface to build upon.
#[doc(hidden)]
pub mod sampling {
    pub use crate::sampler::{Only, Sampler, Wanted, Which};
    pub use crate::target::{Pausing, Target};
    pub use crate::tree::{Event, Finder, Found};
}

use std::process::ExitCode;

use cli::{Cli, Command};

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
