//! The flame graph of the stacks that made memory grow: as wide as they did.

use std::io;

use inferno::flamegraph;

use super::{Flamegraph, lines, palette, picture_of};
use crate::caption;
use crate::format::FormatError;
use crate::options::Options;
use crate::profile::{Lost, Profile};
use crate::sample::{Sample, ThreadState};

/// What a frame's width counts, in bytes.
const UNIT: f64 = 1000.0;

impl Flamegraph {
    /// Writes which stacks made the memory of `profile` [grow](Profile::growth). What they gave back is not taken off.
    ///
    /// # Errors
    ///
    /// Those of `writer`.
    pub fn write_growth(
        &self,
        profile: &Profile,
        options: &Options,
        writer: &mut dyn io::Write,
    ) -> Result<(), FormatError> {
        let mut grown = profile.clone();
        grown.retain(|_, _| false);
        grown.lost = Lost::default();
        let mut total = 0.0;
        for growth in profile.growth.iter().filter(|growth| growth.bytes >= UNIT) {
            total += growth.bytes;
            let weight = (growth.bytes / UNIT) as u64;
            let (at, thread, stack) = (growth.at, growth.thread, growth.stack);
            grown.add(Sample { at, thread, stack, weight, state: ThreadState::default() });
        }
        let duration = profile.metadata.duration.as_secs_f64();
        let subtitle = format!("{:.1} MB grown over {duration:.1} s", total / 1e6);
        let mut palette = palette::of_all();
        let lines = lines(&grown, &Options { idle: true, gil: false, ..options.clone() }, &mut palette);
        let mut picture = flamegraph::Options::default();
        picture.title = caption::title(profile, options);
        picture.count_name = "kB".to_owned();
        picture.palette_map = Some(&mut palette);
        picture.subtitle = Some(subtitle);
        let nothing = "[no growth that was seen] 1";
        picture_of(
            picture,
            options.view,
            if lines.is_empty() { nothing } else { &lines },
            &palette::legend(),
            writer,
        )
    }
}
