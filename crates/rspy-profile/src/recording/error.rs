//! Why a recording cannot be written or read.

use std::io;

use super::VERSION;

/// Why a recording cannot be written or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecordingError {
    /// The file could not be read, or written.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// It begins as no recording does.
    #[error("this is no recording of rspy")]
    Foreign,
    /// It ends before its first whole block, which says what it is a recording of.
    #[error("the recording ends before it has begun: there is no whole block in it")]
    Empty,
    /// It was written by another version of rspy, in a way that this one does not know.
    #[error("the recording is of format {major}.{minor}, which this rspy (format {}.{}) does not read", VERSION.0, VERSION.1)]
    Version {
        /// The first part of its version.
        major: u16,
        /// The second part.
        minor: u16,
    },
    /// A block is whole by its checksum, and yet what is in it cannot be.
    #[error("the block at byte {at} of the recording cannot be: {why}")]
    Malformed {
        /// Where the block begins.
        at: u64,
        /// What is wrong with it.
        why: Malformed,
    },
}

/// What is wrong with the contents of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// It ends too early.
    #[error("it ends too early")]
    TooShort,
    /// A number is larger than it can be.
    #[error("a number is too large")]
    TooLarge,
    /// Text is not UTF-8.
    #[error("text is not UTF-8")]
    NotText,
    /// It refers to something that was not there before.
    #[error("it refers to what is not there")]
    Dangling,
    /// A value has no meaning.
    #[error("a value has no meaning")]
    Meaningless,
    /// What it says of the recording is not what that has to be.
    #[error("its metadata cannot be read")]
    Metadata,
}
