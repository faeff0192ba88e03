//! `--columns`: what every frame of a thread that stands still executes, as `co_positions` says; and nothing of it
//! where the interpreter has no columns, or nobody asked.

use serde_json::{Value, json};

use rspy_tests::interpreters::{self, Interpreter};
use rspy_tests::rspy::Run;
use rspy_tests::target::{self, Frame, Target, Thread};
use rspy_tests::{Outcome, run, test};

/// The keys that py-spy gives a frame.
const KEYS: [&str; 8] =
    ["name", "filename", "module", "short_filename", "line", "locals", "is_entry", "is_shim_entry"];

fn start(interpreter: &Interpreter, script: &str, options: &[&str]) -> Outcome<Target> {
    let mut command = target::clean_command(&interpreter.path);
    command.env("TESTIFY_POSITIONS", "1").args(options).arg(target::scripts().join(script));
    Target::start(command)
}

/// The frames of a thread, innermost first, whose place did not change after the testimony: all but the one in which
/// the reader of stdin testified.
fn standing(target: &Target) -> impl Iterator<Item = (&Thread, usize, &Frame)> {
    target.testimony.threads.iter().enumerate().flat_map(|(index, thread)| {
        let frames = thread.stacks.iter().flatten().enumerate();
        frames.skip(usize::from(index == 0)).map(move |(depth, frame)| (thread, depth, frame))
    })
}

/// What belongs behind the line number, counted from 1.
fn label(frame: &Frame) -> String {
    let (name, file, line) = (&frame.name, &frame.filename, frame.line.unwrap_or(0));
    match frame.position {
        None => format!("{name} ({file}:{line})"),
        Some([first, last, column, end]) if last > first => {
            format!("{name} ({file}:{line}:{}-{last}:{end})", column + 1)
        }
        Some([_, _, column, end]) if end == column => format!("{name} ({file}:{line}:{})", column + 1),
        Some([_, _, column, end]) => format!("{name} ({file}:{line}:{}-{end})", column + 1),
    }
}

fn dump(target: &Target, more: &[&str]) -> Outcome<String> {
    let pid = target.pid.to_string();
    Ok(Run::start(["dump", "--pid", &pid].iter().chain(more))?.output()?.success()?.stdout)
}

fn compare_json(target: &Target, columns: bool) -> Outcome<usize> {
    let options: &[&str] = if columns { &["--json", "--columns"] } else { &["--json"] };
    let dump: Vec<Value> = serde_json::from_str(&dump(target, options)?)?;
    let mut compared = 0;
    for (thread, depth, frame) in standing(target) {
        let seen =
            dump.iter().find(|seen| seen["thread_id"] == thread.thread_id).ok_or("a thread is missing")?;
        let seen = &seen["frames"][depth];
        let mut expected: Vec<&str> = KEYS.to_vec();
        if columns && let Some([_, last, column, end]) = frame.position {
            expected.extend(["column", "end_line", "end_column"]);
            let found = (&seen["column"], &seen["end_line"], &seen["end_column"]);
            if found != (&json!(column + 1), &json!(last), &json!(end)) {
                return Err(format!("{} should be at {:?}: {seen}", frame.name, frame.position).into());
            }
            compared += 1;
        }
        let mut keys: Vec<&String> = seen.as_object().ok_or("a frame is missing")?.keys().collect();
        keys.sort();
        expected.sort_unstable();
        if keys != expected {
            return Err(format!("the keys of a frame are {keys:?}").into());
        }
    }
    Ok(compared)
}

fn compare_text(target: &Target) -> Outcome {
    let text = dump(target, &["--columns", "--full-filenames"])?;
    let raw = tempfile::NamedTempFile::new()?;
    let pid = target.pid.to_string();
    let path = raw.path().to_str().ok_or("an odd folder for temporary files")?;
    let arguments = ["record", "--pid", &pid, "--duration", "0.3", "--format", "raw", "--output", path];
    Run::start(arguments.iter().chain(&["--idle", "--columns", "--full-filenames"]))?.output()?.success()?;
    let raw = std::fs::read_to_string(raw.path())?;
    for (_, _, frame) in standing(target) {
        let label = label(frame);
        if !text.lines().any(|line| line.trim() == label) {
            return Err(format!("no {label:?} in\n{text}").into());
        }
        let mut recorded = raw.lines().filter_map(|line| line.rsplit_once(' '));
        if !recorded.any(|(stack, _)| stack.split(';').any(|frame| frame == label)) {
            return Err(format!("no {label:?} in\n{raw}").into());
        }
    }
    Ok(())
}

fn has_columns(interpreter: &Interpreter) -> bool {
    interpreter.minor() >= (3, 11)
}

fn columns(interpreter: &Interpreter) -> Outcome {
    for (script, least) in [("lines.py", 60), ("innermost_lines.py", 10)] {
        let target = start(interpreter, script, &[])?;
        let compared = compare_json(&target, true)?;
        if has_columns(interpreter) == (compared < least) {
            return Err(format!("{compared} frames of {script} have columns").into());
        }
        compare_json(&target, false)?;
        compare_text(&target)?;
    }
    Ok(())
}

/// An interpreter that was told to forget columns.
fn forgotten(interpreter: &Interpreter) -> Outcome {
    let target = start(interpreter, "innermost_lines.py", &["-X", "no_debug_ranges"])?;
    match compare_json(&target, true)? {
        // Of the library, columns may come from files that were compiled before.
        0..10 => compare_text(&target),
        compared => Err(format!("{compared} frames have columns").into()),
    }
}

fn main() {
    let mut tests = Vec::new();
    for interpreter in interpreters::all() {
        let label = interpreter.label.clone();
        if has_columns(&interpreter) {
            let interpreter = interpreter.clone();
            tests.push(test(format!("columns-forgotten::{label}"), move || forgotten(&interpreter)));
        }
        tests.push(test(format!("columns::{label}"), move || columns(&interpreter)));
    }
    run(tests);
}
