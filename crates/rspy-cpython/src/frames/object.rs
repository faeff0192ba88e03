//! Frame objects on the heap, linked by `f_back` (up to 3.10).

use rspy_process::{Address, Memory, ReadError};

use super::{ChainEnd, FrameKind, Loops, MAX_FRAMES, Position, RawFrame};
use crate::layout::FrameObject;

/// No frame object's members of interest lie beyond this.
const LONGEST: usize = 512;

pub(super) fn follow(
    memory: &impl Memory,
    frame: &FrameObject,
    start: Address,
    frames: &mut Vec<RawFrame>,
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
        });
        at = frame.f_back.get(bytes).unwrap_or(Address::NULL);
    }
    Ok(ChainEnd::Root)
}
