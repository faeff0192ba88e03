//! Recordings that cannot be read or written, and reports that cannot be made of them.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use rspy_tests::Outcome;

use crate::output::mounted;
use crate::scene::{AS_NOBODY, Public, fails, is_message, python, record, rspy};

/// What a file begins with, by docs/recording.md.
const HEADER: [u8; 12] = *b"\x89rspy\r\n\x1a\x01\0\0\0";

/// A report of `file`.
fn report(mut rspy: Command, file: &Path) -> Command {
    rspy.arg("report").arg(file);
    rspy
}

/// Whether a report of a file with these bytes fails as the row `id` says.
fn fails_with(id: &str, bytes: &[u8]) -> Outcome {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("app.rspy");
    fs::write(&file, bytes)?;
    fails(id, report(rspy(), &file)).map(drop)
}

/// A short recording in `folder`.
pub fn recorded(folder: &Path) -> Outcome<PathBuf> {
    let file = folder.join("app.rspy");
    let output = record(rspy(), python()?.pid(), &file).output()?;
    if output.status.success() { Ok(file) } else { Err(format!("{output:?}").into()) }
}

/// A block with `sections`, of fewer than 256 bytes. zstd's frame holds them as they are: no codec is asked (RFC 8878,
/// 3.1.1: magic, a descriptor that says that one byte of length follows, and one block, the last, of the raw kind).
fn block(sections: &[u8]) -> Outcome<Vec<u8>> {
    let length = u8::try_from(sections.len())?;
    let header = (u32::from(length) << 3 | 1).to_le_bytes();
    let frame = [&[0x28, 0xb5, 0x2f, 0xfd, 0x20, length], &header[..3], sections].concat();
    let numbers = [u32::try_from(frame.len())?.to_le_bytes(), u32::from(length).to_le_bytes()].concat();
    let checksum = crc32fast::hash(&[numbers.as_slice(), &frame].concat());
    Ok([numbers.as_slice(), &checksum.to_le_bytes(), &frame].concat())
}

pub fn missing() -> Outcome {
    fails("recording-missing", report(rspy(), Path::new("/nowhere/app.rspy"))).map(drop)
}

pub fn permission() -> Outcome {
    let public = Public::new()?;
    let folder = tempfile::tempdir()?;
    let file = recorded(folder.path())?;
    fs::set_permissions(&file, Permissions::from_mode(0o600))?;
    fails("recording-permission", report(public.by(AS_NOBODY), &file)).map(drop)
}

pub fn unreadable() -> Outcome {
    let folder = tempfile::tempdir()?;
    fails("recording-unreadable", report(rspy(), folder.path()))?;
    let link = folder.path().join("loop");
    symlink(&link, &link)?;
    fails("recording-unreadable", report(rspy(), &link)).map(drop)
}

pub fn foreign() -> Outcome {
    fails_with("recording-foreign", b"\x89PNG\r\n\x1a\n")?;
    fails_with("recording-foreign", b"")
}

pub fn foreign_version() -> Outcome {
    fails_with("foreign-version", b"MOJ\x09")
}

/// A profile whose one sample is of a frame that is not there.
pub fn foreign_damaged() -> Outcome {
    let file = r#"{"$schema": "https://www.speedscope.app/file-format-schema.json", "shared": {"frames": []}, "profiles": [
        {"type": "sampled", "name": "x", "unit": "none", "startValue": 0, "endValue": 1, "samples": [[7]], "weights": [1]}]}"#;
    fails_with("foreign-damaged", file.as_bytes())
}

pub fn foreign_cut() -> Outcome {
    let file = r#"{"$schema": "https://www.speedscope.app/file-format-schema.json", "shared": {"frames": []}, "profiles": ["#;
    fails_with("foreign-cut", file.as_bytes())
}

pub fn no_changes() -> Outcome {
    let mut command = report(rspy(), Path::new("after.rspy"));
    command.args(["--diff", "before.rspy", "-f", "raw"]);
    fails("no-changes", command).map(drop)
}

pub fn view_format() -> Outcome {
    let mut command = report(rspy(), Path::new("app.rspy"));
    command.args(["--view", "flame", "-f", "raw"]);
    fails("view-format", command).map(drop)
}

