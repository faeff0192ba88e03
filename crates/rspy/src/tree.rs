//! Finding the Python processes of a tree, in a thread of its own: neither looking for
//! processes nor finding the interpreter in one costs the thread that samples anything.

use std::collections::{HashMap, HashSet};
use std::io;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rspy_cpython::{Attached, FindError};
use rspy_process::maps::loaded_files;
use rspy_process::tree::{Member, Tree};
use rspy_process::{Process, ProcessError, ReadError};
use rustix::process::{Resource, getrlimit, setrlimit};
use rustix::time::{ClockId, clock_gettime};

use crate::attach::{Tries, executable_of};
use crate::failure::Failure;
use crate::target::{Pausing, Target};

/// How often the tree is looked at, at most and at least.
const SHORTEST: Duration = Duration::from_millis(5);
const LONGEST: Duration = Duration::from_millis(500);

/// How many times as long as a look took there is none: so that looking takes a
/// hundredth of a CPU.
const LOOK_REST: u32 = 100;

/// The same after a try that found nothing, whichever process it was in.
const TRY_REST: u32 = 4;

/// How old a process is when its interpreter is looked for first: one that was forked to run another
/// program looks like its parent until it does.
const SETTLED: Duration = Duration::from_millis(2);

/// The same for one that runs what had no Python in it before: most of those are gone by then.
const UNLIKELY: Duration = Duration::from_millis(50);

/// How long an interpreter may take to start before it is said that it cannot be read.
const STARTING: Duration = Duration::from_secs(1);

/// What became known of a tree.
pub enum Event {
    /// A process that runs Python.
    Found(Box<Found>),
    /// A process may run Python, but cannot be read. Said once of each.
    Failed {
        /// Its process id.
        pid: u32,
        /// Why.
        failure: Failure,
    },
    /// All processes have ended: nothing comes after this.
    Over,
}

/// A process with its interpreter.
pub struct Found {
    /// The nearest process above it that runs Python, as far as is known; else the root.
    pub parent: u32,
    /// Its command line, with blanks between the arguments.
    pub command_line: String,
    /// The process.
    pub process: Process,
    /// Its interpreter.
    pub attached: Attached,
}

impl Found {
    /// What is to be looked at, by the thread that calls this.
    pub fn into_target(self, pausing: Pausing) -> Target {
        Target::new(self.process, self.attached, pausing)
    }
}

/// The search for the Python processes of a tree. Ends when it is dropped.
pub struct Finder {
    events: Receiver<Event>,
    again: Option<Sender<u32>>,
    thread: Option<JoinHandle<()>>,
}

impl Finder {
    /// Looks for them from now on: in process `root`, which may run something else, and below it.
    /// Those that are `known` to run Python already are not found again.
    pub fn start<'t>(root: u32, known: impl IntoIterator<Item = &'t Target>) -> io::Result<Finder> {
        allow_open_files();
        let tree = Tree::new(root).ok();
        let mut search = Search::new(root);
        for target in known {
            search.know(&target.process, &target.attached);
        }
        let (send, events) = channel();
        let (again, asked) = channel();
        let thread = thread::Builder::new().name("rspy-tree".to_owned()).spawn(move || {
            if let Some(tree) = tree {
                search.run(tree, &send, &asked);
            }
            // Nobody may listen any more.
            let _ = send.send(Event::Over);
        })?;
        Ok(Finder { events, again: Some(again), thread: Some(thread) })
    }

    /// What became known since the last call. Does not wait.
    pub fn events(&self) -> impl Iterator<Item = Event> {
        self.events.try_iter()
    }

    /// What process `pid` was found to be it is no longer, though it runs: it executes another
    /// program. It is found again if that is Python.
    pub fn look_again(&self, pid: u32) {
        if let Some(again) = &self.again {
            // The thread is gone when the tree is, and with it the process.
            let _ = again.send(pid);
        }
    }
}

impl Drop for Finder {
    fn drop(&mut self) {
        self.again = None;
        if let Some(thread) = self.thread.take() {
            // A panic there has been reported.
            let _ = thread.join();
        }
    }
}

/// What the thread knows.
struct Search {
    root: u32,
    /// By process id.
    candidates: HashMap<u32, Candidate>,
    /// One interpreter of each file, and the executables that have one.
    interpreters: Vec<Attached>,
    likely: HashSet<PathBuf>,
    /// Executables that there was no Python in.
    unlikely: HashSet<PathBuf>,
    /// Until then only what is likely to be Python is looked into.
    rest: Instant,
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
    fn new(root: u32) -> Search {
        Search {
            root,
            candidates: HashMap::new(),
            interpreters: Vec::new(),
            likely: HashSet::new(),
            unlikely: HashSet::new(),
            rest: Instant::now(),
        }
    }

