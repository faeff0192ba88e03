//! What is shown of a profile, and how: the choices every format obeys.

use crate::sample::{Activity, Sample};

/// What is shown of a profile, and how. Formats that cannot express a choice ignore it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The title of outputs that have one; `None` for one made from the metadata.
    pub title: Option<String>,
    /// Distinguish and show the lines of a function.
    pub line_numbers: bool,
    /// Show the line a function starts on in place of the one being executed, which adds up each
    /// function. Without effect where `line_numbers` is off.
    pub by_function: bool,
    /// Show paths as the code objects say, instead of relative to their package.
    pub full_filenames: bool,
    /// Give each process a root frame of its own, below that of the process that started it.
    pub by_process: bool,
    /// Give each thread a root frame of its own, instead of adding up all threads.
    pub by_thread: bool,
    /// Include samples of idle threads.
    pub idle: bool,
    /// Include only samples of threads that are known to have held the GIL.
    pub gil: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            title: None,
            line_numbers: true,
            by_function: false,
            full_filenames: false,
            by_process: false,
            by_thread: false,
            idle: false,
            gil: false,
        }
    }
}

impl Options {
    /// Whether `sample` is among what is shown.
    pub fn include(&self, sample: &Sample) -> bool {
        (self.idle || sample.state.activity != Activity::Idle)
            && (!self.gil || sample.state.owns_gil == Some(true))
    }
}
