//! Stopping threads of the target for the length of one read.
//!
//! A [`Tracer`] stops threads and hands out a guard, [`Stop`], that lets them go
//! when it is dropped: at a panic, too. When rspy itself is killed the kernel lets
//! go of all it held.
//!
//! ```no_run
//! # use std::time::Duration;
//! # fn read_stack() {}
//! # let (pid, tid) = (1, 1);
//! let mut tracer = rspy_process::stop::Tracer::new(Duration::from_millis(10));
//! let stop = tracer.stop(pid, &[tid]);
//! if stop.outcome(tid).is_ok() {
//!     read_stack();
//! }
//! drop(stop);
//! ```
//!
//! The means is ptrace: SEIZE, INTERRUPT, a bounded wait, DETACH; some ten
//! microseconds for a thread that is on a CPU, milliseconds when there are more
//! runnable threads than CPUs. Signals that arrive meanwhile are passed on, once;
//! a target that SIGSTOP has stopped stays stopped.
//!
//! # What is left to the caller
//!
//! - **Stop running threads only.** INTERRUPT ends a sleep like a signal that
//!   nobody handles: most system calls go on by themselves, but `epoll_wait`,
//!   `semop`, `recv` with a timeout and their like return EINTR, which old programs
//!   do not expect. `signal(7)` lists them.
//! - **Call [`Tracer::serve_late`] every tick.** A thread that did not stop within
//!   the limit (in vfork it cannot until the child has gone on) will stop later, and
//!   stands still until served. DETACH needs a stopped tracee: only that, or the end
//!   of the tracing thread, lets go of it.
//! - **Watch the exit of a command that rspy started by its pidfd**, and wait for it
//!   only when the pidfd is readable. A plain `waitpid` in another thread would take
//!   our tracee's stop for the child's. We in turn wait for traced threads by id
//!   only, and leave rspy's own children to be collected by whoever started them.
//! - **A handler for SIGCHLD**, if rspy has one, is set with SA_NOCLDSTOP: each
//!   stop would run it.
//!
//! One effect is not avoidable: a set-user-id program that the thread becomes, by
//! exec, in just that moment gets no privileges, unless rspy has them too.

use std::marker::PhantomData;
use std::time::{Duration, Instant};

use self::pace::Pace;
use self::tracee::{Release, Seen, Tracee};

mod pace;
#[cfg(test)]
mod tests;
mod together;
mod tracee;

/// Why a thread is not stopped.
#[derive(Copy, Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StopError {
    /// It has ended, or called exec and became its process's main thread.
    #[error("the thread has ended")]
    Gone,
    /// The kernel does not permit to trace it.
    #[error("no permission to trace the thread")]
    Denied,
    /// Somebody traces it already; a thread has one tracer.
    #[error("the thread is traced by process {by} already")]
    Traced {
        /// The id of the tracing thread (`TracerPid`); 0 when it is hidden from
        /// rspy's pid namespace.
        by: u32,
    },
    /// It did not stop within the limit, or a thread of its process that did not
    /// is still to be served.
    #[error("the thread did not stop in time")]
    Late,
    /// It was not among the threads that were to be stopped.
    #[error("the thread was not asked to stop")]
    NotAsked,
    /// Anything else: the system's error number.
    #[error("stopping the thread failed: {}", std::io::Error::from_raw_os_error(*.0))]
    Os(i32),
}

/// What the stops of one [`Tracer`] amount to.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct StopStats {
    /// Stops that began: guards for which at least one thread was interrupted.
    pub count: u64,
    /// How long they lasted together, from INTERRUPT to the resumption of all; and
    /// for each late thread, from the last look that found it running to its release.
    pub total: Duration,
    /// The longest of the times in `total`.
    pub max: Duration,
    /// Threads that did not stop within the limit.
    pub late: u64,
    /// Threads that could not be asked to stop, other than for having ended.
    pub refused: u64,
}

impl StopStats {
    /// Adds the stops of another tracer.
    pub fn add(&mut self, other: &StopStats) {
        self.count += other.count;
        self.total += other.total;
        self.max = self.max.max(other.max);
        self.late += other.late;
        self.refused += other.refused;
    }

