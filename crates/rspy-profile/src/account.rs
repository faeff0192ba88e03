//! What is known of a process's memory now and then: what takes too long to be asked with every sample.

use crate::process::ProcessId;

/// What a process has, at one moment. Sizes are in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// When, in nanoseconds since the start of the recording.
    pub at: u64,
    /// Whose it is.
    pub process: ProcessId,
    /// Its share of what is resident: of a page that several processes have, the part that falls to it (PSS). The sum of
    /// all processes counts no page twice.
    pub proportional: u64,
    /// What is resident of it and of no other process (USS): what is free when it ends.
    pub private: u64,
    /// Pages that were written to and that it has with other processes: after a fork, what neither side has changed
    /// since.
    pub shared_dirty: u64,
    /// What of it is in swap space, its share of shared pages.
    pub swapped: u64,
    /// The page faults so far that needed no disk, and those that did.
    pub faults: [u64; 2],
    /// What its garbage collectors have done so far, by generation; empty if that is not known.
    pub collections: Vec<Collections>,
    /// How long they took, in nanoseconds; `None` if the interpreter does not keep that.
    pub collecting: Option<u64>,
    /// What its interpreters have mapped for small objects (arenas); `None` if that is not known.
    pub arenas: Option<u64>,
}

/// What was done in a generation so far, in all interpreters of a process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Collections {
    /// How often it was collected.
    pub collections: u64,
    /// How many objects were found unreachable and freed.
    pub collected: u64,
    /// How many were found unreachable and could not be freed.
    pub uncollectable: u64,
    /// What has to be exceeded before it is collected: objects that were made and not freed, or collections of the
    /// generation before it; 0 is never.
    pub threshold: u64,
}
