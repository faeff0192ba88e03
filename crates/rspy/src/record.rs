//! `rspy record`: samples stacks until told otherwise, then writes them.

use std::io::{BufWriter, Write};
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use rspy_process::stop::StopStats;
use rspy_profile::{By, FormatError, Metadata, Options, Overhead, Profile, View};

use crate::attach::attach;
use crate::cli::{Mode, Record};
use crate::clock::Rate;
use crate::costs::Costs;
use crate::failure::Failure;
use crate::figures::Figures;
use crate::launch::{Launched, Streams, exit_code};
use crate::output::Output;
use crate::progress::{Messages, Progress, report};
use crate::recorder::Recorder;
use crate::sampler::{Only, Wanted, Which};
use crate::session::{self, End, Plan, Sampled, Summary};
use crate::signals::Signals;
use crate::sink::{Files, Limits, Sink};
use crate::stats::Stats;
use crate::target::{Pausing, Target};
use crate::tree::Family;

/// Of so many processes it is told that they could not be stopped: the others have the same reason, mostly.
const MOST_REFUSED: usize = 5;

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
    let mut signals = Signals::collect(options.pid.is_none())?;
    let (mut launched, target, output) = match options.pid {
        Some(pid) => {
            if !options.program.is_empty() {
                report("rspy: with --pid the command is not started; the process is recorded.");
            }
            let target = match options.subprocesses {
                true => first_below(pid, pausing)?,
                false => attach(pid, pausing)?,
            };
            let output = open(options, pid)?;
            (None, target, output)
        }
        None => {
            let (launched, target, output) = launch(options, pausing, &mut signals)?;
            (Some(launched), target, output)
        }
    };
    if options.subprocesses {
        plan.tree = options.pid.or(launched.as_ref().map(Launched::pid));
    }
    let messages = Messages {
        // A program's own output must not be mixed with rspy's, nor a recording.
        on_stderr: (launched.is_some() && !options.capture) || output.is_stdout(),
        named: !options.capture || options.hideprogress,
    };

    announce(options, &messages);
    let costs = Costs::start();
    let profile = Profile::for_format(metadata(options.rate, mode.name(), &target), format);
    let sink = match format.about().is_written_as_taken {
        true => {
            Some(begin(options, &output, &profile).map_err(|error| Failure::opening(output.path(), &error))?)
        }
        false => None,
    };
    let recorder = Recorder::new(profile, sink, options.columns, options.stack_choice.hide_importlib);
    let progress = Progress::new(options.duration.0, options.hideprogress);
    let bar = progress.clone();
    let show = move |elapsed, recorder: &Recorder| bar.show(elapsed, recorder.samples(), recorder.lost());
    let warn = |failure: Failure| report(format_args!("rspy: {failure}"));
    let sampled = session::sample(&plan, target, recorder, launched.as_ref(), &mut signals, show, warn);
    progress.finish();
    let Sampled { recorder, summary, refused } =
        sampled.map_err(|error| Failure::no_thread_to_record(&error))?;
    let Summary { end, duration, missed, sums } = summary;
    let stops = sums.stops;
    match end {
        End::Elapsed => {}
        End::Exited => {
            messages.pause();
            messages.say("Stopped sampling because process exited");
        }
        End::Interrupted => {
            messages.pause();
            messages.say("Stopped sampling because Control-C pressed");
        }
        End::Full => {
            messages.pause();
            messages.say("Stopped sampling because the recording takes no more");
        }
    }
    // After Control-C, which the terminal sends to the program too, it may be cleaning up.
    if let Some(launched) = &mut launched
        && matches!(end, End::Elapsed | End::Full)
    {
        launched.tell_to_end();
    }

    let (samples, lost, cut) = (recorder.samples(), recorder.lost(), recorder.cut());
    let (mut profile, figures, sink) = recorder.into_profile();
    profile.metadata.duration = duration;
    profile.metadata.overhead = Some(overhead(&costs, &stops));
    profile.missed = missed;
    let written = match sink {
        None => write(options, &profile, &output).map(|()| Files::one(output.path())),
        Some(sink) => sink.and_then(|sink| sink.finish(&profile)),
    };
    let written = written.map_err(|error| match format.about().is_written_as_taken {
        true => Failure::recording(&output.path().display().to_string(), &error),
        false => output.failure(&error),
    });
    if let Ok(files) = &written {
        messages.say(format_args!(
            "Wrote {} to '{}'. Samples: {samples} Errors: {lost}",
            format.about().content,
            files.first.display()
        ));
        if let Some(hint) = format.about().how_to_open {
            messages.say(hint);
        }
        if files.count > 1 {
            messages.say(format_args!("It is in {} files, up to '{}'", files.count, files.last.display()));
        }
        if files.dropped > 0 {
            messages.say(format_args!("Older ones that made room: {}", files.dropped));
        }
        report(summary.in_a_line(samples, lost, cut));
        if figures.are_several() || options.stats {
            report(&figures);
        }
        if options.stats {
            let spent = costs.so_far();
            report(Stats { summary: &summary, spent, samples, cut, lost: &profile.lost });
        }
        if samples == 0 && lost == 0 {
            report(nothing_seen(options, sums.counts.passes, figures.know_the_gil()));
        }
        for failure in refused.iter().take(MOST_REFUSED) {
            report(format_args!("rspy: {failure}"));
        }
        if refused.len() > MOST_REFUSED {
            report(format_args!("rspy: So were {} more processes.", refused.len() - MOST_REFUSED));
        }
    }

    let written = written.and_then(|_| figures_file.map_or(Ok(()), |file| write_figures(&file, &figures)));

    // The program's own end does not depend on whether the recording could be written.
    let status = launched.as_mut().and_then(|launched| match end {
        End::Exited => launched.collect(&mut signals),
        End::Elapsed | End::Interrupted | End::Full => {
            launched.end(&mut signals);
            None
        }
    });
    written.map(|()| status.map_or(ExitCode::SUCCESS, |status| ExitCode::from(exit_code(status))))
}

