//! Files of other profilers, read into a [`Profile`]: one file of code each, all listed in [`FOREIGN`].
//!
//! To add one, implement [`Foreign`] in a file of this folder, add it to [`FOREIGN`] and describe in `docs/foreign.md`
//! what of its files is kept. A fuzz target reads hostile files with every reader of the list.
//!
//! Files are not trusted: nothing panics on them, no loop is longer than the file, and what is allocated is bounded by
//! its size. The profile takes some 10 bytes for each byte of the worst file that can be made up (a byte or two
//! can name a frame of a stack, which takes 40), and less than the file takes for most real ones. What a compressed
//! file unpacks to counts as its size; that has a limit of its own.

mod austin;
mod builder;
mod collapsed;
mod cursor;
mod error;
mod labels;
mod mojo;
mod speedscope;
mod tachyon;
mod ticks;

pub use collapsed::Collapsed;
pub use error::{ForeignError, Position};
pub use mojo::Mojo;
pub use speedscope::Speedscope;
pub use tachyon::Tachyon;

use crate::options::Options;
use crate::profile::Profile;

/// How much of a file's beginning [`Foreign::recognizes`] is to be given, in bytes, where the file is as long.
pub const START: usize = 64 * 1024;

/// A kind of file that other profilers write.
pub trait Foreign: Sync {
    /// What it is called, in lower case: `speedscope`.
    fn name(&self) -> &'static str;

    /// What it is and who writes it, in a phrase for help texts, without a full stop.
    fn description(&self) -> &'static str;

    /// Whether a file that begins with `start` (its first [`START`] bytes, or all of it) looks like one of these.
    fn recognizes(&self, start: &[u8]) -> bool;

    /// Reads a whole file. `progress` is called now and then with how many of its bytes are read.
    ///
    /// # Errors
    ///
    /// A [`ForeignError`] if the file is something else, of a version that is not known, or damaged. A file that ends
    /// too early is no error if its format can be read up to there: [`Import::notices`] says so.
    fn read(&self, bytes: &[u8], progress: &mut dyn FnMut(u64)) -> Result<Import, ForeignError>;
}

/// Every kind of file that is read. Of those that recognize a file, the first is the one to read it with.
pub static FOREIGN: &[&dyn Foreign] = &[&Mojo, &Tachyon, &Speedscope, &Collapsed];

/// The kind of a file that begins with `start`, if it is one of these: see [`Foreign::recognizes`].
pub fn recognize(start: &[u8]) -> Option<&'static dyn Foreign> {
    FOREIGN.iter().copied().find(|foreign| foreign.recognizes(start))
}

/// What a file of another profiler holds.
#[derive(Clone, Debug)]
pub struct Import {
    /// Its samples. What the file does not tell is unknown: threads without name, a rate of 0, a process with the id 0
    /// and no command line, a start in 1970.
    pub profile: Profile,
    /// What the weights of the samples count.
    pub unit: Unit,
    /// Whether its stacks begin with the processes they are of.
    pub by_process: bool,
    /// Whether its stacks begin with the threads they are of.
    pub by_thread: bool,
    /// What of the file is not in the profile, and what of it is to be taken with care: a sentence each.
    pub notices: Vec<String>,
}

impl Import {
    /// The options under which all of the file is shown, as it told things apart itself.
    pub fn options(&self) -> Options {
        Options { by_process: self.by_process, by_thread: self.by_thread, idle: true, ..Options::default() }
    }
}

/// What the weight of a sample counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Samples, or whatever the one who wrote the file has counted. Where
    /// [`Metadata::rate`](crate::Metadata::rate) is known each stands for that much time.
    Samples,
    /// Time, as so many ticks of [`Metadata::rate`](crate::Metadata::rate).
    Time,
    /// Bytes of memory.
    Bytes,
}
