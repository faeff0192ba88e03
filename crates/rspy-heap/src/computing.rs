//! Values that frames compute with: what lies on a frame's evaluation stack, behind its variables.
//!
//! How deep that is a frame says only while it waits for what it has called: then all below is exact, and what lies above is left over.
//! While its own bytecode runs only a register knows, and up to 3.10 also while it waits. Nothing is told of it then.

use rspy_cpython::frames::RawFrame;
use rspy_cpython::layout::{Frames, Layout};
use rspy_process::{Address, Memory, word};

/// Deeper than any function's.
const MAX_DEPTH: u64 = 1 << 16;
/// Both bits of the tag of a reference: it is a number (3.14 and later).
const NUMBER: u64 = 3;

/// Where frames have their values (3.11 and later).
#[derive(Copy, Clone, Debug)]
pub(crate) struct Computing {
    depth: Depth,
    localsplus: u64,
    nlocalsplus: u64,
    stacksize: u64,
    /// The bits of a reference that are its tag.
    mask: u64,
}

/// How a frame says how deep its stack is.
#[derive(Copy, Clone, Debug)]
enum Depth {
    /// As many words behind `localsplus`, or fewer than there are variables while it is not known (`stacktop`, 3.11 to 3.13).
    Count(u64),
    /// The address of its end; it stays what it was while the bytecode runs (`stackpointer`, 3.14 and later).
    Pointer(u64),
}

impl Computing {
    /// Of a version whose frames say it.
    pub fn new(layout: &Layout) -> Option<Computing> {
        let Frames::Interpreter(frames) = &layout.frames else { return None };
        let number = |section, name| layout.table.number(section, name);
        let depth = match number("frame", "stacktop") {
            Some(offset) => Depth::Count(offset),
            None => Depth::Pointer(number("frame", "stackpointer")?),
        };
        Some(Computing {
            depth,
            localsplus: number("frame", "localsplus")?,
            nlocalsplus: number("code", "co_nlocalsplus")?,
            stacksize: number("code", "co_stacksize")?,
            mask: frames.executable_mask,
        })
    }

    /// The addresses of the objects that `frame` computes with. `None` where it does not say. `may_run` is whether its bytecode
    /// may be running.
    pub fn values(&self, memory: &impl Memory, frame: &RawFrame, may_run: bool) -> Option<Vec<u64>> {
        let number = |at: Address, offset: u64| -> Option<u64> {
            let bytes: [u8; 4] = memory.array(at.offset(offset)).ok()?;
            u64::try_from(i32::from_le_bytes(bytes)).ok()
        };
        let variables = number(frame.code, self.nlocalsplus)?;
        let most = number(frame.code, self.stacksize)?.min(MAX_DEPTH);
        let start = frame.address.offset(self.localsplus).offset(variables.checked_mul(8)?);
        let depth = match self.depth {
            Depth::Count(offset) => number(frame.address, offset)?.checked_sub(variables)?,
            Depth::Pointer(_) if may_run => return None,
            Depth::Pointer(offset) => {
                let end = memory.address(frame.address.offset(offset)).ok()?;
                end.since(start).filter(|bytes| bytes.is_multiple_of(8))? / 8
            }
        };
        if depth > most {
            return None;
        }
        let bytes = memory.bytes(start, usize::try_from(depth * 8).ok()?).ok()?;
        let words = (0..bytes.len()).step_by(8).filter_map(|offset| word(&bytes, offset, 8));
        let is_object = |value: &u64| self.mask == 0 || value & NUMBER != NUMBER;
        Some(words.filter(is_object).map(|value| value & !self.mask).filter(|value| *value != 0).collect())
    }
}
