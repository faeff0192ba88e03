//! Heaps that cannot be copied, saved or read, and what is not in them.

use std::fs;
use std::path::Path;

use rspy_tests::Outcome;

use crate::scene::{fails, python, rspy};

/// `rspy heap` of a process, with `options`.
fn fails_of_process(id: &str, options: &[&str]) -> Outcome {
    let python = python()?;
    let mut rspy = rspy();
    rspy.args(["heap", "--pid", &python.pid().to_string()]).args(options);
    fails(id, rspy).map(drop)
}

/// `rspy heap` of a file with these bytes.
fn fails_of_file(id: &str, bytes: &[u8]) -> Outcome {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("app.heap");
    fs::write(&file, bytes)?;
    let mut rspy = rspy();
    rspy.arg("heap").arg(&file);
    fails(id, rspy).map(drop)
}

pub fn limit() -> Outcome {
    fails_of_process("heap-limit", &["--limit", "1kB"])
}

pub fn missing() -> Outcome {
    let mut rspy = rspy();
    rspy.args(["heap", "/nowhere/app.heap"]);
    fails("heap-missing", rspy).map(drop)
}

pub fn foreign() -> Outcome {
    fails_of_file("heap-foreign", b"a text, and no heap")
}

pub fn damaged() -> Outcome {
    fails_of_file("heap-damaged", b"rspyheap\x01and what follows is not what was written")
}

pub fn saving() -> Outcome {
    let python = python()?;
    let mut rspy = rspy();
    rspy.args(["heap", "save"])
        .arg(Path::new("/nowhere/app.heap"))
        .args(["--pid", &python.pid().to_string()]);
    fails("heap-saving", rspy).map(drop)
}

pub fn address() -> Outcome {
    fails_of_process("heap-address", &["--why", "0x10"])
}

pub fn no_type() -> Outcome {
    fails_of_process("heap-type", &["--why", "NoSuchTypeAnywhere"])
}

pub fn sort() -> Outcome {
    fails_of_process("heap-sort", &["--top", "--sort", "retained"])
}

pub fn folder() -> Outcome {
    let folder = tempfile::tempdir()?;
    let mut rspy = rspy();
    rspy.arg("heap").arg(folder.path());
    fails("heap-folder", rspy).map(drop)
}

pub fn version() -> Outcome {
    fails_of_file("heap-version", b"rspyheap\xfe and what no rspy of today has written")
}

pub fn picture() -> Outcome {
    fails_of_process("heap-picture", &["--retained", "-o", "/dev/full"])
}
