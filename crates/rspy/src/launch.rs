//! Starting the program to be recorded, finding the Python in it, and its end.
//!
//! What is started need not be Python itself: a shim that becomes Python (`exec`)
//! keeps its process id, and a shell or launcher that starts Python has it among
//! its descendants. The first Python that can be read is the one.

use std::cell::Cell;
use std::ffi::OsString;
use std::fs::File;
use std::io::{Read, Seek};
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use nix::unistd::Pid;
use rspy_cpython::FindError;
use rspy_process::child::{Resources, collect};
use rspy_process::children::{descendants, path_to};
use rspy_process::{ProcessError, ReadError};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::attach::Search;
use crate::failure::Failure;
use crate::progress::report;
use crate::signals::{Received, Signals};
use crate::target::{Pausing, Target};
use crate::wait::{Woken, exit_of, wait};

/// How long a command may take until its Python can be read.
const STARTING: Duration = Duration::from_secs(20);

/// How long a Python that cannot be read is given to turn out to be another, as a
/// launcher does that ends up in a Python that can.
const CHANGING: Duration = Duration::from_secs(2);

/// How often the processes of a command are looked through for Python: often at
/// first, since that is when it starts.
const FIRST_PAUSE: Duration = Duration::from_micros(200);
const LAST_PAUSE: Duration = Duration::from_millis(5);

/// How long a program may take to end by itself after Control-C, which the terminal
/// sends to it as well, before it is told to.
const CLEANING_UP: Duration = Duration::from_secs(3);

/// How long a program that was told to end may take for it.
const ENDING: Duration = Duration::from_secs(5);

/// How often an exit is looked for on kernels that do not report it.
const LOOK: Duration = Duration::from_millis(20);

/// A program that rspy started. It is collected only when nothing traces it any
/// more: a wait for it before would take a stop for the exit.
pub struct Launched {
    child: Child,
    exit: Option<OwnedFd>,
    status: Option<ExitStatus>,
    /// What it used, and those below it that it waited for; `None` as long as it runs.
    pub used: Option<Resources>,
    /// The processes between the command and its Python, and that Python, if it is
    /// another process.
    /// Held by descriptor, so that an id cannot come to mean another.
    below: Vec<OwnedFd>,
    is_told_to_end: bool,
    /// Whether somebody has asked for its end, by a signal to rspy.
    is_asked_to_end: Cell<bool>,
    stderr: Option<File>,
}

/// What a program reads from and writes to.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Streams {
    /// rspy's own.
    Own,
    /// What it writes is kept from the terminal; its stderr is shown if it fails.
    Captured,
    /// The same, and it reads nothing.
    Apart,
}

/// Why no Python was found in a command.
pub enum Missing {
    /// It ended before.
    Ended,
    /// Somebody interrupted the search.
    Interrupted,
    /// There is none, or none that can be read.
    None(Failure),
}

/// What ended a wait for a program.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum Wait {
    Due,
    Ended,
    Interrupted,
}

impl Launched {
    /// Starts `program` with these streams.
    pub fn start(program: &[OsString], streams: Streams) -> Result<Launched, Failure> {
        let Some((name, arguments)) = program.split_first() else {
            return Err(Failure::new("No command was given.", "Give it after --, or a process with --pid."));
        };
        let mut command = Command::new(name);
        command.args(arguments);
        if streams == Streams::Apart {
            // The terminal's keys are rspy's.
            command.stdin(Stdio::null());
        }
        let stderr = (streams != Streams::Own)
            .then(|| {
                let file = tempfile::tempfile()?;
                command.stdout(Stdio::null()).stderr(file.try_clone()?);
                Ok(file)
            })
            .transpose()
            .map_err(|error| Failure::writing("a temporary file for the program's output", &error))?;
        let child = command.spawn().map_err(|error| Failure::starting(Path::new(name), &error))?;
        tracing::info!(pid = child.id(), ?program, "started the command");
        let exit = exit_of(child.id());
        Ok(Launched {
            child,
            exit,
            status: None,
            used: None,
            below: Vec::new(),
            is_told_to_end: false,
            is_asked_to_end: Cell::new(false),
            stderr,
        })
    }

    /// The command's process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits until a Python in it can be read. Ends it if there is none.
    pub fn find_python(&mut self, pausing: Pausing, signals: &mut Signals) -> Result<Target, Failure> {
        self.search_python(pausing, signals).map_err(|missing| match missing {
            Missing::Ended => self.ended_early(),
            Missing::Interrupted => {
                let failure = Failure::new(
                    "Interrupted before Python had started in the command.",
                    "Let it run until it has.",
                );
                self.given_up(signals, failure)
            }
            Missing::None(failure) => self.given_up(signals, failure),
        })
    }

