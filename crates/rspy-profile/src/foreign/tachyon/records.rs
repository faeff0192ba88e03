//! The samples: each says how its stack differs from the last one of its thread.

use rustc_hash::FxHashMap;

use super::Wrong;
use crate::foreign::builder::{Builder, When};
use crate::foreign::cursor::Cursor;
use crate::foreign::labels::thread_of_id;
use crate::frame::FrameId;
use crate::sample::{Activity, ThreadState};
use crate::stack::StackId;
use crate::thread::ThreadId;

/// How many bytes are read between two reports of progress.
const STEP: usize = 1 << 20;

/// How a stack is written.
mod encoding {
    pub(super) const REPEAT: u8 = 0;
    pub(super) const FULL: u8 = 1;
    pub(super) const SUFFIX: u8 = 2;
    pub(super) const POP_PUSH: u8 = 3;
}

/// What a thread was doing, one bit each.
mod status {
    pub(super) const HAS_GIL: u8 = 1;
    pub(super) const ON_CPU: u8 = 2;
    pub(super) const UNKNOWN: u8 = 4;
    pub(super) const GIL_REQUESTED: u8 = 8;
}

/// A thread, and the stack of its last sample.
struct Last {
    thread: ThreadId,
    /// The stack up to each of its frames, the outermost first.
    stack: Vec<StackId>,
}

/// The samples of a file.
pub(super) struct Records<'a> {
    cursor: Cursor<'a>,
    is_little_endian: bool,
    frames: &'a [FrameId],
    threads: FxHashMap<(u64, u32), Last>,
    count: u64,
}

impl<'a> Records<'a> {
    /// Those in `samples`, which refer to `frames`.
    pub(super) fn new(samples: &'a [u8], is_little_endian: bool, frames: &'a [FrameId]) -> Self {
        let threads = FxHashMap::default();
        Self { cursor: Cursor::new(samples), is_little_endian, frames, threads, count: 0 }
    }

    /// How many samples were read.
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// Reads them into `builder`; where one is wrong, says where it begins.
    pub(super) fn read(
        &mut self,
        builder: &mut Builder,
        progress: &mut dyn FnMut(usize),
    ) -> Result<(), (usize, Wrong)> {
        let mut reported = 0;
        while !self.cursor.is_at_end() {
            let begin = self.cursor.position();
            self.record(builder).map_err(|wrong| (begin, wrong))?;
            if self.cursor.position() - reported >= STEP {
                reported = self.cursor.position();
                progress(reported);
            }
        }
        Ok(())
    }

    fn record(&mut self, builder: &mut Builder) -> Result<(), Wrong> {
        let (id, interpreter) = (self.cursor.array()?, self.cursor.array()?);
        let (id, interpreter) = match self.is_little_endian {
            true => (u64::from_le_bytes(id), u32::from_le_bytes(interpreter)),
            false => (u64::from_be_bytes(id), u32::from_be_bytes(interpreter)),
        };
        let last = match self.threads.entry((id, interpreter)) {
            std::collections::hash_map::Entry::Occupied(entry) => entry.into_mut(),
            std::collections::hash_map::Entry::Vacant(entry) => {
                let process = builder.unknown_process()?;
                let thread = builder.thread(process, thread_of_id(id), Some(interpreter.into()))?;
                entry.insert(Last { thread, stack: Vec::new() })
            }
        };
        let cursor = &mut self.cursor;
        let encoding = cursor.byte()?;
        if encoding == encoding::REPEAT {
            // Each of them takes two bytes at least, whatever their number is said to be.
            for _ in 0..cursor.leb128()? {
                let (delta, status) = (cursor.leb128()?, cursor.byte()?);
                add(builder, last, delta, status)?;
                self.count += 1;
            }
            return Ok(());
        }
        let (delta, status) = (cursor.leb128()?, cursor.byte()?);
        let depth = last.stack.len();
        let length = |number: u64| usize::try_from(number).ok().filter(|length| *length <= depth);
        let shared = match encoding {
            encoding::FULL => Some(0),
            encoding::SUFFIX => length(cursor.leb128()?),
            encoding::POP_PUSH => length(cursor.leb128()?).and_then(|popped| depth.checked_sub(popped)),
            other => return Err(Wrong::Value(format!("there is no way {other} to write a stack"))),
        };
        let shared = shared.ok_or_else(|| Wrong::Value("it shares more frames than there were".into()))?;
        last.stack.truncate(shared);
        let added = self.cursor.leb128()?;
        // Frames are written from the innermost on, and stacks grow from the outermost on.
        let mut indices = Vec::new();
        for _ in 0..added {
            let index = self.cursor.leb128()?;
            let frame = usize::try_from(index).ok().and_then(|index| self.frames.get(index));
            indices.push(*frame.ok_or_else(|| Wrong::Value(format!("there is no frame {index}")))?);
        }
        for frame in indices.into_iter().rev() {
            let caller = last.stack.last().copied().unwrap_or(StackId::EMPTY);
            last.stack.push(builder.stack(caller, frame)?);
        }
        add(builder, last, delta, status)?;
        self.count += 1;
        Ok(())
    }
}

/// Adds a sample of the stack that `last` has now, so many microseconds after the one before.
fn add(builder: &mut Builder, last: &Last, delta: u64, status: u8) -> Result<(), Wrong> {
    let activity = match status {
        _ if status & status::ON_CPU != 0 => Activity::Active,
        _ if status & status::UNKNOWN != 0 => Activity::Unknown,
        _ => Activity::Idle,
    };
    let has = |bit| Some(status & bit != 0);
    let (owns_gil, waits_for_gil) = (has(status::HAS_GIL), has(status::GIL_REQUESTED));
    let state = ThreadState { activity, owns_gil, waits_for_gil, in_kernel: None, collects: None };
    let stack = last.stack.last().copied().unwrap_or(StackId::EMPTY);
    Ok(builder.sample(last.thread, stack, 1, state, When::Later(delta.saturating_mul(1000)))?)
}
