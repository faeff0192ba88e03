//! Stacks that change all the time: not one sample may show a stack that cannot have been.
//!
//! `RSPY_TEAR_SAMPLES` is the number of samples for each interpreter, 100,000 in CI and 10,000 elsewhere.

use rspy_tests::interpreters::{self, Interpreter};
use rspy_tests::rspy::Recording;
use rspy_tests::target::{Target, clean_command, scripts};
use rspy_tests::tear::{Law, Verdict};
use rspy_tests::{Outcome, process, run_one_by_one, test};

const RATE: u64 = 10_000;

/// The kinds of target, and the share of the samples that each gets.
const KINDS: [(&str, f64); 3] = [("calls", 0.5), ("threads", 0.25), ("codes", 0.25)];

fn samples() -> u64 {
    let default = if interpreters::in_ci() { 100_000 } else { 10_000 };
    std::env::var("RSPY_TEAR_SAMPLES").ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// Records a target in rounds of a second or more, until there are enough samples.
fn tear(interpreter: &Interpreter, kind: &str, wanted: u64) -> Outcome {
    let folder = tempfile::tempdir()?;
    let made = clean_command(&interpreter.path)
        .arg(scripts().join("churn_source.py"))
        .arg(kind)
        .arg(folder.path())
        .status()?;
    if !made.success() {
        return Err("churn_source.py failed".into());
    }
    let law = Law::parse(&std::fs::read_to_string(folder.path().join("law.json"))?)?;
    let mut command = clean_command(&interpreter.path);
    command.arg(folder.path().join("churn.py"));
    let target = Target::start_on(0, command)?;
    let mut verdict = Verdict::default();
    let seconds = (wanted / RATE).max(1);
    // A busy machine gives fewer samples than asked for, but not a tenth of them.
    for _ in 0..10 {
        let (rate, duration) = (RATE.to_string(), seconds.to_string());
        let recording = Recording::of(target.pid, &["--rate", &rate, "--duration", &duration])?;
        process::pin(recording.run.pid(), 1)?;
        let (profile, _) = recording.finish()?;
        law.judge(&profile, &mut verdict);
        if verdict.samples() >= wanted || verdict.illegal_samples() > 0 {
            break;
        }
    }
    println!("{kind} on {}: {}", interpreter.label, verdict.report());
    if verdict.illegal_samples() > 0 {
        return Err(verdict.report().into());
    }
    if verdict.samples() < wanted {
        return Err(format!("only {} of {wanted} samples", verdict.samples()).into());
    }
    // No illegal stack is no merit of a sampler that hardly sees any.
    if verdict.whole * 20 < verdict.samples() || verdict.seen.len() * 2 < law.functions() {
        return Err(format!("too little was seen: {}", verdict.report()).into());
    }
    Ok(())
}

fn main() {
    let mut tests = Vec::new();
    for interpreter in interpreters::all() {
        for (kind, share) in KINDS {
            let wanted = (samples() as f64 * share) as u64;
            let interpreter = interpreter.clone();
            tests.push(test(format!("{kind}::{}", interpreter.label), move || {
                tear(&interpreter, kind, wanted)
            }));
        }
    }
    run_one_by_one(tests);
}
