//! Local variables: names, addresses and texts, compared with what the interpreter says of its own frames.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use rspy_tests::interpreters::{self, Interpreter};
use rspy_tests::stacks::{DumpThread, Seen};
use rspy_tests::target::{self, Frame, Target, Variable};
use rspy_tests::{Body, Outcome, packages, rspy, run, test};

/// Length of a value's text for each `--locals`.
const LENGTH: usize = 128;

fn start(interpreter: &Interpreter, what: &str, verbosity: usize) -> Outcome<Target> {
    Target::start(target::command(interpreter, "values.py", &[&(verbosity * LENGTH).to_string(), what]))
}

/// The frames of the only thread, innermost first, and those that the target tells of; what may be missing of the
/// latter is the innermost.
fn frames<'t>(target: &'t Target, dump: &'t [DumpThread]) -> Outcome<(&'t [Frame], &'t [Seen])> {
    let [thread] = dump else { return Err(format!("{} threads", dump.len()).into()) };
    let told = target.testimony.threads.first().and_then(|thread| thread.stacks.first());
    let told = told.ok_or("the target told no stack")?;
    let inner = thread.frames.len().checked_sub(told.len()).filter(|inner| *inner <= 1);
    let inner = inner.ok_or_else(|| format!("{} frames, {} told", thread.frames.len(), told.len()))?;
    Ok((told, &thread.frames[inner..]))
}

fn compare(target: &Target, dump: &[DumpThread]) -> Outcome {
    let (told, seen) = frames(target, dump)?;
    let mut problems = String::new();
    let mut count = 0;
    for (told, seen) in told.iter().zip(seen) {
        if told.name != seen.name {
            return Err(format!("{seen} where {told} should be").into());
        }
        let sorted = |variables: &Option<Vec<Variable>>| {
            let mut variables = variables.clone().unwrap_or_default();
            variables.sort();
            variables
        };
        let (expected, seen_variables) = (sorted(&told.locals), sorted(&seen.locals));
        count += expected.len();
        for missing in expected.iter().filter(|variable| !seen_variables.contains(variable)) {
            let _ = writeln!(problems, "{}: expected {missing:?}", told.name);
        }
        for wrong in seen_variables.iter().filter(|variable| !expected.contains(variable)) {
            let _ = writeln!(problems, "{}: seen     {wrong:?}", told.name);
        }
    }
    if count == 0 {
        return Err("the target told no variables".into());
    }
    if problems.is_empty() { Ok(()) } else { Err(problems.into()) }
}

fn all(interpreter: &Interpreter) -> Outcome {
    let target = start(interpreter, "all", 1)?;
    compare(&target, &rspy::dump_with_locals(target.pid, 1)?)
}

fn more_room(interpreter: &Interpreter) -> Outcome {
    let target = start(interpreter, "all", 3)?;
    compare(&target, &rspy::dump_with_locals(target.pid, 3)?)
}

/// What was not asked for is not there.
fn unasked(interpreter: &Interpreter) -> Outcome {
    let target = start(interpreter, "all", 1)?;
    let dump = rspy::dump(target.pid)?;
    match dump.iter().flat_map(|thread| &thread.frames).find(|frame| frame.locals.is_some()) {
        Some(frame) => Err(format!("{frame} has variables").into()),
        None => Ok(()),
    }
}

/// The text: each frame, then its arguments in their order, then its other variables.
fn text(interpreter: &Interpreter) -> Outcome {
    let target = start(interpreter, "all", 1)?;
    let arguments = ["dump", "--pid", &target.pid.to_string(), "-l"];
    let text = rspy::Run::start(arguments)?.output()?.success()?.stdout;
    let dump = rspy::dump_with_locals(target.pid, 1)?;
    let (_, seen) = frames(&target, &dump)?;
    let mut expected = String::new();
    for frame in seen {
        let file = frame.filename.rsplit('/').next().unwrap_or_default();
        let _ = writeln!(expected, "    {} ({file}:{})", frame.name, frame.line.unwrap_or(0));
        for (heading, arg) in [("Arguments", true), ("Locals", false)] {
            let variables: Vec<&Variable> =
                frame.locals.iter().flatten().filter(|variable| variable.arg == arg).collect();
            if !variables.is_empty() {
                let _ = writeln!(expected, "        {heading}:");
            }
            for Variable { name, repr, .. } in variables {
                let _ = writeln!(expected, "            {name}: {repr}");
            }
        }
    }
    let shown = text.split_once("MainThread\"\n").or_else(|| text.split_once("(idle)\n"));
    match shown {
        Some((_, shown)) if shown == expected => Ok(()),
        _ => Err(format!("expected\n{expected}\nin\n{text}").into()),
    }
}

