//! A thread's frames, innermost first, as raw words: no code object is read here.

mod interpreter;
mod object;

use rspy_process::{Address, Memory, ReadError};

use crate::interpreter::ThreadState;
use crate::layout::{Frames, Layout};

/// More frames than any real program has: a longer chain is a cycle or a torn
/// read. Python's own limit is 1,000, and programs that raise it run out of C
/// stack (up to 3.10) or patience before this.
pub const MAX_FRAMES: usize = 1 << 18;

/// One frame of a chain.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct RawFrame {
    /// Where the frame lies.
    pub address: Address,
    /// What it executes. For a [`Shim`](FrameKind::Shim) not necessarily a code object.
    pub code: Address,
    /// Where it is in the bytecode.
    pub position: Position,
    /// What kind of frame it is.
    pub kind: FrameKind,
    /// Whether an evaluation began with it, where frames say so: up to 3.10 each begins
    /// one, in 3.11 it is a member; from 3.12 on a [`Shim`](FrameKind::Shim) stands below.
    pub is_entry: bool,
}

/// A frame's place in its bytecode, as the version keeps it.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Position {
    /// Bytes from the start of the bytecode; negative before the first instruction.
    Offset(i64),
    /// A pointer into the bytecode.
    Pointer {
        /// The instruction.
        instr: Address,
        /// Which per-thread copy of the bytecode it is in; 0 for the code object's own.
        tlbc_index: i32,
    },
}

/// What a frame belongs to.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum FrameKind {
    /// A function, a class body, a module.
    Function,
    /// A generator, coroutine or asynchronous generator.
    Generator,
    /// The interpreter's own, pushed between C and Python (3.12 and later): never shown.
    Shim,
}

/// What a chain of frames is made of: a frame, and what it says of those around it.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) struct Link {
    pub frame: RawFrame,
    /// The caller's frame; null at the end of the chain.
    pub previous: Address,
    /// What it says of the call it is in.
    pub calling: Calling,
}

/// What a frame says of the call it is in, as far as its version tells.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) struct Calling {
    /// It executes, or has called what does (up to 3.10).
    pub executes: Option<bool>,
    /// Its values are saved, which they are while it is suspended in a call of Python
    /// code, but not while C runs that it called (3.11–3.13).
    pub saved: Option<bool>,
    /// It knows where to go on behind a call (3.13 and later).
    pub returns: Option<bool>,
}

impl Calling {
    /// Nothing is known.
    pub const UNKNOWN: Calling = Calling { executes: None, saved: None, returns: None };

    /// Whether it may have called the frame above it: directly, or with C between.
    pub fn fits(self, directly: bool) -> bool {
        self.executes != Some(false)
            && match directly {
                true => self.saved != Some(false) && self.returns != Some(false),
                false => self.saved != Some(true),
            }
    }
}

impl Frames {
    /// How much of a frame is read, in bytes.
    pub(crate) fn len(&self) -> usize {
        match self {
            Frames::Object(frame) => frame.len,
            Frames::Interpreter(frame) => frame.len,
        }
    }

    /// The frame at `at`, of which `bytes` are a copy; `None` if it cannot be one.
    #[inline]
    pub(crate) fn link(&self, at: Address, bytes: &[u8]) -> Option<Link> {
        match self {
            Frames::Object(frame) => frame.link(at, bytes),
            Frames::Interpreter(frame) => frame.link(at, bytes),
        }
    }
}

/// Why a chain of frames ended.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum ChainEnd {
    /// At the thread's outermost frame: the chain is whole.
    Root,
    /// A frame could not be read: outer frames are missing.
    Unreadable(ReadError),
    /// At [`MAX_FRAMES`]: outer frames are missing.
    TooLong,
    /// At a frame that cannot be a thread's outermost: nothing of the chain is known.
    Broken,
}

/// Notices when a chain comes back to what it has passed (Brent's algorithm), so
/// that one which is no chain costs a few reads, not [`MAX_FRAMES`]: the target may
/// stand still meanwhile.
#[derive(Default)]
pub(crate) struct Loops {
    marked: Address,
    since_mark: usize,
    next_mark: usize,
}

impl Loops {
    /// Whether `at` closes a loop.
    pub(crate) fn closes(&mut self, at: Address) -> bool {
        if at == self.marked {
            return true;
        }
        self.since_mark += 1;
        if self.since_mark > self.next_mark {
            self.marked = at;
            self.next_mark = self.since_mark * 2;
            self.since_mark = 0;
        }
        false
    }
}

/// The frames of one thread, and the storage to read them again without
/// allocating.
#[derive(Default)]
pub struct FrameChain {
    /// Innermost first.
    pub frames: Vec<RawFrame>,
    /// The innermost frames are missing.
    pub is_cut: bool,
    /// Each frame says of itself what one does that has called the one above, as far as its
    /// version tells. True of every stack that stands still.
    pub is_calling: bool,
    chunks: interpreter::Chunks,
}

impl FrameChain {
    /// Reads the frames of `thread`, whose innermost frame is read again first:
    /// `thread` may be older than a stop. Answers how the chain ended.
    pub fn read(&mut self, memory: &impl Memory, layout: &Layout, thread: &ThreadState) -> ChainEnd {
        self.frames.clear();
        self.is_calling = true;
        let outcome = match &layout.frames {
            Frames::Object(frame) => thread.start(memory, layout).and_then(|start| {
                Ok((
                    object::follow(memory, frame, start.frame, &mut self.frames, &mut self.is_calling)?,
                    false,
                ))
            }),
            Frames::Interpreter(frame) => {
                let Self { frames, chunks, is_calling, .. } = self;
                interpreter::Walk { memory, layout, frame, thread, chunks, is_calling }.read(frames)
            }
        };
        let (end, is_cut) = outcome.unwrap_or_else(|error| (ChainEnd::Unreadable(error), false));
        if end == ChainEnd::Broken {
            self.frames.clear();
        }
        self.is_cut = is_cut;
        end
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loops_are_noticed_soon_wherever_they_begin() {
        for (lead, length) in [(0, 1), (0, 2), (5, 1), (5, 7), (100, 64)] {
            let mut loops = Loops::default();
            let chain = (0..lead).chain((0..).map(|n| lead + n % length));
            let steps = chain.take(10_000).position(|n| loops.closes(Address(4096 + n * 8)));
            assert!(steps.is_some_and(|steps| steps < 4 * (lead + length) as usize + 8), "{lead} {length}");
        }
    }

    #[test]
    fn a_chain_without_loops_is_none() {
        let mut loops = Loops::default();
        assert!(!(0..100_000u64).any(|n| loops.closes(Address(4096 + n * 8))));
    }
}
