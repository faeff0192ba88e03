//! Output formats: one file each, all listed in [`FORMATS`].
//!
//! To add one, implement [`Format`] in a file of this folder, add it to [`FORMATS`], and bless its
//! golden file (`INSTA_UPDATE=always cargo test -p rspy-profile`). Command line help, file name
//! extensions and completions come from the list.

mod callgrind;
mod chrometrace;
mod flamegraph;
mod gecko;
mod jsonl;
mod otlp;
mod pprof;
mod pstats;
mod raw;
mod recording;
mod speedscope;
mod table;

use std::io;

pub use callgrind::Callgrind;
pub use chrometrace::Chrometrace;
pub use flamegraph::{Flamegraph, flamegraph_of};
pub use gecko::Gecko;
pub use jsonl::Jsonl;
pub use otlp::Otlp;
pub use pprof::Pprof;
pub use pstats::Pstats;
pub use raw::Raw;
pub use recording::Recording;
pub use speedscope::Speedscope;
pub use table::Table;

use crate::options::Options;
use crate::profile::Profile;

/// What a format is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct About {
    /// The name it is chosen by, in lower case: `flamegraph`.
    pub name: &'static str,
    /// The usual extension of its files, without a dot: `svg`.
    pub extension: &'static str,
    /// What it is, in a phrase for help texts, without a full stop.
    pub description: &'static str,
    /// What its files hold, as in "wrote flamegraph data to …".
    pub content: &'static str,
    /// How to open its files, a sentence, where that is not plain.
    pub how_to_open: Option<&'static str>,
    /// Whether it is text to be read on a terminal.
    pub is_for_terminals: bool,
    /// Whether it shows when samples were taken, so that a profile has to keep each.
    pub needs_timeline: bool,
    /// Whether it is written while samples are taken, by a [`Writer`](crate::recording::Writer), so that a profile
    /// need keep none of them.
    pub is_written_as_taken: bool,
    /// Whether it shows the memory of processes, where that was recorded.
    pub shows_memory: bool,
    /// Whether it shows what changed between two profiles.
    pub compares: bool,
}

/// A way to write a profile to a file.
pub trait Format: Sync {
    /// What it is.
    fn about(&self) -> About;

    /// Writes `profile`, as `options` show it, to `writer`.
    ///
    /// # Errors
    ///
    /// [`FormatError::Write`] if `writer` fails; what was written until then is incomplete.
    fn write(
        &self,
        profile: &Profile,
        options: &Options,
        writer: &mut dyn io::Write,
    ) -> Result<(), FormatError>;

    /// Writes what changed from `base` to `profile`, both with a time line, as `options` show them.
    ///
    /// # Errors
    ///
    /// As [`write`](Self::write); [`FormatError::NoComparison`] if it cannot be shown.
    fn write_changes(
        &self,
        _base: &Profile,
        _profile: &Profile,
        _options: &Options,
        _writer: &mut dyn io::Write,
    ) -> Result<(), FormatError> {
        Err(FormatError::NoComparison)
    }
}

/// Every format, the default one first.
pub static FORMATS: &[&dyn Format] = &[
    &Flamegraph,
    &Raw,
    &Speedscope,
    &Chrometrace,
    &Gecko,
    &Pprof,
    &Otlp,
    &Pstats,
    &Callgrind,
    &Jsonl,
    &Table,
    &Recording,
];

/// The format called `name`, if there is one.
pub fn by_name(name: &str) -> Option<&'static dyn Format> {
    FORMATS.iter().copied().find(|format| format.about().name == name)
}

/// Why a profile could not be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FormatError {
    /// The output could not be written to.
    #[error("cannot write the output: {0}")]
    Write(#[from] io::Error),
    /// It has no way to show what changed.
    #[error("this format cannot show what changed")]
    NoComparison,
}

impl FormatError {
    /// Whether the reader of the output went away, as `head` does: no reason to complain.
    pub fn is_broken_pipe(&self) -> bool {
        matches!(self, FormatError::Write(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }
}
