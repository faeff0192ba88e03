//! From files to one profile.

mod choice;
mod holders;
mod source;

use std::io::Read;
use std::path::{Path, PathBuf};

use indicatif::ProgressBar;
use rspy_profile::format::Flamegraph;
use rspy_profile::recording::{Ending, Reader};
use rspy_profile::{Frame, FrameKind, Metadata, Profile, Sample};

use self::choice::choose;
use self::holders::Holders;
use self::source::Source;
use crate::cli::{Filters, Mode};
use crate::failure::Failure;
use crate::progress::{conversion, report as say};

/// How files are read.
#[derive(Copy, Clone, Debug)]
pub struct Reading<'a> {
    /// What is asked for.
    pub filters: &'a Filters,
    /// In which states, unless that is asked for.
    pub mode: Mode,
    /// Whether it matters when samples were taken; else only their sums do.
    pub needs_timeline: bool,
    /// Whether it matters who made memory grow, where that was recorded.
    pub charges_memory: bool,
    /// Whether no progress is shown.
    pub hideprogress: bool,
}

impl Reading<'_> {
    /// Samples of which states are shown: those asked for; else the usual ones, unless what was recorded was chosen
    /// already.
    pub fn mode(&self, profile: &Profile) -> Mode {
        let is_chosen = profile.metadata.mode.as_deref().is_some_and(|mode| mode != Mode::Wall.name());
        self.filters.modes.mode_or(if is_chosen { Mode::Wall } else { self.mode })
    }
}

/// What was read.
pub struct Loaded {
    /// All of it.
    pub profile: Profile,
    /// In which states threads are shown.
    pub mode: Mode,
    /// Whether processes are told apart in it.
    pub by_process: bool,
    /// Whether threads are.
    pub by_thread: bool,
    /// Whether there was no sample, whatever was asked for.
    pub is_empty: bool,
}

/// What is asked for of all `files`, as one profile.
pub fn load(reading: &Reading, files: &[PathBuf]) -> Result<Loaded, Failure> {
    let sources: Result<Vec<Source>, Failure> = files.iter().map(|path| Source::open(path)).collect();
    let sources = sources?;
    let size = sources.iter().map(|source| source.size).sum();
    let (by_process, by_thread) =
        sources.iter().fold((false, false), |by, source| (by.0 || source.by.0, by.1 || source.by.1));
    let metadata = all_of(sources.iter().map(|source| source.reader.metadata()));
    let mut profile = match reading.needs_timeline {
        true => Profile::new(metadata),
        false => Profile::for_format(metadata, &Flamegraph),
    };
    let bar = conversion(size, reading.hideprogress);
    for (path, Source { mut reader, .. }) in files.iter().zip(sources) {
        let is_whole = add(reading, &mut profile, path, &mut reader, &bar)?;
        if !is_whole {
            bar.suspend(|| say(unfinished(path)));
        }
        let end = reader.metadata().start + reader.metadata().duration;
        let duration = end.duration_since(profile.metadata.start).unwrap_or_default();
        profile.metadata.duration = profile.metadata.duration.max(duration);
        profile.metadata.overhead = reader.metadata().overhead.or(profile.metadata.overhead);
    }
    bar.finish_and_clear();
    let filters = reading.filters;
    let is_empty = profile.samples().is_empty() && filters.from.is_none() && filters.to.is_none();
    let mode = reading.mode(&profile);
    if reading.charges_memory {
        // While all samples are there.
        profile.charge_memory();
    }
    choose(filters, mode, &mut profile)?;
    let by_process = by_process || profile.processes.len() > 1;
    Ok(Loaded { profile, mode, by_process, by_thread, is_empty })
}

/// Adds what is in one file. Answers whether it is whole.
fn add(
    reading: &Reading,
    profile: &mut Profile,
    path: &Path,
    reader: &mut Reader<Box<dyn Read>>,
    bar: &ProgressBar,
) -> Result<bool, Failure> {
    let nanoseconds = |time: std::time::Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    let times = reading.filters.from.map_or(0, nanoseconds)
        ..=reading.filters.to.map_or(u64::MAX, |to| nanoseconds(to).saturating_sub(1));
    let marks_gc = reading.filters.modes.gc;
    // A recording of waiting threads alone has their holders already.
    let is_of_all = reader.metadata().mode.as_deref().is_none_or(|mode| mode == Mode::Wall.name());
    let mut holders = (reading.mode(profile) == Mode::GilWait && is_of_all).then(Holders::default);
    let shows_holders = holders.is_some();
    let take = |profile: &mut Profile, mut sample: Sample| {
        if marks_gc && sample.state.collects == Some(true) {
            let frame = profile.frames.intern(Frame::unknown(FrameKind::Collecting));
            sample.stack = profile.stacks.intern(sample.stack, frame);
        }
        match &mut holders {
            Some(holders) => holders.add(sample, profile),
            None => profile.add(sample),
        }
    };
    let before = bar.position();
    let progress = |bytes| bar.set_position(before + bytes);
    let ending = match reading.needs_timeline || shows_holders {
        true => reader.read_into(profile, times, take, progress),
        false => reader.sums_into(profile, times, take, progress),
    };
    if let Some(holders) = holders {
        holders.finish(profile);
    }
    Ok(ending.map_err(|error| Failure::reading(path, &error))? == Ending::Whole)
}

fn unfinished(path: &Path) -> String {
    format!(
        "rspy: {} was not ended by the rspy that wrote it (killed, or no room on the disk);\n      \
         all up to its last whole block is shown.",
        path.display()
    )
}

/// What several recordings are of together: of the first one, from the earliest beginning on.
fn all_of<'a>(all: impl Iterator<Item = &'a Metadata> + Clone) -> Metadata {
    let start = all.clone().map(|metadata| metadata.start).min();
    let mut first = all.clone().next().cloned().unwrap_or_default();
    first.start = start.unwrap_or(first.start);
    if all.clone().any(|other| other.rate != first.rate) {
        // A tick is not the same time everywhere.
        first.rate = 0.0;
    }
    first.duration = std::time::Duration::ZERO;
    first.overhead = None;
    first
}
