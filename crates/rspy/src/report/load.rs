//! From files to one profile.

use std::io::Read;
use std::path::{Path, PathBuf};

use indicatif::ProgressBar;
use rspy_profile::recording::{Ending, Reader};
use rspy_profile::{Format, Frame, FrameKind, Metadata, Profile, Sample};

use super::choice::choose;
use super::holders::Holders;
use super::source::Source;
use crate::cli::{Mode, Report, View};
use crate::failure::Failure;
use crate::progress::{conversion, report as say};

/// What was read.
pub struct Loaded {
    /// All of it.
    pub profile: Profile,
    /// Whether processes are told apart in it.
    pub by_process: bool,
    /// Whether threads are.
    pub by_thread: bool,
    /// Whether there was no sample, whatever was asked for.
    pub is_empty: bool,
}

/// What is asked for of all `files`, as one profile that `format` can write, or one to be compared.
pub fn load(options: &Report, files: &[PathBuf], format: &dyn Format) -> Result<Loaded, Failure> {
    let sources: Result<Vec<Source>, Failure> = files.iter().map(|path| Source::open(path)).collect();
    let sources = sources?;
    let size = sources.iter().map(|source| source.size).sum();
    let (by_process, by_thread) =
        sources.iter().fold((false, false), |by, source| (by.0 || source.by.0, by.1 || source.by.1));
    let metadata = all_of(sources.iter().map(|source| source.reader.metadata()));
    let is_in_time = format.about().needs_timeline || options.view == View::Time || !options.diff.is_empty();
    let mut profile = if is_in_time { Profile::new(metadata) } else { Profile::for_format(metadata, format) };
    let bar = conversion(size, options.hideprogress);
    for (path, Source { mut reader, .. }) in files.iter().zip(sources) {
        let is_whole = add(options, (&mut profile, is_in_time), path, &mut reader, &bar)?;
        if !is_whole {
            bar.suspend(|| say(unfinished(path)));
        }
        let end = reader.metadata().start + reader.metadata().duration;
        let duration = end.duration_since(profile.metadata.start).unwrap_or_default();
        profile.metadata.duration = profile.metadata.duration.max(duration);
        profile.metadata.overhead = reader.metadata().overhead.or(profile.metadata.overhead);
    }
    bar.finish_and_clear();
    let is_empty = profile.samples().is_empty() && options.from.is_none() && options.to.is_none();
    choose(options, &mut profile)?;
    let by_process = by_process || profile.processes.len() > 1;
    Ok(Loaded { profile, by_process, by_thread, is_empty })
}

/// Adds what is in one file. Answers whether it is whole.
fn add(
    options: &Report,
    (profile, is_in_time): (&mut Profile, bool),
    path: &Path,
    reader: &mut Reader<Box<dyn Read>>,
    bar: &ProgressBar,
) -> Result<bool, Failure> {
    let nanoseconds = |time: std::time::Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    let times = options.from.map_or(0, nanoseconds)
        ..=options.to.map_or(u64::MAX, |to| nanoseconds(to).saturating_sub(1));
    let marks_gc = options.modes.gc;
    // A recording of waiting threads alone has their holders already.
    let is_of_all = reader.metadata().mode.as_deref().is_none_or(|mode| mode == Mode::Wall.name());
    let mut holders = (mode(options, profile) == Mode::GilWait && is_of_all).then(Holders::default);
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
    let ending = match is_in_time || shows_holders {
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

/// Samples of which states are shown: those asked for; else those on a CPU, unless what was recorded was
/// chosen already.
pub fn mode(options: &Report, profile: &Profile) -> Mode {
    let is_chosen = profile.metadata.mode.as_deref().is_some_and(|mode| mode != Mode::Wall.name());
    options.modes.mode_or(if is_chosen { Mode::Wall } else { Mode::Cpu })
}
