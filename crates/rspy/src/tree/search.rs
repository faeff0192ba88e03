//! The thread that searches a tree for Python: looks, decides what to look into, and when.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use rspy_cpython::{Attached, FindError};
use rspy_process::tree::{Member, Tree};
use rspy_process::{Process, ProcessError, ReadError};

use super::{Event, Found, Interpreters};
use crate::attach::{Tries, executable_of};
use crate::costs::thread_cpu_time;
use crate::failure::Failure;

/// How often the tree is looked at, at most and at least.
const SHORTEST: Duration = Duration::from_millis(10);
const LONGEST: Duration = Duration::from_millis(500);

/// How many times as long as a look took there is none: so that it takes less than half
/// a hundredth of a CPU, with what waking up takes.
const LOOK_REST: u32 = 400;

/// How many times as long as a try took there is none in what runs the same executable, if that had no
/// Python in it: more with each, within these.
const TRY_RESTS: (u32, u32) = (4, 400);

/// How old a process is when its interpreter is looked for first: one that was forked to run another
/// program looks like its parent until it does.
const SETTLED: Duration = Duration::from_millis(2);

/// The same for one that runs what had no Python in it before: most of those are gone by then.
const UNLIKELY: Duration = Duration::from_millis(50);

/// How long a fork may take until a thread state of it is of one of its own threads. Of one that will only run another
/// program none ever is: it has its parent's, in the very memory of its parent while that waits (`vfork`).
const OWNED: Duration = Duration::from_millis(50);

/// How long an interpreter may take to start before it is said that it cannot be read.
const STARTING: Duration = Duration::from_secs(1);

/// What is known of a tree.
pub struct Search {
    root: u32,
    /// By process id.
    candidates: HashMap<u32, Candidate>,
    interpreters: Interpreters,
    /// Executables that there was Python in.
    likely: HashSet<PathBuf>,
    /// Executables that there was no Python in.
    unlikely: HashMap<PathBuf, Unlikely>,
}

/// What is known of an executable that there was no Python in.
struct Unlikely {
    tries: u32,
    rests_until: Instant,
}

/// A process that may run Python.
struct Candidate {
    start_time: u64,
    /// Since when it runs what it runs.
    since: Instant,
    tries: Tries,
    /// It was said that it cannot be read.
    has_failed: bool,
    /// What was found in it.
    attached: Option<Attached>,
}

impl Search {
    /// Nothing, of the tree below `root`.
    pub fn new(root: u32) -> Search {
        Search {
            root,
            candidates: HashMap::new(),
            interpreters: Interpreters::default(),
            likely: HashSet::new(),
            unlikely: HashMap::new(),
        }
    }

