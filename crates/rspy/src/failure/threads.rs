//! Threads: those that are asked for and not there, and rspy's own.

use std::io;

use super::Failure;
use super::output::reason;
use crate::filter::ThreadFilter;
use crate::printable::printable;

/// How many threads are listed.
const MOST: usize = 20;

impl Failure {
    /// No thread of `processes` is one that was `asked` for; `threads` are all there are: the kernel's id of each,
    /// else Python's, and its name.
    pub fn no_thread(processes: &[u32], asked: &ThreadFilter, threads: &[(u64, Option<String>)]) -> Failure {
        let pids: Vec<String> = processes.iter().map(u32::to_string).collect();
        let whose = if pids.len() == 1 { "process" } else { "the processes" };
        let mut all: Vec<String> = threads
            .iter()
            .take(MOST)
            .map(|(id, name)| match name {
                Some(name) => format!("{id} ({})", printable(name)),
                None => format!("{id} (without a name)"),
            })
            .collect();
        if threads.len() > MOST {
            all.push(format!("{} more", threads.len() - MOST));
        }
        let there = if all.is_empty() { "none".to_owned() } else { joined(&all) };
        Failure::new(
            format!(
                "No thread of {whose} {} has the name or the id {asked}. These are there: {there}.",
                joined(&pids)
            ),
            "Give --thread the name or the id of one of them.",
        )
    }

    /// The system gave rspy no thread to record with.
    pub fn no_thread_to_record(error: &io::Error) -> Failure {
        Failure::new(
            format!("No thread could be started to record with: {}.", reason(error)),
            "Free some memory, or raise the limit of processes (ulimit -u), and try again.",
        )
    }
}

/// `a, b and c`.
fn joined(items: &[String]) -> String {
    match items {
        [first @ .., last] if !first.is_empty() => format!("{} and {last}", first.join(", ")),
        _ => items.concat(),
    }
}
