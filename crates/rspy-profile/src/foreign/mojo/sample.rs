//! A sample of a MOJO stream while its events are read.

use crate::frame::FrameId;
use crate::stack::StackId;
use crate::thread::ThreadId;

/// What was read of a sample so far.
#[derive(Debug)]
pub(super) struct Sample {
    pub(super) thread: ThreadId,
    /// The outer frames, where they are those of the sample before.
    pub(super) outer: StackId,
    /// The frames after them, from the outermost to the innermost.
    pub(super) frames: Vec<FrameId>,
    pub(super) collecting: bool,
    pub(super) idle: bool,
    /// In microseconds.
    pub(super) time: Option<u64>,
    /// By how many bytes memory grew, or shrank.
    pub(super) memory: Option<i64>,
}

impl Sample {
    /// A sample of which only the thread is known.
    pub(super) fn of(thread: ThreadId) -> Self {
        let (frames, outer) = (Vec::new(), StackId::EMPTY);
        Self { thread, outer, frames, collecting: false, idle: false, time: None, memory: None }
    }
}
