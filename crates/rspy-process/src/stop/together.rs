//! Seizing several threads of one process without locking it up.
//!
//! The kernel admits one attach or exec of a process at a time, and a thread that
//! calls exec first kills all others of its process and waits until each has been
//! collected, by its tracer if it has one. Thus: we seize A; B calls exec and kills
//! A; we attach to C and wait, uninterruptibly, for B's exec, which waits for us to
//! collect A. Both processes hang until we are killed. A single seize cannot get
//! there (no thread of that process is ours yet); for more than one, a helper
//! thread collects the dead while the tracing thread hangs.

use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use super::StopError;
use super::tracee::Tracee;

/// A seize takes microseconds; one that takes longer than this may be in the knot.
const PATIENCE: Duration = Duration::from_millis(5);

/// Seizes the threads `tids` of `process` and hands each outcome to `each`.
pub(super) fn seize(process: u32, tids: &[u32], mut each: impl FnMut(u32, Result<Tracee, StopError>)) {
    let (seized, news) = channel();
    thread::scope(|scope| {
        let helper = thread::Builder::new().name("rspy-collect".into());
        if let Err(error) = helper.spawn_scoped(scope, move || collect_dead(&news)) {
            let error = StopError::Os(error.raw_os_error().unwrap_or(0));
            tids.iter().for_each(|&tid| each(tid, Err(error)));
            return;
        }
        for &tid in tids {
            let outcome = Tracee::seize(process, tid);
            if let Ok(tracee) = outcome {
                // Fails only when the helper is gone, which ends after us.
                let _ = seized.send(tracee);
            }
            each(tid, outcome);
        }
        drop(seized);
    });
}

/// Collects those of the seized threads that died, whenever no news come for long.
fn collect_dead(news: &Receiver<Tracee>) {
    let mut seized = Vec::new();
    loop {
        match news.recv_timeout(PATIENCE) {
            Ok(tracee) => seized.push(tracee),
            Err(RecvTimeoutError::Timeout) => seized.retain(|tracee: &Tracee| !tracee.collect_if_dead()),
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}
