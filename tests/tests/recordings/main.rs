//! Recordings: `rspy record -o FILE.rspy`, and what `rspy report` makes of them. What is in a file is read beside by a
//! reader of its own (`tests/readers/recording.py`).

mod broken;
mod chosen;
mod followed;
mod limits;
mod memory;
mod refused;
mod sound;

use rspy_tests::{Body, in_one_of_three, on_each, recording, run_one_by_one};

/// One of each way to find threads, frames and the GIL.
const INTERPRETERS: &[&str] = &["2.7", "3.8", "3.11", "3.13", "3.13t", "3.15"];

fn main() {
    let on_all: &[(&str, Body)] = &[
        ("every-stack-and-every-sample-is-in-it", sound::every_sample),
        ("each-choice-of-a-report", chosen::choices),
        ("several-are-added-up", chosen::several),
        ("a-program-that-replaces-itself", followed::replaced),
        ("a-program-that-dies", followed::dies),
        ("a-tree", followed::tree),
        ("memory-steps", |interpreter| in_one_of_three(|| memory::steps(interpreter))),
    ];
    let on_one: &[(&str, Body)] = &[
        ("killed-at-any-moment", broken::killed),
        ("cut-anywhere", broken::cut),
        ("a-disk-that-becomes-full", broken::disk_full),
        ("a-report-on-a-full-disk", broken::report_on_full_disk),
        ("a-signal-flushes", followed::flushed),
        ("a-signal-flushes-and-is-passed-on", followed::flushed_and_passed_on),
        ("rotated-by-time", limits::by_time),
        ("rotated-by-size", limits::by_size),
        ("limited", limits::limited),
        ("limited-and-rotated", limits::limited_and_rotated),
        ("memory-does-not-grow-with-samples", limits::memory),
        ("foreign-files", refused::foreign),
        ("newer-versions", refused::newer),
        ("a-pipe", refused::pipe),
        ("over-itself", refused::over_itself),
        ("nobody-reads-it", refused::closed_pipe),
    ];
    let mut tests = on_each(INTERPRETERS, on_all);
    tests.extend(on_each(&["3.13"], on_one));
    if recording::reader().is_none() {
        eprintln!(
            "skipped: recordings are read by CPython 3.14 too, which is not here; tools/pythons 3.14 provides it"
        );
        tests.clear();
    }
    // Each waits for recordings, some for several at once.
    run_one_by_one(tests);
}
