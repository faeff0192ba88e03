//! Programs that work without being asked over HTTP: queues, pools, notebooks, tables.

use std::fs::{self, File};

use rspy_cpython::Attached;
use rspy_process::Process;
use rspy_tests::analysis::{Lines, json};
use rspy_tests::environment::{Environment, programs};
use rspy_tests::interpreters::Interpreter;
use rspy_tests::meeting::MeetingPoint;
use rspy_tests::program::{Place, Program, command};
use rspy_tests::stacks::DumpThread;
use rspy_tests::{Outcome, rspy};

use crate::recorded::{is_mostly, record};

/// Two prefork workers; the queue is a folder.
pub fn celery(interpreter: &Interpreter) -> Outcome {
    let environment = Environment::of(interpreter)?;
    let folder = tempfile::tempdir()?;
    for name in ["queue", "control", "results"] {
        fs::create_dir(folder.path().join(name))?;
    }
    let python = |arguments: &[&str]| {
        let mut command = command(&environment.executable("python"));
        command.args(arguments).env("QUEUE", folder.path());
        command
    };
    let mut worker = Program::start(python(&[
        "-m",
        "celery",
        "-A",
        "celery_app",
        "worker",
        "--pool",
        "prefork",
        "--concurrency",
        "2",
        "--loglevel",
        "INFO",
        "--without-gossip",
        "--without-mingle",
        "--without-heartbeat",
    ]))?;
    worker.says("ready.")?;

    let app = programs().join("celery_app.py").display().to_string();
    let point = MeetingPoint::open()?;
    let mut client = Program::start(python(&[&app, "meet", &point.port()?]))?;
    let meeting = point.next()?;
    let dump = meeting.dump()?;
    Place::marked("welcome", "celery_app.py", "meets")?.is_in(&dump[0].frames)?;
    let child = meeting.part().pid;
    client.ends_saying("met")?;

    let stop = folder.path().join("stop");
    let mut client = Program::start(python(&[&app, "send", &stop.display().to_string()]))?;
    worker.says("Task compute")?;
    let profile = record(child, &[])?;
    File::create(stop)?;
    is_mostly(&profile, &Place::marked("compute", "celery_app.py", "computes")?, 0.6)?;
    client.ends_saying("results were right")?;

    // The parent feeds the pool from a loop of its own.
    let dump = rspy::dump(worker.pid())?;
    let main =
        dump.iter().find(|thread| thread.os_thread_id == Some(worker.pid())).ok_or("no main thread")?;
    if main.frames.iter().any(|frame| frame.name == "synloop" && frame.filename.ends_with("worker/loops.py"))
    {
        Ok(())
    } else {
        Err(format!("no loop of the worker in {main:?}").into())
    }
}

/// A kernel that executes cells: their code is in files that do not exist.
pub fn jupyter(interpreter: &Interpreter) -> Outcome {
    let environment = Environment::of(interpreter)?;
    let folder = tempfile::tempdir()?;
    let connection = folder.path().join("connection.json").display().to_string();
    let mut kernel = command(&environment.executable("python"));
    kernel.args(["-m", "ipykernel_launcher", "-f", &connection]);
    let mut kernel = Program::start_in(folder, kernel)?;
    kernel.says("--existing")?;

    let point = MeetingPoint::open()?;
    let stop = kernel.file("stop");
    let mut client = command(&environment.executable("python"));
    client.arg(programs().join("notebook.py")).args([&connection, &point.port()?]).arg(&stop);
    let mut client = Program::start(client)?;
    let meeting = point.next()?;
    let dump = meeting.dump()?;
    let cell = dump[0].frames.iter().find(|frame| frame.name == "welcome").ok_or("no frame of the cell")?;
    let written = Place::marked("welcome", "cell.py", "meets")?;
    if cell.line != Some(written.line) || !cell.filename.contains("ipykernel_") {
        return Err(format!("the cell's function is at {cell}, not at its line {}", written.line).into());
    }
    // Tracebacks call them `In [1]` and `In [2]`.
    let call =
        dump[0].frames.iter().find(|frame| frame.name == "<module>" && frame.filename.contains("ipykernel_"));
    let call = call.ok_or("no frame of the cell that calls it")?;
    let process = Process::open(kernel.pid())?;
    let cells = Attached::find(&process)?.notebook_cells(process.memory());
    let numbers = [cell, call].map(|frame| cells.get(&frame.filename).copied());
    if numbers != [Some(1), Some(2)] || cells.len() != 2 {
        return Err(format!(
            "the cells {} and {} are {numbers:?} of {cells:?}",
            cell.filename, call.filename
        )
        .into());
    }
    let compute = Place {
        file: cell.filename.rsplit('/').next().unwrap_or_default().to_owned(),
        ..Place::marked("compute", "cell.py", "computes")?
    };
    meeting.part();

    let profile = record(kernel.pid(), &[])?;
    // The source of a cell is in the kernel's memory only.
    let pid = kernel.pid().to_string();
    let lines: Lines = json("lines", &["-d", "1", "--function", "compute", "--pid", &pid])?;
    File::create(stop)?;
    is_mostly(&profile, &compute, 0.6)?;
    let seen = lines.of("compute")?.line_with("# computes")?;
    if seen.line != Some(compute.line) || seen.samples == 0 {
        return Err(format!("the cell by line: {lines:?}").into());
    }
    client.ends_saying("results were right")
}

