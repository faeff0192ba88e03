//! Chrome's trace events: a timeline for `chrome://tracing` and <https://ui.perfetto.dev>, where each
//! call is a bar from the first sample that saw it to the first that does not.
//!
//! The events are py-spy's, a begin (`B`) and an end (`E`) with the same arguments, in microseconds
//! since the start. What differs, and why:
//!
//! - a thread that was not seen for more than two periods of the sampler (idle, left out, lost) has
//!   its bars ended a period after its last sample, where py-spy draws them on across the gap;
//! - `tid` is the operating system's id: Python's has more than the 32 bits that Perfetto takes, and
//!   all threads of a process would land on one track. Metadata events (`M`) give threads their
//!   names and the process its command line;
//! - samples that are lost have no time; their number is a label of the process.
//!
//! A bar is a call of a function, so its `line` is the one it was first seen on, and columns are not
//! given. Two calls of a function from one caller that no sample separates are one bar.

use std::io::{self, BufWriter, Write};

use serde::Serialize;
use serde::ser::{SerializeSeq, Serializer};

use super::{About, Format, FormatError};
use crate::label;
use crate::metadata;
use crate::options::Options;
use crate::place::{PlaceId, Places};
use crate::profile::Profile;
use crate::thread::ThreadId;
use crate::timeline::{Timeline, timelines};

/// A trace for `chrome://tracing` and Perfetto.
#[derive(Clone, Copy, Debug)]
pub struct Chrometrace;

impl Format for Chrometrace {
    fn about(&self) -> About {
        About {
            name: "chrometrace",
            extension: "json",
            description: "a timeline of calls, for chrome://tracing and ui.perfetto.dev",
            content: "chrome trace",
            how_to_open: Some("Visit chrome://tracing or https://ui.perfetto.dev/ to view"),
            needs_timeline: true,
            shows_memory: true,
            ..About::default()
        }
    }

    fn write(
        &self,
        profile: &Profile,
        options: &Options,
        writer: &mut dyn io::Write,
    ) -> Result<(), FormatError> {
        let mut writer = BufWriter::new(writer);
        events(profile, options, &mut serde_json::Serializer::new(&mut writer)).map_err(io::Error::from)?;
        writer.flush()?;
        Ok(())
    }
}

/// A metadata event, which has no time.
#[derive(Serialize)]
struct Metadata<'a, A> {
    args: A,
    name: &'a str,
    ph: &'static str,
    pid: u32,
    tid: u32,
}

#[derive(Serialize)]
struct Name<'a> {
    name: &'a str,
}

#[derive(Serialize)]
struct Labels {
    labels: String,
}

/// The beginning or the end of a bar.
#[derive(Serialize)]
struct Event<'a> {
    args: Arguments<'a>,
    cat: &'static str,
    name: &'a str,
    ph: &'static str,
    pid: u32,
    tid: u32,
    /// Microseconds since the recording began.
    ts: u64,
}

#[derive(Serialize)]
struct Arguments<'a> {
    filename: &'a str,
    line: Option<u32>,
}

/// The value of a counter from a time on.
#[derive(Serialize)]
struct Counter {
    args: Memory,
    name: &'static str,
    ph: &'static str,
    pid: u32,
    /// Microseconds since the recording began.
    ts: u64,
}

#[derive(Serialize)]
struct Memory {
    /// In bytes.
    resident: u64,
}

fn events<S: Serializer>(profile: &Profile, options: &Options, serializer: S) -> Result<S::Ok, S::Error> {
    let timelines = timelines(profile, options);
    let mut places = Places::new(profile, options);
    let mut events = serializer.serialize_seq(None)?;
    name_process(profile, &mut events)?;
    for timeline in &timelines {
        let thread = &profile.threads[timeline.thread];
        let (pid, tid) = (profile.processes[thread.process].pid, track(profile, timeline.thread));
        if let Some(name) = thread.name {
            let args = Name { name: &profile.strings[name] };
            events.serialize_element(&Metadata { args, name: "thread_name", ph: "M", pid, tid })?;
        }
        bars(timeline, &profile.metadata, &mut places, |places, ph, place, at| {
            let place = &places[place];
            let args = Arguments { filename: &place.file, line: place.line };
            events.serialize_element(&Event {
                args,
                cat: "rspy",
                name: &place.name,
                ph,
                pid,
                tid,
                ts: at / 1000,
            })
        })?;
    }
    for row in &profile.memory {
        events.serialize_element(&Counter {
            args: Memory { resident: row.resident },
            name: "memory",
            ph: "C",
            pid: profile.processes[row.process].pid,
            ts: row.at / 1000,
        })?;
    }
    events.end()
}

