//! What cannot be written, and commands that cannot be started.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rspy_tests::rspy::binary;
use rspy_tests::{Outcome, process};
use rustix::process::Signal;
use tempfile::TempDir;

use crate::scene::{
    AS_NOBODY, Public, WAIT, dump, fails, install, is_message, python, python_by, record, rspy,
};

pub fn output_folder() -> Outcome {
    fails("output-folder", record(rspy(), python()?.pid(), Path::new("/nowhere/at/all"))).map(drop)
}

pub fn output_no_folder() -> Outcome {
    let file = tempfile::NamedTempFile::new()?;
    fails("output-no-folder", record(rspy(), python()?.pid(), &file.path().join("profile.svg"))).map(drop)
}

pub fn output_is_folder() -> Outcome {
    let folder = tempfile::tempdir()?;
    fails("output-is-folder", record(rspy(), python()?.pid(), folder.path())).map(drop)
}

pub fn output_permission() -> Outcome {
    let (public, target) = (Public::new()?, python_by(AS_NOBODY, WAIT)?);
    let file = public.path("profile.svg");
    fails("output-permission", record(public.by(AS_NOBODY), target.pid(), &file)).map(drop)
}

/// The binary with a file system of its own on `folder`.
pub fn mounted(options: &str, folder: &Path) -> Command {
    let mut command = Command::new("unshare");
    let script = "mount -t tmpfs -o \"$1\" none \"$2\" && shift 2 && exec \"$@\"";
    command.args(["--mount", "sh", "-c", script, "sh", options]).arg(folder).arg(binary());
    command
}

pub fn output_read_only() -> Outcome {
    let (folder, target) = (tempfile::tempdir()?, python()?);
    let file = folder.path().join("profile.svg");
    fails("output-read-only", record(mounted("ro", folder.path()), target.pid(), &file)).map(drop)
}

pub fn output_full() -> Outcome {
    let (folder, target) = (tempfile::tempdir()?, python()?);
    let file = folder.path().join("profile.svg");
    // The folder itself takes the only file there can be.
    fails("output-full", record(mounted("nr_inodes=1", folder.path()), target.pid(), &file)).map(drop)
}

pub fn output_other() -> Outcome {
    let folder = tempfile::tempdir()?;
    let link = folder.path().join("loop");
    symlink(&link, &link)?;
    fails("output-other", record(rspy(), python()?.pid(), &link)).map(drop)
}

pub fn disk_full() -> Outcome {
    let (folder, target) = (tempfile::tempdir()?, python()?);
    fails("disk-full", record(rspy(), target.pid(), Path::new("/dev/full")))?;
    let file = folder.path().join("profile.svg");
    fails("disk-full", record(mounted("size=4k", folder.path()), target.pid(), &file)).map(drop)
}

/// The binary, its descriptors as `redirection` says.
fn redirected(redirection: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", &format!("exec \"$@\" {redirection}"), "sh"]).arg(binary());
    command
}

pub fn stdout_full() -> Outcome {
    fails("stdout-full", dump(redirected(">/dev/full"), python()?.pid())).map(drop)
}

/// A recording of the command `program`.
fn record_command(program: &str) -> Command {
    let mut command = rspy();
    command.args(["record", "--output", "/dev/null", "--", program]);
    command
}

pub fn no_program() -> Outcome {
    fails("no-program", record_command("no-such-program-anywhere")).map(drop)
}

pub fn no_file() -> Outcome {
    fails("no-file", record_command("/nowhere/at/all")).map(drop)
}

/// A script that does not say what it is for, in `folder`.
fn script(folder: &TempDir) -> Outcome<PathBuf> {
    let file = folder.path().join("script");
    fs::write(&file, "print('a script')\n")?;
    Ok(file)
}

pub fn not_executable() -> Outcome {
    let folder = tempfile::tempdir()?;
    fails("not-executable", record_command(&script(&folder)?.display().to_string())).map(drop)
}

pub fn no_format() -> Outcome {
    let folder = tempfile::tempdir()?;
    let executable = folder.path().join("executable");
    install(&script(&folder)?, &executable)?;
    fails("no-format", record_command(&executable.display().to_string())).map(drop)
}

pub fn ended() -> Outcome {
    fails("ended", record_command("true")).map(drop)
}

pub fn killed() -> Outcome {
    let mut command = record_command("sh");
    command.args(["-c", "kill -KILL $$"]);
    fails("killed", command).map(drop)
}

pub fn no_python() -> Outcome {
    let mut command = record_command("sleep");
    command.arg("1000");
    fails("no-python", command).map(drop)
}

pub fn interrupted() -> Outcome {
    let mut command = record_command("sleep");
    command.arg("1000");
    let rspy = command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn()?;
    process::wait_until("the command runs", || {
        let name = |child: &u32| fs::read_to_string(format!("/proc/{child}/comm"));
        process::children(rspy.id()).iter().any(|child| name(child).is_ok_and(|name| name == "sleep\n"))
    })?;
    process::send(rspy.id(), Signal::INT)?;
    let output = rspy.wait_with_output()?;
    is_message("interrupted", &String::from_utf8(output.stderr)?)?;
    if output.status.code() == Some(1) { Ok(()) } else { Err(output.status.to_string().into()) }
}

pub fn contradiction() -> Outcome {
    let mut command = record(rspy(), 1, Path::new("/dev/null"));
    command.args(["--function", "--nolineno"]);
    fails("contradiction", command).map(drop)
}

/// Without stdin, stdout or stderr nothing goes wrong, but that what would be said there is lost; above all, a
/// recording does not take their numbers and end up with messages in it.
pub fn closed_descriptors() -> Outcome {
    let (folder, target) = (tempfile::tempdir()?, python()?);
    let file = folder.path().join("profile.raw");
    for closed in ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"] {
        let mut recording = record(redirected(closed), target.pid(), &file);
        recording.args(["--format", "raw"]);
        for mut command in [dump(redirected(closed), target.pid()), recording] {
            let output = command.output()?;
            if !output.status.success() || String::from_utf8_lossy(&output.stderr).contains("panicked") {
                return Err(format!("with {closed}: {output:?}").into());
            }
        }
        let written = fs::read_to_string(&file)?;
        if written.is_empty() || written.contains("rspy") {
            return Err(format!("with {closed} the recording is {written:?}").into());
        }
        fs::remove_file(&file)?;
    }
    Ok(())
}
