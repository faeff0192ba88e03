//! `_PyInterpreterFrame`s (3.11 and later): mostly on the thread's data stack,
//! which is copied chunk by chunk, so that a stack costs a read or two however
//! deep it is. Generators carry their frames themselves; entry frames lie on the
//! C stack: those are read one by one.

use rspy_process::{Address, Memory, ReadError};

use super::{Calling, ChainEnd, FrameKind, Link, Loops, MAX_FRAMES, Position, RawFrame};
use crate::interpreter::ThreadState;
use crate::layout::{InterpreterFrame, Layout};

/// No frame's members of interest lie beyond this.
const LONGEST: usize = 512;
/// The largest `owner` of any version (`FRAME_OWNED_BY_CSTACK` in 3.14).
const LAST_OWNER: u8 = 4;
/// Most evaluation loops that are tried one below the other. Only the innermost
/// one or two can be in between.
const MAX_LOOPS: usize = 4;
/// Largest chunk that is copied. Chunks are 16 KiB unless one frame needs more.
const MAX_CHUNK: u64 = 16 << 20;

/// Most that is copied of one thread's chunks, in bytes: the longest chains take less.
/// Frames beyond it are read one by one.
const MAX_COPIED: usize = 64 << 20;

/// Copies of data-stack chunks.
#[derive(Default)]
pub(super) struct Chunks {
    bytes: Vec<u8>,
    /// (address, start in `bytes`, length)
    copied: Vec<(Address, usize, usize)>,
}

impl Chunks {
    fn clear(&mut self) {
        self.bytes.clear();
        self.copied.clear();
    }

    /// The `len` bytes at `at`, if a chunk that was copied holds them.
    fn get(&self, at: Address, len: usize) -> Option<&[u8]> {
        // A chain runs down the newest chunk: it is the last one copied.
        self.copied.iter().rev().find_map(|(chunk, start, size)| {
            let offset = usize::try_from(at.since(*chunk)?).ok()?;
            if offset.checked_add(len)? > *size {
                return None;
            }
            self.bytes.get(start + offset..start + offset + len)
        })
    }

    /// Copies the chunk at `at`, as far as it can be read; answers the one below it.
    fn copy(&mut self, memory: &impl Memory, frame: &InterpreterFrame, at: Address) -> Option<Address> {
        let mut head = [0; 64];
        let head = head.get_mut(..frame.chunk.len)?;
        memory.read(at, head).ok()?;
        let size = frame.chunk.size.get(head)?;
        if !(frame.chunk.len as u64..=MAX_CHUNK).contains(&size) {
            return None;
        }
        let start = self.bytes.len();
        if start + size as usize > MAX_COPIED {
            return None;
        }
        self.bytes.resize(start + size as usize, 0);
        if memory.read(at, &mut self.bytes[start..]).is_err() {
            self.bytes.truncate(start);
            return None;
        }
        self.copied.push((at, start, size as usize));
        frame.chunk.previous.get(head)
    }
}

/// What a chain is followed in.
pub(super) struct Walk<'w, M> {
    pub(super) memory: &'w M,
    pub(super) layout: &'w Layout,
    pub(super) frame: &'w InterpreterFrame,
    pub(super) thread: &'w ThreadState,
    pub(super) chunks: &'w mut Chunks,
    /// See [`FrameChain::is_calling`](super::FrameChain::is_calling).
    pub(super) is_calling: &'w mut bool,
}

