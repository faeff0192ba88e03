//! Lines, and the time spent on each: what `line_profiler` shows.
//!
//! The time of a line includes that of what it calls. A function, and each of its lines, counts once in each sample, so
//! that of a recursion the sum of the lines can be more than the function.

use std::collections::BTreeMap;

use rustc_hash::FxHashMap;
use serde::Serialize;

use super::memory::Residents;
use super::{Basis, text, time};
use crate::frame::{FrameId, FrameKind};
use crate::options::Options;
use crate::profile::Profile;
use crate::sample::Activity;
use crate::stack::StackId;
use crate::strings::StringId;
use crate::timeline::timelines;

/// The functions of a profile by line, those that take the most time themselves first.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Lines {
    /// What this is based on.
    #[serde(flatten)]
    pub basis: Basis,
    /// All of them.
    pub functions: Vec<LinesOf>,
}

/// A function, line by line.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LinesOf {
    /// Its qualified name.
    pub name: String,
    /// The file as its code object says.
    pub file: String,
    /// The same relative to its top-level package.
    pub short_file: String,
    /// The line it starts on, with its decorators; `None` if unknown.
    pub first_line: Option<u32>,
    /// What it takes.
    #[serde(flatten)]
    pub time: Time,
    /// The lines that were seen, in order: to be written beside their source.
    #[serde(skip)]
    pub lines: Vec<LineTime>,
}

/// A line of a function.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct LineTime {
    /// Its number, counted from 1; `None` if unknown.
    pub line: Option<u32>,
    /// What it takes.
    #[serde(flatten)]
    pub time: Time,
}

/// What something takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Time {
    /// In how many samples it was on the stack.
    pub samples: u64,
    /// For how long it was.
    pub total: f64,
    /// The part of it in which nothing that it calls was.
    pub own: f64,
    /// The part in which the thread ran, or was ready to.
    pub cpu: f64,
    /// The part in which it waited for something.
    pub waiting: f64,
    /// The part in which it waited for the GIL.
    pub waiting_for_gil: f64,
    /// By how much resident memory grew meanwhile, and by how much it shrank, in bytes; `None` if that was not recorded.
    #[serde(flatten)]
    pub memory: Option<LineMemory>,
}

/// By how much resident memory changed, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct LineMemory {
    /// By how much it grew, each time that it did.
    pub grown: f64,
    /// The part of it while nothing that it calls was on the stack.
    pub own_grown: f64,
    /// By how much it shrank.
    pub released: f64,
    /// The most that was resident of a process meanwhile.
    pub most: u64,
    /// How often it was seen to begin: a lower bound.
    pub visits: u64,
}

/// The same, in ticks of the sampler.
#[derive(Clone, Copy, Debug, Default)]
struct Ticks {
    total: u64,
    own: u64,
    waiting: u64,
    waiting_for_gil: u64,
    grown: f64,
    own_grown: f64,
    released: f64,
}

impl Ticks {
    fn is_any(&self) -> bool {
        self.total > 0 || self.grown > 0.0 || self.released > 0.0
    }

    fn add(&mut self, other: Ticks) {
        self.total += other.total;
        self.own += other.own;
        self.waiting += other.waiting;
        self.waiting_for_gil += other.waiting_for_gil;
        self.grown += other.grown;
        self.own_grown += other.own_grown;
        self.released += other.released;
    }
}

/// Counts something once in each stack.
#[derive(Clone, Debug, Default)]
struct Counter {
    ticks: Ticks,
    most: u64,
    visits: u64,
    /// Which run of samples was the last to be visited, counted over all threads.
    visited: usize,
    /// Which stack was the last to be counted.
    counted: usize,
}

impl Counter {
    /// Adds stack number `stack`. `ticks.own` is that of the innermost frame alone.
    fn add(&mut self, ticks: Ticks, stack: usize, is_leaf: bool) {
        if std::mem::replace(&mut self.counted, stack) == stack {
            return;
        }
        let (own, own_grown) = if is_leaf { (ticks.own, ticks.own_grown) } else { (0, 0.0) };
        self.ticks.add(Ticks { own, own_grown, ..ticks });
    }

    fn time(&self, profile: &Profile) -> Time {
        let Counter { ticks, most, visits, .. } = *self;
        let time = |ticks| time(profile, ticks);
        Time {
            samples: ticks.total,
            total: time(ticks.total),
            own: time(ticks.own),
            cpu: time(ticks.total.saturating_sub(ticks.waiting)),
            waiting: time(ticks.waiting),
            waiting_for_gil: time(ticks.waiting_for_gil),
            memory: (!profile.memory.is_empty()).then_some(LineMemory {
                grown: ticks.grown,
                own_grown: ticks.own_grown,
                released: ticks.released,
                most,
                visits,
            }),
        }
    }

