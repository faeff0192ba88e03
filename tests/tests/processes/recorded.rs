//! Recordings of process trees, and what each has to fulfil.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use rustix::process::Signal;
use tempfile::TempDir;

use rspy_tests::figures::{Figures, ProcessFigures};
use rspy_tests::rspy::{Output, Recording};
use rspy_tests::stacks::{Profile, Seen};
use rspy_tests::{Outcome, process};

use crate::crew::Crew;

/// What the kernel counts for a process may be older than what it counts for its threads: a tick, and some more.
const CLOCKS: Duration = Duration::from_millis(30);

/// So much of the samples of a worker that is in its function all the time is there: of the rest the stack is unknown.
const SHARE: f64 = 0.7;

/// So many samples a worker has in its function at least, of the thirty of its time on a processor: others may have the
/// processors as well.
const FEWEST: u64 = 10;

/// So many samples of a process, and one in twenty, may be of threads that fell asleep just when they were looked at.
const FELL_ASLEEP: u64 = 3;

/// A recording that goes on.
pub struct Running {
    recording: Recording,
    folder: TempDir,
}

/// One that has ended.
pub struct Recorded {
    pub figures: Figures,
    pub profile: Profile,
    pub output: Output,
}

impl Running {
    /// Starts one of what the words say.
    pub fn start(words: &[String]) -> Outcome<Running> {
        let folder = tempfile::tempdir()?;
        let file = Self::file(&folder).display().to_string();
        let common = ["--subprocesses", "--rate", "100", "--summary", &file];
        let words = common.into_iter().chain(words.iter().map(String::as_str));
        let recording = Recording::start(&words.collect::<Vec<_>>())?;
        Ok(Running { recording, folder })
    }

    /// Starts one of process `pid` and those below it.
    pub fn of(pid: u32) -> Outcome<Running> {
        Self::start(&["--pid".to_owned(), pid.to_string()])
    }

    fn file(folder: &TempDir) -> PathBuf {
        folder.path().join("figures.json")
    }

    /// Waits until it samples all of `pids`; answers false if it has ended instead.
    pub fn samples(&mut self, pids: impl IntoIterator<Item = u32>) -> Outcome<bool> {
        let rspy = self.recording.run.pid();
        for pid in pids {
            process::wait_until("a process is sampled", || {
                process::is_sampled(pid, rspy) || self.recording.run.has_ended()
            })?;
        }
        Ok(!self.recording.run.has_ended())
    }

    /// Ends it as Control-C does.
    pub fn interrupt(self) -> Outcome<Recorded> {
        self.recording.run.send(Signal::INT)?;
        self.finish()
    }

    /// Waits until it ends.
    pub fn finish(self) -> Outcome<Recorded> {
        let (profile, output) = self.recording.finish()?;
        Ok(Recorded { figures: Figures::read(&Self::file(&self.folder))?, profile, output })
    }

    /// What it said, if it has failed.
    pub fn failed(self) -> Outcome<String> {
        Ok(self.recording.run.output()?.graceful_failure()?.stderr)
    }
}

/// The processes a stack is below, the outermost first.
fn processes_of(stack: &[Seen]) -> Vec<u32> {
    let pid = |frame: &Seen| frame.name.strip_prefix("process ")?.split_once(':')?.0.parse().ok();
    stack.iter().rev().map_while(pid).collect()
}

impl Recorded {
    /// What is said of process `pid`, which is there once.
    pub fn process(&self, pid: u32) -> Outcome<&ProcessFigures> {
        let found: Vec<&ProcessFigures> =
            self.figures.processes.iter().filter(|process| process.pid == pid).collect();
        match found[..] {
            [process] => Ok(process),
            _ => Err(format!("process {pid} is there {} times: {:#?}", found.len(), self.figures).into()),
        }
    }

