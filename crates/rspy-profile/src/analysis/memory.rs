//! The memory of processes over time: what `mprof` shows, and what processes share.
//!
//! Resident memory counts a page in each process that has it. The kernel's proportional share (PSS) does not, but is known
//! now and then only; in between it is taken to have changed by what was resident, and where a process was forked meanwhile by
//! what that shares. So the sum over processes is an estimate, which is exact each time that the shares were looked at.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::Basis;
use crate::account::Account;
use crate::growth::Growth;
use crate::label;
use crate::memory::MemoryUse;
use crate::options::Options;
use crate::process::ProcessId;
use crate::profile::Profile;
use crate::sample::Activity;
use crate::samples::Run;
use crate::stack::StackId;

/// The memory of the processes of a profile. Sizes are in bytes, times in seconds since the start.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Memory {
    /// What this is based on.
    #[serde(flatten)]
    pub basis: Basis,
    /// The processes, in the order in which they were met.
    pub processes: Vec<ProcessMemory>,
    /// The moment at which all of them had the most together; `None` if memory was not recorded.
    pub peak: Option<Peak>,
    /// By how much all of them grew and shrank, as far as it is not known in which code.
    pub unattributed: [f64; 2],
}

/// The memory of a process.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ProcessMemory {
    /// Its id.
    pub pid: u32,
    /// The process that it is below; `None` if that was not recorded.
    pub parent: Option<u32>,
    /// Its command line.
    pub command: String,
    /// How it was started by its parent, as `multiprocessing` calls it: `fork`, `spawn`, `forkserver`; `None` if in
    /// another way.
    pub start_method: Option<&'static str>,
    /// When it was first seen.
    pub from: f64,
    /// When it was last seen.
    pub until: f64,
    /// What was resident first.
    pub first: u64,
    /// What was resident last.
    pub last: u64,
    /// What was resident at most.
    pub peak: u64,
    /// When.
    pub peak_at: f64,
    /// What the kernel knew of how it shared its memory, the first and the last time that it was asked.
    pub shares: Option<[Shares; 2]>,
    /// What its garbage collectors did meanwhile; `None` if that is not known.
    pub collector: Option<Collector>,
}

/// What garbage collectors did while a process was looked at.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Collector {
    /// The youngest generation first.
    pub generations: Vec<Generation>,
    /// How long that took, in seconds, as the interpreter has measured it (3.15 and later).
    pub duration: Option<f64>,
    /// How long that took, in seconds, by the samples that were taken meanwhile.
    pub sampled: Option<f64>,
    /// The collections so far each time that it was looked: the time, and those of each generation.
    pub over_time: Vec<(f64, Vec<u64>)>,
}

/// What was done in a generation.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Generation {
    /// What has to be exceeded before it is collected; 0 is never.
    pub threshold: u64,
    /// How often it was collected.
    pub collections: u64,
    /// How many objects were freed.
    pub collected: u64,
    /// How many were found that could not be freed.
    pub uncollectable: u64,
}

/// How a process shared its memory.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Shares {
    /// When.
    pub at: f64,
    /// Its share of what is resident (PSS).
    pub proportional: u64,
    /// What no other process has (USS).
    pub private: u64,
    /// What was written to and other processes have too: after a fork, what neither side has changed since.
    pub shared_dirty: u64,
    /// What is in swap space.
    pub swapped: u64,
    /// What is mapped for small objects.
    pub arenas: Option<u64>,
    /// The page faults so far that needed no disk.
    pub minor_faults: u64,
    /// Those that did.
    pub major_faults: u64,
}

/// The moment of the most memory.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Peak {
    /// When.
    pub at: f64,
    /// How much all processes had together, no page counted twice.
    pub bytes: u64,
    /// The process whose memory made it the most.
    pub pid: u32,
    /// What that executed, the outermost frame first: the code that is charged with the last growth up to it, if that is
    /// known.
    pub stack: Vec<String>,
}

/// What processes had together at one time.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Moment {
    /// When.
    pub at: f64,
    /// Of each process of [`Memory::processes`], in that order.
    pub bytes: Vec<u64>,
}

