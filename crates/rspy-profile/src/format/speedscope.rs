//! The file format of <https://www.speedscope.app>: for each thread its stacks in the order of time.
//!
//! The shape is py-spy's, to the keys of every object. A sample weighs the time it stands for, so
//! that widths are seconds: what is not sampled, such as a thread's sleep, takes no room; without a rate (`--rate max`) it weighs 1. Samples
//! that are lost make a profile of their own, "Lost samples", since their threads are not known.

use std::cell::RefCell;
use std::io::{self, BufWriter, Write};

use serde::ser::SerializeSeq;
use serde::{Serialize, Serializer};

use super::{About, Format, FormatError};
use crate::label;
use crate::options::Options;
use crate::place::{PlaceId, Places};
use crate::profile::Profile;
use crate::thread::ThreadId;
use crate::timeline::{Timeline, timelines};

/// A file for <https://www.speedscope.app>.
#[derive(Clone, Copy, Debug)]
pub struct Speedscope;

impl Format for Speedscope {
    fn about(&self) -> About {
        About {
            name: "speedscope",
            extension: "json",
            description: "each thread's stacks over time, for the viewer at speedscope.app",
            content: "speedscope file",
            how_to_open: Some("Visit https://www.speedscope.app/ to view"),
            needs_timeline: true,
            ..About::default()
        }
    }

    fn write(
        &self,
        profile: &Profile,
        options: &Options,
        writer: &mut dyn io::Write,
    ) -> Result<(), FormatError> {
        let places = RefCell::new(Places::new(profile, options));
        let timelines = timelines(profile, options);
        let mut sampled: Vec<Sampled> =
            timelines.iter().map(|timeline| Sampled::of_thread(profile, &places, timeline)).collect();
        sampled.extend(Sampled::of_lost(profile, &places));
        let title = options.title.as_deref().unwrap_or(&profile.metadata.program);
        let file = File {
            schema: "https://www.speedscope.app/file-format-schema.json",
            profiles: sampled,
            shared: Shared { places: &places },
            active_profile_index: busiest(&timelines),
            exporter: format!("rspy@{}", profile.metadata.rspy_version),
            name: if title.is_empty() { "rspy profile" } else { title },
        };
        let mut writer = BufWriter::new(writer);
        serde_json::to_writer(&mut writer, &file).map_err(io::Error::from)?;
        writer.flush()?;
        Ok(())
    }
}

/// The index of the thread with the most samples.
fn busiest(timelines: &[Timeline]) -> usize {
    let most = timelines
        .iter()
        .enumerate()
        .rev()
        .max_by_key(|(_, timeline)| timeline.runs.iter().map(|run| run.count).sum::<u64>());
    most.map_or(0, |(index, _)| index)
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct File<'a> {
    #[serde(rename = "$schema")]
    schema: &'static str,
    /// Written before `shared`, and so finds all places that `shared` then lists.
    profiles: Vec<Sampled<'a>>,
    shared: Shared<'a>,
    /// Which profile a viewer shows first.
    active_profile_index: usize,
    exporter: String,
    name: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Sampled<'a> {
    r#type: &'static str,
    name: String,
    unit: &'static str,
    start_value: f64,
    end_value: f64,
    samples: Stacks<'a>,
    weights: Weights<'a>,
}

