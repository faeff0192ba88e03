//! The Firefox Profiler's "processed profile", gzip'ed JSON for <https://profiler.firefox.com>: the tracks of all
//! threads, by process.
//!
//! The format is documented by its types
//! (<https://github.com/firefox-devtools/profiler/blob/main/src/types/profile.ts>), and from version to version in
//! <https://github.com/firefox-devtools/profiler/blob/main/docs-developer/CHANGELOG-formats.md>. This is version 60, the
//! first with one table of frames for all threads; the Profiler reads all that are older than itself. The crate
//! `fxprof-processed-profile` (0.8.1) is not used, since its Python frames could have neither file nor line.
//!
//! - A sample weighs as many ticks as it stands for. Where a thread was not seen for two periods a sample without
//!   stack and weight ends what was there before.
//! - Categories tell Python from garbage collection, waiting for the GIL, idle threads, and what is not known.
//! - Samples that were lost are a thread of their own, "Lost samples", since their threads and times are not known.

mod shared;
mod threads;

use std::cell::RefCell;
use std::io::{self, BufWriter, Write};

use flate2::Compression;
use flate2::write::GzEncoder;
use serde::Serialize;
use serde_json::{Value, json};

use self::shared::Nodes;
use self::threads::Threads;
use super::{About, Format, FormatError};
use crate::label;
use crate::options::Options;
use crate::profile::Profile;

/// A file for <https://profiler.firefox.com>.
#[derive(Clone, Copy, Debug)]
pub struct Gecko;

/// The version of the format.
const VERSION: u32 = 60;

impl Format for Gecko {
    fn about(&self) -> About {
        About {
            name: "gecko",
            extension: "json.gz",
            description: "each thread's stacks over time, for the Firefox Profiler",
            content: "Firefox Profiler file",
            how_to_open: Some("Visit https://profiler.firefox.com/ or run `samply load FILE` to view"),
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
        let nodes = RefCell::new(Nodes::new(profile, options));
        let threads = Threads::new(profile, options, &nodes);
        let file = File {
            meta: meta(profile, options, &threads),
            libs: [],
            threads,
            pages: [],
            counters: [],
            profiler_overhead: [],
            shared: &nodes,
        };
        let compressor = GzEncoder::new(BufWriter::new(writer), Compression::fast());
        let mut buffer = BufWriter::new(compressor);
        serde_json::to_writer(&mut buffer, &file).map_err(io::Error::from)?;
        let compressor = buffer.into_inner().map_err(io::IntoInnerError::into_error)?;
        compressor.finish()?.flush()?;
        Ok(())
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct File<'a> {
    meta: Value,
    libs: [(); 0],
    /// Written before `shared`, and so finds all frames that `shared` then lists.
    threads: Threads<'a>,
    pages: [(); 0],
    counters: [(); 0],
    profiler_overhead: [(); 0],
    shared: &'a RefCell<Nodes<'a>>,
}

/// What the profile is of.
fn meta(profile: &Profile, options: &Options, threads: &Threads) -> Value {
    let metadata = &profile.metadata;
    let title = options.title.as_deref().unwrap_or(&metadata.program);
    let start = metadata.start_nanoseconds() as f64 / 1e6;
    let text = |label: &str, value: &str| json!({ "label": label, "format": "string", "value": value });
    let mut about = vec![
        text("Process", &metadata.pid.to_string()),
        text("Samples per second", &rate(metadata.rate)),
        text("Recorded by", &format!("rspy {}", metadata.rspy_version)),
    ];
    about.extend(metadata.python_version.as_ref().map(|version| text("Python", version)));
    about.extend(metadata.host.as_ref().map(|host| text("Host", host)));
    let lost = profile.lost.iter().filter(|(_, count)| *count > 0);
    about.extend(lost.map(|(reason, count)| text(&label::lost(reason), &count.to_string())));
    json!({
        "product": if title.is_empty() { "rspy profile" } else { title },
        "arguments": metadata.program,
        "importedFrom": format!("rspy {}", metadata.rspy_version),
        "extra": [{ "label": "Recording", "entries": about }],
        "startTime": start,
        "profilingStartTime": 0,
        "profilingEndTime": threads.end(),
        "interval": threads.interval(),
        "categories": shared::categories(),
        "initialVisibleThreads": threads.most_sampled(),
        "initialSelectedThreads": threads.most_sampled().first().into_iter().collect::<Vec<_>>(),
        "keepProfileThreadOrder": true,
        "markerSchema": [],
        "preprocessedProfileVersion": VERSION,
        // Of the format that Firefox itself writes; nothing reads it.
        "version": 24,
        "processType": 0,
        "stackwalk": 1,
        "debug": false,
        "extensions": { "length": 0, "baseURL": [], "id": [], "name": [] },
        "sampleUnits": { "time": "ms", "eventDelay": "ms", "threadCPUDelta": "µs" },
        "symbolicated": true,
        "symbolicationNotSupported": true,
        "usesOnlyOneStackType": true,
        "sourceCodeIsNotOnSearchfox": true,
    })
}

/// `100`, or `max` where no rate was asked for.
fn rate(rate: f64) -> String {
    if rate > 0.0 { rate.to_string() } else { "max".into() }
}