impl Moment {
    /// All of them together.
    pub fn total(&self) -> u64 {
        self.bytes.iter().sum()
    }
}

impl Memory {
    /// That of `profile`.
    pub fn new(profile: &Profile, options: &Options) -> Memory {
        let story = Story::new(profile);
        let mut peak: Option<(u64, u64, ProcessId)> = None;
        story.tell(|at, now, process| {
            let total = now.iter().sum();
            if peak.is_none_or(|(_, most, _)| total > most) {
                peak = Some((at, total, process));
            }
        });
        let processes = profile.processes.iter().map(|(id, _)| story.process(id)).collect();
        let mut unattributed = [0.0; 2];
        for growth in profile.growth.iter().filter(|growth| growth.stack == StackId::EMPTY) {
            unattributed[usize::from(growth.bytes < 0.0)] += growth.bytes.abs();
        }
        Memory {
            basis: Basis::new(profile, options),
            processes,
            peak: peak.map(|(at, bytes, process)| Peak {
                at: seconds(at),
                bytes,
                pid: profile.processes[process].pid,
                stack: stack_at(profile, options, process, at),
            }),
            unattributed,
        }
    }
}

/// What processes had, over time, in `count` parts of the duration: of each the moment at which it was the most.
pub fn moments(profile: &Profile, count: usize) -> Vec<Moment> {
    let story = Story::new(profile);
    let length = story.end.max(1);
    let part = |at: u64| (u128::from(at) * count as u128 / u128::from(length)) as usize;
    let start = |part: usize| (part as u128 * u128::from(length) / count.max(1) as u128) as u64;
    let mut moments: Vec<Option<Moment>> = vec![None; count];
    // What was there goes on until something changes.
    let go_on = |moments: &mut [Option<Moment>], from: usize, until: usize, bytes: &[u64]| {
        for (index, moment) in moments.iter_mut().enumerate().take(until).skip(from) {
            *moment = Some(Moment { at: seconds(start(index)), bytes: bytes.to_vec() });
        }
    };
    let mut last: Option<(usize, Vec<u64>)> = None;
    story.tell(|at, now, _| {
        let index = part(at).min(count.saturating_sub(1));
        if let Some((before, bytes)) = &last {
            go_on(&mut moments, before + 1, index + 1, bytes);
        }
        let Some(moment) = moments.get_mut(index) else { return };
        if moment.as_ref().is_none_or(|moment| now.iter().sum::<u64>() >= moment.total()) {
            *moment = Some(Moment { at: seconds(at), bytes: now.to_vec() });
        }
        last = Some((index, now.to_vec()));
    });
    if let Some((before, bytes)) = &last {
        go_on(&mut moments, before + 1, count, bytes);
    }
    moments.into_iter().flatten().collect()
}

fn seconds(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / 1e9
}

/// What was resident of each process, over time.
pub(super) struct Residents {
    rows: BTreeMap<ProcessId, Vec<MemoryUse>>,
}

impl Residents {
    pub(super) fn new(profile: &Profile) -> Self {
        let mut rows: BTreeMap<ProcessId, Vec<MemoryUse>> = BTreeMap::new();
        for row in &profile.memory {
            rows.entry(row.process).or_default().push(*row);
        }
        Residents { rows }
    }

    fn of(&self, process: ProcessId) -> &[MemoryUse] {
        self.rows.get(&process).map(Vec::as_slice).unwrap_or_default()
    }

    /// What was resident at a time; before the first one is known, the first one.
    fn at(&self, process: ProcessId, at: u64) -> u64 {
        self.most(process, at, at)
    }

    /// What was resident at most, from one time to another one.
    pub(super) fn most(&self, process: ProcessId, from: u64, until: u64) -> u64 {
        let rows = self.of(process);
        let first = rows.partition_point(|row| row.at <= from).saturating_sub(1);
        let rows = rows.get(first..).unwrap_or_default();
        let meanwhile = rows.iter().enumerate().take_while(|(index, row)| *index == 0 || row.at <= until);
        meanwhile.map(|(_, row)| row.resident).max().unwrap_or(0)
    }
}

