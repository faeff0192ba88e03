//! The samples of a profile, kept in as little room as the formats allow: a sampler may take hundreds
//! of thousands a second, nearly all of them equal to others.

use rustc_hash::FxHashMap;

use crate::metadata::Metadata;
use crate::sample::{Sample, ThreadState};
use crate::stack::StackId;
use crate::thread::ThreadId;

/// The most that the weights of a profile come to; what is beyond is not added. With as much for
/// what is lost no sum of weights overflows.
pub(crate) const MOST_WEIGHT: u64 = u64::MAX / 2;

/// Which samples are kept apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Kept {
    /// Each one; runs of equal ones as one entry.
    #[default]
    InTime,
    /// Those of another thread, stack or state; when they were taken is forgotten.
    Summed,
}

/// Samples that are equal but for the time, as one entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// The first of them, with the weight of each.
    pub sample: Sample,
    /// When the last of them was taken, in nanoseconds since the start.
    pub until: u64,
    /// How many they are.
    pub count: u64,
}

impl Run {
    /// What all of them weigh.
    pub fn weight(&self) -> u64 {
        self.count.saturating_mul(self.sample.weight)
    }

    /// When each of them was taken, in nanoseconds since the start: the first and the last exactly, the
    /// others evenly between them, which is true to a period of the sampler.
    pub(crate) fn times(&self) -> impl Iterator<Item = u64> {
        let (from, until, last) =
            (self.sample.at, self.until.max(self.sample.at), self.count.saturating_sub(1));
        let step = move |number| u128::from(until - from) * u128::from(number) / u128::from(last.max(1));
        // What is added is at most `until - from`.
        (0..self.count).map(move |number| from + step(number) as u64)
    }

    /// Adds `next`, the run of the same thread that comes after this one, if no format can tell the two from
    /// one; else gives it back.
    pub(crate) fn join(&mut self, next: Run, metadata: &Metadata) -> Option<Run> {
        if !self.sample.is_like(&next.sample) || !goes_on(self, &next.sample, metadata) {
            return Some(next);
        }
        self.until = next.until.max(self.until);
        self.count = self.count.saturating_add(next.count);
        None
    }
}

/// The samples of a profile.
#[derive(Clone, Debug, Default)]
pub(crate) struct Samples {
    kept: Kept,
    runs: Vec<Run>,
    /// The last run of each thread, by the thread's index.
    last: Vec<Option<usize>>,
    /// Where each sum is.
    sums: FxHashMap<(ThreadId, StackId, ThreadState), usize>,
    weight: u64,
}

impl Samples {
    pub(crate) fn new(kept: Kept) -> Self {
        Self { kept, ..Self::default() }
    }

    pub(crate) fn runs(&self) -> &[Run] {
        &self.runs
    }

    /// The last run of a thread, by its index.
    pub(crate) fn latest(&self, thread: ThreadId) -> Option<usize> {
        *self.last.get(thread.index())?
    }

    /// Changes the stack of each.
    pub(crate) fn change_stacks(&mut self, mut change: impl FnMut(StackId) -> StackId) {
        for run in &mut self.runs {
            run.sample.stack = change(run.sample.stack);
        }
        self.retain(|_| true);
    }

    /// Keeps some. What is added after is kept in time.
    pub(crate) fn retain(&mut self, is_wanted: impl FnMut(&Run) -> bool) {
        self.runs.retain(is_wanted);
        self.weight = self.runs.iter().map(Run::weight).fold(0, u64::saturating_add);
        self.last.clear();
        self.sums = FxHashMap::default();
        self.kept = Kept::InTime;
    }

    pub(crate) fn add(&mut self, sample: Sample, metadata: &Metadata) {
        let weight = sample.weight.min(MOST_WEIGHT - self.weight);
        self.weight += weight;
        let sample = Sample { weight, ..sample };
        let thread = sample.thread.index();
        if self.last.len() <= thread {
            self.last.resize(thread + 1, None);
        }
        let last = self.last[thread].filter(|last| self.runs[*last].sample.is_like(&sample));
        let known = match self.kept {
            Kept::InTime => last.filter(|last| goes_on(&self.runs[*last], &sample, metadata)),
            Kept::Summed => {
                last.or_else(|| self.sums.get(&(sample.thread, sample.stack, sample.state)).copied())
            }
        };
        let index = match known {
            Some(index) => {
                let run = &mut self.runs[index];
                match self.kept {
                    Kept::InTime => run.count += 1,
                    Kept::Summed => run.sample.weight += weight,
                }
                run.until = sample.at.max(run.until);
                index
            }
            None => {
                self.runs.push(Run { sample, until: sample.at, count: 1 });
                let index = self.runs.len() - 1;
                if self.kept == Kept::Summed {
                    self.sums.insert((sample.thread, sample.stack, sample.state), index);
                }
                index
            }
        };
        self.last[thread] = Some(index);
    }
}

/// Whether no format can tell `sample`, like those of `run` and the next of its thread, from one more
/// of them.
fn goes_on(run: &Run, sample: &Sample, metadata: &Metadata) -> bool {
    run.sample.weight == sample.weight
        && sample.at >= run.until
        && sample.since(metadata).saturating_sub(run.until) <= metadata.longest_pause()
}
