//! A server that forks its workers before there is anything to do.

use rustix::process::Signal;

use rspy_tests::environment::programs;
use rspy_tests::interpreters::Interpreter;
use rspy_tests::load::Request;
use rspy_tests::meeting::MeetingPoint;
use rspy_tests::program::{Program, command};
use rspy_tests::target::scripts;
use rspy_tests::{Outcome, packages};

use crate::crew::{Crew, Worker};
use crate::recorded::Running;

/// Two synchronous workers and their arbiter. Each worker has one request only: so the second comes to the other one.
pub fn gunicorn(interpreter: &Interpreter) -> Outcome {
    let Some(packages) = packages::gunicorn()? else { return Ok(()) };
    let mut command = command(&interpreter.path);
    let folders = [programs(), scripts()].into_iter().chain(packages);
    let folders: Vec<String> = folders.map(|folder| folder.display().to_string()).collect();
    command.env("PYTHONPATH", folders.join(":")).args(["-m", "gunicorn"]);
    command.args(["--workers", "2", "--bind", "127.0.0.1:0", "wsgi_app:application"]);
    let mut server = Program::start(command)?;
    let port = server.port("Listening at: http://127.0.0.1:")?;
    let point = MeetingPoint::open()?;
    let path = format!("/stay/{}", point.port()?);
    let (mut requests, mut workers) = (Vec::new(), Vec::new());
    for _ in 0..2 {
        requests.push(Request::start(port, path.clone()));
        workers.push(Worker::meet(&point)?);
    }
    let mut crew = Crew::below(server.pid(), workers);
    let processes = crew.processes();
    if processes.len() != 3 {
        return Err(format!("an arbiter and two workers, not {processes:?}").into());
    }
    let before = crew.times();
    let mut running = Running::of(crew.root)?;
    running.samples(processes.keys().copied())?;
    let begun = crew.times();
    crew.work()?;
    let ended = crew.times();
    let recorded = running.interrupt()?;
    let after = crew.times();

    recorded.is_of(&processes)?;
    for worker in &crew.workers {
        let pid = worker.pid;
        recorded.works_in(pid, "stay", &[])?;
        recorded.used(
            pid,
            ended[&pid].saturating_sub(begun[&pid]),
            after[&pid].saturating_sub(before[&pid]),
        )?;
    }
    drop(crew);
    for request in requests {
        match request.answer()?.as_str() {
            "stayed" => {}
            other => return Err(format!("the request was answered with {other:?}").into()),
        }
    }
    let status = server.end(Signal::TERM)?;
    if status.success() { Ok(()) } else { Err(format!("{status}:\n{}", server.log()?).into()) }
}