/// When a process was there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Life {
    from: u64,
    until: u64,
}

/// A process that began with the memory of another one.
#[derive(Clone, Copy, Debug)]
struct Fork {
    life: Life,
    /// What was resident of it and is counted in others, when its shares were first looked at: as much as of its parent then,
    /// since they share the same pages.
    elsewhere: u64,
    /// Which part that is of what it shared.
    part: f64,
}

/// What happens to a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    /// So much is resident.
    Resident(u64),
    /// Its shares were looked at.
    Looked,
    /// Comes after what else happens at the same time.
    Ended,
}

/// What is known of all processes, by process.
struct Story<'profile> {
    profile: &'profile Profile,
    residents: Residents,
    accounts: BTreeMap<ProcessId, Vec<&'profile Account>>,
    lives: BTreeMap<ProcessId, Life>,
    /// By parent, in the order of time.
    forks: BTreeMap<ProcessId, Vec<Fork>>,
    /// When all was over.
    end: u64,
}

impl<'profile> Story<'profile> {
    fn new(profile: &'profile Profile) -> Self {
        let mut lives: BTreeMap<ProcessId, Life> = BTreeMap::new();
        let mut see = |process: ProcessId, from: u64, until: u64| {
            let life = lives.entry(process).or_insert(Life { from, until });
            *life = Life { from: life.from.min(from), until: life.until.max(until) };
        };
        for run in profile.samples() {
            see(profile.threads[run.sample.thread].process, run.sample.at, run.until);
        }
        for row in &profile.memory {
            see(row.process, row.at, row.at);
        }
        let mut accounts: BTreeMap<ProcessId, Vec<&Account>> = BTreeMap::new();
        // The last ones are made after the last samples, one process after the other.
        for account in &profile.accounts {
            accounts.entry(account.process).or_default().push(account);
        }
        let end = lives.values().map(|life| life.until).max().unwrap_or(0);
        // One that was there shortly before the end has not ended before.
        let pause = profile.metadata.longest_pause().saturating_mul(2);
        for life in lives.values_mut() {
            if end - life.until <= pause {
                life.until = end;
            }
        }
        let residents = Residents::new(profile);
        let mut forks: BTreeMap<ProcessId, Vec<Fork>> = BTreeMap::new();
        for (process, accounts) in &accounts {
            let first = accounts.first().filter(|first| first.shared_dirty > 0);
            let parent = profile.processes[*process].parent;
            let (Some(first), Some(parent), Some(life)) = (first, parent, lives.get(process)) else {
                continue;
            };
            let resident = residents.at(*process, first.at);
            let elsewhere = resident.saturating_sub(first.proportional);
            let shared = resident.saturating_sub(first.private).max(1);
            let part = (elsewhere as f64 / shared as f64).min(1.0);
            forks.entry(parent).or_default().push(Fork { life: *life, elsewhere, part });
        }
        for forks in forks.values_mut() {
            forks.sort_by_key(|fork| fork.life.from);
        }
        Story { profile, residents, accounts, lives, forks, end }
    }

