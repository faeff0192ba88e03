//! What each thread does now.

use super::{Shares, State};

/// What a thread does.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Doing {
    /// It collects garbage.
    Collects,
    /// It runs and holds the GIL.
    HoldsGil,
    /// It is on a CPU or waits for one.
    Runs,
    /// It waits for the GIL.
    WaitsForGil,
    /// It is asleep, or waits for a lock or data.
    Idle,
    /// It was not looked at yet.
    Unknown,
    /// It has ended.
    Ended,
}

impl Doing {
    /// In a word.
    pub fn name(self) -> &'static str {
        match self {
            Doing::Collects => "gc",
            Doing::HoldsGil => "gil",
            Doing::Runs => "running",
            Doing::WaitsForGil => "gil wait",
            Doing::Idle => "idle",
            Doing::Unknown => "unknown",
            Doing::Ended => "ended",
        }
    }
}

/// A thread.
#[derive(Clone, Debug, PartialEq)]
pub struct ThreadRow {
    /// The thread, by its index.
    pub index: usize,
    /// The id of its process.
    pub pid: u32,
    /// The kernel's id of it.
    pub os_id: Option<u32>,
    /// Its name, or what stands for one.
    pub name: String,
    /// What it does.
    pub doing: Doing,
    /// Shares of the last second.
    pub shares: Shares,
    /// The line it is at, by its index.
    pub line: Option<usize>,
}

/// What the busiest come first by.
fn busy(shares: &Shares) -> f64 {
    [shares.cpu, shares.gil, shares.wait].into_iter().flatten().fold(0.0, f64::max)
}

/// The threads that were seen in the last second, the busiest first.
pub fn thread_rows(state: &State) -> Vec<ThreadRow> {
    let shown =
        state.threads.iter().enumerate().filter(|(_, thread)| thread.is_alive || state.ended.is_some());
    let mut rows: Vec<ThreadRow> = shown
        .map(|(index, thread)| {
            let run = thread.latest.and_then(|run| state.sums.runs.get(run));
            ThreadRow {
                index,
                pid: state.processes.get(thread.process).map_or(0, |process| process.pid),
                os_id: thread.os_id,
                name: thread.name.clone().unwrap_or_else(|| "-".to_owned()),
                doing: match run {
                    _ if !thread.is_alive => Doing::Ended,
                    None => Doing::Unknown,
                    Some(run) if run.collects => Doing::Collects,
                    Some(run) if run.waits_for_gil => Doing::WaitsForGil,
                    Some(run) if run.is_idle => Doing::Idle,
                    Some(run) if run.owns_gil => Doing::HoldsGil,
                    Some(_) => Doing::Runs,
                },
                shares: thread.shares,
                line: run.and_then(|run| state.leaf_first(run.stack).next()),
            }
        })
        .collect();
    rows.sort_by(|one, other| {
        // Those that do as good as nothing keep their places.
        let rounded = |row: &ThreadRow| busy(&row.shares).round();
        rounded(other).total_cmp(&rounded(one)).then((one.pid, one.os_id, one.index).cmp(&(
            other.pid,
            other.os_id,
            other.index,
        )))
    });
    rows
}

/// The lines of a thread's latest stack, the innermost first.
pub fn stack_of(state: &State, thread: usize) -> Vec<usize> {
    let run = state.threads.get(thread).and_then(|thread| state.sums.runs.get(thread.latest?));
    run.map_or_else(Vec::new, |run| state.leaf_first(run.stack).collect())
}
