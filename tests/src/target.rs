//! Targets: Python programs that testify what their threads stand in, and wait.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::time::Instant;

use serde::Deserialize;

use crate::Outcome;
use crate::interpreters::{Interpreter, workspace};
use crate::process::{self, DEADLINE};

/// What a target says when its threads are in place.
#[derive(Debug, Deserialize)]
pub struct Testimony {
    /// The version of the interpreter.
    #[serde(default)]
    pub version: Vec<u32>,
    /// Whether the interpreter runs with its GIL.
    #[serde(default)]
    pub gil: bool,
    /// Its threads; the first is the one that reads stdin.
    pub threads: Vec<Thread>,
}

/// One thread of a target.
#[derive(Debug, Deserialize)]
pub struct Thread {
    /// The interpreter's id, on Linux the `pthread_t`.
    pub thread_id: u64,
    /// The kernel's id, as the target sees it.
    pub native_id: u32,
    /// Its name in `threading`.
    pub name: Option<String>,
    /// Whether it sleeps; else it runs for ever.
    pub idle: bool,
    /// The stacks it can have, innermost frame first: exactly one if it sleeps.
    pub stacks: Vec<Vec<Frame>>,
}

/// A frame of a testimony.
#[derive(Debug, Deserialize)]
pub struct Frame {
    /// `co_qualname` where code objects have it, else `co_name`.
    pub name: String,
    /// `co_filename`.
    pub filename: String,
    /// `f_lineno`, None where the frame has no line.
    #[serde(default)]
    pub line: Option<u32>,
    /// Line, last line, column and last column as `co_positions` counts them, if TESTIFY_POSITIONS asked for them
    /// and the interpreter has them.
    #[serde(default)]
    pub position: Option<[u32; 4]>,
    /// Any of these lines instead, for a thread that runs.
    #[serde(default)]
    pub lines: Vec<u32>,
    /// Its variables, where the target tells them.
    #[serde(default)]
    pub locals: Option<Vec<Variable>>,
}

/// A variable of a frame, as a target tells it and as the JSON of `rspy dump --locals` has it.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// Whether it is a positional argument.
    pub arg: bool,
    /// `id()` of the object.
    pub addr: u64,
    /// The object as text.
    pub repr: String,
}

