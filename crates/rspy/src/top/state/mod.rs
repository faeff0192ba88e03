//! What `rspy top` knows: the sums of the samples since the beginning and of the last seconds, and what each thread and
//! process does. Fed by [`feed`](super::feed), shown by [`view`](super::view); knows neither.
//!
//! Samples are not kept: a run is all samples of one thread with one stack in one state, and there are as many as
//! there are different ones, however long it goes on. Of the last seconds there is one bucket each, with the
//! runs that were met in it.

mod callers;
mod flame;
mod history;
mod processes;
mod rows;
mod sums;
mod threads;

use std::time::Duration;

use indexmap::IndexSet;

pub use callers::around;
pub use flame::{Flame, ROOT};
pub use history::{History, Moment};
pub use processes::{ProcessRow, process_rows};
pub use rows::{Row, Sort, place, rows};
pub use sums::{Run, Sums};
pub use threads::{Doing, ThreadRow, stack_of, thread_rows};

/// What is watched.
#[derive(Clone, Debug, Default)]
pub struct About {
    /// The command line of the first process.
    pub command: String,
    /// Its id.
    pub pid: u32,
    /// The version of its Python.
    pub python: String,
}

/// A function, or what stands for one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Function {
    /// Its qualified name, or what stands for frames that are not known.
    pub name: String,
    /// Its source file, as its code says.
    pub file: String,
    /// The same within its package.
    pub short_file: String,
    /// The line it starts on.
    pub first_line: Option<u32>,
}

/// A line of a function.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub struct Line {
    /// The function, by its index.
    pub function: usize,
    /// The line.
    pub line: Option<u32>,
}

/// One thread.
#[derive(Clone, Debug, Default)]
pub struct Thread {
    /// The process it belongs to, by its index.
    pub process: usize,
    /// The kernel's id.
    pub os_id: Option<u32>,
    /// Its name.
    pub name: Option<String>,
    /// The run that its latest sample is in.
    pub latest: Option<usize>,
    /// Shares of the last second.
    pub shares: Shares,
    /// It was seen in the last second.
    pub is_alive: bool,
}

/// Shares of a time, in per cent; `None` where it is not known.
#[derive(Copy, Clone, Debug, Default, PartialEq)]
pub struct Shares {
    /// On a CPU.
    pub cpu: Option<f64>,
    /// Held the GIL.
    pub gil: Option<f64>,
    /// Waited for the GIL.
    pub wait: Option<f64>,
    /// Collected garbage.
    pub gc: Option<f64>,
}

/// One process.
#[derive(Clone, Debug, Default)]
pub struct Process {
    /// The system's id.
    pub pid: u32,
    /// The process above it, by its index.
    pub parent: Option<usize>,
    /// Its command line.
    pub command: String,
    /// Shares of the last second.
    pub shares: Shares,
    /// Its memory that is resident, in bytes.
    pub rss: Option<u64>,
    /// It has not ended.
    pub is_alive: bool,
}

/// How the samples came about.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// Samples that were taken.
    pub samples: u64,
    /// Those whose innermost frames are unknown.
    pub cut: u64,
    /// Those that could not be taken.
    pub lost: u64,
    /// Ticks that passed without any.
    pub missed: u64,
}

/// What is known.
#[derive(Clone, Debug, Default)]
pub struct State {
    /// What is watched.
    pub about: About,
    /// Since sampling began.
    pub elapsed: Duration,
    /// For how long the first process runs; `None` if it is not known.
    pub uptime: Option<Duration>,
    /// How often is sampled, in hertz; 0 for as often as can be.
    pub rate: f64,
    /// How the samples came about.
    pub kept: Kept,
    /// rspy's own time on a CPU in the last second, in per cent.
    pub own_cpu: Option<f64>,
    /// How it has ended, as what follows that it has; empty if that is not known.
    pub ended: Option<String>,
    /// Each function that was met.
    pub functions: IndexSet<Function>,
    /// Each line that was met.
    pub lines: IndexSet<Line>,
    /// Each stack that was met: its caller's, and its innermost line. The first is the one without frames.
    pub stacks: Vec<(usize, usize)>,
    /// Each thread that was met.
    pub threads: Vec<Thread>,
    /// Each process that was met.
    pub processes: Vec<Process>,
    /// The samples.
    pub sums: Sums,
    /// The whole tree, second by second.
    pub history: History,
}

impl State {
    /// Nothing yet.
    pub fn new(about: About) -> State {
        State { about, stacks: vec![(0, 0)], ..State::default() }
    }

    /// The lines of a stack, from the innermost one to the outermost.
    pub fn leaf_first(&self, stack: usize) -> impl Iterator<Item = usize> {
        let mut rest = stack;
        std::iter::from_fn(move || {
            let (caller, line) = *self.stacks.get(rest).filter(|_| rest > 0)?;
            rest = caller;
            Some(line)
        })
    }

    /// A function by its index; there is one for each index that was given out.
    pub fn function(&self, index: usize) -> Option<&Function> {
        self.functions.get_index(index)
    }

    /// How many threads were seen in the last second, and how many processes have not ended.
    pub fn alive(&self) -> (usize, usize) {
        let threads = self.threads.iter().filter(|thread| thread.is_alive).count();
        (threads, self.processes.iter().filter(|process| process.is_alive).count())
    }
}

/// Which samples are shown.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Choice {
    /// Those of idle threads too.
    pub idle: bool,
    /// Only those of threads that hold the GIL.
    pub gil: bool,
    /// Only those of these threads; of all if there is none.
    pub threads: Vec<usize>,
    /// Of the last so many seconds; `None` is since the beginning.
    pub window: Option<u64>,
    /// Lines are told apart.
    pub by_line: bool,
}

impl Choice {
    /// Whether a run is among them.
    pub fn includes(&self, run: &Run) -> bool {
        (self.idle || !run.is_idle)
            && (!self.gil || run.owns_gil)
            && (self.threads.is_empty() || self.threads.contains(&run.thread))
    }
}

#[cfg(test)]
pub mod tests;
