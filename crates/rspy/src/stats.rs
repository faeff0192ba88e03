//! What a recording was made of, and what it cost: counted as it goes, told by `--stats`.

/// Counts of one recording.
#[derive(Copy, Clone, Debug, Default)]
pub struct Counts {
    /// Passes over the threads.
    pub passes: u64,
    /// Stops that were made again, since they landed in an instant of which nothing can be said.
    pub rounds: u64,
    /// Passes given up because rspy lost its CPU in the middle of the read.
    pub preempted: u64,
    /// Code objects that turned out to be others by now.
    pub refuted: u64,
}
