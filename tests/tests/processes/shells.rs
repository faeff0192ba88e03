//! Shells that start Python, or become it, after the recording has begun.

use std::collections::BTreeMap;
use std::path::Path;

use rspy_tests::family::Family;
use rspy_tests::interpreters::Interpreter;
use rspy_tests::meeting::MeetingPoint;
use rspy_tests::program::Program;
use rspy_tests::target::clean_command;
use rspy_tests::{Outcome, process};

use crate::crew::{Crew, Worker, start, words};
use crate::recorded::Running;

/// `record --pid` of the shell.
fn late(interpreter: &Interpreter, script: &str) -> Outcome {
    let point = MeetingPoint::open()?;
    let mut command = clean_command(Path::new("sh"));
    command.args(["-c", script, "sh"]).args(words(interpreter, "children", &point)?);
    let mut family = Family::start(command)?;
    let mut running = Running::of(family.root)?;
    family.go_on()?;
    let mut crew = Crew::meet(&point, 3)?;
    let processes = crew.processes();
    // On a machine that takes more than the second that rspy waits, it says that there is none, and is asked again.
    while !running.samples(processes.keys().copied())? {
        let said = running.failed()?;
        if !said.contains("no Python interpreter in it or in any process below it") {
            return Err(said.into());
        }
        running = Running::of(family.root)?;
    }
    crew.work()?;
    let recorded = running.interrupt()?;
    recorded.is_of(&processes)?;
    recorded.each_works(&crew.functions())
}

pub fn becomes_python(interpreter: &Interpreter) -> Outcome {
    late(interpreter, r#"echo root $$; read line; exec "$@""#)
}

pub fn starts_python(interpreter: &Interpreter) -> Outcome {
    late(interpreter, r#"echo root $$; read line; "$@"; true"#)
}

/// A shell that rspy starts sleeps before it becomes Python: not for the test, but for rspy, which has to wait.
pub fn launched(interpreter: &Interpreter) -> Outcome {
    let point = MeetingPoint::open()?;
    let shell = ["--", "sh", "-c", r#"sleep 0.3; exec "$@""#, "sh"].map(str::to_owned).to_vec();
    let mut running = Running::start(&[shell, words(interpreter, "children", &point)?].concat())?;
    let mut crew = Crew::meet(&point, 3)?;
    let processes = crew.processes();
    if !running.samples(processes.keys().copied())? {
        return Err(running.failed()?.into());
    }
    crew.work()?;
    let functions = crew.functions();
    drop(crew);
    let recorded = running.finish()?;
    recorded.is_of(&processes)?;
    recorded.each_works(&functions)
}

/// A Python that is recorded starts a shell, which starts a Python: that is below the first.
pub fn below_python(interpreter: &Interpreter) -> Outcome {
    let point = MeetingPoint::open()?;
    let mut program = Program::start(start(interpreter, "shell", &point)?)?;
    let mut parent = Worker::meet(&point)?;
    let mut running = Running::of(parent.pid)?;
    running.samples([parent.pid])?;
    parent.let_work()?;
    let mut child = Worker::meet(&point)?;
    if process::parent(child.pid) == Some(parent.pid) {
        return Err("there is no shell between the two".into());
    }
    running.samples([child.pid])?;
    child.let_work()?;
    child.works_since(process::processor_time(child.pid))?;
    let recorded = running.interrupt()?;
    // The shell is in between, and is not Python, nor is the copy of the first that became the shell.
    recorded.is_of(&BTreeMap::from([(parent.pid, None), (child.pid, Some(parent.pid))]))?;
    recorded.works_in(child.pid, "replacement", &[])?;
    drop((child, parent));
    program.ends_saying("")
}
