//! What austin's two formats share: what its metadata say, and what its numbers count.

use super::Unit;
use crate::metadata::Metadata;
use crate::sample::Activity;

/// What austin's numbers count, by its metadata `mode`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Mode {
    /// Microseconds that passed.
    #[default]
    Wall,
    /// Microseconds that passed while the thread was on a CPU; those of others are not recorded.
    Cpu,
    /// Bytes by which memory grew or shrank.
    Memory,
    /// Both, with whether the thread was idle.
    Full,
}

impl Mode {
    /// Takes note of one of austin's metadata.
    pub(super) fn metadata(&mut self, key: &str, value: &str, metadata: &mut Metadata) {
        match (key, value) {
            ("mode", "cpu") => *self = Mode::Cpu,
            ("mode", "memory") => *self = Mode::Memory,
            ("mode", "full") => *self = Mode::Full,
            ("mode", _) => *self = Mode::Wall,
            ("python", version) => metadata.python_version = Some(version.to_owned()),
            ("duration", microseconds) => {
                if let Ok(microseconds) = microseconds.parse() {
                    metadata.duration = std::time::Duration::from_micros(microseconds);
                }
            }
            _ => {}
        }
    }

    /// What a thread did in a sample that does not say more.
    pub(super) fn activity(self) -> Activity {
        if self == Mode::Cpu { Activity::Active } else { Activity::Unknown }
    }

    /// How long a weight is, in nanoseconds; 0 where it is no time.
    pub(super) fn nanoseconds(self, weight: u64) -> u64 {
        if self == Mode::Memory { 0 } else { weight.saturating_mul(1000) }
    }

    /// What the weights count, and how many of them make a second.
    pub(super) fn finish(self, metadata: &mut Metadata) -> Unit {
        match self {
            Mode::Memory => Unit::Bytes,
            Mode::Wall | Mode::Cpu | Mode::Full => {
                metadata.rate = 1e6;
                Unit::Time
            }
        }
    }
}

/// What of a file is not in its profile.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Totals {
    /// Samples told of memory beside time.
    pub(super) memory_left_out: bool,
    shrunk: u64,
    given_back: u64,
}

impl Totals {
    /// Counts a sample in which memory shrank by so many bytes.
    pub(super) fn given_back(&mut self, bytes: u64) {
        self.shrunk += 1;
        self.given_back = self.given_back.saturating_add(bytes);
    }

    /// Says so.
    pub(super) fn notices(&self, notices: &mut Vec<String>) {
        if self.memory_left_out {
            notices.push("Each sample has time and memory; the time is kept, the memory left out.".into());
        }
        if self.shrunk > 0 {
            notices.push(format!(
                "Samples in which memory shrank are left out, and what grew is shown: {}, by {} bytes in all.",
                self.shrunk, self.given_back
            ));
        }
    }
}