    fn run(&mut self, mut tree: Tree, events: &Sender<Event>, asked: &Receiver<u32>) {
        let mut next_look = Instant::now();
        loop {
            if next_look <= Instant::now() {
                let start = cpu_time();
                tree.look();
                self.follow(&tree);
                let cost = cpu_time().saturating_sub(start);
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
            let is_unlikely = executable.as_ref().is_some_and(|path| self.unlikely.contains(path));
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
        let executable = candidate.tries.executable.clone();
        let is_likely = executable.as_ref().is_some_and(|path| self.likely.contains(path));
        if !candidate.is_searched(u32::MAX) || now < candidate.tries.due || (!is_likely && now < self.rest) {
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
                let parent = self.python_above(tree, member);
                let command_line = process.command_line().join(" ");
                Some(Event::Found(Box::new(Found { parent, command_line, process, attached })))
            }
            Err(error) => {
                tracing::debug!(pid = member.pid, %error, "no Python in it yet");
                if matches!(error, FindError::NotPython { .. })
                    && let Some(executable) = executable
                    && !is_likely
                {
                    self.unlikely.insert(executable);
                }
                candidate.has_failed = is_worth_telling(&error) && candidate.since.elapsed() >= STARTING;
                let has_failed = candidate.has_failed;
                self.rest = Instant::now() + now.elapsed().saturating_mul(TRY_REST);
                has_failed.then(|| Event::Failed {
                    pid: member.pid,
                    failure: Failure::attaching(member.pid, &error),
                })
            }
        }
    }

    fn interpreter_of(&self, member: &Member) -> Result<(Process, Attached), FindError> {
        let process = Process::open(member.pid)?;
        let attached = match self.in_fork(member, &process) {
            Some(attached) => attached,
            None => self.in_known_file(&process)?.map_or_else(|| Attached::find(&process), Ok)?,
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

    /// If it runs an interpreter that another process of the tree runs.
    fn in_known_file(&self, process: &Process) -> Result<Option<Attached>, FindError> {
        if self.interpreters.is_empty() {
            return Ok(None);
        }
        let maps = process.maps()?;
        let files = loaded_files(&maps);
        for known in &self.interpreters {
            if let Some(attached) = known.in_file(process, &files)? {
                return Ok(Some(attached));
            }
        }
        Ok(None)
    }

    /// Learns what is in a process.
    fn know(&mut self, process: &Process, attached: &Attached) {
        let executable = process.executable().ok();
        if let Some(executable) = &executable {
            self.unlikely.remove(executable);
            self.likely.insert(executable.clone());
        }
        if !self.interpreters.iter().any(|known| known.is_of_file_of(attached)) {
            self.interpreters.push(attached.again());
        }
        let mut candidate = Candidate::new(process.start_time(), executable, Duration::ZERO);
        candidate.attached = Some(attached.again());
        self.candidates.insert(process.pid(), candidate);
    }

    /// The nearest process above that runs Python, else the root.
    fn python_above(&self, tree: &Tree, member: &Member) -> u32 {
        let parents: HashMap<u32, u32> =
            tree.members().iter().map(|member| (member.pid, member.parent)).collect();
        let mut at = member.parent;
        // As many steps as there are processes, should ids that were used again close a circle.
        for _ in 0..parents.len() {
            if self.candidates.get(&at).is_some_and(|candidate| candidate.attached.is_some()) {
                return at;
            }
            let Some(parent) = parents.get(&at) else { break };
            at = *parent;
        }
        self.root
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
fn is_worth_telling(error: &FindError) -> bool {
    match error {
        FindError::Unsupported(_) | FindError::Inconsistent { .. } => true,
        FindError::Process(error) => matches!(error, ProcessError::Denied { .. } | ProcessError::Io { .. }),
        FindError::Read(error) => matches!(error, ReadError::Denied | ReadError::Os(_)),
        FindError::NotPython { .. } | FindError::NotReady | FindError::Elf(_) => false,
    }
}

/// Lets rspy have as many files open as it may: each process takes some.
fn allow_open_files() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // Else there are fewer.
    let _ = setrlimit(Resource::Nofile, limit);
}

/// What this thread has used.
fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}
