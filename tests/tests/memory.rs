//! `rspy memory`: by line as memory_profiler, over time as the kernel counts, of a tree without counting pages twice.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rspy_tests::interpreters::{self, Interpreter};
use rspy_tests::packages::provide;
use rspy_tests::rspy::{Output, Run};
use rspy_tests::target::{clean_command, scripts};
use rspy_tests::{Outcome, in_one_of_three, run_one_by_one, test};
use serde_json::Value;

const MEBIBYTE: f64 = (1 << 20) as f64;

/// Increments above 10 MB are what memory_profiler finds, within so much of them.
const TOLERANCE: f64 = 0.05;
const LARGE: f64 = 10e6;

/// Or within what one line takes between two samples before the next one goes on to take: some MB in a millisecond.
const BETWEEN: f64 = 6e6;

/// By line of a function: by how much memory grew, in bytes.
type Increments = BTreeMap<u64, f64>;

fn memory(options: &[&str], python: &Path, script: &[&str]) -> Outcome<Output> {
    let python = python.to_string_lossy();
    let path = scripts().join(script[0]);
    let path = path.to_string_lossy();
    let command = [&["memory"], options, &["--", &python, &path], &script[1..]].concat();
    Run::start(command)?.output()?.success()
}

fn json(options: &[&str], python: &Path, script: &[&str]) -> Outcome<(Value, Output)> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("memory.json");
    let file_text = file.to_string_lossy();
    let output = memory(&[options, &["-o", &file_text]].concat(), python, script)?;
    Ok((serde_json::from_str(&std::fs::read_to_string(&file)?)?, output))
}

/// What rspy says of the lines of each function.
fn increments(report: &Value) -> BTreeMap<String, Increments> {
    let functions = report["functions"].as_array().into_iter().flatten();
    let of = |function: &Value| {
        let lines = function["lines"].as_array().into_iter().flatten();
        // What is at no line that is known is at 0.
        let change = |line: &Value| {
            let (grown, released) = (line["grown"].as_f64()?, line["released"].as_f64()?);
            Some((line["line"].as_u64().unwrap_or(0), grown - released))
        };
        (function["name"].as_str().unwrap_or_default().to_owned(), lines.filter_map(change).collect())
    };
    functions.map(of).collect()
}

/// The lines that differ by more than is allowed, of those that either calls large.
fn differences(name: &str, expected: &Increments, found: &Increments) -> Vec<String> {
    let mut wrong = Vec::new();
    let is_near = |one: f64, other: f64| (one - other).abs() <= TOLERANCE * one.abs();
    let released: Vec<f64> = expected.values().copied().filter(|size| *size < -LARGE).collect();
    let at_no_line = found.get(&0).copied().unwrap_or(0.0);
    let lines = expected.keys().chain(found.keys()).collect::<std::collections::BTreeSet<_>>();
    for line in lines {
        let of = |all: &Increments| all.get(line).copied().unwrap_or(0.0);
        let (expected, found) = (of(expected), of(found));
        if expected.abs().max(found.abs()) < LARGE {
            continue;
        }
        // What gives memory back at once is in no sample: it is at no line of the function that had it.
        if (*line == 0 && released.iter().any(|size| is_near(*size, found)))
            || (found.abs() < LARGE && is_near(expected, at_no_line))
        {
            println!(
                "{name} line {line}: {:+.1} MB, expected {:+.1} MB: at no line",
                found / 1e6,
                expected / 1e6
            );
            continue;
        }
        println!("{name} line {line}: {:+.1} MB, expected {:+.1} MB", found / 1e6, expected / 1e6);
        if (found - expected).abs() > (TOLERANCE * expected.abs()).max(BETWEEN) {
            wrong.push(format!("{name}:{line}: {found} instead of {expected}"));
        }
    }
    wrong
}

/// What memory_profiler says, by the first line of each function's table.
fn by_memory_profiler(interpreter: &Interpreter, path: &str) -> Outcome<Increments> {
    let mut command = clean_command(&interpreter.path);
    command.args(["-m", "memory_profiler"]).arg(scripts().join("memory_known.py")).arg("arrays");
    command.env("PYTHONPATH", path).stdin(Stdio::null());
    let output = command.output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let row = |line: &str| -> Option<(u64, f64)> {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [number, _, "MiB", increment, "MiB", _, source, ..] = words.as_slice() else { return None };
        // The line of the decorator has what there was before.
        (!source.starts_with('@')).then_some(())?;
        Some((number.parse().ok()?, increment.parse::<f64>().ok()? * MEBIBYTE))
    };
    let rows: Increments = text.lines().filter_map(row).collect();
    match rows.is_empty() {
        true => {
            Err(format!("memory_profiler says\n{text}{}", String::from_utf8_lossy(&output.stderr)).into())
        }
        false => Ok(rows),
    }
}

