//! What is shown of a profile, and how: the choices every format obeys.

use crate::sample::{Activity, Sample};

/// What is shown of a profile, and how. Formats that cannot express a choice ignore it.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// The title of outputs that have one; `None` for one made from the metadata.
    pub title: Option<String>,
    /// Distinguish and show the lines of a function.
    pub line_numbers: bool,
    /// What is added up.
    pub by: By,
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
    /// Begin with what was executed, and show who called it: stacks are written from the innermost frame to the
    /// outermost one.
    pub inverted: bool,
    /// The share of all samples below which nothing is shown on its own (0 to 1).
    pub minimum: f64,
    /// How a flame graph lies.
    pub view: View,
}

/// How a flame graph lies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum View {
    /// Callers above what they call.
    #[default]
    Icicle,
    /// Callers below what they call.
    Flame,
    /// Callers above what they call, from left to right in the order of time, each thread on its own. Needs a profile
    /// with a time line.
    Time,
}

/// What is added up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum By {
    /// Each line that was executed. Without [`line_numbers`](Options::line_numbers) each function.
    #[default]
    Line,
    /// Each function, with the line that it starts on.
    Function,
    /// Each file; what a file calls of its own is one with it.
    Module,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            title: None,
            line_numbers: true,
            by: By::Line,
            full_filenames: false,
            by_process: false,
            by_thread: false,
            idle: false,
            gil: false,
            inverted: false,
            minimum: 0.0,
            view: View::default(),
        }
    }
}

impl Options {
    /// Whether `sample` is among what is shown.
    pub fn include(&self, sample: &Sample) -> bool {
        (self.idle || sample.state.activity != Activity::Idle)
            && (!self.gil || sample.state.owns_gil == Some(true))
    }

    /// What the time is that samples stand for, in the words of formats that have one for it.
    pub(crate) fn measured(&self) -> &'static str {
        match self {
            Options { gil: true, .. } => "gil",
            Options { idle: true, .. } => "wall",
            _ => "cpu",
        }
    }
}
