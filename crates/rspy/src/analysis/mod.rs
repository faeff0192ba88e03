//! What samples say, for people and for programs: the commands that look into a recording, or into what is sampled now.

mod annotated;
mod choice;
mod lines;
mod memory;
pub mod page;
mod stats;
mod table;

pub use annotated::Origin;
pub use lines::lines;
pub use memory::memory;
pub use stats::stats;

use rspy_profile::Options;

use crate::load::Loaded;

/// What is shown of samples: those of the states that are asked for, however they may be named.
fn shown(loaded: &Loaded, full_filenames: bool) -> Options {
    Options {
        full_filenames,
        idle: loaded.mode.includes_idle(),
        gil: loaded.mode.is_gil(),
        ..Options::default()
    }
}
