//! The binary under test.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{Read, Seek};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::str::FromStr;
use std::sync::OnceLock;

use rustix::process::Signal;
use tempfile::TempDir;

use crate::interpreters::workspace;
use crate::stacks::{DumpThread, Profile};
use crate::{Outcome, process};

/// The executable: `RSPY`, or the workspace's own, built once.
pub fn binary() -> &'static PathBuf {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| match std::env::var_os("RSPY") {
        Some(path) => path.into(),
        None => build(),
    })
}

/// Builds the optimised binary and asks cargo where it put it.
fn build() -> PathBuf {
    let output = Command::new(env!("CARGO"))
        .args(["build", "--release", "--package", "rspy", "--bin", "rspy"])
        .args(["--message-format", "json-render-diagnostics"])
        .current_dir(workspace())
        .stderr(Stdio::inherit())
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "rspy does not build");
    let messages = String::from_utf8(output.stdout).expect("cargo writes UTF-8");
    let executable = messages
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter_map(|message| Some(message.get("executable")?.as_str()?.to_owned()))
        .next_back();
    executable.expect("cargo names the executable").into()
}

/// A run of the binary; dropping it kills it.
pub struct Run {
    child: Child,
    stdout: File,
    stderr: File,
}

/// The figures of the line that ends a recording.
#[derive(Copy, Clone, Debug)]
pub struct Summary {
    /// Samples in all.
    pub samples: u64,
    /// Looks that failed, and threads that could not be read.
    pub lost: u64,
    /// Samples whose innermost frames are not known.
    pub cut: u64,
    /// Ticks that passed without a look.
    pub missed: u64,
    /// Stops that were given up, since the thread did not get a processor for that long.
    pub late: u64,
    /// How long it took, in seconds.
    pub seconds: f64,
    /// How the target was stopped.
    pub stops: Stops,
}

/// What a recording says of the target's stops.
#[derive(Copy, Clone, Debug, Default)]
pub struct Stops {
    /// How many there were.
    pub count: u64,
    /// How long they were in all.
    pub milliseconds: f64,
    /// How many milliseconds the longest one was.
    pub longest: f64,
}

/// What a run left behind.
#[derive(Debug)]
pub struct Output {
    /// How it ended.
    pub status: ExitStatus,
    /// What it wrote to stdout.
    pub stdout: String,
    /// What it wrote to stderr.
    pub stderr: String,
}

impl Output {
    /// Itself, if the run succeeded.
    pub fn success(self) -> Outcome<Output> {
        if self.status.success() { Ok(self) } else { Err(format!("rspy failed: {self:?}").into()) }
    }

    /// The line that ends a recording.
    pub fn summary_line(&self) -> Outcome<&str> {
        let line = self.stderr.lines().find(|line| line.contains(" samples, ") && line.contains(" lost, "));
        line.ok_or_else(|| format!("no summary in {:?}", self.stderr).into())
    }

    /// What the last line of a recording says.
    pub fn summary(&self) -> Outcome<Summary> {
        let line = self.summary_line()?;
        // Only said if there are any.
        let stops = if line.contains(" stops of ") {
            Stops {
                count: figure(line, " stops of ")?,
                milliseconds: figure(line, " ms in all")?,
                longest: figure(line, " ms at most")?,
            }
        } else {
            Stops::default()
        };
        Ok(Summary {
            samples: figure(line, " samples")?,
            lost: figure(line, " lost")?,
            cut: figure(line, " cut")?,
            missed: figure(line, " missed")?,
            late: if line.contains(" late") { figure(line, " late")? } else { 0 },
            seconds: figure(line, " s; ")?,
            stops,
        })
    }

    /// Itself, if the run failed with a message and neither panicked nor died of a signal.
    pub fn graceful_failure(self) -> Outcome<Output> {
        let is_graceful = self.status.code().is_some_and(|code| code != 0 && code != 101);
        if is_graceful && !self.stderr.trim().is_empty() && !self.stderr.contains("panicked") {
            return Ok(self);
        }
        Err(format!("rspy should have failed with a message: {self:?}").into())
    }
}

