//! Waiting for a time, for the end of a process, or for a signal, whichever is first.

use std::os::fd::OwnedFd;
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use crate::signals::Signals;

/// What ended a wait.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Woken {
    /// The time has come.
    Due,
    /// The process has ended.
    Exited,
    /// A signal has come.
    Signalled,
}

/// What becomes readable when process `pid` ends; `None` on kernels without pidfd
/// (before 5.3) and when it is gone.
pub fn exit_of(pid: u32) -> Option<OwnedFd> {
    pidfd_open(Pid::from_raw(i32::try_from(pid).ok()?)?, PidfdFlags::empty()).ok()
}

/// Waits until `due`, `exit` or a signal. A signal counts before an exit, an exit
/// before the time.
pub fn wait(due: Instant, exit: Option<&OwnedFd>, signals: &Signals) -> Woken {
    if signals.has_waiting() {
        return Woken::Signalled;
    }
    loop {
        let left = due.saturating_duration_since(Instant::now());
        let timeout = Timespec { tv_sec: left.as_secs().cast_signed(), tv_nsec: left.subsec_nanos().into() };
        let signal = PollFd::new(signals, PollFlags::IN);
        let (ready, signalled) = match exit {
            Some(exit) => {
                let mut watched = [signal, PollFd::new(exit, PollFlags::IN)];
                (poll(&mut watched, Some(&timeout)), !watched[0].revents().is_empty())
            }
            None => {
                let mut watched = [signal];
                (poll(&mut watched, Some(&timeout)), !watched[0].revents().is_empty())
            }
        };
        match ready {
            Ok(0) if due <= Instant::now() => return Woken::Due,
            // A signal that interrupted the wait has become readable.
            Ok(0) | Err(_) => {}
            Ok(_) if signalled => return Woken::Signalled,
            Ok(_) => return Woken::Exited,
        }
    }
}
