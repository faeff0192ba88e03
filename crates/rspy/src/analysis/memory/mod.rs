//! `rspy memory`: how much memory processes had over time, what they shared, and the lines that made it grow.

mod csv;
mod curve;
mod plot;
mod text;
mod tracemalloc;

use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::process::ExitCode;

use rspy_profile::analysis::{self, LinesOf, Moment, moments};
use rspy_profile::format::Flamegraph;
use rspy_profile::{FormatError, Options};
use serde::Serialize;

use super::annotated::{Annotated, Target};
use super::page::{Page, json_to};
use super::shown;
use crate::cli::{Memory, MemoryFormat, Sites};
use crate::failure::Failure;
use crate::output::Output;
use crate::taken::Taken;

/// How many points of the curve are in JSON and in a picture.
const MOMENTS: usize = 1000;

/// Writes what is known of memory.
pub fn memory(mut options: Memory) -> Result<ExitCode, Failure> {
    options.samples.subprocesses |= !options.no_subprocesses;
    let format = format_of(&options);
    if let Some(sites) = options.tracemalloc {
        return own(&options, format, sites);
    }
    // A file that cannot be written is found out before.
    let path = options.output.as_deref().filter(|path| *path != Path::new("-"));
    let output = path.map(Output::open).transpose()?;
    let taken = match Taken::take(&options.samples, true) {
        Ok(taken) => taken,
        Err(failure) => {
            if let Some(output) = output {
                output.give_up();
            }
            return Err(failure);
        }
    };
    let shown = shown(&taken.loaded, options.full_filenames);
    let written = match taken.loaded.profile.memory.is_empty() {
        true => Err(no_memory(&options)),
        false => match &output {
            None => {
                write(&options, format, (&taken, &shown), None).map_err(|error| Failure::printing(&error))
            }
            Some(output) => write(&options, format, (&taken, &shown), Some(output))
                .map_err(|error| output.failure(&error)),
        },
    };
    let code = taken.finish();
    written.map(|()| code)
}

/// Writes what the process keeps of its allocations itself.
fn own(options: &Memory, format: MemoryFormat, sites: Sites) -> Result<ExitCode, Failure> {
    if !matches!(format, MemoryFormat::Text | MemoryFormat::Json) {
        return Err(Failure::new(
            "What a process keeps of its own allocations is written as text or JSON.",
            "Use -f text or -f json with --tracemalloc.",
        ));
    }
    let path = options.output.as_deref().filter(|path| *path != Path::new("-"));
    let report = tracemalloc::look(options, sites)?;
    let output = path.map(Output::open).transpose()?;
    let write = |out: Option<std::fs::File>| match (format, out) {
        (MemoryFormat::Json, Some(file)) => json_to(&report, file),
        (MemoryFormat::Json, None) => json_to(&report, io::stdout().lock()),
        (_, Some(file)) => report.write(Page::to(file)),
        (_, None) => report.write(Page::stdout()),
    };
    match output {
        Some(output) => output
            .begin()
            .and_then(|file| write(Some(file.try_clone()?)))
            .map_err(|error| output.failure(&error)),
        None => write(None).map_err(|error| Failure::printing(&error)),
    }
    .map(|()| ExitCode::SUCCESS)
}

fn no_memory(options: &Memory) -> Failure {
    match options.samples.files.is_empty() {
        true => Failure::new(
            "The process was gone before its memory was looked at.",
            "Sample one that runs for longer.",
        ),
        false => Failure::new(
            "There is nothing about memory in that recording, or nothing of what was asked for.",
            "Record with rspy record --memory -o FILE.rspy; leave --process, --from and --to out.",
        ),
    }
}

/// What is asked for, else what the name of the output says, else text.
fn format_of(options: &Memory) -> MemoryFormat {
    let extension = options.output.as_ref().and_then(|path| path.extension()).and_then(|text| text.to_str());
    match (options.format, extension) {
        (Some(format), _) => format,
        (None, Some("svg")) => MemoryFormat::Svg,
        (None, Some("csv")) => MemoryFormat::Csv,
        (None, Some("json")) => MemoryFormat::Json,
        (None, _) => MemoryFormat::Text,
    }
}

/// All that is known.
#[derive(Serialize)]
struct Report<'a> {
    #[serde(flatten)]
    memory: &'a analysis::Memory,
    /// What each process had, over time.
    moments: Vec<Moment>,
    /// The functions that made it grow.
    functions: Vec<Annotated<'a>>,
}

fn write(
    options: &Memory,
    format: MemoryFormat,
    (taken, shown): (&Taken, &Options),
    output: Option<&Output>,
) -> io::Result<()> {
    let profile = &taken.loaded.profile;
    let out = || -> io::Result<Box<dyn Write>> {
        match output {
            Some(output) => Ok(Box::new(output.begin()?.try_clone()?)),
            None => Ok(Box::new(io::stdout().lock())),
        }
    };
    let memory = analysis::Memory::new(profile, shown);
    match format {
        MemoryFormat::Csv => csv::write(profile, out()?),
        MemoryFormat::Svg => {
            let picture = plot::plot(&memory, &moments(profile, MOMENTS)).map_err(io::Error::other)?;
            let mut out = out()?;
            out.write_all(picture.as_bytes())?;
            out.flush()
        }
        MemoryFormat::Flamegraph => {
            let mut out = BufWriter::with_capacity(1 << 17, out()?);
            match Flamegraph.write_growth(profile, shown, &mut out) {
                Ok(()) => out.flush(),
                Err(FormatError::Write(error)) => Err(error),
                Err(error) => Err(io::Error::other(error)),
            }
        }
        MemoryFormat::Text | MemoryFormat::Json => {
            let lines = analysis::Lines::new(profile, shown);
            let mut target = Target::of(&profile.metadata, taken.folder());
            let functions = options.functions.of(&lines.functions, own_growth);
            let functions = functions.into_iter().map(|function| target.annotate(function)).collect();
            if format == MemoryFormat::Json {
                let report = Report { memory: &memory, moments: moments(profile, MOMENTS), functions };
                return json_to(&report, out()?);
            }
            let page = match output {
                Some(_) => Page::to(out()?),
                None => Page::stdout(),
            };
            text::write(options, profile, &memory, &functions, page)
        }
    }
}

/// By how much memory grew while a function was executed itself.
fn own_growth(function: &LinesOf) -> f64 {
    function.time.memory.map_or(0.0, |memory| memory.own_grown)
}
