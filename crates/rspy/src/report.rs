//! `rspy report`: turns recordings into any format.

use std::fs::File;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use rspy_profile::format::{Flamegraph, Table};
use rspy_profile::{By, FORMATS, Format, FormatError, Options, Profile, Totals};

use crate::cli::{Grouping, Mode, Report, View};
use crate::failure::Failure;
use crate::load::{Loaded, Reading, load};
use crate::output::Output;
use crate::progress::{grouped, report as say};

/// Reads what was recorded and writes what is asked for.
pub fn report(options: &Report) -> Result<ExitCode, Failure> {
    let format = format_of(options);
    if !options.diff.is_empty() && !format.about().compares {
        return Err(Failure::new(
            format!("The format {} cannot show what changed.", format.about().name),
            "Use -f table or -f flamegraph with --diff.",
        ));
    }
    if options.view == View::Time && !options.diff.is_empty() {
        return Err(Failure::new(
            "A flame graph in the order of time cannot show what changed.",
            "Leave out --view time, or --diff.",
        ));
    }
    if options.view != View::Icicle && format.about().name != Flamegraph.about().name {
        return Err(Failure::new(
            format!("--view is for flame graphs; what is written is {}.", format.about().name),
            "Add -f flamegraph, or leave out --view.",
        ));
    }
    let reading = Reading {
        filters: &options.filters,
        mode: Mode::Cpu,
        needs_timeline: format.about().needs_timeline
            || options.view == View::Time
            || !options.diff.is_empty(),
        charges_memory: false,
        hideprogress: options.hideprogress,
    };
    let base = match options.diff.as_slice() {
        [] => None,
        files => Some(load(&reading, files)?.profile),
    };
    let loaded = load(&reading, &options.files)?;
    let shown = shown(options, &loaded);
    let loaded_nothing = loaded.is_empty;
    let profile = loaded.profile;
    let totals = Totals::new(&profile, &shown);
    let output = output_of(options, format);
    match &output {
        Some(path) => {
            Output::refuse_read(path, options.files.iter().chain(&options.diff))?;
            let file = File::create(path).map_err(|error| Failure::opening(path, &error))?;
            write(format, (base.as_ref(), &profile), &shown, file)
                .map_err(|error| Failure::writing_report(&path.display().to_string(), &error))?;
            let (content, hint) = (format.about().content, format.about().how_to_open);
            let (samples, lost) = (totals.samples, totals.lost);
            let mut told =
                format!("Wrote {content} to '{}'. Samples: {samples} Errors: {lost}\n", path.display());
            told.extend(hint.iter().flat_map(|hint| [hint, "\n"]));
            io::stdout().write_all(told.as_bytes()).map_err(|error| Failure::printing(&error))?;
        }
        None => {
            write(format, (base.as_ref(), &profile), &shown, io::stdout())
                .map_err(|error| Failure::printing(&error))?;
        }
    }
    if totals.samples == 0 && totals.lost == 0 {
        say(nothing_shown(&totals, loaded_nothing));
    }
    Ok(ExitCode::SUCCESS)
}

/// What is asked for, else what the name of the output says, else a table.
fn format_of(options: &Report) -> &'static dyn Format {
    let extension = options.output.as_ref().and_then(|path| path.extension()).and_then(|text| text.to_str());
    let of_extension =
        || FORMATS.iter().copied().filter(|format| Some(format.about().extension) == extension);
    match options.format {
        Some(format) => format,
        None if of_extension().count() == 1 => of_extension().next().unwrap_or(&Table),
        None => &Table,
    }
}

/// The file that is written; none for the standard output.
fn output_of(options: &Report, format: &dyn Format) -> Option<PathBuf> {
    if let Some(path) = &options.output {
        return (path != Path::new("-")).then(|| path.clone());
    }
    if format.about().is_for_terminals || !io::stdout().is_terminal() {
        return None;
    }
    let first = options.files.first()?;
    Some(Path::new(first.file_name()?).with_extension(format.about().extension))
}

/// How the profile is shown.
fn shown(options: &Report, loaded: &Loaded) -> Options {
    let by = match options.by {
        _ if options.function => By::Function,
        Grouping::Line | Grouping::Thread | Grouping::Process => By::Line,
        Grouping::Function => By::Function,
        Grouping::Module => By::Module,
    };
    Options {
        title: options.title.clone(),
        line_numbers: !options.nolineno,
        by,
        full_filenames: options.full_filenames,
        by_process: options.by == Grouping::Process || loaded.by_process,
        by_thread: options.threads || loaded.by_thread || options.by == Grouping::Thread,
        idle: loaded.mode.includes_idle(),
        gil: loaded.mode.is_gil(),
        inverted: options.invert,
        minimum: options.min.unwrap_or_default(),
        view: options.view.into(),
    }
}

/// Writes the profile, or what changed in it.
fn write(
    format: &dyn Format,
    (base, profile): (Option<&Profile>, &Profile),
    shown: &Options,
    file: impl Write,
) -> io::Result<()> {
    let mut out = BufWriter::with_capacity(1 << 17, file);
    let written = match base {
        Some(base) => format.write_changes(base, profile, shown, &mut out),
        None => format.write(profile, shown, &mut out),
    };
    match written {
        Ok(()) => out.flush(),
        Err(FormatError::Write(error)) => Err(error),
        Err(error) => Err(io::Error::other(error)),
    }
}

/// Why nothing is shown.
fn nothing_shown(totals: &Totals, is_empty: bool) -> String {
    match totals.left_out {
        _ if is_empty => "rspy: There is no sample in it: it ended before the first one was taken.\n      \
                          Record for longer, with -d SECONDS."
            .to_owned(),
        0 => "rspy: There is no sample of what was asked for in it.\n      \
              To see all of it, leave the filters out and add -i."
            .to_owned(),
        idle => format!(
            "rspy: No thread ran at any sample: {} were of idle threads.\n      To see where they wait, add -i.",
            grouped(idle)
        ),
    }
}

impl From<View> for rspy_profile::View {
    fn from(view: View) -> Self {
        match view {
            View::Icicle => rspy_profile::View::Icicle,
            View::Flame => rspy_profile::View::Flame,
            View::Time => rspy_profile::View::Time,
        }
    }
}

impl Mode {
    /// The name of it in a recording.
    pub fn name(self) -> &'static str {
        match self {
            Mode::Wall => "wall",
            Mode::Cpu => "cpu",
            Mode::Gil { .. } => "gil",
            Mode::Exception => "exception",
            Mode::GilWait => "gil-wait",
        }
    }
}
