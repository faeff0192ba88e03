//! `rspy top` on a terminal, seen as its user does, and as text and JSON.

use std::fs;
use std::io::Read;
use std::process::{Command, Stdio};

use rustix::process::Signal;
use serde_json::Value;

use rspy_tests::interpreters::{self, Interpreter};
use rspy_tests::rspy::{Run, binary};
use rspy_tests::statistics::{SIGMAS, deviation};
use rspy_tests::target::{self, Target};
use rspy_tests::terminal::Terminal;
use rspy_tests::{Outcome, process, run, test};

const UTF_8: &[(&str, &str)] = &[("LC_ALL", "C.UTF-8")];

fn busy(interpreter: &Interpreter) -> Outcome<Target> {
    Target::start(target::command(interpreter, "states.py", &["computing-in-python"]))
}

/// The command line of `rspy top` for `target`, and then whether the terminal's settings are what they were. What is typed
/// does not say so itself.
fn watch(target: &Target) -> String {
    format!(
        "stty -g > before; {} top -p {}; stty -g > after; cmp before after && echo left-as-''it-was",
        binary().display(),
        target.pid
    )
}

/// The view that the tab stands for.
fn shown(terminal: &Terminal, key: &str, sign: &str) -> Outcome {
    terminal.press(&[key])?;
    terminal.wait_for(sign).map(drop)
}

fn views(interpreter: &Interpreter) -> Outcome {
    let target = busy(interpreter)?;
    let terminal = Terminal::start((100, 30), UTF_8)?;
    terminal.run(&watch(&target))?;
    terminal.wait_for("OwnTime")?;
    terminal.wait_for(&format!("pid {}", target.pid))?;
    terminal.wait_for("1 process ")?;
    terminal.wait_for("states.py:")?;
    shown(&terminal, "7", "% of the samples")?;
    shown(&terminal, "8", "GIL %")?;
    shown(&terminal, "9", "Memory")?;
    shown(&terminal, "0", "the innermost first")?;
    shown(&terminal, "?", "What it does")?;
    shown(&terminal, "5", "OwnTime")?;
    shown(&terminal, "Enter", "Called by")?;
    shown(&terminal, "Escape", "OwnTime")?;
    shown(&terminal, "p", "held")?;
    shown(&terminal, "w", "Wrote ")?;
    for size in [(20, 6), (12, 3), (100, 30)] {
        terminal.resize(size)?;
    }
    terminal.wait_for("OwnTime")?;
    terminal.press(&["q"])?;
    terminal.wait_for("left-as-it-was")?;
    Ok(())
}

fn suspended(interpreter: &Interpreter) -> Outcome {
    let target = busy(interpreter)?;
    let terminal = Terminal::start((80, 24), UTF_8)?;
    terminal.run(&format!("{} top -p {}", binary().display(), target.pid))?;
    terminal.wait_for("OwnTime")?;
    terminal.press(&["C-z"])?;
    terminal.wait_for("Stopped")?;
    terminal.run("fg")?;
    terminal.wait_for("OwnTime")?;
    terminal.press(&["C-c"])?;
    terminal.wait_for("samples, ")?;
    Ok(())
}

/// Whatever ends it gives the terminal back.
fn ended(interpreter: &Interpreter, signal: Signal) -> Outcome {
    let target = busy(interpreter)?;
    let terminal = Terminal::start((80, 24), UTF_8)?;
    let line = watch(&target).replace("top -p", "top --delay 0.1 -p");
    terminal.run(&line)?;
    terminal.wait_for("OwnTime")?;
    process::send(watcher(&target)?, signal)?;
    terminal.wait_for("left-as-it-was")?;
    Ok(())
}

/// The id of the `rspy top` that watches `target`.
fn watcher(target: &Target) -> Outcome<u32> {
    let is_top = |pid: &u32| {
        let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        words.starts_with(binary().display().to_string().as_bytes())
            && String::from_utf8_lossy(&words).contains(&format!("-p\0{}", target.pid))
    };
    let mut all = fs::read_dir("/proc")?.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    all.find(is_top).ok_or_else(|| "rspy does not run".into())
}

/// When the terminal is gone rspy ends, told so or not.
fn hung_up(interpreter: &Interpreter, before: &str) -> Outcome {
    let target = busy(interpreter)?;
    let terminal = Terminal::start((80, 24), UTF_8)?;
    terminal.run(&format!("{before} {} top -p {}", binary().display(), target.pid))?;
    terminal.wait_for("OwnTime")?;
    let pid = watcher(&target)?;
    drop(terminal);
    process::wait_until("rspy has ended", || !fs::exists(format!("/proc/{pid}")).unwrap_or(true))
}

/// The end of the program is shown until a key is pressed, and its exit code is rspy's.
fn program(interpreter: &Interpreter) -> Outcome {
    let terminal = Terminal::start((100, 24), &[("NO_COLOR", "1"), ("LC_ALL", "C")])?;
    let python = interpreter.path.display();
    let line = format!(
        "{} top -- {python} -c 'import time; time.sleep(1); raise SystemExit(7)'",
        binary().display()
    );
    terminal.run(&line)?;
    let screen = terminal.wait_for("has ended with exit code 7")?;
    if !screen.is_ascii() {
        return Err(format!("this is not ASCII:\n{screen}").into());
    }
    terminal.press(&["q"])?;
    terminal.wait_for("samples, ")?;
    terminal.run("echo code $?")?;
    terminal.wait_for("code 7")?;
    Ok(())
}

