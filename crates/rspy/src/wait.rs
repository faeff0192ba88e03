//! Waiting for a time, for the end of a process, or for a signal, whichever is first.

use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use crate::clock::Rate;
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
        match look(due.saturating_duration_since(Instant::now()), exit, signals) {
            Some(woken) => return woken,
            None if due <= Instant::now() => return Woken::Due,
            None => {}
        }
    }
}

/// Looks for a signal or an exit, for `at_most` so long, or for less.
fn look(at_most: Duration, exit: Option<&OwnedFd>, signals: &Signals) -> Option<Woken> {
    let timeout =
        Timespec { tv_sec: at_most.as_secs().cast_signed(), tv_nsec: at_most.subsec_nanos().into() };
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
        // A signal that interrupted it has become readable by the next time.
        Ok(0) | Err(_) => None,
        Ok(_) if signalled => Some(Woken::Signalled),
        Ok(_) => Some(Woken::Exited),
    }
}

/// How long a [`Pacer`] goes without looking for a signal or an exit: looking costs
/// as much as reading a short stack.
const UNWATCHED: Duration = Duration::from_millis(1);

/// The shortest period with sleep in it: falling asleep and waking take about so long.
const SHORTEST_SLEPT: Duration = Duration::from_micros(50);

/// How far the margin may go, however late the kernel is.
const LARGEST_MARGIN: Duration = Duration::from_micros(50);

/// How much the margin moves at a time.
const STEP: Duration = Duration::from_nanos(200);

/// Waiting for one deadline after the other, as exactly as the rate asks for.
///
/// The kernel wakes late, so a sleep ends a margin before the deadline and the rest is
/// spent in a loop. The margin is what three in four wakings exceed, so that the loop is
/// short, and most often none at all: up to 10,000 a second it costs no more than the
/// sleeping itself. Where the period is too short to sleep in, the loop is all there is, and takes
/// a whole CPU.
pub struct Pacer {
    exit: Option<OwnedFd>,
    margin: Duration,
    may_sleep: bool,
    looked: Instant,
}

impl Pacer {
    /// Waits at `rate`, and for what [`exit_of`] says of a process.
    pub fn new(rate: Rate, exit: Option<OwnedFd>) -> Pacer {
        let may_sleep = rate.period() >= SHORTEST_SLEPT;
        Pacer { exit, margin: Duration::ZERO, may_sleep, looked: Instant::now() }
    }

    /// Goes on at another rate.
    pub fn change(&mut self, rate: Rate) {
        self.may_sleep = rate.period() >= SHORTEST_SLEPT;
    }

    /// Does not wait for the exit any more.
    pub fn forget_exit(&mut self) {
        self.exit = None;
    }

    /// As [`wait`], but for signals and exits of the last millisecond, which may be found
    /// by the next call. `now` becomes the time when it was over.
    pub fn wait(&mut self, due: Instant, now: &mut Instant, signals: &Signals) -> Woken {
        if signals.has_waiting() {
            return Woken::Signalled;
        }
        *now = Instant::now();
        loop {
            let left = due.saturating_duration_since(*now);
            let sleep = left.saturating_sub(self.margin);
            let sleeps = self.may_sleep && !sleep.is_zero();
            if sleeps || now.saturating_duration_since(self.looked) >= UNWATCHED {
                let at_most = if sleeps { sleep } else { Duration::ZERO };
                let meant = *now + at_most;
                if meant.saturating_duration_since(self.looked) < UNWATCHED {
                    std::thread::sleep(at_most);
                } else if let Some(woken) = look(at_most, self.exit.as_ref(), signals) {
                    return woken;
                } else {
                    self.looked = Instant::now();
                }
                *now = Instant::now();
                if sleeps && *now >= meant {
                    self.learn(*now - meant);
                }
            } else if left.is_zero() {
                return Woken::Due;
            } else {
                std::hint::spin_loop();
                *now = Instant::now();
            }
        }
    }

    /// Moves the margin towards what three in four wakings are later than.
    fn learn(&mut self, late: Duration) {
        self.margin = match late < self.margin {
            true => self.margin.saturating_sub(STEP * 3),
            false => (self.margin + STEP).min(LARGEST_MARGIN),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_margin_is_what_most_wakings_exceed() {
        let mut pacer = Pacer::new(Rate::Hz(1000.0), None);
        for late in (0..20_000).map(|waking| Duration::from_micros(waking * 7 % 40)) {
            pacer.learn(late);
        }
        let micros = pacer.margin.as_micros();
        assert!((7..=13).contains(&micros), "a quarter of 40 µs: {micros}");
        for _ in 0..20_000 {
            pacer.learn(Duration::from_secs(1));
        }
        assert_eq!(pacer.margin, LARGEST_MARGIN);
    }

    #[test]
    fn it_is_never_early() {
        let signals = Signals::collect(false).unwrap_or_else(|failure| panic!("{failure}"));
        for rate in [Rate::Hz(1_000.0), Rate::Hz(1e6), Rate::Max] {
            let mut pacer = Pacer::new(rate, exit_of(std::process::id()));
            for _ in 0..100 {
                let due = Instant::now() + rate.period();
                let mut now = Instant::now();
                assert_eq!(pacer.wait(due, &mut now, &signals), Woken::Due);
                assert!(now >= due && Instant::now() >= now);
            }
        }
    }

    #[test]
    fn an_exit_is_found_at_every_rate() {
        for rate in [Rate::Hz(0.001), Rate::Hz(1_000.0), Rate::Hz(1e6), Rate::Max] {
            let signals = Signals::collect(false).unwrap_or_else(|failure| panic!("{failure}"));
            let mut child =
                std::process::Command::new("true").spawn().unwrap_or_else(|error| panic!("{error}"));
            let exit = exit_of(child.id());
            assert!(exit.is_some());
            let mut pacer = Pacer::new(rate, exit);
            let mut now = Instant::now();
            while pacer.wait(now + rate.period(), &mut now, &signals) == Woken::Due {}
            let far = now + Duration::from_secs(1_000);
            assert_eq!(pacer.wait(far, &mut now, &signals), Woken::Exited);
            assert!(child.wait().is_ok());
        }
    }
}
