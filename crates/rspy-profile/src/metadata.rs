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
    /// How many samples per second and thread were asked for, in hertz.
    pub rate: f64,
    /// When sampling began.
    pub start: SystemTime,
    /// How long it went on.
    pub duration: Duration,
    /// The version of rspy that took the samples.
    pub rspy_version: String,
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
