//! What was recorded is what was there.

use rspy_tests::Outcome;
use rspy_tests::interpreters::Interpreter;
use rspy_tests::recording::{Recording, folded, record, report};
use rspy_tests::stacks::{Profile, compare_profile};
use rspy_tests::target::{Target, command};

/// Threads that stand where they say they stand, each sample of them, by both readers.
pub fn every_sample(interpreter: &Interpreter) -> Outcome {
    let target = Target::start(command(interpreter, "threads.py", &[]))?;
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("app.rspy");
    let (output, summary) = record(target.pid, &file, &["-d", "1", "-r", "200"])?;
    let read = Recording::read(&file)?;

    let text = report(&[&file], &["-f", "raw", "-i", "--full-filenames"])?.success()?.stdout;
    let profile = Profile::parse(&text)?;
    compare_profile(&target, &profile, true)?;
    let both = (profile.samples(), read.weight());
    if both != (read.total(), summary.samples) || read.ending != "whole" {
        return Err(format!("{both:?} samples, {}, of {}", read.ending, output.stderr).into());
    }
    let seen = folded(&[&file], &["-i"])?;
    let mut expected = read.folded(|_| true, |frame| Some(frame.at_line()));
    for (stack, count) in read.lost_stacks() {
        *expected.entry(stack).or_default() += count;
    }
    if seen != expected {
        return Err(format!("reported {seen:?}\nread {expected:?}").into());
    }
    // Each look has seen each thread.
    let of_thread = |number: usize| read.samples.iter().filter(move |sample| sample.1 == number);
    let weights: Vec<u64> =
        (0..read.threads.len()).map(|number| of_thread(number).map(|sample| sample.7).sum()).collect();
    if weights.len() != target.testimony.threads.len() || weights.iter().any(|weight| *weight != weights[0]) {
        return Err(format!("{weights:?} samples of each thread").into());
    }
    let (until, length) = (read.until, read.metadata.duration_ns);
    let last = read.samples.iter().map(|sample| sample.0).max().unwrap_or_default();
    if last > until || length < 1_000_000_000 || read.metadata.rate != 200.0 {
        return Err(format!("the last sample at {last}, until {until}, {:?}", read.metadata).into());
    }
    Ok(())
}
