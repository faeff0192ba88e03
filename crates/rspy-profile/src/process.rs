//! The processes that threads belong to.

use std::ops::Index;

use crate::handle::handle;
use crate::strings::StringId;

handle! {
    /// A process of a profile.
    ProcessId
}

/// A sampled process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Process {
    /// The id the operating system gave it.
    pub pid: u32,
    /// The nearest process above it that is in the profile; `None` for the one it all began with.
    pub parent: Option<ProcessId>,
    /// Its command line, blanks between the words; empty if unknown.
    pub command_line: StringId,
}

/// The processes of a profile, indexed by [`ProcessId`]. They are not interned: ids of processes are
/// used again after one ends, and only the sampler can tell the two apart.
#[derive(Clone, Debug, Default)]
pub struct Processes {
    entries: Vec<Process>,
}

impl Processes {
    /// Adds a process. Its parent, if it has one, was added before, or is told [later](Self::put_below).
    pub fn add(&mut self, process: Process) -> ProcessId {
        let parent = process.parent.filter(|parent| parent.index() < self.entries.len());
        self.entries.push(Process { parent, ..process });
        ProcessId::from_index(self.entries.len() - 1)
    }

    /// Puts `child` below `parent`, which was met after it. Without effect if `parent` is below `child`.
    pub fn put_below(&mut self, child: ProcessId, parent: ProcessId) {
        if !self.upwards(parent).any(|above| above == child) {
            self.entries[child.index()].parent = Some(parent);
        }
    }

    /// How many processes there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no process yet.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Every process with its id, in the order of arrival.
    pub fn iter(&self) -> impl Iterator<Item = (ProcessId, &Process)> {
        self.entries.iter().enumerate().map(|(index, process)| (ProcessId::from_index(index), process))
    }

    /// The process and those above it, the nearest first.
    pub fn upwards(&self, process: ProcessId) -> impl Iterator<Item = ProcessId> {
        std::iter::successors(Some(process), |process| self[*process].parent)
    }
}

impl Index<ProcessId> for Processes {
    type Output = Process;

    fn index(&self, id: ProcessId) -> &Process {
        &self.entries[id.index()]
    }
}
