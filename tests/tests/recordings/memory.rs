//! `--memory`: what processes have resident, by both readers.

use serde::Deserialize;

use rspy_tests::Outcome;
use rspy_tests::interpreters::Interpreter;
use rspy_tests::recording::{Recording, report};
use rspy_tests::rspy::Run;
use rspy_tests::target::scripts;

/// How far two looks at the same may be apart, in bytes: the kernel adds up what each CPU counts now and then.
const TOLERANCE: u64 = 1 << 20;

/// A line of `-f jsonl`.
#[derive(Deserialize)]
struct Line {
    #[serde(rename = "type")]
    kind: String,
    time: Option<f64>,
    resident: Option<u64>,
}

/// Each step of a program that takes memory and gives it back is in the recording, in order.
pub fn steps(interpreter: &Interpreter) -> Outcome {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("app.rspy");
    let (python, script) = (&interpreter.path, scripts().join("memory_steps.py"));
    let (file_text, script) = (file.to_string_lossy(), script.to_string_lossy());
    let python = python.to_string_lossy();
    let command = ["record", "-r", "1000", "--memory", "-o", &file_text, "--", &python, &script];
    let output = Run::start(command)?.output()?.success()?;
    let told = output.stdout.lines().find(|line| line.starts_with('['));
    let told: Vec<u64> = serde_json::from_str(told.ok_or("the program told nothing")?)?;

    let read = Recording::read(&file)?;
    let rows: Vec<u64> = read.memory.iter().map(|row| row.2).collect();
    let mut left = rows.iter();
    for step in &told {
        if !left.any(|row| row.abs_diff(*step) <= TOLERANCE) {
            return Err(format!("{step} of {told:?} is not, or not in this order, in {rows:?}").into());
        }
    }
    let times: Vec<u64> = read.memory.iter().map(|row| row.0).collect();
    let is_changed = rows.windows(2).all(|pair| pair[0] != pair[1]);
    if !times.is_sorted() || times.last() > Some(&read.until) || !is_changed {
        return Err(format!("at {times:?}: {rows:?}").into());
    }

    let lines = |options: &[&str]| -> Outcome<Vec<(f64, u64)>> {
        let text = report(&[&file], &[&["-f", "jsonl", "-o", "-"], options].concat())?.success()?.stdout;
        let lines: Result<Vec<Line>, _> = text.lines().map(serde_json::from_str).collect();
        let memory = lines?.into_iter().filter(|line| line.kind == "memory");
        Ok(memory.filter_map(|line| Some((line.time?, line.resident?))).collect())
    };
    let all = lines(&[])?;
    let expected: Vec<(f64, u64)> = read.memory.iter().map(|row| (row.0 as f64 / 1e9, row.2)).collect();
    if all != expected {
        return Err(format!("reported {all:?}\nread {expected:?}").into());
    }
    // Of what comes later the first row tells what there was.
    let middle = all[all.len() / 2].0;
    let late = lines(&["--from", &format!("{middle}s")])?;
    let first = all.iter().rposition(|row| row.0 < middle).unwrap_or(0);
    if late != all[first..] {
        return Err(format!("from {middle} on: {late:?} of {all:?}").into());
    }
    if !lines(&["--process", "1"])?.is_empty() {
        return Err("the memory of a process that was not asked for is reported".into());
    }
    Ok(())
}
