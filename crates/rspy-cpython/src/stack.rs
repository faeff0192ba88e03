//! From raw frames to the frames a user knows: the interpreter's own and
//! half-made ones hidden, each with its code and its place in it.

use std::borrow::Cow;
use std::sync::Arc;

use rspy_process::{Address, Memory, ReadError};

use crate::code::{CodeCache, CodeInfo};
use crate::frames::{FrameKind, Position, RawFrame};
use crate::layout::{Bytecode, Frames, Layout};
use crate::lines::Location;
use crate::locals::Local;
use crate::text::ValueError;

/// One frame as a user knows it.
#[derive(Clone, Debug)]
pub enum Frame {
    /// Python code.
    Python {
        /// What runs.
        code: Arc<CodeInfo>,
        /// Where: byte offset in the bytecode, negative before the first
        /// instruction; `None` where the frame points outside its own code.
        offset: Option<i64>,
        /// The frame itself.
        raw: RawFrame,
        /// Whether the interpreter was entered anew to run it: it is the thread's
        /// outermost, or stands on a frame of the interpreter's own (3.12 and later).
        is_shim_entry: bool,
        /// The class it is a method of, once [`class_names`](crate::class_names) has read it.
        class: Option<Box<str>>,
        /// Its variables, once a [`LocalsReader`](crate::locals::LocalsReader) has read them.
        locals: Option<Box<[Local]>>,
    },
    /// A frame whose code could not be read.
    Unknown(ValueError),
}

impl Frame {
    /// What to call it: `co_qualname` where there is one, else `co_name`, with its class
    /// if that is known.
    pub fn name(&self) -> Cow<'_, str> {
        match self {
            Frame::Python { code, class: Some(class), .. } => format!("{class}.{}", code.name).into(),
            Frame::Python { code, .. } => Cow::Borrowed(&code.name),
            Frame::Unknown(_) => Cow::Borrowed("[unknown]"),
        }
    }

    /// The file of its code, if that is known.
    pub fn filename(&self) -> Option<&str> {
        match self {
            Frame::Python { code, .. } => Some(&code.filename),
            Frame::Unknown(_) => None,
        }
    }

    /// Where in the source it is.
    pub fn location(&self) -> Location {
        match self {
            Frame::Python { code, offset: Some(offset), .. } => code.location(*offset),
            _ => Location::default(),
        }
    }
}

/// Makes `frames` readable, in the same order (innermost first).
///
/// Exact if the thread stands still meanwhile: its frames keep their code alive.
pub fn resolve(
    memory: &impl Memory,
    layout: &Layout,
    cache: &mut CodeCache,
    frames: &[RawFrame],
) -> Vec<Frame> {
    let codes = codes(memory, layout, cache, frames);
    place(memory, layout, frames, codes)
}

/// What the frames execute, in the same order; `None` for the interpreter's own.
pub fn codes(
    memory: &impl Memory,
    layout: &Layout,
    cache: &mut CodeCache,
    frames: &[RawFrame],
) -> Vec<Option<Result<Arc<CodeInfo>, ValueError>>> {
    let is_shown = |frame: &&RawFrame| frame.kind != FrameKind::Shim;
    let addresses: Vec<Address> = frames.iter().filter(is_shown).map(|frame| frame.code).collect();
    let mut resolved = cache.resolve(memory, layout, &addresses).into_iter();
    frames.iter().map(|frame| if is_shown(&frame) { resolved.next() } else { None }).collect()
}

/// Finds the place of each of `frames` in its code, and hides what is no code of
/// the program's. `codes` are those of [`codes`], in the same order.
pub fn place(
    memory: &impl Memory,
    layout: &Layout,
    frames: &[RawFrame],
    codes: impl IntoIterator<Item = Option<Result<Arc<CodeInfo>, ValueError>>>,
) -> Vec<Frame> {
    let is_shim = |frame: &RawFrame| frame.kind == FrameKind::Shim;
    // Each with whether a shim stands below it.
    let below = frames.iter().skip(1).map(is_shim).chain([false]);
    let placed = frames.iter().zip(below).zip(codes).filter_map(|((frame, is_shim_entry), code)| {
        let code = match code? {
            Ok(code) => code,
            Err(error) => return Some(Frame::Unknown(error)),
        };
        let offset = offset(memory, layout, frame, &code);
        let hidden = code.is_interpreters_own() || is_incomplete(frame, &code, offset);
        (!hidden).then_some(Frame::Python {
            code,
            offset,
            raw: *frame,
            is_shim_entry,
            class: None,
            locals: None,
        })
    });
    let mut frames: Vec<Frame> = placed.collect();
    // A thread's outermost frame was entered anew, whether a shim shows it or not.
    if let Some(Frame::Python { is_shim_entry, .. }) = frames.last_mut() {
        *is_shim_entry = true;
    }
    frames
}

/// Whether the interpreter is still setting the frame up: CPython does not show
/// such frames either (`_PyFrame_IsIncomplete`).
pub(crate) fn is_incomplete(frame: &RawFrame, code: &CodeInfo, offset: Option<i64>) -> bool {
    matches!(frame.position, Position::Pointer { .. })
        && frame.kind != FrameKind::Generator
        && offset.is_some_and(|offset| offset < code.first_traceable as i64)
}

/// How far into its bytecode the frame is, in bytes.
pub fn offset(memory: &impl Memory, layout: &Layout, frame: &RawFrame, code: &CodeInfo) -> Option<i64> {
    let within = |offset: i64| {
        // One code unit before the start is a frame that has not begun (3.11, 3.12).
        (-2..code.code_len as i64).contains(&offset).then_some(offset)
    };
    match frame.position {
        // Up to 3.10 everything below zero is a frame that has not begun.
        Position::Offset(offset) => within(offset.max(-1)),
        Position::Pointer { instr, tlbc_index } => {
            let Bytecode::Inline { start, .. } = layout.code.bytecode else { return None };
            let start = frame.code.offset(start.into());
            let distance = |start: Address| instr.0.wrapping_sub(start.0) as i64;
            within(distance(start)).or_else(|| {
                let copy = thread_local_bytecode(memory, layout, frame.code, tlbc_index).ok()??;
                within(distance(copy))
            })
        }
    }
}

/// The thread's own copy of a code object's bytecode (free-threaded 3.14 and later).
fn thread_local_bytecode(
    memory: &impl Memory,
    layout: &Layout,
    code: Address,
    index: i32,
) -> Result<Option<Address>, ReadError> {
    let (Some(tlbc), Frames::Interpreter(_)) = (layout.code.tlbc, &layout.frames) else { return Ok(None) };
    let Ok(index) = u64::try_from(index) else { return Ok(None) };
    let array = tlbc.read(memory, code)?;
    let size = layout.table.number("code_array_tlbc", "size").unwrap_or(0);
    let entries = layout.table.number("code_array_tlbc", "entries").unwrap_or(8);
    if array.is_null() || index >= memory.u64(array.offset(size))? {
        return Ok(None);
    }
    memory.address(array.offset(entries + index * 8)).map(Some)
}
