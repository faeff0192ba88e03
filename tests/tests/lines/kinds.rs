//! Functions of every kind, with the whole of their source and nothing else.

use std::fs;

use rspy_tests::Outcome;
use rspy_tests::analysis::{Annotated, Lines, json};
use rspy_tests::interpreters::Interpreter;
use rspy_tests::statistics::{SIGMAS, deviation};
use rspy_tests::target::scripts;

/// The functions of `line_kinds.py`: the last part of the name, what the first and the last line of it have, and the one
/// that takes the time.
const KINDS: &[(&str, &str, &str, &str)] = &[
    ("wrapper", "@functools.wraps", "# wraps", "# wraps"),
    ("decorated", "@decorator", "# is decorated", "# is decorated"),
    ("outer", "def outer", "return seconds", "# calls what is nested"),
    ("inner", "def inner", "# is nested", "# is nested"),
    ("method", "def method", "# is a method", "# is a method"),
    ("attribute", "@property", "# is a property", "# is a property"),
    ("generator", "def generator", "yield seconds", "# generates"),
    ("recurse", "def recurse", "# calls itself", "# in each call"),
    ("wait", "def wait", "# computes", "# sleeps"),
];

pub fn kinds(interpreter: &Interpreter) -> Outcome {
    let python = interpreter.path.display().to_string();
    let path = scripts().join("line_kinds.py").display().to_string();
    let words = ["-r", "500", "--file", "line_kinds.py", "--", &python, &path, "4"];
    let lines: Lines = json("lines", &words)?;
    let text = fs::read_to_string(&path)?;
    let source: Vec<&str> = text.lines().collect();
    for function in &lines.functions {
        is_beside_its_source(function, &source)?;
        if function.note.is_some() || function.file != path {
            return Err(format!("it should be whole: {function:?}").into());
        }
    }
    for (name, first, last, takes) in KINDS {
        let function = lines.of(name)?;
        let has = |line: Option<&rspy_tests::analysis::Line>, text: &str| {
            line.and_then(|line| line.source.as_ref()).is_some_and(|source| source.contains(text))
        };
        let numbers: Vec<Option<u32>> = function.lines.iter().map(|line| line.line).collect();
        let is_whole = numbers.windows(2).all(|pair| pair[0].map(|line| line + 1) == pair[1]);
        if !has(function.lines.first(), first) || !has(function.lines.last(), last) || !is_whole {
            return Err(format!("{name} is not shown whole: {function:?}").into());
        }
        let seen = function.line_with(takes)?;
        if seen.samples == 0 {
            return Err(format!("{name} was not seen at {takes}: {function:?}").into());
        }
        // Each line of it, and all of it, counts once in a sample, however often it is on the stack.
        if function.lines.iter().any(|line| line.samples > function.samples) {
            return Err(format!("a line takes more than the function: {function:?}").into());
        }
    }
    let lambda = lines.of("<lambda>")?;
    let module = lines.of("<module>")?;
    if lambda.line_with("# is a lambda")?.samples == 0 || module.line_with("# in the module")?.samples == 0 {
        return Err(format!("not seen: {lambda:?} or {module:?}").into());
    }
    recursion(lines.of("recurse")?)?;
    waiting(lines.of("wait")?)
}

/// Every line is what the file has there.
fn is_beside_its_source(function: &Annotated, source: &[&str]) -> Outcome {
    for line in &function.lines {
        let number = usize::try_from(line.line.unwrap_or(0))?;
        let expected = number.checked_sub(1).and_then(|index| source.get(index)).copied();
        if expected != line.source.as_deref() {
            return Err(format!("line {number} is {expected:?}, not {line:?}").into());
        }
    }
    Ok(())
}

/// Four calls at once, of which three are within the line that calls.
fn recursion(function: &Annotated) -> Outcome {
    let (each, calls) = (function.line_with("# in each call")?, function.line_with("# calls itself")?);
    let share = |samples: u64| samples as f64 / function.samples as f64;
    // Whatever is executed within is in a call; three quarters of the time there is one around it.
    let chance = SIGMAS * deviation(0.75, function.samples);
    if share(each.samples) < 0.95 || (share(calls.samples) - 0.75).abs() > chance {
        return Err(
            format!("{:.2} and {:.2} of {function:?}", share(each.samples), share(calls.samples)).into()
        );
    }
    Ok(())
}

fn waiting(function: &Annotated) -> Outcome {
    let (sleeps, computes) = (function.line_with("# sleeps")?, function.line_with("# computes")?);
    // Where the processors are busy, one that wants to run waits for them and still counts as one that runs.
    if sleeps.waiting < 0.5 * sleeps.total || computes.cpu < 0.95 * computes.total {
        return Err(format!("{sleeps:?}, {computes:?}").into());
    }
    Ok(())
}
