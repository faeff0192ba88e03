//! What samples say, as reports of plain numbers: by function, by line. Who shows one chooses how.
//!
//! Times are in seconds. Without a rate no sample has a certain time, and they are numbers of samples.

mod functions;
mod lines;
mod memory;
mod times;

use serde::Serialize;

pub use functions::{Call, Function, FunctionCost, FunctionName, Functions};
pub use lines::{LineMemory, LineTime, Lines, LinesOf, Time};
pub use memory::{Collector, Generation, Memory, Moment, Peak, ProcessMemory, Shares, moments};

pub use times::{FunctionTime, Spans, Split, Times, spans};

use crate::caption;
use crate::fold::Totals;
use crate::label;
use crate::options::Options;
use crate::profile::Profile;

/// What a report is based on.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Basis {
    /// The program, its Python and its process, in a line.
    pub title: String,
    /// Samples, rate and duration, in a line.
    pub subtitle: String,
    /// How many samples are counted.
    pub samples: u64,
    /// How many could not be taken.
    pub lost: u64,
    /// Of how many the innermost frames are not known.
    pub cut: u64,
    /// The time that all samples stand for.
    pub time: f64,
    /// The time from the first to the last, in seconds.
    pub duration: f64,
    /// What times are: `s`, or `samples` where no rate was asked for.
    pub unit: &'static str,
}

impl Basis {
    fn new(profile: &Profile, options: &Options) -> Basis {
        let totals = Totals::new(profile, options);
        let metadata = &profile.metadata;
        Basis {
            title: caption::title(profile, options),
            subtitle: caption::subtitle(profile, options, &totals),
            samples: totals.samples,
            lost: totals.lost,
            cut: totals.cut,
            time: time(profile, totals.samples),
            duration: metadata.duration.as_secs_f64(),
            unit: if metadata.seconds(0).is_some() { "s" } else { "samples" },
        }
    }
}

/// What so many ticks of the sampler are.
fn time(profile: &Profile, ticks: u64) -> f64 {
    profile.metadata.seconds(ticks).unwrap_or(ticks as f64)
}

/// Text that no line of a table can hold is replaced.
fn text(profile: &Profile, id: crate::strings::StringId) -> String {
    label::printable(&profile.strings[id])
}