    fn lasted(&mut self, time: Duration) {
        self.total += time;
        self.max = self.max.max(time);
    }
}

/// Stops threads. Bound to the OS thread that made it, as ptrace is: that one
/// thread of rspy does all tracing.
pub struct Tracer {
    limit: Duration,
    /// The threads of the current stop, with its begin. Kept between stops for
    /// their memory: in steady state a stop of one thread allocates nothing.
    asked: Vec<Asked>,
    begun: Option<Instant>,
    late: Vec<Late>,
    stats: StopStats,
    bound_to_thread: PhantomData<*const ()>,
}

/// A thread that was asked to stop.
struct Asked {
    tid: u32,
    /// While it is ours.
    tracee: Option<Tracee>,
    outcome: Result<(), StopError>,
}

/// A tracee that outlived its stop.
struct Late {
    tracee: Tracee,
    seen_running: Instant,
}

impl Tracer {
    /// A tracer whose stops wait for at most `limit` for their threads.
    ///
    /// Not included is what SEIZE waits for: an exec of the target that is under
    /// way, and the CPU for a thread that SIGSTOP has stopped.
    pub fn new(limit: Duration) -> Tracer {
        Tracer {
            limit,
            asked: Vec::with_capacity(4),
            begun: None,
            late: Vec::with_capacity(4),
            stats: StopStats::default(),
            bound_to_thread: PhantomData,
        }
    }

    /// Stops the threads `tids` of the process `process` together, and returns when
    /// all stand still, have ended, or the limit is over.
    pub fn stop(&mut self, process: u32, tids: &[u32]) -> Stop<'_> {
        self.resume(); // should the last guard have been leaked
        self.serve_late();
        self.seize(process, tids);
        self.interrupt();
        Stop { stopped_at: Instant::now(), tracer: self }
    }

    /// Counts and times of all stops so far; a stop's time is added at its end.
    pub fn stats(&self) -> StopStats {
        self.stats
    }

    /// Whether threads wait to be served.
    pub fn has_late(&self) -> bool {
        !self.late.is_empty()
    }

    /// Lets go of those late threads that stand still by now, with their signals.
    /// Costs nothing when there are none.
    pub fn serve_late(&mut self) {
        let mut at = 0;
        while let Some(late) = self.late.get_mut(at) {
            let Late { tracee, seen_running } = *late;
            match tracee.release() {
                // Asked once more: an exec may have been faster than the first time. The
                // answer tells whether it is ours; of rspy's own child no wait does.
                Release::Pending if tracee.interrupt() => {
                    late.seen_running = Instant::now();
                    at += 1;
                    continue;
                }
                Release::Resumed => self.stats.lasted(seen_running.elapsed()),
                Release::Ended => {}
                Release::Pending | Release::Vanished => self.adopt_heir(tracee),
            }
            self.late.swap_remove(at);
        }
    }

    fn seize(&mut self, process: u32, tids: &[u32]) {
        let Tracer { asked, stats, late, .. } = self;
        let mut note = |tid, seized: Result<Tracee, StopError>| {
            if asked.iter().any(|asked| asked.tid == tid) {
                return; // named twice, thus refused the second time
            }
            stats.refused += u64::from(!matches!(seized, Ok(_) | Err(StopError::Gone)));
            // Late is what a tracee is until it is seen standing still.
            let outcome = Err(seized.err().unwrap_or(StopError::Late));
            asked.push(Asked { tid, tracee: seized.ok(), outcome });
        };
        match *tids {
            // With a tracee of ours in the process, seize could hang: see `together`.
            _ if late.iter().any(|late| late.tracee.process == process) => {
                tids.iter().for_each(|&tid| note(tid, Err(StopError::Late)));
            }
            [] => {}
            [tid] => note(tid, Tracee::seize(process, tid)),
            _ => together::seize(process, tids, note),
        }
    }

    /// Has all seized threads stop, and waits until none runs any more, or the
    /// limit is over.
    fn interrupt(&mut self) {
        let start = Instant::now();
        for tracee in self.asked.iter().filter_map(|asked| asked.tracee) {
            self.begun = Some(start);
            tracee.interrupt(); // of one that is dying it may fail, which the look below shows
        }
        self.stats.count += u64::from(self.begun.is_some());
        let mut pace = Pace::new(start, self.limit);
        loop {
            let mut running = 0;
            for at in 0..self.asked.len() {
                running += u64::from(self.still_runs(at));
            }
            if running == 0 {
                return;
            }
            if !pace.again() {
                self.stats.late += running;
                tracing::debug!(threads = running, "did not stop within the limit");
                return;
            }
        }
    }

    /// Looks at a thread that was asked to stop, unless its outcome is known.
    fn still_runs(&mut self, at: usize) -> bool {
        let Some(asked) = self.asked.get_mut(at) else { return false };
        let (Some(tracee), Err(_)) = (asked.tracee, asked.outcome) else { return false };
        match tracee.look() {
            Seen::Running => return true,
            Seen::Stopped { .. } => asked.outcome = Ok(()),
            gone @ (Seen::Ended | Seen::Vanished) => {
                asked.tracee = None;
                asked.outcome = Err(StopError::Gone);
                if gone == Seen::Vanished {
                    self.adopt_heir(tracee);
                }
            }
        }
        false
    }

    /// Lets all threads of the current stop go.
    fn resume(&mut self) {
        while let Some(asked) = self.asked.pop() {
            let Some(tracee) = asked.tracee else { continue };
            match tracee.release() {
                Release::Pending => self.late.push(Late { tracee, seen_running: Instant::now() }),
                Release::Vanished => self.adopt_heir(tracee),
                Release::Resumed | Release::Ended => {}
            }
        }
        if let Some(begun) = self.begun.take() {
            self.stats.lasted(begun.elapsed());
        }
    }

    /// Takes over what an exec has made of a tracee: still ours, under another id.
    fn adopt_heir(&mut self, vanished: Tracee) {
        let Some(heir) = vanished.heir() else { return };
        let known = self.asked.iter().any(|asked| asked.tracee == Some(heir))
            || self.late.iter().any(|late| late.tracee == heir);
        if !known {
            self.late.push(Late { tracee: heir, seen_running: Instant::now() });
        }
    }
}

