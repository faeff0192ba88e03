//! Attaching to a process that may just be starting its interpreter.

use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use rspy_cpython::FindError;
use rspy_process::{ProcessError, ReadError};

use crate::failure::Failure;
use crate::target::{Pausing, Target};

/// How long a process may take until its interpreter can be read.
const STARTING: Duration = Duration::from_secs(1);

/// The shortest time between two tries.
const PAUSE: Duration = Duration::from_micros(200);

/// How many times as long as a try took the next one waits, at first and after
/// some, so that a search that finds nothing does not keep a CPU busy.
const FIRST_REST: u32 = 4;
const LAST_REST: u32 = 32;

/// Attaches to process `pid`; waits a little if its Python is only just starting.
pub fn attach(pid: u32, pausing: Pausing) -> Result<Target, Failure> {
    let start = Instant::now();
    let mut search = Search::new(pid, pausing);
    let mut was_there = false;
    loop {
        match search.attempt() {
            Some(Ok(target)) => return Ok(target),
            Some(Err(error)) if !may_pass(&error) || start.elapsed() >= STARTING => {
                let is_gone = matches!(error, FindError::Process(ProcessError::NoSuchProcess { .. }));
                let error = if is_gone && was_there { ReadError::Gone.into() } else { error };
                return Err(Failure::attaching(pid, &error));
            }
            Some(Err(error)) => {
                was_there = true;
                tracing::debug!(pid, %error, "not yet");
            }
            None => thread::sleep(PAUSE),
        }
    }
}

/// Whether what is said of a process can change while it starts.
fn may_pass(error: &FindError) -> bool {
    match error {
        FindError::NotPython { .. } | FindError::NotReady | FindError::Inconsistent { .. } => true,
        FindError::Read(error) => matches!(error, ReadError::Fault { .. }),
        FindError::Process(error) => matches!(error, ProcessError::NoMemory { .. }),
        FindError::Unsupported(_) | FindError::Elf(_) => false,
    }
}

/// When to look for an interpreter in a process: at once when it runs another executable,
/// else after a rest that depends on what a try costs.
pub struct Tries {
    /// What it ran at the last try.
    pub executable: Option<PathBuf>,
    /// How many there were with that.
    pub count: u32,
    /// When the next one is due.
    pub due: Instant,
}

impl Tries {
    /// Whether to try now, if the process runs `executable`.
    pub fn are_due(&mut self, executable: Option<PathBuf>) -> bool {
        if executable != self.executable {
            self.count = 0;
            self.executable = executable;
            return true;
        }
        Instant::now() >= self.due
    }

    /// There was one that began at `start`.
    pub fn tried(&mut self, start: Instant) {
        let end = Instant::now();
        self.count = self.count.saturating_add(1);
        let rest = FIRST_REST.max(self.count).min(LAST_REST);
        self.due = end + (end - start).saturating_mul(rest).max(PAUSE);
    }
}

/// A search for the interpreter of one process, tried again until it is there.
pub struct Search {
    /// The process.
    pub pid: u32,
    pausing: Pausing,
    /// The tries so far.
    pub tries: Tries,
}

impl Search {
    /// A search in process `pid`, the first try of which is due.
    pub fn new(pid: u32, pausing: Pausing) -> Search {
        Search { pid, pausing, tries: Tries { executable: None, count: 0, due: Instant::now() } }
    }

    /// Tries if it is time to.
    pub fn attempt(&mut self) -> Option<Result<Target, FindError>> {
        let executable = executable_of(self.pid);
        let start = Instant::now();
        if !self.tries.are_due(executable) {
            return None;
        }
        let outcome = Target::attach(self.pid, self.pausing);
        self.tries.tried(start);
        Some(outcome)
    }
}

/// What process `pid` runs; `None` if it has ended or may not be looked at.
pub fn executable_of(pid: u32) -> Option<PathBuf> {
    std::fs::read_link(format!("/proc/{pid}/exe")).ok()
}