    /// Searches until all processes have ended, or nobody listens any more.
    pub fn run(&mut self, mut tree: Tree, events: &Sender<Event>, asked: &Receiver<u32>) {
        let mut next_look = Instant::now();
        loop {
            if next_look <= Instant::now() {
                let start = thread_cpu_time();
                tree.look();
                self.follow(&tree);
                let cost = thread_cpu_time().saturating_sub(start);
                next_look = Instant::now() + cost.saturating_mul(LOOK_REST).clamp(SHORTEST, LONGEST);
                if !tree.lives() {
                    return;
                }
            }
            for member in tree.members().iter().filter(|member| member.lives) {
                if let Some(event) = self.attempt(&tree, member)
                    && events.send(event).is_err()
                {
                    return;
                }
            }
            let firsts = self.candidates.values().filter(|candidate| candidate.is_searched(0));
            let due = firsts.map(|candidate| candidate.tries.due).min();
            let due = due.map_or(next_look, |due| due.min(next_look));
            match asked.recv_timeout(due.saturating_duration_since(Instant::now())) {
                Ok(pid) => drop(self.candidates.remove(&pid)),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    /// Keeps up with who is there and what they run.
    fn follow(&mut self, tree: &Tree) {
        let there: HashMap<u32, u64> =
            tree.members().iter().map(|member| (member.pid, member.start_time)).collect();
        self.candidates.retain(|pid, candidate| there.get(pid) == Some(&candidate.start_time));
        for member in tree.members().iter().filter(|member| member.lives) {
            let known = self.candidates.get(&member.pid);
            if known.is_some_and(|known| known.attached.is_some()) {
                continue;
            }
            let executable = executable_of(member.pid);
            if known.is_some_and(|known| known.tries.executable == executable) {
                continue;
            }
            let is_unlikely = executable.as_ref().is_some_and(|path| self.unlikely.contains_key(path));
            let wait = match (is_unlikely, known) {
                (true, _) => UNLIKELY,
                (false, None) => SETTLED,
                (false, Some(_)) => Duration::ZERO,
            };
            self.candidates.insert(member.pid, Candidate::new(member.start_time, executable, wait));
        }
    }

    /// Looks into a process if it is time to.
    fn attempt(&mut self, tree: &Tree, member: &Member) -> Option<Event> {
        let now = Instant::now();
        let candidate = self.candidates.get(&member.pid)?;
        if !candidate.is_searched(u32::MAX) || now < candidate.tries.due {
            return None;
        }
        let executable = candidate.tries.executable.clone();
        let unlikely = executable.as_ref().and_then(|path| self.unlikely.get(path));
        if unlikely.is_some_and(|unlikely| now < unlikely.rests_until) {
            return None;
        }
        // What is known of a parent tells what its fork is.
        let parent = self.candidates.get(&member.parent);
        if parent.is_some_and(|parent| parent.is_searched(0) && parent.tries.due <= now + SETTLED) {
            return None;
        }
        let outcome = self.interpreter_of(member);
        let candidate = self.candidates.get_mut(&member.pid)?;
        candidate.tries.tried(now);
        match outcome {
            Ok((process, attached)) => {
                tracing::info!(pid = member.pid, version = %attached.version(), after = ?candidate.since.elapsed(),
                    tries = candidate.tries.count, "a Python in the tree");
                self.know(&process, &attached);
                let above = Above::new(tree);
                let parent = self.python_above(&above, member);
                let children = self.pythons_below(&above, tree, member.pid);
                let command_line = process.command_line().join(" ");
                Some(Event::Found(Box::new(Found { parent, children, command_line, process, attached })))
            }
            Err(error) => {
                tracing::debug!(pid = member.pid, %error, "no Python in it yet");
                candidate.has_failed = is_worth_telling(&error) && candidate.since.elapsed() >= STARTING;
                let has_failed = candidate.has_failed;
                if let (FindError::NotPython { .. }, Some(executable)) = (&error, executable)
                    && !self.likely.contains(&executable)
                {
                    self.rest(executable, now.elapsed());
                }
                has_failed.then(|| Event::Failed {
                    pid: member.pid,
                    failure: Failure::attaching(member.pid, &error),
                })
            }
        }
    }

    /// There was no Python in what runs `executable`, as a try found that took so long.
    fn rest(&mut self, executable: PathBuf, took: Duration) {
        let now = Instant::now();
        let unlikely = self.unlikely.entry(executable).or_insert(Unlikely { tries: 0, rests_until: now });
        unlikely.tries = unlikely.tries.saturating_add(1);
        let (least, most) = TRY_RESTS;
        unlikely.rests_until = now + took.saturating_mul(unlikely.tries.clamp(least, most));
    }

    fn interpreter_of(&self, member: &Member) -> Result<(Process, Attached), FindError> {
        let process = Process::open(member.pid)?;
        let attached = match self.in_fork(member, &process) {
            Some(attached) if self.is_young(member) && !has_own_threads(&attached, &process)? => {
                return Err(FindError::NotReady);
            }
            Some(attached) => attached,
            None => self.interpreters.find(&process)?,
        };
        let is_same = process.start_time() == member.start_time && process.is_same();
        if is_same { Ok((process, attached)) } else { Err(ReadError::Gone.into()) }
    }

    /// If it is a fork of its parent.
    fn in_fork(&self, member: &Member, process: &Process) -> Option<Attached> {
        let parent = self.candidates.get(&member.parent)?;
        // As of now: it may just have become another program.
        let is_alike = executable_of(member.pid) == parent.tries.executable;
        parent.attached.as_ref().filter(|_| is_alike)?.in_fork(process)
    }

    fn is_young(&self, member: &Member) -> bool {
        self.candidates.get(&member.pid).is_some_and(|candidate| candidate.since.elapsed() < OWNED)
    }

    /// Learns what is in a process.
    pub fn know(&mut self, process: &Process, attached: &Attached) {
        let executable = process.executable().ok();
        if let Some(executable) = &executable {
            self.unlikely.remove(executable);
            self.likely.insert(executable.clone());
        }
        self.interpreters.learn(attached);
        let mut candidate = Candidate::new(process.start_time(), executable, Duration::ZERO);
        candidate.attached = Some(attached.again());
        self.candidates.insert(process.pid(), candidate);
    }

    /// The nearest process above that runs Python, else the root.
    fn python_above(&self, above: &Above, member: &Member) -> u32 {
        above.of(member.pid).find(|pid| self.runs_python(*pid)).unwrap_or(self.root)
    }

    /// Those known to run Python to which process `pid`, which was found after them, is the nearest such above.
    fn pythons_below(&self, above: &Above, tree: &Tree, pid: u32) -> Vec<u32> {
        let known = tree.members().iter().filter(|member| self.runs_python(member.pid));
        let below = known.filter(|member| above.of(member.pid).find(|at| self.runs_python(*at)) == Some(pid));
        below.map(|member| member.pid).collect()
    }

    fn runs_python(&self, pid: u32) -> bool {
        let Some(candidate) = self.candidates.get(&pid) else { return false };
        // It may have become another program, which only who samples it would have noticed.
        let is_same =
            executable_of(pid).is_none_or(|executable| Some(executable) == candidate.tries.executable);
        candidate.attached.is_some() && is_same
    }
}

/// Whether any of its thread states is of a thread that the process has.
fn has_own_threads(attached: &Attached, process: &Process) -> Result<bool, ReadError> {
    let states = attached.threads(process.memory())?;
    let ids = attached.kernel_ids(process, process.memory(), &states);
    Ok(ids.iter().any(Option::is_some))
}

/// Who is above whom.
struct Above {
    parents: HashMap<u32, u32>,
}

impl Above {
    fn new(tree: &Tree) -> Above {
        Above { parents: tree.members().iter().map(|member| (member.pid, member.parent)).collect() }
    }

    /// The processes above `pid`, the nearest first.
    fn of(&self, pid: u32) -> impl Iterator<Item = u32> {
        let upwards = std::iter::successors(self.parents.get(&pid), |at| self.parents.get(at)).copied();
        // As many as there are processes, should ids that were used again close a circle.
        upwards.take(self.parents.len())
    }
}

impl Candidate {
    /// One that runs `executable` now, and is tried when it has for `wait`.
    fn new(start_time: u64, executable: Option<PathBuf>, wait: Duration) -> Candidate {
        let since = Instant::now();
        let tries = Tries { executable, count: 0, due: since + wait };
        Candidate { start_time, since, tries, has_failed: false, attached: None }
    }

    /// Whether its interpreter is still looked for, after no more than so many tries.
    fn is_searched(&self, tries: u32) -> bool {
        self.attached.is_none() && !self.has_failed && self.tries.count <= tries
    }
}

/// Whether an error is about what may well be Python, and will not pass by itself.
pub fn is_worth_telling(error: &FindError) -> bool {
    match error {
        FindError::Unsupported(_) | FindError::Inconsistent { .. } => true,
        FindError::Process(error) => matches!(error, ProcessError::Denied { .. } | ProcessError::Io { .. }),
        FindError::Read(error) => matches!(error, ReadError::Denied | ReadError::Os(_)),
        FindError::NotPython { .. } | FindError::NotReady | FindError::Elf(_) => false,
    }
}
