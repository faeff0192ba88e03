//! One thread that is traced by us: seizing it, seeing what became of it, letting it go.

use nix::errno::Errno;
use nix::libc;
use nix::sys::ptrace;
use nix::unistd;
use procfs::process::Status;
use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};

use super::StopError;
use crate::sys;

/// A thread of which we are, or were a moment ago, the tracer.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) struct Tracee {
    /// The process it belongs to.
    pub process: u32,
    /// Its thread id.
    pub tid: u32,
}

/// What a look at a tracee shows.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// Not stopped yet.
    Running,
    /// Stopped. `signal` is the one it was about to be delivered, to be passed
    /// on; 0 when it answered the interrupt or takes part in a group-stop.
    Stopped { signal: i32 },
    /// It ended, and holds up nobody any more.
    Ended,
    /// Its id no longer names a tracee of ours: it ended and was collected, or
    /// an exec made it the leader of its process ([`heir`](Tracee::heir)).
    Vanished,
}

/// What came of letting a tracee go.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Release {
    /// It runs, untraced.
    Resumed,
    /// It does not stand still yet, or is about to die: it is ours still.
    Pending,
    /// It is no more; see [`Seen`].
    Ended,
    /// As [`Seen::Vanished`].
    Vanished,
}

impl Tracee {
    /// Becomes the tracer of the thread, which runs on.
    ///
    /// Without options: PTRACE_O_EXITKILL would take the target along when we
    /// are killed, and every other one adds stops of its own.
    pub fn seize(process: u32, tid: u32) -> Result<Tracee, StopError> {
        let pid = to_pid(tid).map(|pid| unistd::Pid::from_raw(pid.as_raw_pid())).ok_or(StopError::Gone)?;
        let attempt = || ptrace::seize(pid, ptrace::Options::empty());
        let why_not = match attempt() {
            Ok(()) => return Ok(Tracee { process, tid }),
            Err(Errno::ESRCH) => StopError::Gone,
            Err(Errno::EPERM) => refusal(tid),
            Err(errno) => StopError::Os(errno as i32),
        };
        // An exec that we waited for may have put another thread in the place of the
        // main one, which is then refused for being dead though nothing is to be seen
        // of that. Where permission is what lacks, it lacks the second time, too.
        if why_not == StopError::Denied && attempt().is_ok() {
            return Ok(Tracee { process, tid });
        }
        Err(why_not)
    }

    /// Asks it to stop. Returns whether it is ours (still, or dead and uncollected).
    pub fn interrupt(self) -> bool {
        let asked = to_pid(self.tid).map(|pid| ptrace::interrupt(unistd::Pid::from_raw(pid.as_raw_pid())));
        !matches!(asked, None | Some(Err(Errno::ESRCH)))
    }

    /// What it does now, without waiting.
    pub fn look(self) -> Seen {
        // WNOWAIT, since a wait that takes a signal-delivery-stop's status also
        // takes the signal: were we killed before DETACH gives it back, it would
        // be lost. Left in place, the kernel delivers it when it lets go of our
        // tracees. And the exit of rspy's own child is not ours to take.
        match wait_for(self.tid, WaitIdOptions::STOPPED | WaitIdOptions::EXITED | WaitIdOptions::NOWAIT) {
            Ok(None) | Err(rustix::io::Errno::INTR) => Seen::Running,
            Ok(Some(status)) => match status.trapping_signal() {
                // An event (bits above the signal's) is the stop we asked for.
                Some(event) if event >> 8 != 0 => Seen::Stopped { signal: 0 },
                Some(signal) => Seen::Stopped { signal },
                None if status.exited() || status.killed() || status.dumped() => {
                    self.collect();
                    Seen::Ended
                }
                // A job-control stop, which a parent sees of a child that is not traced.
                None => Seen::Vanished,
            },
            Err(_) => Seen::Vanished,
        }
    }

    /// Lets it go, with the signal it was about to be delivered, if it stands still.
    pub fn release(self) -> Release {
        // Looked at again rather than remembered: should an exec have put another
        // thread in its place meanwhile, an old signal must not hit the new program.
        match self.look() {
            Seen::Stopped { signal } => match sys::ptrace::detach(self.tid as i32, signal) {
                Ok(()) => Release::Resumed,
                // It was killed while it stood still.
                Err(_) => Release::Pending,
            },
            Seen::Running => Release::Pending,
            Seen::Ended => Release::Ended,
            Seen::Vanished => Release::Vanished,
        }
    }

    /// After [`Seen::Vanished`]: the tracee that took its place, if any. A thread
    /// that calls exec takes over the id of its process's leader, and being ours.
    pub fn heir(self) -> Option<Tracee> {
        if self.tid == self.process {
            return None;
        }
        let ours = rustix::thread::gettid().as_raw_pid();
        let leader = status(self.process)?;
        (leader.tracerpid == ours).then_some(Tracee { tid: self.process, ..self })
    }

    /// Takes note of its exit, on which its parent, and an exec by another of
    /// its threads, wait: a dead tracee belongs to its tracer first.
    fn collect(self) {
        // The exit status of a command that rspy started is for whoever started it.
        let own_child = self.tid == self.process
            && status(self.process).is_some_and(|status| status.ppid == unistd::getpid().as_raw());
        if !own_child {
            let _ = wait_for(self.tid, WaitIdOptions::EXITED);
        }
    }

    /// Collects it if it is dead. For a thread that is not its tracer but
    /// belongs to the same process. Returns whether there is nothing left to do.
    pub fn collect_if_dead(self) -> bool {
        self.tid == self.process || !matches!(wait_for(self.tid, WaitIdOptions::EXITED), Ok(None))
    }
}

/// Waits for this one thread, so that the exits of others stay for whom they concern.
fn wait_for(
    tid: u32,
    what: WaitIdOptions,
) -> Result<Option<rustix::process::WaitIdStatus>, rustix::io::Errno> {
    let pid = to_pid(tid).ok_or(rustix::io::Errno::CHILD)?;
    let any_thread = WaitIdOptions::from_bits_retain(libc::__WALL as u32);
    waitid(WaitId::Pid(pid), what | any_thread | WaitIdOptions::NOHANG)
}

/// Why the kernel refuses to let us trace a thread: it says EPERM to all of these.
fn refusal(tid: u32) -> StopError {
    match status(tid) {
        None => StopError::Gone,
        Some(status) if status.state.starts_with(['Z', 'X']) => StopError::Gone,
        Some(Status { tracerpid: 0, .. }) => StopError::Denied,
        Some(status) => StopError::Traced { by: status.tracerpid.unsigned_abs() },
    }
}

/// `/proc/TID/status`; `None` when the thread is gone.
fn status(tid: u32) -> Option<Status> {
    let raw = i32::try_from(tid).ok()?;
    procfs::process::Process::new(raw).and_then(|process| process.status()).ok()
}

fn to_pid(tid: u32) -> Option<Pid> {
    i32::try_from(tid).ok().and_then(Pid::from_raw)
}
