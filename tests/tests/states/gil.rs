//! Waits for the GIL of a known share: a thread keeps it while it sleeps, and another one wants it meanwhile.

use libtest_mimic::Trial;

use rspy_tests::interpreters::Interpreter;
use rspy_tests::program::Place;
use rspy_tests::stacks::Seen;
use rspy_tests::target::{Target, command, scripts};
use rspy_tests::{Body, Outcome, test};

use crate::interpreters;
use crate::measured::{Measured, has, measure};

/// So much may a share be off, chance included. There is one look in each millisecond, at any time of it: so many
/// looks come much closer than as many that are independent.
const POINTS: f64 = 0.02;

/// So many of the stacks of who waits must show what the holder is in; the others are of the moments in which it
/// takes the GIL and lets it go.
const SHOWN: f64 = 0.97;

/// What stands between the stack of who waits and that of who holds the GIL.
const WAITS: &str = "<waits for the GIL>";

fn start(interpreter: &Interpreter) -> Outcome<Target> {
    Target::start_on(0, command(interpreter, "periods.py", &["gil"]))
}

/// The true share of the waits, and of what the waiter computes.
fn shares(measured: &Measured) -> [f64; 2] {
    [measured.share("waits", &["sleeps", "computes"]), measured.share("computes", &["sleeps", "waits"])]
}

/// Whether `seen` is the `true_share`; both from 0 to 1.
fn expect(measured: &Measured, name: &str, seen: Option<f64>, true_share: f64) -> Outcome {
    let said = format!("{}: {name} {seen:.4?}, {true_share:.4} of the time", measured.what);
    println!("{said}");
    // What went on at ticks that were missed is not known.
    let missed = measured.summary.missed as f64;
    let points = POINTS + missed / (missed + measured.looks() as f64);
    let is_right = seen.is_some_and(|seen| (seen - true_share).abs() <= points);
    if is_right { Ok(()) } else { Err(format!("{said}: {:?}", measured.summary).into()) }
}

/// Who waits and who holds, by the figures, which there are in every mode.
fn figures(interpreter: &Interpreter) -> Outcome {
    let mut target = start(interpreter)?;
    let measured = measure(&mut target, &interpreter.label, &["--mode", "wall"])?;
    let (waiter, holder) = (measured.thread("waiter")?, measured.thread("holder")?);
    if interpreter.is_free_threaded() {
        let all = [waiter, holder].map(|thread| (thread.gil_percent, thread.gil_wait_percent));
        // Who needs no GIL does not wait for it.
        let is_right = all.iter().all(|(holds, waits)| holds.is_none() && waits.unwrap_or(0.0) == 0.0);
        return if is_right { Ok(()) } else { Err(format!("without a GIL: {all:?}").into()) };
    }
    let [waits, computes] = shares(&measured);
    let share = |figure: Option<f64>| figure.map(|percent| percent / 100.0);
    expect(&measured, "waiter waits", share(waiter.gil_wait_percent), waits)?;
    expect(&measured, "waiter holds", share(waiter.gil_percent), computes)?;
    expect(&measured, "holder holds", share(holder.gil_percent), waits)?;
    expect(&measured, "holder waits", share(holder.gil_wait_percent), 0.0)
}

/// `--gil-wait`: the samples are of the waits, and show what the GIL was kept in.
fn stacks(interpreter: &Interpreter) -> Outcome {
    let mut target = start(interpreter)?;
    let measured = measure(&mut target, &interpreter.label, &["--gil-wait"])?;
    let waiting = |stack: &[Seen]| has(stack, WAITS);
    let count = measured.count(waiting);
    if interpreter.is_free_threaded() {
        let is_said = measured.stderr.contains("This Python has no GIL, or does not tell who holds it.");
        let is_right = is_said && measured.profile.stacks.is_empty();
        return if is_right { Ok(()) } else { Err(measured.stderr.into()) };
    }
    let [waits, _] = shares(&measured);
    expect(&measured, "samples", Some(count as f64 / measured.looks() as f64), waits)?;
    let others = measured.profile.samples() - count;
    let holds = Place::at("hold", &scripts().join("periods.py"), |line| line.ends_with("# keeps the GIL"))?;
    let asks = Place::at("wait_for_gil", &scripts().join("periods.py"), |line| line.contains("os.read("))?;
    // Innermost first: what the holder is in, the mark, what waits.
    let is_shown = |stack: &[Seen]| {
        let Some(mark) = stack.iter().position(|frame| frame.name == WAITS) else { return false };
        stack[..mark].first().is_some_and(|frame| holds.is(frame))
            && stack[mark + 1..].first().is_some_and(|frame| asks.is(frame))
    };
    let shown = measured.count(is_shown);
    println!("{}: {shown} of {count} show the holder; {others} other samples", measured.what);
    if others == 0 && shown as f64 >= SHOWN * count as f64 {
        return Ok(());
    }
    Err(format!("{shown} of {count} show the holder, {others} others: {:?}", measured.profile.stacks).into())
}

pub fn tests() -> Vec<Trial> {
    let bodies: [(&str, Body); 2] = [("gil-figures", figures), ("gil-stacks", stacks)];
    let mut trials = Vec::new();
    for interpreter in interpreters() {
        for (name, body) in bodies {
            let interpreter = interpreter.clone();
            trials.push(test(format!("{name}::{}", interpreter.label), move || body(&interpreter)));
        }
    }
    trials
}
