//! `rspy time`: what a command used, how much that differs from run to run or from another command, and where the real time
//! went by function.

mod run;
mod statistics;
mod text;

use std::ffi::OsString;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::process::ExitCode;

use rspy_profile::analysis::{Spans, Times, spans};
use rspy_profile::format::Gecko;
use rspy_profile::{Options, Profile};
use serde::Serialize;
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};

use self::run::{Finished, Running, Used};
use self::statistics::{Ratio, Summary};
use crate::cli::{Mode, Time};
use crate::failure::Failure;
use crate::figures::Figures;
use crate::gather::metadata;
use crate::launch::{Missing, Streams, exit_code};
use crate::output::Output;
use crate::progress::{Runs, report as say};
use crate::recorder::Recorder;
use crate::sampler::Wanted;
use crate::session::{self, End, Plan};
use crate::signals::Signals;

/// How often commands that are compared run, unless told otherwise.
const RUNS: u32 = 10;

/// Somebody sends these to end a command: with it the others are ended that would follow.
const ENDING: &[i32] = &[SIGINT, SIGTERM, SIGHUP, SIGQUIT];

/// What is known of one run.
#[derive(Serialize)]
struct Single {
    command: String,
    #[serde(flatten)]
    used: Used,
    /// What sampling has found; `None` if it was not sampled.
    sampled: Option<Sampled>,
}

/// What sampling a command has found.
#[derive(Serialize)]
struct Sampled {
    /// For how long a thread held the GIL, in per cent of the real time, added up over processes.
    gil_percent: Option<f64>,
    /// For how long threads waited for it, added up.
    gil_wait_percent: Option<f64>,
    /// For how long garbage was collected.
    gc_percent: Option<f64>,
    /// For how long threads were stopped for sampling, in seconds, and how often.
    stopped: f64,
    stops: u64,
    #[serde(flatten)]
    times: Times,
    /// The functions that were asked for.
    spans: Vec<Spans>,
}

/// What is known of several runs.
#[derive(Serialize)]
struct Several {
    commands: Vec<Command>,
    /// How much longer the first one takes than the second one.
    ratio: Option<Ratio>,
}

#[derive(Serialize)]
struct Command {
    command: String,
    /// How many runs failed: ended with another exit code than 0.
    failures: usize,
    real: Option<Summary>,
    user: Option<Summary>,
    system: Option<Summary>,
    max_rss: Option<Summary>,
    /// Each run, in order.
    runs: Vec<Used>,
}

/// Times a command, and writes what it used. rspy's exit code is the command's.
pub fn time(options: &Time) -> Result<ExitCode, Failure> {
    let is_stdout = options.output.as_deref() == Some(Path::new("-"));
    let output = options.output.as_deref().filter(|_| !is_stdout).map(Output::open).transpose()?;
    let (report, code) = match options.repeat.is_some() || options.vs.is_some() {
        true => several(options).map(|(several, code)| (Report::Several(several), code))?,
        false => single(options).map(|(single, code)| (Report::Single(Box::new(single)), code))?,
    };
    match output {
        Some(output) => output
            .begin()
            .and_then(|file| write(options, &report, file))
            .map_err(|error| output.failure(&error))?,
        None if is_stdout => {
            write(options, &report, io::stdout()).map_err(|error| Failure::printing(&error))?
        }
        // Nobody listening any more is no reason to hide how the command ended.
        None => drop(write(options, &report, io::stderr())),
    }
    Ok(code)
}

#[derive(Serialize)]
#[serde(untagged)]
enum Report {
    Single(Box<Single>),
    Several(Several),
}

fn write(options: &Time, report: &Report, out: impl Write) -> io::Result<()> {
    let mut out = BufWriter::new(out);
    match report {
        _ if options.json => {
            serde_json::to_writer_pretty(&mut out, report)?;
            writeln!(out)?;
        }
        Report::Single(single) => text::single(options, single, &mut out)?,
        Report::Several(several) => text::several(several, &mut out)?,
    }
    out.flush()
}

/// A command as text.
fn command_line(program: &[OsString]) -> String {
    let words: Vec<String> = program.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    shlex::try_join(words.iter().map(String::as_str)).unwrap_or_else(|_| words.join(" "))
}

/// One run, which is sampled.
fn single(options: &Time) -> Result<(Single, ExitCode), Failure> {
    let mut signals = Signals::collect(true)?;
    let mut running = Running::start(&options.program, Streams::Own, true)?;
    let gathered = if options.no_sampling { None } else { sample(options, &mut running, &mut signals)? };
    let Finished { status, used, .. } = running.finish(&mut signals)?;
    let sampled = gathered.map(|(profile, figures, stops)| {
        let shown = Options { idle: true, full_filenames: options.full_filenames, ..Options::default() };
        let is_meant = |name: &str| {
            let last = name.rsplit('.').next().unwrap_or(name);
            options.function.iter().any(|pattern| pattern.matches(name) || pattern.matches(last))
        };
        let share = |of: fn(&crate::figures::ThreadFigures) -> Option<f64>| {
            let threads = figures.processes.iter().flat_map(|process| &process.threads);
            let seconds: Vec<f64> = threads.filter_map(|thread| Some(of(thread)? * thread.seconds)).collect();
            (!seconds.is_empty()).then(|| seconds.iter().sum::<f64>() / used.real.max(1e-9))
        };
        Sampled {
            gil_percent: share(|thread| thread.gil_percent),
            gil_wait_percent: share(|thread| thread.gil_wait_percent),
            gc_percent: share(|thread| thread.gc_percent),
            stopped: stops.total.as_secs_f64(),
            stops: stops.count,
            times: Times::new(&profile, &shown),
            spans: if options.function.is_empty() { Vec::new() } else { spans(&profile, &shown, is_meant) },
        }
    });
    let single = Single { command: command_line(&options.program), used, sampled };
    Ok((single, ExitCode::from(exit_code(status))))
}

