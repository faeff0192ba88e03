//! Programs that rspy starts itself, and programs that are packed into one file.

use std::fs;
use std::path::Path;

use rspy_tests::Outcome;
use rspy_tests::environment::{Environment, programs, succeed};
use rspy_tests::interpreters::Interpreter;
use rspy_tests::meeting::MeetingPoint;
use rspy_tests::program::{Place, Program, command};
use rspy_tests::rspy::{Recording, Run};
use rspy_tests::target::scripts;

use crate::recorded::{is_mostly, is_sound};

/// What packed.py computes when it is not asked to meet.
const COMPUTED: &str = "49999250002500000";

/// `rspy record -- python -m compileall FOLDER`.
pub fn compileall(interpreter: &Interpreter) -> Outcome {
    let folder = tempfile::tempdir()?;
    let library = interpreter.library();
    let mut sources = 0;
    for package in ["asyncio", "email", "json", "multiprocessing", "unittest"] {
        fs::create_dir(folder.path().join(package))?;
        for entry in fs::read_dir(library.join(package))?.flatten() {
            let path = entry.path();
            if path.extension().is_some_and(|extension| extension == "py") {
                fs::copy(&path, folder.path().join(package).join(entry.file_name()))?;
                sources += 1;
            }
        }
    }
    let (python, sample) = (interpreter.path.display().to_string(), folder.path().display().to_string());
    // All of it takes a fast machine a fifth of a second.
    let arguments = ["--blocking", "--rate", "1000", "--", &python, "-m", "compileall", "-q", &sample];
    let (profile, output) = Recording::start(&arguments)?.finish()?;
    is_sound(&profile, &output, 0.0)?;
    let compile = library.join("py_compile.py");
    let place = Place::at("compile", &compile, |line| line.contains("code = loader.source_to_code("))?;
    is_mostly(&profile, &place, 0.3)?;
    let compiled = count(folder.path(), "pyc")?;
    if compiled == sources { Ok(()) } else { Err(format!("{compiled} of {sources} are compiled").into()) }
}

fn count(folder: &Path, extension: &str) -> Outcome<usize> {
    let mut number = 0;
    for entry in fs::read_dir(folder)?.flatten() {
        if entry.file_type()?.is_dir() {
            number += count(&entry.path(), extension)?;
        } else {
            number += usize::from(entry.path().extension().is_some_and(|found| found == extension));
        }
    }
    Ok(number)
}

/// A program in a zip archive: its files are inside of one.
pub fn zipapp(interpreter: &Interpreter) -> Outcome {
    let folder = tempfile::tempdir()?;
    let source = folder.path().join("source");
    fs::create_dir(&source)?;
    fs::copy(programs().join("packed.py"), source.join("packed.py"))?;
    fs::copy(programs().join("meeting.py"), source.join("meeting.py"))?;
    fs::copy(scripts().join("testimony.py"), source.join("testimony.py"))?;
    let archive = folder.path().join("program.pyz");
    let mut pack = command(&interpreter.path);
    succeed(pack.args(["-m", "zipapp", "--main", "packed:main", "--output"]).arg(&archive).arg(&source))?;

    let point = MeetingPoint::open()?;
    let mut meets = command(&interpreter.path);
    meets.arg(&archive).arg(point.port()?).env_remove("PYTHONPATH");
    let mut program = Program::start(meets)?;
    let meeting = point.next()?;
    let dump = meeting.dump()?;
    Place::marked("main", "packed.py", "meets")?.is_in(&dump[0].frames)?;
    if !dump[0].frames.iter().any(|frame| frame.filename.ends_with("program.pyz/packed.py")) {
        return Err(format!("no file of the archive in {dump:?}").into());
    }
    meeting.part();
    program.ends_saying("met")?;

    let (python, archive) = (interpreter.path.display().to_string(), archive.display().to_string());
    record_to_the_end(&["--", &python, &archive])
}

/// A program that unpacks itself and starts itself again as a child, which is the one with Python in it.
pub fn pyinstaller(interpreter: &Interpreter) -> Outcome {
    let environment = Environment::of(interpreter)?;
    let folder = tempfile::tempdir()?;
    let mut pack = command(&environment.executable("pyinstaller"));
    pack.args(["--onefile", "--log-level", "WARN", "--name", "program", "--paths"]).arg(programs());
    pack.arg("--paths").arg(scripts()).arg(programs().join("packed.py"));
    // What it has made of the interpreter's libraries is good for the next time.
    pack.env("PYINSTALLER_CONFIG_DIR", environment.folder().join("pyinstaller"));
    succeed(pack.current_dir(folder.path()))?;
    let packed = folder.path().join("dist/program");

    let point = MeetingPoint::open()?;
    let mut meets = command(&packed);
    meets.arg(point.port()?).env_remove("PYTHONPATH");
    let mut program = Program::start(meets)?;
    let meeting = point.next()?;
    let dump = meeting.dump()?;
    Place::marked("main", "packed.py", "meets")?.is_in(&dump[0].frames)?;
    if meeting.pid == program.pid() {
        return Err("the program did not start itself again".into());
    }
    // The process that the user started has no Python in it: rspy says where to look.
    let refused = Run::start(["dump", "--pid", &program.pid().to_string()])?.output()?.graceful_failure()?;
    if !refused.stderr.contains("child") {
        return Err(format!("nothing points to the child: {}", refused.stderr).into());
    }
    meeting.part();
    program.ends_saying("met")?;

    record_to_the_end(&["--", &packed.display().to_string()])
}

/// Records packed.py, started as `command`, until it ends by itself.
fn record_to_the_end(command: &[&str]) -> Outcome {
    let (profile, output) = Recording::start(&[&["--blocking"], command].concat())?.finish()?;
    is_sound(&profile, &output, 0.0)?;
    is_mostly(&profile, &Place::marked("compute", "packed.py", "computes")?, 0.6)?;
    if output.stdout.contains(COMPUTED) { Ok(()) } else { Err(format!("{output:?}").into()) }
}
