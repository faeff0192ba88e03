//! The JSON that `record --summary` writes.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use crate::Outcome;

/// All that it says of a recording.
#[derive(Debug, Deserialize)]
pub struct Figures {
    /// In the order they were met.
    pub processes: Vec<ProcessFigures>,
}

/// What it says of a process.
#[derive(Debug, Deserialize)]
pub struct ProcessFigures {
    /// Its id.
    pub pid: u32,
    /// The id of the Python process above it.
    pub parent: Option<u32>,
    /// With blanks between the arguments.
    pub command_line: String,
    /// How long it was recorded.
    pub seconds: f64,
    /// In per cent of one processor.
    pub cpu_percent: Option<f64>,
    /// In bytes.
    pub max_rss: Option<u64>,
    /// Samples in the recording.
    pub samples: u64,
    /// Samples that could not be taken, by reason.
    pub lost: BTreeMap<String, u64>,
    /// In the order they were met.
    pub threads: Vec<ThreadFigures>,
}

/// What it says of a thread.
#[derive(Debug, Deserialize)]
pub struct ThreadFigures {
    /// The kernel's id.
    pub os_thread_id: Option<u32>,
    /// Its name in `threading`.
    pub name: Option<String>,
    /// In per cent of one processor.
    pub cpu_percent: Option<f64>,
    /// How often it held the GIL.
    pub gil_percent: Option<f64>,
    /// How often it waited for the GIL.
    pub gil_wait_percent: Option<f64>,
    /// How often it collected garbage.
    pub gc_percent: Option<f64>,
    /// Samples in the recording.
    pub samples: u64,
}

impl Figures {
    /// Reads the file.
    pub fn read(file: &Path) -> Outcome<Figures> {
        let text = std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
        Ok(serde_json::from_str(&text).map_err(|error| format!("{error} in {text}"))?)
    }
}