/// Values of hundreds of megabytes cost no more than what is shown of them.
fn large(interpreter: &Interpreter) -> Outcome {
    let target = start(interpreter, "large", 1)?;
    let dump = soon(|| rspy::dump_with_locals(target.pid, 1))?;
    compare(&target, &dump)
}

/// So do values that have no end, or whose text would take for ever to make.
fn deep(interpreter: &Interpreter) -> Outcome {
    let target = start(interpreter, "deep", 1)?;
    let dump = soon(|| rspy::dump_with_locals(target.pid, 100))?;
    let frame = dump.first().and_then(|thread| thread.frames.first()).ok_or("no frame")?;
    let text = |name: &str| {
        let variable = frame.locals.iter().flatten().find(|variable| variable.name == name);
        variable.map(|variable| variable.repr.as_str()).ok_or(format!("no {name} in {frame:?}"))
    };
    for (name, start, end) in
        [("nested", "[[[[", "]]]]"), ("keyed", "{1: {1: ", "}}}}"), ("doubled", "[", "]")]
    {
        let text = text(name)?;
        if !text.starts_with(start)
            || !text.contains("...")
            || !text.ends_with(end)
            || text.len() > 100 * LENGTH
        {
            return Err(format!("{name}: {text}").into());
        }
    }
    Ok(())
}

/// What `body` gives, if it takes no more than some seconds: reading all of a large value takes minutes.
fn soon<T>(body: impl FnOnce() -> Outcome<T>) -> Outcome<T> {
    const SOON: Duration = Duration::from_secs(10);
    let start = Instant::now();
    let outcome = body()?;
    match start.elapsed() {
        elapsed if elapsed < SOON => Ok(outcome),
        elapsed => Err(format!("it took {elapsed:?}").into()),
    }
}

/// The variables of a thread that runs are of one moment, the one of its stack.
fn one_moment(interpreter: &Interpreter) -> Outcome {
    let target = Target::start(target::command(interpreter, "counting.py", &[]))?;
    let mut seen = 0;
    // A look can be lost where a stop comes late, and says so by showing no frames.
    for _ in 0..100 {
        if seen == 20 {
            return Ok(());
        }
        let dump = rspy::dump_with_locals(target.pid, 1)?;
        let counting = dump.iter().flat_map(|thread| &thread.frames).find(|frame| frame.name == "count");
        let Some(counting) = counting else { continue };
        seen += 1;
        let number = |name: &str| -> Outcome<u64> {
            let variable = counting.locals.iter().flatten().find(|variable| variable.name == name);
            let variable = variable.ok_or_else(|| format!("no {name} in {counting:?}"))?;
            variable.repr.parse().map_err(|_| format!("{name} is {}", variable.repr).into())
        };
        let (first, second, third) = (number("first")?, number("second")?, number("third")?);
        if !(third <= second && second <= first && first <= third + 1) {
            return Err(format!("{first}, {second}, {third} are of different moments").into());
        }
    }
    Err(format!("the thread was seen {seen} times in 100 looks").into())
}

fn numpy(interpreter: &Interpreter) -> Outcome {
    let Some(folder) = packages::provide(&interpreter.path, &interpreter.label, "numpy")? else {
        return Ok(());
    };
    let mut command = target::command(interpreter, "values.py", &[&LENGTH.to_string(), "numpy"]);
    command.env("PYTHONPATH", folder);
    let target = Target::start(command)?;
    compare(&target, &rspy::dump_with_locals(target.pid, 1)?)
}

fn main() {
    let tests: [(&str, Body); 7] = [
        ("all", all),
        ("more-room", more_room),
        ("unasked", unasked),
        ("text", text),
        ("large", large),
        ("deep", deep),
        ("one-moment", one_moment),
    ];
    let mut trials = Vec::new();
    for interpreter in interpreters::all() {
        for (name, body) in tests {
            let interpreter = interpreter.clone();
            trials.push(test(format!("{name}::{}", interpreter.label), move || body(&interpreter)));
        }
        // Not every interpreter has a pip, and not every NumPy an interpreter. 1 and 2 differ in names and in the
        // descriptions of types.
        if ["2.7", "3.8", "3.11", "3.13"].contains(&interpreter.label.as_str()) {
            trials.push(test(format!("numpy::{}", interpreter.label), move || numpy(&interpreter)));
        }
    }
    run(trials);
}
