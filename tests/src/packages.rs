//! Packages from PyPI that some tests need, kept in the user's cache folder.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::fs::{FlockOperation, flock};

use crate::Outcome;
use crate::interpreters::{self, Interpreter, in_ci};

/// The folder to put on PYTHONPATH for `package` (`NAME==VERSION`, or `NAME` for what suits the interpreter), with
/// `bin` below for its commands. Installed once, by the pip of `python`; `label` keeps interpreters apart.
///
/// None if it cannot be had, which stderr says.
///
/// # Errors
/// In CI, where nothing may be missing.
pub fn provide(python: &Path, label: &str, package: &str) -> Outcome<Option<PathBuf>> {
    let folder = cache()?.join("packages").join(format!("{package}-for-{label}"));
    // Tests that run at the same time wait for the one that installs.
    std::fs::create_dir_all(folder.parent().ok_or("no folder for packages")?)?;
    let lock = File::create(folder.with_extension("lock"))?;
    flock(&lock, FlockOperation::LockExclusive)?;
    if folder.exists() {
        return Ok(Some(folder));
    }
    let unfinished = folder.with_extension("unfinished");
    let output = Command::new(python)
        .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"])
        .args(["--only-binary", ":all:", "--upgrade", "--target"])
        .arg(&unfinished)
        .arg(package)
        .stdin(Stdio::null())
        .output()?;
    if output.status.success() {
        std::fs::rename(&unfinished, &folder)?;
        return Ok(Some(folder));
    }
    let why = format!("{package} cannot be installed: {}", String::from_utf8_lossy(&output.stderr));
    if in_ci() {
        return Err(why.into());
    }
    eprintln!("skipped: {why}");
    Ok(None)
}

/// The program py-spy 0.4.3; None if it cannot be had, which stderr says.
///
/// # Errors
/// In CI, where nothing may be missing.
pub fn py_spy() -> Outcome<Option<PathBuf>> {
    let python = installer()?;
    let folder = provide(&python.path, &python.label, "py-spy==0.4.3")?;
    Ok(folder.map(|folder| folder.join("bin/py-spy")))
}

/// The folder of gunicorn and what it needs, for PYTHONPATH: Python alone, the same for every interpreter, some of
/// which have no pip. None if it cannot be had, which stderr says.
///
/// # Errors
/// In CI, where nothing may be missing.
pub fn gunicorn() -> Outcome<Option<[PathBuf; 2]>> {
    let python = installer()?;
    let folder = |package| provide(&python.path, "every-version", package);
    Ok(folder("gunicorn==23.0.0")?.zip(folder("packaging==25.0")?).map(<[PathBuf; 2]>::from))
}

/// The folders of line_profiler for `interpreter` and what it needs, for PYTHONPATH. None if it cannot be had, which
/// stderr says.
///
/// # Errors
/// In CI, where nothing may be missing.
pub fn line_profiler(interpreter: &Interpreter) -> Outcome<Option<[PathBuf; 3]>> {
    // The last that has 3.8.
    let package = if interpreter.minor() < (3, 9) { "line_profiler==5.0.2" } else { "line_profiler==5.1.0" };
    let folder = |package| provide(&interpreter.path, &interpreter.label, package);
    let needed = folder("tomli==2.2.1")?.zip(folder("typing_extensions==4.13.2")?);
    Ok(folder(package)?.zip(needed).map(|(own, (tomli, extensions))| [own, tomli, extensions]))
}

/// An interpreter that has pip.
fn installer() -> Outcome<Interpreter> {
    let installers = ["3.12", "3.11", "3.13", "3.10"];
    let all = interpreters::all();
    let found = installers.iter().find_map(|label| all.iter().find(|python| python.label == *label));
    Ok(found.ok_or("no interpreter that can install packages")?.clone())
}

/// The folder for what tests keep from run to run.
pub(crate) fn cache() -> Outcome<PathBuf> {
    if let Some(folder) = std::env::var_os("XDG_CACHE_HOME") {
        return Ok(PathBuf::from(folder).join("rspy"));
    }
    let home = std::env::var_os("HOME").ok_or("HOME is not set")?;
    Ok(PathBuf::from(home).join(".cache/rspy"))
}
