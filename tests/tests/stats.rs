//! `rspy stats`: the table of cProfile, compared with what cProfile measures of the same program; its order, callers and
//! callees.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use serde::Deserialize;
use tempfile::TempDir;

use rspy_tests::analysis::{Function, Stats, json, json_and_output};
use rspy_tests::environment::succeed;
use rspy_tests::interpreters::Interpreter;
use rspy_tests::program::{Program, command};
use rspy_tests::recording::unwrapped;
use rspy_tests::rspy::Run;
use rspy_tests::statistics::deviation;
use rspy_tests::target::{clean_command, scripts};
use rspy_tests::{Body, Outcome, on_each, run_one_by_one};

/// How many points a share may be off.
const POINTS: f64 = 2.0;

/// How long it is sampled, as rounds of the program are counted: some seconds.
const SECONDS: f64 = 6.0;

/// Prints what a file of cProfile has, as JSON: of each function of the program its cumulative time, its own and its
/// callers.
const READ: &str = "
import json, pstats, sys
stats = pstats.Stats(sys.argv[1]).stats
print(json.dumps([
    {'name': name, 'own': own, 'total': total, 'callers': [caller[2] for caller in callers]}
    for (file, line, name), (_, _, own, total, callers) in stats.items() if file.endswith('call_tree.py')
]))
";

/// What cProfile says of a function.
#[derive(Debug, Deserialize)]
struct Measured {
    name: String,
    own: f64,
    total: f64,
    callers: Vec<String>,
}

/// The program, and how often it runs for that long.
fn program(interpreter: &Interpreter) -> Outcome<[String; 3]> {
    let script = scripts().join("call_tree.py").display().to_string();
    let started = std::time::Instant::now();
    succeed(clean_command(&interpreter.path).args([&script, "20"]))?;
    let rounds = 20.0 * SECONDS / started.elapsed().as_secs_f64();
    Ok([interpreter.path.display().to_string(), script, format!("{:.0}", rounds.max(20.0))])
}

/// The functions of the program but for the module, which takes what `main` takes.
fn of_program(stats: &Stats) -> Vec<&Function> {
    let is_one =
        |function: &&Function| function.file.ends_with("call_tree.py") && function.name != "<module>";
    stats.functions.iter().filter(is_one).collect()
}

/// One run of the program, which rspy samples while cProfile measures it: shares of two runs differ with the machine.
fn looked_at_by_both(interpreter: &Interpreter) -> Outcome<(Stats, Vec<Measured>)> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("profile").display().to_string();
    let [python, script, rounds] = program(interpreter)?;
    let words = ["-r", "2000", "--limit", "0", "--sort", "cumulative", "--", &python];
    let profiled = ["-m", "cProfile", "-o", &file, &script, &rounds];
    let stats: Stats = json("stats", &[&words[..], &profiled].concat())?;
    let output = clean_command(&interpreter.path).args(["-c", READ, &file]).output()?;
    let mut functions: Vec<Measured> = serde_json::from_slice(&output.stdout)?;
    functions.retain(|function| function.name != "<module>");
    functions.sort_by(|one, next| next.total.total_cmp(&one.total));
    Ok((stats, functions))
}

