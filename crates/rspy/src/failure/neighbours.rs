//! Other processes, one of which the user may have meant.

use std::path::Path;
use std::time::{Duration, Instant};

use rspy_cpython::Attached;
use rspy_process::Process;

use super::proc_status::{Status, command_line};

/// How long looking into others may take: a hint is not worth a long wait.
const PATIENCE: Duration = Duration::from_secs(2);

/// How many processes a message names.
const NAMED: usize = 5;

/// All processes that `/proc` shows.
fn all(proc: &Path) -> Vec<(u32, Status)> {
    let Ok(entries) = std::fs::read_dir(proc) else { return Vec::new() };
    let mut all: Vec<(u32, Status)> = entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter_map(|pid: u32| Some((pid, Status::read(proc, &pid.to_string())?)))
        .collect();
    all.sort_by_key(|(pid, _)| *pid);
    all
}

/// Processes that have the id `pid` in a pid namespace below rspy's own.
pub fn namesakes(proc: &Path, pid: u32) -> Vec<u32> {
    let is_namesake = |status: &Status| status.ids.len() > 1 && status.ids.last() == Some(&pid);
    all(proc).into_iter().filter(|(_, status)| is_namesake(status)).map(|(other, _)| other).collect()
}

/// Children of `pid`, their children, and so on, the nearest first.
pub fn descendants(proc: &Path, pid: u32) -> Vec<u32> {
    let all = all(proc);
    let mut found = vec![pid];
    let mut at = 0;
    while let Some(parent) = found.get(at).copied() {
        for (child, status) in &all {
            // A list that changes while it is read could have a loop.
            if status.parent == parent && !found.contains(child) {
                found.push(*child);
            }
        }
        at += 1;
    }
    found.remove(0);
    found
}

/// Those of `pids` that run Python, as far as rspy may look into them.
pub fn running_python(pids: Vec<u32>) -> Vec<u32> {
    let start = Instant::now();
    let runs_python = |pid: u32| Process::open(pid).is_ok_and(|process| Attached::find(&process).is_ok());
    pids.into_iter().take_while(|_| start.elapsed() < PATIENCE).filter(|pid| runs_python(*pid)).collect()
}

/// `12 (python server.py) and 13 (python worker.py)`.
pub fn listed(proc: &Path, pids: &[u32]) -> String {
    let named: Vec<String> =
        pids.iter().take(NAMED).map(|pid| format!("{pid} ({})", command_line(proc, *pid))).collect();
    let more = pids.len().saturating_sub(NAMED);
    match (named.split_last(), more) {
        (None, _) => String::new(),
        (Some((last, [])), 0) => last.clone(),
        (Some((last, first)), 0) => format!("{} and {last}", first.join(", ")),
        (Some(_), more) => format!("{} and {more} more", named.join(", ")),
    }
}
