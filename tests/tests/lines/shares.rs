//! What lines take: time by the program's own clock, and by line_profiler; memory by its own count.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;

use rspy_tests::analysis::{Annotated, Lines, json};
use rspy_tests::environment::succeed;
use rspy_tests::interpreters::Interpreter;
use rspy_tests::program::{Program, command as program};
use rspy_tests::rspy::Run;
use rspy_tests::statistics::deviation;
use rspy_tests::target::{clean_command, scripts};
use rspy_tests::{Outcome, packages};

/// How many points a share may be off.
const POINTS: f64 = 2.0;

/// How much of the time may be in no sample, as a part of it.
const LOST: f64 = 0.1;

/// How many measurements of some seconds there may be.
const MEASUREMENTS: usize = 3;

/// How far resident memory may be off, as a part of it.
const MEMORY: f64 = 0.05;

/// Seconds by line.
type Seconds = BTreeMap<u32, f64>;

/// What `line_profiled.py` writes.
#[derive(Deserialize)]
struct Measured {
    clock: Seconds,
    line_profiler: Seconds,
}

/// The path of a target.
fn script(name: &str) -> String {
    scripts().join(name).display().to_string()
}

/// What was measured of the lines of a function: by rspy, and by another.
#[derive(Default)]
struct Shares {
    seen: Seconds,
    samples: u64,
    truth: Seconds,
}

impl Shares {
    fn add(&mut self, seen: &Annotated, truth: &Seconds) {
        for (line, seconds) in truth {
            let here =
                seen.lines.iter().find(|known| known.line == Some(*line)).map_or(0.0, |known| known.total);
            *self.seen.entry(*line).or_default() += here;
            *self.truth.entry(*line).or_default() += seconds;
        }
        self.samples += seen.samples;
    }

    /// Which lines have another share of their function than they should. Lines that look at the clock take next to
    /// nothing of either. What could not be sampled may all have been of one line.
    fn wrong(&self, of: &str) -> Vec<String> {
        let (seen_in_all, in_all): (f64, f64) = (self.seen.values().sum(), self.truth.values().sum());
        let lost = (1.0 - seen_in_all / in_all).max(0.0);
        let mut wrong = Vec::new();
        for (line, seconds) in &self.truth {
            let (share, found) = (seconds / in_all, self.seen[line] / seen_in_all);
            let off = (found - share) * 100.0;
            let told = format!(
                "{of}, line {line}: {:.2} %, measured {:.2} %: {off:+.2} points; by chance ± {:.2} of {} samples, {:.2} % lost",
                found * 100.0,
                share * 100.0,
                deviation(share, self.samples) * 100.0,
                self.samples,
                lost * 100.0
            );
            println!("{told}");
            if off.is_nan() || lost > LOST || off.abs() > POINTS + lost * 100.0 {
                wrong.push(told);
            }
        }
        wrong
    }
}

