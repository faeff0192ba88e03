//! Targets that start processes (`family.py`), and say their ids, a line for each.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Instant;

use crate::Outcome;
use crate::interpreters::Interpreter;
use crate::process::{self, DEADLINE};
use crate::target::command;

/// Such a target; dropping it closes its stdin, which ends all of it, and waits for its end.
pub struct Family {
    /// The id of its first Python.
    pub root: u32,
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
}

impl Family {
    /// Runs `command`, and waits until its first Python says `root` and its id.
    pub fn start(mut command: Command) -> Outcome<Family> {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let stdin = child.stdin.take();
        let stdout = BufReader::new(child.stdout.take().ok_or("no stdout")?);
        let mut family = Family { root: 0, child, stdin, stdout };
        family.root = family.said("root")?;
        Ok(family)
    }

    /// `family.py` with `arguments`.
    pub fn of(interpreter: &Interpreter, arguments: &[&str]) -> Outcome<Family> {
        Family::start(command(interpreter, "family.py", arguments))
    }

    /// The id of the process that was started, be it the first Python or one above it.
    pub fn started(&self) -> u32 {
        self.child.id()
    }

    /// The next line: a name and a process id.
    pub fn line(&mut self) -> Outcome<(String, u32)> {
        if self.stdout.buffer().is_empty() {
            process::wait_readable(self.stdout.get_ref(), Instant::now() + DEADLINE)?;
        }
        let mut line = String::new();
        self.stdout.read_line(&mut line)?;
        let (name, pid) = line.trim().split_once(' ').ok_or_else(|| format!("it said {line:?}"))?;
        Ok((name.to_owned(), pid.parse()?))
    }

    /// The process id that the next line gives, which is of `name`.
    pub fn said(&mut self, name: &str) -> Outcome<u32> {
        match self.line()? {
            (said, pid) if said == name => Ok(pid),
            (said, pid) => Err(format!("it said {said} {pid}, not {name}").into()),
        }
    }

    /// Lets it take the next step.
    pub fn go_on(&mut self) -> Outcome {
        Ok(self.stdin.as_mut().ok_or("stdin is closed")?.write_all(b"\n")?)
    }
}

impl Drop for Family {
    fn drop(&mut self) {
        self.stdin = None;
        // It may have ended before, which is what is wanted.
        let _ = self.child.wait();
    }
}
