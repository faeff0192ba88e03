//! Files that are no recordings, and outputs that nobody takes.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use rspy_tests::Outcome;
use rspy_tests::interpreters::Interpreter;
use rspy_tests::recording::{folded, record, report, unwrapped};
use rspy_tests::rspy::binary;
use rspy_tests::target::{Target, command};

fn recorded(interpreter: &Interpreter, file: &Path) -> Outcome<Vec<u8>> {
    let target = Target::start(command(interpreter, "few_stacks.py", &["2"]))?;
    record(target.pid, file, &["-r", "500", "-d", "0.5"])?;
    Ok(fs::read(file)?)
}

/// Fails unless a report of `file` fails and says `what`.
fn is_refused(file: &Path, what: &str) -> Outcome {
    let output = report(&[file], &[])?;
    if output.status.code() == Some(1) && unwrapped(&output.stderr).contains(what) && output.stdout.is_empty()
    {
        return Ok(());
    }
    Err(format!("{} should be refused with {what:?}: {output:?}", file.display()).into())
}

pub fn foreign(_: &Interpreter) -> Outcome {
    let folder = tempfile::tempdir()?;
    let path = |name: &str| folder.path().join(name);
    let foreign: [(&str, &[u8]); 5] = [
        ("picture.png", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"),
        ("flamegraph.svg", b"<?xml version=\"1.0\" standalone=\"no\"?><svg></svg>"),
        ("empty.rspy", b""),
        ("zeros.rspy", &[0; 4096]),
        ("notes.txt", b"the stacks of the day before yesterday\nmore of them\n"),
    ];
    for (name, bytes) in foreign {
        fs::write(path(name), bytes)?;
        is_refused(&path(name), "is no recording of rspy")?;
    }
    is_refused(folder.path(), "is a directory")?;
    is_refused(&path("nothing.rspy"), "no such file")?;
    is_refused(Path::new("/dev/null"), "is no recording of rspy")
}

pub fn newer(interpreter: &Interpreter) -> Outcome {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("app.rspy");
    let mut bytes = recorded(interpreter, &file)?;
    let expected = folded(&[&file], &["-i"])?;
    let newer = folder.path().join("newer.rspy");
    // The minor version stands behind the major one.
    bytes[10] = 7;
    fs::write(&newer, &bytes)?;
    if folded(&[&newer], &["-i"])? != expected {
        return Err("a newer minor version is read differently".into());
    }
    bytes[8] = 2;
    fs::write(&newer, &bytes)?;
    is_refused(&newer, "is a recording of format 2.7, which this rspy does not know")
}

/// A report of a pipe, as a shell's `<(…)`.
pub fn pipe(interpreter: &Interpreter) -> Outcome {
    let folder = tempfile::tempdir()?;
    let (file, fifo) = (folder.path().join("app.rspy"), folder.path().join("pipe"));
    let bytes = recorded(interpreter, &file)?;
    let expected = folded(&[&file], &["-i"])?;
    rustix::fs::mkfifoat(rustix::fs::CWD, &fifo, rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR)?;
    let written = |bytes: Vec<u8>| {
        let fifo = fifo.clone();
        // Opening it waits for the reader, and writing ends where that does.
        std::thread::spawn(move || fs::File::options().write(true).open(fifo)?.write_all(&bytes))
    };
    let writing = written(bytes);
    let seen = folded(&[&fifo], &["-i"])?;
    writing.join().map_err(|_| "the writer panicked")??;
    if seen != expected {
        return Err(format!("{seen:?}").into());
    }
    let writing = written(b"\x89PNG\r\n\x1a\n".to_vec());
    is_refused(&fifo, "is no recording of rspy")?;
    writing.join().map_err(|_| "the writer panicked")?.map_err(Into::into)
}

/// By any of its names.
pub fn over_itself(interpreter: &Interpreter) -> Outcome {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("app.rspy");
    let before = recorded(interpreter, &file)?;
    let (soft, hard) = (folder.path().join("soft.rspy"), folder.path().join("hard.rspy"));
    std::os::unix::fs::symlink(&file, &soft)?;
    fs::hard_link(&file, &hard)?;
    for name in [&file, &soft, &hard] {
        let output = report(&[&file], &["-o", name.to_str().ok_or("no name")?])?;
        if output.status.code() != Some(1)
            || !unwrapped(&output.stderr).contains("is one of the recordings that are read")
        {
            return Err(format!("{}: {output:?}", name.display()).into());
        }
    }
    if fs::read(&file)? == before { Ok(()) } else { Err("the recording is not what it was".into()) }
}

/// `rspy report … | head -1`: no failure, no message.
pub fn closed_pipe(interpreter: &Interpreter) -> Outcome {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("app.rspy");
    recorded(interpreter, &file)?;
    for format in ["raw", "table", "flamegraph", "speedscope", "rspy"] {
        let (reader, writer) = std::io::pipe()?;
        drop(reader);
        let mut command = Command::new(binary());
        command.arg("report").arg(&file).args(["-i", "-f", format]).stdout(writer).stdin(Stdio::null());
        let output = command.stderr(Stdio::piped()).output()?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        if !output.status.success() || !said.is_empty() {
            return Err(format!("{format}: {} {said}", output.status).into());
        }
    }
    Ok(())
}
