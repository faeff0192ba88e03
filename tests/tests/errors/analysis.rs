//! `rspy memory` and `rspy time` where they cannot do what they are asked for.

use std::fs;
use std::path::Path;
use std::process::Command;

use rspy_tests::Outcome;

use crate::output::mounted;
use crate::recordings::recorded;
use crate::scene::{fails, is_message, python, rspy};

fn memory(pid: u32, options: &[&str]) -> Command {
    let mut command = rspy();
    command.args(["memory", "--pid", &pid.to_string(), "-d", "0.2"]).args(options);
    command
}

pub fn tracemalloc_off() -> Outcome {
    fails("tracemalloc-off", memory(python()?.pid(), &["--tracemalloc"])).map(drop)
}

pub fn tracemalloc_process() -> Outcome {
    let mut command = rspy();
    command.args(["memory", "--tracemalloc", "app.rspy"]);
    fails("tracemalloc-process", command).map(drop)
}

pub fn tracemalloc_format() -> Outcome {
    for options in [&["-f", "csv"][..], &["-o", "curve.svg"]] {
        fails("tracemalloc-format", memory(python()?.pid(), &[&["--tracemalloc"], options].concat()))?;
    }
    no_file(Path::new("curve.svg"))
}

pub fn vs_words() -> Outcome {
    for other in ["python 'app.py", ""] {
        let mut command = rspy();
        command.args(["time", "--vs", other, "--", "true"]);
        fails("vs-words", command)?;
    }
    Ok(())
}

fn no_file(path: &Path) -> Outcome {
    if path.exists() { Err(format!("{} was left behind", path.display()).into()) } else { Ok(()) }
}

/// Files are not left empty, recordings not written over, and full disks found out.
pub fn outputs() -> Outcome {
    let (folder, disk) = (tempfile::tempdir()?, tempfile::tempdir()?);
    let recording = recorded(folder.path())?;
    let bytes = fs::read(&recording)?;
    let memory_of = |mut rspy: Command, output: &Path| {
        rspy.arg("memory").arg(&recording).args(["-f", "json", "-o"]).arg(output);
        rspy
    };
    fails("recording-itself", memory_of(rspy(), &recording))?;
    if fs::read(&recording)? != bytes {
        return Err("the recording is another one now".into());
    }
    let new = folder.path().join("memory.json");
    fails("memory-none", memory_of(rspy(), &new))?;
    no_file(&new)?;
    let mut command = rspy();
    command.args(["time", "-o"]).arg(&new).args(["--", "/nowhere/at/all"]);
    fails("no-file", command)?;
    no_file(&new)?;
    let mut command = rspy();
    command.args(["record", "--pid", &i32::MAX.to_string(), "--summary"]).arg(&new);
    fails("no-such-process", command)?;
    no_file(&new)?;
    // Of what is sampled now nothing is left, of a recording all of it.
    let target = python()?;
    let full = disk.path().join("memory.json");
    let mut command = mounted("size=4k", disk.path());
    command.args(["memory", "-d", "1", "-f", "json", "--pid", &target.pid().to_string(), "-o"]).arg(&full);
    let output = command.output()?;
    let text = String::from_utf8(output.stderr)?;
    // How sampling went comes before it.
    let at = text.rfind("rspy: ").ok_or("it says nothing")?;
    is_message("disk-full", &text[at..])?;
    if output.status.code() != Some(1) {
        return Err(format!("{}: {text}", output.status).into());
    }
    let with_memory = folder.path().join("memory.rspy");
    let mut command = rspy();
    command
        .args(["record", "--memory", "-d", "1", "--pid", &target.pid().to_string(), "-o"])
        .arg(&with_memory);
    if !command.output()?.status.success() {
        return Err("it could not be recorded".into());
    }
    let mut command = mounted("size=4k", disk.path());
    command.arg("memory").arg(&with_memory).args(["-f", "json", "-o"]).arg(&full);
    fails("report-full", command).map(drop)
}
