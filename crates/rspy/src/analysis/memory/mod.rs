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

use super::annotated::Annotated;
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
    let path = options.output.as_deref().filter(|path| *path != Path::new("-"));
    if let Some(path) = path {
        Output::refuse_read(path, &options.samples.files)?;
    }
    // A file that cannot be written is found out before.
    let output = path.map(Output::open).transpose()?;
    match options.tracemalloc {
        Some(sites) => traced(&options, format, sites, output.as_ref()),
        None => sampled(&options, format, output.as_ref()),
    }
}

/// Writes what samples tell.
fn sampled(options: &Memory, format: MemoryFormat, output: Option<&Output>) -> Result<ExitCode, Failure> {
    let mut taken = Taken::take(&options.samples, true)?;
    let shown = shown(&taken.loaded, options.full_filenames);
    let written = match taken.loaded.profile.memory.is_empty() {
        true => Err(no_memory(options)),
        false => write(options, format, (&mut taken, &shown), output)
            .map_err(|error| not_written(options, output, &error)),
    };
    let code = taken.finish();
    written.map(|()| code)
}

/// Writes what the process keeps of its allocations itself.
fn traced(
    options: &Memory,
    format: MemoryFormat,
    sites: Sites,
    output: Option<&Output>,
) -> Result<ExitCode, Failure> {
    let is_json = match format {
        MemoryFormat::Json => true,
        MemoryFormat::Text => false,
        MemoryFormat::Svg | MemoryFormat::Csv | MemoryFormat::Flamegraph => {
            return Err(Failure::new(
                "What a process keeps of its own allocations is written as text or JSON.",
                "Use -f text or -f json with --tracemalloc.",
            ));
        }
    };
    let report = tracemalloc::look(options, sites)?;
    let written = match is_json {
        true => out(output).and_then(|out| json_to(&report, out)),
        false => page(output).and_then(|page| report.write(page)),
    };
    written.map_err(|error| not_written(options, output, &error))?;
    Ok(ExitCode::SUCCESS)
}

/// Where it is written to.
fn out(output: Option<&Output>) -> io::Result<Box<dyn Write>> {
    match output {
        Some(output) => Ok(Box::new(output.begin()?.try_clone()?)),
        None => Ok(Box::new(io::stdout().lock())),
    }
}

/// The same for text.
fn page(output: Option<&Output>) -> io::Result<Page> {
    match output {
        Some(_) => Ok(Page::to(out(output)?)),
        None => Ok(Page::stdout()),
    }
}

/// Writing has failed. Recordings that it is made of are there still, what was sampled now is not.
fn not_written(options: &Memory, output: Option<&Output>, error: &io::Error) -> Failure {
    match output {
        None => Failure::printing(error),
        Some(output) if options.samples.files.is_empty() => output.failure(error),
        Some(output) => Failure::writing_report(&output.path().display().to_string(), error),
    }
}

fn no_memory(options: &Memory) -> Failure {
    match options.samples.files.is_empty() {
        true => Failure::no_memory_seen(),
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
        _ if options.json => MemoryFormat::Json,
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
    (taken, shown): (&mut Taken, &Options),
    output: Option<&Output>,
) -> io::Result<()> {
    let Taken { loaded, origin, .. } = taken;
    let profile = &loaded.profile;
    let memory = analysis::Memory::new(profile, shown);
    match format {
        MemoryFormat::Csv => csv::write(profile, out(output)?),
        MemoryFormat::Svg => {
            let picture = plot::plot(&memory, &moments(profile, MOMENTS)).map_err(io::Error::other)?;
            let mut out = out(output)?;
            out.write_all(picture.as_bytes())?;
            out.flush()
        }
        MemoryFormat::Flamegraph => {
            let mut out = BufWriter::with_capacity(1 << 17, out(output)?);
            match Flamegraph.write_growth(profile, shown, &mut out) {
                Ok(()) => out.flush(),
                Err(FormatError::Write(error)) => Err(error),
                Err(error) => Err(io::Error::other(error)),
            }
        }
        MemoryFormat::Text | MemoryFormat::Json => {
            let lines = analysis::Lines::new(profile, shown);
            let functions = options.functions.of(&lines.functions, own_growth);
            let functions = functions.into_iter().map(|function| origin.annotate(function)).collect();
            if format == MemoryFormat::Json {
                let report = Report { memory: &memory, moments: moments(profile, MOMENTS), functions };
                return json_to(&report, out(output)?);
            }
            text::write(options, profile, &memory, &functions, page(output)?)
        }
    }
}

/// By how much memory grew while a function was executed itself.
fn own_growth(function: &LinesOf) -> f64 {
    function.time.memory.map_or(0.0, |memory| memory.own_grown)
}
