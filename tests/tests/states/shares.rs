//! Known shares: asleep and busy, collecting garbage, handling an exception.

use libtest_mimic::Trial;

use rspy_tests::interpreters::Interpreter;
use rspy_tests::target::{Target, command};
use rspy_tests::{Body, Outcome, test};

use crate::interpreters;
use crate::measured::{has, measure};

/// The frame that garbage is collected in.
const GC: &str = "<gc>";

fn start(interpreter: &Interpreter, activity: &str) -> Outcome<Target> {
    Target::start_on(0, command(interpreter, "periods.py", &[activity]))
}

/// Half of the time asleep: half as many samples with `--mode cpu` as with `--mode wall`.
fn asleep(interpreter: &Interpreter) -> Outcome {
    let mut target = start(interpreter, "asleep")?;
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

/// What collects, in a frame of its own and in the figures.
fn gc(interpreter: &Interpreter) -> Outcome {
    let mut target = start(interpreter, "gc")?;
    let measured = measure(&mut target, &interpreter.label, &["--gc"])?;
    let share = measured.share("collecting", &["busy"]);
    let marked = measured.count(|stack| has(stack, GC));
    let figure = measured.thread("MainThread")?.gc_percent;
    let elsewhere = measured.count(|stack| has(stack, GC) && !has(stack, "collect"));
    if elsewhere > 0 {
        return Err(format!("{elsewhere} of {marked} samples with {GC} are not in a collection").into());
    }
    measured.expect_percent("GC", figure, share)?;
    measured.expect_samples("marked", marked, share)
}

fn exceptions(interpreter: &Interpreter) -> Outcome {
    let mut target = start(interpreter, "exceptions")?;
    let measured = measure(&mut target, &interpreter.label, &["--mode", "exception"])?;
    let share = measured.share("handling", &["busy"]);
    measured.expect_samples("handling", measured.count(|stack| has(stack, "exceptions")), share)?;
    let elsewhere = measured.count(|stack| has(stack, "busy"));
    // The exception of 2.7 is there until the frame that handled it is left.
    if elsewhere > 1 { Err(format!("{elsewhere} samples are behind the handler").into()) } else { Ok(()) }
}

pub fn tests() -> Vec<Trial> {
    let bodies: [(&str, Body); 3] = [("asleep", asleep), ("gc", gc), ("exceptions", exceptions)];
    let mut trials = Vec::new();
    for interpreter in interpreters() {
        for (name, body) in bodies {
            let interpreter = interpreter.clone();
            trials.push(test(format!("{name}::{}", interpreter.label), move || body(&interpreter)));
        }
    }
    trials
}