/// The number before `name` in a summary: `4,997` or `330.9`.
fn figure<T: FromStr>(line: &str, name: &str) -> Outcome<T> {
    let unreadable = || format!("no{name} in {line:?}");
    let before = line.split_once(name).ok_or_else(unreadable)?.0;
    let grouped = before.rsplit(' ').next().unwrap_or_default();
    Ok(grouped.replace(',', "").parse().map_err(|_| unreadable())?)
}

impl Run {
    /// Starts the binary with `arguments`.
    pub fn start<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> Outcome<Run> {
        let (stdout, stderr) = (tempfile::tempfile()?, tempfile::tempfile()?);
        let child = Command::new(binary())
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(stdout.try_clone()?)
            .stderr(stderr.try_clone()?)
            .spawn()
            .map_err(|error| format!("{}: {error}", binary().display()))?;
        Ok(Run { child, stdout, stderr })
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whether it has ended.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().is_ok_and(|status| status.is_some())
    }

    /// Sends it a signal.
    pub fn send(&self, signal: Signal) -> Outcome {
        process::send(self.child.id(), signal)
    }

    /// Waits for its end.
    pub fn output(mut self) -> Outcome<Output> {
        let ended = process::wait_for_end(&mut self.child);
        let (stdout, stderr) = (content(&mut self.stdout)?, content(&mut self.stderr)?);
        let status = ended.map_err(|error| format!("rspy: {error}\n{stderr}"))?;
        Ok(Output { status, stdout, stderr })
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        // It may have ended before, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn content(file: &mut File) -> Outcome<String> {
    file.rewind()?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The stacks of all threads of `pid`.
pub fn dump(pid: u32) -> Outcome<Vec<DumpThread>> {
    let output = Run::start(["dump", "--json", "--pid", &pid.to_string()])?.output()?.success()?;
    serde_json::from_str(&output.stdout).map_err(|error| format!("{error} in {}", output.stdout).into())
}

/// The same with the variables of every frame, `verbosity` times `--locals`.
pub fn dump_with_locals(pid: u32, verbosity: usize) -> Outcome<Vec<DumpThread>> {
    let pid = pid.to_string();
    let arguments = ["dump", "--json", "--pid", &pid].into_iter();
    let output =
        Run::start(arguments.chain(std::iter::repeat_n("--locals", verbosity)))?.output()?.success()?;
    serde_json::from_str(&output.stdout).map_err(|error| format!("{error} in {}", output.stdout).into())
}

/// The text that a person gets to see instead.
pub fn dump_text(pid: u32) -> Outcome<String> {
    Ok(Run::start(["dump", "--pid", &pid.to_string()])?.output()?.success()?.stdout)
}

/// A recording that is being made: collapsed stacks with whole file names.
pub struct Recording {
    /// The running recorder.
    pub run: Run,
    folder: TempDir,
}

impl Recording {
    /// Starts to record; `arguments` say what.
    pub fn start(arguments: &[&str]) -> Outcome<Recording> {
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("stacks.raw");
        let run = Run::start(
            ["record", "--format", "raw", "--full-filenames", "--output"]
                .map(OsStr::new)
                .into_iter()
                .chain([file.as_os_str()])
                .chain(arguments.iter().map(OsStr::new)),
        )?;
        Ok(Recording { run, folder })
    }

    /// Starts to record the process `pid`.
    pub fn of(pid: u32, arguments: &[&str]) -> Outcome<Recording> {
        Self::start(&[&["--pid", &pid.to_string()], arguments].concat())
    }

    /// Waits for its end; gives what was recorded, and what the recorder wrote.
    pub fn finish(self) -> Outcome<(Profile, Output)> {
        let output = self.run.output()?.success()?;
        let file = self.folder.path().join("stacks.raw");
        let text = std::fs::read_to_string(&file)
            .map_err(|error| format!("no recording: {error}\n{}", output.stderr))?;
        Ok((Profile::parse(&text)?, output))
    }
}
