//! The threads, each with its samples as columns: which stack, how long after the one before, how many ticks.

use std::cell::RefCell;
use std::collections::HashMap;

use serde::ser::SerializeSeq;
use serde::{Serialize, Serializer};
use serde_json::{Value, json};

use super::shared::Nodes;
use crate::label;
use crate::metadata::Metadata;
use crate::options::Options;
use crate::profile::Profile;
use crate::sample::Activity;
use crate::samples::Run;
use crate::thread::ThreadId;
use crate::timeline::timelines;

/// How many threads are shown at first.
const FIRST_SHOWN: usize = 20;

/// All threads of a file.
#[derive(Debug)]
pub(super) struct Threads<'a> {
    profile: &'a Profile,
    nodes: &'a RefCell<Nodes<'a>>,
    threads: Vec<Track>,
}

/// A thread, or what stands for one.
#[derive(Debug)]
struct Track {
    thread: Option<ThreadId>,
    name: String,
    pid: String,
    tid: String,
    process_name: String,
    is_main: bool,
    samples: Vec<Item>,
}

/// What a track shows from some time on.
#[derive(Clone, Copy, Debug)]
enum Item {
    /// Samples of a stack.
    Run(Run),
    /// The thread was not seen any more, from this time on, in nanoseconds since the start.
    Pause(u64),
    /// A number of samples that were lost, at this node.
    Lost(usize, u64),
}

impl<'a> Threads<'a> {
    /// The threads of `profile` that have samples, and one for the samples that were lost.
    pub(super) fn new(profile: &'a Profile, options: &Options, nodes: &'a RefCell<Nodes<'a>>) -> Self {
        let mut pids = Unique::default();
        let mut tids = Unique::default();
        let pids: Vec<String> =
            profile.processes.iter().map(|(_, process)| pids.name(process.pid.to_string())).collect();
        let mut threads: Vec<Track> = timelines(profile, options)
            .into_iter()
            .map(|timeline| {
                let thread = &profile.threads[timeline.thread];
                let process = &profile.processes[thread.process];
                let name = thread.name.map_or("", |name| &profile.strings[name]);
                let id = match (thread.os_id, thread.python_id) {
                    (Some(id), _) => id.to_string(),
                    (None, Some(id)) => format!("{id:#x}"),
                    (None, None) => "unknown".to_owned(),
                };
                Track {
                    thread: Some(timeline.thread),
                    name: if name.is_empty() { format!("Thread {id}") } else { name.to_owned() },
                    pid: pids[thread.process.index()].clone(),
                    tid: tids.name(id),
                    process_name: profile.strings[process.command_line].to_owned(),
                    // Linux gives the first thread of a process the id of the process.
                    is_main: thread.os_id == Some(process.pid),
                    samples: items(timeline.runs.into_iter().copied(), &profile.metadata),
                }
            })
            .collect();
        let lost: Vec<Item> = profile
            .lost
            .iter()
            .filter(|(_, count)| *count > 0)
            .map(|(reason, count)| Item::Lost(nodes.borrow_mut().lost(label::lost(reason)), count))
            .collect();
        let recorded = profile.processes.iter().find(|(_, process)| process.pid == profile.metadata.pid);
        let note = |name: &str, samples, is_main| Track {
            thread: None,
            name: name.to_owned(),
            pid: recorded.map_or(profile.metadata.pid.to_string(), |(id, _)| pids[id.index()].clone()),
            tid: name.to_lowercase(),
            process_name: match recorded {
                Some((_, process)) => profile.strings[process.command_line].to_owned(),
                None => profile.metadata.program.clone(),
            },
            is_main,
            samples,
        };
        // The Profiler refuses a file without threads.
        if threads.is_empty() && lost.is_empty() {
            threads.push(note("No samples", Vec::new(), true));
        }
        if !lost.is_empty() {
            threads.push(note("Lost samples", lost, threads.is_empty()));
        }
        Self { profile, nodes, threads }
    }

    /// The threads to show at first, by their index: those with most samples, the busiest first; and lost samples.
    pub(super) fn most_sampled(&self) -> Vec<usize> {
        let weight = |index: &usize| {
            self.threads[*index].samples.iter().map(Item::weight).fold(0, u64::saturating_add)
        };
        let (mut known, notes): (Vec<usize>, Vec<usize>) =
            (0..self.threads.len()).partition(|index| self.threads[*index].thread.is_some());
        known.sort_by_key(|index| std::cmp::Reverse(weight(index)));
        known.truncate(FIRST_SHOWN);
        known.extend(notes);
        known
    }

    /// When sampling ended, in milliseconds: after the last sample, since what is later is not shown.
    pub(super) fn end(&self) -> f64 {
        let last = |track: &Track| Some(track.samples.last().and_then(Item::run)?.until);
        let last = self.threads.iter().filter_map(last).max();
        let last = last.map_or(0.0, |last| milliseconds(last) + self.interval());
        last.max(self.profile.metadata.duration.as_nanos() as f64 / 1e6)
    }

    /// The time between two samples, in milliseconds. Without a rate, the mean of the thread with most samples.
    pub(super) fn interval(&self) -> f64 {
        let period = self.profile.metadata.period();
        if period > 0 {
            return period as f64 / 1e6;
        }
        let of_track = |track: &Track| {
            let runs = || track.samples.iter().filter_map(Item::run);
            let span = runs().next_back()?.until.saturating_sub(runs().next()?.sample.at);
            Some((runs().map(|run| run.count).sum::<u64>(), span))
        };
        let most = self.threads.iter().filter_map(of_track).max_by_key(|(count, _)| *count);
        match most {
            Some((count, span)) if count > 1 && span > 0 => span as f64 / (count - 1) as f64 / 1e6,
            _ => 1.0,
        }
    }
}

