//! Aggregation by integer: how often each stack was seen, before any text is made.

use rustc_hash::FxHashMap;

use crate::frame::FrameKind;
use crate::options::Options;
use crate::process::ProcessId;
use crate::profile::Profile;
use crate::stack::StackId;
use crate::thread::ThreadId;

/// A distinct stack, and how often it was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Folded {
    /// Whose stack it is; `None` where all processes are added up.
    pub process: Option<ProcessId>,
    /// Which thread's; `None` where all threads are added up.
    pub thread: Option<ThreadId>,
    /// The stack.
    pub stack: StackId,
    /// The sum of the weights of its samples: a number of ticks of the sampler.
    pub weight: u64,
}

/// Adds up the samples that `options` include by stack, and by process and thread if these are asked for. The
/// result is ordered by process, thread and stack, each in the order of arrival.
pub fn fold(profile: &Profile, options: &Options) -> Vec<Folded> {
    let mut weights: FxHashMap<(Option<ProcessId>, Option<ThreadId>, StackId), u64> = FxHashMap::default();
    for run in profile.samples().iter().filter(|run| options.include(&run.sample)) {
        let process = options.by_process.then(|| profile.threads[run.sample.thread].process);
        let thread = options.by_thread.then_some(run.sample.thread);
        *weights.entry((process, thread, run.sample.stack)).or_default() += run.weight();
    }
    let mut folded: Vec<Folded> = weights
        .into_iter()
        .map(|((process, thread, stack), weight)| Folded { process, thread, stack, weight })
        .collect();
    folded.sort_unstable();
    folded
}

/// What the samples of a profile come to. All are weights: numbers of ticks of the sampler.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Samples that are shown and of which something is known, cut ones included.
    pub samples: u64,
    /// Those among `samples` whose innermost frames are not known.
    pub cut: u64,
    /// Samples that could not be taken, or of which nothing but the thread is known.
    pub lost: u64,
    /// Samples that were taken and that the options leave out.
    pub left_out: u64,
}

impl Totals {
    /// The totals of `profile` as `options` show it.
    pub fn new(profile: &Profile, options: &Options) -> Self {
        let mut totals = Totals { lost: profile.lost.total(), ..Totals::default() };
        for run in profile.samples() {
            let weight = run.weight();
            if !options.include(&run.sample) {
                totals.left_out += weight;
                continue;
            }
            let leaf = profile.stacks.split(run.sample.stack).map(|(_, frame)| profile.frames[frame].kind);
            match leaf {
                Some(FrameKind::Lost(_)) => totals.lost += weight,
                Some(FrameKind::Cut) => {
                    totals.samples += weight;
                    totals.cut += weight;
                }
                _ => totals.samples += weight,
            }
        }
        totals
    }
}
