//! Starting the program to be recorded.

use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus};
use std::thread;
use std::time::{Duration, Instant};

use rspy_cpython::FindError;
use rspy_process::ProcessError;

use crate::failure::Failure;
use crate::target::Target;

/// How long a command may take until its Python has started.
const STARTING: Duration = Duration::from_secs(20);

/// How long a command that was told to end may take for it.
const ENDING: Duration = Duration::from_secs(5);

/// A program that rspy started. Its exit is watched by pidfd elsewhere: a wait
/// for it while it is traced would take a stop for the exit.
pub struct Launched {
    child: Child,
}

impl Launched {
    /// Starts `program` with rspy's own input and output, and waits until its
    /// interpreter can be read.
    pub fn start(program: &[String]) -> Result<(Launched, Target), Failure> {
        let Some((name, arguments)) = program.split_first() else {
            return Err(Failure::new("No command was given.", "Give it after --, or a process with --pid."));
        };
        let mut command = Command::new(name);
        command.args(arguments);
        let child = command.spawn().map_err(|error| {
            Failure::new(
                format!("Starting {name} failed: {error}."),
                "Give a program that is on the PATH, or its whole path.",
            )
        })?;
        let mut launched = Launched { child };
        let target = launched.wait_for_python()?;
        Ok((launched, target))
    }

    fn wait_for_python(&mut self) -> Result<Target, Failure> {
        let pid = self.child.id();
        let start = Instant::now();
        let mut pause = Duration::from_millis(1);
        loop {
            let error = match Target::attach(pid) {
                Ok(target) => return Ok(target),
                Err(error) => error,
            };
            let is_over = matches!(error, FindError::Process(ProcessError::Zombie { .. }));
            let is_starting = matches!(
                error,
                FindError::NotPython { .. }
                    | FindError::NotReady
                    | FindError::Inconsistent { .. }
                    | FindError::Elf(_)
                    | FindError::Read(_)
                    | FindError::Process(ProcessError::NoMemory { .. })
            );
            if is_over {
                let status = self.child.wait().map(describe).unwrap_or_default();
                return Err(Failure::new(
                    format!("The command ended before a Python interpreter was found in it{status}."),
                    "Run it without rspy to see whether it works; give the python program itself if it only \
                     starts one.",
                ));
            }
            if !is_starting || start.elapsed() > STARTING {
                self.end();
                return Err(Failure::attaching(pid, &error));
            }
            thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(20));
        }
    }

    /// Tells the program to end if it has not, and collects it.
    pub fn end(&mut self) -> Option<ExitStatus> {
        let pid = nix::unistd::Pid::from_raw(self.child.id() as i32);
        let signal = |signal| {
            // It may have exited by itself meanwhile, which is as good.
            let _ = nix::sys::signal::kill(pid, signal);
        };
        signal(nix::sys::signal::Signal::SIGTERM);
        let start = Instant::now();
        while start.elapsed() < ENDING {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Some(status);
            }
            thread::sleep(Duration::from_millis(5));
        }
        signal(nix::sys::signal::Signal::SIGKILL);
        self.child.wait().ok()
    }

    /// Collects the program, which has exited.
    pub fn collect(&mut self) -> Option<ExitStatus> {
        self.child.wait().ok()
    }
}

/// How a program ended, to be put behind a sentence.
fn describe(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!(", with exit status {code}"),
        (_, Some(signal)) => format!(", by signal {signal}"),
        _ => String::new(),
    }
}
