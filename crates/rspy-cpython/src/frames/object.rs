//! Frame objects on the heap, linked by `f_back` (up to 3.10).

use rspy_process::{Address, Memory, ReadError};

use super::{Calling, ChainEnd, FrameKind, Link, Loops, MAX_FRAMES, Position, RawFrame};
use crate::layout::{Executing, FrameObject};

/// No frame object's members of interest lie beyond this.
const LONGEST: usize = 512;

/// `Include/cpython/frameobject.h` of 3.10.
const FRAME_EXECUTING: i8 = 0;
const FRAME_UNWINDING: i8 = 2;

impl FrameObject {
    /// See [`Frames::link`](crate::layout::Frames::link).
    pub(super) fn link(&self, at: Address, bytes: &[u8]) -> Option<Link> {
        let lasti = self.f_lasti.get(bytes)?;
        let frame = RawFrame {
            address: at,
            code: self.f_code.get(bytes)?,
            position: Position::Offset(i64::from(lasti) * self.lasti_unit as i64),
            kind: FrameKind::Function,
            is_entry: true,
        };
        let is_executing = match self.executing {
            Executing::Unknown => true,
            Executing::Flag(flag) => flag.get(bytes)? == 1,
            Executing::State(state) => matches!(state.get(bytes)?, FRAME_EXECUTING | FRAME_UNWINDING),
        };
        let executes = Some(is_executing && self.ob_refcnt.get(bytes)? > 0);
        let calling = Calling { executes, ..Calling::UNKNOWN };
        Some(Link { frame, previous: self.f_back.get(bytes)?, calling })
    }
}

/// Follows the frames from `start` on.
pub(super) fn follow(
    memory: &impl Memory,
    frame: &FrameObject,
    start: Address,
    frames: &mut Vec<RawFrame>,
    is_calling: &mut bool,
) -> Result<ChainEnd, ReadError> {
    let mut at = start;
    let mut buffer = [0; LONGEST];
    let mut loops = Loops::default();
    let len = frame.len.min(LONGEST);
    while !at.is_null() {
        if frames.len() == MAX_FRAMES {
            return Ok(ChainEnd::TooLong);
        }
        if loops.closes(at) {
            return Ok(ChainEnd::Broken);
        }
        let bytes = match memory.copied(at, len) {
            Some(bytes) => bytes,
            None => {
                memory.read(at, &mut buffer[..len])?;
                &buffer[..len]
            }
        };
        let link = frame.link(at, bytes).ok_or(ReadError::Fault { at, len })?;
        *is_calling &= link.calling.fits(false);
        frames.push(link.frame);
        at = link.previous;
    }
    Ok(ChainEnd::Root)
}
