//! A share of the samples is a share of the time: of code that changes within microseconds, of deep stacks, of what
//! keeps time itself, of generators. Whether and how a sample can be taken must not depend on what it would show.

use std::time::Instant;

use serde::Deserialize;

use rspy_tests::interpreters::Interpreter;
use rspy_tests::rspy::{Output, Recording, Run};
use rspy_tests::stacks::{CUT, Profile, Seen};
use rspy_tests::statistics::{SIGMAS, deviation};
use rspy_tests::target::{self, Target, clean_command, scripts};
use rspy_tests::{Body, Outcome, on_each, process, run_one_by_one};

/// So much may a share be off beyond what chance does: what the target's own measuring costs.
const POINT: f64 = 0.01;

/// So much may the share be another in the turns left out: after a stop the caches are cold, which costs the two
/// functions differently. With `--blocking` at 10 kHz it is a twelfth of all turns.
const LEFT_OUT: f64 = 0.2;

/// Fewer samples than this would prove nothing.
const LEAST: u64 = 200;

/// So many rounds of a second are recorded of `alternating.py`.
const ROUNDS: u32 = 3;

/// A round in which the target was kept waiting for more than this share of it tells nothing: a sampler sees it
/// stand where it waits, again and again. (Of several waits it is the root of the sum of their squares.)
const WAITING: f64 = 0.03;

/// What `alternating.py` counted.
#[derive(Debug, Default, Deserialize)]
struct Truth {
    /// Seconds in the function that stays in one call.
    steady: f64,
    /// Seconds in the function that calls all the time.
    moving: f64,
    /// The sum of the squares of the seconds for which it was kept waiting.
    squares: f64,
    /// Turns that were stopped or kept waiting.
    left_out: u64,
    /// All turns.
    turns: u64,
}

impl Truth {
    fn add(&mut self, other: &Truth) {
        self.steady += other.steady;
        self.moving += other.moving;
        self.squares += other.squares;
        self.left_out += other.left_out;
        self.turns += other.turns;
    }
}

/// Records a running target on the other processor.
fn recorded(target: &Target, arguments: &[&str]) -> Outcome<(Profile, Output)> {
    let recording = Recording::of(target.pid, arguments)?;
    process::pin(recording.run.pid(), 1)?;
    recording.finish()
}

fn has(stack: &[Seen], name: &str) -> bool {
    stack.iter().any(|frame| frame.name == name)
}

/// The samples whose stack is such.
fn count(profile: &Profile, is_such: impl Fn(&[Seen]) -> bool) -> u64 {
    profile.stacks.iter().filter(|(stack, _)| is_such(stack)).map(|(_, count)| count).sum()
}

/// Records `alternating.py MODE`. Of the samples that show `steady` or `moving`, the share of `steady` must be its
/// share of the time.
fn alternating(
    interpreter: &Interpreter,
    mode: &str,
    arguments: &[&str],
    (steady, moving): (&str, &str),
) -> Outcome<Profile> {
    let mut target = Target::start_on(0, target::command(interpreter, "alternating.py", &[mode]))?;
    let arguments = [&["--duration", "1"], arguments].concat();
    let mut truth = Truth::default();
    let mut profile = Profile { stacks: Vec::new() };
    let (mut rounds, mut duration, mut busy_rounds) = (0, 0.0, 0);
    let deadline = Instant::now() + process::DEADLINE;
    while rounds < ROUNDS {
        if Instant::now() > deadline {
            let said = format!("of {} rounds {busy_rounds} were spent waiting", rounds + busy_rounds);
            return Err(format!(
                "others have the processor of the target: {said}; run it on a quiet machine"
            )
            .into());
        }
        target.ask()?;
        let (seen, output) = recorded(&target, &arguments)?;
        let told: Truth = serde_json::from_str(&target.ask()?)?;
        let seconds = output.summary()?.seconds;
        // Which rounds count is decided by the target's clock alone, never by what was seen.
        if told.squares.sqrt() > WAITING * seconds {
            busy_rounds += 1;
            continue;
        }
        rounds += 1;
        duration += seconds;
        truth.add(&told);
        profile.stacks.extend(seen.stacks);
    }

    let (in_steady, in_moving) =
        (count(&profile, |stack| has(stack, steady)), count(&profile, |stack| has(stack, moving)));
    let samples = in_steady + in_moving;
    let share = truth.steady / (truth.steady + truth.moving);
    let seen = in_steady as f64 / samples as f64;
    let waiting = truth.squares.sqrt() / duration * (share * (1.0 - share)).sqrt();
    let unknown = LEFT_OUT * truth.left_out as f64 / truth.turns as f64;
    let tolerance = POINT + unknown + SIGMAS * deviation(share, samples).hypot(waiting);
    let said = format!(
        "{mode} {arguments:?} on {}: {seen:.3} of {samples} samples, {share:.3} ± {tolerance:.3} of the time; \
         {} of all {} samples show neither; {} of {} turns and {busy_rounds} rounds left out",
        interpreter.label,
        profile.samples() - samples,
        profile.samples(),
        truth.left_out,
        truth.turns
    );
    println!("{said}");
    if samples < LEAST {
        return Err(format!("too few samples: {said}").into());
    }
    if (seen - share).abs() <= tolerance { Ok(profile) } else { Err(said.into()) }
}

