//! `rspy record`: samples stacks until told otherwise, then writes them.

use std::io::{BufWriter, Write};
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rspy_process::ReadError;
use rspy_process::stop::StopStats;
use rspy_profile::{FormatError, Metadata, Options, Profile};

use crate::attach::{Search, attach};
use crate::cli::Record;
use crate::clock::Clock;
use crate::costs::Costs;
use crate::failure::{Failure, refused_stops};
use crate::launch::{Launched, exit_code, serve};
use crate::output::Output;
use crate::progress::{Messages, Progress, grouped, report};
use crate::recorder::Recorder;
use crate::signals::Signals;
use crate::target::{Pausing, Target, Which};
use crate::wait::{Pacer, Woken, exit_of};

/// How often names of threads are looked for while some have none: a thread may
/// name itself late, or end before the recording does.
const NAME_AGAIN: Duration = Duration::from_millis(250);

/// Why sampling ended.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum End {
    Elapsed,
    Exited,
    Interrupted,
}

/// Records and writes what was gathered, whatever ended it.
pub fn record(options: &Record) -> Result<ExitCode, Failure> {
    if options.function && options.nolineno {
        return Err(Failure::new(
            "--function and --nolineno contradict each other: lines are what --function adds up by.",
            "Give one of the two.",
        ));
    }
    let pausing = options.stops.pausing();
    let mut signals = Signals::collect(options.pid.is_none())?;
    let (mut launched, mut target, output) = match options.pid {
        Some(pid) => {
            if !options.program.is_empty() {
                report("rspy: with --pid the command is not started; the process is recorded.");
            }
            let target = attach(pid, pausing)?;
            let output = open(options, pid)?;
            (None, target, output)
        }
        None => {
            let (launched, target, output) = launch(options, pausing, &mut signals)?;
            (Some(launched), target, output)
        }
    };
    let messages = Messages {
        // A program's own output must not be mixed with rspy's, nor a recording.
        on_stderr: (launched.is_some() && !options.capture) || output.is_stdout(),
        named: !options.capture || options.hideprogress,
    };

    announce(options, &messages);
    let costs = Costs::start();
    let (recorder, end, duration) = sample(options, &mut target, launched.as_ref(), &mut signals);
    let stops = target.stops();
    let refused = refused_stops(target.process.pid(), &stops);
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
    }
    // After Control-C, which the terminal sends to the program too, it may be cleaning up.
    if let Some(launched) = &mut launched
        && end == End::Elapsed
    {
        launched.tell_to_end();
    }

    let (samples, lost, cut, missed) =
        (recorder.samples(), recorder.lost(), recorder.cut(), recorder.missed());
    let looks = recorder.looks();
    let profile = recorder.finish(duration);
    let written = write(options, &profile, &output).map_err(|error| output.failure(&error));
    if written.is_ok() {
        messages.say(format_args!(
            "Wrote {} to '{}'. Samples: {samples} Errors: {lost}",
            options.format.content(),
            output.path().display()
        ));
        if let Some(hint) = options.format.how_to_open() {
            messages.say(hint);
        }
        report(format_args!(
            "{} samples, {} lost, {} cut, {} missed in {:.1} s; {}",
            grouped(samples),
            grouped(lost),
            grouped(cut),
            grouped(missed),
            duration.as_secs_f64(),
            describe(&stops),
        ));
        if options.stats {
            report(costs.so_far());
        }
        if samples == 0 && lost == 0 {
            report(nothing_seen(options, looks));
        }
        if let Some(failure) = refused {
            report(format_args!("rspy: {failure}"));
        }
    }

    // The program's own end does not depend on whether the recording could be written.
    let status = launched.as_mut().and_then(|launched| match end {
        End::Exited => launched.collect(&mut signals),
        End::Elapsed | End::Interrupted => {
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
    let started = Launched::start(&options.program, options.capture)
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

fn open(options: &Record, pid: u32) -> Result<Output, Failure> {
    match &options.output {
        Some(path) => Output::open(path),
        None => Output::open(&Output::default_path(pid, options.format.extension())),
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

fn sample(
    options: &Record,
    target: &mut Target,
    launched: Option<&Launched>,
    signals: &mut Signals,
) -> (Recorder, End, Duration) {
    let pid = target.process.pid();
    let mut pacer = Pacer::new(options.rate, exit_of(pid));
    if options.class_names {
        target.read_class_names();
    }
    let which = if options.idle { Which::All } else { Which::Active };
    let mut recorder =
        Recorder::new(Profile::for_format(metadata(options, target), options.format), options.columns);
    let progress = Progress::new(options.duration.0, options.hideprogress);
    // The kernel ends a wait up to 50 µs late unless told otherwise; a kernel that
    // does not know better is as precise as it is.
    let _ = nix::sys::prctl::set_timerslack(1);
    let start = Instant::now();
    let seed = SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |now| now.as_nanos() as u64);
    let mut clock = Clock::new(start, options.rate, seed);
    let mut named = start;
    // One too far away to be counted is none.
    let limit = options.duration.0.and_then(|limit| start.checked_add(limit));
    // It may replace itself (`exec`) by another Python.
    let mut search = Search::new(pid, options.stops.pausing());
    let end = loop {
        let tick = clock.next(Instant::now());
        let until = limit.map_or(tick.due, |limit| limit.min(tick.due));
        match pacer.wait(until, signals) {
            Woken::Due => {}
            Woken::Exited => break End::Exited,
            Woken::Signalled if serve(signals, launched) => break End::Interrupted,
            Woken::Signalled => continue,
        }
        if limit.is_some_and(|limit| limit <= tick.due) {
            break End::Elapsed;
        }
        recorder.miss(tick.missed);
        if target.is_waiting() {
            recorder.miss(1);
            continue;
        }
        // Time that was missed belongs to what is seen first afterwards only as
        // far as a tick goes: a long stall must not land on one stack.
        match target.look(which) {
            Ok(look) => recorder.add(&target.process, start.elapsed(), 1, &look),
            // An exiting process loses its memory a little before it counts as exited.
            Err(ReadError::Gone) => break End::Exited,
            Err(error) => {
                if !target.process.is_same() {
                    break End::Exited;
                }
                recorder.lose(error, 1);
                if let Some(Ok(found)) = search.attempt() {
                    tracing::info!(pid, version = %found.attached.version(), "found its Python again");
                    *target = found;
                    if options.class_names {
                        target.read_class_names();
                    }
                }
            }
        }
        if named.elapsed() >= NAME_AGAIN && recorder.has_unnamed() {
            named = Instant::now();
            recorder.name_threads(&target.thread_names());
        }
        progress.show(start.elapsed(), recorder.samples(), recorder.lost());
    };
    progress.finish();
    recorder.name_threads(&target.thread_names());
    let (samples, lost, stops) = (recorder.samples(), recorder.lost(), target.stops());
    tracing::info!(?end, samples, lost, ?stops, "sampling ended");
    (recorder, end, start.elapsed())
}

fn metadata(options: &Record, target: &Target) -> Metadata {
    Metadata {
        program: target.process.command_line().join(" "),
        python_version: Some(format!("{}{}", target.attached.version(), target.attached.abi())),
        pid: target.process.pid(),
        host: std::fs::read_to_string("/proc/sys/kernel/hostname").ok().map(|name| name.trim().to_owned()),
        rate: options.rate.hertz(),
        start: SystemTime::now(),
        duration: Duration::ZERO,
        rspy_version: env!("CARGO_PKG_VERSION").to_owned(),
    }
}

fn write(options: &Record, profile: &Profile, output: &Output) -> std::io::Result<()> {
    let choices = Options {
        title: None,
        line_numbers: !options.nolineno,
        by_function: options.function,
        full_filenames: options.full_filenames,
        by_thread: options.threads,
        idle: options.idle,
        gil: options.gil,
    };
    let mut out = BufWriter::new(output.begin()?);
    match options.format.write(profile, &choices, &mut out) {
        Ok(()) => out.flush(),
        Err(FormatError::Write(error)) => Err(error),
        Err(error) => Err(std::io::Error::other(error)),
    }
}

fn describe(stops: &StopStats) -> String {
    if stops.count == 0 {
        return "the target was never stopped".to_owned();
    }
    let late = if stops.late == 0 { String::new() } else { format!(", {} late", grouped(stops.late)) };
    format!(
        "{} stops of {:.1} ms in all, {:.2} ms at most{late}",
        grouped(stops.count),
        stops.total.as_secs_f64() * 1e3,
        stops.max.as_secs_f64() * 1e3,
    )
}

/// Why a recording after so many looks is empty, and what to do.
fn nothing_seen(options: &Record, looks: u64) -> &'static str {
    match (looks, options.gil) {
        (0, _) => {
            "rspy: No sample was taken in that time.\n      Record for longer, or with a higher --rate."
        }
        (_, true) => {
            "rspy: No thread held the GIL at any sample.\n      To see all threads that run, leave out --gil."
        }
        (_, false) => {
            "rspy: No thread ran at any sample: all were asleep or waiting.\n      To see where they wait, add --idle."
        }
    }
}