/// The same lines as memory_profiler, on its README's example and on functions with known allocations.
fn memory_profiler(interpreter: &Interpreter) -> Outcome {
    let mut folders = Vec::new();
    for package in ["memory_profiler==0.61.0", "psutil==7.1.3", "numpy==2.3.5"] {
        let Some(folder) = provide(&interpreter.path, &interpreter.label, package)? else { return Ok(()) };
        folders.push(folder.to_string_lossy().into_owned());
    }
    let path = folders.join(":");
    let expected = by_memory_profiler(interpreter, &path)?;
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("memory.json");
    let script = scripts().join("memory_known.py");
    let (python, script, file_text) =
        (interpreter.path.to_string_lossy(), script.to_string_lossy(), file.to_string_lossy());
    let environment = format!("PYTHONPATH={path}");
    let command = [
        "memory",
        "-r",
        "2000",
        "--file",
        "memory_known.py",
        "-o",
        &file_text,
        "--",
        "env",
        &environment,
        &python,
        &script,
        "arrays",
    ];
    let output = Run::start(command)?.output()?.success()?;
    let report: Value = serde_json::from_str(&std::fs::read_to_string(&file)?)?;
    let mut wrong = Vec::new();
    let mut lines = 0;
    for (name, found) in increments(&report) {
        // What the others call is in their lines, which memory_profiler does not show.
        if ["tell", "<module>"].contains(&name.as_str()) {
            continue;
        }
        let mut lines_of = found.keys().filter(|line| **line > 0);
        let (Some(first), Some(last)) = (lines_of.next(), found.keys().next_back()) else { continue };
        // To the end of the function: a line that only gives memory back may be in no sample.
        let after = (*last + 1..).take_while(|line| expected.contains_key(line)).last();
        let expected: Increments =
            expected.range(*first..=after.unwrap_or(*last)).map(|(line, size)| (*line, *size)).collect();
        lines += expected.len();
        wrong.extend(differences(&name, &expected, &found));
    }
    if lines < 15 {
        wrong.push(format!("only {lines} lines are known to both: {report}"));
    }
    known(&report, &output, &mut wrong)?;
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n").into()) }
}

/// What the program says of its own functions is what their caller's line is charged with, which calls all of them.
fn known(report: &Value, output: &Output, wrong: &mut Vec<String>) -> Outcome {
    let told = output.stdout.lines().find(|line| line.starts_with('{')).ok_or("the program told nothing")?;
    let told: BTreeMap<String, f64> = serde_json::from_str(told)?;
    let increments = increments(report);
    for (name, expected) in &told {
        let found: f64 = increments.get(name).into_iter().flat_map(BTreeMap::values).sum();
        println!("{name}: {:+.1} MB, by itself {:+.1} MB", found / 1e6, expected / 1e6);
        if (found - expected).abs() > (TOLERANCE * expected.abs()).max(BETWEEN) {
            wrong.push(format!("{name}: {found} instead of {expected}"));
        }
    }
    Ok(())
}

/// Without packages: what the program knows of itself.
fn increments_are_its_own(interpreter: &Interpreter) -> Outcome {
    let (report, output) =
        json(&["-r", "1000", "--file", "memory_known.py"], &interpreter.path, &["memory_known.py"])?;
    let mut wrong = Vec::new();
    known(&report, &output, &mut wrong)?;
    // Though it gave back most of that a moment later.
    let most = output.stdout.lines().find_map(|line| line.strip_prefix("at most ")).unwrap_or_default();
    let (peak, most) = (report["peak"]["bytes"].as_f64().unwrap_or(0.0), most.parse::<f64>()?);
    println!("peak {:.1} MB, by itself {:.1} MB", peak / 1e6, most / 1e6);
    if (peak - most).abs() > 0.01 * most {
        wrong.push(format!("the peak is {peak} instead of {most}"));
    }
    let all = increments(&report);
    let of = |name: &str, line: u64| {
        let lines = all.get(name).into_iter().flat_map(BTreeMap::keys).copied();
        let first = lines.filter(|line| *line > 0).min().unwrap_or(0);
        all.get(name).and_then(|lines| lines.get(&(first + line))).copied().unwrap_or(0.0)
    };
    // The first line that was seen may be any: the second list is made two lines below it, and deleted in the next.
    let b = (0..4).map(|line| of("readme", line)).fold(0.0, f64::max);
    let deleted = (0..5).map(|line| of("readme", line)).fold(0.0, f64::min);
    for (what, found, expected) in [("made", b, 160e6), ("deleted", deleted, -160e6)] {
        if (found - expected).abs() > TOLERANCE * 160e6 {
            wrong.push(format!("what was {what} in readme: {found}: {all:?}"));
        }
    }
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n").into()) }
}

