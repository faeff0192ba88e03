//! The share of each line in a recording is its share of the time, by the target's own clock: of lines that compute
//! themselves and of lines that call. Lines that sleep are not among them: where processors are scarce, a look at a
//! thread that runs has to wait for one, so that more ticks are missed there.

use std::collections::BTreeMap;

use rspy_tests::interpreters::{self, Interpreter};
use rspy_tests::rspy::Recording;
use rspy_tests::{Outcome, run_one_by_one, target, test};

/// So many standard deviations of a binomial count may a share be off: by chance that is one recording in a million.
const SIGMAS: f64 = 5.0;

/// Fewer samples would prove nothing. On a loaded machine many of the 600 ticks are missed.
const LEAST: u64 = 100;

fn shares(interpreter: &Interpreter) -> Outcome {
    let folder = tempfile::tempdir()?;
    let truth = folder.path().join("truth");
    let script = target::scripts().join("shares.py");
    let arguments = [&interpreter.path, &script, &truth].map(|path| path.display().to_string());
    let [python, script, file] = arguments.each_ref().map(String::as_str);
    let recording = Recording::start(&["--rate", "400", "--", python, script, file, "1.5"])?;
    let (profile, _) = recording.finish()?;

    let truth: BTreeMap<u32, f64> = serde_json::from_str(&std::fs::read_to_string(&truth)?)?;
    let total: f64 = truth.values().sum();
    let mut counts: BTreeMap<u32, u64> = BTreeMap::new();
    for (stack, count) in &profile.stacks {
        let cycle = stack.iter().find(|frame| frame.name == "cycle").and_then(|frame| frame.line);
        // What the cycle does besides, such as to look at the clock, takes next to no time.
        *counts.entry(cycle.filter(|line| truth.contains_key(line)).unwrap_or(0)).or_default() += count;
    }
    let samples: u64 = truth.keys().filter_map(|line| counts.get(line)).sum();
    if truth.len() != 3 || samples < LEAST {
        return Err(format!("{samples} samples of {} lines: {counts:?}", truth.len()).into());
    }
    for (line, seconds) in &truth {
        let share = seconds / total;
        let seen = *counts.get(line).unwrap_or(&0) as f64 / samples as f64;
        let tolerance = SIGMAS * (share * (1.0 - share) / samples as f64).sqrt();
        println!(
            "{} line {line}: {seen:.3} of {samples} samples, {share:.3} ± {tolerance:.3} of the time",
            interpreter.label
        );
        if (seen - share).abs() > tolerance {
            return Err(format!(
                "line {line} has {seen:.3} of {samples} samples, {share:.3} of the time: {counts:?}"
            )
            .into());
        }
    }
    Ok(())
}

fn main() {
    let tests = interpreters::all()
        .into_iter()
        .map(|interpreter| test(format!("shares::{}", interpreter.label), move || shares(&interpreter)));
    // Each wants a processor for itself.
    run_one_by_one(tests.collect());
}
