//! `rspy record -- COMMAND`: whatever starts Python in the end, it is found, sampled from its first imports on, and
//! keeps its input, output, signals and exit code.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use rspy_tests::interpreters::Interpreter;
use rspy_tests::stacks::Profile;
use rspy_tests::{Body, Outcome, on_each, process, rspy, run};
use rustix::process::Signal;
use tempfile::TempDir;

/// What every program here begins with: it is known to have run when `spin` has samples.
const SPIN: &str = "import os, sys, time, signal\n\
                    def spin(seconds):\n    end = time.time() + seconds\n    while time.time() < end: pass\n\
                    def say(text):\n    sys.stdout.write(text + '\\n'); sys.stdout.flush()\n";

/// A folder with a program in it, and where its recording goes.
struct Place {
    folder: TempDir,
    python: PathBuf,
}

/// A running `rspy record -- …` with a pipe at each end of the program.
struct Started {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
    stderr: File,
    recording: PathBuf,
}

/// How one ended.
#[derive(Debug)]
struct Ended {
    code: Option<i32>,
    stdout: String,
    stderr: String,
    profile: Profile,
}

impl Place {
    fn new(interpreter: &Interpreter) -> Outcome<Place> {
        Ok(Place { folder: tempfile::tempdir()?, python: interpreter.path.clone() })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn python(&self) -> String {
        self.python.display().to_string()
    }

    /// A program that does `body`.
    fn program(&self, body: &str) -> Outcome<String> {
        let path = self.path("program.py");
        fs::write(&path, format!("{SPIN}{body}"))?;
        Ok(path.display().to_string())
    }

    /// A file that can be run.
    fn executable(&self, name: &str, content: &str) -> Outcome<String> {
        let path = self.path(name);
        fs::write(&path, content)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
        Ok(path.display().to_string())
    }

    fn start(&self, options: &[&str], command: &[&str]) -> Outcome<Started> {
        let recording = self.path("stacks.txt");
        let stderr = tempfile::tempfile()?;
        let mut child = Command::new(rspy::binary())
            .args(["record", "--rate", "500", "--format", "raw", "--output"])
            .arg(&recording)
            .args(options)
            .arg("--")
            .args(command)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(stderr.try_clone()?)
            // Of its own, so that a signal to it reaches no other test.
            .process_group(0)
            .spawn()?;
        let stdin = child.stdin.take();
        let stdout = BufReader::new(child.stdout.take().ok_or("no stdout")?);
        Ok(Started { child, stdin, stdout, stderr, recording })
    }

    /// Records `command` to its end.
    fn record(&self, command: &[&str]) -> Outcome<Ended> {
        self.start(&[], command)?.end()
    }
}

impl Started {
    /// The next line that the program prints.
    fn line(&mut self) -> Outcome<String> {
        let mut line = String::new();
        self.stdout.read_line(&mut line)?;
        Ok(line.trim_end().to_owned())
    }

    fn expect(&mut self, line: &str) -> Outcome {
        let got = self.line()?;
        if got == line {
            Ok(())
        } else {
            Err(format!("it said {got:?}, not {line:?}\n{}", self.said()?).into())
        }
    }

    /// Waits until rspy samples: it has said so, and is asleep again and again.
    fn sampled(&mut self) -> Outcome {
        let pid = self.child.id();
        let mut slept = 0;
        process::wait_until("rspy samples", || {
            let has_begun = slept > 0 || self.said().is_ok_and(|said| said.contains("Press Control-C"));
            slept += u32::from(has_begun && process::state(pid, pid) == Some('S'));
            slept >= 200
        })
    }

    fn said(&mut self) -> Outcome<String> {
        // The offset is shared with those that write.
        let mut text = vec![0; self.stderr.metadata()?.len() as usize];
        self.stderr.read_exact_at(&mut text, 0)?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }

