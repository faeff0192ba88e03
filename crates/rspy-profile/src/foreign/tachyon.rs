//! The binary files of Tachyon, CPython 3.15's `profiling.sampling` (`--binary`), version 1, documented in CPython's
//! `InternalDocs/profiling_binary_format.md`.
//!
//! ```text
//! file = header (64 bytes), samples, strings, frames, statistics?, footer (32 bytes)
//! ```
//!
//! Numbers of fixed width are in the byte order of the machine that wrote the file; others are LEB128. The samples may be
//! compressed by zstd. The tables that they refer to come after them, so that nothing can be read of a file that is
//! cut off.

mod layout;
mod records;
mod tables;

use std::io::Read;

use self::layout::{Layout, Statistics};
use self::records::Records;
use super::builder::Builder;
use super::cursor::CursorError;
use super::error::{ForeignError, Position};
use super::{Foreign, Import, Unit};

/// The files of `python -m profiling.sampling … --binary`.
#[derive(Clone, Copy, Debug)]
pub struct Tachyon;

const NAME: &str = "tachyon";

/// How many times longer samples may be than they are compressed: many threads that sleep are that much alike.
const MOST_RATIO: u64 = 1000;

/// How long samples may be at any rate.
const MOST_UNPACKED: u64 = 4 << 30;

impl Foreign for Tachyon {
    fn name(&self) -> &'static str {
        NAME
    }

    fn description(&self) -> &'static str {
        "the binary files of Tachyon, the profiler of CPython 3.15 (profiling.sampling --binary)"
    }

    fn recognizes(&self, start: &[u8]) -> bool {
        layout::byte_order(start).is_some()
    }

    fn read(&self, bytes: &[u8], progress: &mut dyn FnMut(u64)) -> Result<Import, ForeignError> {
        let layout = Layout::read(bytes)?;
        let mut builder = Builder::new(NAME);
        let metadata = &mut builder.profile.metadata;
        if layout.interval > 0 {
            metadata.rate = 1e6 / layout.interval as f64;
        }
        metadata.python_version = layout.python_version();
        let strings = tables::strings(&layout, &mut builder)?;
        let frames = tables::frames(&layout, &strings, &mut builder)?;
        let unpacked;
        let samples = match layout.is_compressed {
            true => {
                unpacked = unpack(layout.samples)?;
                &unpacked
            }
            false => layout.samples,
        };
        let (base, share) =
            (layout::HEADER as u64, layout.samples.len() as f64 / samples.len().max(1) as f64);
        let mut records = Records::new(samples, layout.is_little_endian, &frames);
        let read =
            records.read(&mut builder, &mut |position| progress(base + (position as f64 * share) as u64));
        read.map_err(|(position, wrong)| {
            wrong.at(if layout.is_compressed {
                Position::Unpacked(position as u64)
            } else {
                Position::Byte(base + position as u64)
            })
        })?;
        progress(bytes.len() as u64);
        let mut notices = Vec::new();
        if records.count() != layout.sample_count {
            let (there, said) = (records.count(), layout.sample_count);
            notices.push(format!("The file says that it has {said} samples, and has {there}."));
        }
        if let Some(statistics) = layout.statistics {
            statistics.apply(&mut builder, &mut notices);
        }
        Ok(Import {
            profile: builder.finish(),
            unit: Unit::Samples,
            by_process: false,
            by_thread: false,
            notices,
        })
    }
}

impl Statistics {
    /// What they say of the recording as a whole.
    fn apply(self, builder: &mut Builder, notices: &mut Vec<String>) {
        if let Ok(duration) = std::time::Duration::try_from_secs_f64(self.duration) {
            builder.profile.metadata.duration = duration;
        }
        for (share, what) in [(self.failed, "failed"), (self.missed, "were missed")] {
            if let Some(share) = share.filter(|share| *share > 0.0) {
                notices.push(format!(
                    "{share:.1} % of the samples {what} when the file was recorded; they are not in it."
                ));
            }
        }
    }
}

/// The samples, uncompressed.
fn unpack(packed: &[u8]) -> Result<Vec<u8>, ForeignError> {
    let most = (packed.len() as u64).saturating_mul(MOST_RATIO).saturating_add(1 << 16).min(MOST_UNPACKED);
    let failed = |error: std::io::Error| ForeignError::Damaged {
        format: NAME,
        at: Position::Byte(layout::HEADER as u64),
        what: format!("the samples cannot be unpacked ({error})"),
    };
    let mut decoder = zstd::stream::read::Decoder::new(packed).map_err(failed)?;
    // 8 MB, four times what the compression level of the format uses.
    decoder.window_log_max(23).map_err(failed)?;
    let mut unpacked = Vec::new();
    decoder.take(most).read_to_end(&mut unpacked).map_err(failed)?;
    if unpacked.len() as u64 == most {
        return Err(ForeignError::TooLarge {
            format: NAME,
            what: "its samples unpack to a thousand times their size",
        });
    }
    Ok(unpacked)
}

/// What is wrong with the bytes at a place.
enum Wrong {
    Bytes(CursorError),
    Value(String),
    Failed(ForeignError),
}

impl Wrong {
    fn at(self, at: Position) -> ForeignError {
        let what = match self {
            Wrong::Bytes(CursorError::Ends) => "it ends in the middle of an entry".into(),
            Wrong::Bytes(CursorError::Overlong) => "a number is longer than 64 bits".into(),
            Wrong::Value(what) => what,
            Wrong::Failed(error) => return error,
        };
        ForeignError::Damaged { format: NAME, at, what }
    }
}

impl From<CursorError> for Wrong {
    fn from(error: CursorError) -> Self {
        Wrong::Bytes(error)
    }
}

impl From<ForeignError> for Wrong {
    fn from(error: ForeignError) -> Self {
        Wrong::Failed(error)
    }
}