/// The same ten functions take the most time, in the same order, with the same shares; and everybody has the same
/// callers.
fn as_c_profile(interpreter: &Interpreter) -> Outcome {
    let (stats, measured) = looked_at_by_both(interpreter)?;
    let seen = of_program(&stats);
    let top = |names: &[&str]| names.iter().take(10).map(|name| (*name).to_owned()).collect::<Vec<String>>();
    let (ours, theirs) = (
        top(&seen.iter().map(|function| function.name.as_str()).collect::<Vec<&str>>()),
        top(&measured.iter().map(|function| function.name.as_str()).collect::<Vec<&str>>()),
    );
    println!("{}: rspy {ours:?}, cProfile {theirs:?}", interpreter.label);
    if ours != theirs || ours.len() != 10 {
        return Err(format!("the top ten is {ours:?}, by cProfile {theirs:?}").into());
    }
    let (all, all_measured) = (seen[0].total, measured[0].total);
    for expected in &measured {
        let Some(function) = seen.iter().find(|function| function.name == expected.name) else {
            return Err(format!("{} was not seen", expected.name).into());
        };
        let shares = |share: f64, expected: f64| (share / all * 100.0, expected / all_measured * 100.0);
        for (what, (share, expected_share)) in [
            ("in all", shares(function.total, expected.total)),
            ("itself", shares(function.own, expected.own)),
        ] {
            let off = share - expected_share;
            let chance = deviation(expected_share / 100.0, stats.samples) * 100.0;
            println!(
                "{} {} {what}: {share:.2} %, by cProfile {expected_share:.2} %: {off:+.2} points; by chance ± {chance:.2}",
                interpreter.label, function.name
            );
            if off.abs() > POINTS {
                return Err(format!("{} is {off:.2} points off", function.name).into());
            }
        }
        let names =
            |calls: &[Function]| calls.iter().map(|call| call.name.clone()).collect::<BTreeSet<String>>();
        let callers: BTreeSet<String> = expected.callers.iter().cloned().collect();
        if names(&function.callers) != callers {
            return Err(format!("called by {callers:?}: {function:?}").into());
        }
        // Both directions say the same.
        for caller in &function.callers {
            let calls =
                stats.functions.iter().find(|other| other.name == caller.name && other.file == caller.file);
            let call = calls.and_then(|other| other.callees.iter().find(|call| call.name == function.name));
            if call.map(|call| (call.total, call.calls)) != Some((caller.total, caller.calls)) {
                return Err(format!("{} calls it {call:?}: {function:?}", caller.name).into());
            }
        }
    }
    Ok(())
}

/// A process that runs, and a recording of it.
fn of_a_process_and_a_recording(interpreter: &Interpreter) -> Outcome {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("app.rspy").display().to_string();
    let mut command = command(&interpreter.path);
    command.arg(scripts().join("call_tree.py")).arg("1000000");
    let running = Program::start(command)?;
    let pid = running.pid().to_string();
    let live: Stats = json("stats", &["-r", "1000", "-d", "2", "--limit", "0", "--pid", &pid])?;
    Run::start(["record", "-r", "1000", "-d", "2", "-o", &file, "--pid", &pid])?.output()?.success()?;
    let recorded: Stats = json("stats", &["--limit", "0", &file])?;
    for stats in [live, recorded] {
        let seen = of_program(&stats);
        let mut top: Vec<&str> = seen.iter().take(4).map(|function| function.name.as_str()).collect();
        // The third has three hundredths more than the fourth, which is little for two seconds.
        if let Some(close) = top.get_mut(2..) {
            close.sort_unstable();
        }
        if top != ["main", "compute", "load", "solve"] || stats.unit != "s" {
            return Err(format!("{top:?} of {seen:?}").into());
        }
    }
    Ok(())
}

/// A recording of the program.
fn recorded(interpreter: &Interpreter) -> Outcome<(TempDir, String)> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("app.rspy").display().to_string();
    let python = interpreter.path.display().to_string();
    let script = scripts().join("call_tree.py").display().to_string();
    Run::start(["record", "-r", "1000", "-o", &file, "--", &python, &script, "20"])?.output()?.success()?;
    Ok((folder, file))
}

/// The keys that cProfile users know, and their other names, sort as pstats does.
fn sorted(interpreter: &Interpreter) -> Outcome {
    let (_folder, file) = recorded(interpreter)?;
    let order = |key: &str| -> Outcome<Vec<Function>> {
        let stats: Stats = json("stats", &["--limit", "0", "--full-filenames", "--sort", key, &file])?;
        Ok(stats.functions)
    };
    type Sorted = fn(&Function, &Function) -> bool;
    let keys: &[(&[&str], Sorted)] = &[
        (&["cumulative", "cumtime"], |one, next| one.total >= next.total),
        (&["tottime", "time"], |one, next| one.own >= next.own),
        (&["calls", "ncalls"], |one, next| one.calls >= next.calls),
        (&["pcalls"], |one, next| one.primitive_calls >= next.primitive_calls),
        (&["name"], |one, next| one.name <= next.name),
        (&["filename", "file", "module"], |one, next| one.file <= next.file),
        (&["line"], |one, next| one.line <= next.line),
        (&["nfl"], |one, next| (&one.name, &one.file, one.line) <= (&next.name, &next.file, next.line)),
        (&["stdname"], |one, next| (&one.file, one.line, &one.name) <= (&next.file, next.line, &next.name)),
    ];
    for (names, is_sorted) in keys {
        for name in *names {
            let functions = order(name)?;
            if functions.len() < 20 || !functions.is_sorted_by(is_sorted) {
                let order: Vec<&str> = functions.iter().map(|function| function.name.as_str()).collect();
                return Err(format!("--sort {name}: {order:?}").into());
            }
        }
    }
    Ok(())
}

