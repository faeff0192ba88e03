//! Known shares: asleep and busy, holding and wanting the GIL, collecting garbage, handling an exception.

use libtest_mimic::Trial;

use rspy_tests::interpreters::Interpreter;
use rspy_tests::stacks::Seen;
use rspy_tests::target::{Target, command};
use rspy_tests::{Body, Outcome, process, test};

use crate::interpreters;
use crate::measured::{Measured, has, measure};

/// What stands between who waits and who is waited for.
const WAITS: &str = "<waits for the GIL>";

/// The frame that garbage is collected in.
const GC: &str = "<gc>";

fn start(interpreter: &Interpreter, arguments: &[&str], has_gil: bool) -> Outcome<Target> {
    let mut command = command(interpreter, "periods.py", arguments);
    if interpreter.is_free_threaded() && has_gil {
        command.env("PYTHON_GIL", "1");
    }
    let target = Target::start_on(0, command)?;
    // On one processor each would wait for that as well as for the GIL.
    for holder in target.testimony.threads.iter().filter(|thread| thread.name.as_deref() == Some("holder")) {
        process::pin(holder.native_id, 1)?;
    }
    Ok(target)
}

/// Half of the time asleep: half as many samples with `--mode cpu` as with `--mode wall`.
fn asleep(interpreter: &Interpreter) -> Outcome {
    let mut target = start(interpreter, &["asleep"], false)?;
    let measured = measure(&mut target, &interpreter.label, &["--mode", "cpu"])?;
    let busy = measured.share("busy", &["asleep"]);
    measured.expect_samples("samples", measured.count(|stack| has(stack, "asleep")), busy)?;
    measured.expect_percent("CPU", measured.thread("MainThread")?.cpu_percent, busy)?;
    let measured = measure(&mut target, &interpreter.label, &["--mode", "wall"])?;
    let all = measured.count(|stack| has(stack, "asleep"));
    measured.expect_samples("all samples", all, 1.0)?;
    let in_busy = measured.count(|stack| has(stack, "busy")) as f64 / all as f64;
    measured.expect("busy", Some(in_busy), measured.share("busy", &["asleep"]), all)
}

/// The true shares of the time that `periods.py gil` gives: `holder` waits, `holder` holds.
fn true_waits(measured: &Measured) -> (f64, f64) {
    let of = |what: &str| measured.seconds.get(what).copied().unwrap_or(0.0) / measured.seconds["holder"];
    (of("holder waits"), of("computer waits"))
}

fn expect_gil_figures(measured: &Measured) -> Outcome {
    let (holder, computer) = (measured.thread("holder")?, measured.thread("computer")?);
    let (waits, holds) = true_waits(measured);
    measured.expect_percent("holder's waits", holder.gil_wait_percent, waits)?;
    measured.expect_percent("holder's GIL", holder.gil_percent, holds)?;
    measured.expect_percent("computer's waits", computer.gil_wait_percent, holds)?;
    measured.expect_percent("computer's GIL", computer.gil_percent, 1.0 - holds)
}

/// Two threads share the GIL.
fn gil(interpreter: &Interpreter) -> Outcome {
    let mut target = start(interpreter, &["gil"], true)?;
    expect_gil_figures(&measure(&mut target, &interpreter.label, &["--mode", "cpu"])?)?;
    let measured = measure(&mut target, &interpreter.label, &["--mode", "gil"])?;
    let (_, holds) = true_waits(&measured);
    let all = measured.profile.samples();
    let held = measured.count(|stack| has(stack, "holder"));
    measured.expect_samples("all holders", all, 1.0)?;
    measured.expect("holder", Some(held as f64 / all as f64), holds, all)
}

