//! The processes as a tree.

use super::threads::{Doing, ThreadRow};
use super::{Shares, State};

/// A process.
#[derive(Clone, Debug, PartialEq)]
pub struct ProcessRow {
    /// The process, by its index.
    pub index: usize,
    /// How many are above it.
    pub depth: usize,
    /// The system's id.
    pub pid: u32,
    /// Its command line.
    pub command: String,
    /// Shares of the last second.
    pub shares: Shares,
    /// Its memory that is resident, in bytes.
    pub rss: Option<u64>,
    /// What its threads do, in short: the busiest state, and how many threads.
    pub doing: Doing,
    /// How many threads it has.
    pub threads: usize,
}

/// The processes that have not ended, each below the one that started it.
pub fn process_rows(state: &State, threads: &[ThreadRow]) -> Vec<ProcessRow> {
    let count = state.processes.len();
    let is_shown = |index: usize| state.processes[index].is_alive || state.ended.is_some();
    // Below one that has ended they are below the one above it.
    let parent = |index: usize| {
        let above = |at: &usize| state.processes[*at].parent.filter(|above| *above < count);
        std::iter::successors(above(&index), above).take(count).find(|above| is_shown(*above))
    };
    let mut children: Vec<Vec<usize>> = vec![Vec::new(); count];
    let mut roots = Vec::new();
    for index in (0..count).filter(|index| is_shown(*index)) {
        match parent(index) {
            Some(parent) => children[parent].push(index),
            None => roots.push(index),
        }
    }
    let mut doing = vec![(Doing::Ended, 0); count];
    for thread in threads {
        if let Some(known) = state.threads.get(thread.index).and_then(|thread| doing.get_mut(thread.process))
        {
            *known = (known.0.min(thread.doing), known.1 + 1);
        }
    }
    let mut rows = Vec::new();
    let mut rest: Vec<(usize, usize)> = roots.into_iter().rev().map(|root| (root, 0)).collect();
    while let Some((index, depth)) = rest.pop() {
        let process = &state.processes[index];
        rows.push(ProcessRow {
            index,
            depth,
            pid: process.pid,
            command: process.command.clone(),
            shares: process.shares,
            rss: process.rss,
            doing: if process.is_alive { doing[index].0 } else { Doing::Ended },
            threads: doing[index].1,
        });
        rest.extend(children[index].iter().rev().map(|child| (*child, depth + 1)));
    }
    rows
}
