//! Processes that end, or become others, while they are recorded.

use rustix::process::Signal;

use rspy_tests::interpreters::Interpreter;
use rspy_tests::meeting::MeetingPoint;
use rspy_tests::program::Program;
use rspy_tests::{Outcome, process};

use crate::crew::{Crew, Worker, start};
use crate::recorded::Running;

fn kill(pid: u32) -> Outcome {
    process::send(pid, Signal::KILL)?;
    process::wait_until("it is a zombie", || process::state(pid, pid) == Some('Z'))
}

/// A zombie is left out; one that is killed keeps what was recorded of it; the others go on.
pub fn killed(interpreter: &Interpreter) -> Outcome {
    let point = MeetingPoint::open()?;
    let mut program = Program::start(start(interpreter, "children", &point)?)?;
    let mut crew = Crew::meet(&point, 3)?;
    let zombie = crew.worker("gamma")?.pid;
    kill(zombie)?;
    crew.workers.retain(|worker| worker.pid != zombie);
    let mut processes = crew.processes();
    processes.remove(&zombie);

    let before = crew.times();
    let mut running = Running::of(crew.root)?;
    running.samples(processes.keys().copied())?;
    let begun = crew.times();
    crew.work()?;
    let ended = crew.times();
    let beta = crew.worker("beta")?.pid;
    kill(beta)?;
    let after = process::processor_time(beta);
    let alpha = crew.worker("alpha")?;
    alpha.works_since(process::processor_time(alpha.pid))?;
    let alpha = alpha.pid;
    let recorded = running.interrupt()?;

    recorded.is_of(&processes)?;
    recorded.works_in(alpha, "alpha", &["beta"])?;
    recorded.works_in(beta, "beta", &["alpha"])?;
    recorded.used(beta, ended[&beta].saturating_sub(begun[&beta]), after.saturating_sub(before[&beta]))?;
    let seconds = |pid| recorded.process(pid).map(|process| process.seconds);
    if seconds(beta)? >= seconds(alpha)? {
        return Err(format!("who was killed was recorded for as long: {:#?}", recorded.figures).into());
    }
    drop(crew);
    program.ends_saying("")
}

/// A child that replaces itself by another Python program: the process is one, with the stacks of both.
pub fn replaced(interpreter: &Interpreter) -> Outcome {
    let point = MeetingPoint::open()?;
    let mut program = Program::start(start(interpreter, "replaced", &point)?)?;
    let mut crew = Crew::meet(&point, 1)?;
    let processes = crew.processes();
    let mut running = Running::of(crew.root)?;
    running.samples(processes.keys().copied())?;
    crew.work()?;
    let pid = crew.worker("replaced")?.pid;
    crew.workers.clear();
    let mut replacement = Worker::meet(&point)?;
    if replacement.pid != pid || replacement.function != "replacement" {
        return Err(format!("{} in {} came", replacement.pid, replacement.function).into());
    }
    let before = process::processor_time(pid);
    replacement.let_work()?;
    replacement.works_since(before)?;
    let recorded = running.interrupt()?;

    recorded.is_of(&processes)?;
    for function in ["replaced", "replacement"] {
        let of = |stack: &[rspy_tests::stacks::Seen]| stack.iter().any(|frame| frame.name == function);
        let count: u64 =
            recorded.profile.stacks.iter().filter(|(stack, _)| of(stack)).map(|(_, count)| count).sum();
        // At 100 Hz it was 30 samples' time on a processor.
        if count < 10 {
            return Err(format!("{count} samples in {function}: {:#?}", recorded.profile.stacks).into());
        }
    }
    drop((crew, replacement));
    program.ends_saying("")
}
