//! A process and all below it, looked at again and again.
//!
//! A look costs one system call for each process: its `children` file stays open, and shows the
//! children of that very process, never those of another that was given its id. What costs more is done for
//! a sixteenth of the processes each time: whether it still runs, and what its other threads started.

use std::collections::HashSet;
use std::fs::File;
use std::os::unix::fs::FileExt;

use crate::ProcessError;
use crate::children::{children_of_thread, parse_pids};
use crate::process::stat;

/// More than anybody samples.
const MOST: usize = 4096;

/// In how many looks each process is checked once: whether it has ended, and what its other threads have started.
pub const ROUND: usize = 16;

/// The processes below one, and that one, as far as they were seen.
pub struct Tree {
    members: Vec<Member>,
    known: HashSet<u32>,
    /// Which look of a round is next.
    turn: usize,
}

/// A process of the tree. One whose parent has ended stays in it.
pub struct Member {
    /// Its process id.
    pub pid: u32,
    /// When it started, in the kernel's clock ticks since boot.
    pub start_time: u64,
    /// The process that started it.
    pub parent: u32,
    /// It has not ended. A zombie has.
    pub lives: bool,
    /// Open as long as it lives; opened when first read.
    children: Option<File>,
    /// What threads other than the main one have started, as of its last check.
    of_threads: Vec<u32>,
    /// Its parent has it among its children.
    is_listed: bool,
}

impl Tree {
    /// The tree below `root`; [`look`](Tree::look) finds what is in it.
    pub fn new(root: u32) -> Result<Tree, ProcessError> {
        let stat = stat(root)?;
        let root = Member::new(root, u32::try_from(stat.ppid).unwrap_or(0), &stat);
        Ok(Tree { known: HashSet::from([root.pid]), members: vec![root], turn: 0 })
    }

    /// The processes: a parent before its children.
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// Whether any of them still runs.
    pub fn lives(&self) -> bool {
        self.members.iter().any(|member| member.lives)
    }

    /// Looks which processes there are now. One that has started and ended since the last
    /// look is not seen, nor what was below it.
    pub fn look(&mut self) {
        self.check_some();
        let mut listed = HashSet::new();
        let mut at = 0;
        while let Some(member) = self.members.get_mut(at) {
            at += 1;
            let parent = member.pid;
            for pid in member.read_children() {
                listed.insert(pid);
                if self.members.len() < MOST
                    && !self.known.contains(&pid)
                    && let Some(child) = Member::below(pid, parent)
                {
                    self.known.insert(pid);
                    self.members.push(child);
                }
            }
        }
        // Who is no longer a child of its parent has ended, or its parent has.
        self.retain(|_, member| {
            let was_listed = std::mem::replace(&mut member.is_listed, listed.contains(&member.pid));
            !was_listed || member.is_listed || member.check()
        });
    }

    /// Checks those whose turn it is.
    fn check_some(&mut self) {
        let turn = self.turn;
        self.turn = (turn + 1) % ROUND;
        self.retain(|index, member| index % ROUND != turn || member.check());
    }

    fn retain(&mut self, keep: impl Fn(usize, &mut Member) -> bool) {
        let mut index = 0;
        let known = &mut self.known;
        self.members.retain_mut(|member| {
            let kept = keep(index, member);
            index += 1;
            if !kept {
                known.remove(&member.pid);
            }
            kept
        });
    }
}

impl Member {
    fn new(pid: u32, parent: u32, stat: &procfs::process::Stat) -> Member {
        let mut member = Member {
            pid,
            start_time: stat.starttime,
            parent,
            lives: true,
            children: None,
            of_threads: Vec::new(),
            is_listed: false,
        };
        member.learn(stat);
        member
    }

    /// Process `pid`, which was a child of `parent` a moment ago.
    fn below(pid: u32, parent: u32) -> Option<Member> {
        let found = stat(pid).ok()?;
        let is_child = u32::try_from(found.ppid) == Ok(parent);
        let has_ended = || stat(parent).map_or(true, |parent| has_ended(&parent));
        (is_child || has_ended()).then(|| Member::new(pid, parent, &found))
    }

    /// Whether this process is there, if only as a zombie.
    fn check(&mut self) -> bool {
        match stat(self.pid) {
            Ok(stat) if stat.starttime == self.start_time => {
                self.learn(&stat);
                true
            }
            _ => false,
        }
    }

    fn learn(&mut self, stat: &procfs::process::Stat) {
        self.lives = !has_ended(stat);
        self.of_threads.clear();
        if !self.lives {
            self.children = None;
        } else if stat.num_threads > 1
            && let Ok(threads) = std::fs::read_dir(format!("/proc/{}/task", self.pid))
        {
            let threads = threads.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
            for thread in threads.filter(|thread| *thread != self.pid) {
                self.of_threads.extend(children_of_thread(self.pid, thread));
            }
        }
    }

    fn read_children(&mut self) -> Vec<u32> {
        let mut children = self.of_threads.clone();
        if !self.lives {
            return children;
        }
        if self.children.is_none() {
            self.children = File::open(format!("/proc/{0}/task/{0}/children", self.pid)).ok();
        }
        if let Some(file) = &self.children {
            children.extend(parse_pids(&read_from_start(file)));
        }
        children
    }
}

/// A process whose main thread has ended lives on in the others.
fn has_ended(stat: &procfs::process::Stat) -> bool {
    matches!(stat.state, 'Z' | 'X' | 'x') && stat.num_threads <= 1
}

/// What the file says now, up to what could not be read.
fn read_from_start(file: &File) -> Vec<u8> {
    let mut text = Vec::new();
    let mut part = [0; 4096];
    while let Ok(length @ 1..) = file.read_at(&mut part, text.len() as u64) {
        text.extend_from_slice(part.get(..length).unwrap_or_default());
    }
    text
}
