//! What an analysis is of: recordings that there are, or one that is taken now, of a process or a program, in memory.
//! Either is read in the same way.

use std::fs::File;
use std::os::fd::{AsFd, AsRawFd};
use std::path::PathBuf;
use std::process::ExitCode;

use rspy_profile::Profile;
use rspy_profile::format::Recording;

use crate::analysis::Origin;
use crate::cli::{Mode, Samples};
use crate::failure::Failure;
use crate::gather::{Gathered, Whom, end, gather, metadata};
use crate::launch::{Launched, Streams};
use crate::load::{Loaded, Reading, load};
use crate::progress::{Messages, report};
use crate::recorder::Recorder;
use crate::sampler::Wanted;
use crate::session::{End, Plan};
use crate::signals::Signals;
use crate::sink::{Limits, Sink};

/// Samples, and what they were taken of.
pub struct Taken {
    /// The samples.
    pub loaded: Loaded,
    /// Where their code comes from.
    pub origin: Origin,
    program: Option<Ended>,
}

/// A program that was sampled, or a process.
struct Ended {
    launched: Option<Launched>,
    end: End,
    signals: Signals,
}

impl Taken {
    /// Reads what was recorded; or samples first, until something ends that.
    pub fn take(options: &Samples, charges_memory: bool) -> Result<Taken, Failure> {
        let reading = Reading {
            filters: &options.filters,
            mode: Mode::Wall,
            needs_timeline: true,
            charges_memory,
            hideprogress: options.hideprogress,
        };
        if !options.files.is_empty() {
            let loaded = load(&reading, &options.files);
            let loaded = loaded.map_err(|failure| Failure::of_command(&options.files).unwrap_or(failure));
            let loaded = loaded?;
            let origin = Origin::of_recording(&loaded.profile.metadata);
            return Ok(Taken { loaded, origin, program: None });
        }
        let (file, origin, ended) = sample(options)?;
        let path = PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()));
        match load(&reading, &[path]) {
            Ok(loaded) => Ok(Taken { loaded, origin, program: Some(ended) }),
            Err(failure) => {
                ended.finish();
                Err(failure)
            }
        }
    }

    /// Ends the program, if one was started. rspy's exit code is what its own is then.
    pub fn finish(self) -> ExitCode {
        self.program.map_or(ExitCode::SUCCESS, Ended::finish)
    }
}

impl Ended {
    fn finish(mut self) -> ExitCode {
        end(&mut self.launched, self.end, &mut self.signals)
    }
}

/// Samples a process or a program into a recording that is in no folder.
fn sample(options: &Samples) -> Result<(File, Origin, Ended), Failure> {
    let pausing = options.stops.pausing();
    let mut signals = Signals::collect(options.pid.is_none())?;
    let whom = Whom { pid: options.pid, program: &options.program, subprocesses: options.subprocesses };
    let (mut launched, target) = whom.find(Streams::Own, pausing, &mut signals)?;
    // Before it ends, and its files with it.
    let origin = Origin::of_process(&target.process);
    let plan = Plan {
        rate: options.rate,
        limit: options.duration.0,
        wanted: Wanted { memory: true, ..Wanted::all(pausing) },
        tree: whom.tree(launched.as_ref()),
        live: None,
    };
    let profile = Profile::for_format(metadata(options.rate, Mode::Wall.name(), &target), &Recording);
    let file = rustix::fs::memfd_create("rspy", rustix::fs::MemfdFlags::CLOEXEC);
    let file = File::from(file.map_err(|error| Failure::keeping_samples(&error.into()))?);
    let path = PathBuf::from("/proc/self/fd").join(file.as_fd().as_raw_fd().to_string());
    let sink = file.try_clone().and_then(|file| Sink::new(file, &path, Limits::default(), &profile));
    let recorder =
        Recorder::new(profile, Some(sink.map_err(|error| Failure::keeping_samples(&error))?), false, false);
    let messages = Messages { on_stderr: true, named: true };
    let told = (&messages, options.hideprogress);
    let gathered = gather(&plan, target, recorder, &mut launched, &mut signals, told)?;
    gathered.report_refused();
    let Gathered { profile, sink, summary, samples, lost, cut, .. } = gathered;
    report(summary.in_a_line(samples, lost, cut));
    if let Some(sink) = sink {
        sink.and_then(|sink| sink.finish(&profile)).map_err(|error| Failure::keeping_samples(&error))?;
    }
    Ok((file, origin, Ended { launched, end: summary.end, signals }))
}