/// A function that pandas calls, seen through the internals of pandas.
pub fn pandas(interpreter: &Interpreter) -> Outcome {
    let environment = Environment::of(interpreter)?;
    let folder = tempfile::tempdir()?;
    let stop = folder.path().join("stop");
    let point = MeetingPoint::open()?;
    let mut command = command(&environment.executable("python"));
    command.arg(programs().join("table.py")).arg(point.port()?).arg(&stop);
    let mut job = Program::start_in(folder, command)?;
    let meeting = point.next()?;
    let dump = meeting.dump()?;
    Place::marked("welcome", "table.py", "meets")?.is_in(&dump[0].frames)?;
    if !dump[0].frames.iter().any(|frame| frame.filename.ends_with("pandas/core/groupby/groupby.py")) {
        return Err(format!("no frames of pandas in {dump:?}").into());
    }
    meeting.part();
    job.says("ready")?;

    let score = Place::marked("score", "table.py", "computes")?;
    is_mostly(&record(job.pid(), &[])?, &score, 0.2)?;
    // By function there is one frame for all lines of it.
    let profile = record(job.pid(), &["--function"])?;
    let by_function: Vec<_> = profile
        .stacks
        .iter()
        .flat_map(|(stack, _)| stack)
        .filter(|frame| frame.name == "score" && frame.filename.ends_with("table.py"))
        .collect();
    if by_function.is_empty() || by_function.iter().any(|frame| **frame != *by_function[0]) {
        return Err(format!("by function, score is {by_function:?}").into());
    }
    File::create(stop)?;
    job.ends_saying("all results were right")
}

/// Workers that are copies of their parent.
pub fn pool_fork(interpreter: &Interpreter) -> Outcome {
    pool(interpreter, "fork")
}

/// Workers that are started anew.
pub fn pool_spawn(interpreter: &Interpreter) -> Outcome {
    pool(interpreter, "spawn")
}

fn pool(interpreter: &Interpreter, method: &str) -> Outcome {
    let folder = tempfile::tempdir()?;
    let stop = folder.path().join("stop");
    let point = MeetingPoint::open()?;
    let mut command = command(&interpreter.path);
    command.arg(programs().join("pool.py")).args([method, &point.port()?]).arg(&stop);
    let mut job = Program::start_in(folder, command)?;

    let workers = [point.next()?, point.next()?, point.next()?];
    for worker in &workers {
        let dump = worker.dump()?;
        is_alone(&dump)?;
        Place::marked("welcome", "pool.py", "meets")?.is_in(&dump[0].frames)?;
    }
    let pids = workers.map(|worker| worker.part().pid);

    // The parent has three threads of the pool beside the one that meets.
    let parent = point.next()?;
    let dump = parent.dump()?;
    Place::marked("main", "pool.py", "the parent meets")?.is_in(&dump[0].frames)?;
    let mut functions: Vec<&str> = dump
        .iter()
        .filter(|thread| thread.thread_name.as_deref().is_some_and(|name| name.starts_with("Thread-")))
        .flat_map(|thread| thread.frames.iter())
        .filter_map(|frame| frame.name.rsplit('.').next())
        .filter(|name| name.starts_with("_handle_"))
        .collect();
    functions.sort_unstable();
    if functions != ["_handle_results", "_handle_tasks", "_handle_workers"] {
        return Err(format!("the threads of the pool are in {functions:?}: {dump:?}").into());
    }
    parent.part();

    let compute = Place::marked("compute", "pool.py", "computes")?;
    for pid in &pids[..2] {
        is_mostly(&record(*pid, &[])?, &compute, 0.7)?;
    }
    File::create(stop)?;
    job.ends_saying("3 workers, all results were right")
}

/// A worker has one thread: those of its parent did not come along.
fn is_alone(dump: &[DumpThread]) -> Outcome {
    if dump.len() == 1 { Ok(()) } else { Err(format!("a worker has more than one thread: {dump:?}").into()) }
}
