//! Signals that rspy gets while it records, taken between two samples, so that no
//! signal finds a thread of the target stopped.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;

use signal_hook::consts::{SIGCONT, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP, SIGUSR1, SIGUSR2};
use signal_hook::iterator::backend::SignalDelivery;
use signal_hook::iterator::exfiltrator::raw::WithRawSiginfo;
use signal_hook::low_level::emulate_default_handler;

use crate::failure::Failure;

/// What a recording of a process that runs on without rspy minds.
const ATTACHED: &[i32] = &[SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGTSTP];

/// With a program of rspy's own, everything that a user sends to it by rspy's id.
const LAUNCHED: &[i32] = &[SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGTSTP, SIGCONT];

/// What to do about a signal.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Received {
    /// End the recording.
    Interrupt,
    /// Send it on to the program.
    PassOn(i32),
    /// Write what was recorded so far.
    Flush,
    /// Control-Z: [`suspend`](Signals::suspend) rspy. The program has got the signal by itself.
    Suspend,
}

/// The signals since the last look.
pub struct Signals {
    delivery: SignalDelivery<UnixStream, WithRawSiginfo>,
    waiting: VecDeque<Received>,
    has_program: bool,
    screen: Option<Screen>,
}

/// How the terminal is left before rspy is suspended, and taken again when it goes on.
#[derive(Copy, Clone)]
pub struct Screen {
    /// Leaves it as it was.
    pub leave: fn(),
    /// Takes it again.
    pub enter: fn(),
}

impl Signals {
    /// From now on signals are collected instead of ending rspy. `has_program`: of
    /// a program that rspy starts, which gets those that are meant for it.
    pub fn collect(has_program: bool) -> Result<Signals, Failure> {
        let register = || {
            let (read, write) = UnixStream::pair()?;
            let ignored = ignored();
            // `nohup rspy …` is to go on at SIGHUP. But a shell script starts what it puts
            // into the background with SIGINT ignored, and yet sends it to end a recording.
            let is_wanted = |signal: i32| signal == SIGINT || ignored >> (signal - 1) & 1 == 0;
            let wanted = if has_program { LAUNCHED } else { ATTACHED };
            let wanted = wanted.iter().filter(|signal| is_wanted(**signal));
            SignalDelivery::with_pipe(read, write, WithRawSiginfo, wanted)
        };
        let delivery = register().map_err(|error: io::Error| {
            Failure::new(format!("Signals cannot be handled: {error}."), "Please report this.")
        })?;
        Ok(Signals { delivery, waiting: VecDeque::new(), has_program, screen: None })
    }

    /// From now on `screen` is left while rspy is suspended.
    pub fn mind(&mut self, screen: Screen) {
        self.screen = Some(screen);
    }

    /// Stops rspy until it is continued.
    pub fn suspend(&self) {
        if let Some(screen) = self.screen {
            (screen.leave)();
        }
        // It cannot fail for a signal that exists.
        let _ = emulate_default_handler(SIGTSTP);
        if let Some(screen) = self.screen {
            (screen.enter)();
        }
    }

    /// Whether [`next`](Signals::next) has some already.
    pub fn has_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// The next one, if any has come.
    pub fn next(&mut self) -> Option<Received> {
        for info in self.delivery.pending() {
            self.waiting.extend(understand(info.si_signo, info.si_code, self.has_program));
        }
        self.waiting.pop_front()
    }
}

/// Readable when a signal has come.
impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.delivery.get_read().as_fd()
    }
}

/// What `signal` is for. `code` is `si_code` of `sigaction(2)`.
fn understand(signal: i32, code: i32, has_program: bool) -> Vec<Received> {
    // The kernel's own, as those of the terminal's keys, are positive; they go to
    // the whole process group, so that the program has got them already.
    let by_terminal = code > 0;
    match signal {
        SIGINT => vec![Received::Interrupt],
        SIGTSTP if has_program && !by_terminal => vec![Received::PassOn(SIGTSTP), Received::Suspend],
        SIGTSTP => vec![Received::Suspend],
        SIGUSR1 if !has_program => vec![Received::Flush],
        _ if !has_program => vec![Received::Interrupt],
        _ if by_terminal => Vec::new(),
        SIGUSR1 => vec![Received::PassOn(signal), Received::Flush],
        _ => vec![Received::PassOn(signal)],
    }
}

/// The signals that whoever started rspy told the kernel to ignore, one bit each.
fn ignored() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `SI_USER` and `SI_KERNEL` of `sigaction(2)`.
    const BY_PROCESS: i32 = 0;
    const BY_KERNEL: i32 = 0x80;

    #[test]
    fn a_program_gets_each_signal_once() {
        assert_eq!(understand(SIGTERM, BY_PROCESS, true), [Received::PassOn(SIGTERM)]);
        assert_eq!(understand(SIGQUIT, BY_KERNEL, true), []);
        assert_eq!(understand(SIGINT, BY_KERNEL, true), [Received::Interrupt]);
        assert_eq!(understand(SIGTSTP, BY_KERNEL, true), [Received::Suspend]);
    }

    #[test]
    fn without_a_program_signals_end_the_recording() {
        assert_eq!(understand(SIGTERM, BY_PROCESS, false), [Received::Interrupt]);
        assert_eq!(understand(SIGHUP, BY_KERNEL, false), [Received::Interrupt]);
        assert_eq!(understand(SIGTSTP, BY_PROCESS, false), [Received::Suspend]);
    }
}
