//! Where real time went: on CPUs, in the kernel, waiting, by function; and the spans of one function.

use rustc_hash::FxHashMap;
use serde::Serialize;

use super::{Basis, time};
use crate::frame::{FrameId, FrameKind};
use crate::label;
use crate::options::Options;
use crate::profile::Profile;
use crate::sample::{Activity, Sample};
use crate::stack::StackId;
use crate::timeline::timelines;

/// The functions of a profile by what their time was.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Times {
    /// What this is based on.
    #[serde(flatten)]
    pub basis: Basis,
    /// Of how many samples on CPUs it is known whether they were in the kernel.
    pub known: u64,
    /// All functions, those with the most time of their own first.
    pub functions: Vec<FunctionTime>,
}

/// What the time of a function was.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FunctionTime {
    /// What it is called, and where it is.
    pub name: String,
    /// The time in which it was executed itself.
    pub own: Split,
    /// The time in which it was on the stack.
    pub total: Split,
}

/// What a time was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Split {
    /// All of it.
    pub all: f64,
    /// On a CPU, in the program's own code.
    pub user: f64,
    /// On a CPU, in the kernel.
    pub kernel: f64,
    /// On a CPU, in one of both.
    pub unknown: f64,
    /// Waiting for something.
    pub waiting: f64,
}

impl Split {
    fn add(&mut self, other: Split) {
        self.all += other.all;
        self.user += other.user;
        self.kernel += other.kernel;
        self.unknown += other.unknown;
        self.waiting += other.waiting;
    }
}

impl Times {
    /// Those of the samples of `profile` that `options` include. Of samples on a CPU of which it is not known whether they
    /// were in the kernel, the same part is taken to have been as of the others with that stack, or with that innermost frame.
    pub fn new(profile: &Profile, options: &Options) -> Times {
        let shares = KernelShares::new(profile, options);
        let mut functions: Vec<FunctionTime> = Vec::new();
        let mut indices: FxHashMap<String, usize> = FxHashMap::default();
        let by_function = Options { by: crate::options::By::Function, ..options.clone() };
        let of_frames: Vec<usize> = profile
            .frames
            .iter()
            .map(|(_, frame)| {
                let name = label::frame(profile, frame, &by_function);
                *indices.entry(name).or_insert_with_key(|name| {
                    let (own, total) = Default::default();
                    functions.push(FunctionTime { name: name.clone(), own, total });
                    functions.len() - 1
                })
            })
            .collect();
        // Which run was the last to be counted: a recursion counts once.
        let mut counted = vec![usize::MAX; functions.len()];
        let runs = profile.samples().iter().filter(|run| options.include(&run.sample));
        for (number, run) in runs.enumerate() {
            let split = shares.split(profile, &run.sample, run.weight());
            let mut is_leaf = true;
            for frame in profile.stacks.leaf_first(run.sample.stack) {
                let index = of_frames[frame.index()];
                if std::mem::take(&mut is_leaf) {
                    functions[index].own.add(split);
                }
                if std::mem::replace(&mut counted[index], number) != number {
                    functions[index].total.add(split);
                }
            }
        }
        functions.retain(|function| function.total.all > 0.0);
        functions.sort_by(|one, other| {
            let own = other.own.all.total_cmp(&one.own.all);
            own.then(other.total.all.total_cmp(&one.total.all)).then_with(|| one.name.cmp(&other.name))
        });
        Times { basis: Basis::new(profile, options), known: shares.known, functions }
    }
}

/// Which part of the samples on CPUs was in the kernel.
struct KernelShares {
    by_stack: FxHashMap<StackId, Known>,
    by_frame: FxHashMap<FrameId, Known>,
    known: u64,
}

/// Samples of which it is known.
#[derive(Clone, Copy, Default)]
struct Known {
    kernel: u64,
    all: u64,
}

impl Known {
    fn add(&mut self, weight: u64, in_kernel: bool) {
        self.kernel += if in_kernel { weight } else { 0 };
        self.all += weight;
    }

    fn share(&self) -> f64 {
        self.kernel as f64 / self.all.max(1) as f64
    }
}

impl KernelShares {
    fn new(profile: &Profile, options: &Options) -> Self {
        let mut shares =
            KernelShares { by_stack: FxHashMap::default(), by_frame: FxHashMap::default(), known: 0 };
        for run in profile.samples().iter().filter(|run| options.include(&run.sample)) {
            let Some(in_kernel) = run.sample.state.in_kernel else { continue };
            let weight = run.weight();
            shares.by_stack.entry(run.sample.stack).or_default().add(weight, in_kernel);
            if let Some(frame) = profile.stacks.leaf_first(run.sample.stack).next() {
                shares.by_frame.entry(frame).or_default().add(weight, in_kernel);
            }
            shares.known += weight;
        }
        shares
    }