impl<'a> Sampled<'a> {
    fn new(name: String, rate: f64, samples: Stacks<'a>) -> Self {
        let (unit, rate) = if rate > 0.0 { ("seconds", rate) } else { ("none", 1.0) };
        let weights = Weights { rate, of: samples.clone() };
        let end_value = samples.ticks() as f64 / rate;
        Sampled { r#type: "sampled", name, unit, start_value: 0.0, end_value, samples, weights }
    }

    fn of_thread(profile: &Profile, places: &'a RefCell<Places<'a>>, timeline: &'a Timeline<'a>) -> Self {
        Sampled::new(
            thread_name(profile, timeline.thread),
            profile.metadata.rate,
            Stacks::Timeline { places, timeline },
        )
    }

    /// The samples that were lost, if there are such.
    fn of_lost(profile: &Profile, places: &'a RefCell<Places<'a>>) -> Option<Self> {
        let notes: Vec<(PlaceId, u64)> = profile
            .lost
            .iter()
            .filter(|(_, count)| *count > 0)
            .map(|(reason, count)| (places.borrow_mut().note(label::lost(reason)), count))
            .collect();
        let name = "Lost samples".to_owned();
        (!notes.is_empty()).then(|| Sampled::new(name, profile.metadata.rate, Stacks::Notes(notes)))
    }
}

/// As py-spy names them: `Thread 8306 "MainThread"`, after the process where there are several.
fn thread_name(profile: &Profile, thread: ThreadId) -> String {
    let thread = &profile.threads[thread];
    let id = match (thread.os_id, thread.python_id) {
        (Some(id), _) => format!("Thread {id}"),
        (None, Some(id)) => format!("Thread {id:#X}"),
        (None, None) => "Thread".to_owned(),
    };
    let id = match profile.threads.iter().any(|(_, other)| other.process != thread.process) {
        true => format!("Process {} {id}", profile.processes[thread.process].pid),
        false => id,
    };
    match thread.name {
        Some(name) => format!("{id} \"{}\"", &profile.strings[name]),
        None => id,
    }
}

/// Each sample's places, outermost first.
#[derive(Clone)]
enum Stacks<'a> {
    Timeline { places: &'a RefCell<Places<'a>>, timeline: &'a Timeline<'a> },
    Notes(Vec<(PlaceId, u64)>),
}

impl Serialize for Stacks<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Stacks::Timeline { places, timeline } => {
                let mut stack = Vec::new();
                let mut samples = serializer.serialize_seq(None)?;
                for run in &timeline.runs {
                    places.borrow_mut().stack(timeline.thread, run.sample.stack, &mut stack);
                    let indices: Vec<usize> = stack.iter().map(|place| place.index()).collect();
                    for _ in 0..run.count {
                        samples.serialize_element(&indices)?;
                    }
                }
                samples.end()
            }
            Stacks::Notes(notes) => serializer.collect_seq(notes.iter().map(|(note, _)| [note.index()])),
        }
    }
}

impl Stacks<'_> {
    /// What all samples weigh, in ticks of the sampler.
    fn ticks(&self) -> u64 {
        match self {
            Stacks::Timeline { timeline, .. } => timeline.runs.iter().map(|run| run.weight()).sum(),
            Stacks::Notes(notes) => notes.iter().map(|(_, count)| *count).sum(),
        }
    }
}

/// What each sample stands for, in seconds; in ticks of the sampler where these are no certain time.
struct Weights<'a> {
    rate: f64,
    of: Stacks<'a>,
}

impl Serialize for Weights<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let scaled = |ticks: u64| ticks as f64 / self.rate;
        match &self.of {
            Stacks::Timeline { timeline, .. } => serializer.collect_seq(
                timeline.runs.iter().flat_map(|run| (0..run.count).map(move |_| scaled(run.sample.weight))),
            ),
            Stacks::Notes(notes) => serializer.collect_seq(notes.iter().map(|(_, count)| scaled(*count))),
        }
    }
}

struct Shared<'a> {
    places: &'a RefCell<Places<'a>>,
}

impl Serialize for Shared<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Frame<'a> {
            name: &'a str,
            file: &'a str,
            line: Option<u32>,
            col: Option<u32>,
        }
        let places = self.places.borrow();
        let frames: Vec<Frame> = places
            .iter()
            .map(|place| Frame {
                name: &place.name,
                file: &place.file,
                line: place.line,
                col: place.columns.map(|columns| columns.first),
            })
            .collect();
        #[derive(Serialize)]
        struct Frames<'a> {
            frames: Vec<Frame<'a>>,
        }
        Frames { frames }.serialize(serializer)
    }
}
