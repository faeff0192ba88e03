//! What is looked into or timed now: samples that cannot be kept or tell nothing, commands that do not end.

use std::io;

use rspy_cpython::Version;

use super::Failure;
use super::output::reason;

impl Failure {
    /// The samples of a process could not be kept in memory.
    pub fn keeping_samples(error: &io::Error) -> Failure {
        Failure::new(
            format!("The samples could not be kept in memory: {}.", reason(error)),
            "Record to a file with rspy record -o FILE.rspy, and give that file.",
        )
    }

    /// A process that was sampled has ended before its memory was looked at.
    pub fn no_memory_seen() -> Failure {
        Failure::new(
            "The process was gone before its memory was looked at.",
            "Sample one that runs for longer.",
        )
    }

    /// It is not known where the Python of process `pid` keeps what tracemalloc traces.
    pub fn no_tracemalloc(pid: u32, version: Version) -> Failure {
        Failure::new(
            format!("Where Python {version} of process {pid} keeps what tracemalloc traces is not known."),
            "Run it with a Python that is not stripped, or 3.8 or later; or without --tracemalloc, which tells what made \
             it grow.",
        )
    }

    /// A command that is timed cannot be ended.
    pub fn endless_command() -> Failure {
        Failure::new(
            "The command does not end, and its times are not known.",
            "See what it waits for in the kernel: cat /proc/PID/stack",
        )
    }
}