    fn split(&self, profile: &Profile, sample: &Sample, weight: u64) -> Split {
        let all = time(profile, weight);
        if sample.state.activity == Activity::Idle {
            return Split { all, waiting: all, ..Split::default() };
        }
        let known = match sample.state.in_kernel {
            Some(in_kernel) => Some(f64::from(u8::from(in_kernel))),
            None => self.share(profile, sample.stack),
        };
        match known {
            Some(share) => Split { all, user: all * (1.0 - share), kernel: all * share, ..Split::default() },
            None => Split { all, unknown: all, ..Split::default() },
        }
    }

    fn share(&self, profile: &Profile, stack: StackId) -> Option<f64> {
        let of_frame = || self.by_frame.get(&profile.stacks.leaf_first(stack).next()?);
        self.by_stack.get(&stack).or_else(of_frame).map(Known::share)
    }
}

/// How often a function was seen to run, and how long.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Spans {
    /// The function.
    pub name: String,
    /// How often it was seen to begin: calls shorter than the time between two samples are missed, and calls that follow
    /// each other within it count as one.
    pub count: u64,
    /// The time in which it was on the stack, in seconds.
    pub total: f64,
    /// The standard error of that: of chance, which decides when samples are taken.
    pub total_error: f64,
    /// How long one took, on average.
    pub mean: f64,
    /// The standard error of the average, by how much they differ.
    pub mean_error: f64,
    /// The shortest and the longest one.
    pub range: [f64; 2],
}

/// The spans of each function whose qualified name `is_meant`.
pub fn spans(profile: &Profile, options: &Options, is_meant: impl Fn(&str) -> bool) -> Vec<Spans> {
    let by_function = Options { by: crate::options::By::Function, ..options.clone() };
    let mut names: Vec<String> = Vec::new();
    let of_frames: Vec<Option<usize>> = profile
        .frames
        .iter()
        .map(|(_, frame)| {
            if frame.kind != FrameKind::Python || !is_meant(&profile.strings[frame.name]) {
                return None;
            }
            let label = label::frame(profile, frame, &by_function);
            Some(names.iter().position(|name| *name == label).unwrap_or_else(|| {
                names.push(label);
                names.len() - 1
            }))
        })
        .collect();
    // Which functions each stack has.
    let mut of_stacks: Vec<Vec<usize>> = vec![Vec::new(); profile.stacks.len() + 1];
    for (stack, caller, frame) in profile.stacks.iter() {
        let mut all = of_stacks[caller.index()].clone();
        if let Some(function) = of_frames[frame.index()].filter(|function| !all.contains(function)) {
            all.push(function);
        }
        of_stacks[stack.index()] = all;
    }
    let mut lengths: Vec<Vec<f64>> = vec![Vec::new(); names.len()];
    for timeline in timelines(profile, options) {
        let mut open: Vec<Option<u64>> = vec![None; names.len()];
        let mut end = |open: &mut Option<u64>, function: usize| {
            if let Some(ticks) = open.take() {
                lengths[function].push(time(profile, ticks));
            }
        };
        for run in &timeline.runs {
            let on_stack = &of_stacks[run.sample.stack.index()];
            for (function, open) in open.iter_mut().enumerate() {
                match on_stack.contains(&function) {
                    true => *open = Some(open.unwrap_or(0) + run.weight()),
                    false => end(open, function),
                }
            }
        }
        for (function, open) in open.iter_mut().enumerate() {
            end(open, function);
        }
    }
    let tick = time(profile, 1);
    names.into_iter().zip(lengths).map(|(name, lengths)| summary(name, &lengths, tick)).collect()
}

fn summary(name: String, lengths: &[f64], tick: f64) -> Spans {
    let count = lengths.len().max(1) as f64;
    let total: f64 = lengths.iter().sum();
    let mean = total / count;
    let spread: f64 = lengths.iter().map(|length| (length - mean).powi(2)).sum();
    let shortest = lengths.iter().copied().fold(f64::INFINITY, f64::min).min(total);
    Spans {
        name,
        count: lengths.len() as u64,
        total,
        // Each end of a span lies anywhere between two samples: an evenly spread error of one tick.
        total_error: tick * (count / 6.0).sqrt(),
        mean,
        mean_error: if lengths.len() > 1 { (spread / (count - 1.0) / count).sqrt() } else { 0.0 },
        range: [shortest, lengths.iter().copied().fold(0.0, f64::max)],
    }
}
