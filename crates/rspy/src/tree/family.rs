//! The Python processes of a tree, as they are now.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::thread;
use std::time::{Duration, Instant};

use rspy_cpython::FindError;
use rspy_process::tree::{Member, Tree};
use rspy_process::{Process, ReadError};

use super::{Interpreters, allow_open_files, is_worth_telling};
use crate::attach::attach;
use crate::failure::Failure;
use crate::progress::report;
use crate::target::{Pausing, Target};

/// How long they may take to start, and how long it is between two looks at that.
const STARTING: Duration = Duration::from_secs(1);
const PAUSE: Duration = Duration::from_millis(5);

/// A process and those below it: parents before children, each with all that is below it.
pub struct Family {
    /// The processes.
    pub kin: Vec<Kin>,
}

/// A process of a family.
pub struct Kin {
    /// Its process id.
    pub pid: u32,
    /// The process that started it.
    pub parent: u32,
    /// How many of the family are above it.
    pub depth: usize,
    /// With blanks between the arguments.
    pub command_line: String,
    /// It runs Python, or one below it does.
    pub has_python: bool,
    /// If it runs Python.
    pub target: Option<Target>,
}

impl Family {
    /// Process `root` and those below it, the root first. Waits a little if a Python of them is only just
    /// starting, or if there is none. Says of which that could run Python it is not known.
    pub fn find(root: u32, pausing: Pausing) -> Result<Family, Failure> {
        allow_open_files();
        let start = Instant::now();
        let mut tree = Tree::new(root).map_err(|error| Failure::attaching(root, &error.into()))?;
        let mut search = Search { pausing, interpreters: Interpreters::default(), found: HashMap::new() };
        let errors = loop {
            tree.look();
            let errors = search.attempt(&tree);
            let is_starting = errors.values().any(|error| matches!(error, FindError::NotReady));
            let is_settled = !search.found.is_empty() && !is_starting;
            if is_settled || !tree.lives() || start.elapsed() >= STARTING {
                break errors;
            }
            thread::sleep(PAUSE);
        };
        if search.found.is_empty() {
            // What is wrong with one that may run Python says more than that the root does not.
            let telling = errors.iter().find(|(_, error)| is_worth_telling(error)).map(|(pid, _)| *pid);
            let error = errors.into_iter().find(|(pid, _)| *pid == telling.unwrap_or(root));
            return Err(match error {
                Some((_, FindError::NotPython { executable })) => Failure::no_python_below(root, &executable),
                Some((pid, error)) => Failure::attaching(pid, &error),
                // It is gone, or a zombie: attaching to it alone tells which.
                None => match attach(root, pausing) {
                    Err(failure) => failure,
                    Ok(_) => Failure::attaching(root, &ReadError::Gone.into()),
                },
            });
        }
        for (pid, error) in errors.iter().filter(|(_, error)| is_worth_telling(error)) {
            report(format_args!("rspy: {}", Failure::left_out(*pid, error)));
        }
        Ok(Family::new(&tree, search.found))
    }

    fn new(tree: &Tree, mut targets: HashMap<u32, Target>) -> Family {
        let Some(root) = tree.members().first() else { return Family { kin: Vec::new() } };
        let there: HashSet<u32> = tree.members().iter().map(|member| member.pid).collect();
        let mut below: HashMap<u32, Vec<&Member>> = HashMap::new();
        for member in tree.members().iter().skip(1).rev() {
            // What has lost its parent meanwhile stands below the root.
            let parent = if there.contains(&member.parent) { member.parent } else { root.pid };
            below.entry(parent).or_default().push(member);
        }
        let mut kin: Vec<Kin> = Vec::new();
        let mut next = vec![(root, 0)];
        while let Some((member, depth)) = next.pop() {
            // Each is taken once: ids that were used again cannot close a circle.
            let children = below.remove(&member.pid).unwrap_or_default();
            next.extend(children.into_iter().map(|child| (child, depth + 1)));
            let target = targets.remove(&member.pid);
            let command_line =
                Process::open(member.pid).map(|process| process.command_line().join(" ")).unwrap_or_default();
            let Member { pid, parent, .. } = *member;
            kin.push(Kin { pid, parent, depth, command_line, has_python: target.is_some(), target });
        }
        let mut family = Family { kin };
        family.mark();
        family
    }

    /// Marks those above a Python.
    fn mark(&mut self) {
        // Whether there is one in what was passed, at each depth: from the last on, children come first.
        let mut depth_of_python: Option<usize> = None;
        for kin in self.kin.iter_mut().rev() {
            if kin.has_python || depth_of_python.is_some_and(|depth| kin.depth < depth) {
                kin.has_python = true;
                depth_of_python = Some(kin.depth);
            }
        }
    }

    /// The processes from the root down to `pid`.
    pub fn above(&self, pid: u32) -> Vec<&Kin> {
        let mut path = Vec::new();
        let Some(at) = self.kin.iter().position(|kin| kin.pid == pid) else { return path };
        let mut depth = usize::MAX;
        for kin in self.kin.iter().take(at + 1).rev() {
            if kin.depth < depth {
                depth = kin.depth;
                path.push(kin);
            }
        }
        path.reverse();
        path
    }

    /// Those that run Python, to be looked at.
    pub fn take_targets(&mut self) -> Vec<Target> {
        self.kin.iter_mut().filter_map(|kin| kin.target.take()).collect()
    }
}

struct Search {
    pausing: Pausing,
    interpreters: Interpreters,
    found: HashMap<u32, Target>,
}

impl Search {
    /// Looks into all that were not found to run Python; gives why not.
    fn attempt(&mut self, tree: &Tree) -> BTreeMap<u32, FindError> {
        let mut errors = BTreeMap::new();
        for member in tree.members().iter().filter(|member| member.lives) {
            if self.found.contains_key(&member.pid) {
                continue;
            }
            match self.attach(member) {
                Ok(target) => drop(self.found.insert(member.pid, target)),
                Err(error) => drop(errors.insert(member.pid, error)),
            }
        }
        errors
    }

    fn attach(&mut self, member: &Member) -> Result<Target, FindError> {
        let process = Process::open(member.pid)?;
        let attached = self.interpreters.find(&process)?;
        if process.start_time() != member.start_time {
            return Err(ReadError::Gone.into());
        }
        self.interpreters.learn(&attached);
        Ok(Target::new(process, attached, self.pausing))
    }
}
