//! `rspy record`: samples stacks until told otherwise, then writes them.

use std::io::{BufWriter, Write};
use std::process::ExitCode;

use rspy_profile::{By, FormatError, Options, Profile, View};

use crate::cli::{Mode, Record};
use crate::failure::Failure;
use crate::figures::Figures;
use crate::gather::{Gathered, Whom, end, gather, metadata};
use crate::launch::Streams;
use crate::output::Output;
use crate::progress::{Messages, report};
use crate::recorder::Recorder;
use crate::sampler::{Only, Wanted, Which};
use crate::session::Plan;
use crate::signals::Signals;
use crate::sink::{Files, Limits, Sink};
use crate::stats::Stats;

/// Records and writes what was gathered, whatever ended it.
pub fn record(options: &Record) -> Result<ExitCode, Failure> {
    if options.function && options.nolineno {
        return Err(Failure::new(
            "--function and --nolineno contradict each other: lines are what --function adds up by.",
            "Give one of the two.",
        ));
    }
    let format = options.format();
    if options.limits() != Limits::default() && !format.about().is_written_as_taken {
        return Err(Failure::new(
            format!(
                "--rotate and --max-size are for recordings; what is written is {}.",
                format.about().name
            ),
            "Add -f rspy and turn the recording into that later, with rspy report; or leave them out.",
        ));
    }
    if options.memory && !format.about().shows_memory {
        return Err(Failure::new(
            format!("--memory is for formats that show it; {} does not.", format.about().name),
            "Add -f rspy and turn the recording into others later, with rspy report; or -f jsonl or chrometrace.",
        ));
    }
    let pausing = options.stops.pausing();
    let mode = options.mode();
    let mut plan = Plan {
        rate: options.rate,
        limit: options.duration.0,
        wanted: Wanted {
            which: if mode.includes_idle() { Which::All } else { Which::Active },
            only: match mode {
                Mode::Wall | Mode::Cpu => Only::Any,
                Mode::Gil { .. } => Only::GilHolders,
                Mode::GilWait => Only::GilWaiters,
                Mode::Exception => Only::Exceptions,
            },
            gc: options.modes.gc,
            states: format.about().is_written_as_taken,
            sums: false,
            class_names: options.class_names,
            kernel: false,
            memory: options.memory,
            pausing,
            threads: options.thread_choice.filter(),
            stacks: options.stack_choice.filter(),
        },
        tree: None,
        live: None,
    };
    // A file that cannot be written is found out before.
    let figures_file = options.summary.as_deref().map(Output::open).transpose()?;
    // No program is started for that; of a process that cannot be read nothing is left behind.
    let given = match options.pid {
        Some(_) => None,
        None => options.output.as_deref().map(Output::open).transpose()?,
    };
    let mut signals = Signals::collect(options.pid.is_none())?;
    if options.pid.is_some() && !options.program.is_empty() {
        report("rspy: with --pid the command is not started; the process is recorded.");
    }
    let whom = Whom { pid: options.pid, program: &options.program, subprocesses: options.subprocesses };
    let streams = if options.capture { Streams::Captured } else { Streams::Own };
    let (mut launched, target) = whom.find(streams, pausing, &mut signals)?;
    let output = match (given, &options.output) {
        (Some(output), _) => output,
        (None, Some(path)) => Output::open(path)?,
        (None, None) => {
            let pid = options.pid.unwrap_or_else(|| target.process.pid());
            Output::open(&Output::default_path(pid, format.about().extension))?
        }
    };
    plan.tree = whom.tree(launched.as_ref());
    let messages = Messages {
        // A program's own output must not be mixed with rspy's, nor a recording.
        on_stderr: (launched.is_some() && !options.capture) || output.is_stdout(),
        named: !options.capture || options.hideprogress,
    };
    let profile = Profile::for_format(metadata(options.rate, mode.name(), &target), format);
    let sink = match format.about().is_written_as_taken {
        true => {
            Some(begin(options, &output, &profile).map_err(|error| Failure::opening(output.path(), &error))?)
        }
        false => None,
    };
    let recorder = Recorder::new(profile, sink, options.columns, options.stack_choice.hide_importlib);
    let told = (&messages, options.hideprogress);
    let mut gathered = gather(&plan, target, recorder, &mut launched, &mut signals, told)?;

    let written = match gathered.sink.take() {
        None => write(options, &gathered.profile, &output).map(|()| Files::one(output.path())),
        Some(sink) => sink.and_then(|sink| sink.finish(&gathered.profile)),
    };
    let written = written.map_err(|error| match format.about().is_written_as_taken {
        true => Failure::recording(&output.path().display().to_string(), &error),
        false => output.failure(&error),
    });
    if let Ok(files) = &written {
        tell(options, &messages, files, &gathered);
    }
    let figures = &gathered.figures;
    let written = written.and_then(|_| figures_file.map_or(Ok(()), |file| write_figures(&file, figures)));

    // The program's own end does not depend on whether the recording could be written.
    let code = end(&mut launched, gathered.summary.end, &mut signals);
    written.map(|()| code)
}

