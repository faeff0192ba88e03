//! A parent and its workers (`tests/programs/workers.py`): each has met the test in a function of its own, and works
//! in it from when it is told to until the test hangs up.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use rspy_tests::environment::programs;
use rspy_tests::interpreters::Interpreter;
use rspy_tests::meeting::{Meeting, MeetingPoint};
use rspy_tests::program::command;
use rspy_tests::target::scripts;
use rspy_tests::{Outcome, process};

/// So long each worker works at least while it is recorded.
const WORK: Duration = Duration::from_millis(300);

/// Who works; dropping it hangs up, which ends it.
pub struct Worker {
    pub pid: u32,
    /// What it works in.
    pub function: String,
    meeting: Meeting,
}

/// A parent and its workers; dropping it hangs up.
pub struct Crew {
    /// The parent.
    pub root: u32,
    pub workers: Vec<Worker>,
    /// Held until this is dropped.
    _lead: Option<Meeting>,
}

/// The function of the parent.
const LEAD: &str = "lead";

/// The command line after the interpreter that starts workers in the way `how`.
pub fn arguments(how: &str, point: &MeetingPoint) -> Outcome<[String; 3]> {
    Ok([programs().join("workers.py").display().to_string(), how.to_owned(), point.port()?])
}

/// A command that starts workers.
pub fn start(interpreter: &Interpreter, how: &str, point: &MeetingPoint) -> Outcome<Command> {
    let mut command = command(&interpreter.path);
    command.args(arguments(how, point)?);
    Ok(command)
}

/// The same as words for who starts it with rspy's environment.
pub fn words(interpreter: &Interpreter, how: &str, point: &MeetingPoint) -> Outcome<Vec<String>> {
    let modules: [PathBuf; 2] = [programs(), scripts()];
    let path = format!("PYTHONPATH={}:{}", modules[0].display(), modules[1].display());
    let mut words = vec!["env".to_owned(), path, interpreter.path.display().to_string()];
    words.extend(arguments(how, point)?);
    Ok(words)
}

impl Worker {
    /// The next who comes.
    pub fn meet(point: &MeetingPoint) -> Outcome<Worker> {
        let meeting = point.next()?;
        let stack = meeting.thread()?.stacks.first().ok_or("a meeting without a stack")?;
        // The innermost is what it meets in.
        let function = stack.get(1).ok_or("a meeting without a function")?.name.clone();
        Ok(Worker { pid: meeting.pid, function, meeting })
    }

    pub fn let_work(&mut self) -> Outcome {
        self.meeting.let_work()
    }

    /// Waits until it has worked for a while since it had been on a processor for so long.
    pub fn works_since(&self, before: Duration) -> Outcome {
        process::wait_until("a worker works", || process::processor_time(self.pid) >= before + WORK)
    }
}

impl Crew {
    /// Waits for the parent and so many workers.
    pub fn meet(point: &MeetingPoint, workers: usize) -> Outcome<Crew> {
        let mut all = Vec::new();
        for _ in 0..=workers {
            all.push(Worker::meet(point)?);
        }
        let lead = all.iter().position(|worker| worker.function == LEAD).ok_or("no parent came")?;
        let lead = all.remove(lead);
        Ok(Crew { root: lead.pid, workers: all, _lead: Some(lead.meeting) })
    }

    /// Workers whose parent does not come to meet.
    pub fn below(root: u32, workers: Vec<Worker>) -> Crew {
        Crew { root, workers, _lead: None }
    }

    /// What each worker works in.
    pub fn functions(&self) -> BTreeMap<u32, String> {
        self.workers.iter().map(|worker| (worker.pid, worker.function.clone())).collect()
    }

    /// The processes with what started them: all below the parent run Python.
    pub fn processes(&self) -> BTreeMap<u32, Option<u32>> {
        let mut all = BTreeMap::from([(self.root, None)]);
        all.extend(process::descendants(self.root).into_iter().map(|pid| (pid, process::parent(pid))));
        all
    }

    /// How long each process has been on a processor.
    pub fn times(&self) -> BTreeMap<u32, Duration> {
        self.processes().into_keys().map(|pid| (pid, process::processor_time(pid))).collect()
    }

    /// Lets the workers work, and waits until each has done so for a while.
    pub fn work(&mut self) -> Outcome {
        let before: Vec<Duration> =
            self.workers.iter().map(|worker| process::processor_time(worker.pid)).collect();
        for worker in &mut self.workers {
            worker.let_work()?;
        }
        self.workers.iter().zip(before).try_for_each(|(worker, before)| worker.works_since(before))
    }

    /// The worker whose function is called so.
    pub fn worker(&mut self, function: &str) -> Outcome<&mut Worker> {
        let found = self.workers.iter_mut().find(|worker| worker.function == function);
        found.ok_or_else(|| format!("no worker in {function}").into())
    }
}