    /// Fails unless exactly these processes are in it, each below the one that started it, and complained of none.
    pub fn is_of(&self, expected: &BTreeMap<u32, Option<u32>>) -> Outcome {
        for (pid, parent) in expected {
            let process = self.process(*pid)?;
            let parent = parent.filter(|parent| expected.contains_key(parent));
            if process.parent != parent {
                return Err(format!("process {pid} is below {:?}, not {parent:?}", process.parent).into());
            }
            // Whoever has a Python in it has some memory and some time.
            let is_known = process.max_rss.is_some_and(|bytes| bytes > 1 << 20) && process.seconds > 0.0;
            let samples: u64 = process.threads.iter().map(|thread| thread.samples).sum();
            if !is_known || process.threads.is_empty() || samples != process.samples {
                return Err(format!("what is said of process {pid}: {process:#?}").into());
            }
        }
        let others: Vec<&ProcessFigures> =
            self.figures.processes.iter().filter(|process| !expected.contains_key(&process.pid)).collect();
        if !others.is_empty() {
            return Err(format!("others than {expected:?}: {others:#?}").into());
        }
        if self.output.stderr.contains("rspy: ") {
            return Err(format!("it complained: {}", self.output.stderr).into());
        }
        self.stacks_are_below(expected)
    }

    /// Whether every stack is below its process and those above that, and as many as the figures say.
    fn stacks_are_below(&self, expected: &BTreeMap<u32, Option<u32>>) -> Outcome {
        let mut samples: BTreeMap<u32, u64> = BTreeMap::new();
        for (stack, count) in &self.profile.stacks {
            let processes = processes_of(stack);
            let Some(own) = processes.last() else {
                return Err(format!("{stack:?} is of no process").into());
            };
            let upwards = std::iter::successors(Some(*own), |pid| {
                expected.get(pid).copied().flatten().filter(|parent| expected.contains_key(parent))
            });
            let mut path: Vec<u32> = upwards.collect();
            path.reverse();
            if processes != path {
                return Err(format!("a stack below {processes:?}, not {path:?}: {stack:?}").into());
            }
            *samples.entry(*own).or_default() += count;
        }
        for process in &self.figures.processes {
            let count = samples.get(&process.pid).copied().unwrap_or(0);
            // What is lost is no sample of a thread, but shown below its process. Who fell asleep just when it was
            // looked at is a sample, and left out of what shows who runs.
            let all = process.samples + process.lost.values().sum::<u64>();
            if count > all || count + all / 20 + FELL_ASLEEP < all {
                return Err(format!("{count} samples are below process {}: {process:#?}", process.pid).into());
            }
        }
        Ok(())
    }

    /// Fails unless process `pid` is seen in `function`, and never in one of `others`. Gives the share of that function.
    pub fn works_in(&self, pid: u32, function: &str, others: &[&str]) -> Outcome<f64> {
        let (mut all, mut right) = (0, 0);
        for (stack, count) in &self.profile.stacks {
            if processes_of(stack).last() != Some(&pid) {
                continue;
            }
            all += count;
            right += if stack.iter().any(|frame| frame.name == function) { *count } else { 0 };
            if let Some(wrong) = stack.iter().find(|frame| others.contains(&frame.name.as_str())) {
                return Err(format!("{wrong} is in a stack of process {pid}, which is in {function}").into());
            }
        }
        if right < FEWEST {
            return Err(format!("{right} of {all} samples of process {pid} are in {function}").into());
        }
        Ok(right as f64 / all as f64)
    }

    /// Fails unless each of these processes is seen in its own function and in none of the others'.
    pub fn each_works(&self, functions: &BTreeMap<u32, String>) -> Outcome {
        for (pid, function) in functions {
            let others = functions.values().map(String::as_str);
            let others: Vec<&str> = others.filter(|other| other != function).collect();
            self.works_in(*pid, function, &others)?;
        }
        Ok(())
    }

    /// The same of workers that do nothing else while they are recorded.
    pub fn all_work(&self, crew: &Crew) -> Outcome {
        self.each_works(&crew.functions())?;
        for (pid, function) in crew.functions() {
            let share = self.works_in(pid, &function, &[])?;
            if share < SHARE {
                return Err(format!("a share of {share:.2} of process {pid} is in {function}").into());
            }
        }
        Ok(())
    }

    /// Fails unless process `pid` is said to have been on processors for `least` to `most`.
    pub fn used(&self, pid: u32, least: Duration, most: Duration) -> Outcome {
        let process = self.process(pid)?;
        let percent = process.cpu_percent.ok_or_else(|| format!("nothing is known of {pid}: {process:?}"))?;
        let seconds = percent / 100.0 * process.seconds;
        let (least, most) = (least.saturating_sub(CLOCKS).as_secs_f64(), (most + CLOCKS).as_secs_f64());
        if (least..=most).contains(&seconds) {
            return Ok(());
        }
        Err(format!(
            "process {pid} used {seconds:.3} s of CPU, {least:.3} to {most:.3} expected: {process:#?}"
        )
        .into())
    }
}