/// Those who wait, with whom they wait for: the other one of the two, always.
fn gil_wait(interpreter: &Interpreter) -> Outcome {
    let mut target = start(interpreter, &["gil"], true)?;
    let measured = measure(&mut target, &interpreter.label, &["--gil-wait"])?;
    for (stack, count) in &measured.profile.stacks {
        let at = stack.iter().position(|frame| frame.name == WAITS).ok_or("nobody waits")?;
        let (held_by, waits) = (&stack[..at], &stack[at + 1..]);
        let is_of = |stack: &[Seen], name: &str| {
            has(stack, name) && ["holder", "computer", "serve"].iter().filter(|n| has(stack, n)).count() == 1
        };
        let is_legal = is_of(waits, "holder") && is_of(held_by, "computer")
            || is_of(waits, "computer") && is_of(held_by, "holder")
            // It is asked what it has measured: once in a recording, at most.
            || *count <= 2 && (has(waits, "serve") || has(held_by, "serve"));
        if !is_legal {
            let names: Vec<&str> = stack.iter().map(|frame| frame.name.as_str()).collect();
            return Err(format!("{count} samples, innermost frame first: {names:?}").into());
        }
    }
    let (waits, holds) = true_waits(&measured);
    let of = |name: &str| {
        measured.count(|stack| stack.iter().skip_while(|f| f.name != WAITS).any(|f| f.name == name))
    };
    measured.expect_samples("holder waits", of("holder"), waits)?;
    measured.expect_samples("computer waits", of("computer"), holds)
}

/// Who has slept for long, of many that sleep, is looked at now and then only: its waits count for as much.
fn gil_among_many(interpreter: &Interpreter) -> Outcome {
    let mut target = start(interpreter, &["gil", "150"], true)?;
    expect_gil_figures(&measure(&mut target, &interpreter.label, &["--mode", "cpu"])?)
}

/// What collects, in a frame of its own and in the figures.
fn gc(interpreter: &Interpreter) -> Outcome {
    let has_gil = !interpreter.is_free_threaded();
    let mut target = start(interpreter, &["gc"], false)?;
    let measured = measure(&mut target, &interpreter.label, &["--gc"])?;
    let share = measured.share("collecting", &["busy"]);
    let marked = measured.count(|stack| has(stack, GC));
    let figure = measured.thread("MainThread")?.gc_percent;
    let elsewhere = measured.count(|stack| has(stack, GC) && !has(stack, "collect"));
    if !has_gil {
        // Without the GIL nobody says which thread it is.
        return if figure.is_none() { Ok(()) } else { Err(format!("GC % is {figure:?}").into()) };
    }
    if elsewhere > 0 {
        return Err(format!("{elsewhere} of {marked} samples with {GC} are not in a collection").into());
    }
    measured.expect_percent("GC", figure, share)?;
    measured.expect_samples("marked", marked, share)
}

fn exceptions(interpreter: &Interpreter) -> Outcome {
    let mut target = start(interpreter, &["exceptions"], false)?;
    let measured = measure(&mut target, &interpreter.label, &["--mode", "exception"])?;
    let share = measured.share("handling", &["busy"]);
    measured.expect_samples("handling", measured.count(|stack| has(stack, "exceptions")), share)?;
    let elsewhere = measured.count(|stack| has(stack, "busy"));
    // The exception of 2.7 is there until the frame that handled it is left.
    if elsewhere > 1 { Err(format!("{elsewhere} samples are behind the handler").into()) } else { Ok(()) }
}

/// Without the GIL there is nobody who holds it or waits for it.
fn no_gil(interpreter: &Interpreter) -> Outcome {
    let mut target = start(interpreter, &["gil"], false)?;
    let measured = measure(&mut target, &interpreter.label, &["--mode", "cpu"])?;
    for thread in measured.figures.processes.iter().flat_map(|process| &process.threads) {
        let figures = [thread.gil_percent, thread.gil_wait_percent, thread.gc_percent];
        if figures.iter().any(Option::is_some) {
            return Err(format!("{thread:?}").into());
        }
    }
    Ok(())
}

pub fn tests() -> Vec<Trial> {
    let with_gil: &[(&str, Body)] =
        &[("gil", gil), ("gil-wait", gil_wait), ("gil-among-many", gil_among_many)];
    let any: &[(&str, Body)] = &[("asleep", asleep), ("gc", gc), ("exceptions", exceptions)];
    let free: &[(&str, Body)] = &[("no-gil", no_gil)];
    let mut trials = Vec::new();
    for interpreter in interpreters() {
        let free = if interpreter.is_free_threaded() { free } else { &[] };
        for (name, body) in any.iter().chain(with_gil).chain(free) {
            let (body, interpreter) = (*body, interpreter.clone());
            trials.push(test(format!("{name}::{}", interpreter.label), move || body(&interpreter)));
        }
    }
    trials
}
