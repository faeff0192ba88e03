//! Web servers that answer requests.

use std::fs;

use rustix::process::Signal;

use rspy_tests::environment::{Environment, programs};
use rspy_tests::interpreters::Interpreter;
use rspy_tests::load::{Load, Request, get};
use rspy_tests::meeting::{Meeting, MeetingPoint};
use rspy_tests::program::{Place, Program, command, find_file};
use rspy_tests::stacks::DumpThread;
use rspy_tests::{Outcome, process, rspy};

use crate::recorded::{is_mostly, record_losing};

/// Has a request to `path` meet the test, compares the dump, and gives it; the request is answered right afterwards.
fn meet(port: u16, path: &str, view: &Place) -> Outcome<(Meeting, Vec<DumpThread>)> {
    let point = MeetingPoint::open()?;
    let request = Request::start(port, format!("/{path}/{}", point.port()?));
    let meeting = point.next()?;
    let dump = meeting.dump()?;
    view.is_in(&dump[0].frames)?;
    // The same text comes from whoever reads it.
    let text = rspy::dump_text(meeting.pid)?;
    let name = meeting.thread()?.name.clone().unwrap_or_default();
    let heading = format!("Thread {} (idle): \"{name}\"", meeting.thread()?.native_id);
    if !text.lines().any(|line| line == heading) {
        return Err(format!("no {heading:?} in\n{text}").into());
    }
    let meeting = meeting.part();
    match request.answer()?.as_str() {
        "met" => Ok((meeting, dump)),
        other => Err(format!("the request that met the test was answered with {other:?}").into()),
    }
}

/// Records the process `pid` of the server at `port` under load; at least the share `least` of all samples goes
/// through `view`.
fn record_under_load(port: u16, pid: u32, arguments: &[&str], view: &Place, least: f64) -> Outcome {
    let load = Load::computing(port, 2)?;
    // Of a thread for each request, without a GIL, some have ended before they are believed.
    let profile = record_losing(pid, arguments, 0.02)?;
    load.stop()?;
    is_mostly(&profile, view, least)
}

fn is_called(thread: &DumpThread, expected: &str) -> Outcome {
    match &thread.thread_name {
        Some(name) if name.contains(expected) => Ok(()),
        other => Err(format!("the thread is called {other:?}, not {expected}").into()),
    }
}

/// Two synchronous workers and their arbiter.
pub fn gunicorn(interpreter: &Interpreter) -> Outcome {
    let environment = Environment::of(interpreter)?;
    let mut command = command(&environment.executable("gunicorn"));
    command.args(["--workers", "2", "--bind", "127.0.0.1:0", "wsgi_app:application"]);
    let mut server = Program::start(command)?;
    let port = server.port("Listening at: http://127.0.0.1:")?;

    let (worker, dump) = meet(port, "meet", &Place::marked("welcome", "wsgi_app.py", "meets")?)?;
    is_called(&dump[0], "MainThread")?;
    // Both workers share the load; the one that is recorded may get any part of it, but computes all of its time.
    record_under_load(port, worker.pid, &[], &Place::marked("compute", "wsgi_app.py", "computes")?, 0.7)?;

    let arbiter =
        find_file(&environment.packages(), "gunicorn/arbiter.py").ok_or("gunicorn has no arbiter")?;
    let waits = |line: &str| line.contains("self.sleep()") || line.contains("self.wait_for_signals(");
    let run = Place::at("run", &arbiter, waits)?;
    // After its workers have begun it starts a control server first, without saying so.
    process::wait_until("the arbiter waits for signals", || {
        let dump = rspy::dump(server.pid()).unwrap_or_default();
        dump.iter()
            .any(|thread| thread.os_thread_id == Some(server.pid()) && run.is_in(&thread.frames).is_ok())
    })?;
    let status = server.end(Signal::TERM)?;
    if status.success() { Ok(()) } else { Err(format!("{status}:\n{}", server.log()?).into()) }
}

/// A thread for each request; free-threaded too.
pub fn flask(interpreter: &Interpreter) -> Outcome {
    let environment = Environment::of(interpreter)?;
    let mut command = command(&environment.executable("python"));
    command.args(["-m", "flask", "--app", "flask_app", "run", "--port", "0"]);
    let mut server = Program::start(command)?;
    let port = server.port("Running on http://127.0.0.1:")?;

    let (_, dump) = meet(port, "meet", &Place::marked("welcome", "flask_app.py", "meets")?)?;
    is_called(&dump[0], "(process_request_thread)")?;
    let view = Place::marked("compute", "flask_app.py", "computes")?;
    // Who waits for a processor counts as active, who waits for the GIL does not. Without one, on a loaded machine,
    // most samples are of threads that could go on if only there were a processor.
    let least = if interpreter.is_free_threaded() { 0.1 } else { 0.5 };
    record_under_load(port, server.pid(), &[], &view, least)?;
    if interpreter.is_free_threaded() {
        return Ok(());
    }
    // Who waits for the GIL is left out.
    record_under_load(port, server.pid(), &["--gil"], &view, 0.6)
}

