//! Where the parts of a file are: what its header, footer and statistics say.

use super::NAME;
use crate::foreign::error::{ForeignError, Position};

/// How long the header is.
pub(super) const HEADER: usize = 64;
const FOOTER: usize = 32;
/// What a file begins with, as an integer of the machine that wrote it.
const MAGIC: u32 = 0x5441_4348;
const VERSION: u32 = 1;

/// How long the statistics are with and without the shares of samples that are not there, and what is at their end.
const STATISTICS: [usize; 2] = [56, 32];
const STATISTICS_END: usize = 16;
const SIGNATURE: &[u8] = b"TACHSTAT";

/// Whether a file that begins with `start` was written by a little-endian machine; `None` if it is another file.
pub(super) fn byte_order(start: &[u8]) -> Option<bool> {
    let magic = *start.first_chunk::<4>()?;
    match (u32::from_le_bytes(magic), u32::from_be_bytes(magic)) {
        (MAGIC, _) => Some(true),
        (_, MAGIC) => Some(false),
        _ => None,
    }
}

/// The parts of a file.
pub(super) struct Layout<'a> {
    pub(super) is_little_endian: bool,
    /// Between two samples, in microseconds.
    pub(super) interval: u64,
    pub(super) sample_count: u64,
    pub(super) is_compressed: bool,
    /// The bytes of each part.
    pub(super) samples: &'a [u8],
    pub(super) strings: &'a [u8],
    pub(super) frames: &'a [u8],
    /// Where the tables begin in the file.
    pub(super) strings_at: usize,
    pub(super) frames_at: usize,
    pub(super) string_count: u32,
    pub(super) frame_count: u32,
    pub(super) statistics: Option<Statistics>,
    python: [u8; 3],
}

/// What the profiler says of its recording.
#[derive(Clone, Copy, Debug)]
pub(super) struct Statistics {
    /// How long it took, in seconds.
    pub(super) duration: f64,
    /// The percentage of samples that could not be taken; `None` if unknown.
    pub(super) failed: Option<f64>,
    /// That of samples for which there was no time; `None` if unknown.
    pub(super) missed: Option<f64>,
}

/// Numbers of fixed width.
#[derive(Clone, Copy)]
struct Fixed<'a> {
    bytes: &'a [u8],
    is_little_endian: bool,
}

impl Fixed<'_> {
    fn u32(self, at: usize) -> Option<u32> {
        let bytes = *self.bytes.get(at..)?.first_chunk()?;
        Some(if self.is_little_endian { u32::from_le_bytes(bytes) } else { u32::from_be_bytes(bytes) })
    }

    fn u64(self, at: usize) -> Option<u64> {
        let bytes = *self.bytes.get(at..)?.first_chunk()?;
        Some(if self.is_little_endian { u64::from_le_bytes(bytes) } else { u64::from_be_bytes(bytes) })
    }

    fn f64(self, at: usize) -> Option<f64> {
        self.u64(at).map(f64::from_bits)
    }
}

impl<'a> Layout<'a> {
    /// What `bytes`, a whole file, say of themselves.
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self, ForeignError> {
        let is_little_endian = byte_order(bytes).ok_or_else(|| ForeignError::Another {
            format: NAME,
            what: "it does not begin with TACH".into(),
        })?;
        let header = Fixed { bytes, is_little_endian };
        let length = bytes.len();
        let cut_off = |what: &str| ForeignError::Truncated {
            format: NAME,
            at: Position::Byte(length as u64),
            what: what.into(),
        };
        match header.u32(4) {
            None => return Err(cut_off("its header is not whole")),
            Some(VERSION) => {}
            Some(found) => {
                return Err(ForeignError::Version { format: NAME, found: found.into(), known: "1" });
            }
        }
        let footer_at = length.checked_sub(FOOTER).filter(|at| *at >= HEADER);
        let footer_at = footer_at.ok_or_else(|| cut_off("its tables are missing"))?;
        let footer = Fixed { bytes: bytes.get(footer_at..).unwrap_or_default(), is_little_endian };
        let size = footer.u64(8).unwrap_or(0);
        if size != length as u64 {
            return Err(cut_off("its tables are missing, or what follows them is not its own"));
        }
        let damaged = |at: u64, what: &str| ForeignError::Damaged {
            format: NAME,
            at: Position::Byte(at),
            what: what.into(),
        };
        let offset = |at: usize| header.u64(at).and_then(|offset| usize::try_from(offset).ok());
        let statistics = statistics(bytes, footer_at, is_little_endian);
        let tables_end = footer_at - statistics.map_or(0, |(_, length)| length);
        let (Some(strings_at), Some(frames_at)) = (offset(40), offset(48)) else {
            return Err(damaged(40, "its tables are nowhere in it"));
        };
        if !(HEADER <= strings_at && strings_at <= frames_at && frames_at <= tables_end) {
            return Err(damaged(40, "its tables are not behind its samples"));
        }
        let part = |from: usize, to: usize| bytes.get(from..to).unwrap_or_default();
        let compression = header.u32(56).unwrap_or(0);
        if compression > 1 {
            return Err(damaged(
                56,
                &format!("its samples are compressed in a way that is not known ({compression})"),
            ));
        }
        let python = header.bytes.get(8..).and_then(|bytes| bytes.first_chunk().copied());
        Ok(Self {
            is_little_endian,
            interval: header.u64(20).unwrap_or(0),
            sample_count: header.u64(28).unwrap_or(0),
            is_compressed: compression == 1,
            samples: part(HEADER, strings_at),
            strings: part(strings_at, frames_at),
            frames: part(frames_at, tables_end),
            strings_at,
            frames_at,
            string_count: footer.u32(0).unwrap_or(0),
            frame_count: footer.u32(4).unwrap_or(0),
            statistics: statistics.map(|(statistics, _)| statistics),
            python: python.unwrap_or_default(),
        })
    }

    /// The version of Python that wrote it.
    pub(super) fn python_version(&self) -> Option<String> {
        let [major, minor, micro] = self.python;
        (major > 0).then(|| format!("{major}.{minor}.{micro}"))
    }
}

/// The statistics in front of the footer, and how long they are, if there are such.
fn statistics(bytes: &[u8], footer_at: usize, is_little_endian: bool) -> Option<(Statistics, usize)> {
    let end = bytes.get(footer_at.checked_sub(STATISTICS_END)?..footer_at)?;
    let length = Fixed { bytes: end, is_little_endian }.u32(12)?;
    let length = STATISTICS.into_iter().find(|known| *known as u64 == u64::from(length))?;
    let from = footer_at.checked_sub(length).filter(|from| *from >= HEADER)?;
    if !end.starts_with(SIGNATURE) {
        return None;
    }
    let numbers = Fixed { bytes: bytes.get(from..footer_at)?, is_little_endian };
    let duration = numbers.f64(0)?;
    let (mut failed, mut missed) = (None, None);
    if length > STATISTICS[1] {
        let present = numbers.u32(32)?;
        failed = numbers.f64(16).filter(|_| present & 1 != 0);
        missed = numbers.f64(24).filter(|_| present & 2 != 0);
    }
    Some((Statistics { duration, failed, missed }, length))
}
