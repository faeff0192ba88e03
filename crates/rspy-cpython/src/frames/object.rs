//! Frame objects on the heap, linked by `f_back` (up to 3.10).

use rspy_process::{Address, Memory, ReadError};

use super::{ChainEnd, FrameKind, Loops, MAX_FRAMES, Position, RawFrame};
use crate::layout::{Executing, FrameObject};

/// No frame object's members of interest lie beyond this.
const LONGEST: usize = 512;

/// `Include/cpython/frameobject.h` of 3.10.
const FRAME_EXECUTING: i8 = 0;
const FRAME_UNWINDING: i8 = 2;

/// Follows the frames from `start` on. `is_executing` is made false if one of them is
/// freed or suspended, which none of a thread that stands still is.
pub(super) fn follow(
    memory: &impl Memory,
    frame: &FrameObject,
    start: Address,
    frames: &mut Vec<RawFrame>,
    is_executing: &mut bool,
) -> Result<ChainEnd, ReadError> {
    let mut at = start;
    let mut buffer = [0; LONGEST];
    let mut loops = Loops::default();
    let bytes = &mut buffer[..frame.len.min(LONGEST)];
    while !at.is_null() {
        if frames.len() == MAX_FRAMES {
            return Ok(ChainEnd::TooLong);
        }
        if loops.closes(at) {
            return Ok(ChainEnd::Broken);
        }
        memory.read(at, bytes)?;
        let fault = ReadError::Fault { at, len: frame.len };
        let lasti = frame.f_lasti.get(bytes).ok_or(fault)?;
        frames.push(RawFrame {
            address: at,
            code: frame.f_code.get(bytes).ok_or(fault)?,
            position: Position::Offset(i64::from(lasti) * frame.lasti_unit as i64),
            kind: FrameKind::Function,
            is_entry: true,
        });
        *is_executing &= frame.ob_refcnt.get(bytes).is_some_and(|references| references > 0)
            && match frame.executing {
                Executing::Unknown => true,
                Executing::Flag(flag) => flag.get(bytes) == Some(1),
                Executing::State(state) => {
                    matches!(state.get(bytes), Some(FRAME_EXECUTING | FRAME_UNWINDING))
                }
            };
        at = frame.f_back.get(bytes).unwrap_or(Address::NULL);
    }
    Ok(ChainEnd::Root)
}