fn calls(interpreter: &Interpreter, mode: &str, arguments: &[&str]) -> Outcome {
    alternating(interpreter, mode, arguments, ("steady_calls", "moving_calls")).map(drop)
}

/// Within the stop budget: turns shorter than a read are seen by stopped samples only.
fn calls_default(interpreter: &Interpreter) -> Outcome {
    calls(interpreter, "calls", &["--rate", "300"])
}

/// Nearly all of these are beyond the stop budget.
fn calls_fast(interpreter: &Interpreter) -> Outcome {
    calls(interpreter, "slow-calls", &["--rate", "10000"])
}

fn calls_blocking(interpreter: &Interpreter) -> Outcome {
    calls(interpreter, "calls", &["--blocking", "--rate", "10000"])
}

fn calls_nonblocking(interpreter: &Interpreter) -> Outcome {
    calls(interpreter, "slow-calls", &["--nonblocking", "--rate", "10000"])
}

/// The frames of generators are no part of the stack of frames, and are found all the same.
fn generators(interpreter: &Interpreter) -> Outcome {
    let profile = alternating(
        interpreter,
        "generators",
        &["--nonblocking", "--rate", "10000"],
        ("steady_generators", "moving_generators"),
    )?;
    let in_driver = count(&profile, |stack| has(stack, "steady_generators"));
    let chain = ["outer_generator", "middle_generator", "innermost_generator"];
    let in_chain = count(&profile, |stack| chain.iter().all(|name| has(stack, name)));
    println!("generators on {}: {in_chain} of {in_driver} samples show them all", interpreter.label);
    // They do next to nothing but to stay in the innermost one; what a slow machine could not read in time is cut.
    let whole = count(&profile, |stack| has(stack, "steady_generators") && !has(stack, CUT));
    if in_chain < LEAST || in_chain * 100 < whole * 95 {
        return Err(format!("only {in_chain} of {whole} whole samples show all generators").into());
    }
    Ok(())
}

/// The target that changes its stack all the time.
fn churn(interpreter: &Interpreter) -> Outcome<Target> {
    let folder = tempfile::tempdir()?;
    let made = clean_command(&interpreter.path)
        .arg(scripts().join("churn_source.py"))
        .arg("calls")
        .arg(folder.path())
        .status()?;
    if !made.success() {
        return Err("churn_source.py failed".into());
    }
    let mut command = clean_command(&interpreter.path);
    command.arg(folder.path().join("churn.py"));
    Target::start_on(0, command)
}

/// Milliseconds a second that a target stands still where the budget, 1 % of the time, does not allow every stop. It is
/// not all of it: how many stops there may be is decided by what the last ones cost.
const NEARLY_ALL: f64 = 7.0;

/// The samples of stacks that are deep, and all samples.
fn depths(profile: &Profile) -> (u64, u64) {
    (count(profile, is_deep), profile.samples())
}

fn is_deep(stack: &[Seen]) -> bool {
    const DEEP: usize = 7;
    stack.iter().filter(|frame| frame.name != CUT).count() >= DEEP
}