type Found = (Profile, Figures, rspy_process::stop::StopStats);

/// Samples a command until it ends, if there is Python in it.
fn sample(options: &Time, running: &mut Running, signals: &mut Signals) -> Result<Option<Found>, Failure> {
    let pausing = options.stops.pausing();
    let launched = &mut running.launched;
    let target = match launched.search_python(pausing, signals) {
        Ok(target) => target,
        Err(Missing::Ended) => return Ok(None),
        Err(Missing::None(failure)) => {
            tracing::info!(%failure, "it is timed, and not sampled");
            return Ok(None);
        }
        Err(Missing::Interrupted) => {
            launched.end(signals);
            return Ok(None);
        }
    };
    let plan = Plan {
        rate: options.rate,
        limit: None,
        wanted: Wanted { kernel: true, ..Wanted::all(pausing) },
        tree: Some(launched.pid()),
        live: None,
    };
    let profile = Profile::for_format(metadata(options.rate, Mode::Wall.name(), &target), &Gecko);
    let recorder = Recorder::new(profile, None, false, false);
    let warn = |failure: Failure| tracing::info!(%failure, "not sampled");
    let sampled = session::sample(&plan, target, recorder, Some(launched), signals, |_, _| {}, warn);
    let session::Sampled { recorder, summary, .. } =
        sampled.map_err(|error| Failure::no_thread_to_record(&error))?;
    if summary.end == End::Interrupted {
        launched.end(signals);
    }
    let (mut profile, figures, _) = recorder.into_profile();
    profile.metadata.duration = summary.duration;
    Ok(Some((profile, figures, summary.sums.stops)))
}

/// Many runs of one command, or of two in turns.
fn several(options: &Time) -> Result<(Several, ExitCode), Failure> {
    let mut programs = vec![options.program.clone()];
    if let Some(other) = &options.vs {
        let words = shlex::split(other).filter(|words| !words.is_empty()).ok_or_else(|| {
            Failure::new(
                format!(
                    "The command of --vs cannot be told apart into words: {}",
                    shlex::try_quote(other).unwrap_or(other.into())
                ),
                "Write it as for a shell, with quotes closed: --vs 'python other.py'.",
            )
        })?;
        programs.push(words.into_iter().map(OsString::from).collect());
    }
    let count = options.repeat.unwrap_or(RUNS);
    let mut signals = Signals::collect(true)?;
    let mut runs: Vec<Vec<Used>> = vec![Vec::new(); programs.len()];
    let bar = Runs::new(u64::from(options.warmup + count) * programs.len() as u64);
    let mut seed = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(1, |now| now.as_nanos() as u64);
    let mut code = ExitCode::SUCCESS;
    'all: for round in 0..options.warmup + count {
        // What the machine does beside must not always meet the same one.
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let is_swapped = seed >> 63 == 1;
        for turn in 0..programs.len() {
            let which = if is_swapped { programs.len() - 1 - turn } else { turn };
            let Finished { status, used, is_interrupted } =
                Running::start(&programs[which], Streams::Own, false)?.finish(&mut signals)?;
            bar.step();
            if is_interrupted || used.signal.is_some_and(|signal| ENDING.contains(&signal)) {
                // What there is is shown.
                code = ExitCode::from(exit_code(status));
                break 'all;
            }
            if !status.success() {
                code = ExitCode::from(exit_code(status));
            }
            if round >= options.warmup {
                runs[which].push(used);
            }
        }
    }
    bar.finish();
    let ratio = match runs.as_slice() {
        [one, other] => Ratio::of(&reals(one), &reals(other)),
        _ => None,
    };
    let failures: usize = runs.iter().flatten().filter(|used| used.exit_code != Some(0)).count();
    match failures {
        0 => {}
        1 => say("rspy: 1 run failed: its time is among the others."),
        _ => say(format_args!("rspy: {failures} runs failed: their times are among the others.")),
    }
    let commands = programs.iter().zip(runs).map(|(program, runs)| Command {
        command: command_line(program),
        failures: runs.iter().filter(|used| used.exit_code != Some(0)).count(),
        real: Summary::of(&reals(&runs)),
        user: Summary::of(&runs.iter().map(|used| used.user).collect::<Vec<_>>()),
        system: Summary::of(&runs.iter().map(|used| used.system).collect::<Vec<_>>()),
        max_rss: Summary::of(&runs.iter().map(|used| used.max_rss as f64).collect::<Vec<_>>()),
        runs,
    });
    Ok((Several { commands: commands.collect(), ratio }, code))
}

fn reals(runs: &[Used]) -> Vec<f64> {
    runs.iter().map(|used| used.real).collect()
}
