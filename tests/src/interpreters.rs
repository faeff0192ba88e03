//! The CPythons that tests run against, as `tools/pythons` finds or provides them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::Deserialize;

/// One CPython.
#[derive(Clone, Debug, Deserialize)]
pub struct Interpreter {
    /// `3.13`, `3.13t` (free-threaded), `3.13d` (debug build), `3.11-debian`; part of the names of tests.
    #[serde(skip)]
    pub label: String,
    /// The executable.
    pub path: PathBuf,
    /// The whole version, as in `3.13.0`.
    pub version: String,
    /// `t`, `d`, or `m` up to 3.7.
    pub abiflags: String,
    /// `sys.prefix`: what PYTHONHOME must be for a copy of the executable.
    pub prefix: PathBuf,
    /// Where it came from: `pyenv`, `debian`, `built`, `system`.
    pub source: String,
    /// The folder of `Python.h`.
    pub include: PathBuf,
}

impl Interpreter {
    /// Major and minor version.
    pub fn minor(&self) -> (u32, u32) {
        let mut numbers = self.version.split('.').map_while(|number| number.parse().ok());
        (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
    }

    /// Whether it was built without the GIL.
    pub fn is_free_threaded(&self) -> bool {
        self.abiflags.contains('t')
    }

    /// The folder of the standard library.
    pub fn library(&self) -> PathBuf {
        let (major, minor) = self.minor();
        let threading = if self.is_free_threaded() { "t" } else { "" };
        self.prefix.join(format!("lib/python{major}.{minor}{threading}"))
    }

    /// The shared library that holds the interpreter, if the executable does not hold it itself.
    pub fn shared_library(&self) -> Option<PathBuf> {
        let (major, minor) = self.minor();
        let name = format!("libpython{major}.{minor}{}.so.1.0", self.abiflags);
        let path = self.prefix.join("lib").join(name);
        path.exists().then_some(path)
    }
}

/// The root of the workspace.
pub fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests are in a folder of the workspace")
}

/// Whether this run must not skip anything.
pub fn in_ci() -> bool {
    std::env::var_os("CI").is_some_and(|value| value == "true")
}

/// Every CPython there is; what is missing is listed on stderr.
///
/// # Panics
/// If `tools/pythons` fails: in CI, where it has to provide all of them, that fails the test.
pub fn all() -> Vec<Interpreter> {
    let found: BTreeMap<String, Option<Interpreter>> =
        serde_json::from_slice(&listing()).expect("the list of interpreters is JSON");
    let mut interpreters = Vec::new();
    for (label, interpreter) in found {
        match interpreter {
            Some(interpreter) => interpreters.push(Interpreter { label, ..interpreter }),
            None => eprintln!("skipped: CPython {label} is not here; tools/pythons {label} provides it"),
        }
    }
    interpreters
}

fn listing() -> Vec<u8> {
    if let Some(file) = std::env::var_os("RSPY_PYTHONS") {
        return std::fs::read(file).expect("RSPY_PYTHONS names a readable file");
    }
    let mut command = Command::new(workspace().join("tools/pythons"));
    command.arg("--json").stderr(Stdio::inherit());
    if !in_ci() {
        command.arg("--found");
    }
    let output = command.output().expect("tools/pythons runs");
    assert!(output.status.success(), "tools/pythons did not provide every interpreter");
    output.stdout
}