/// `runserver` with its reloader: a parent that only waits, a child that serves.
pub fn django(interpreter: &Interpreter) -> Outcome {
    let environment = Environment::of(interpreter)?;
    let mut command = command(&environment.executable("python"));
    command.arg(programs().join("django_app.py")).args(["runserver", "127.0.0.1:0"]);
    let mut server = Program::start(command)?;
    let port = server.port("server at http://127.0.0.1:")?;

    let (child, dump) = meet(port, "meet", &Place::marked("welcome", "django_app.py", "meets")?)?;
    is_called(&dump[0], "Thread-")?;
    if !dump.iter().any(|thread| thread.thread_name.as_deref() == Some("django-main-thread")) {
        return Err(format!("no django-main-thread in {dump:?}").into());
    }
    record_under_load(port, child.pid, &[], &Place::marked("compute", "django_app.py", "computes")?, 0.5)?;

    let dump = rspy::dump(server.pid())?;
    let reloader =
        find_file(&environment.packages(), "django/utils/autoreload.py").ok_or("Django has no reloader")?;
    let restart = Place::at("restart_with_reloader", &reloader, |line| line.contains("subprocess.run("))?;
    restart.is_in(&dump.first().ok_or("the parent has no threads")?.frames)
}

/// Coroutines on the event loop of the standard library.
pub fn uvicorn_asyncio(interpreter: &Interpreter) -> Outcome {
    uvicorn(interpreter, "asyncio")
}

/// Coroutines on an event loop made of C.
pub fn uvicorn_uvloop(interpreter: &Interpreter) -> Outcome {
    uvicorn(interpreter, "uvloop")
}

fn uvicorn(interpreter: &Interpreter, event_loop: &str) -> Outcome {
    let environment = Environment::of(interpreter)?;
    let mut command = command(&environment.executable("uvicorn"));
    command.args(["--loop", event_loop, "--port", "0", "asgi_app:application"]);
    let mut server = Program::start(command)?;
    let port = server.port("running on http://127.0.0.1:")?;

    // In a coroutine that blocks its loop: every coroutine that awaits it is on the stack.
    let (_, dump) = meet(port, "meet", &Place::marked("welcome", "asgi_app.py", "meets")?)?;
    is_called(&dump[0], "MainThread")?;
    Place::marked("answer", "asgi_app.py", "answers")?.is_in(&dump[0].frames)?;
    // In a thread of the loop's executor: the loop goes on.
    let waits = Place::at("meet", &programs().join("meeting.py"), |line| line.contains("recv("))?;
    let (_, dump) = meet(port, "thread", &waits)?;
    // The loop of the standard library has called its threads by its own name since 3.9.
    let is_unnamed = event_loop == "asyncio" && interpreter.minor() < (3, 9);
    let executor = if is_unnamed { "ThreadPoolExecutor-0" } else { event_loop };
    is_called(&dump[0], &format!("{executor}_0"))?;
    record_under_load(port, server.pid(), &[], &Place::marked("compute", "asgi_app.py", "computes")?, 0.6)
}

/// An interpreter in a program that is not Python's: a master and two workers.
pub fn uwsgi(interpreter: &Interpreter) -> Outcome {
    let environment = Environment::of(interpreter)?;
    let mut command = command(&environment.executable("uwsgi"));
    command.arg("--virtualenv").arg(environment.folder());
    command.args(["--http-socket", "127.0.0.1:0", "--master", "--processes", "2", "--die-on-term"]);
    command.args(["--enable-threads", "--module", "wsgi_app:application"]);
    let mut server = Program::start(command)?;
    let port = server.port("bound to TCP address 127.0.0.1:")?;

    let (worker, dump) = meet(port, "meet", &Place::marked("welcome", "wsgi_app.py", "meets")?)?;
    if dump[0].frames.last().is_none_or(|root| root.name != "application") {
        return Err(format!("the outermost frame is not the application: {dump:?}").into());
    }
    record_under_load(port, worker.pid, &[], &Place::marked("compute", "wsgi_app.py", "computes")?, 0.7)
}

/// `python -m http.server`, with a thread for each request.
pub fn http_server(interpreter: &Interpreter) -> Outcome {
    let folder = tempfile::tempdir()?;
    let text = "a line of a file that is served\n".repeat(20_000);
    fs::write(folder.path().join("file"), &text)?;
    let mut command = command(&interpreter.path);
    command.args(["-m", "http.server", "--bind", "127.0.0.1", "0"]);
    let mut server = Program::start_in(folder, command)?;
    let port = server.port("HTTP on 127.0.0.1 port ")?;
    if get(port, "/file")? != text {
        return Err("the file was not served right".into());
    }

    let sockets = interpreter.library().join("socketserver.py");
    let waits = Place::at("serve_forever", &sockets, |line| line.contains("selector.select("))?;
    process::wait_until("the server waits", || process::state(server.pid(), server.pid()) == Some('S'))?;
    let dump = rspy::dump(server.pid())?;
    waits.is_in(&dump.first().ok_or("the server has no threads")?.frames)?;

    let expected = move |_| "a line of a file that is served\n".repeat(20_000);
    let load = Load::start(port, 3, 0, |_| "/file".to_owned(), expected)?;
    let may_lose = if interpreter.is_free_threaded() { 0.05 } else { 0.0 };
    let profile = record_losing(server.pid(), &["--function"], may_lose)?;
    let right = load.stop()?;
    let handled = profile.stacks.iter().filter(|(stack, _)| {
        stack.iter().any(|frame| frame.name.ends_with("process_request_thread")) && stack.len() > 3
    });
    let handled: u64 = handled.map(|(_, count)| count).sum();
    if handled * 4 < profile.samples() {
        return Err(format!("{handled} of {} samples are of {right} requests", profile.samples()).into());
    }
    Ok(())
}