/// What is known of the processes: their command lines, and how many samples were lost.
fn name_process<S: SerializeSeq>(profile: &Profile, events: &mut S) -> Result<(), S::Error> {
    let metadata = &profile.metadata;
    let pid = metadata.pid;
    if !metadata.program.is_empty() {
        let args = Name { name: &metadata.program };
        events.serialize_element(&Metadata { args, name: "process_name", ph: "M", pid, tid: pid })?;
    }
    for (_, process) in profile.processes.iter().filter(|(_, process)| process.pid != metadata.pid) {
        let (name, pid) = (&profile.strings[process.command_line], process.pid);
        events.serialize_element(&Metadata {
            args: Name { name },
            name: "process_name",
            ph: "M",
            pid,
            tid: pid,
        })?;
    }
    let lost: Vec<String> = profile
        .lost
        .iter()
        .filter(|(_, count)| *count > 0)
        .map(|(reason, count)| format!("{}: {count}", label::lost(reason)))
        .collect();
    if !lost.is_empty() {
        let args = Labels { labels: lost.join(", ") };
        events.serialize_element(&Metadata { args, name: "process_labels", ph: "M", pid, tid: pid })?;
    }
    Ok(())
}

/// The id of a thread's track; one beyond those of threads where the system's is not known.
fn track(profile: &Profile, thread: ThreadId) -> u32 {
    // Linux gives ids up to 2²².
    let unknown = || (1 << 22) + 1 + u32::try_from(thread.index()).unwrap_or(0);
    profile.threads[thread].os_id.unwrap_or_else(unknown)
}

/// Calls `event` with each beginning (`B`) and end (`E`) of a bar and its time in nanoseconds: in the
/// order of time, ends before beginnings, callers around what they call.
fn bars<'p, E>(
    timeline: &Timeline<'p>,
    metadata: &metadata::Metadata,
    places: &mut Places<'p>,
    mut event: impl FnMut(&Places<'p>, &'static str, PlaceId, u64) -> Result<(), E>,
) -> Result<(), E> {
    let (mut open, mut stack): (Vec<PlaceId>, Vec<PlaceId>) = (Vec::new(), Vec::new());
    let period = metadata.period();
    let mut last_at = 0;
    // What is alike in a run needs no events, and no pause is in it.
    for run in &timeline.runs {
        let sample = &run.sample;
        let from = sample.since(metadata).max(last_at);
        if from - last_at > metadata.longest_pause() {
            end(&mut open, 0, last_at.saturating_add(period), places, &mut event)?;
        }
        places.stack(timeline.thread, sample.stack, &mut stack);
        let same = open
            .iter()
            .zip(&stack)
            .take_while(|(open, new)| places[**open].is_same_function(&places[**new]))
            .count();
        end(&mut open, same, from, places, &mut event)?;
        for &place in &stack[same..] {
            event(places, "B", place, from)?;
            open.push(place);
        }
        last_at = run.until;
    }
    end(&mut open, 0, last_at.saturating_add(period), places, &mut event)
}

/// Ends the innermost bars, so that `kept` stay open.
fn end<'p, E>(
    open: &mut Vec<PlaceId>,
    kept: usize,
    at: u64,
    places: &Places<'p>,
    event: &mut impl FnMut(&Places<'p>, &'static str, PlaceId, u64) -> Result<(), E>,
) -> Result<(), E> {
    open.drain(kept..).rev().try_for_each(|place| event(places, "E", place, at))
}
