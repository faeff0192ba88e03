//! Stops of a whole process, for a copy of one moment.

use std::time::{Duration, Instant};

use rspy_process::stop::Tracer;
use rspy_process::threads::{Ran, RunState, SchedStat, ThreadStat};
use rspy_process::{Process, ProcessError};

/// How long threads may take to stand still.
const LIMIT: Duration = Duration::from_millis(100);

/// How long the process stood still, and whether it did.
#[derive(Copy, Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Paused {
    /// From the first thread that was stopped to the last that went on, in seconds.
    pub seconds: f64,
    /// Threads that ran meanwhile: they woke up, or could not be stopped.
    pub ran: usize,
}

/// Does `work` while no thread of `process` runs: those that run are stopped, those that sleep are left asleep and looked at
/// afterwards.
pub fn paused<T>(process: &Process, work: impl FnOnce() -> T) -> Result<(T, Paused), ProcessError> {
    let pid = process.pid();
    let threads = process.threads()?;
    let runs =
        |tid: &u32| ThreadStat::open(pid, *tid).is_ok_and(|stat| stat.run_state() == RunState::Running);
    let running: Vec<u32> = threads.iter().copied().filter(runs).collect();
    let mut tracer = Tracer::new(LIMIT);
    let start = Instant::now();
    let stop = (!running.is_empty()).then(|| tracer.stop(pid, &running));
    let is_stopped = |tid: u32| stop.as_ref().is_some_and(|stop| stop.outcome(tid).is_ok());
    let others = threads.iter().filter(|tid| !is_stopped(**tid));
    let watched: Vec<(SchedStat, Option<Ran>)> = others
        .filter_map(|tid| SchedStat::open(pid, *tid).ok())
        .map(|figures| {
            let ran = figures.ran();
            (figures, ran)
        })
        .collect();
    let result = work();
    let ran = watched.iter().filter(|(figures, before)| figures.ran() != *before).count();
    drop(stop);
    let seconds = if running.is_empty() { 0.0 } else { start.elapsed().as_secs_f64() };
    Ok((result, Paused { seconds, ran }))
}
