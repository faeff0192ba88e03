//! Programs and libraries that read our files, in the user's cache: npm, pip and apt-get fetch them when they are not there.

#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

/// Whether `command` can be run. Where CI needs it, it must be there; elsewhere it is said that `test` is skipped.
pub fn has(command: &str, test: &str) -> bool {
    if Command::new(command).arg("--version").output().is_ok() {
        return true;
    }
    assert_ne!(env::var("CI").as_deref(), Ok("true"), "{command} is not installed");
    eprintln!("skipped {test}: {command} is not installed");
    false
}

/// The folder that `package` of npm, as in `speedscope@1.25.0`, is installed in; `None` if that cannot be and need not.
pub fn npm(test: &str, package: &str) -> Option<PathBuf> {
    if !has("npm", test) {
        return None;
    }
    let (name, _) = package.rsplit_once('@').expect("a version");
    let folder = cached(test, "viewers", package, |making| {
        let quiet = ["install", "--no-audit", "--no-fund", "--ignore-scripts", "--silent"];
        run(Command::new("npm").args(quiet).arg(package).arg("--prefix").arg(making));
    })?;
    Some(folder.join("node_modules").join(name))
}

/// The Python of an environment with `package`, as in `opentelemetry-proto==1.45.2`; `None` if that cannot be and need not.
pub fn python(test: &str, package: &str) -> Option<PathBuf> {
    if !has("python3", test) {
        return None;
    }
    let folder = cached(test, "python", package, |making| {
        run(Command::new("python3").args(["-m", "venv"]).arg(making));
        let quiet = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"];
        run(Command::new(making.join("bin/python")).args(quiet).arg(package));
    })?;
    Some(folder.join("bin/python"))
}

/// The command that is `program`, as in `usr/bin/jq`, in Debian's `packages`: the installed one if there is one, else what
/// the packages hold, unpacked; `None` if that cannot be and need not.
pub fn debian(test: &str, program: &str, packages: &[&str]) -> Option<Command> {
    let name = Path::new(program).file_name().expect("a file");
    if Command::new(name).arg("--version").output().is_ok() {
        return Some(Command::new(name));
    }
    if !has("apt-get", test) {
        return None;
    }
    let folder = cached(test, "debian", &packages.join("+"), |making| {
        run(Command::new("apt-get").args(["download", "--quiet"]).args(packages).current_dir(making));
        for package in fs::read_dir(making).expect("a folder").map(|entry| entry.expect("an entry").path()) {
            run(Command::new("dpkg").arg("--extract").arg(package).arg(making));
        }
    })?;
    let mut command = Command::new(folder.join(program));
    command.env("LD_LIBRARY_PATH", folder.join("usr/lib/x86_64-linux-gnu"));
    Some(command)
}

/// A folder in the cache, filled by `make` if it is not there.
fn cached(test: &str, kind: &str, package: &str, make: impl FnOnce(&Path)) -> Option<PathBuf> {
    let cache = env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".cache")))?;
    let folder = cache.join("rspy").join(kind).join(package);
    if !folder.exists() {
        // Made beside it and moved, since another test may do the same at this moment.
        let making = folder.with_extension(format!("{test}-{}", std::process::id()));
        fs::create_dir_all(&making).expect("a writable cache");
        make(&making);
        if fs::rename(&making, &folder).is_err() {
            fs::remove_dir_all(&making).expect("a folder of our own");
        }
    }
    Some(folder)
}

/// What a command that must succeed prints.
pub fn run(command: &mut Command) -> String {
    let output = command.output().expect("a command that starts");
    assert!(output.status.success(), "{command:?}: {output:?}");
    String::from_utf8(output.stdout).expect("text")
}
