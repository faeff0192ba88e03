//! Recordings of targets that measure themselves.

use std::collections::BTreeMap;
use std::time::Duration;

use rspy_tests::figures::{Figures, ThreadFigures};
use rspy_tests::interpreters;
use rspy_tests::rspy::{Output, Recording, Summary};
use rspy_tests::stacks::{Profile, Seen};
use rspy_tests::statistics::{SIGMAS, deviation};
use rspy_tests::target::Target;
use rspy_tests::{Outcome, process};

/// So many samples a second.
const RATE: u32 = 1000;

/// So much may a share be off beyond what chance does: what is between two readings of the target's clock.
const POINTS: f64 = 0.02;

/// A recording in which the target waited for its processor, or rspy missed looks, for more than this share of it
/// tells nothing: what others take is not taken by chance.
const WAITING: f64 = 0.06;

/// How often that may happen.
const TRIES: usize = 20;

/// A recording, and what the target measured meanwhile.
pub struct Measured {
    /// Which one it is, for messages.
    pub what: String,
    /// Seconds that the target spent on each of its activities.
    pub seconds: BTreeMap<String, f64>,
    pub profile: Profile,
    pub figures: Figures,
    pub summary: Summary,
    /// What rspy said.
    pub stderr: String,
    rate: u32,
}

/// Records `target` with `arguments`; again if others had its processor, by the kernel's clock.
pub fn measure(target: &mut Target, what: &str, arguments: &[&str]) -> Outcome<Measured> {
    let mut waits = Vec::new();
    while waits.len() < TRIES {
        let before = waited(target.pid);
        target.ask()?;
        let (profile, figures, output) = record(target, RATE, seconds(), arguments)?;
        let summary = output.summary()?;
        let told = target.ask()?;
        let waiting = (waited(target.pid).saturating_sub(before)).as_secs_f64() / summary.seconds;
        let missed = summary.missed as f64 / (f64::from(RATE) * summary.seconds);
        if waiting.max(missed) <= WAITING {
            let what = format!("{what} {arguments:?}");
            let seconds = serde_json::from_str(&told)?;
            return Ok(Measured {
                what,
                seconds,
                profile,
                figures,
                summary,
                stderr: output.stderr,
                rate: RATE,
            });
        }
        waits.push((waiting, missed));
    }
    Err(format!(
        "of the time, the target waited for processors, and rspy missed looks: {waits:.3?}; run it on a quiet machine"
    )
    .into())
}

/// How long each is recorded.
fn seconds() -> u32 {
    if interpreters::in_ci() { 5 } else { 2 }
}

/// Records `target` on the other processor.
pub fn record(
    target: &Target,
    rate: u32,
    seconds: u32,
    arguments: &[&str],
) -> Outcome<(Profile, Figures, Output)> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("figures.json");
    let file = path.display().to_string();
    let (rate, seconds) = (rate.to_string(), seconds.to_string());
    let common = ["--rate", &rate, "--duration", &seconds, "--summary", &file];
    let recording = Recording::of(target.pid, &[&common, arguments].concat())?;
    process::pin(recording.run.pid(), 1)?;
    let (profile, output) = recording.finish()?;
    Ok((profile, Figures::read(&path)?, output))
}

/// How long the threads of a process have waited for processors.
fn waited(pid: u32) -> Duration {
    let of = |thread| process::scheduled(pid, thread).map(|(_, waited)| waited);
    process::threads(pid).into_iter().filter_map(of).sum()
}

/// Whether a frame of `name` is in the stack.
pub fn has(stack: &[Seen], name: &str) -> bool {
    stack.iter().any(|frame| frame.name == name)
}

impl Measured {
    /// How often was looked.
    pub fn looks(&self) -> u64 {
        let all = (f64::from(self.rate) * self.summary.seconds) as u64;
        all.saturating_sub(self.summary.missed)
    }

    /// The share of the time that the target spent on `activity`, of that on it and on the `others`.
    pub fn share(&self, activity: &str, others: &[&str]) -> f64 {
        let of = |activity: &str| self.seconds.get(activity).copied().unwrap_or(0.0);
        of(activity) / (of(activity) + others.iter().map(|other| of(other)).sum::<f64>())
    }

    /// The samples whose stack is such.
    pub fn count(&self, is_such: impl Fn(&[Seen]) -> bool) -> u64 {
        self.profile.stacks.iter().filter(|(stack, _)| is_such(stack)).map(|(_, count)| count).sum()
    }

    /// What is said of the thread called `name`.
    pub fn thread(&self, name: &str) -> Outcome<&ThreadFigures> {
        let mut threads = self.figures.processes.iter().flat_map(|process| &process.threads);
        let found = threads.find(|thread| thread.name.as_deref() == Some(name));
        found.ok_or_else(|| format!("no thread {name:?} in {:?}", self.figures).into())
    }

    /// Whether `seen`, the share of `name`, is the `true_share`, counted in `samples`.
    pub fn expect(&self, name: &str, seen: Option<f64>, true_share: f64, samples: u64) -> Outcome {
        let tolerance = POINTS + SIGMAS * deviation(true_share, samples.max(1));
        let said = format!(
            "{}: {name} {seen:.3?} of {samples} samples, {true_share:.3} ± {tolerance:.3} of the time",
            self.what
        );
        println!("{said}");
        let is_right = seen.is_some_and(|seen| (seen - true_share).abs() <= tolerance);
        if is_right && samples > 0 { Ok(()) } else { Err(format!("{said}: {:?}", self.summary).into()) }
    }

    /// The same of a figure in per cent.
    pub fn expect_percent(&self, name: &str, seen: Option<f64>, true_share: f64) -> Outcome {
        self.expect(name, seen.map(|percent| percent / 100.0), true_share, self.looks())
    }

    /// The same of samples in relation to all looks.
    pub fn expect_samples(&self, name: &str, samples: u64, true_share: f64) -> Outcome {
        self.expect(name, Some(samples as f64 / self.looks() as f64), true_share, self.looks())
    }
}
