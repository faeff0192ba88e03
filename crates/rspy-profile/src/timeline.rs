//! Samples in the order of time, thread by thread.

use crate::options::Options;
use crate::profile::Profile;
use crate::samples::Run;
use crate::thread::ThreadId;

/// The samples of one thread.
#[derive(Debug)]
pub(crate) struct Timeline<'profile> {
    /// Whose they are.
    pub(crate) thread: ThreadId,
    /// The samples that are shown, the oldest first.
    pub(crate) runs: Vec<&'profile Run>,
}

/// The samples of `profile` that `options` include, of each thread that has some.
pub(crate) fn timelines<'profile>(profile: &'profile Profile, options: &Options) -> Vec<Timeline<'profile>> {
    let mut timelines: Vec<Timeline<'profile>> =
        profile.threads.iter().map(|(thread, _)| Timeline { thread, runs: Vec::new() }).collect();
    for run in profile.samples().iter().filter(|run| options.include(&run.sample)) {
        timelines[run.sample.thread.index()].runs.push(run);
    }
    timelines.retain(|timeline| !timeline.runs.is_empty());
    for timeline in &mut timelines {
        timeline.runs.sort_by_key(|run| run.sample.at);
    }
    timelines
}
