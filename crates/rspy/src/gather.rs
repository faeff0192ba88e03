//! From a process or a program to its samples: finds it or starts it, samples until something ends that, and ends
//! what was started.

use std::ffi::OsString;
use std::io;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use rspy_process::stop::StopStats;
use rspy_profile::{Metadata, Overhead, Profile};

use crate::attach::attach;
use crate::clock::Rate;
use crate::costs::Costs;
use crate::failure::Failure;
use crate::figures::Figures;
use crate::launch::{Launched, Streams, exit_code};
use crate::progress::{Messages, Progress, report};
use crate::recorder::Recorder;
use crate::session::{self, End, Plan, Sampled, Summary};
use crate::signals::Signals;
use crate::sink::Sink;
use crate::target::{Pausing, Target};
use crate::tree::Family;

/// Of so many processes it is told that they could not be stopped: the others have the same reason, mostly.
const MOST_REFUSED: usize = 5;

/// Whose samples are taken.
#[derive(Copy, Clone, Debug)]
pub struct Whom<'a> {
    /// A process; else the program is started.
    pub pid: Option<u32>,
    /// The program, with its arguments.
    pub program: &'a [OsString],
    /// Whether the processes that it starts are sampled as well.
    pub subprocesses: bool,
}

impl Whom<'_> {
    /// Finds the process, or starts the program and finds its Python.
    pub fn find(
        &self,
        streams: Streams,
        pausing: Pausing,
        signals: &mut Signals,
    ) -> Result<(Option<Launched>, Target), Failure> {
        match self.pid {
            Some(pid) if self.subprocesses => Ok((None, first_below(pid, pausing)?)),
            Some(pid) => Ok((None, attach(pid, pausing)?)),
            None => {
                let mut launched = Launched::start(self.program, streams)?;
                let target = launched.find_python(pausing, signals)?;
                Ok((Some(launched), target))
            }
        }
    }

    /// The process whose descendants are sampled as well; `None` if only one is.
    pub fn tree(&self, launched: Option<&Launched>) -> Option<u32> {
        self.subprocesses.then(|| self.pid.or(launched.map(Launched::pid))).flatten()
    }
}

/// The Python in process `root` or, if that runs something else, the first one below it.
fn first_below(root: u32, pausing: Pausing) -> Result<Target, Failure> {
    let mut family = Family::find(root, pausing)?;
    let first = family.take_targets().into_iter().next();
    first.ok_or_else(|| Failure::attaching(root, &rspy_process::ReadError::Gone.into()))
}

/// What is known of samples before they are taken.
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

/// What was gathered.
pub struct Gathered {
    /// The samples, unless they are in the file, and the tables they refer to.
    pub profile: Profile,
    /// What each thread did.
    pub figures: Figures,
    /// The file, to be finished, if there is one.
    pub sink: Option<io::Result<Sink>>,
    /// What sampling came to.
    pub summary: Summary,
    /// How many samples there are.
    pub samples: u64,
    /// How many could not be taken.
    pub lost: u64,
    /// Of how many the innermost frames are not known.
    pub cut: u64,
    /// What it took.
    pub costs: Costs,
    refused: Vec<Failure>,
}

/// Samples `target` as planned, and says how that goes. A program that it is is told to end when its time is over.
pub fn gather(
    plan: &Plan,
    target: Target,
    recorder: Recorder,
    launched: &mut Option<Launched>,
    signals: &mut Signals,
    (messages, hideprogress): (&Messages, bool),
) -> Result<Gathered, Failure> {
    announce(plan, messages);
    let costs = Costs::start();
    let progress = Progress::new(plan.limit, hideprogress);
    let bar = progress.clone();
    let show = move |elapsed, recorder: &Recorder| bar.show(elapsed, recorder.samples(), recorder.lost());
    let warn = |failure: Failure| report(format_args!("rspy: {failure}"));
    let sampled = session::sample(plan, target, recorder, launched.as_ref(), signals, show, warn);
    progress.finish();
    let Sampled { recorder, summary, refused } =
        sampled.map_err(|error| Failure::no_thread_to_record(&error))?;
    let ended = match summary.end {
        End::Elapsed => None,
        End::Exited => Some("process exited"),
        End::Interrupted => Some("Control-C pressed"),
        End::Full => Some("the recording takes no more"),
    };
    if let Some(why) = ended {
        messages.pause();
        messages.say(format_args!("Stopped sampling because {why}"));
    }
    // After Control-C, which the terminal sends to the program too, it may be cleaning up.
    if let Some(launched) = launched
        && matches!(summary.end, End::Elapsed | End::Full)
    {
        launched.tell_to_end();
    }
    let (samples, lost, cut) = (recorder.samples(), recorder.lost(), recorder.cut());
    let (mut profile, figures, sink) = recorder.into_profile();
    profile.metadata.duration = summary.duration;
    profile.metadata.overhead = Some(overhead(&costs, &summary.sums.stops));
    profile.missed = summary.missed;
    Ok(Gathered { profile, figures, sink, summary, samples, lost, cut, costs, refused })
}

impl Gathered {
    /// Says of processes that could not be stopped why.
    pub fn report_refused(&self) {
        for failure in self.refused.iter().take(MOST_REFUSED) {
            report(format_args!("rspy: {failure}"));
        }
        if self.refused.len() > MOST_REFUSED {
            report(format_args!("rspy: So were {} more processes.", self.refused.len() - MOST_REFUSED));
        }
    }
}

/// Ends the program, unless it has ended by itself. rspy's exit code is what its own is then.
pub fn end(launched: &mut Option<Launched>, end: End, signals: &mut Signals) -> ExitCode {
    let status = launched.as_mut().and_then(|launched| match end {
        End::Exited => launched.collect(signals),
        End::Elapsed | End::Interrupted | End::Full => {
            launched.end(signals);
            None
        }
    });
    status.map_or(ExitCode::SUCCESS, |status| ExitCode::from(exit_code(status)))
}

fn announce(plan: &Plan, messages: &Messages) {
    let limit = match plan.limit {
        Some(limit) => format!(" for {} seconds", limit.as_secs_f64()),
        None => String::new(),
    };
    messages.say(format_args!("Sampling process {}{limit}. Press Control-C to exit.", plan.rate));
    messages.pause();
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
