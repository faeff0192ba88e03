//! Pools of `multiprocessing` and `concurrent.futures`.

use rspy_tests::Outcome;
use rspy_tests::interpreters::Interpreter;
use rspy_tests::meeting::MeetingPoint;
use rspy_tests::program::Program;

use crate::crew::{Crew, start, words};
use crate::recorded::Running;

/// A pool that is there before the recording is.
pub fn by_pid(interpreter: &Interpreter, how: &str) -> Outcome {
    let point = MeetingPoint::open()?;
    let mut program = Program::start(start(interpreter, how, &point)?)?;
    let mut crew = Crew::meet(&point, 3)?;
    let processes = crew.processes();
    let before = crew.times();
    let mut running = Running::of(crew.root)?;
    running.samples(processes.keys().copied())?;
    let begun = crew.times();
    crew.work()?;
    let ended = crew.times();
    let recorded = running.interrupt()?;
    let after = crew.times();

    recorded.is_of(&processes)?;
    recorded.all_work(&crew)?;
    for pid in processes.keys() {
        recorded.used(*pid, ended[pid].saturating_sub(begun[pid]), after[pid].saturating_sub(before[pid]))?;
    }
    drop(crew);
    program.ends_saying("")
}

/// A pool that a recorded program starts, and whose processes end while they are recorded.
pub fn launched(interpreter: &Interpreter, how: &str) -> Outcome {
    let point = MeetingPoint::open()?;
    let mut running = Running::start(&[vec!["--".to_owned()], words(interpreter, how, &point)?].concat())?;
    let mut crew = Crew::meet(&point, 3)?;
    let processes = crew.processes();
    if !running.samples(processes.keys().copied())? {
        return Err(running.failed()?.into());
    }
    let begun = crew.times();
    crew.work()?;
    let ended = crew.times();
    let functions = crew.functions();
    drop(crew);
    let recorded = running.finish()?;

    recorded.is_of(&processes)?;
    recorded.each_works(&functions)?;
    // Of a process that has ended no more can be read than was read before.
    processes
        .keys()
        .try_for_each(|pid| recorded.used(*pid, ended[pid].saturating_sub(begun[pid]), ended[pid] * 2))
}