pub fn view_changes() -> Outcome {
    let mut command = report(rspy(), Path::new("after.rspy"));
    command.args(["--diff", "before.rspy", "-f", "flamegraph", "--view", "time"]);
    fails("view-changes", command).map(drop)
}

pub fn empty() -> Outcome {
    fails_with("recording-empty", &HEADER)?;
    fails_with("recording-empty", &HEADER[..5])
}

pub fn version() -> Outcome {
    let mut header = HEADER;
    header[8] = 9;
    fails_with("recording-version", &header)
}

/// Its checksums are right, and a frame in it is of no kind.
pub fn damaged() -> Outcome {
    let bytes = [HEADER.to_vec(), block(b"\x01\x02{}")?, block(b"\x03\x01\x63")?].concat();
    fails_with("recording-damaged", &bytes)
}

pub fn itself() -> Outcome {
    let folder = tempfile::tempdir()?;
    let file = recorded(folder.path())?;
    let mut command = report(rspy(), &file);
    command.arg("-o").arg(&file);
    fails("recording-itself", command).map(drop)
}

pub fn exceptions() -> Outcome {
    let folder = tempfile::tempdir()?;
    let mut command = report(rspy(), &recorded(folder.path())?);
    command.args(["--mode", "exception"]);
    fails("report-exception", command).map(drop)
}

pub fn full() -> Outcome {
    let (disk, target) = (tempfile::tempdir()?, python()?);
    // What begins it has room there.
    let mut command = mounted("size=4k", disk.path());
    command.args(["record", "--rate", "20k", "--pid", &target.pid().to_string(), "--output"]);
    command.arg(disk.path().join("app.rspy"));
    fails("recording-full", command).map(drop)
}

pub fn report_full() -> Outcome {
    let (folder, disk) = (tempfile::tempdir()?, tempfile::tempdir()?);
    let mut command = report(mounted("size=4k", disk.path()), &recorded(folder.path())?);
    command.arg("--idle").arg("-o").arg(disk.path().join("profile.svg"));
    fails("report-full", command).map(drop)
}

pub fn no_recording() -> Outcome {
    let mut command = record(rspy(), 1, Path::new("profile.svg"));
    command.args(["--rotate", "1h"]);
    fails("limits", command).map(drop)
}

pub fn memory_format() -> Outcome {
    let mut command = record(rspy(), 1, Path::new("profile.svg"));
    command.arg("--memory");
    fails("memory-format", command).map(drop)
}

pub fn memory_none() -> Outcome {
    let folder = tempfile::tempdir()?;
    let mut command = rspy();
    command.arg("memory").arg(recorded(folder.path())?);
    fails("memory-none", command).map(drop)
}

/// `rspy lines` of what is meant to be started.
pub fn looks_like_command() -> Outcome {
    for (command, words) in [
        ("lines", &["python3", "app.py"][..]),
        ("stats", &["app.py"]),
        ("lines", &["/usr/bin/python3", "-r", "50"]),
    ] {
        let mut rspy = rspy();
        rspy.arg(command).args(words);
        let message = fails("looks-like-command", rspy)?;
        if !message.contains(&format!("    rspy {command} -- {}", words.join(" "))) {
            return Err(message.into());
        }
    }
    Ok(())
}

/// Whether `command` of a recording says what the row `id` does, and shows nothing.
fn shows_nothing(id: &str, words: &[&str]) -> Outcome {
    let folder = tempfile::tempdir()?;
    let file = recorded(folder.path())?;
    let output = rspy().args(words).arg(&file).output()?;
    if !output.status.success() {
        return Err(format!("{output:?}").into());
    }
    is_message(id, &String::from_utf8(output.stderr)?)
}

pub fn no_lines() -> Outcome {
    shows_nothing("no-lines", &["lines", "--mode", "gil", "--thread", "nosuch"])
}

pub fn no_such_function() -> Outcome {
    shows_nothing("no-such-function", &["lines", "--function", "nosuch"])
}

pub fn no_functions() -> Outcome {
    shows_nothing("no-functions", &["stats", "--thread", "nosuch"])
}

pub fn no_match() -> Outcome {
    shows_nothing("no-match", &["stats", "--function", "nosuch"])
}
