//! Real programs: servers, workers, notebooks, with all the processes that they start.

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use rustix::process::{Signal, kill_process_group};
use tempfile::TempDir;

use crate::environment::programs;
use crate::stacks::{Profile, Seen};
use crate::target::{clean_command, scripts};
use crate::{Outcome, process};

/// A running program; dropping it kills it with everything it started.
pub struct Program {
    child: Child,
    log: File,
    folder: TempDir,
}

/// A command that runs `executable` where the modules of `tests/programs` can be imported.
pub fn command(executable: &Path) -> Command {
    let mut command = clean_command(executable);
    let modules = [programs(), scripts()].map(|folder| folder.display().to_string());
    command.env("PYTHONPATH", modules.join(":")).env("PYTHONUNBUFFERED", "1");
    command
}

impl Program {
    /// Starts `command` in a folder of its own, which is also its home.
    pub fn start(command: Command) -> Outcome<Program> {
        Self::start_in(tempfile::tempdir()?, command)
    }

    /// Starts `command` in `folder`.
    pub fn start_in(folder: TempDir, mut command: Command) -> Outcome<Program> {
        let log = tempfile::tempfile()?;
        let child = command
            .current_dir(folder.path())
            .env("HOME", folder.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log.try_clone()?)
            .process_group(0)
            .spawn()
            .map_err(|error| format!("{command:?}: {error}"))?;
        Ok(Program { child, log, folder })
    }

    /// The id of the process that was started.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// A place in its folder.
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Everything it has written so far.
    pub fn log(&self) -> Outcome<String> {
        let mut bytes = vec![0; usize::try_from(self.log.metadata()?.len())?];
        // Not by the file's position, which is where the program writes next.
        self.log.read_exact_at(&mut bytes, 0)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Waits until it writes `text`.
    pub fn says(&mut self, text: &str) -> Outcome {
        self.wait_for(text, |log| log.contains(text).then_some(()))
    }

    /// Waits until it writes the port it listens at, after the text `before`.
    pub fn port(&mut self, before: &str) -> Outcome<u16> {
        self.wait_for(before, |log| {
            let (_, after) = log.split_once(before)?;
            // Only what is followed by something else is whole.
            let end = after.find(|character: char| !character.is_ascii_digit())?;
            after[..end].parse().ok()
        })
    }

    fn wait_for<T>(&mut self, what: &str, find: impl Fn(&str) -> Option<T>) -> Outcome<T> {
        let mut found = None;
        let waited = process::wait_until(what, || {
            // Asked first, so that nothing it wrote before its end is missed.
            let has_ended = self.child.try_wait().is_ok_and(|status| status.is_some());
            found = self.log().ok().and_then(|log| find(&log));
            found.is_some() || has_ended
        });
        let log = self.log()?;
        waited.map_err(|error| format!("{error}; the program wrote:\n{log}"))?;
        found.ok_or_else(|| format!("the program ended before it said {what:?}; it wrote:\n{log}").into())
    }

    /// Sends `signal` to the process that was started, and waits for its end.
    pub fn end(&mut self, signal: Signal) -> Outcome<ExitStatus> {
        process::send(self.pid(), signal)?;
        self.wait()
    }

    /// Waits for its end.
    pub fn wait(&mut self) -> Outcome<ExitStatus> {
        Ok(process::wait_for_end(&mut self.child).map_err(|error| match self.log() {
            Ok(log) => format!("{error}; the program wrote:\n{log}"),
            Err(_) => error.to_string(),
        })?)
    }

    /// Waits for its end, and fails unless that and its last words are as they should be.
    pub fn ends_saying(&mut self, text: &str) -> Outcome {
        let status = self.wait()?;
        let log = self.log()?;
        if status.success() && log.contains(text) {
            return Ok(());
        }
        Err(format!("the program ended with {status} and should have said {text:?}:\n{log}").into())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // What left the process group is still a descendant, as long as its parent lives. Any of them may have
        // ended before, which is what is wanted.
        for descendant in process::descendants(self.pid()) {
            let _ = process::send(descendant, Signal::KILL);
        }
        let _ = kill_process_group(process::pid(self.pid()), Signal::KILL);
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A place in the source of a program that its stacks go through.
#[derive(Debug)]
pub struct Place {
    /// The function.
    pub name: &'static str,
    /// The end of its file's name.
    pub file: String,
    /// The line.
    pub line: u32,
}

impl Place {
    /// The line of `function` in `tests/programs/FILE` that ends with the comment `marker`.
    pub fn marked(function: &'static str, file: &str, marker: &str) -> Outcome<Place> {
        let path = programs().join(file);
        Self::at(function, &path, |line| line.ends_with(&format!("# {marker}")))
    }

    /// The first line of `function` in the file `path` that `is_it`.
    pub fn at(function: &'static str, path: &Path, is_it: impl Fn(&str) -> bool) -> Outcome<Place> {
        let mut text = String::new();
        let opened = File::open(path).and_then(|mut file| file.read_to_string(&mut text));
        opened.map_err(|error| format!("{}: {error}", path.display()))?;
        let head = format!("def {function}(");
        let lines = text.lines().enumerate().skip_while(|(_, line)| !line.contains(&head));
        let found = lines.skip(1).find(|(_, line)| is_it(line));
        let (index, _) = found.ok_or_else(|| format!("{} has no such line in {function}", path.display()))?;
        let file = path.file_name().ok_or("no file")?.to_string_lossy().into_owned();
        Ok(Place { name: function, file, line: u32::try_from(index)? + 1 })
    }

    /// Whether `seen` is there.
    pub fn is(&self, seen: &Seen) -> bool {
        let name = seen.name.rsplit('.').next();
        let file = Path::new(&seen.filename).file_name().and_then(|name| name.to_str());
        name == Some(self.name) && file == Some(&self.file) && seen.line == Some(self.line)
    }

    /// Fails unless `stack` goes through there.
    pub fn is_in(&self, stack: &[Seen]) -> Outcome {
        if stack.iter().any(|seen| self.is(seen)) {
            return Ok(());
        }
        let stack: Vec<String> = stack.iter().map(Seen::to_string).collect();
        Err(format!("{self:?} is not in the stack\n  {}", stack.join("\n  ")).into())
    }

    /// The share of a recording's samples, from 0 to 1, that go through there.
    pub fn share(&self, profile: &Profile) -> f64 {
        let through = profile.stacks.iter().filter(|(stack, _)| stack.iter().any(|seen| self.is(seen)));
        let through: u64 = through.map(|(_, count)| count).sum();
        through as f64 / profile.samples().max(1) as f64
    }
}

/// The file below `folder` whose path ends with `end`, wherever it is.
pub fn find_file(folder: &Path, end: &str) -> Option<PathBuf> {
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).ok()?.flatten() {
            let path = entry.path();
            if path.ends_with(end) {
                return Some(path);
            }
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                folders.push(path);
            }
        }
    }
    None
}
