//! Where source is, and what is said where it is not, or is another one.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use tempfile::TempDir;

use rspy_tests::analysis::{Annotated, Lines, json};
use rspy_tests::environment::succeed;
use rspy_tests::interpreters::Interpreter;
use rspy_tests::program::{Program, command};
use rspy_tests::rspy::{Run, binary};
use rspy_tests::{Outcome, process};

/// A module whose function takes time, and is on line 3.
const MODULE: &str = "\
import time

def work(seconds):
    end = time.time() + seconds
    while time.time() < end:
        pass  # works
";

/// A program that runs as long as it is let.
const PROGRAM: &str = "\
import sys, app
sys.stdout.write('ready\\n')
while True:
    app.work(0.5)
";

/// A folder with the module and the program.
fn folder() -> Outcome<TempDir> {
    let folder = tempfile::tempdir()?;
    fs::write(folder.path().join("app.py"), MODULE)?;
    fs::write(folder.path().join("main.py"), PROGRAM)?;
    Ok(folder)
}

/// The program, once it runs.
fn running(interpreter: &Interpreter, folder: TempDir) -> Outcome<Program> {
    let mut command = command(&interpreter.path);
    command.arg(folder.path().join("main.py"));
    let mut program = Program::start_in(folder, command)?;
    program.says("ready")?;
    Ok(program)
}

/// What `rspy lines` says of the function `work` of a process.
fn of_process(program: &Program) -> Outcome<Annotated> {
    let pid = program.pid().to_string();
    work(json("lines", &["-d", "0.5", "--function", "work", "--pid", &pid])?)
}

fn work(lines: Lines) -> Outcome<Annotated> {
    lines.functions.into_iter().next().ok_or_else(|| "no function".into())
}

fn expect_note(function: &Annotated, note: Option<&str>, has_source: bool) -> Outcome {
    let has_note = match (note, &function.note) {
        (Some(note), Some(said)) => said.contains(note),
        (None, None) => true,
        _ => false,
    };
    let seen = function.lines.iter().filter(|line| line.samples > 0);
    let is_shown = seen.into_iter().all(|line| line.source.is_some() == has_source);
    if has_note && is_shown { Ok(()) } else { Err(format!("expected {note:?} of {function:?}").into()) }
}

/// Changes when a file was changed last.
fn touch(file: &Path, since: Duration) -> Outcome {
    Ok(File::options().append(true).open(file)?.set_modified(SystemTime::now() + since)?)
}

/// A module that is imported from an archive.
pub fn archive(interpreter: &Interpreter) -> Outcome {
    let folder = folder()?;
    let path = |name: &str| folder.path().join(name);
    let make = "import sys, zipfile\narchive = zipfile.ZipFile(sys.argv[1], 'w')\n\
                archive.writestr('package/__init__.py', '')\narchive.write(sys.argv[2], 'package/app.py')";
    succeed(Command::new(&interpreter.path).args(["-c", make]).args([path("a.zip"), path("app.py")]))?;
    let imports = "import sys\nsys.path.insert(0, sys.argv[1])\nimport package.app as app";
    fs::write(path("main.py"), PROGRAM.replace("import sys, app", imports))?;
    let archive = path("a.zip");
    let mut command = command(&interpreter.path);
    command.arg(path("main.py")).arg(&archive);
    let mut program = Program::start_in(folder, command)?;
    program.says("ready")?;
    let function = of_process(&program)?;
    if function.file != archive.join("package/app.py").display().to_string() {
        return Err(format!("it is not in the archive: {function:?}").into());
    }
    function.line_with("# works")?;
    expect_note(&function, None, true)
}

/// A file that was changed after the process had begun, and still has the function.
pub fn newer(interpreter: &Interpreter) -> Outcome {
    let program = running(interpreter, folder()?)?;
    expect_note(&of_process(&program)?, None, true)?;
    touch(&program.file("app.py"), Duration::from_secs(2))?;
    expect_note(&of_process(&program)?, Some("changed after the process had begun"), true)
}

/// A file in which the function is elsewhere, or nowhere.
pub fn moved(interpreter: &Interpreter) -> Outcome {
    let program = running(interpreter, folder()?)?;
    for text in [format!("\n\n\n\n\n\n{MODULE}"), MODULE.replace("work", "other"), "import time\n".to_owned()]
    {
        fs::write(program.file("app.py"), text)?;
        expect_note(&of_process(&program)?, Some("does not have this function there"), false)?;
    }
    Ok(())
}

