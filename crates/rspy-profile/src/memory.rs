//! How much memory processes had, over time.

use crate::process::ProcessId;

/// The memory that a process had resident from a moment on, until there is a later one of the same process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryUse {
    /// In nanoseconds since the start of the recording.
    pub at: u64,
    /// Whose it is.
    pub process: ProcessId,
    /// In bytes, pages shared with others included (`VmRSS` of `/proc/PID/status`).
    pub resident: u64,
}
