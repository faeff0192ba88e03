//! Finding the Python processes of a tree, in a thread of its own: neither looking for
//! processes nor finding the interpreter in one costs the thread that samples anything.

mod family;
mod interpreters;
mod search;

use std::io;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};

use rspy_cpython::Attached;
use rspy_process::Process;
use rspy_process::tree::Tree;
use rustix::process::{Resource, getrlimit, setrlimit};

use crate::failure::Failure;
use crate::target::{Pausing, Target};

pub use self::family::Family;
pub use interpreters::Interpreters;
use search::Search;
pub use search::is_worth_telling;

/// What became known of a tree.
pub enum Event {
    /// A process that runs Python.
    Found(Box<Found>),
    /// A process may run Python, but cannot be read. Said once of each.
    Failed {
        /// Its process id.
        pid: u32,
        /// Why.
        failure: Failure,
    },
    /// All processes have ended: nothing comes after this.
    Over,
}

/// A process with its interpreter.
pub struct Found {
    /// The nearest process above it that runs Python, as far as is known; else the root.
    pub parent: u32,
    /// Those that were found before it, though it is above them.
    pub children: Vec<u32>,
    /// Its command line, with blanks between the arguments.
    pub command_line: String,
    /// The process.
    pub process: Process,
    /// Its interpreter.
    pub attached: Attached,
}

impl Found {
    /// What is to be looked at, by the thread that calls this.
    pub fn into_target(self, pausing: Pausing) -> Target {
        Target::new(self.process, self.attached, pausing)
    }
}

/// The search for the Python processes of a tree. Ends when it is dropped.
pub struct Finder {
    events: Receiver<Event>,
    again: Option<Sender<u32>>,
    thread: Option<JoinHandle<()>>,
}

impl Finder {
    /// Looks for them from now on: in process `root`, which may run something else, and below it.
    /// Those that are `known` to run Python already are not found again.
    pub fn start<'t>(root: u32, known: impl IntoIterator<Item = &'t Target>) -> io::Result<Finder> {
        allow_open_files();
        let tree = Tree::new(root).ok();
        let mut search = Search::new(root);
        for target in known {
            search.know(&target.process, &target.attached);
        }
        let (send, events) = channel();
        let (again, asked) = channel();
        let thread = thread::Builder::new().name("rspy-tree".to_owned()).spawn(move || {
            if let Some(tree) = tree {
                search.run(tree, &send, &asked);
            }
            // Nobody may listen any more.
            let _ = send.send(Event::Over);
        })?;
        Ok(Finder { events, again: Some(again), thread: Some(thread) })
    }

    /// What became known since the last call. Does not wait.
    pub fn events(&self) -> impl Iterator<Item = Event> {
        self.events.try_iter()
    }

    /// What process `pid` was found to be it is no longer, though it runs: it executes another
    /// program. It is found again if that is Python.
    pub fn look_again(&self, pid: u32) {
        if let Some(again) = &self.again {
            // The thread is gone when the tree is, and with it the process.
            let _ = again.send(pid);
        }
    }
}

impl Drop for Finder {
    fn drop(&mut self) {
        self.again = None;
        if let Some(thread) = self.thread.take() {
            // A panic there has been reported.
            let _ = thread.join();
        }
    }
}

/// Lets rspy have as many files open as it may: each process takes some.
pub fn allow_open_files() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // Else there are fewer.
    let _ = setrlimit(Resource::Nofile, limit);
}
