//! The threads that samples belong to.

use std::ops::{Index, IndexMut};

use crate::handle::handle;
use crate::process::ProcessId;
use crate::strings::StringId;

handle! {
    /// A thread of a profile.
    ThreadId
}

/// A thread of a sampled process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Thread {
    /// The process it is a thread of.
    pub process: ProcessId,
    /// The id the operating system gave it; `None` if unknown.
    pub os_id: Option<u32>,
    /// The id Python gave it, `threading.get_ident()`: the address of its `pthread`; `None` if
    /// unknown.
    pub python_id: Option<u64>,
    /// The name Python gave it, such as `MainThread`; `None` if unknown.
    pub name: Option<StringId>,
}

/// The threads of a profile, indexed by [`ThreadId`]. They are not interned: ids of threads are
/// used again after a thread ends, and only the sampler can tell the two apart.
#[derive(Clone, Debug, Default)]
pub struct Threads {
    entries: Vec<Thread>,
}

impl Threads {
    /// Adds a thread. What is learnt of it later, such as its name, is set through `IndexMut`.
    pub fn add(&mut self, thread: Thread) -> ThreadId {
        self.entries.push(thread);
        ThreadId::from_index(self.entries.len() - 1)
    }

    /// How many threads there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no thread yet.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Every thread with its id, in the order of arrival.
    pub fn iter(&self) -> impl Iterator<Item = (ThreadId, &Thread)> {
        self.entries.iter().enumerate().map(|(index, thread)| (ThreadId::from_index(index), thread))
    }
}

impl Index<ThreadId> for Threads {
    type Output = Thread;

    fn index(&self, id: ThreadId) -> &Thread {
        &self.entries[id.index()]
    }
}

impl IndexMut<ThreadId> for Threads {
    fn index_mut(&mut self, id: ThreadId) -> &mut Thread {
        &mut self.entries[id.index()]
    }
}
