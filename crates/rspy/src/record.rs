//! `rspy record`: samples stacks until told otherwise, then writes them.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rspy_process::ReadError;
use rspy_process::stop::StopStats;
use rspy_profile::{FormatError, Metadata, Options, Profile};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use crate::cli::{Record, pausing};
use crate::clock::Clock;
use crate::failure::Failure;
use crate::launch::Launched;
use crate::progress::{Progress, grouped, report, say};
use crate::recorder::Recorder;
use crate::target::{Target, Which};

/// How often a target whose structures have gone is looked for again: it may have
/// replaced itself (`exec`) by another Python.
const FIND_AGAIN: Duration = Duration::from_millis(50);

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
    let interrupted = on_interrupt()?;
    let (mut launched, mut target) = match options.pid {
        Some(pid) => (None, Target::attach(pid).map_err(|error| Failure::attaching(pid, &error))?),
        None => {
            let (launched, target) = Launched::start(&options.program)?;
            (Some(launched), target)
        }
    };
    target.pausing = pausing(options.nonblocking);
    let pid = target.process.pid();
    let output = options.output.clone().unwrap_or_else(|| default_name(pid, options.format.extension()));
    // Found out now, not after an hour of sampling.
    let file = File::options().create(true).append(true).open(&output);
    let writing = |error| Failure::writing(&output.display().to_string(), &error);
    let file = file.map_err(writing)?;

    announce(options);
    let (recorder, end, duration) = sample(options, &mut target, &interrupted)?;
    let stops = target.stops();
    if end == End::Elapsed || end == End::Interrupted {
        launched.as_mut().map(Launched::end);
    } else {
        launched.as_mut().map(Launched::collect);
    }
    match end {
        End::Elapsed => {}
        End::Exited => say("\nrspy> Stopped sampling because process exited"),
        End::Interrupted => say("\nrspy> Stopped sampling because Control-C pressed"),
    }

    let (samples, lost, cut, missed) =
        (recorder.samples(), recorder.lost(), recorder.cut(), recorder.missed());
    let profile = recorder.finish(duration);
    // What was there before goes only now; a pipe or a terminal has nothing to go.
    if file.metadata().is_ok_and(|metadata| metadata.is_file()) {
        file.set_len(0).map_err(writing)?;
    }
    write(options, &profile, file).map_err(writing)?;
    say(format_args!(
        "rspy> Wrote {} to '{}'. Samples: {samples} Errors: {lost}",
        options.format.content(),
        output.display()
    ));
    if let Some(hint) = options.format.how_to_open() {
        say(format_args!("rspy> {hint}"));
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
    Ok(ExitCode::SUCCESS)
}

fn announce(options: &Record) {
    let target = if options.pid.is_some() { "process" } else { "program" };
    let limit = match options.duration.0 {
        Some(limit) => format!(" for {} seconds", limit.as_secs_f64()),
        None => String::new(),
    };
    say(format_args!(
        "rspy> Sampling {target} {} times a second{limit}. Press Control-C to exit.\n",
        options.rate
    ));
}

/// A flag that is set when the user or the system asks rspy to end.
fn on_interrupt() -> Result<Arc<AtomicBool>, Failure> {
    let flag = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        signal_hook::flag::register(signal, flag.clone()).map_err(|error| {
            Failure::new(format!("Signal {signal} cannot be handled: {error}."), "Please report this.")
        })?;
    }
    Ok(flag)
}

fn sample(
    options: &Record,
    target: &mut Target,
    interrupted: &AtomicBool,
) -> Result<(Recorder, End, Duration), Failure> {
    let pid = target.process.pid();
    let exit = exit_of(pid);
    let which = if options.idle { Which::All } else { Which::Active };
    let mut recorder = Recorder::new(metadata(options, target), options.columns);
    let progress = Progress::new(options.duration.0, options.hideprogress);
    // The kernel ends a wait up to 50 µs late unless told otherwise; a kernel that
    // does not know better is as precise as it is.
    let _ = nix::sys::prctl::set_timerslack(1);
    let start = Instant::now();
    let seed = SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |now| now.as_nanos() as u64);
    let mut clock = Clock::new(start, options.rate, seed);
    let (mut find_again, mut named) = (start, start);
    let end = loop {
        let tick = clock.next(Instant::now());
        let limit = options.duration.0.map(|limit| start + limit);
        let until = limit.map_or(tick.due, |limit| limit.min(tick.due));
        if let Some(end) = wait(until, exit.as_ref(), interrupted) {
            break end;
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
                if find_again.elapsed() >= FIND_AGAIN {
                    find_again = Instant::now();
                    if let Ok(found) = Target::attach(pid) {
                        *target = found;
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
    Ok((recorder, end, start.elapsed()))
}

/// What becomes readable when the process exits; `None` on kernels without pidfd,
/// where the exit shows as a failed look.
fn exit_of(pid: u32) -> Option<OwnedFd> {
    pidfd_open(Pid::from_raw(pid as i32)?, PidfdFlags::empty()).ok()
}

/// Waits until `due`, unless the process exits or somebody interrupts before.
fn wait(due: Instant, exit: Option<&OwnedFd>, interrupted: &AtomicBool) -> Option<End> {
    loop {
        if interrupted.load(Ordering::Relaxed) {
            return Some(End::Interrupted);
        }
        let left = due.saturating_duration_since(Instant::now());
        let timeout = Timespec { tv_sec: left.as_secs() as i64, tv_nsec: i64::from(left.subsec_nanos()) };
        let mut watched: Vec<PollFd<'_>> = exit.iter().map(|fd| PollFd::new(*fd, PollFlags::IN)).collect();
        match poll(&mut watched, Some(&timeout)) {
            Ok(0) if left.is_zero() || due <= Instant::now() => return None,
            // A signal ends the wait: look at the flag.
            Ok(0) | Err(_) => {}
            Ok(_) => return Some(End::Exited),
        }
    }
}

fn metadata(options: &Record, target: &Target) -> Metadata {
    Metadata {
        program: target.process.command_line().join(" "),
        python_version: Some(format!("{}{}", target.attached.version(), target.attached.abi())),
        pid: target.process.pid(),
        host: std::fs::read_to_string("/proc/sys/kernel/hostname").ok().map(|name| name.trim().to_owned()),
        rate: f64::from(options.rate),
        start: SystemTime::now(),
        duration: Duration::ZERO,
        rspy_version: env!("CARGO_PKG_VERSION").to_owned(),
    }
}

fn write(options: &Record, profile: &Profile, file: File) -> std::io::Result<()> {
    let choices = Options {
        title: None,
        line_numbers: !options.nolineno,
        by_function: options.function,
        full_filenames: options.full_filenames,
        by_thread: options.threads,
        idle: options.idle,
        gil: options.gil,
    };
    let mut out = BufWriter::new(file);
    match options.format.write(profile, &choices, &mut out) {
        Ok(()) => out.flush(),
        Err(FormatError::Write(error)) => Err(error),
        Err(error) => Err(std::io::Error::other(error)),
    }
}

/// `PID-2026-11-22T11-58-45+0000.svg`, in local time, as py-spy names them.
fn default_name(pid: u32, extension: &str) -> PathBuf {
    let time = jiff::Zoned::now().strftime("%Y-%m-%dT%H-%M-%S%z");
    PathBuf::from(format!("{pid}-{time}.{extension}"))
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