    /// Waits until a Python in it can be read.
    pub fn search_python(&mut self, pausing: Pausing, signals: &mut Signals) -> Result<Target, Missing> {
        let root = self.child.id();
        let start = Instant::now();
        let mut searches = vec![Search::new(root, pausing)];
        let mut telling: Option<(Instant, u32, FindError)> = None;
        let mut pause = FIRST_PAUSE;
        loop {
            let below = descendants(root);
            searches.retain(|search| {
                search.pid == root || below.iter().any(|descendant| descendant.pid == search.pid)
            });
            for descendant in below {
                if !searches.iter().any(|search| search.pid == descendant.pid) {
                    searches.push(Search::new(descendant.pid, pausing));
                }
            }
            for search in &mut searches {
                match search.attempt() {
                    Some(Ok(target)) => {
                        let after = start.elapsed();
                        tracing::info!(
                            pid = search.pid,
                            ?after,
                            tries = search.tries.count,
                            "found its Python"
                        );
                        self.below = path_to(root, search.pid).into_iter().filter_map(exit_of).collect();
                        return Ok(target);
                    }
                    Some(Err(error)) if is_definite(&error) && telling.is_none() => {
                        telling = Some((Instant::now(), search.pid, error));
                    }
                    Some(Err(error)) => tracing::debug!(pid = search.pid, %error, "not yet"),
                    None => {}
                }
            }
            if let Some((since, pid, error)) = &telling
                && since.elapsed() >= CHANGING
            {
                return Err(Missing::None(Failure::attaching(*pid, error)));
            }
            if start.elapsed() >= STARTING {
                return Err(Missing::None(no_python(&searches)));
            }
            match self.wait(Instant::now() + pause, signals, false) {
                Wait::Due => {}
                Wait::Ended => return Err(Missing::Ended),
                Wait::Interrupted => return Err(Missing::Interrupted),
            }
            pause = (pause * 5 / 4).min(LAST_PAUSE);
        }
    }

    /// Sends it a signal that rspy got for it, as far as it still runs.
    pub fn pass_on(&self, signal: i32) {
        // Not collected, so the id is still its own.
        if self.status.is_none()
            && let Ok(signal) = Signal::try_from(signal)
        {
            tracing::info!(%signal, "passed on to the program");
            if matches!(signal, Signal::SIGTERM | Signal::SIGHUP | Signal::SIGQUIT) {
                self.is_asked_to_end.set(true);
            }
            // It may have exited meanwhile, which is as good.
            let _ = nix::sys::signal::kill(Pid::from_raw(self.child.id() as i32), signal);
        }
    }

    /// How it has ended: `with exit code 3`; none if it has not.
    pub fn how(&mut self) -> Option<String> {
        self.has_ended();
        self.status.map(|status| describe(status).trim_start_matches(", ").to_owned())
    }

    /// Waits until it has ended by itself, or until an interrupt has made it end.
    pub fn collect(&mut self, signals: &mut Signals) -> Option<ExitStatus> {
        // However long it takes: only its end or an interrupt ends this.
        while !self.has_ended() {
            if self.wait(Instant::now() + STARTING, signals, false) == Wait::Interrupted {
                self.is_asked_to_end.set(true);
                self.end(signals);
                break;
            }
        }
        if self.status.is_some_and(|status| !status.success()) {
            self.show_stderr();
        }
        self.status
    }

    /// Whether somebody has asked for its end while it was [collected](Launched::collect).
    pub fn is_asked_to_end(&self) -> bool {
        self.is_asked_to_end.get()
    }

    /// Tells it to end. [`end`](Launched::end) waits for that.
    pub fn tell_to_end(&mut self) {
        self.is_told_to_end = true;
        self.send(Signal::SIGTERM);
    }

    /// Waits until it has ended after Control-C, which it may have got too, or after it
    /// was told to; is less patient after another Control-C.
    pub fn end(&mut self, signals: &mut Signals) {
        if !self.is_told_to_end {
            if self.wait(Instant::now() + CLEANING_UP, signals, true) == Wait::Ended {
                return;
            }
            self.tell_to_end();
        }
        if self.wait(Instant::now() + ENDING, signals, true) != Wait::Ended {
            self.send(Signal::SIGKILL);
            self.wait(Instant::now() + ENDING, signals, true);
        }
    }

