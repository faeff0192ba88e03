//! Sections: what a block is made of. Each says what it is and how long, so that those which a reader does
//! not know can be passed over.

use super::error::Malformed;
use super::varint::{self, Bytes};

/// What a section holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Tag {
    /// What the recording is of and how it was taken, as JSON. A later one replaces an earlier one.
    Metadata = 1,
    /// Text, in the order of its numbers.
    Strings = 2,
    /// Frames, in the order of their numbers.
    Frames = 3,
    /// Stacks: of each its caller's and its innermost frame.
    Stacks = 4,
    /// Processes, in the order of their numbers.
    Processes = 5,
    /// Threads, in the order of their numbers.
    Threads = 6,
    /// What became known of processes after they were written.
    ProcessChanges = 7,
    /// What became known of threads after they were written.
    ThreadChanges = 8,
    /// Samples.
    Samples = 9,
    /// How many samples could not be taken since the last block, by process and reason.
    Lost = 10,
    /// How far the recording goes, in nanoseconds since its start, and the ticks missed so far.
    Progress = 11,
    /// Stacks that samples have, in the order of the numbers by which samples refer to them.
    Sampled = 12,
    /// The memory of processes over time.
    Memory = 13,
    /// What is known of their memory now and then.
    Accounts = 14,
}

impl Tag {
    const ALL: [Tag; 14] = [
        Tag::Metadata,
        Tag::Strings,
        Tag::Frames,
        Tag::Stacks,
        Tag::Processes,
        Tag::Threads,
        Tag::ProcessChanges,
        Tag::ThreadChanges,
        Tag::Samples,
        Tag::Lost,
        Tag::Progress,
        Tag::Sampled,
        Tag::Memory,
        Tag::Accounts,
    ];

    fn of(byte: u8) -> Option<Tag> {
        Tag::ALL.into_iter().find(|tag| *tag as u8 == byte)
    }
}

/// Appends a section; none if it has no body.
pub(super) fn push(into: &mut Vec<u8>, tag: Tag, body: &[u8]) {
    if !body.is_empty() {
        into.push(tag as u8);
        varint::push(into, body.len() as u64);
        into.extend_from_slice(body);
    }
}

/// The next section of a block; `None` at its end. One that is not known has no tag.
pub(super) fn next<'a>(block: &mut Bytes<'a>) -> Result<Option<(Option<Tag>, Bytes<'a>)>, Malformed> {
    if block.is_empty() {
        return Ok(None);
    }
    let tag = Tag::of(block.byte()?);
    let length = block.number()?;
    Ok(Some((tag, Bytes::new(block.take(length)?))))
}
