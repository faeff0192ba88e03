//! `_PyInterpreterFrame`s (3.11 and later): mostly on the thread's data stack,
//! which is copied chunk by chunk, so that a stack costs a read or two however
//! deep it is. Generators carry their frames themselves; entry frames lie on the
//! C stack: those are read one by one.

use rspy_process::{Address, Memory, ReadError};

use super::{ChainEnd, FrameKind, MAX_FRAMES, Position, RawFrame};
use crate::interpreter::ThreadState;
use crate::layout::{InterpreterFrame, Layout};

/// No frame's members of interest lie beyond this.
const LONGEST: usize = 512;
/// Largest chunk that is copied. Chunks are 16 KiB unless one frame needs more.
const MAX_CHUNK: u64 = 16 << 20;

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
        self.bytes.resize(start + size as usize, 0);
        if memory.read(at, &mut self.bytes[start..]).is_err() {
            self.bytes.truncate(start);
            return None;
        }
        self.copied.push((at, start, size as usize));
        frame.chunk.previous.get(head)
    }
}

pub(super) fn follow(
    memory: &impl Memory,
    layout: &Layout,
    frame: &InterpreterFrame,
    thread: &ThreadState,
    chunks: &mut Chunks,
    frames: &mut Vec<RawFrame>,
) -> Result<ChainEnd, ReadError> {
    chunks.clear();
    let mut next_chunk = thread.datastack_chunk(memory, layout)?;
    let mut at = thread.current_frame(memory, layout)?;
    let mut buffer = [0; LONGEST];
    let mut seen = 0;
    while !at.is_null() {
        // Shims count too: a cycle of them would never end otherwise.
        if seen == MAX_FRAMES {
            return Ok(ChainEnd::TooLong);
        }
        seen += 1;
        let len = frame.len.min(LONGEST);
        // Chunks are copied one at a time, when the chain leaves the last one:
        // a deep thread that is mostly the same costs what it must, no more.
        if chunks.get(at, len).is_none() && at_chunk(memory, frame, next_chunk, at) {
            next_chunk = chunks.copy(memory, frame, next_chunk).unwrap_or(Address::NULL);
        }
        let bytes = match chunks.get(at, len) {
            Some(bytes) => bytes,
            None => {
                memory.read(at, &mut buffer[..len])?;
                &buffer[..len]
            }
        };
        let fault = ReadError::Fault { at, len };
        let owner = frame.owner.get(bytes).ok_or(fault)?;
        let kind = match owner {
            owner if frame.owner_shim.is_some_and(|shim| owner >= shim) => FrameKind::Shim,
            owner if owner == frame.owner_generator => FrameKind::Generator,
            _ => FrameKind::Function,
        };
        let executable = frame.executable.get(bytes).ok_or(fault)?;
        frames.push(RawFrame {
            address: at,
            code: Address(executable.0 & !frame.executable_mask),
            position: Position::Pointer {
                instr: frame.instr.get(bytes).ok_or(fault)?,
                tlbc_index: frame.tlbc_index.and_then(|field| field.get(bytes)).unwrap_or(0),
            },
            kind,
        });
        at = frame.previous.get(bytes).ok_or(fault)?;
    }
    Ok(ChainEnd::Root)
}

/// Whether `at` lies in the chunk at `chunk`.
fn at_chunk(memory: &impl Memory, frame: &InterpreterFrame, chunk: Address, at: Address) -> bool {
    if chunk.is_null() {
        return false;
    }
    let size = frame.chunk.size.read(memory, chunk).unwrap_or(0).min(MAX_CHUNK);
    at.since(chunk).is_some_and(|offset| offset < size)
}