fn picker(interpreter: &Interpreter) -> Outcome {
    let target = busy(interpreter)?;
    let terminal = Terminal::start((200, 24), UTF_8)?;
    terminal.run(&format!("{} top", binary().display()))?;
    terminal.wait_for("Which process?")?;
    terminal.press(&[&target.pid.to_string()])?;
    terminal.wait_for("states.py")?;
    terminal.press(&["Enter"])?;
    terminal.wait_for("OwnTime")?;
    terminal.press(&["q"])?;
    terminal.wait_for("samples, ")?;
    Ok(())
}

/// What `rspy top` says as JSON of `pid`, once.
fn seen(pid: u32, options: &[&str]) -> Outcome<Value> {
    let pid = pid.to_string();
    let asked = ["top", "--json", "--once", "-p", &pid];
    let output = Run::start(asked.iter().chain(options))?.output()?.success()?;
    Ok(serde_json::from_str(&output.stdout)?)
}

/// A figure of all functions of that name, added up.
fn of(seen: &Value, name: &str, figure: &str) -> f64 {
    let functions = seen["functions"].as_array().into_iter().flatten();
    functions
        .filter(|function| function["name"] == name)
        .filter_map(|function| function[figure].as_f64())
        .sum()
}

/// What is known by construction: `shares.py` spends a half and a fifth of its time in `spin`, the rest in the loop of
/// `cycle`; what it takes to keep its books is less than `BOOKS`.
fn shares(interpreter: &Interpreter) -> Outcome {
    const BOOKS: f64 = 0.01;
    let folder = tempfile::tempdir()?;
    let mut child = Command::new(&interpreter.path)
        .arg(target::scripts().join("shares.py"))
        .arg(folder.path().join("shares"))
        .arg("60")
        .spawn()?;
    let seen = seen(child.id(), &["--window", "8", "-r", "500"]);
    child.kill()?;
    child.wait()?;
    let seen = seen?;
    let (spin, cycle) = (of(&seen, "spin", "own_samples"), of(&seen, "cycle", "own_samples"));
    let functions = seen["functions"].as_array().into_iter().flatten();
    let all: f64 = functions.filter_map(|function| function["own_samples"].as_f64()).sum();
    if all < 2_000.0 {
        return Err(format!("{all} samples: {seen}").into());
    }
    for (name, samples, share) in [("spin", spin, 0.7), ("cycle", cycle, 0.3)] {
        let off = (samples / all - share).abs();
        if off > SIGMAS * deviation(share, all as u64) + BOOKS {
            return Err(format!("{name} has {} of {all} samples: {seen}", samples / all).into());
        }
    }
    Ok(())
}

/// Threads that sleep are not looked at in each pass where they are many, nor is each pass told of; and yet their
/// shares are shares of the time.
fn asleep(interpreter: &Interpreter) -> Outcome {
    for threads in [3, 150] {
        let program = format!(
            "import threading, time\n\
             def wait(): threading.Event().wait(60)\n\
             for _ in range({threads}): threading.Thread(target=wait, daemon=True).start()\n\
             print('ready', flush=True)\n\
             end = time.time() + 60\n\
             while time.time() < end: pass"
        );
        let mut child =
            Command::new(&interpreter.path).args(["-c", &program]).stdout(Stdio::piped()).spawn()?;
        let mut stdout = child.stdout.take().ok_or("there is no pipe")?;
        let started = stdout.read_exact(&mut [0; "ready\n".len()]);
        let seen = seen(child.id(), &["--window", "4", "--idle"]);
        child.kill()?;
        child.wait()?;
        started?;
        let seen = seen?;
        let idle = of(&seen, "wait", "total_percent") / f64::from(threads);
        let shown = seen["threads"].as_array().map_or(0, |threads| {
            let asleep = threads
                .iter()
                .filter(|thread| thread["state"] == "idle" && thread["function"] != Value::Null);
            asleep.count()
        });
        // Each is looked at one time in ten at least, in 400 passes: of many the mean is known well.
        if !(95.0..105.0).contains(&idle) || shown < threads as usize {
            return Err(
                format!("{threads} threads sleep {idle} % of the time, {shown} are shown: {seen}").into()
            );
        }
    }
    Ok(())
}

/// Text where stdout is no terminal, until it is interrupted.
fn text(interpreter: &Interpreter) -> Outcome {
    let target = busy(interpreter)?;
    let once = Run::start(["top", "--once", "--window", "1", "-p", &target.pid.to_string()].iter())?;
    let once = once.output()?.success()?.stdout;
    if !once.contains("%Own") || !once.contains("states.py:") || once.contains('\x1b') {
        return Err(format!("--once has written\n{once}").into());
    }
    Ok(())
}

fn main() {
    let mut tests = Vec::new();
    let newest = interpreters::all().into_iter().filter(|interpreter| interpreter.label == "3.13");
    for interpreter in newest {
        let mut add = |name: &str, body: fn(&Interpreter) -> Outcome| {
            let interpreter = interpreter.clone();
            tests.push(test(format!("top-{name}::{}", interpreter.label), move || body(&interpreter)));
        };
        add("views", views);
        add("suspended", suspended);
        add("terminated", |interpreter| ended(interpreter, Signal::TERM));
        add("interrupted", |interpreter| ended(interpreter, Signal::INT));
        add("hung-up", |interpreter| hung_up(interpreter, ""));
        add("hung-up-unheard", |interpreter| hung_up(interpreter, "trap '' HUP;"));
        add("program", program);
        add("picker", picker);
        add("shares", shares);
        add("asleep", asleep);
        add("text", text);
    }
    run(tests);
}
