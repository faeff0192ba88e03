//! A line of JSON for each record, for scripts: `jq`, pandas, or a few lines of any language. What the lines
//! hold is documented in `docs/jsonl.md`, which also says how the format may change.
//!
//! Nothing is folded or shortened, so that options which do so have no effect: names, files and lines are
//! as the program has them, and each thing is named once, before it is used. Samples come in the order of
//! time; those that are alike and follow each other in their thread are one line. The first line says what
//! was recorded, and the last one what it comes to, so that a file that was cut off can be told.

use std::io::{self, BufWriter, Write};

use serde::Serialize;

use super::{About, Format, FormatError};
use crate::fold::Totals;
use crate::frame::{FrameId, FrameKind};
use crate::label;
use crate::metadata::Overhead;
use crate::options::Options;
use crate::process::ProcessId;
use crate::profile::Profile;
use crate::sample::Activity;
use crate::samples::Run;
use crate::stack::StackId;
use crate::thread::{Thread, ThreadId};
use crate::timeline::timelines;

/// The version of what the lines hold. It grows when a key goes away or means something else.
const VERSION: u32 = 1;

/// A line of JSON for each record.
#[derive(Clone, Copy, Debug)]
pub struct Jsonl;

impl Format for Jsonl {
    fn about(&self) -> About {
        About {
            name: "jsonl",
            extension: "jsonl",
            description: "samples, stacks and frames as lines of JSON, for jq, pandas and scripts",
            content: "JSON lines",
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
        let mut lines = Lines {
            profile,
            processes: Ids::new(profile.processes.len()),
            threads: Ids::new(profile.threads.len()),
            frames: Ids::new(profile.frames.len()),
            // The stack without frames is one more.
            stacks: Ids::new(profile.stacks.len() + 1),
            writer: BufWriter::new(writer),
        };
        lines.recording(options)?;
        for run in in_time(profile, options) {
            lines.sample(&run)?;
        }
        for row in &profile.memory {
            let process = lines.process(row.process)?;
            let time = row.at as f64 / 1e9;
            lines.line(&Record::Memory { time, process, resident: row.resident })?;
        }
        for (reason, weight) in profile.lost.iter().filter(|(_, weight)| *weight > 0) {
            lines.line(&Record::Lost { reason: reason.to_string(), weight })?;
        }
        let Totals { samples, cut, lost, left_out } = Totals::new(profile, options);
        lines.line(&Record::Totals { samples, cut, lost, left_out, missed: profile.missed })?;
        lines.writer.flush()?;
        Ok(())
    }
}

/// A line. Times are in seconds, weights in ticks of the sampler.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Record<'a> {
    Recording {
        version: u32,
        rspy_version: &'a str,
        rspy_command_line: Option<&'a str>,
        python_version: Option<&'a str>,
        program: &'a str,
        pid: u32,
        host: Option<&'a str>,
        rate: Option<f64>,
        start: f64,
        duration: f64,
        mode: Option<&'a str>,
        idle: bool,
        gil: bool,
        overhead: Option<Overhead>,
    },
    Process {
        id: usize,
        pid: u32,
        parent: Option<usize>,
        command_line: &'a str,
    },
    Thread {
        id: usize,
        process: usize,
        os_id: Option<u32>,
        python_id: Option<u64>,
        name: Option<&'a str>,
    },
    Frame {
        id: usize,
        kind: &'static str,
        name: String,
        file: Option<&'a str>,
        short_file: Option<&'a str>,
        line: Option<u32>,
        first_line: Option<u32>,
        column: Option<u32>,
        end_line: Option<u32>,
        end_column: Option<u32>,
    },
    Stack {
        id: usize,
        parent: Option<usize>,
        frame: usize,
    },
    Sample {
        time: f64,
        until: f64,
        count: u64,
        weight: u64,
        thread: usize,
        stack: Option<usize>,
        state: &'static str,
        owns_gil: Option<bool>,
        waits_for_gil: Option<bool>,
        collects: Option<bool>,
    },
    Memory {
        time: f64,
        process: usize,
        resident: u64,
    },
    Lost {
        reason: String,
        weight: u64,
    },
    Totals {
        samples: u64,
        cut: u64,
        lost: u64,
        left_out: u64,
        missed: u64,
    },
}

/// The samples that are shown, the oldest first; those that a thread has in a row as one.
fn in_time(profile: &Profile, options: &Options) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for timeline in timelines(profile, options) {
        let first = runs.len();
        for &run in &timeline.runs {
            let next = match runs.get_mut(first..).and_then(<[Run]>::last_mut) {
                Some(last) => last.join(*run, &profile.metadata),
                None => Some(*run),
            };
            runs.extend(next);
        }
    }
    runs.sort_by_key(|run| (run.sample.at, run.sample.thread));
    runs
}

/// The ids of what has a line, in the order of these lines, which does not depend on what else was recorded.
struct Ids {
    of: Vec<Option<usize>>,
    next: usize,
}

impl Ids {
    fn new(length: usize) -> Self {
        Self { of: vec![None; length], next: 0 }
    }

    /// The id of what is at `index` of its table, if it has one.
    fn known(&self, index: usize) -> Option<usize> {
        self.of[index]
    }

    /// The next id, for what is at `index`.
    fn add(&mut self, index: usize) -> usize {
        let id = self.next;
        self.next += 1;
        self.of[index] = Some(id);
        id
    }
}

