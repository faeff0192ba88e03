//! The recording itself: a [`recording`](crate::recording) that holds all samples of a profile, such as several
//! recordings in one.
//!
//! Samples that a profile keeps as one [`Run`](crate::Run) are spread evenly over its time.

use std::io;

use super::{About, Format, FormatError};
use crate::options::Options;
use crate::profile::Profile;
use crate::recording::Writer;
use crate::sample::Sample;

/// A recording, for `rspy report`.
#[derive(Clone, Copy, Debug)]
pub struct Recording;

impl Format for Recording {
    fn about(&self) -> About {
        About {
            name: "rspy",
            extension: "rspy",
            description: "every sample, written as it is taken, for `rspy report` to turn into any of the others",
            content: "recording",
            how_to_open: Some("Use `rspy report` to see it, and to write any other format"),
            needs_timeline: true,
            is_written_as_taken: true,
            shows_memory: true,
            ..About::default()
        }
    }

    fn write(
        &self,
        profile: &Profile,
        options: &Options,
        writer: &mut dyn io::Write,
    ) -> Result<(), FormatError> {
        let mut recording = Writer::new(writer, profile)?;
        for run in profile.samples().iter().filter(|run| options.include(&run.sample)) {
            let length = run.until.saturating_sub(run.sample.at);
            let gaps = run.count.saturating_sub(1).max(1);
            for number in 0..run.count {
                let later = u128::from(length) * u128::from(number) / u128::from(gaps);
                let at = run.sample.at.saturating_add(later as u64);
                recording.add(Sample { at, ..run.sample }, profile)?;
            }
        }
        for row in &profile.memory {
            recording.add_memory(*row, profile)?;
        }
        for account in &profile.accounts {
            recording.add_account(account.clone());
        }
        recording.finish(profile)?.flush()?;
        Ok(())
    }
}