    /// Waits for the end of the command, or of all that led to its Python as well,
    /// passing signals on.
    fn wait(&mut self, due: Instant, signals: &mut Signals, all: bool) -> Wait {
        loop {
            let exit = match self.has_ended() {
                false => self.exit.as_ref(),
                true => match self.below.iter().find(|process| all && !is_readable(process)) {
                    Some(process) => Some(process),
                    None => return Wait::Ended,
                },
            };
            let look = if exit.is_some() { due } else { due.min(Instant::now() + LOOK) };
            match wait(look, exit, signals) {
                Woken::Due if due <= Instant::now() => return Wait::Due,
                Woken::Due | Woken::Exited => {}
                Woken::Signalled => {
                    if serve(signals, Some(self), || {}) {
                        return Wait::Interrupted;
                    }
                }
            }
        }
    }

    fn has_ended(&mut self) -> bool {
        if self.status.is_none()
            && let Ok(Some((status, used))) = collect(self.child.id())
        {
            (self.status, self.used) = (Some(status), Some(used));
        }
        self.status.is_some()
    }

    /// Sends a signal to the command, and to what lies between it and its Python: a
    /// shell that ends does not take its children with it.
    fn send(&self, signal: Signal) {
        self.pass_on(signal as i32);
        for process in &self.below {
            if let Some(signal) = rustix::process::Signal::from_named_raw(signal as i32) {
                let _ = rustix::process::pidfd_send_signal(process, signal);
            }
        }
    }

    /// Ends it, since there is nothing to record.
    fn given_up(&mut self, signals: &mut Signals, failure: Failure) -> Failure {
        self.tell_to_end();
        self.end(signals);
        self.show_stderr();
        failure
    }

    fn ended_early(&mut self) -> Failure {
        self.show_stderr();
        let how = self.status.map(describe).unwrap_or_default();
        Failure::new(
            format!("The command ended before a Python interpreter was found in it{how}."),
            "Run it without rspy to see whether it works; give the Python program itself if the command only \
             starts it and does not wait for it.",
        )
    }

    /// What it wrote to its captured stderr.
    fn show_stderr(&mut self) {
        let Some(mut file) = self.stderr.take() else { return };
        let mut bytes = Vec::new();
        // Shown as far as it can be read: it only explains what is reported anyway.
        let _ = file.rewind().and_then(|()| file.read_to_end(&mut bytes));
        report(String::from_utf8_lossy(&bytes).trim_end());
    }
}

/// Does what signals ask for, `flush` among it; whether to end is the caller's to do.
pub fn serve(signals: &mut Signals, launched: Option<&Launched>, flush: impl Fn()) -> bool {
    while let Some(received) = signals.next() {
        match (received, launched) {
            (Received::Interrupt, _) => return true,
            (Received::PassOn(signal), Some(launched)) => launched.pass_on(signal),
            (Received::PassOn(_), None) => {}
            (Received::Flush, _) => flush(),
            (Received::Suspend, _) => signals.suspend(),
        }
    }
    false
}

impl Drop for Launched {
    /// However rspy fails, a program that it has started does not stay behind.
    fn drop(&mut self) {
        if !self.has_ended() {
            self.send(Signal::SIGKILL);
            let _ = self.child.wait();
        }
    }
}

/// The exit code a shell would give for `status`.
pub fn exit_code(status: ExitStatus) -> u8 {
    let code = status.code().or(status.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1)
}

/// Whether an error speaks of a Python, or of a process that cannot be read, and
/// not only of one that is none yet.
fn is_definite(error: &FindError) -> bool {
    match error {
        FindError::Unsupported(_) | FindError::Inconsistent { .. } => true,
        FindError::Process(error) => matches!(error, ProcessError::Denied { .. }),
        FindError::Read(error) => *error == ReadError::Denied,
        FindError::NotPython { .. } | FindError::NotReady | FindError::Elf(_) => false,
    }
}

/// Whether a process has ended.
fn is_readable(process: &OwnedFd) -> bool {
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut [PollFd::new(process, PollFlags::IN)], Some(&now)).is_ok_and(|ready| ready > 0)
}

fn no_python(searches: &[Search]) -> Failure {
    let mut executables: Vec<String> = searches
        .iter()
        .filter_map(|search| Some(search.tries.executable.as_ref()?.display().to_string()))
        .collect();
    executables.dedup();
    Failure::new(
        format!(
            "No Python was found within {} seconds in the command, which runs {}.",
            STARTING.as_secs(),
            executables.join(", "),
        ),
        "Give the Python program itself; or start the command without rspy, and record its Python with --pid \
         once it runs.",
    )
}

/// How a program ended, to be put behind a sentence.
fn describe(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!(", with exit code {code}"),
        (_, Some(signal)) => match Signal::try_from(signal) {
            Ok(name) => format!(", by signal {signal} ({name})"),
            Err(_) => format!(", by signal {signal}"),
        },
        _ => String::new(),
    }
}
