//! Writes what is known to stdout, now and then, where there is no terminal to draw on.

use std::io::{self, stdout};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::getpid;

use super::feed::Shared;
use super::json;
use super::once::{self, Rows};
use super::state::State;
use crate::failure::Failure;

/// How soon it is seen that it is over.
const LOOK: Duration = Duration::from_millis(50);

/// What writes.
pub struct Printer {
    /// How rows are shown.
    pub rows: Rows,
    /// What is known.
    pub shared: Arc<Shared>,
    /// How often it writes.
    pub delay: Duration,
    /// It writes at the end only.
    pub once: bool,
    /// It writes JSON.
    pub is_json: bool,
    /// It is to end.
    pub is_over: Arc<AtomicBool>,
}

impl Printer {
    /// Writes until it is over.
    pub fn run(self) -> Result<(), Failure> {
        let written = self.write();
        if written.is_err() {
            // Nobody reads it any more: as Control-C does, this ends the sampling.
            let _ = kill(getpid(), Signal::SIGINT);
        }
        written.map_err(|error| Failure::writing("the standard output", &error))
    }

    fn write(&self) -> io::Result<()> {
        let mut due = Instant::now() + self.delay;
        loop {
            let is_over = self.is_over.load(Ordering::Relaxed);
            if is_over || (!self.once && Instant::now() >= due) {
                // What was seen last stays as it was while it is written, however slowly it is read.
                let state: State = self.shared.state().clone();
                let mut out = stdout().lock();
                match self.is_json {
                    true => json::write(&mut out, &state, &self.rows)?,
                    false => once::write(&mut out, &state, &self.rows, !self.once)?,
                }
                due += self.delay;
            }
            if is_over {
                return Ok(());
            }
            thread::sleep(LOOK);
        }
    }
}