impl Drop for Tracer {
    /// Serves late threads for the limit once more. Those that are late even then
    /// are let go of when the OS thread ends.
    fn drop(&mut self) {
        self.resume();
        let mut pace = Pace::new(Instant::now(), self.limit);
        while self.has_late() && pace.again() {
            self.serve_late();
        }
    }
}

/// Holds threads stopped; lets them go when dropped.
#[must_use = "the threads run on as soon as this is dropped"]
pub struct Stop<'t> {
    tracer: &'t mut Tracer,
    stopped_at: Instant,
}

impl Stop<'_> {
    /// Whether the thread `tid` stands still, or why not.
    pub fn outcome(&self, tid: u32) -> Result<(), StopError> {
        let asked = self.tracer.asked.iter().find(|asked| asked.tid == tid);
        asked.map_or(Err(StopError::NotAsked), |asked| asked.outcome)
    }

    /// Whether all threads that were asked to stop stand still.
    pub fn all_stopped(&self) -> bool {
        self.tracer.asked.iter().all(|asked| asked.outcome.is_ok())
    }

    /// Whether the thread `tid`, which stands still, was in a system call when it was asked to stop; `None` if that is
    /// not known.
    #[cfg(target_arch = "x86_64")]
    pub fn was_in_kernel(&self, tid: u32) -> Option<bool> {
        self.outcome(tid).ok()?;
        let pid = nix::unistd::Pid::from_raw(i32::try_from(tid).ok()?);
        // The number of the system call that it entered the kernel by; none, -1, after an interrupt.
        let registers = nix::sys::ptrace::getregs(pid).ok()?;
        Some(registers.orig_rax.cast_signed() >= 0)
    }

    /// Whether the thread `tid` was in a system call: on this machine that is not known.
    #[cfg(not(target_arch = "x86_64"))]
    pub fn was_in_kernel(&self, _tid: u32) -> Option<bool> {
        None
    }

    /// When all of them stood still, or waiting for them ended.
    pub fn stopped_at(&self) -> Instant {
        self.stopped_at
    }
}

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.tracer.resume();
    }
}