    fn end(mut self) -> Outcome<Ended> {
        self.stdin.take();
        let mut stdout = String::new();
        self.stdout.read_to_string(&mut stdout)?;
        let status = process::wait_for_end(&mut self.child)?;
        let stderr = self.said()?;
        let profile = fs::read_to_string(&self.recording)
            .map_err(|error| error.to_string())
            .and_then(|text| Profile::parse(&text).map_err(|error| error.to_string()))
            .map_err(|error| format!("no recording: {error}\n{status}\n{stderr}"))?;
        Ok(Ended { code: status.code(), stdout, stderr, profile })
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        // Whatever it has started is in its group.
        let _ = rustix::process::kill_process_group(process::pid(self.child.id()), Signal::KILL);
        let _ = self.child.wait();
    }
}

impl Ended {
    /// Itself, if it has samples of `function` and ended with `code`.
    fn has(self, function: &str, code: i32) -> Outcome<Ended> {
        let is_seen =
            self.profile.stacks.iter().any(|(stack, _)| stack.iter().any(|frame| frame.name == function));
        if is_seen && self.code == Some(code) {
            return Ok(self);
        }
        Err(format!("expected samples of {function} and exit code {code}: {self:#?}").into())
    }
}

const BUSY: &str = "spin(0.5)\nsay('done')\nsys.exit(3)\n";

/// `command` runs `BUSY` in the end.
fn reaches_python(place: &Place, command: &[&str]) -> Outcome {
    let ended = place.record(command)?.has("spin", 3)?;
    // Not a word of rspy's is mixed with the program's.
    if ended.stdout == "done\n" { Ok(()) } else { Err(format!("{ended:?}").into()) }
}

fn plain(interpreter: &Interpreter) -> Outcome {
    let place = Place::new(interpreter)?;
    reaches_python(&place, &[&place.python(), &place.program(BUSY)?])
}

/// pyenv's shims are bash scripts that find out much, and then become Python.
fn shim(interpreter: &Interpreter) -> Outcome {
    let place = Place::new(interpreter)?;
    let program = place.program(BUSY)?;
    let real = place.executable(
        "pyenv-exec",
        &format!("#!/usr/bin/env bash\nversion=$(cat /dev/null; echo 3)\nexec {} \"$@\"\n", place.python()),
    )?;
    let shim =
        place.executable("python", &format!("#!/usr/bin/env bash\nset -e\nexec \"{real}\" \"$@\"\n"))?;
    reaches_python(&place, &[&shim, &program])
}

fn symbolic_link(interpreter: &Interpreter) -> Outcome {
    let place = Place::new(interpreter)?;
    let link = place.path("python");
    std::os::unix::fs::symlink(&place.python, &link)?;
    let (link, program) = (link.display().to_string(), place.program(BUSY)?);
    let home = format!("PYTHONHOME={}", interpreter.prefix.display());
    reaches_python(&place, &["env", &home, &link, &program])
}

fn exec_of_a_shell(interpreter: &Interpreter) -> Outcome {
    let place = Place::new(interpreter)?;
    let script = format!("exec {} {}", place.python(), place.program(BUSY)?);
    reaches_python(&place, &["sh", "-c", &script])
}

/// Python is a child of the shell, which gives its own exit code.
fn child_of_a_shell(interpreter: &Interpreter) -> Outcome {
    let place = Place::new(interpreter)?;
    let script = format!("{} {}; exit $?", place.python(), place.program(BUSY)?);
    reaches_python(&place, &["sh", "-c", &script])
}

/// A wrapper of a wrapper of a wrapper.
fn nested_shells(interpreter: &Interpreter) -> Outcome {
    let place = Place::new(interpreter)?;
    let inner = place.executable("inner", &format!("#!/bin/sh\n{} \"$@\"\nexit $?\n", place.python()))?;
    let outer = place.executable("outer", &format!("#!/bin/sh\nenv {inner} \"$@\"\nexit $?\n"))?;
    let program = place.program(BUSY)?;
    reaches_python(&place, &["nice", "-n", "1", "timeout", "100", &outer, &program])
}

fn new_session(interpreter: &Interpreter) -> Outcome {
    let place = Place::new(interpreter)?;
    reaches_python(&place, &["setsid", "--wait", &place.python(), &place.program(BUSY)?])
}

/// A script with `#!`, as a console script is.
fn script(interpreter: &Interpreter) -> Outcome {
    let place = Place::new(interpreter)?;
    let script = place.executable("tool", &format!("#!{}\n{SPIN}{BUSY}", place.python()))?;
    reaches_python(&place, &[&script])
}

/// The program in its own virtual environment, started by the console script that pip made.
fn console_script(interpreter: &Interpreter) -> Outcome {
    let place = Place::new(interpreter)?;
    let venv = place.path("venv");
    let make = |command: &mut Command| -> Outcome {
        let output = command.stdin(Stdio::null()).output()?;
        if output.status.success() { Ok(()) } else { Err(format!("{command:?}: {output:?}").into()) }
    };
    make(Command::new(&place.python).args(["-m", "venv"]).arg(&venv))?;
    let project = place.path("project");
    fs::create_dir_all(project.join("spinner"))?;
    fs::write(
        project.join("spinner/__init__.py"),
        format!("{SPIN}def main():\n    spin(0.5)\n    say('done')\n    return 3\n"),
    )?;
    wheel(&place, &project.join("spinner/__init__.py"))?;
    make(
        Command::new(venv.join("bin/python"))
            .args(["-m", "pip", "install", "--quiet", "--no-index", "--disable-pip-version-check"])
            .arg(place.path("spinner-1-py3-none-any.whl")),
    )?;
    reaches_python(&place, &[&venv.join("bin/spinner").display().to_string()])?;
    let venv_python = venv.join("bin/python").display().to_string();
    reaches_python(&place, &[&venv_python, "-c", "import spinner, sys; sys.exit(spinner.main())"])
}

/// A wheel is a zip file, which Python can make.
fn wheel(place: &Place, module: &Path) -> Outcome {
    let make = "import sys, zipfile\n\
                wheel = zipfile.ZipFile(sys.argv[1], 'w')\n\
                wheel.write(sys.argv[2], 'spinner/__init__.py')\n\
                info = 'spinner-1.dist-info/'\n\
                wheel.writestr(info + 'METADATA', 'Metadata-Version: 2.1\\nName: spinner\\nVersion: 1\\n')\n\
                wheel.writestr(info + 'WHEEL', 'Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n')\n\
                wheel.writestr(info + 'entry_points.txt', '[console_scripts]\\nspinner = spinner:main\\n')\n\
                wheel.writestr(info + 'RECORD', '')\n\
                wheel.close()\n";
    let status = Command::new(&place.python)
        .args(["-c", make])
        .arg(place.path("spinner-1-py3-none-any.whl"))
        .arg(module)
        .status()?;
    if status.success() { Ok(()) } else { Err("the wheel could not be made".into()) }
}

/// A launcher in Python that becomes another Python: both are recorded.
fn exec_of_python(interpreter: &Interpreter) -> Outcome {
    let place = Place::new(interpreter)?;
    let program = place.program(BUSY)?;
    let launcher = place.path("launcher.py");
    fs::write(
        &launcher,
        format!(
            "{SPIN}def before():\n    spin(0.3)\nbefore()\nos.execv({0:?}, [{0:?}, sys.argv[1]])\n",
            place.python()
        ),
    )?;
    place
        .record(&[&place.python(), &launcher.display().to_string(), &program])?
        .has("before", 3)?
        .has("<module>", 3)?;
    Ok(())
}

/// What a program imports first is seen.
fn imports(interpreter: &Interpreter) -> Outcome {
    let place = Place::new(interpreter)?;
    fs::write(
        place.path("heavy.py"),
        "import time\nend = time.time() + 0.3\ndef burn():\n    while time.time() < end: pass\nburn()\n",
    )?;
    let ended = place.record(&[&place.python(), &place.program("import heavy\n")?])?.has("burn", 0)?;
    let in_import =
        |names: &[&str]| names.iter().any(|name| name.contains("import") || name.contains("_find_and_load"));
    let burns =
        ended.profile.stacks.iter().filter(|(stack, _)| stack.iter().any(|frame| frame.name == "burn"));
    let (mut samples, mut below_import) = (0, 0);
    for (stack, count) in burns {
        samples += count;
        let names: Vec<&str> = stack.iter().map(|frame| frame.name.as_str()).collect();
        below_import += if in_import(&names) { *count } else { 0 };
    }
    // Python 2 imports in C, without a frame.
    if interpreter.minor() >= (3, 0) && below_import != samples {
        return Err(format!("{below_import} of {samples} samples are below the import: {ended:#?}").into());
    }
    Ok(())
}

fn exit_code_of(interpreter: &Interpreter, body: &str, code: i32) -> Outcome {
    let place = Place::new(interpreter)?;
    place.record(&[&place.python(), &place.program(&format!("spin(0.3)\n{body}\n"))?])?.has("spin", code)?;
    Ok(())
}

fn exit_code_0(interpreter: &Interpreter) -> Outcome {
    exit_code_of(interpreter, "", 0)
}

fn exit_code_of_an_exception(interpreter: &Interpreter) -> Outcome {
    exit_code_of(interpreter, "raise ValueError", 1)
}

fn exit_code_of_a_signal(interpreter: &Interpreter) -> Outcome {
    exit_code_of(interpreter, "os.kill(os.getpid(), 9)", 128 + 9)
}

/// Runs until it gets a signal, and tells which.
const LISTENS: &str = "def got(number, frame):\n    say('signal %d' % number)\n    sys.exit(number)\n\
                       for number in 1, 3, 10, 12, 15: signal.signal(number, got)\n\
                       say('ready')\n\
                       while True: spin(0.05)\n";

/// A signal for the program that is sent to rspy alone.
fn passes_on(interpreter: &Interpreter) -> Outcome {
    for signal in [Signal::TERM, Signal::HUP, Signal::QUIT, Signal::USR1, Signal::USR2] {
        let place = Place::new(interpreter)?;
        let mut started = place.start(&[], &[&place.python(), &place.program(LISTENS)?])?;
        started.expect("ready")?;
        started.sampled()?;
        process::send(started.child.id(), signal)?;
        started.expect(&format!("signal {}", signal.as_raw()))?;
        started.end()?.has("spin", signal.as_raw())?;
    }
    Ok(())
}

/// Control-C in a terminal reaches the program too. One that minds it ends as it likes.
fn interrupted(interpreter: &Interpreter) -> Outcome {
    let place = Place::new(interpreter)?;
    let body =
        "say('ready')\ntry:\n    while True: spin(0.05)\nexcept KeyboardInterrupt:\n    say('cleaned up')\n";
    let mut started = place.start(&[], &[&place.python(), &place.program(body)?])?;
    started.expect("ready")?;
    started.sampled()?;
    rustix::process::kill_process_group(process::pid(started.child.id()), Signal::INT)?;
    started.expect("cleaned up")?;
    started.end()?.has("spin", 0)?;
    Ok(())
}

/// rspy alone is interrupted: it ends the program.
fn interrupted_alone(interpreter: &Interpreter) -> Outcome {
    let place = Place::new(interpreter)?;
    let mut started = place.start(&[], &[&place.python(), &place.program(LISTENS)?])?;
    started.expect("ready")?;
    started.sampled()?;
    process::send(started.child.id(), Signal::INT)?;
    started.expect("signal 15")?;
    started.end()?.has("spin", 0)?;
    Ok(())
}

/// The duration is over: the program ends, and so does the shell that it is a child of.
fn duration_over(interpreter: &Interpreter) -> Outcome {
    let place = Place::new(interpreter)?;
    let script = format!("{} {}; echo the shell goes on", place.python(), place.program(LISTENS)?);
    let mut started = place.start(&["--duration", "1"], &["sh", "-c", &script])?;
    started.expect("ready")?;
    started.expect("signal 15")?;
    let ended = started.end()?.has("spin", 0)?;
    if ended.stdout.is_empty() { Ok(()) } else { Err(format!("{ended:?}").into()) }
}

/// rspy is killed: the program runs on as it would without it.
fn killed(interpreter: &Interpreter) -> Outcome {
    let place = Place::new(interpreter)?;
    let body = "say('ready')\nsys.stdin.readline()\nspin(0.1)\nsay('goes on')\n";
    let mut started = place.start(&[], &[&place.python(), &place.program(body)?])?;
    started.expect("ready")?;
    process::send(started.child.id(), Signal::KILL)?;
    process::wait_for_end(&mut started.child)?;
    started.stdin.as_ref().ok_or("no stdin")?.write_all(b"\n")?;
    started.expect("goes on")
}

/// The program has rspy's stdin, and its own stdout and stderr.
fn input_and_output(interpreter: &Interpreter) -> Outcome {
    let place = Place::new(interpreter)?;
    let body = "say('got ' + sys.stdin.readline().strip())\nsys.stderr.write('a complaint\\n')\nspin(0.2)\n";
    let mut started = place.start(&[], &[&place.python(), &place.program(body)?])?;
    started.stdin.as_ref().ok_or("no stdin")?.write_all(b"something\n")?;
    started.expect("got something")?;
    let ended = started.end()?.has("spin", 0)?;
    if ended.stdout.is_empty()
        && ended.stderr.contains("a complaint\n")
        && ended.stderr.contains("rspy> Wrote")
    {
        return Ok(());
    }
    Err(format!("{ended:?}").into())
}

/// py-spy's `--capture`: the program is not heard, unless it fails.
fn captured(interpreter: &Interpreter) -> Outcome {
    let place = Place::new(interpreter)?;
    for (code, is_heard) in [(0, false), (3, true)] {
        let body =
            format!("say('a word')\nsys.stderr.write('a complaint\\n')\nspin(0.3)\nsys.exit({code})\n");
        let ended = place
            .start(&["--capture"], &[&place.python(), &place.program(&body)?])?
            .end()?
            .has("spin", code)?;
        if ended.stdout.contains("a word") || ended.stderr.contains("a complaint") != is_heard {
            return Err(format!("{ended:?}").into());
        }
    }
    Ok(())
}

/// Commands that are no Python: the message says what is wrong, and nothing is left behind.
fn no_python(interpreter: &Interpreter) -> Outcome {
    let place = Place::new(interpreter)?;
    let plain = place.path("plain.py");
    fs::write(&plain, "pass\n")?;
    let broken = place.executable("broken", "#!/nowhere/at/all\n")?;
    for (command, words) in [
        (&["true"][..], "ended before a Python"),
        (&["sh", "-c", "exit 7"][..], "exit code 7"),
        (&["/nowhere/at/all"][..], "no such file"),
        (&[plain.to_str().ok_or("no UTF-8")?][..], "record -- python"),
        (&[broken.as_str()][..], "first line"),
        (&[""][..], "no such program on the PATH"),
        (&["cat"][..], "No Python was found within 20 seconds"),
    ] {
        let mut started = place.start(&[], command)?;
        let status = process::wait_for_end(&mut started.child)?;
        // Lines are broken to fit a terminal.
        let said = started.said()?.split_whitespace().collect::<Vec<_>>().join(" ");
        if status.code() != Some(1) || !said.contains(words) || started.recording.exists() {
            return Err(format!("{command:?}: {status}: {said}").into());
        }
    }
    Ok(())
}

fn main() {
    let tests: &[(&str, Body)] = &[
        ("plain", plain),
        ("shim", shim),
        ("symbolic-link", symbolic_link),
        ("exec-of-a-shell", exec_of_a_shell),
        ("child-of-a-shell", child_of_a_shell),
        ("nested-shells", nested_shells),
        ("new-session", new_session),
        ("script", script),
        ("exec-of-python", exec_of_python),
        ("imports", imports),
        ("exit-code-0", exit_code_0),
        ("exit-code-of-an-exception", exit_code_of_an_exception),
        ("exit-code-of-a-signal", exit_code_of_a_signal),
        ("passes-on", passes_on),
        ("interrupted", interrupted),
        ("interrupted-alone", interrupted_alone),
        ("duration-over", duration_over),
        ("killed", killed),
        ("input-and-output", input_and_output),
        ("captured", captured),
    ];
    let mut trials = on_each(&["2.7", "3.10", "3.13", "3.14"], tests);
    // Not every interpreter here comes with what makes a virtual environment.
    trials.extend(on_each(&["3.10", "3.13"], &[("console-script", console_script)]));
    trials.extend(on_each(&["3.13"], &[("no-python", no_python)]));
    run(trials);
}