/// Starts the program and finds its Python. A file that cannot be written is found
/// out before.
fn launch(
    options: &Record,
    pausing: Pausing,
    signals: &mut Signals,
) -> Result<(Launched, Target, Output), Failure> {
    let given = options.output.as_deref().map(Output::open).transpose()?;
    let started =
        Launched::start(&options.program, if options.capture { Streams::Captured } else { Streams::Own })
            .and_then(|mut launched| Ok((launched.find_python(pausing, signals)?, launched)));
    let (target, launched) = match started {
        Ok(started) => started,
        Err(failure) => {
            if let Some(output) = given {
                output.give_up();
            }
            return Err(failure);
        }
    };
    let output = match given {
        Some(output) => output,
        None => open(options, target.process.pid())?,
    };
    Ok((launched, target, output))
}

/// The Python in process `root` or, if that runs something else, the first one below it.
pub fn first_below(root: u32, pausing: Pausing) -> Result<Target, Failure> {
    let mut family = Family::find(root, pausing)?;
    let first = family.take_targets().into_iter().next();
    first.ok_or_else(|| Failure::attaching(root, &rspy_process::ReadError::Gone.into()))
}

/// Begins the recording, which is written while it goes on.
fn begin(options: &Record, output: &Output, profile: &Profile) -> std::io::Result<Sink> {
    let file = output.begin()?.try_clone()?;
    Sink::new(file, output.path(), options.limits(), profile)
}

/// What sampling has taken so far.
fn overhead(costs: &Costs, stops: &StopStats) -> Overhead {
    let spent = costs.so_far();
    Overhead {
        cpu_seconds: spent.cpu.as_secs_f64(),
        max_rss_bytes: spent.memory.map(|kilobytes| kilobytes * 1024),
        stops: stops.count,
        stopped_seconds: stops.total.as_secs_f64(),
        longest_stop_seconds: stops.max.as_secs_f64(),
    }
}

fn open(options: &Record, pid: u32) -> Result<Output, Failure> {
    match &options.output {
        Some(path) => Output::open(path),
        None => Output::open(&Output::default_path(pid, options.format().about().extension)),
    }
}

fn announce(options: &Record, messages: &Messages) {
    let limit = match options.duration.0 {
        Some(limit) => format!(" for {} seconds", limit.as_secs_f64()),
        None => String::new(),
    };
    messages.say(format_args!("Sampling process {}{limit}. Press Control-C to exit.", options.rate));
    messages.pause();
}

/// What is known of a recording when it begins.
pub fn metadata(rate: Rate, mode: &str, target: &Target) -> Metadata {
    let own: Vec<String> = std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect();
    Metadata {
        program: target.process.command_line().join(" "),
        python_version: Some(format!("{}{}", target.attached.version(), target.attached.abi())),
        pid: target.process.pid(),
        host: std::fs::read_to_string("/proc/sys/kernel/hostname").ok().map(|name| name.trim().to_owned()),
        rate: rate.hertz(),
        start: SystemTime::now(),
        duration: Duration::ZERO,
        rspy_version: env!("CARGO_PKG_VERSION").to_owned(),
        mode: Some(mode.to_owned()),
        rspy_command_line: shlex::try_join(own.iter().map(String::as_str)).ok(),
        overhead: None,
    }
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