/// Deep stacks are not rarer where a sampler may choose not to stop than where it stops for every sample. At 100 Hz it
/// has to choose only on a machine where a stop of this target takes a tenth of a millisecond.
fn depth(interpreter: &Interpreter) -> Outcome {
    let target = churn(interpreter)?;
    let (seldom, output) = recorded(&target, &["--rate", "100", "--duration", "10"])?;
    let (stopped, _) = recorded(&target, &["--blocking", "--rate", "1000", "--duration", "3"])?;
    let cut = count(&seldom, |stack| has(stack, CUT));
    let ((deep, samples), (deep_stopped, samples_stopped)) = (depths(&seldom), depths(&stopped));
    let share = (deep + deep_stopped) as f64 / (samples + samples_stopped) as f64;
    let tolerance = SIGMAS * deviation(share, samples).hypot(deviation(share, samples_stopped));
    // Of what is cut nobody knows how deep it was.
    let hidden = cut - count(&seldom, |stack| has(stack, CUT) && is_deep(stack));
    let (least, most) = (deep as f64 / samples as f64, (deep + hidden) as f64 / samples as f64);
    let expected = deep_stopped as f64 / samples_stopped as f64;
    let difference = expected.clamp(least, most) - expected;
    let said = format!(
        "{}: {deep} of {samples} samples are deep, {deep_stopped} of {samples_stopped} with --blocking; {cut} are cut",
        interpreter.label
    );
    println!("{said}: a difference of {difference:.3}, {tolerance:.3} is allowed");
    if samples.min(samples_stopped) < LEAST || share == 0.0 {
        return Err(format!("too few samples: {said}").into());
    }
    // Where stops take too long rspy does without: then the innermost frames of this target cannot be known.
    let (line, summary) = (output.summary_line()?, output.summary()?);
    let is_spent = summary.stops.milliseconds > NEARLY_ALL * summary.seconds;
    if cut * 100 > samples && !is_spent && !line.contains("stopping was suspended") {
        return Err(format!("too many are cut: {said}; {line}").into());
    }
    if difference.abs() <= tolerance { Ok(()) } else { Err(said.into()) }
}

/// A target with the sampler's own period.
fn no_lock_step(interpreter: &Interpreter) -> Outcome {
    let target = Target::start_on(0, target::command(interpreter, "metronome.py", &[]))?;
    let (profile, _) = recorded(&target, &["--rate", "100", "--duration", "10"])?;
    let shares = [("half", 0.5), ("three_tenths", 0.3), ("fifth", 0.2)];
    let counts = shares.map(|(name, _)| count(&profile, |stack| has(stack, name)));
    let samples = counts.iter().sum();
    println!("metronome on {}: {counts:?} of {samples} samples", interpreter.label);
    if samples < LEAST {
        return Err(format!("only {samples} samples").into());
    }
    for ((name, share), count) in shares.into_iter().zip(counts) {
        let seen = count as f64 / samples as f64;
        // Nothing is measured here, but what is between the functions is time too.
        if (seen - share).abs() > POINT + SIGMAS * deviation(share, samples) {
            return Err(format!("{name} has {seen:.3} of {samples} samples, {share} of the time").into());
        }
    }
    Ok(())
}

/// Those of `tests` for which `rspy record` has the option.
fn supported(tests: &[(&'static str, Option<&str>, Body)]) -> Vec<(&'static str, Body)> {
    let help = Run::start(["record", "--help"]).and_then(Run::output).expect("rspy prints its help").stdout;
    let is_supported = |(name, option, _): &&(&str, Option<&str>, Body)| {
        let missing = option.filter(|option| !help.contains(option));
        if let Some(option) = missing {
            eprintln!("skipped: {name}: this rspy does not have {option}");
        }
        missing.is_none()
    };
    tests.iter().filter(is_supported).map(|(name, _, body)| (*name, *body)).collect()
}

fn main() {
    let tests: &[(&str, Option<&str>, Body)] = &[
        ("calls-default", None, calls_default),
        ("calls-fast", None, calls_fast),
        ("calls-blocking", Some("--blocking"), calls_blocking),
        ("calls-nonblocking", Some("--nonblocking"), calls_nonblocking),
        ("generators", Some("--nonblocking"), generators),
    ];
    let mut trials = on_each(&["3.8", "3.10", "3.11", "3.12", "3.13", "3.14", "3.15"], &supported(tests));
    // These take longer, and depend on how frames are read less than on when.
    trials.extend(on_each(
        &["3.8", "3.11", "3.13", "3.15"],
        &supported(&[("depth", Some("--blocking"), depth)]),
    ));
    trials.extend(on_each(&["3.13"], &[("no-lock-step", no_lock_step)]));
    run_one_by_one(trials);
}