    /// Calls `visit` whenever the memory of a process changes or it ends, with the time, what each has, and whose it is.
    fn tell(&self, mut visit: impl FnMut(u64, &[u64], ProcessId)) {
        let mut residents = vec![0; self.profile.processes.len()];
        let mut now = residents.clone();
        // By parent, those that are there.
        let mut children: BTreeMap<ProcessId, BTreeSet<ProcessId>> = BTreeMap::new();
        let rows = self.residents.rows.values().flatten();
        let rows = rows.map(|row| (row.at, Change::Resident(row.resident), row.process));
        // The first look may come before the first sample, and the last one after the last.
        let is_there = |row: &&&Account| {
            self.lives.get(&row.process).is_some_and(|life| (life.from..=life.until).contains(&row.at))
        };
        let looks = self.accounts.values().flatten().filter(is_there);
        let looks = looks.map(|row| (row.at, Change::Looked, row.process));
        let ends = self.lives.iter().filter(|(_, life)| life.until < self.end);
        let ends = ends.map(|(process, life)| (life.until, Change::Ended, *process));
        let mut events: Vec<_> = rows.chain(looks).chain(ends).collect();
        // In the order in which they were told, of those at one time.
        events.sort_by_key(|(at, change, process)| (*at, matches!(change, Change::Ended), *process));
        for (at, change, process) in events {
            let parent = self.profile.processes[process].parent;
            if let Change::Resident(resident) = change {
                residents[process.index()] = resident;
            }
            match (change, parent) {
                (Change::Ended, _) => now[process.index()] = 0,
                _ => now[process.index()] = self.share(process, at, residents[process.index()]),
            }
            if let Some(parent) = parent {
                let siblings = children.entry(parent).or_default();
                if change == Change::Ended {
                    siblings.remove(&process);
                } else if siblings.insert(process) {
                    // What it has now is theirs alone no more.
                    for other in siblings.iter().chain([&parent]).filter(|other| **other != process) {
                        let resident = residents[other.index()];
                        now[other.index()] = self.share(*other, at, resident).min(now[other.index()]);
                    }
                }
            }
            visit(at, &now, process);
        }
    }

    /// The part of what is `resident` that is not counted in another process.
    fn share(&self, process: ProcessId, at: u64, resident: u64) -> u64 {
        if self.profile.processes.len() == 1 {
            // Only what it shares with processes that nobody asked for is counted elsewhere.
            return resident;
        }
        let accounts = self.accounts.get(&process).map(Vec::as_slice).unwrap_or_default();
        let next = accounts.partition_point(|account| account.at <= at);
        // The one before; of what comes before all of them the first one.
        let Some(account) = accounts.get(next.saturating_sub(1)) else { return resident };
        let resident_then = self.residents.at(process, account.at);
        let shared = resident_then.saturating_sub(account.private);
        let children = self.forked_since(Some(process), account.at, at).map(|fork| fork.elsewhere);
        let siblings = self
            .forked_since(self.profile.processes[process].parent, account.at, at)
            .map(|fork| (shared as f64 * fork.part) as u64);
        let elsewhere = children
            .chain(siblings)
            .fold(resident_then.saturating_sub(account.proportional), std::cmp::Ord::max);
        resident.saturating_sub(elsewhere)
    }

    /// The forks of `parent` from one time to another one that are there still.
    fn forked_since(&self, parent: Option<ProcessId>, from: u64, until: u64) -> impl Iterator<Item = &Fork> {
        let forks = parent.and_then(|parent| self.forks.get(&parent)).map(Vec::as_slice).unwrap_or_default();
        let first = forks.partition_point(|fork| fork.life.from <= from);
        let forks = forks.iter().skip(first).take_while(move |fork| fork.life.from <= until);
        forks.filter(move |fork| until <= fork.life.until)
    }

    fn process(&self, id: ProcessId) -> ProcessMemory {
        let profile = self.profile;
        let process = &profile.processes[id];
        let rows = self.residents.of(id);
        let accounts = self.accounts.get(&id).map(Vec::as_slice).unwrap_or_default();
        let life = self.lives.get(&id).copied().unwrap_or(Life { from: 0, until: 0 });
        let peak = rows.iter().max_by_key(|row| (row.resident, std::cmp::Reverse(row.at)));
        let command = label::printable(&profile.strings[process.command_line]);
        let parent = process.parent.map(|parent| &profile.processes[parent]);
        let shares = accounts.first().zip(accounts.last()).map(|(first, last)| [shares(first), shares(last)]);
        let start_method =
            parent.and_then(|parent| start_method(&command, &profile.strings[parent.command_line], shares));
        ProcessMemory {
            pid: process.pid,
            parent: parent.map(|parent| parent.pid),
            start_method,
            command,
            from: seconds(life.from),
            until: seconds(life.until),
            first: rows.first().map_or(0, |row| row.resident),
            last: rows.last().map_or(0, |row| row.resident),
            peak: peak.map_or(0, |row| row.resident),
            peak_at: peak.map_or(0.0, |row| seconds(row.at)),
            shares,
            collector: collector(profile, id, accounts),
        }
    }
}