/// A file that is gone, of a process and of a recording.
pub fn missing(interpreter: &Interpreter) -> Outcome {
    let program = running(interpreter, folder()?)?;
    let recording = program.file("app.rspy").display().to_string();
    let pid = program.pid().to_string();
    Run::start(["record", "-d", "0.5", "-o", &recording, "--pid", &pid])?.output()?.success()?;
    let of_recording = || work(json("lines", &[&recording, "--function", "work"])?);
    expect_note(&of_recording()?, None, true)?;
    fs::remove_file(program.file("app.py"))?;
    let why = Some("no source: there is no such file here");
    expect_note(&of_process(&program)?, why, false)?;
    expect_note(&of_recording()?, why, false)
}

/// A program in a root folder of its own, as in a container, that is named by an absolute link in there, and has ended when
/// its source is read.
pub fn own_root(interpreter: &Interpreter) -> Outcome {
    const SCRIPT: &str = r#"
        set -e
        root=$1 prefix=$2; shift 2
        for name in usr lib lib64; do
            [ ! -e /$name ] || { mkdir $root/$name; mount --rbind /$name $root/$name; }
        done
        mkdir $root/python
        mount --bind "$prefix" $root/python
        exec chroot $root "$@"
    "#;
    const UNTIL_TOLD: &str = "\
import os, sys, app
sys.stdout.write('ready\\n')
while not os.path.exists('/stop'):
    app.work(0.1)
app.work(0.5)
";
    let folder = tempfile::tempdir()?;
    fs::create_dir(folder.path().join("real"))?;
    fs::write(folder.path().join("real/app.py"), MODULE)?;
    fs::write(folder.path().join("real/main.py"), UNTIL_TOLD)?;
    symlink("/real", folder.path().join("srv"))?;
    let executable = Path::new("/python").join(interpreter.path.strip_prefix(&interpreter.prefix)?);
    let mut command = command(Path::new("unshare"));
    command.args(["--mount", "sh", "-c", SCRIPT, "sh"]).args([folder.path(), &interpreter.prefix]);
    command.arg(executable).arg("/srv/main.py");
    command.env("PYTHONHOME", "/python").env("PYTHONPATH", "/srv").env("LD_LIBRARY_PATH", "/python/lib");
    let mut program = Program::start_in(folder, command)?;
    program.says("ready")?;
    let pid = program.pid().to_string();
    expect_note(&of_process(&program)?, None, true)?;
    let lines = Run::start(["lines", "--json", "--function", "work", "--pid", &pid])?;
    let memory = PathBuf::from(format!("/proc/{pid}/statm"));
    process::wait_until("it is sampled", || {
        let files = fs::read_dir(format!("/proc/{}/fd", lines.pid())).into_iter().flatten().flatten();
        files.into_iter().any(|file| fs::read_link(file.path()).is_ok_and(|link| link == memory))
    })?;
    fs::write(program.file("stop"), "")?;
    let output = lines.output()?.success()?;
    program.wait()?;
    expect_note(&work(serde_json::from_str(&output.stdout)?)?, None, true)
}

/// Code that was never in a file.
pub fn no_file(interpreter: &Interpreter) -> Outcome {
    let python = interpreter.path.display().to_string();
    let script = format!("{MODULE}\nwork(0.5)");
    let lines: Lines = json("lines", &["--function", "work", "--", &python, "-c", &script])?;
    expect_note(&work(lines)?, Some("no source: its source is in no file"), false)
}

/// A script by its relative name, as 2.7 and 3.8 keep it, that is started by rspy, or runs.
pub fn relative(interpreter: &Interpreter) -> Outcome {
    let folder = tempfile::tempdir()?;
    let script = format!(
        "{MODULE}\nimport sys\nsys.stdout.write('ready\\n')\nsys.stdout.flush()\nwork(float(sys.argv[1]))\n"
    );
    fs::write(folder.path().join("app.py"), script)?;
    let mut lines = Command::new(binary());
    lines.args(["lines", "--function", "work", "--"]).arg(&interpreter.path).args(["app.py", "0.5"]);
    let output = lines.current_dir(folder.path()).output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    if !text.contains("# works") {
        return Err(format!("no source of a script that was started: {text}").into());
    }
    let mut command = command(&interpreter.path);
    command.args(["app.py", "60"]);
    let mut program = Program::start_in(folder, command)?;
    program.says("ready")?;
    expect_note(&of_process(&program)?, None, true)
}
