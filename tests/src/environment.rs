//! Virtual environments with the packages that real programs are made of.

use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::fs::{FlockOperation, flock};

use crate::interpreters::{Interpreter, workspace};
use crate::{Outcome, packages};

/// What is installed and does not come as a wheel.
const BUILT_FROM_SOURCE: &str = "uWSGI";

/// A virtual environment that lasts from run to run.
#[derive(Clone, Debug)]
pub struct Environment {
    folder: PathBuf,
}

impl Environment {
    /// The environment of `interpreter` with what `tests/programs/requirements` says for it, in the user's cache
    /// folder. The first who asks for it makes it, from PyPI.
    pub fn of(interpreter: &Interpreter) -> Outcome<Environment> {
        let (major, minor) = interpreter.minor();
        let threading = if interpreter.is_free_threaded() { "t" } else { "" };
        let pins = programs().join(format!("requirements/{major}.{minor}{threading}.txt"));
        let text = fs::read_to_string(&pins).map_err(|error| format!("{}: {error}", pins.display()))?;
        let mut hasher = DefaultHasher::new();
        (text, &interpreter.path).hash(&mut hasher);
        let name = format!("programs-{:016x}-{}", hasher.finish(), interpreter.version);
        let folder = packages::cache()?.join(name);

        fs::create_dir_all(folder.parent().ok_or("the cache is no folder")?)?;
        let lock = File::create(folder.with_extension("lock"))?;
        flock(&lock, FlockOperation::LockExclusive)?;
        let complete = folder.join("complete");
        if !complete.exists() {
            make(&folder, interpreter, &pins)?;
            File::create(complete)?;
        }
        Ok(Environment { folder })
    }

    /// Where it is.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where its packages are.
    pub fn packages(&self) -> PathBuf {
        self.folder.join("lib")
    }

    /// The executable `name` of it.
    pub fn executable(&self, name: &str) -> PathBuf {
        self.folder.join("bin").join(name)
    }
}

/// The folder of the programs.
pub fn programs() -> PathBuf {
    workspace().join("tests/programs")
}

fn make(folder: &Path, interpreter: &Interpreter, pins: &Path) -> Outcome {
    succeed(Command::new(&interpreter.path).args(["-m", "venv", "--clear"]).arg(folder))?;
    let mut install = Command::new(folder.join("bin/python"));
    install.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]);
    install.args(["--only-binary", ":all:", "--no-binary", BUILT_FROM_SOURCE, "--requirement"]).arg(pins);
    succeed(&mut install)
}

/// Runs `command` to its end, and fails with its last words if it fails.
pub fn succeed(command: &mut Command) -> Outcome {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    let last: Vec<&str> = said.lines().rev().take(20).collect();
    let last: Vec<&str> = last.into_iter().rev().collect();
    Err(format!("{command:?}: {}\n{}", output.status, last.join("\n")).into())
}