/// Fails unless the lines of a function have the shares of `N` truths, which `measure` gives with what rspy saw. While rspy does not get a processor and
/// the program does, time goes to one line: where a measurement of some seconds is off, others are added to it.
fn agree<const N: usize>(
    interpreter: &Interpreter,
    measure: impl Fn() -> Outcome<(Annotated, [(&'static str, Seconds); N])>,
) -> Outcome {
    let mut shares: [Shares; N] = std::array::from_fn(|_| Shares::default());
    let mut wrong = Vec::new();
    for _ in 0..MEASUREMENTS {
        wrong.clear();
        let (seen, truths) = measure()?;
        for ((by, truth), shares) in truths.iter().zip(&mut shares) {
            shares.add(&seen, truth);
            if truth.len() < 3 {
                return Err(format!("{by} measured {truth:?} only").into());
            }
            wrong.extend(shares.wrong(&format!("{} by {by}", interpreter.label)));
        }
        if wrong.is_empty() {
            return Ok(());
        }
    }
    Err(wrong.join("\n").into())
}

/// A command that is started, by the program's own clock.
pub fn command(interpreter: &Interpreter) -> Outcome {
    agree(interpreter, || {
        let folder = tempfile::tempdir()?;
        let truth = folder.path().join("truth").display().to_string();
        let python = interpreter.path.display().to_string();
        let words = ["-r", "1000", "--function", "cycle", "--", &python, &script("shares.py"), &truth, "6"];
        let lines: Lines = json("lines", &words)?;
        Ok((lines.of("cycle")?.clone(), [("its clock", serde_json::from_slice(&fs::read(&truth)?)?)]))
    })
}

/// A process that runs, up to its end: where processors are scarce, shares differ from second to second.
pub fn process(interpreter: &Interpreter) -> Outcome {
    agree(interpreter, || {
        let mut command = program(&interpreter.path);
        command.arg(script("shares.py")).args(["truth", "6"]);
        let mut running = Program::start(command)?;
        let pid = running.pid().to_string();
        let lines: Lines = json("lines", &["-r", "1000", "--function", "cycle", "--pid", &pid])?;
        running.wait()?;
        let truth = fs::read(running.file("truth"))?;
        Ok((lines.of("cycle")?.clone(), [("its clock", serde_json::from_slice(&truth)?)]))
    })
}

/// A Python that finds line_profiler, for what rspy starts.
fn python_with(interpreter: &Interpreter, packages: &[PathBuf]) -> Vec<String> {
    let packages: Vec<String> = packages.iter().map(|folder| folder.display().to_string()).collect();
    let path = format!("PYTHONPATH={}", packages.join(":"));
    ["env", &path, &interpreter.path.display().to_string()].map(str::to_owned).to_vec()
}

/// A recording of a program that line_profiler measures meanwhile.
pub fn as_line_profiler(interpreter: &Interpreter) -> Outcome {
    let Some(packages) = packages::line_profiler(interpreter)? else { return Ok(()) };
    agree(interpreter, || {
        let folder = tempfile::tempdir()?;
        let [truth, file] = ["truth", "app.rspy"].map(|name| folder.path().join(name).display().to_string());
        let python = python_with(interpreter, &packages);
        let script = script("line_profiled.py");
        let mut words: Vec<&str> = vec!["record", "-r", "1000", "-o", &file, "--"];
        words.extend(python.iter().map(String::as_str).chain([script.as_str(), &truth, "8"]));
        Run::start(words)?.output()?.success()?;
        let lines: Lines = json("lines", &[&file, "--function", "cycle"])?;
        let Measured { clock, line_profiler } = serde_json::from_slice(&fs::read(&truth)?)?;
        Ok((lines.of("cycle")?.clone(), [("its clock", clock), ("line_profiler", line_profiler)]))
    })
}

/// What both cost a loop of short lines: the fastest of many rounds with each, compared with the fastest without.
pub fn slowdown(interpreter: &Interpreter) -> Outcome {
    let Some(packages) = packages::line_profiler(interpreter)? else { return Ok(()) };
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("seconds");
    let python = python_with(interpreter, &packages);
    let script = script("line_cost.py");
    let measure = |prefix: &[&str], rounds: &str, how: &[&str]| -> Outcome<f64> {
        let words: Vec<&str> = prefix.iter().copied().chain(python.iter().map(String::as_str)).collect();
        let mut command: Command = clean_command(Path::new(words[0]));
        command.args(&words[1..]).arg(&script).arg(&file).arg(rounds).args(how);
        succeed(&mut command)?;
        Ok(serde_json::from_slice(&fs::read(&file)?)?)
    };
    let rspy = rspy_tests::rspy::binary().display().to_string();
    let alone = measure(&[], "60", &[])?;
    let sampled = measure(&[&rspy, "lines", "-r", "500", "--"], "60", &[])?;
    let traced = measure(&[], "5", &["line_profiler"])?;
    println!(
        "{}: {:.1} ms alone; {:.2} times as long with rspy lines -r 500, {:.1} times with line_profiler",
        interpreter.label,
        alone * 1000.0,
        sampled / alone,
        traced / alone
    );
    if sampled < traced { Ok(()) } else { Err("rspy costs more than line_profiler".into()) }
}

/// A line that makes a list of 100 MB, by the program's own count.
pub fn memory(interpreter: &Interpreter) -> Outcome {
    let folder = tempfile::tempdir()?;
    let truth = folder.path().join("truth").display().to_string();
    let python = interpreter.path.display().to_string();
    let words = ["-r", "500", "--function", "take", "--", &python, &script("line_memory.py"), &truth];
    let lines: Lines = json("lines", &words)?;
    let grown: f64 = serde_json::from_slice(&fs::read(&truth)?)?;
    let take = lines.of("take")?;
    let line = take.line_with("# takes")?;
    let seen = line.grown.unwrap_or_default() - line.released.unwrap_or_default();
    println!("{}: {:.1} MB on its line, {:.1} MB in all", interpreter.label, seen / 1e6, grown / 1e6);
    if (seen - grown).abs() > MEMORY * grown {
        return Err(format!("{seen} bytes on the line, {grown} in all: {take:?}").into());
    }
    // The others took nothing to speak of.
    let others = take.lines.iter().filter(|other| other.line != line.line).filter_map(|other| other.grown);
    let others: f64 = others.sum();
    if others > MEMORY * grown {
        Err(format!("{others} bytes on other lines: {take:?}").into())
    } else {
        Ok(())
    }
}