    /// Run number `run` of samples shows it, while so much was resident.
    fn visit(&mut self, run: usize, resident: u64) {
        self.most = self.most.max(resident);
        // It goes on if it was in the run before.
        if self.visited != run && self.visited + 1 != run {
            self.visits += 1;
        }
        self.visited = run;
    }
}

#[derive(Default)]
struct Known {
    all: Counter,
    lines: BTreeMap<Option<u32>, Counter>,
}

/// A function: its name, file and first line.
type Key = (StringId, StringId, Option<u32>);

impl Lines {
    /// Those of the samples of `profile` that `options` include.
    pub fn new(profile: &Profile, options: &Options) -> Lines {
        let mut indices: FxHashMap<Key, usize> = FxHashMap::default();
        let mut functions: Vec<(FrameId, Known)> = Vec::new();
        let of_frames: Vec<Option<usize>> = profile
            .frames
            .iter()
            .map(|(id, frame)| {
                (frame.kind == FrameKind::Python).then(|| {
                    *indices.entry((frame.name, frame.file, frame.first_line)).or_insert_with(|| {
                        functions.push((id, Known::default()));
                        functions.len() - 1
                    })
                })
            })
            .collect();
        for (number, (stack, ticks)) in stacks(profile, options).into_iter().enumerate() {
            let mut is_leaf = true;
            // From the innermost frame on, so that what counts first of a recursion is what is executed.
            for frame in profile.stacks.leaf_first(stack) {
                if let Some((_, known)) = of_frames[frame.index()].and_then(|index| functions.get_mut(index))
                {
                    known.all.add(ticks, number + 1, is_leaf);
                    let line = known.lines.entry(profile.frames[frame].line).or_default();
                    line.add(ticks, number + 1, is_leaf);
                }
                is_leaf = false;
            }
        }
        if !profile.memory.is_empty() {
            let residents = Residents::new(profile);
            // One more for each thread, so that no run follows one of another thread.
            let mut number = 1;
            for timeline in timelines(profile, options) {
                let process = profile.threads[timeline.thread].process;
                for run in timeline.runs {
                    number += 1;
                    let resident = residents.most(process, run.sample.at, run.until);
                    for frame in profile.stacks.leaf_first(run.sample.stack) {
                        let known = of_frames[frame.index()].and_then(|index| functions.get_mut(index));
                        let Some((_, known)) = known else { continue };
                        known.all.visit(number, resident);
                        known.lines.entry(profile.frames[frame].line).or_default().visit(number, resident);
                    }
                }
                number += 2;
            }
        }
        let mut functions: Vec<LinesOf> = functions
            .into_iter()
            .filter(|(_, known)| known.all.ticks.is_any())
            .map(|(frame, known)| {
                let frame = &profile.frames[frame];
                let line =
                    |(line, counter): (Option<u32>, Counter)| LineTime { line, time: counter.time(profile) };
                LinesOf {
                    name: text(profile, frame.name),
                    file: text(profile, frame.file),
                    short_file: text(profile, frame.short_file),
                    first_line: frame.first_line,
                    time: known.all.time(profile),
                    lines: known.lines.into_iter().map(line).collect(),
                }
            })
            .collect();
        functions.sort_by(|one, other| {
            let key = |known: &LinesOf| (known.time.own, known.time.total);
            let (own, total) = key(other);
            own.total_cmp(&key(one).0).then(total.total_cmp(&key(one).1)).then_with(|| {
                (&one.file, one.first_line, &one.name).cmp(&(&other.file, other.first_line, &other.name))
            })
        });
        Lines { basis: Basis::new(profile, options), functions }
    }
}

/// Each stack that was seen, with its samples, in the order of arrival.
fn stacks(profile: &Profile, options: &Options) -> Vec<(StackId, Ticks)> {
    let mut sums: FxHashMap<StackId, Ticks> = FxHashMap::default();
    for run in profile.samples().iter().filter(|run| options.include(&run.sample)) {
        let (weight, state) = (run.weight(), run.sample.state);
        let of = |is_so: bool| if is_so { weight } else { 0 };
        sums.entry(run.sample.stack).or_default().add(Ticks {
            total: weight,
            own: weight,
            waiting: of(state.activity == Activity::Idle),
            waiting_for_gil: of(state.waits_for_gil == Some(true)),
            ..Ticks::default()
        });
    }
    for growth in &profile.growth {
        let (grown, released) = (growth.bytes.max(0.0), (-growth.bytes).max(0.0));
        sums.entry(growth.stack).or_default().add(Ticks {
            grown,
            own_grown: grown,
            released,
            ..Ticks::default()
        });
    }
    let mut stacks: Vec<(StackId, Ticks)> = sums.into_iter().filter(|(_, ticks)| ticks.is_any()).collect();
    stacks.sort_unstable_by_key(|(stack, _)| *stack);
    stacks
}
