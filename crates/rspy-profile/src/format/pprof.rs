//! pprof's format: a gzip'ed `profile.proto`, documented at
//! <https://github.com/google/pprof/tree/main/proto>.
//!
//! A sample is a thread and a stack, with how often it was seen (`samples`) and, where a rate was asked for, the time that
//! stands for: `cpu` without idle threads, `wall` with them, `gil` of those that hold the GIL. Thread and process are labels.
//! There are no mappings: Python's frames have no addresses. A sample that was lost has a frame `[lost: …]` and no
//! labels, since its thread is not known; a comment counts them.

mod proto;

use std::io::{self, BufWriter, Write};

use flate2::Compression;
use flate2::write::GzEncoder;
use indexmap::IndexSet;
use prost::Message;
use rustc_hash::FxBuildHasher;

use self::proto::{Function, Label, Line, Location, Sample, ValueType};
use super::{About, Format, FormatError};
use crate::counted::{Counted, Stack};
use crate::label;
use crate::options::Options;
use crate::place::Place;
use crate::profile::Profile;

/// A file for `pprof` and the many services that take its files.
#[derive(Clone, Copy, Debug)]
pub struct Pprof;

impl Format for Pprof {
    fn about(&self) -> About {
        About {
            name: "pprof",
            extension: "pb.gz",
            description: "stacks of each thread, for pprof and what reads its files",
            content: "pprof profile",
            how_to_open: Some(
                "Run `go tool pprof -http=: FILE`, or drop it on https://www.speedscope.app/ to view",
            ),
            ..About::default()
        }
    }

    fn write(
        &self,
        profile: &Profile,
        options: &Options,
        writer: &mut dyn io::Write,
    ) -> Result<(), FormatError> {
        // Messages that follow each other are one: its lists go on.
        let mut output = Output {
            compressor: GzEncoder::new(BufWriter::new(writer), Compression::fast()),
            encoded: Vec::new(),
        };
        let Counted { places, stacks } = Counted::new(profile, options);
        let mut tables = Tables::new(profile, options);
        let (location, function) = tables.places(&places);
        output.message(&proto::Profile { location, function, ..proto::Profile::default() })?;
        for stack in &stacks {
            let sample = vec![tables.sample(stack)];
            output.message(&proto::Profile { sample, ..proto::Profile::default() })?;
        }
        output.message(&tables.rest())?;
        output.compressor.finish()?.flush()?;
        Ok(())
    }
}

struct Output<W: Write> {
    compressor: GzEncoder<W>,
    /// Memory to encode in.
    encoded: Vec<u8>,
}

impl<W: Write> Output<W> {
    fn message(&mut self, message: &proto::Profile) -> io::Result<()> {
        self.encoded.clear();
        message.encode(&mut self.encoded)?;
        self.compressor.write_all(&self.encoded)
    }
}

/// The file's texts, and what all of it shares.
struct Tables<'profile> {
    profile: &'profile Profile,
    options: &'profile Options,
    strings: IndexSet<String, FxBuildHasher>,
}

impl<'profile> Tables<'profile> {
    fn new(profile: &'profile Profile, options: &'profile Options) -> Self {
        Self { profile, options, strings: IndexSet::from_iter([String::new()]) }
    }

    fn string(&mut self, text: &str) -> i64 {
        let known = self.strings.get_index_of(text);
        let index = known.unwrap_or_else(|| self.strings.insert_full(text.to_owned()).0);
        i64::try_from(index).unwrap_or(i64::MAX)
    }

    fn value_type(&mut self, name: &str, unit: &str) -> ValueType {
        ValueType { r#type: self.string(name), unit: self.string(unit) }
    }

    /// A location for each place, numbered from 1 as the places are from 0, and their functions.
    fn places(&mut self, places: &[Place]) -> (Vec<Location>, Vec<Function>) {
        let mut functions: IndexSet<(i64, i64, i64), FxBuildHasher> = IndexSet::default();
        let mut locations = Vec::with_capacity(places.len());
        for (number, place) in (1..).zip(places) {
            let function = (
                self.string(&place.name),
                self.string(&place.file),
                i64::from(place.first_line.unwrap_or_default()),
            );
            let function_id = functions.insert_full(function).0 as u64 + 1;
            let line = Line {
                function_id,
                line: i64::from(place.line.unwrap_or_default()),
                column: place.columns.map_or(0, |columns| i64::from(columns.first)),
            };
            locations.push(Location { id: number, line: vec![line] });
        }
        let functions = (1..).zip(functions).map(|(id, (name, filename, start_line))| Function {
            id,
            name,
            system_name: name,
            filename,
            start_line,
        });
        (locations, functions.collect())
    }

    fn sample(&mut self, stack: &Stack) -> Sample {
        let count = i64::try_from(stack.weight).unwrap_or(i64::MAX);
        let mut value = vec![count];
        let period = self.period();
        if period > 0 {
            value.push(count.saturating_mul(period));
        }
        let mut label = Vec::new();
        if let Some(thread) = stack.thread {
            let thread = &self.profile.threads[thread];
            if let Some(id) = thread.os_id {
                label.push(Label { key: self.string("thread id"), num: i64::from(id), str: 0 });
            }
            if let Some(name) =
                thread.name.map(|name| &self.profile.strings[name]).filter(|name| !name.is_empty())
            {
                let str = self.string(name);
                label.push(Label { key: self.string("thread name"), str, num: 0 });
            }
            let pid = i64::from(self.profile.processes[thread.process].pid);
            label.push(Label { key: self.string("process id"), num: pid, str: 0 });
        }
        Sample {
            location_id: stack.places.iter().rev().map(|place| *place as u64 + 1).collect(),
            value,
            label,
        }
    }

    /// All but samples, locations and functions.
    fn rest(mut self) -> proto::Profile {
        let metadata = &self.profile.metadata;
        let period = self.period();
        let time = self.value_type(self.options.measured(), "nanoseconds");
        let samples = self.value_type("samples", "count");
        let sample_type = if period > 0 { vec![samples, time] } else { vec![samples] };
        let mut comments = vec![format!("Recorded by rspy {}", metadata.rspy_version)];
        if !metadata.program.is_empty() {
            comments.push(format!("Command: {}", metadata.program));
        }
        comments.extend(metadata.python_version.as_ref().map(|version| format!("Python {version}")));
        comments.extend(metadata.host.as_ref().map(|host| format!("Host: {host}")));
        comments.extend(self.options.title.clone());
        let lost = self.profile.lost.iter().filter(|(_, count)| *count > 0);
        comments.extend(lost.map(|(reason, count)| format!("{} {count}", label::lost(reason))));
        let comment = comments.iter().map(|comment| self.string(comment)).collect();
        proto::Profile {
            sample_type,
            time_nanos: metadata.start_nanoseconds(),
            duration_nanos: i64::try_from(metadata.duration.as_nanos()).unwrap_or(i64::MAX),
            period_type: (period > 0).then_some(time),
            period,
            comment,
            string_table: self.strings.into_iter().collect(),
            ..proto::Profile::default()
        }
    }

    /// The time between two samples, in nanoseconds; 0 if that is not certain.
    fn period(&self) -> i64 {
        i64::try_from(self.profile.metadata.period()).unwrap_or(i64::MAX)
    }
}