impl Frame {
    /// Whether the frame can stand on `line`.
    pub fn allows(&self, line: Option<u32>) -> bool {
        // A line that is not known may be given as none or as 0.
        if self.lines.is_empty() {
            self.line.filter(|line| *line > 0) == line.filter(|line| *line > 0)
        } else {
            line.is_some_and(|line| self.lines.contains(&line))
        }
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Handshake {
    Ready(Testimony),
    Unsupported { unsupported: String },
}

/// A running target; dropping it kills it.
pub struct Target {
    /// The process id of the interpreter.
    pub pid: u32,
    /// What it said.
    pub testimony: Testimony,
    child: Child,
    stdin: Option<ChildStdin>,
    output: Output,
}

/// The folder of the targets.
pub fn scripts() -> PathBuf {
    workspace().join("tests/targets")
}

/// A command that runs `executable` as a target must be run: no environment but what every target is given.
pub fn clean_command(executable: &Path) -> Command {
    let mut command = Command::new(executable);
    command
        .env_clear()
        .envs(["PATH", "HOME"].into_iter().filter_map(|name| Some((name, std::env::var_os(name)?))))
        .env("LC_ALL", "C.UTF-8")
        .env("PYTHONDONTWRITEBYTECODE", "1");
    command
}

/// The command of the target `script` with `arguments`.
pub fn command(interpreter: &Interpreter, script: &str, arguments: &[&str]) -> Command {
    let mut command = clean_command(&interpreter.path);
    command.arg(scripts().join(script)).args(arguments);
    command
}

impl Target {
    /// Starts a target and waits until all its threads are in place.
    pub fn start(command: Command) -> Outcome<Target> {
        Self::start_found_by(command, Some)
    }

    /// Like [`Target::start`], for a command that runs the interpreter in another process: `find` gets the id of
    /// the started one and gives the interpreter's.
    pub fn start_found_by(command: Command, find: impl FnOnce(u32) -> Option<u32>) -> Outcome<Target> {
        let mut target = Self::spawn(command)?;
        target.pid = find(target.pid).ok_or("the interpreter's process is not where it should be")?;
        target.settle()?;
        Ok(target)
    }

    /// Starts a target bound to the processor number `processor`.
    pub fn start_on(processor: usize, mut command: Command) -> Outcome<Target> {
        let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        process::pin(child.id(), processor)?;
        Self::greeted(child)
    }

    fn spawn(mut command: Command) -> Outcome<Target> {
        let child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("{command:?}: {error}"))?;
        Self::greeted(child)
    }

    /// Reads the handshake. From here on the child is killed when something fails.
    fn greeted(mut child: Child) -> Outcome<Target> {
        let stdin = child.stdin.take();
        let output = Output { pipe: child.stdout.take().ok_or("no stdout")?, unread: Vec::new() };
        let testimony = Testimony { version: Vec::new(), gil: true, threads: Vec::new() };
        let mut target = Target { pid: child.id(), testimony, child, stdin, output };
        let line = target.output.line().map_err(|error| format!("the target said nothing: {error}"))?;
        target.testimony = match serde_json::from_str(&line) {
            Ok(Handshake::Ready(testimony)) => testimony,
            Ok(Handshake::Unsupported { unsupported }) => {
                return Err(format!("the target cannot run here: {unsupported}").into());
            }
            Err(_) => return Err(format!("the target failed: {line}").into()),
        };
        Ok(target)
    }

    /// Waits until every idle thread sleeps and the first one does so in read(0), and after that every other thread
    /// has run for a while: then it has whatever the idle ones had until they slept, as the GIL.
    fn settle(&self) -> Outcome {
        const READ: u32 = 0;
        for (index, thread) in self.testimony.threads.iter().enumerate().filter(|(_, thread)| thread.idle) {
            process::wait_until("every thread of the target sleeps", || {
                self.kernel_thread(thread).is_some_and(|id| {
                    process::state(self.pid, id) == Some('S')
                        && (index > 0 || process::system_call(self.pid, id) == Some((READ, 0)))
                })
            })?;
        }
        for thread in self.testimony.threads.iter().filter(|thread| !thread.idle) {
            let ticks = || process::ticks(self.pid, self.kernel_thread(thread)?);
            let before = ticks();
            process::wait_until("every busy thread runs", || ticks() >= before.map(|before| before + 2))?;
        }
        Ok(())
    }

    /// The id that the kernel gives `thread` outside of the target's pid namespace.
    pub fn kernel_thread(&self, thread: &Thread) -> Option<u32> {
        process::thread_called(self.pid, thread.native_id)
    }

    /// Has `work.py` do one unit of work.
    pub fn work(&mut self) -> Outcome {
        self.stdin.as_mut().ok_or("stdin is closed")?.write_all(b"x")?;
        match self.output.byte()? {
            b'.' => Ok(()),
            other => Err(format!("the target answered {:?}", char::from(other)).into()),
        }
    }

    /// Has a target that answers each byte with a line do so.
    pub fn ask(&mut self) -> Outcome<String> {
        self.stdin.as_mut().ok_or("stdin is closed")?.write_all(b"x")?;
        self.output.line()
    }

    /// The next byte the target writes.
    pub fn answer(&mut self) -> Outcome<u8> {
        self.output.byte()
    }

    /// Closes the target's stdin, which ends it, and waits for its end.
    pub fn end(&mut self) -> Outcome<ExitStatus> {
        self.close();
        process::wait_for_end(&mut self.child)
    }

    /// Closes the target's stdin without waiting for the end that follows.
    pub fn close(&mut self) {
        self.stdin = None;
    }

    /// Ends `work.py`, and fails if anything went wrong in it.
    pub fn end_unharmed(&mut self) -> Outcome {
        self.close();
        let verdict = self.output.line()?;
        let status = process::wait_for_end(&mut self.child)?;
        if verdict.trim() == r#"{"wrong": []}"# && status.success() {
            return Ok(());
        }
        Err(format!("the target was harmed: {verdict}, {status}").into())
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        // Either may have ended before, which is what is wanted.
        if self.pid != self.child.id() && self.stdin.is_some() {
            let _ = process::send(self.pid, rustix::process::Signal::KILL);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The stdout of a target, read with a deadline.
struct Output {
    pipe: ChildStdout,
    unread: Vec<u8>,
}

impl Output {
    fn fill(&mut self, deadline: Instant) -> Outcome {
        process::wait_readable(&self.pipe, deadline)?;
        let mut buffer = [0; 65536];
        let length = self.pipe.read(&mut buffer)?;
        if length == 0 {
            return Err("the target closed its output".into());
        }
        self.unread.extend_from_slice(&buffer[..length]);
        Ok(())
    }

    fn line(&mut self) -> Outcome<String> {
        let deadline = Instant::now() + DEADLINE;
        loop {
            if let Some(end) = self.unread.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.unread.drain(..=end).collect();
                return Ok(String::from_utf8(line)?);
            }
            self.fill(deadline)?;
        }
    }

    fn byte(&mut self) -> Outcome<u8> {
        let deadline = Instant::now() + DEADLINE;
        while self.unread.is_empty() {
            self.fill(deadline)?;
        }
        Ok(self.unread.remove(0))
    }
}
