//! The recording: a file that keeps every sample, written while sampling goes on.
//!
//! What a recording shows is chosen when it is read, not before it is made: [`read`](Reader::read_into)
//! gives a [`Profile`](crate::Profile) of it, which every [`Format`](crate::Format) writes.
//!
//! A file is a header and blocks, one behind the other. Each block is compressed and bears a checksum of its
//! own, and refers to nothing that comes after it: what a crash, a full disk or `kill -9` leaves is a recording
//! up to its last whole block. Strings, frames and stacks are written once, where they are first needed.
//! `docs/recording.md` describes it byte by byte.
//!
//! ```text
//! file    = magic, version, block*
//! block   = length, size, checksum, zstd(section*)
//! section = tag, length, body
//! ```
//!
//! # Versions
//!
//! A reader refuses a file of another major version, and passes over sections that it does not know.

mod accounts;
mod block;
mod error;
mod memory;
mod reader;
mod samples;
mod section;
mod sums;
mod tables;
mod varint;
mod writer;

pub use error::RecordingError;
pub use reader::{Ending, Reader};
pub use writer::Writer;

/// What a recording begins with: no text, and broken by whoever takes it for one.
pub const MAGIC: [u8; 8] = *b"\x89rspy\r\n\x1a";

/// The version of the files that are written. One that reads another major version has to know it.
pub(crate) const VERSION: (u16, u16) = (1, 0);

/// How long the header is: magic and both parts of the version.
pub const HEADER: usize = MAGIC.len() + 4;

/// Whether a file that begins with `start` is a recording.
pub fn is_recording(start: &[u8]) -> bool {
    start.starts_with(&MAGIC)
}
