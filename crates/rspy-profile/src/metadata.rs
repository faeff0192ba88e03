//! What a profile is of, and how it was taken.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// What a profile is of, and how it was taken.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
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
    #[serde(rename = "start_ns", serialize_with = "write_start", deserialize_with = "read_start")]
    pub start: SystemTime,
    /// How long it went on.
    #[serde(rename = "duration_ns", serialize_with = "write_duration", deserialize_with = "read_duration")]
    pub duration: Duration,
    /// The version of rspy that took the samples.
    pub rspy_version: String,
    /// Which threads samples are of, as `wall` or `gil`, where that was chosen when they were taken; `None` if unknown.
    pub mode: Option<String>,
    /// The command line that rspy was started with; `None` if unknown.
    pub rspy_command_line: Option<String>,
    /// What sampling took of rspy and of the program; `None` as long as it goes on.
    pub overhead: Option<Overhead>,
}

/// What sampling took of rspy and of the sampled program.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Overhead {
    /// rspy's own time on CPUs, in seconds.
    pub cpu_seconds: f64,
    /// The most memory that rspy had resident, in bytes; `None` if unknown.
    pub max_rss_bytes: Option<u64>,
    /// How often a thread of the program was stopped.
    pub stops: u64,
    /// For how long in all, in seconds.
    pub stopped_seconds: f64,
    /// For how long at most, in seconds.
    pub longest_stop_seconds: f64,
}

/// In nanoseconds since 1970; what is before is 1970.
fn write_start<S: Serializer>(start: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
    write_duration(&start.duration_since(UNIX_EPOCH).unwrap_or_default(), serializer)
}

fn read_start<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SystemTime, D::Error> {
    Ok(UNIX_EPOCH + read_duration(deserializer)?)
}

fn write_duration<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX))
}

fn read_duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    u64::deserialize(deserializer).map(Duration::from_nanos)
}

/// How long a thread is not seen before its calls count as over, where no rate was asked for.
const LONGEST_PAUSE: u64 = 10_000_000;

impl Metadata {
    /// The time between two ticks of the sampler, in nanoseconds; 0 if no rate was asked for.
    pub(crate) fn period(&self) -> u64 {
        if self.rate > 0.0 { (1e9 / self.rate) as u64 } else { 0 }
    }

    /// When sampling began, in nanoseconds since 1970.
    pub(crate) fn start_nanoseconds(&self) -> i64 {
        let nanoseconds = |time: Duration| i64::try_from(time.as_nanos()).unwrap_or(i64::MAX);
        match self.start.duration_since(SystemTime::UNIX_EPOCH) {
            Ok(since) => nanoseconds(since),
            Err(before) => -nanoseconds(before.duration()),
        }
    }

    /// How long `ticks` of the sampler take, in seconds; `None` if no rate was asked for.
    pub(crate) fn seconds(&self, ticks: u64) -> Option<f64> {
        (self.rate > 0.0 && self.rate.is_finite()).then(|| ticks as f64 / self.rate)
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
            mode: None,
            rspy_command_line: None,
            overhead: None,
        }
    }
}
