//! Frames: the places in a program that stacks are made of.

use std::borrow::Cow;
use std::fmt;
use std::ops::Index;

use indexmap::IndexSet;
use rustc_hash::FxBuildHasher;

use crate::handle::handle;
use crate::label;
use crate::strings::StringId;

handle! {
    /// A frame of a profile. Equal frames have equal ids.
    FrameId
}

/// A place in the program: one line of one function, or a stand-in for frames that are not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Frame {
    /// The function's qualified name, as its code object says: `Session.send`.
    pub name: StringId,
    /// The source file, as the code object says: `/srv/lib/python3.13/json/decoder.py`.
    pub file: StringId,
    /// The same file relative to its top-level package: `json/decoder.py`.
    pub short_file: StringId,
    /// The line being executed, counted from 1; `None` if unknown.
    pub line: Option<u32>,
    /// The columns of what is being executed, and where it ends; `None` if unknown or not wanted:
    /// frames that differ in them alone are different frames.
    pub columns: Option<Columns>,
    /// The line the function starts on, counted from 1; `None` if unknown.
    pub first_line: Option<u32>,
    /// What the frame stands for.
    pub kind: FrameKind,
}

/// The part of its lines that a frame executes. Columns are counted as editors and compilers do: the
/// first one is 1 and the last one is included. They count bytes of UTF-8, as CPython's tables do, so
/// that a letter beyond ASCII counts for two or more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Columns {
    /// The first column, on the frame's line.
    pub first: u32,
    /// The last line, where that is not the frame's line.
    pub end_line: Option<u32>,
    /// The last column, on the last line. Where nothing is between the two, as at the start of a
    /// function, it is one less than the first.
    pub last: u32,
}

impl fmt::Display for Columns {
    /// What follows `file.py:12:`, as in `5-18`, or in `5-14:3` where the part ends on line 14.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Columns { first, end_line, last } = self;
        match end_line {
            Some(line) => write!(formatter, "{first}-{line}:{last}"),
            None if last < first => write!(formatter, "{first}"),
            None => write!(formatter, "{first}-{last}"),
        }
    }
}

impl Frame {
    /// A frame that stands for others that are not known, and so has neither name nor file.
    pub const fn unknown(kind: FrameKind) -> Frame {
        Frame {
            name: StringId::EMPTY,
            file: StringId::EMPTY,
            short_file: StringId::EMPTY,
            line: None,
            columns: None,
            first_line: None,
            kind,
        }
    }
}

/// What a [`Frame`] stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FrameKind {
    /// A Python function.
    Python,
    /// The innermost frames of this stack, which changed while they were read: `[cut]`. The time
    /// belongs to something that its caller called, not to the caller itself.
    Cut,
    /// The outermost frames of this stack, which lie beyond the depth that is read: `[truncated]`.
    Truncated,
    /// Garbage is being collected, on behalf of the frame below: `<gc>`.
    Collecting,
    /// The thread waits for the GIL; the frames above are those of the thread that holds it.
    WaitsForGil,
    /// The whole stack of a known thread, which could not be read.
    Lost(LostReason),
}

impl FrameKind {
    /// What outputs have in place of such frames; `None` for those that have a name.
    pub fn mark(self) -> Option<Cow<'static, str>> {
        match self {
            FrameKind::Python => None,
            FrameKind::Cut => Some("[cut]".into()),
            FrameKind::Truncated => Some("[truncated]".into()),
            FrameKind::Collecting => Some("<gc>".into()),
            FrameKind::WaitsForGil => Some("<waits for the GIL>".into()),
            FrameKind::Lost(reason) => Some(label::lost(reason).into()),
        }
    }
}

/// Why a stack is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LostReason {
    /// Some of the memory that describes it could not be read.
    Unreadable,
    /// It was read, and is not a chain of frames.
    Inconsistent,
    /// Its thread or process ended while it was being read.
    Exited,
    /// The operating system refused the read.
    Denied,
    /// It was taken, but could not be recorded as fast.
    Dropped,
}

impl fmt::Display for LostReason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            LostReason::Unreadable => "memory unreadable",
            LostReason::Inconsistent => "inconsistent stack",
            LostReason::Exited => "exited while read",
            LostReason::Denied => "permission denied",
            LostReason::Dropped => "recorded too slowly",
        })
    }
}

/// The frames of a profile, indexed by [`FrameId`].
#[derive(Clone, Debug, Default)]
pub struct Frames {
    entries: IndexSet<Frame, FxBuildHasher>,
}

impl Frames {
    /// The id of `frame`.
    pub fn intern(&mut self, frame: Frame) -> FrameId {
        FrameId::from_index(self.entries.insert_full(frame).0)
    }

    /// How many distinct frames there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no frame yet.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Every frame with its id, in the order of arrival.
    pub fn iter(&self) -> impl Iterator<Item = (FrameId, &Frame)> {
        self.entries.iter().enumerate().map(|(index, frame)| (FrameId::from_index(index), frame))
    }
}

impl Index<FrameId> for Frames {
    type Output = Frame;

    fn index(&self, id: FrameId) -> &Frame {
        &self.entries[id.index()]
    }
}