impl<M: Memory> Walk<'_, M> {
    /// Reads the frames of the thread into `frames`; whether the innermost ones are
    /// missing comes with how the chain ended.
    ///
    /// For an instant at the beginning and the end of an evaluation the pointers do
    /// not form a chain, and a thread can be stopped in just that instant:
    ///
    /// - A new evaluation loop is linked before it knows its frame (3.11, 3.12): its
    ///   `current_frame` is whatever the C stack held. What is beneath it is sound,
    ///   and is the whole truth: the callee has not begun.
    /// - A generator that yields is unlinked from its caller before the loop's
    ///   `current_frame` is set back (3.12 and later). What the loop below says is
    ///   sound, but this loop's frames beneath the generator are known only to a
    ///   register: innermost frames are missing.
    pub(super) fn read(&mut self, frames: &mut Vec<RawFrame>) -> Result<(ChainEnd, bool), ReadError> {
        let Walk { memory, layout, thread, .. } = *self;
        self.chunks.clear();
        let top = thread.datastack_top(memory, layout)?;
        let mut next_chunk = thread.datastack_chunk(memory, layout)?;
        let newest_chunk = next_chunk;
        let mut start = thread.start(memory, layout)?;
        let mut is_cut = false;
        for _ in 0..MAX_LOOPS {
            frames.clear();
            *self.is_calling = true;
            let end = self.follow(start.frame, &mut next_chunk, frames);
            // The loop's link to the one below may not be set yet either.
            let Ok(below) = start.below(memory, layout) else { break };
            let is_linked = match below {
                // A version without such loops, or the outermost one.
                None => self.ends_at_root(frames),
                Some(below) if below.frame.is_null() => {
                    thread.is_root_cframe(layout, below.cframe) && self.ends_at_root(frames)
                }
                Some(below) => frames.iter().any(|frame| frame.address == below.frame),
            };
            let sound = is_linked && !(below.is_some() && self.is_popped(frames, newest_chunk, top));
            if (sound && end == Ok(ChainEnd::Root)) || end == Ok(ChainEnd::TooLong) {
                return Ok((end?, is_cut));
            }
            let Some(below) = below else { return end.map(|_| (ChainEnd::Broken, true)) };
            // What could not be read may have been sound: innermost frames are missing.
            is_cut |= end.is_err() || (frames.len() == 1 && frames[0].kind == FrameKind::Generator);
            start = below;
        }
        Ok((ChainEnd::Broken, true))
    }

    /// Whether the chain ends as a thread's does. From 3.12 on the outermost frame is
    /// one of the interpreter's own; a generator always has a caller.
    fn ends_at_root(&self, frames: &[RawFrame]) -> bool {
        frames.last().is_none_or(|last| match self.frame.owner_shim {
            Some(_) => last.kind == FrameKind::Shim,
            None => last.kind != FrameKind::Generator,
        })
    }

    /// Whether the innermost frame is an evaluation's first and lies where no frame
    /// is any more: left over from an earlier evaluation. (A frame that was called by
    /// Python code is popped before it is unlinked in 3.11, and is the right one.)
    fn is_popped(&self, frames: &[RawFrame], newest_chunk: Address, top: Address) -> bool {
        let [first, rest @ ..] = frames else { return false };
        let is_first_of_evaluation = match self.frame.is_entry {
            Some(is_entry) => is_entry.read(self.memory, first.address).unwrap_or(0) != 0,
            None => rest.first().is_some_and(|caller| caller.kind == FrameKind::Shim),
        };
        is_first_of_evaluation
            && at_chunk(self.memory, self.frame, newest_chunk, first.address)
            && first.address >= top
    }

    fn follow(
        &mut self,
        start: Address,
        next_chunk: &mut Address,
        frames: &mut Vec<RawFrame>,
    ) -> Result<ChainEnd, ReadError> {
        let Walk { memory, frame, .. } = *self;
        let chunks = &mut *self.chunks;
        let mut at = start;
        let mut buffer = [0; LONGEST];
        let mut seen = 0;
        let mut loops = Loops::default();
        // Whether Python code called the last frame, without C in between; the innermost has
        // called none.
        let mut is_direct = None;
        while !at.is_null() {
            // Shims count too: a cycle of them would never end otherwise.
            if seen == MAX_FRAMES {
                return Ok(ChainEnd::TooLong);
            }
            seen += 1;
            if loops.closes(at) || !at.is_plausible() || !at.0.is_multiple_of(8) {
                return Ok(ChainEnd::Broken);
            }
            let len = frame.len.min(LONGEST);
            // Chunks are copied one at a time, when the chain leaves the last one:
            // a deep thread that is mostly the same costs what it must, no more.
            let ahead = memory.copied(at, len);
            if ahead.is_none() && chunks.get(at, len).is_none() && at_chunk(memory, frame, *next_chunk, at) {
                *next_chunk = chunks.copy(memory, frame, *next_chunk).unwrap_or(Address::NULL);
            }
            let bytes = match ahead.or_else(|| chunks.get(at, len)) {
                Some(bytes) => bytes,
                None => {
                    memory.read(at, &mut buffer[..len])?;
                    &buffer[..len]
                }
            };
            let Some(link) = frame.link(at, bytes) else { return Ok(ChainEnd::Broken) };
            let is_own = link.frame.kind == FrameKind::Shim;
            *self.is_calling &= is_own || is_direct.is_none_or(|direct| link.calling.fits(direct));
            is_direct = Some(link.frame.kind != FrameKind::Shim && !link.frame.is_entry);
            frames.push(link.frame);
            at = link.previous;
        }
        Ok(ChainEnd::Root)
    }
}

impl InterpreterFrame {
    /// See [`Frames::link`](crate::layout::Frames::link).
    #[inline]
    pub(super) fn link(&self, at: Address, bytes: &[u8]) -> Option<Link> {
        let owner = self.owner.get(bytes)?;
        let kind = match owner {
            owner if owner > LAST_OWNER => return None,
            owner if self.owner_shim.is_some_and(|shim| owner >= shim) => FrameKind::Shim,
            owner if owner == self.owner_generator => FrameKind::Generator,
            _ => FrameKind::Function,
        };
        let tlbc_index = match self.tlbc_index {
            Some(field) => field.get(bytes)?,
            None => 0,
        };
        let frame = RawFrame {
            address: at,
            code: Address(self.executable.get(bytes)?.0 & !self.executable_mask),
            position: Position::Pointer { instr: self.instr.get(bytes)?, tlbc_index },
            kind,
            is_entry: self.is_entry.and_then(|field| field.get(bytes)).is_some_and(|entry| entry != 0),
        };
        let saved = match self.stacktop {
            Some(field) => Some(field.get(bytes)? >= 0),
            None => None,
        };
        let returns = match self.return_offset {
            Some(field) => Some(field.get(bytes)? != 0),
            None => None,
        };
        let calling = Calling { saved, returns, ..Calling::UNKNOWN };
        Some(Link { frame, previous: self.previous.get(bytes)?, calling })
    }
}

/// Whether `at` lies in the chunk at `chunk`.
fn at_chunk(memory: &impl Memory, frame: &InterpreterFrame, chunk: Address, at: Address) -> bool {
    if chunk.is_null() {
        return false;
    }
    let size = frame.chunk.size.read(memory, chunk).unwrap_or(0).min(MAX_CHUNK);
    at.since(chunk).is_some_and(|offset| offset < size)
}
