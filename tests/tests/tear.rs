//! Stacks that change all the time: not one sample may show a stack that cannot have been.
//!
//! `RSPY_TEAR_SAMPLES` is the number of samples for each interpreter, 50,000 in CI and 10,000 elsewhere: so many are
//! taken of a thread that is stopped, and as many of threads that run.

use std::time::Instant;

use rspy_tests::interpreters::{self, Interpreter};
use rspy_tests::rspy::{Recording, Run};
use rspy_tests::statistics::most_by_chance;
use rspy_tests::target::{Target, clean_command, scripts};
use rspy_tests::tear::{Law, Verdict};
use rspy_tests::{Outcome, process, run_one_by_one, test};

/// Samples that are taken without a stop are evidence, no proof: one illegal stack in so many is what is promised.
const ONE_IN: f64 = 1e6;

/// So many illegal stacks of threads that run are no failure yet, however few the samples: the promise is too good for
/// a short run to tell whether it is kept.
const TOO_FEW_TO_TELL: u64 = 2;

/// What is recorded, each in every way. What share of the samples it gets; they add up to 1.
const TARGETS: &[(&str, f64)] = &[
    ("calls", 0.2),
    ("sites", 0.2),
    ("keys", 0.15),
    ("generators", 0.15),
    ("threads", 0.15),
    ("codes", 0.15),
];

/// How a target is recorded.
#[derive(Copy, Clone)]
struct Way {
    /// What it adds to the name of the test.
    name: &'static str,
    arguments: &'static [&'static str],
    /// Whether every sample of a running thread is stopped.
    is_stopped: bool,
    /// The share of the samples it gets; of those that are stopped, and of the others, they add up to 1.
    share: f64,
}

const WAYS: &[Way] = &[
    Way { name: "blocking", arguments: &["--blocking", "--rate", "max"], is_stopped: true, share: 1.0 },
    Way {
        name: "nonblocking",
        arguments: &["--nonblocking", "--rate", "max"],
        is_stopped: false,
        share: 0.5,
    },
    // Nearly all of these are beyond the stop budget.
    Way { name: "default", arguments: &["--rate", "10000"], is_stopped: false, share: 0.5 },
];

impl Way {
    /// How many of so many samples may be illegal: none of a target that stands still.
    fn tolerated(&self, samples: u64) -> u64 {
        if self.is_stopped { 0 } else { TOO_FEW_TO_TELL.max(most_by_chance(samples as f64 / ONE_IN)) }
    }
}

fn samples() -> u64 {
    let default = if interpreters::in_ci() { 50_000 } else { 10_000 };
    std::env::var("RSPY_TEAR_SAMPLES").ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// Starts what `churn_source.py` makes for `interpreter`; gives its law too.
fn start(interpreter: &Interpreter, name: &str) -> Outcome<(Target, Law)> {
    let folder = tempfile::tempdir()?;
    let made = clean_command(&interpreter.path)
        .arg(scripts().join("churn_source.py"))
        .arg(name)
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
    Ok((target, law))
}

/// Records a target for a second at a time, until there are enough samples.
fn tear(interpreter: &Interpreter, name: &str, way: Way, wanted: u64) -> Outcome {
    let (target, law) = start(interpreter, name)?;
    let mut verdict = Verdict::default();
    // A busy machine gives fewer samples than asked for.
    let deadline = Instant::now() + process::DEADLINE;
    let is_legal = |verdict: &Verdict| verdict.illegal_samples() <= way.tolerated(verdict.samples());
    while verdict.samples() < wanted && is_legal(&verdict) && Instant::now() < deadline {
        let recording = Recording::of(target.pid, &[&["--duration", "1"], way.arguments].concat())?;
        process::pin(recording.run.pid(), 1)?;
        let (profile, _) = recording.finish()?;
        law.judge(&profile, &mut verdict);
    }
    println!("{name}-{} on {}: {}", way.name, interpreter.label, verdict.report());
    if !is_legal(&verdict) {
        return Err(verdict.report().into());
    }
    if verdict.samples() < wanted {
        return Err(format!("only {} of {wanted} samples", verdict.samples()).into());
    }
    // No illegal stack is no merit of a sampler that hardly sees any. Functions that are shorter than a read are
    // seen by luck only; those that called them are there all the time.
    let (whole, seen) = (verdict.whole, verdict.seen.len());
    let is_blind = if way.is_stopped {
        whole * 20 < verdict.samples() || seen * 2 < law.functions()
    } else {
        whole * 1_000 < verdict.samples() || verdict.bare * 4 > verdict.samples() * 3
    };
    // A sample that could not be read well is cut, not lost: what is lost is mostly what changes fastest.
    if is_blind || verdict.lost * 100 > verdict.samples() {
        return Err(format!("too little was seen: {}", verdict.report()).into());
    }
    Ok(())
}

/// Whether `rspy record` knows the options that `way` needs.
fn is_supported(way: &Way, help: &str) -> bool {
    let mut options = way.arguments.iter().filter(|argument| argument.starts_with("--"));
    let missing = options.find(|option| !help.contains(**option));
    if let Some(option) = missing {
        eprintln!("skipped: {}: this rspy does not have {option}", way.name);
    }
    missing.is_none()
}

fn main() {
    let help = Run::start(["record", "--help"]).and_then(Run::output).expect("rspy prints its help").stdout;
    let mut tests = Vec::new();
    for interpreter in interpreters::all() {
        for way in WAYS.iter().filter(|way| is_supported(way, &help)) {
            for (target, share) in TARGETS {
                let (way, interpreter) = (*way, interpreter.clone());
                let wanted = (samples() as f64 * share * way.share) as u64;
                let name = format!("{target}-{}::{}", way.name, interpreter.label);
                tests.push(test(name, move || tear(&interpreter, target, way, wanted)));
            }
        }
    }
    run_one_by_one(tests);
}
