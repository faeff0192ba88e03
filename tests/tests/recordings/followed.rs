//! Recordings of programs that change, end or fork; and those that are read while they are written.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use rspy_tests::Outcome;
use rspy_tests::family::Family;
use rspy_tests::interpreters::Interpreter;
use rspy_tests::process::{self, wait_until};
use rspy_tests::recording::{Recording, folded, report, start};
use rspy_tests::rspy::binary;
use rspy_tests::target::{Target, clean_command, command, scripts};
use rustix::process::Signal;

fn length(file: &Path) -> u64 {
    fs::metadata(file).map_or(0, |metadata| metadata.len())
}

/// Waits until a block more is in `file`. Gives its length.
fn grows(file: &Path) -> Outcome<u64> {
    let before = length(file);
    wait_until("the recording grows", || length(file) > before)?;
    Ok(length(file))
}

/// Has `recorder` flush ten times, each right after the file has grown: far faster than it would by itself.
fn flushes(recorder: u32, file: &Path, mut meanwhile: impl FnMut() -> Outcome) -> Outcome {
    let mut took = Duration::ZERO;
    let mut samples = 0;
    for _ in 0..10 {
        // Right after a block was written.
        grows(file)?;
        let sent = Instant::now();
        process::send(recorder, Signal::USR1)?;
        grows(file)?;
        took += sent.elapsed();
        meanwhile()?;
        let now: u64 = folded(&[file], &["-i"])?.values().sum();
        if now < samples {
            return Err(format!("{now} samples, there were {samples}").into());
        }
        samples = now;
    }
    // By itself it would take ten seconds.
    let read = Recording::read(file)?;
    if took < Duration::from_secs(5) && samples > 0 && read.ending == "unfinished" {
        return Ok(());
    }
    Err(format!("{took:?} for ten, {samples} samples, {}", read.ending).into())
}

pub fn flushed(interpreter: &Interpreter) -> Outcome {
    let target = Target::start(command(interpreter, "few_stacks.py", &["1"]))?;
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("app.rspy");
    let run = start(target.pid, &file, &["-r", "1000"])?;
    flushes(run.pid(), &file, || Ok(()))?;
    run.send(Signal::INT)?;
    let output = run.output()?.success()?;
    is_complete(&file, output.summary()?.samples)
}

/// Whether `file` was ended, with so many samples.
fn is_complete(file: &Path, samples: u64) -> Outcome {
    let read = Recording::read(file)?;
    let reported: u64 = folded(&[file], &["-i"])?.values().sum();
    let shown = report(&[file], &["-f", "raw", "-i"])?.success()?;
    if (read.ending.as_str(), reported, read.weight()) == ("whole", read.total(), samples)
        && shown.stderr.is_empty()
    {
        return Ok(());
    }
    Err(format!("{} with {reported}, {} of {samples}: {}", read.ending, read.weight(), shown.stderr).into())
}

/// The program answers each signal that it is passed.
pub fn flushed_and_passed_on(interpreter: &Interpreter) -> Outcome {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("app.rspy");
    let mut recorded = Command::new(binary());
    recorded.args(["record", "-r", "1000", "-o"]).arg(&file).arg("--").arg(&interpreter.path);
    recorded.arg(scripts().join("work.py")).arg("signals");
    let mut recorder = 0;
    let find = |started: u32| {
        recorder = started;
        process::children(started).first().copied()
    };
    let mut target = Target::start_found_by(recorded, find)?;
    flushes(recorder, &file, || match target.answer()? {
        b's' => Ok(()),
        other => Err(format!("the program said {:?}", char::from(other)).into()),
    })?;
    target.end_unharmed()?;
    let read = Recording::read(&file)?;
    if read.ending == "whole" { Ok(()) } else { Err(read.ending.into()) }
}

/// `execv` in the midst, again and again.
pub fn replaced(interpreter: &Interpreter) -> Outcome {
    let mut target = Target::start(command(interpreter, "work.py", &["exec"]))?;
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("app.rspy");
    let run = start(target.pid, &file, &["-r", "500"])?;
    grows(&file)?;
    for _ in 0..5 {
        target.work()?;
        grows(&file)?;
    }
    run.send(Signal::INT)?;
    let output = run.output()?.success()?;
    target.end_unharmed()?;
    is_complete(&file, output.summary()?.samples)?;
    let read = Recording::read(&file)?;
    match read.processes.len() {
        1 => Ok(()),
        others => Err(format!("{others} processes").into()),
    }
}

/// Killed while it is recorded.
pub fn dies(interpreter: &Interpreter) -> Outcome {
    let target = Target::start(command(interpreter, "few_stacks.py", &["2"]))?;
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("app.rspy");
    let run = start(target.pid, &file, &["-r", "500"])?;
    // The header, the block that says what it is of, and one with samples.
    for _ in 0..3 {
        grows(&file)?;
    }
    process::send(target.pid, Signal::KILL)?;
    let output = run.output()?.success()?;
    let summary = output.summary()?;
    is_complete(&file, summary.samples)?;
    let says_so = [output.stdout.as_str(), &output.stderr].concat().contains("because process exited");
    if summary.samples > 100 && says_so {
        return Ok(());
    }
    Err(format!("{output:?}").into())
}

/// Generations of processes: each is in the file below its parent, and below it in a report.
pub fn tree(interpreter: &Interpreter) -> Outcome {
    let mut command = clean_command(&interpreter.path);
    command.arg(scripts().join("family.py")).arg("generations");
    let mut family = Family::start(command)?;
    let (mut grandchild, mut by_thread) = (0, 0);
    for (name, pid) in [family.line()?, family.line()?] {
        if name == "grandchild" { grandchild = pid } else { by_thread = pid }
    }
    let is_child = |pid: &&u32| process::descendants(**pid).contains(&grandchild);
    let children = process::descendants(family.root);
    let child = *children.iter().find(is_child).ok_or("no child")?;
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("app.rspy");
    let (_, summary) = rspy_tests::recording::record(family.root, &file, &["-s", "-d", "1.5", "-r", "100"])?;

    let read = Recording::read(&file)?;
    let parent_of = |pid: u32| -> Option<Option<u32>> {
        let known = read.processes.iter().find(|process| process.pid == pid)?;
        Some(known.parent.map(|parent| read.processes[parent].pid))
    };
    let parents = [family.root, child, grandchild, by_thread].map(parent_of);
    let root = family.root;
    if parents != [Some(None), Some(Some(root)), Some(Some(child)), Some(Some(root))] {
        return Err(format!(
            "{parents:?} of {root}, {child}, {grandchild}, {by_thread}: {:?}",
            read.processes
        )
        .into());
    }
    is_complete(&file, summary.samples)?;
    let stacks = folded(&[&file], &["-i"])?;
    let is_below = |above: &[u32], pid: u32| {
        stacks.keys().any(|stack| {
            let roots = stack.split(';').filter_map(|frame| frame.strip_prefix("process "));
            let pids: Vec<&str> = roots.filter_map(|root| root.split_once(':').map(|(pid, _)| pid)).collect();
            let wanted = above.iter().chain([&pid]).map(u32::to_string);
            pids == wanted.collect::<Vec<String>>()
        })
    };
    if is_below(&[], root)
        && is_below(&[root], child)
        && is_below(&[root, child], grandchild)
        && is_below(&[root], by_thread)
    {
        return Ok(());
    }
    Err(format!("{stacks:#?}").into())
}