/// Names of which none is given twice.
#[derive(Debug, Default)]
struct Unique {
    given: HashMap<String, u32>,
}

impl Unique {
    /// `name`, with a number behind it if it was given before: `8306`, `8306.1`.
    fn name(&mut self, name: String) -> String {
        let times = self.given.entry(name.clone()).or_default();
        *times += 1;
        if *times == 1 { name } else { format!("{name}.{}", *times - 1) }
    }
}

/// Runs in the order of time, with what ends them where the thread was not seen for a while.
fn items(runs: impl Iterator<Item = Run>, metadata: &Metadata) -> Vec<Item> {
    let mut items: Vec<Item> = Vec::new();
    for run in runs {
        let Some(Item::Run(last)) = items.last_mut() else {
            items.push(Item::Run(run));
            continue;
        };
        let Some(run) = last.join(run, metadata) else { continue };
        let until = last.until;
        let from = run.sample.since(metadata);
        if from.saturating_sub(until) > metadata.longest_pause() {
            items.push(Item::Pause(until.saturating_add(metadata.period()).min(run.sample.at)));
        }
        items.push(Item::Run(run));
    }
    items
}

impl Item {
    fn run(&self) -> Option<&Run> {
        if let Item::Run(run) = self { Some(run) } else { None }
    }

    /// How many samples it is.
    fn count(&self) -> u64 {
        self.run().map_or(1, |run| run.count)
    }

    /// What all its samples weigh.
    fn weight(&self) -> u64 {
        match self {
            Item::Run(run) => run.weight(),
            Item::Pause(_) => 0,
            Item::Lost(_, count) => *count,
        }
    }

    /// The time and the weight of each of its samples.
    fn samples(&self) -> impl Iterator<Item = (u64, u64)> {
        let one = match self {
            Item::Run(_) => None,
            Item::Pause(at) => Some((*at, 0)),
            Item::Lost(_, count) => Some((0, *count)),
        };
        let run = self.run().into_iter().flat_map(|run| run.times().map(|at| (at, run.sample.weight)));
        one.into_iter().chain(run)
    }
}

impl Serialize for Threads<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.threads.iter().map(|track| self.written(track)))
    }
}

/// A thread as it is written.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Written<'t, 'a> {
    name: &'t str,
    is_main_thread: bool,
    pid: &'t str,
    tid: &'t str,
    process_name: &'t str,
    process_type: &'static str,
    /// Milliseconds since the start, as all times.
    process_startup_time: f64,
    process_shutdown_time: Option<f64>,
    register_time: f64,
    unregister_time: Option<f64>,
    paused_ranges: [(); 0],
    samples: Samples<'t, 'a>,
    markers: Value,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Samples<'t, 'a> {
    length: u64,
    weight_type: &'static str,
    stack: Stacks<'t, 'a>,
    time_deltas: Times<'t>,
    weight: Weights<'t>,
}

impl<'a> Threads<'a> {
    fn written<'t>(&'t self, track: &'t Track) -> Written<'t, 'a> {
        let began = |track: &Track| {
            let first = track.samples.first().and_then(Item::run);
            first.map_or(0.0, |run| milliseconds(run.sample.since(&self.profile.metadata)))
        };
        let of_process = self.threads.iter().filter(|other| other.pid == track.pid);
        Written {
            name: &track.name,
            is_main_thread: track.is_main,
            pid: &track.pid,
            tid: &track.tid,
            process_name: &track.process_name,
            process_type: "default",
            process_startup_time: of_process.map(began).fold(f64::INFINITY, f64::min),
            process_shutdown_time: None,
            register_time: began(track),
            unregister_time: None,
            paused_ranges: [],
            samples: Samples {
                length: track.samples.iter().map(Item::count).sum(),
                weight_type: "samples",
                stack: Stacks { track, nodes: self.nodes },
                time_deltas: Times(track),
                weight: Weights(track),
            },
            markers: json!({
                "length": 0, "data": [], "name": [], "startTime": [], "endTime": [], "phase": [], "category": [],
            }),
        }
    }
}

fn milliseconds(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / 1e6
}

/// The node of each sample.
struct Stacks<'t, 'a> {
    track: &'t Track,
    nodes: &'t RefCell<Nodes<'a>>,
}

impl Serialize for Stacks<'_, '_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut stacks = serializer.serialize_seq(None)?;
        for item in &self.track.samples {
            let node = match (item, self.track.thread) {
                (Item::Run(run), Some(thread)) => {
                    let idle = run.sample.state.activity == Activity::Idle;
                    self.nodes.borrow_mut().stack(thread, run.sample.stack, idle)
                }
                (Item::Lost(node, _), _) => Some(*node),
                (Item::Pause(_) | Item::Run(_), _) => None,
            };
            for _ in 0..item.count() {
                stacks.serialize_element(&node)?;
            }
        }
        stacks.end()
    }
}

/// How long after the one before each sample was taken, in milliseconds.
struct Times<'a>(&'a Track);

impl Serialize for Times<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut last = 0;
        serializer.collect_seq(self.0.samples.iter().flat_map(Item::samples).map(|(at, _)| {
            let delta = at.saturating_sub(last);
            last = at;
            milliseconds(delta)
        }))
    }
}

/// How many ticks of the sampler each sample stands for.
struct Weights<'a>(&'a Track);

impl Serialize for Weights<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.samples.iter().flat_map(Item::samples).map(|(_, weight)| weight))
    }
}