/// What happened from the first to the last time that it was looked.
fn collector(profile: &Profile, id: ProcessId, accounts: &[&Account]) -> Option<Collector> {
    let known: Vec<&&Account> = accounts.iter().filter(|account| !account.collections.is_empty()).collect();
    let (first, last) = known.first().zip(known.last())?;
    let generations = first.collections.iter().zip(&last.collections).map(|(first, last)| Generation {
        threshold: last.threshold,
        collections: last.collections.saturating_sub(first.collections),
        collected: last.collected.saturating_sub(first.collected),
        uncollectable: last.uncollectable.saturating_sub(first.uncollectable),
    });
    let of_process = |run: &&Run| profile.threads[run.sample.thread].process == id;
    let runs = || profile.samples().iter().filter(of_process);
    let is_known = runs().any(|run| run.sample.state.collects.is_some());
    let ticks = runs().filter(|run| run.sample.state.collects == Some(true)).map(Run::weight).sum();
    let counts = |account: &Account| account.collections.iter().map(|of| of.collections).collect();
    Some(Collector {
        generations: generations.collect(),
        duration: first
            .collecting
            .zip(last.collecting)
            .map(|(first, last)| seconds(last.saturating_sub(first))),
        sampled: profile.metadata.seconds(ticks).filter(|_| is_known),
        over_time: known.iter().map(|account| (seconds(account.at), counts(account))).collect(),
    })
}

fn shares(account: &Account) -> Shares {
    let Account { at, proportional, private, shared_dirty, swapped, arenas, faults, .. } = *account;
    let [minor_faults, major_faults] = faults;
    Shares {
        at: seconds(at),
        proportional,
        private,
        shared_dirty,
        swapped,
        arenas,
        minor_faults,
        major_faults,
    }
}

/// How `multiprocessing` started a process: what it then executes is `multiprocessing.spawn` or
/// `multiprocessing.forkserver`; a fork goes on with the command line of its parent (`Lib/multiprocessing/spawn.py`,
/// `forkserver.py`, `popen_fork.py`), and with its memory: a program that starts itself anew shares nothing that was
/// written to.
fn start_method(command: &str, parent: &str, shares: Option<[Shares; 2]>) -> Option<&'static str> {
    let is_fork = command == parent && shares.is_none_or(|[first, _]| first.shared_dirty > 0);
    match () {
        () if command.contains("multiprocessing.spawn") => Some("spawn"),
        () if command.contains("multiprocessing.forkserver") && is_fork => Some("forkserver"),
        () if is_fork => Some("fork"),
        () => None,
    }
}

/// What made the memory of a process grow at a time; else what it executed: the thread that holds the GIL, else one that
/// runs, else any.
fn stack_at(profile: &Profile, options: &Options, process: ProcessId, at: u64) -> Vec<String> {
    let is_meant = |growth: &&Growth| {
        growth.at == at
            && growth.bytes > 0.0
            && growth.stack != StackId::EMPTY
            && profile.threads[growth.thread].process == process
    };
    let grew = profile.growth.iter().filter(is_meant).max_by(|one, other| one.bytes.total_cmp(&other.bytes));
    let is_near = |run: &&Run| {
        let pause = profile.metadata.longest_pause();
        profile.threads[run.sample.thread].process == process
            && run.sample.at <= at.saturating_add(pause)
            && at <= run.until.saturating_add(pause)
    };
    let executed = || {
        profile.samples().iter().filter(is_near).min_by_key(|run| {
            let state = run.sample.state;
            let distance = run.sample.at.saturating_sub(at).max(at.saturating_sub(run.until));
            (state.owns_gil != Some(true), state.activity == Activity::Idle, distance)
        })
    };
    let stack = grew.map(|growth| growth.stack).or_else(|| executed().map(|run| run.sample.stack));
    let mut frames = Vec::new();
    if let Some(stack) = stack {
        profile.stacks.root_first(stack, &mut frames);
    }
    frames.into_iter().map(|frame| label::frame(profile, &profile.frames[frame], options)).collect()
}
