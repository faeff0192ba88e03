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

impl Counts {
    pub fn describe(&self, summary: &crate::session::Summary) -> String {
        let passes = self.passes.max(1) as f64;
        format!("passes {} calls/pass {:.2} bytes/pass {:.0} rounds {} preempted {} refuted {} work {:?}", self.passes, summary.usage.calls as f64/passes, summary.usage.bytes as f64/passes, self.rounds, self.preempted, self.refuted, summary.work)
    }
}
