//! A sample: what one thread was doing at one moment, in a few words.

use crate::metadata::Metadata;
use crate::stack::StackId;
use crate::thread::ThreadId;

/// What one thread was doing at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// When, in nanoseconds since [`Metadata::start`](crate::Metadata::start).
    pub at: u64,
    /// Which thread.
    pub thread: ThreadId,
    /// Where it was. [`StackId::EMPTY`] is a thread that executes no Python code.
    pub stack: StackId,
    /// How many ticks of the sampler this stands for: 1, and 1 more for every tick that was missed
    /// just before it.
    pub weight: u64,
    /// What it did.
    pub state: ThreadState,
}

impl Sample {
    /// Whether `other` shows the same thread in the same place and state.
    pub(crate) fn is_like(&self, other: &Sample) -> bool {
        (self.thread, self.stack, self.state) == (other.thread, other.stack, other.state)
    }

    /// The time from which on it stands for its thread: that of the first tick that was missed just
    /// before it, in nanoseconds since the start.
    pub(crate) fn since(&self, metadata: &Metadata) -> u64 {
        self.at.saturating_sub(self.weight.saturating_sub(1).saturating_mul(metadata.period()))
    }
}

/// What a thread did at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct ThreadState {
    /// Whether it was running.
    pub activity: Activity,
    /// Whether it held its interpreter's global lock; `None` if that was not looked at, or if the
    /// interpreter has no such lock.
    pub owns_gil: Option<bool>,
    /// Whether it waited for that lock; `None` as in `owns_gil`.
    pub waits_for_gil: Option<bool>,
    /// Whether it was in the kernel; `None` if that was not looked at. Recordings do not keep it.
    pub in_kernel: Option<bool>,
    /// Whether it collected garbage; `None` if that was not looked at or is not known.
    pub collects: Option<bool>,
}

/// Whether a thread was running.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Activity {
    /// On a CPU, or ready to run on one.
    Active,
    /// Waiting: for time to pass, for data, for a lock.
    Idle,
    /// Not known. Views treat it as active, so that nothing is hidden on a guess.
    #[default]
    Unknown,
}
