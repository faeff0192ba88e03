//! Why a file of another profiler could not be read.

use std::fmt;

/// Why a file of another profiler could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ForeignError {
    /// It is no file of this kind.
    #[error("this is no {format} file: {what}; name the format that it is in, or another file")]
    Another {
        /// What it was read as.
        format: &'static str,
        /// What it begins with or lacks.
        what: String,
    },
    /// It is of a version that is not known.
    #[error(
        "the {format} file is of version {found}, and {known} can be read; write it with a profiler that makes \
         such files, or use a newer rspy"
    )]
    Version {
        /// What it was read as.
        format: &'static str,
        /// The version it is of.
        found: u64,
        /// The versions that are known.
        known: &'static str,
    },
    /// Its bytes say something that cannot be.
    #[error("the {format} file is damaged at {at}: {what}; record or convert it again")]
    Damaged {
        /// What it was read as.
        format: &'static str,
        /// Where.
        at: Position,
        /// What is wrong there.
        what: String,
    },
    /// It ends too early, and what it is missing is needed to read the rest.
    #[error("the {format} file is cut off at {at}: {what}; copy or record it again")]
    Truncated {
        /// What it was read as.
        format: &'static str,
        /// Where it ends.
        at: Position,
        /// What is missing.
        what: String,
    },
    /// It holds more than a profile can.
    #[error("the {format} file holds more than a profile can: {what}; record for a shorter time")]
    TooLarge {
        /// What it was read as.
        format: &'static str,
        /// What there is too much of.
        what: &'static str,
    },
}

/// A place in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Position {
    /// So many bytes from its beginning.
    Byte(u64),
    /// In this line, counted from 1.
    Line(u64),
    /// In this line and column, both counted from 1.
    LineColumn(u64, u64),
    /// So many bytes from the beginning of what its compressed part unpacks to.
    Unpacked(u64),
    /// In the part of the file with this name.
    Profile(String),
}

impl fmt::Display for Position {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Position::Byte(byte) => write!(formatter, "byte {byte}"),
            Position::Line(line) => write!(formatter, "line {line}"),
            Position::LineColumn(line, column) => write!(formatter, "line {line}, column {column}"),
            Position::Unpacked(byte) => write!(formatter, "byte {byte} of its unpacked samples"),
            Position::Profile(name) => write!(formatter, "the profile {name:?}"),
        }
    }
}
