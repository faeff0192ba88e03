//! Files of other profilers.

use rspy_profile::foreign::Import;
use rspy_profile::format::Raw;
use rspy_profile::{FOREIGN, Foreign, Format, Run};

/// A compressed file has this many bytes for each of its own, at most, and some more.
const UNPACKED: (u64, u64) = (1000, 1 << 16);

/// The most frames that are written again.
const MOST_WRITTEN: u64 = 1 << 14;

/// Gives any bytes to each reader.
pub fn run(data: &[u8]) {
    for foreign in FOREIGN {
        foreign.recognizes(data);
        let mut last = 0;
        let import = foreign.read(data, &mut |position| {
            assert!(
                (last..=data.len() as u64).contains(&position),
                "progress goes on, and not beyond the end"
            );
            last = position;
        });
        match import {
            Ok(import) => check(*foreign, data, &import),
            Err(error) => assert!(error.to_string().contains(';'), "it says what to do: {error}"),
        }
    }
}

/// What is read is no more than there is to read, and the same when it is written and read again.
fn check(foreign: &dyn Foreign, data: &[u8], import: &Import) {
    let profile = &import.profile;
    let length = match foreign.name() {
        "tachyon" => data.len() as u64 * UNPACKED.0 + UNPACKED.1,
        _ => data.len() as u64,
    };
    let tables = [profile.strings.len(), profile.frames.len(), profile.stacks.len(), profile.threads.len()];
    for entries in tables.into_iter().chain([profile.samples().len(), profile.processes.len()]) {
        assert!(entries as u64 <= length + 4, "{entries} entries of {length} bytes");
    }
    let weight: u64 = profile.samples().iter().map(Run::weight).sum::<u64>() + profile.lost.total();
    // The text of all stacks may be as long as the square of the file.
    let depths = profile.samples().iter().map(|run| u64::from(profile.stacks.depth(run.sample.stack)));
    if depths.sum::<u64>() > MOST_WRITTEN {
        return;
    }
    let raw = |import: &Import| {
        let mut text = Vec::new();
        Raw.write(&import.profile, &import.options(), &mut text).expect("a Vec takes every byte");
        text
    };
    let text = raw(import);
    let collapsed = FOREIGN.iter().find(|foreign| foreign.name() == "collapsed").expect("a reader");
    if !text.is_empty() {
        let again = collapsed.read(&text, &mut |_| ()).expect("what was written can be read");
        let profile = &again.profile;
        let sum: u64 = profile.samples().iter().map(Run::weight).sum::<u64>() + profile.lost.total();
        assert_eq!(sum, weight, "the total stays");
        assert_eq!(raw(&again), text);
    }
}