/// Tells what was recorded, and where it is.
fn tell(options: &Record, messages: &Messages, files: &Files, gathered: &Gathered) {
    let Gathered { profile, figures, summary, samples, lost, cut, costs, .. } = gathered;
    let about = options.format().about();
    messages.say(format_args!(
        "Wrote {} to '{}'. Samples: {samples} Errors: {lost}",
        about.content,
        files.first.display()
    ));
    if let Some(hint) = about.how_to_open {
        messages.say(hint);
    }
    if files.count > 1 {
        messages.say(format_args!("It is in {} files, up to '{}'", files.count, files.last.display()));
    }
    if files.dropped > 0 {
        messages.say(format_args!("Older ones that made room: {}", files.dropped));
    }
    report(summary.in_a_line(*samples, *lost, *cut));
    if figures.are_several() || options.stats {
        report(figures);
    }
    if options.stats {
        let spent = costs.so_far();
        report(Stats { summary, spent, samples: *samples, cut: *cut, lost: &profile.lost });
    }
    if *samples == 0 && *lost == 0 {
        report(nothing_seen(options, summary.sums.counts.passes, figures.know_the_gil()));
    }
    gathered.report_refused();
}

/// Begins the recording, which is written while it goes on.
fn begin(options: &Record, output: &Output, profile: &Profile) -> std::io::Result<Sink> {
    let file = output.begin()?.try_clone()?;
    Sink::new(file, output.path(), options.limits(), profile)
}

fn write(options: &Record, profile: &Profile, output: &Output) -> std::io::Result<()> {
    let choices = Options {
        title: None,
        line_numbers: !options.nolineno,
        by: if options.function { By::Function } else { By::Line },
        full_filenames: options.full_filenames,
        by_process: options.subprocesses,
        by_thread: options.threads,
        idle: options.mode().includes_idle(),
        gil: options.mode().is_gil(),
        inverted: false,
        minimum: 0.0,
        view: View::default(),
    };
    let mut out = BufWriter::new(output.begin()?);
    match options.format().write(profile, &choices, &mut out) {
        Ok(()) => out.flush(),
        Err(FormatError::Write(error)) => Err(error),
        Err(error) => Err(std::io::Error::other(error)),
    }
}

/// Writes the figures, if they are asked for.
fn write_figures(output: &Output, figures: &Figures) -> Result<(), Failure> {
    let written = output.begin().and_then(|file| {
        let mut out = BufWriter::new(file);
        serde_json::to_writer_pretty(&mut out, figures)?;
        writeln!(out)?;
        out.flush()
    });
    written.map_err(|error| output.failure(&error))
}

/// Why a recording after so many looks is empty, and what to do. `is_gil_known`: who holds it.
fn nothing_seen(options: &Record, looks: u64, is_gil_known: bool) -> &'static str {
    let is_filtered = options.thread_choice.filter().is_some() || options.stack_choice.filter().is_some();
    match options.mode() {
        _ if looks == 0 => {
            "rspy: No sample was taken in that time.\n      Record for longer, or with a higher --rate."
        }
        Mode::Gil { .. } | Mode::GilWait if !is_gil_known => {
            "rspy: This Python has no GIL, or does not tell who holds it.\n      \
             To see all threads that run, leave out --gil, --mode and --gil-wait."
        }
        _ if is_filtered => {
            "rspy: No sample was of the threads and the code that were asked for.\n      \
             `rspy dump` shows the names of both; to see all, leave out --thread, --main-thread, --include and \
             --exclude."
        }
        Mode::Gil { .. } => {
            "rspy: No thread held the GIL at any sample.\n      To see all threads that run, leave out --gil."
        }
        Mode::GilWait => {
            "rspy: No thread waited for the GIL at any sample.\n      \
             Where nobody waits for it there is nothing to show; to see what runs, leave out --gil-wait."
        }
        Mode::Exception => {
            "rspy: No thread raised or handled an exception at any sample.\n      \
             Record for longer, or leave out --mode exception."
        }
        Mode::Cpu | Mode::Wall => {
            "rspy: No thread ran at any sample: all were asleep or waiting.\n      To see where they wait, add --idle."
        }
    }
}
