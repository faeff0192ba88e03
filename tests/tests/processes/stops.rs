//! A worker that cannot be stopped: it is said which one.

use std::process::{Child, Stdio};

use rspy_tests::interpreters::Interpreter;
use rspy_tests::meeting::MeetingPoint;
use rspy_tests::program::Program;
use rspy_tests::target::command;
use rspy_tests::{Outcome, process};

use crate::crew::{Crew, start};
use crate::recorded::Running;

/// `tracer.py`, which ends when its stdin is closed; dropping this waits for that.
struct Tracer(Child);

impl Tracer {
    fn of(interpreter: &Interpreter, pid: u32) -> Outcome<Tracer> {
        let mut command = command(interpreter, "tracer.py", &[&pid.to_string()]);
        let tracer = Tracer(command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn()?);
        process::wait_until("it traces", || process::tracer(pid) == Some(tracer.0.id()))?;
        Ok(tracer)
    }
}

impl Drop for Tracer {
    fn drop(&mut self) {
        self.0.stdin = None;
        // It may have ended before, which is what is wanted.
        let _ = self.0.wait();
    }
}

pub fn traced(interpreter: &Interpreter) -> Outcome {
    let point = MeetingPoint::open()?;
    let mut program = Program::start(start(interpreter, "children", &point)?)?;
    let mut crew = Crew::meet(&point, 3)?;
    let beta = crew.worker("beta")?.pid;
    let tracer = Tracer::of(interpreter, beta)?;
    let mut running = Running::of(crew.root)?;
    running.samples(crew.processes().into_keys())?;
    crew.work()?;
    let recorded = running.interrupt()?;
    recorded.each_works(&crew.functions())?;
    let complaints: Vec<&str> =
        recorded.output.stderr.lines().filter(|line| line.starts_with("rspy: ")).collect();
    let expected = format!("rspy: Process {beta} is traced by process {}", tracer.0.id());
    if !matches!(complaints[..], [line] if line.starts_with(&expected)) {
        return Err(format!("it should say {expected:?}, it says:\n{}", recorded.output.stderr).into());
    }
    drop((tracer, crew));
    program.ends_saying("")
}