/// `pool.map` makes a list of all work, which `imap` does not: to be seen in the line that grew the parent.
fn pools(interpreter: &Interpreter) -> Outcome {
    let mut peaks = Vec::new();
    for how in ["map", "imap"] {
        let (report, output) =
            json(&["--function", "texts", "--limit", "0"], &interpreter.path, &["memory_pool.py", how])?;
        let told =
            output.stdout.lines().find(|line| line.starts_with('{')).ok_or("the program told nothing")?;
        let told: Value = serde_json::from_str(told)?;
        let processes = report["processes"].as_array().ok_or("no processes")?;
        let of = |pid: &Value| processes.iter().find(|process| process["pid"] == *pid);
        let parent = of(&told["parent"]).ok_or("no parent")?;
        for pid in told["workers"].as_array().into_iter().flatten() {
            let worker = of(pid).ok_or_else(|| format!("{pid} is not in {processes:?}"))?;
            let shared = worker["shares"][0]["shared_dirty"].as_f64().unwrap_or(0.0);
            if worker["start_method"] != "fork" || worker["parent"] != told["parent"] || shared < 10e6 {
                return Err(format!("a worker is {worker}").into());
            }
        }
        let grown: f64 = increments(&report).get("texts").into_iter().flat_map(BTreeMap::values).sum();
        let peak = parent["peak"].as_f64().unwrap_or(0.0) - parent["first"].as_f64().unwrap_or(0.0);
        println!("{how}: the parent grew by {:.1} MB, in texts {:.1} MB", peak / 1e6, grown / 1e6);
        peaks.push((grown, report["peak"]["bytes"].as_f64().unwrap_or(0.0)));
    }
    // 300,000 texts of 240 characters and 49 bytes more.
    match peaks.as_slice() {
        [(map, most), (imap, least)] if *map > 40e6 && *imap < 15e6 && most - least > 50e6 => Ok(()),
        _ => Err(format!("{peaks:?}").into()),
    }
}

/// A fork that looks at what its parent has made loses what it shares with it: how much, and how fast.
fn copies(interpreter: &Interpreter) -> Outcome {
    let (report, output) = json(&[], &interpreter.path, &["memory_copies.py"])?;
    let told = output.stdout.lines().find(|line| line.starts_with('{')).ok_or("the program told nothing")?;
    let told: Value = serde_json::from_str(told)?;
    let processes = report["processes"].as_array().ok_or("no processes")?;
    let fork = processes.iter().find(|process| process["pid"] == told["fork"]).ok_or("no fork")?;
    let [first, last] = [0, 1].map(|look| fork["shares"][look]["shared_dirty"].as_f64().unwrap_or(-1.0));
    println!("{}: {:.1} MB, then {:.1} MB with the parent", interpreter.label, first / 1e6, last / 1e6);
    if fork["start_method"] != "fork" || first < 25e6 || !(0.0..0.5 * first).contains(&last) {
        return Err(fork.to_string().into());
    }
    let text = memory(&[], &interpreter.path, &["memory_copies.py"])?.stdout;
    let line = text.lines().find(|line| line.contains("has written to, or lost,"));
    match line.is_some_and(|line| line.contains(" MB that it shared with its parent: ")) {
        true => Ok(()),
        false => Err(text.into()),
    }
}

/// A program that forks workers, and ends with its stdin.
struct Workers(Child);

impl Workers {
    fn start(interpreter: &Interpreter, count: usize) -> Outcome<Workers> {
        let mut command: Command = clean_command(&interpreter.path);
        command.arg(scripts().join("memory_workers.py")).arg(count.to_string());
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().ok_or("no stdout")?).read_line(&mut line)?;
        if line.trim() != "ready" {
            return Err(format!("it says {line:?}").into());
        }
        Ok(Workers(child))
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        if let Some(mut stdin) = self.0.stdin.take() {
            let _ = stdin.flush();
        }
        let _ = self.0.wait();
    }
}

