//! A profile: the tables that samples refer to, and the samples.

use std::collections::BTreeMap;

use crate::account::Account;
use crate::format::Format;
use crate::frame::{Frames, LostReason};
use crate::growth::Growth;
use crate::memory::MemoryUse;
use crate::metadata::Metadata;
use crate::process::{ProcessId, Processes};
use crate::sample::Sample;
use crate::samples::{Kept, MOST_WEIGHT, Run, Samples};
use crate::stack::{StackId, Stacks};
use crate::strings::Strings;
use crate::thread::{ThreadId, Threads};

/// Samples of a program and the tables they refer to.
#[derive(Clone, Debug, Default)]
pub struct Profile {
    /// What the profile is of, and how it was taken.
    pub metadata: Metadata,
    /// The names and files of frames, and the names of threads.
    pub strings: Strings,
    /// The places that stacks are made of.
    pub frames: Frames,
    /// The stacks that samples refer to.
    pub stacks: Stacks,
    /// The processes that threads belong to.
    pub processes: Processes,
    /// The threads that samples refer to.
    pub threads: Threads,
    samples: Samples,
    /// The memory of processes, each time that it had changed, in the order of time; empty if it was not recorded.
    pub memory: Vec<MemoryUse>,
    /// What is known of it beside, now and then, in the order of time.
    pub accounts: Vec<Account>,
    /// Who made it change, in the order of time; empty before [`charge_memory`](Profile::charge_memory).
    pub growth: Vec<Growth>,
    /// The samples that could not be taken.
    pub lost: Lost,
    /// Ticks of the sampler that passed without anybody being looked at.
    pub missed: u64,
}

impl Profile {
    /// A profile without samples, which every format can write.
    pub fn new(metadata: Metadata) -> Self {
        Self { metadata, ..Self::default() }
    }

    /// The same for `format`, and formats that need no more than it: without a
    /// [time line](Format::needs_timeline) a profile grows with the number of distinct stacks, however
    /// many samples are taken of them.
    pub fn for_format(metadata: Metadata, format: &dyn Format) -> Self {
        let kept = if format.about().needs_timeline { Kept::InTime } else { Kept::Summed };
        Self { metadata, samples: Samples::new(kept), ..Self::default() }
    }

    /// Adds a sample. Those of one thread come in the order of time.
    pub fn add(&mut self, sample: Sample) {
        self.samples.add(sample, &self.metadata);
    }

    /// Keeps those samples only for which `is_wanted` says so, which is asked of each run with the profile's tables.
    pub fn retain(&mut self, mut is_wanted: impl FnMut(&Profile, &Run) -> bool) {
        let mut samples = std::mem::take(&mut self.samples);
        samples.retain(|run| is_wanted(self, run));
        self.samples = samples;
        let mut growth = std::mem::take(&mut self.growth);
        growth.retain(|growth| is_wanted(self, &growth.as_run()));
        self.growth = growth;
    }

    /// Gives every sample the stack that `change` makes of the one it has.
    pub fn change_stacks(&mut self, mut change: impl FnMut(StackId) -> StackId) {
        for growth in &mut self.growth {
            growth.stack = change(growth.stack);
        }
        self.samples.change_stacks(change);
    }

    /// The samples in the order of the first of each run. Without a time line those that are alike are
    /// one sample that weighs as much as all of them.
    pub fn samples(&self) -> &[Run] {
        self.samples.runs()
    }

    /// Which of the [`samples`](Self::samples) is the latest of `thread`; `None` if there is none.
    pub fn latest(&self, thread: ThreadId) -> Option<usize> {
        self.samples.latest(thread)
    }
}

/// How many samples could not be taken, by reason and process: those of which not even the thread is known. A
/// known thread whose stack is not known has a sample, with a
/// [`FrameKind::Lost`](crate::FrameKind::Lost) frame.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lost {
    /// Of no process that is known, or of one.
    counts: BTreeMap<(Option<ProcessId>, LostReason), u64>,
}

impl Lost {
    /// Counts `weight` more samples as lost, of no process that is known.
    pub fn add(&mut self, reason: LostReason, weight: u64) {
        self.add_to(None, reason, weight);
    }

    /// Counts `weight` more samples of `process` as lost.
    pub fn add_of(&mut self, process: ProcessId, reason: LostReason, weight: u64) {
        self.add_to(Some(process), reason, weight);
    }

    fn add_to(&mut self, process: Option<ProcessId>, reason: LostReason, weight: u64) {
        let weight = weight.min(MOST_WEIGHT - self.total());
        *self.counts.entry((process, reason)).or_default() += weight;
    }

    /// Keeps what was lost of processes that `is_wanted`, and of none that is known.
    pub fn retain(&mut self, mut is_wanted: impl FnMut(ProcessId) -> bool) {
        self.counts.retain(|(process, _), _| process.is_none_or(&mut is_wanted));
    }

    /// The number of lost samples of each reason that occurred.
    pub fn iter(&self) -> impl Iterator<Item = (LostReason, u64)> {
        let mut sums: BTreeMap<LostReason, u64> = BTreeMap::new();
        for ((_, reason), count) in &self.counts {
            *sums.entry(*reason).or_default() += count;
        }
        sums.into_iter()
    }

    /// The number of lost samples of each process and reason; `None` is no process that is known.
    pub fn by_process(&self) -> impl Iterator<Item = (Option<ProcessId>, LostReason, u64)> {
        self.counts.iter().map(|(&(process, reason), &count)| (process, reason, count))
    }

    /// The number of lost samples.
    pub fn total(&self) -> u64 {
        self.counts.values().sum()
    }
}
