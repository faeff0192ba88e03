//! What a profile is of, and how it was taken.

use std::time::{Duration, SystemTime};

/// What a profile is of, and how it was taken.
#[derive(Clone, Debug, PartialEq)]
pub struct Metadata {
    /// The command line of the sampled program.
    pub program: String,
    /// The version of its Python, as `3.13.0`; `None` if unknown.
    pub python_version: Option<String>,
    /// The id of the process, of the topmost one if several were sampled.
    pub pid: u32,
    /// The name of the machine it ran on; `None` if unknown.
    pub host: Option<String>,
    /// How many samples per second and thread were asked for, in hertz; 0 for as many as can be had,
    /// where a tick of the sampler is no certain time.
    pub rate: f64,
    /// When sampling began.
    pub start: SystemTime,
    /// How long it went on.
    pub duration: Duration,
    /// The version of rspy that took the samples.
    pub rspy_version: String,
}

/// How long a thread is not seen before its calls count as over, where no rate was asked for.
const LONGEST_PAUSE: u64 = 10_000_000;

impl Metadata {
    /// The time between two ticks of the sampler, in nanoseconds; 0 if no rate was asked for.
    pub(crate) fn period(&self) -> u64 {
        if self.rate > 0.0 { (1e9 / self.rate) as u64 } else { 0 }
    }

    /// How far apart two samples of a thread may be that was there all the time, in nanoseconds.
    /// Within each period a tick is anywhere, so that two neighbours are up to two periods apart.
    pub(crate) fn longest_pause(&self) -> u64 {
        if self.rate > 0.0 { self.period().saturating_mul(2) } else { LONGEST_PAUSE }
    }
}

impl Default for Metadata {
    fn default() -> Self {
        Self {
            program: String::new(),
            python_version: None,
            pid: 0,
            host: None,
            rate: 100.0,
            start: SystemTime::UNIX_EPOCH,
            duration: Duration::ZERO,
            rspy_version: String::new(),
        }
    }
}