/// What is shown as text.
fn shown(interpreter: &Interpreter) -> Outcome {
    let (_folder, file) = recorded(interpreter)?;
    let text = |options: &[&str]| -> Outcome<String> {
        Ok(Run::start([&["stats", &file], options].concat())?.output()?.success()?.stdout)
    };
    for (options, expected) in [
        (
            &[][..],
            &[
                "Ordered by: cumulative time",
                "   ncalls  tottime       %  cumtime       %  filename:lineno(function)",
            ][..],
        ),
        (&["--sort", "tottime", "--limit", "2"], &["Ordered by: internal time", "   2 of ", "(pivot)"]),
        (&["--function", "pivot", "--callers"], &["what it was called by", "    <- ", "(factor)"]),
        (&["--function", "factor", "--callees"], &["what it called", "    -> ", "(pivot)"]),
        (&["--function", "pivot", "--callees"], &["    -> nothing that was seen"]),
        (&["--full-filenames", "--function", "pivot"], &["tests/targets/call_tree.py:"]),
    ] {
        let text = text(options)?;
        if let Some(missing) = expected.iter().find(|part| !text.contains(*part)) {
            return Err(format!("{options:?}: no {missing:?} in\n{text}").into());
        }
    }
    // What the table shows is what the JSON has.
    let stats: Stats = json("stats", &[&file, "--function", "call_tree"])?;
    let rows = text(&["--function", "call_tree"])?;
    let rows: BTreeMap<String, Vec<String>> = rows
        .lines()
        .filter_map(|line| {
            let (figures, name) = line.rsplit_once("  ")?;
            Some((name.to_owned(), figures.split_whitespace().map(str::to_owned).collect()))
        })
        .collect();
    for function in &stats.functions {
        let name = format!("{}:{}({})", function.short_file, function.line, function.name);
        let row = rows.get(&name).ok_or_else(|| format!("no {name} in {rows:?}"))?;
        let figures = &row[row.len().saturating_sub(4)..];
        if figures.first() != Some(&format!("{:.3}", function.own))
            || figures.get(2) != Some(&format!("{:.3}", function.total))
        {
            return Err(format!("{row:?} of {function:?}").into());
        }
    }
    let (nothing, output): (Stats, _) = json_and_output("stats", &[&file, "--function", "no such"])?;
    if !nothing.functions.is_empty()
        || !unwrapped(&output.stderr).contains("No function that was seen is matched by --function.")
    {
        return Err(format!("{nothing:?}: {}", output.stderr).into());
    }
    // A file of pstats says the same.
    let pstats = format!("{file}.pstats");
    Run::start(["report", &file, "--mode", "wall", "-f", "pstats", "-o", &pstats])?.output()?.success()?;
    let output = clean_command(&interpreter.path).args(["-c", READ, &pstats]).output()?;
    let written: Vec<Measured> = serde_json::from_slice(&output.stdout)?;
    for function in &stats.functions {
        let same = written.iter().find(|other| other.name == function.name);
        let is_same = same.is_some_and(|other| {
            (other.total - function.total).abs() < 1e-6 && (other.own - function.own).abs() < 1e-6
        });
        if !is_same {
            return Err(format!("{same:?} in a file of pstats: {function:?}").into());
        }
    }
    let _ = fs::remove_file(pstats);
    Ok(())
}

fn main() {
    let on_all: &[(&str, Body)] =
        &[("as-cprofile", as_c_profile), ("of-a-process-and-a-recording", of_a_process_and_a_recording)];
    let on_one: &[(&str, Body)] = &[("sorted", sorted), ("shown", shown)];
    let mut tests = on_each(&["2.7", "3.8", "3.11", "3.13", "3.15"], on_all);
    tests.extend(on_each(&["3.13"], on_one));
    // Each wants a processor for itself.
    run_one_by_one(tests);
}
