//! Stacks that change all the time: not one sample may show a stack that cannot have been.
//!
//! `RSPY_TEAR_SAMPLES` is the number of samples for each interpreter, 100,000 in CI and 10,000 elsewhere.

use std::time::Instant;

use rspy_tests::interpreters::{self, Interpreter};
use rspy_tests::rspy::{Recording, Run};
use rspy_tests::target::{Target, clean_command, scripts};
use rspy_tests::tear::{Law, Verdict};
use rspy_tests::{Outcome, process, run_one_by_one, test};

const RATE: u64 = 10_000;

/// What is recorded, and how.
struct Kind {
    name: &'static str,
    /// What `churn_source.py` makes.
    target: &'static str,
    option: Option<&'static str>,
    /// The share of the samples it gets; of those that stop, and of those that do not, they add up to 1.
    share: f64,
}

const KINDS: &[Kind] = &[
    Kind { name: "calls", target: "calls", option: None, share: 0.5 },
    Kind { name: "calls-nonblocking", target: "calls", option: Some("--nonblocking"), share: 0.5 },
    Kind { name: "threads", target: "threads", option: None, share: 0.25 },
    Kind { name: "threads-nonblocking", target: "threads", option: Some("--nonblocking"), share: 0.25 },
    Kind { name: "codes", target: "codes", option: None, share: 0.25 },
    Kind { name: "codes-nonblocking", target: "codes", option: Some("--nonblocking"), share: 0.25 },
];

impl Kind {
    /// One illegal stack in so many is tolerated: none where the target stands still. Two readings of what
    /// moves are evidence, no proof; about one in 10,000 was measured at worst, on code
    /// objects that are made and freed all the time.
    fn one_in(&self) -> u64 {
        if self.option.is_none() { u64::MAX } else { 2_000 }
    }
}

fn samples() -> u64 {
    let default = if interpreters::in_ci() { 100_000 } else { 10_000 };
    std::env::var("RSPY_TEAR_SAMPLES").ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// Records a target in rounds of a second or more, until there are enough samples.
fn tear(interpreter: &Interpreter, kind: &Kind) -> Outcome {
    let wanted = (samples() as f64 * kind.share) as u64;
    let folder = tempfile::tempdir()?;
    let made = clean_command(&interpreter.path)
        .arg(scripts().join("churn_source.py"))
        .arg(kind.target)
        .arg(folder.path())
        .status()?;
    if !made.success() {
        return Err("churn_source.py failed".into());
    }
    let law = Law::parse(&std::fs::read_to_string(folder.path().join("law.json"))?)?;
    let mut command = clean_command(&interpreter.path);
    command.arg(folder.path().join("churn.py"));
    // Without a GIL threads run at once, which is worth more than not to disturb the recorder.
    let target =
        if interpreter.is_free_threaded() { Target::start(command) } else { Target::start_on(0, command) }?;
    let mut verdict = Verdict::default();
    let seconds = (wanted / RATE).max(1);
    // A busy machine gives fewer samples than asked for.
    let deadline = Instant::now() + process::DEADLINE;
    let is_legal =
        |verdict: &Verdict| verdict.illegal_samples().saturating_mul(kind.one_in()) <= verdict.samples();
    while verdict.samples() < wanted && is_legal(&verdict) && Instant::now() < deadline {
        let (rate, duration) = (RATE.to_string(), seconds.to_string());
        let mut arguments = vec!["--rate", &rate, "--duration", &duration];
        arguments.extend(kind.option);
        let recording = Recording::of(target.pid, &arguments)?;
        process::pin(recording.run.pid(), 1)?;
        let (profile, _) = recording.finish()?;
        law.judge(&profile, &mut verdict);
    }
    println!("{} on {}: {}", kind.name, interpreter.label, verdict.report());
    if !is_legal(&verdict) {
        return Err(verdict.report().into());
    }
    if verdict.samples() < wanted {
        return Err(format!("only {} of {wanted} samples", verdict.samples()).into());
    }
    // No illegal stack is no merit of a sampler that hardly sees any. But what is never stopped and calls all the
    // time on a processor of its own is mostly gone before it is read: there, some have to do.
    let is_blind = match kind.option {
        None => {
            verdict.whole * 20 < verdict.samples()
                || verdict.lost * 100 > verdict.samples()
                || verdict.seen.len() * 2 < law.functions()
        }
        Some(_) => verdict.whole * 1_000 < verdict.samples() || verdict.seen.len() < 2,
    };
    if is_blind {
        return Err(format!("too little was seen: {}", verdict.report()).into());
    }
    Ok(())
}

/// Whether `rspy record` knows the option that `kind` needs.
fn is_supported(kind: &Kind, help: &str) -> bool {
    let is_supported = kind.option.is_none_or(|option| help.contains(option));
    if !is_supported {
        eprintln!("skipped: {}: this rspy does not have {}", kind.name, kind.option.unwrap_or_default());
    }
    is_supported
}

fn main() {
    let help = Run::start(["record", "--help"]).and_then(Run::output).expect("rspy prints its help").stdout;
    let kinds: Vec<&Kind> = KINDS.iter().filter(|kind| is_supported(kind, &help)).collect();
    let mut tests = Vec::new();
    for interpreter in interpreters::all() {
        for kind in &kinds {
            let (kind, interpreter) = (*kind, interpreter.clone());
            let name = format!("{}::{}", kind.name, interpreter.label);
            tests.push(test(name, move || tear(&interpreter, kind)));
        }
    }
    run_one_by_one(tests);
}