/// The sum of PSS over a tree of 50 workers is that of the kernel's own figures.
fn tree(interpreter: &Interpreter) -> Outcome {
    const WORKERS: usize = 50;
    let workers = Workers::start(interpreter, WORKERS)?;
    let root = workers.0.id();
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("tree.json");
    let (pid, file_text) = (root.to_string(), file.to_string_lossy());
    Run::start(["memory", "-r", "100", "-d", "4", "-o", &file_text, "--pid", &pid])?.output()?.success()?;
    let report: Value = serde_json::from_str(&std::fs::read_to_string(&file)?)?;
    let expected: u64 = rspy_tests::process::descendants(root)
        .into_iter()
        .chain([root])
        .map(|pid| -> Outcome<u64> {
            let smaps = std::fs::read_to_string(format!("/proc/{pid}/smaps"))?;
            let sizes = smaps.lines().filter_map(|line| line.strip_prefix("Pss:"));
            Ok(sizes.filter_map(|size| size.trim().strip_suffix(" kB")?.parse::<u64>().ok()).sum::<u64>()
                * 1024)
        })
        .sum::<Outcome<u64>>()?;
    let last = report["moments"].as_array().and_then(|moments| moments.last()).ok_or("no moments")?;
    let found: u64 = last["bytes"].as_array().into_iter().flatten().filter_map(Value::as_u64).sum();
    let processes = report["processes"].as_array().map_or(0, Vec::len);
    let residents: u64 = report["processes"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|process| process["last"].as_u64())
        .sum();
    println!("{processes} processes: {found} of {expected} bytes of PSS, {residents} of RSS");
    if processes != WORKERS + 1 || found.abs_diff(expected) as f64 > 0.01 * expected as f64 {
        return Err(format!("{processes} processes, {found} bytes instead of {expected}").into());
    }
    Ok(())
}

/// A recording says the same later; each format has what it is to have.
fn formats(interpreter: &Interpreter) -> Outcome {
    let folder = tempfile::tempdir()?;
    let file = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    let recording = file("app.rspy");
    let (python, script) = (interpreter.path.to_string_lossy(), scripts().join("memory_known.py"));
    let script = script.to_string_lossy();
    let command = ["record", "-r", "500", "--memory", "-o", &recording, "--", &python, &script];
    Run::start(command)?.output()?.success()?;
    let of = |options: &[&str]| -> Outcome<String> {
        Ok(Run::start([&["memory", &recording], options].concat())?.output()?.success()?.stdout)
    };
    let text = of(&["--function", "big_list"])?;
    for part in [
        "Peak: ",
        "Mem usage    Increment  Occurrences   Line Contents",
        " MB            1        numbers = [None] * 12500000",
    ] {
        if !text.contains(part) {
            return Err(format!("{part:?} is not in\n{text}").into());
        }
    }
    let csv = of(&["-f", "csv"])?;
    let mut rows = csv.lines();
    let heading = rows.next().unwrap_or_default();
    if heading != "seconds,pid,rss,pss,uss,shared_dirty,swap,minor_faults,major_faults,arenas"
        || rows.clone().count() < 50
        || rows.any(|row| row.split(',').count() != 10)
    {
        return Err(csv.into());
    }
    of(&["-o", &file("curve.svg")])?;
    of(&["-f", "flamegraph", "-o", &file("growth.svg")])?;
    let curve = std::fs::read_to_string(file("curve.svg"))?;
    let growth = std::fs::read_to_string(file("growth.svg"))?;
    if !curve.starts_with("<svg") || !curve.contains("seconds") || !curve.contains(" MB at ") {
        return Err(format!("the curve is {}", &curve[..curve.len().min(500)]).into());
    }
    if !growth.contains("big_list") || !growth.contains(" kB") || !growth.contains("MB grown over") {
        return Err(format!("the flame graph is {}", &growth[..growth.len().min(500)]).into());
    }
    let report: Value = serde_json::from_str(&of(&["--json"])?)?;
    let peak = report["peak"]["bytes"].as_u64().unwrap_or(0);
    let process = &report["processes"][0];
    let most = report["moments"].as_array().into_iter().flatten();
    let most = most.filter_map(|moment| moment["bytes"][0].as_u64()).max();
    if process["peak"].as_u64() != Some(peak)
        || most != Some(peak)
        || process["shares"][1]["private"].is_null()
    {
        return Err(format!("{process}, {most:?}, {}", report["peak"]).into());
    }
    Ok(())
}

fn main() {
    let all = interpreters::all();
    let with = |label: &str| all.iter().find(|interpreter| interpreter.label == label).cloned();
    let mut tests = Vec::new();
    let mut add = |name: &str, labels: &[&str], body: fn(&Interpreter) -> Outcome| {
        for interpreter in labels.iter().filter_map(|label| with(label)) {
            let name = format!("{name}::{}", interpreter.label);
            tests.push(test(name, move || body(&interpreter)));
        }
    };
    add("memory_profiler", &["3.13"], |interpreter| in_one_of_three(|| memory_profiler(interpreter)));
    add("increments", &["3.8", "3.11-debian", "3.15"], |interpreter| {
        in_one_of_three(|| increments_are_its_own(interpreter))
    });
    add("pools", &["3.8", "3.13"], pools);
    add("copies", &["3.8", "3.13"], copies);
    add("tree", &["3.13"], tree);
    add("formats", &["3.13"], formats);
    // Each wants a processor for itself.
    run_one_by_one(tests);
}
