//! What a stop of a thread can break: signals, waits, children, stopped processes, and rspy's own sudden end.
//!
//! `work.py` checks itself: it counts every wait that ended too early, every child with a wrong status, every
//! signal that never came. A test drives it, one unit of work after the other, while rspy records it fast.

use rustix::process::Signal;

use rspy_tests::interpreters::Interpreter;
use rspy_tests::rspy::Recording;
use rspy_tests::target::{self, Target};
use rspy_tests::{Body, Outcome, on_each, process, run};

fn worker(interpreter: &Interpreter, mode: &str) -> Outcome<Target> {
    Target::start(target::command(interpreter, "work.py", &[mode]))
}

fn recorded(target: &Target) -> Outcome<Recording> {
    Recording::of(target.pid, &["--rate", "2000", "--idle"])
}

/// Ends the recording, which must have gone on until now and must give stacks.
fn finish(mut recording: Recording) -> Outcome {
    if recording.run.has_ended() {
        return Err(format!("rspy ended before the target: {:?}", recording.run.output()?).into());
    }
    recording.run.send(Signal::INT)?;
    let (profile, output) = recording.finish()?;
    if profile.samples() == 0 {
        return Err(format!("nothing was recorded: {output:?}").into());
    }
    Ok(())
}

/// Units of `mode` under the eyes of rspy, for as long as rspy needs to take many samples.
fn goes_on(interpreter: &Interpreter, mode: &str, units: usize) -> Outcome {
    let mut target = worker(interpreter, mode)?;
    target.work()?;
    let recording = recorded(&target)?;
    for _ in 0..units {
        target.work()?;
    }
    finish(recording)?;
    target.end_unharmed()
}

fn threads(interpreter: &Interpreter) -> Outcome {
    goes_on(interpreter, "threads", 300)
}

fn fork(interpreter: &Interpreter) -> Outcome {
    goes_on(interpreter, "fork", 300)
}

fn spawn(interpreter: &Interpreter) -> Outcome {
    goes_on(interpreter, "spawn", 200)
}

fn timers(interpreter: &Interpreter) -> Outcome {
    goes_on(interpreter, "timers", 1000)
}

/// A thread that sleeps is never stopped. (One that falls asleep between the choice to stop it and the stop is: of 1,500
/// waits of a millisecond at 2,000 looks a second, 1 to 20 ended early.)
fn asleep(interpreter: &Interpreter) -> Outcome {
    goes_on(interpreter, "asleep", 1000)
}

/// The target executes itself anew again and again. rspy may end with it, or follow; the target must go on.
fn exec(interpreter: &Interpreter) -> Outcome {
    let mut target = worker(interpreter, "exec")?;
    for _ in 0..3 {
        let recording = recorded(&target)?;
        for _ in 0..10 {
            target.work()?;
        }
        recording.run.send(Signal::INT)?;
        let output = recording.run.output()?;
        if output.status.code().is_none() || output.stderr.contains("panicked") {
            return Err(format!("{output:?}").into());
        }
    }
    target.end_unharmed()
}

/// Every signal that is sent arrives, in a thread that is stopped all the time.
fn signals(interpreter: &Interpreter) -> Outcome {
    let mut target = worker(interpreter, "signals")?;
    let recording = recorded(&target)?;
    for _ in 0..3000 {
        process::send(target.pid, Signal::USR1)?;
        let answer = target.answer()?;
        if answer != b's' {
            return Err(format!("the target answered {answer}").into());
        }
    }
    finish(recording)?;
    target.end_unharmed()
}

/// A stopped target stays stopped, through the samples and through rspy's end, until it is told to go on.
fn stopped(interpreter: &Interpreter) -> Outcome {
    let mut target = worker(interpreter, "compute")?;
    let recording = recorded(&target)?;
    for round in 0..20 {
        for _ in 0..round * 5 {
            target.work()?;
        }
        process::send(target.pid, Signal::STOP)?;
        is_stopped(&target)?;
        process::send(target.pid, Signal::CONT)?;
        target.work()?;
    }
    process::send(target.pid, Signal::STOP)?;
    is_stopped(&target)?;
    finish(recording)?;
    is_stopped(&target)?;
    process::send(target.pid, Signal::CONT)?;
    target.work()?;
    target.end_unharmed()
}

/// Waits until the target is stopped, then looks long enough for many samples whether it stays so.
fn is_stopped(target: &Target) -> Outcome {
    let is_stopped = || process::state(target.pid, target.pid) == Some('T');
    process::wait_until("the target is stopped", is_stopped)?;
    let mut looks = 0;
    process::wait_until("many looks", || {
        looks += u32::from(matches!(process::state(target.pid, target.pid), Some('T' | 't')));
        looks >= 50
    })?;
    process::wait_until("the target is still stopped", is_stopped)
}

/// rspy attaches to a target that is stopped already.
fn attached_while_stopped(interpreter: &Interpreter) -> Outcome {
    let mut target = worker(interpreter, "compute")?;
    process::send(target.pid, Signal::STOP)?;
    is_stopped(&target)?;
    rspy_tests::rspy::dump(target.pid)?;
    is_stopped(&target)?;
    process::send(target.pid, Signal::CONT)?;
    target.work()?;
    target.end_unharmed()
}

/// rspy is killed at moments spread over its start and its sampling; the target must not be left stopped or traced.
fn killed(interpreter: &Interpreter) -> Outcome {
    let mut target = worker(interpreter, "compute")?;
    // The moments are counted in units of the target's work, from a fixed sequence that covers them well.
    let mut moment: u64 = 1;
    for _ in 0..60 {
        moment = (moment * 48271) % 2_147_483_647;
        let recording = recorded(&target)?;
        for _ in 0..moment % 300 {
            target.work()?;
        }
        recording.run.send(Signal::KILL)?;
        drop(recording);
        target.work()?;
        let pid = target.pid;
        process::wait_until("nobody traces the target", || process::tracer(pid) == Some(0))?;
    }
    target.end_unharmed()
}

fn main() {
    let tests: &[(&str, Body)] = &[
        ("threads", threads),
        ("fork", fork),
        ("spawn", spawn),
        ("timers", timers),
        ("asleep", asleep),
        ("exec", exec),
        ("signals", signals),
        ("stopped", stopped),
        ("attached-while-stopped", attached_while_stopped),
        ("killed", killed),
    ];
    // What a stop does to a thread is up to the kernel; Python differs in how it waits, forks and handles signals.
    run(on_each(&["2.7", "3.6", "3.10", "3.13", "3.15", "3.13t"], tests));
}
