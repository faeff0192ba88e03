//! `rspy time`: the figures of `/usr/bin/time`, where real time went, and how runs differ.

use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use rspy_tests::interpreters::{self, Interpreter};
use rspy_tests::rspy::{Output, Run};
use rspy_tests::target::{clean_command, scripts};
use rspy_tests::{Outcome, in_one_of_three, process, run_one_by_one, test};
use rustix::process::{Signal, kill_process_group};
use serde_json::Value;

/// What `rspy time --json` says, and how it ended.
fn json(options: &[&str], program: &[&str]) -> Outcome<(Value, Output)> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("time.json");
    let file_text = file.to_string_lossy();
    let output =
        Run::start([&["time", "--json", "-o", &file_text], options, &["--"], program].concat())?.output()?;
    let text = std::fs::read_to_string(&file).map_err(|error| format!("{error}: {}", output.stderr))?;
    Ok((serde_json::from_str(&text)?, output))
}

/// What `/usr/bin/time -v` says: real, user and system time in seconds, and the most memory in bytes.
fn by_time(program: &[&str]) -> Outcome<[f64; 4]> {
    let output = clean_command(Path::new("/usr/bin/time"))
        .args(["-f", "%e %U %S %M"])
        .args(program)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("/usr/bin/time, of Debian's package time: {error}"))?;
    let text = String::from_utf8_lossy(&output.stderr);
    let figures: Vec<f64> =
        text.lines().last().unwrap_or_default().split(' ').filter_map(|word| word.parse().ok()).collect();
    match figures.as_slice() {
        [real, user, system, kibibytes] => Ok([*real, *user, *system, kibibytes * 1024.0]),
        _ => Err(format!("it says {text}").into()),
    }
}

/// Real, user and system time, and memory, are those of `/usr/bin/time`, within what two runs differ by.
fn as_time(interpreter: &Interpreter) -> Outcome {
    let python = interpreter.path.to_string_lossy();
    let script = scripts().join("time_known.py");
    let program = [&*python, &*script.to_string_lossy()];
    let mut wrong = Vec::new();
    let mut best: Option<Vec<f64>> = None;
    // In turns; what differs least is least of what else the machine did.
    for _ in 0..4 {
        let expected = by_time(&program)?;
        let (report, _) = json(&["--no-sampling"], &program)?;
        let found = ["real", "user", "system", "max_rss"].map(|key| report[key].as_f64().unwrap_or(-1.0));
        println!("{}: {found:?}, by time {expected:?}", interpreter.label);
        let off = |index: usize, least: f64| {
            (found[index] - expected[index]).abs() / (0.01 * expected[index]).max(least)
        };
        // It tells hundredths of a second, and kilobytes; memory differs by some pages from run to run.
        let offs = vec![off(0, 0.02), off(1, 0.02), off(2, 0.02), off(3, 200e3)];
        best = Some(match best {
            None => offs,
            Some(best) => best.iter().zip(&offs).map(|(one, other)| one.min(*other)).collect(),
        });
    }
    for (name, off) in ["real", "user", "system", "memory"].iter().zip(best.unwrap_or_default()) {
        if off > 1.0 {
            wrong.push(format!("{name} is {off:.2} times as far off as it may be"));
        }
    }
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n").into()) }
}

/// Of functions that compute, read and sleep for a known time each: what their time was.
fn functions(interpreter: &Interpreter) -> Outcome {
    let python = interpreter.path.to_string_lossy();
    let script = scripts().join("time_known.py");
    let (report, output) =
        json(&["-r", "500", "--function", "wait"], &[&*python, &*script.to_string_lossy()])?;
    let sampled = &report["sampled"];
    let functions =
        sampled["functions"].as_array().ok_or_else(|| format!("not sampled: {}", output.stderr))?;
    let mut wrong = Vec::new();
    for (name, kind) in [("compute", "user"), ("read", "kernel"), ("wait", "waiting")] {
        let function = functions
            .iter()
            .find(|function| function["name"].as_str().is_some_and(|text| text.starts_with(name)))
            .ok_or_else(|| format!("no {name} in {functions:?}"))?;
        let of = |key: &str| function["total"][key].as_f64().unwrap_or(-1.0);
        println!("{} {name}: {}", interpreter.label, function["total"]);
        // Ticks are missed where processors are scarce, and nothing is stopped; what is known is right all the same.
        let known = of("all") - of("unknown");
        if of("all") < 0.2 || known < 0.05 || of(kind) < 0.9 * known {
            wrong.push(format!("{name}: {function}"));
        }
    }
    let span = &sampled["spans"][0];
    let (count, mean) = (span["count"].as_u64(), span["mean"].as_f64().unwrap_or(0.0));
    if count != Some(3) || (mean - 0.1).abs() > 0.02 {
        wrong.push(format!("three spans of 0.1 s are {span}"));
    }
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n").into()) }
}

/// The command's own end, its own output, and what is no Python.
fn ends(_: &Interpreter) -> Outcome {
    let run = |words: &[&str]| -> Outcome<Output> { Run::start([&["time", "--"], words].concat())?.output() };
    let failed = run(&["sh", "-c", "echo out; exit 3"])?;
    if failed.status.code() != Some(3) || failed.stdout != "out\n" || !failed.stderr.contains("(exit code 3)")
    {
        return Err(format!("{failed:?}").into());
    }
    if !failed.stderr.contains("No Python in it was sampled") {
        return Err(failed.stderr.into());
    }
    let killed = run(&["sh", "-c", "kill -9 $$"])?;
    if killed.status.code() != Some(137) || !killed.stderr.contains("ended by signal 9") {
        return Err(format!("{killed:?}").into());
    }
    let (report, _) = json(&["--no-sampling"], &["sleep", "0.2"])?;
    let real = report["real"].as_f64().unwrap_or(0.0);
    if !(0.2..0.4).contains(&real) || !report["sampled"].is_null() {
        return Err(report.to_string().into());
    }
    Ok(())
}

