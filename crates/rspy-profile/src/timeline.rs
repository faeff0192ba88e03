//! Samples in the order of time, thread by thread.

use crate::options::Options;
use crate::profile::Profile;
use crate::sample::Sample;
use crate::thread::ThreadId;

/// The samples of one thread.
#[derive(Debug)]
pub(crate) struct Timeline<'profile> {
    /// Whose they are.
    pub(crate) thread: ThreadId,
    /// The samples that are shown, the oldest first.
    pub(crate) samples: Vec<&'profile Sample>,
}

/// The samples of `profile` that `options` include, of each thread that has some.
pub(crate) fn timelines<'profile>(profile: &'profile Profile, options: &Options) -> Vec<Timeline<'profile>> {
    let mut timelines: Vec<Timeline<'profile>> =
        profile.threads.iter().map(|(thread, _)| Timeline { thread, samples: Vec::new() }).collect();
    for sample in profile.samples.iter().filter(|sample| options.include(sample)) {
        timelines[sample.thread.index()].samples.push(sample);
    }
    timelines.retain(|timeline| !timeline.samples.is_empty());
    for timeline in &mut timelines {
        timeline.samples.sort_by_key(|sample| sample.at);
    }
    timelines
}