/// A file that is being written.
struct Lines<'profile, W> {
    profile: &'profile Profile,
    processes: Ids,
    threads: Ids,
    frames: Ids,
    stacks: Ids,
    writer: W,
}

impl<'profile, W: Write> Lines<'profile, W> {
    fn line(&mut self, record: &Record) -> io::Result<()> {
        serde_json::to_writer(&mut self.writer, record)?;
        self.writer.write_all(b"\n")
    }

    fn recording(&mut self, options: &Options) -> io::Result<()> {
        let metadata = &self.profile.metadata;
        self.line(&Record::Recording {
            version: VERSION,
            rspy_version: &metadata.rspy_version,
            rspy_command_line: metadata.rspy_command_line.as_deref(),
            python_version: metadata.python_version.as_deref(),
            program: &metadata.program,
            pid: metadata.pid,
            host: metadata.host.as_deref(),
            rate: metadata.seconds(0).map(|_| metadata.rate),
            start: metadata.start_nanoseconds() as f64 / 1e9,
            duration: metadata.duration.as_secs_f64(),
            mode: metadata.mode.as_deref(),
            idle: options.idle,
            gil: options.gil,
            overhead: metadata.overhead,
        })
    }

    /// The id of a process, after its line and those of the processes above it.
    fn process(&mut self, process: ProcessId) -> io::Result<usize> {
        let profile = self.profile;
        let above: Vec<ProcessId> = profile.processes.upwards(process).collect();
        let mut last = None;
        for process in above.into_iter().rev() {
            let parent = last;
            last = self.processes.known(process.index());
            if last.is_none() {
                let id = self.processes.add(process.index());
                let process = &profile.processes[process];
                let command_line = &profile.strings[process.command_line];
                self.line(&Record::Process { id, pid: process.pid, parent, command_line })?;
                last = Some(id);
            }
        }
        Ok(last.unwrap_or_default())
    }

    /// The id of a thread, after its line.
    fn thread(&mut self, thread: ThreadId) -> io::Result<usize> {
        if let Some(known) = self.threads.known(thread.index()) {
            return Ok(known);
        }
        let Thread { process, os_id, python_id, name } = self.profile.threads[thread];
        let process = self.process(process)?;
        let id = self.threads.add(thread.index());
        let name = name.map(|name| &self.profile.strings[name]);
        self.line(&Record::Thread { id, process, os_id, python_id, name })?;
        Ok(id)
    }

    fn sample(&mut self, run: &Run) -> io::Result<()> {
        let seconds = |nanoseconds| nanoseconds as f64 / 1e9;
        let thread = self.thread(run.sample.thread)?;
        let stack = self.stack(run.sample.stack)?;
        self.line(&Record::Sample {
            time: seconds(run.sample.at),
            until: seconds(run.until),
            count: run.count,
            weight: run.weight(),
            thread,
            stack,
            state: match run.sample.state.activity {
                Activity::Active => "active",
                Activity::Idle => "idle",
                Activity::Unknown => "unknown",
            },
            owns_gil: run.sample.state.owns_gil,
            waits_for_gil: run.sample.state.waits_for_gil,
            collects: run.sample.state.collects,
        })
    }

    /// The id of a stack, after the lines of what it needs; `None` for the one without frames.
    fn stack(&mut self, stack: StackId) -> io::Result<Option<usize>> {
        let mut missing = Vec::new();
        let mut rest = stack;
        while let Some((prefix, frame)) = self.profile.stacks.split(rest)
            && self.stacks.known(rest.index()).is_none()
        {
            missing.push((rest, frame));
            rest = prefix;
        }
        let mut parent = self.stacks.known(rest.index());
        for (stack, frame) in missing.into_iter().rev() {
            let frame = self.frame(frame)?;
            let id = self.stacks.add(stack.index());
            self.line(&Record::Stack { id, parent, frame })?;
            parent = Some(id);
        }
        Ok(parent)
    }

    /// The id of a frame, after its line.
    fn frame(&mut self, frame: FrameId) -> io::Result<usize> {
        if let Some(known) = self.frames.known(frame.index()) {
            return Ok(known);
        }
        let id = self.frames.add(frame.index());
        let place = &self.profile.frames[frame];
        let text = |id| Some(&self.profile.strings[id]).filter(|text| !text.is_empty());
        let name = match place.kind {
            FrameKind::Python => text(place.name).unwrap_or(label::UNNAMED).to_owned(),
            _ => label::frame(self.profile, place, &Options::default()),
        };
        let record = Record::Frame {
            id,
            kind: kind(place.kind),
            name,
            file: text(place.file),
            short_file: text(place.short_file),
            line: place.line,
            first_line: place.first_line,
            column: place.columns.map(|columns| columns.first),
            end_line: place.columns.and_then(|columns| columns.end_line.or(place.line)),
            end_column: place.columns.map(|columns| columns.last),
        };
        self.line(&record)?;
        Ok(id)
    }
}

fn kind(kind: FrameKind) -> &'static str {
    match kind {
        FrameKind::Python => "python",
        FrameKind::Cut => "cut",
        FrameKind::Truncated => "truncated",
        FrameKind::Collecting => "gc",
        FrameKind::WaitsForGil => "waits_for_gil",
        FrameKind::Lost(_) => "lost",
    }
}