/// Two commands are told apart if they differ, and not if they do not.
fn compared(_: &Interpreter) -> Outcome {
    let (report, output) = json(&["--repeat", "8", "--vs", "sleep 0.1"], &["sleep", "0.15"])?;
    let ratio = &report["ratio"];
    let low = ratio["interval"][0].as_f64().unwrap_or(0.0);
    let high = ratio["interval"][1].as_f64().unwrap_or(0.0);
    if ratio["is_certain"] != true
        || low > 1.5
        || high < 1.4
        || report["commands"][1]["runs"].as_array().map_or(0, Vec::len) != 8
    {
        return Err(format!("{report}\n{}", output.stderr).into());
    }
    let single = Run::start(["time", "--repeat", "3", "--warmup", "1", "--", "true"])?.output()?.success()?;
    if !single.stderr.contains("true  (3 runs)") || !single.stderr.contains("minimum     median") {
        return Err(single.stderr.into());
    }
    let failing = Run::start(["time", "--repeat", "2", "--", "false"])?.output()?;
    if failing.status.code() != Some(1) || !failing.stderr.contains("2 runs failed") {
        return Err(format!("{failing:?}").into());
    }
    Ok(())
}

/// Control-C ends all runs, also those of a command that ends by itself then; so does what asks rspy to end. A crash is a run
/// that has failed.
fn interrupted(_: &Interpreter) -> Outcome {
    let script = "sleep 1000 & trap \"kill $!; exit 5\" INT TERM; echo started; wait";
    for (signal, to_all, code) in [(Signal::INT, true, 5), (Signal::INT, false, 5), (Signal::TERM, false, 5)]
    {
        let mut command = Command::new(rspy_tests::rspy::binary());
        command.args(["time", "--repeat", "1000", "--", "sh", "-c", script]).process_group(0);
        let mut rspy = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        let mut line = String::new();
        BufReader::new(rspy.stdout.take().ok_or("no stdout")?).read_line(&mut line)?;
        match to_all {
            true => kill_process_group(process::pid(rspy.id()), signal)?,
            false => process::send(rspy.id(), signal)?,
        }
        let output = rspy.wait_with_output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        if output.status.code() != Some(code) || !said.contains("no run was whole") {
            return Err(format!("{signal:?} to all: {to_all}: {}: {said}", output.status).into());
        }
    }
    let crashes = Run::start(["time", "--repeat", "3", "--", "sh", "-c", "kill -SEGV $$"])?.output()?;
    if crashes.status.code() != Some(139) || !crashes.stderr.contains("(3 runs, 3 failed)") {
        return Err(format!("{crashes:?}").into());
    }
    for options in [&["--warmup", "2"][..], &["--repeat", "2", "--function", "work"]] {
        let refused = Run::start([&["time"], options, &["--", "true"]].concat())?.output()?;
        if refused.status.code() != Some(2) {
            return Err(format!("{options:?}: {refused:?}").into());
        }
    }
    Ok(())
}

/// A tree's memory is that of its processes at once.
fn trees(interpreter: &Interpreter) -> Outcome {
    let python = interpreter.path.to_string_lossy();
    let program = "import os, time\nfor _ in range(3):\n    if os.fork() == 0:\n        x = b'x' * 30000000\n        \
                   time.sleep(0.5)\n        os._exit(0)\nfor _ in range(3):\n    os.wait()\n";
    let (report, _) = json(&["--no-sampling"], &[&*python, "-c", program])?;
    let (one, all) =
        (report["max_rss"].as_f64().unwrap_or(0.0), report["max_tree_rss"].as_f64().unwrap_or(0.0));
    println!("{}: {one} of one, {all} of {}", interpreter.label, report["processes"]);
    if report["processes"] != 4 || !(30e6..60e6).contains(&one) || all < 90e6 + one - 30e6 {
        return Err(report.to_string().into());
    }
    Ok(())
}

/// `/usr/bin/time` is there.
fn has_time() -> bool {
    Command::new("/usr/bin/time")
        .args(["-f", "%e", "true"])
        .output()
        .is_ok_and(|output| output.status.success())
}

fn main() {
    let all = interpreters::all();
    let mut tests = Vec::new();
    let mut add = |name: &str, labels: &[&str], body: fn(&Interpreter) -> Outcome| {
        for interpreter in all.iter().filter(|interpreter| labels.contains(&interpreter.label.as_str())) {
            let interpreter = interpreter.clone();
            tests.push(test(format!("{name}::{}", interpreter.label), move || body(&interpreter)));
        }
    };
    if has_time() || interpreters::in_ci() {
        add("as_time", &["3.8", "3.13"], as_time);
    } else {
        eprintln!("skipped: as_time: /usr/bin/time is not here; Debian's package time has it");
    }
    add("functions", &["3.8", "3.11-debian", "3.13", "3.15"], |interpreter| {
        in_one_of_three(|| functions(interpreter))
    });
    add("ends", &["3.13"], ends);
    add("compared", &["3.13"], compared);
    add("interrupted", &["3.13"], interrupted);
    add("trees", &["3.8", "3.13"], trees);
    // Each wants a processor for itself.
    run_one_by_one(tests);
}
