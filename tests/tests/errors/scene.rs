//! What the tests are made of: processes that wait, users without rights, and rspy as it fails.

use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use rspy_tests::Outcome;
use rspy_tests::documented::is_documented;
use rspy_tests::interpreters::{self, Interpreter};
use rspy_tests::process::{self, DEADLINE};
use rspy_tests::rspy::binary;
use rspy_tests::target::clean_command;
use tempfile::TempDir;

/// A user that owns nothing, by Debian's number.
pub const NOBODY: &str = "65534";

/// Says that it is there, and stays until its stdin is closed.
pub const WAIT: &str = "import sys; sys.stdout.write('ready\\n'); sys.stdout.flush(); sys.stdin.read()";

/// A process that has said that it is there; dropping it kills it.
pub struct Waiting {
    child: Child,
    /// The folder of its executable, if that was made for it: kept as long.
    pub folder: Option<TempDir>,
}

impl Waiting {
    /// Starts `command` and waits until it has written `lines` lines.
    pub fn start(mut command: Command, lines: usize) -> Outcome<Waiting> {
        let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let child = child.map_err(|error| format!("{command:?}: {error}"))?;
        let mut waiting = Waiting { child, folder: None };
        let mut output = BufReader::new(waiting.child.stdout.take().ok_or("no stdout")?);
        let mut line = String::new();
        for _ in 0..lines {
            if !output.buffer().contains(&b'\n') {
                process::wait_readable(output.get_ref(), Instant::now() + DEADLINE)?;
            }
            if output.read_line(&mut line)? == 0 {
                return Err(format!("{command:?} ended: {line}").into());
            }
        }
        Ok(waiting)
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        // It may have ended before, which is what is wanted.
        drop(self.child.stdin.take());
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The Python of the system, which every user may run.
pub fn system_python() -> &'static Path {
    Path::new("/usr/bin/python3")
}

/// A Python that runs `script`, which waits, started by `prefix` (a program and its options).
pub fn python_by(prefix: &[&str], script: &str) -> Outcome<Waiting> {
    let words: Vec<&OsStr> = prefix.iter().map(OsStr::new).chain([system_python().as_os_str()]).collect();
    let mut command = clean_command(Path::new(words[0]));
    command.args(&words[1..]).args(["-c", script]);
    Waiting::start(command, 1)
}

pub fn python() -> Outcome<Waiting> {
    python_by(&[], WAIT)
}

/// What runs a program as a user that owns nothing.
pub const AS_NOBODY: &[&str] =
    &["setpriv", "--reuid", NOBODY, "--regid", NOBODY, "--clear-groups", "--no-new-privs"];

/// Makes an executable `copy` of `original`, in another process: a file that any process has open for writing cannot
/// be executed, and what this one has open its children have, too, until they have become another program.
pub fn install(original: &Path, copy: &Path) -> Outcome {
    let status = Command::new("install").args(["--mode", "755", "--"]).arg(original).arg(copy).status()?;
    if status.success() { Ok(()) } else { Err(format!("{} cannot be made", copy.display()).into()) }
}

/// The binary where everybody may execute it.
pub struct Public {
    folder: TempDir,
}

impl Public {
    pub fn new() -> Outcome<Public> {
        let folder = tempfile::tempdir()?;
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755))?;
        let public = Public { folder };
        install(binary(), &public.path("rspy"))?;
        Ok(public)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The binary, started by `prefix`.
    pub fn by(&self, prefix: &[&str]) -> Command {
        let mut command = Command::new(prefix[0]);
        command.args(&prefix[1..]).arg(self.path("rspy"));
        command
    }
}

pub fn rspy() -> Command {
    Command::new(binary())
}

pub fn dump(mut rspy: Command, pid: u32) -> Command {
    rspy.args(["dump", "--pid", &pid.to_string()]);
    rspy
}

/// A short recording of `pid` into `file`.
pub fn record(mut rspy: Command, pid: u32, file: &Path) -> Command {
    rspy.args(["record", "--idle", "--duration", "0.2", "--pid", &pid.to_string(), "--output"]).arg(file);
    rspy
}

/// Runs `command`, which must fail as the row `id` says and in no other way. Gives the message.
pub fn fails(id: &str, mut command: Command) -> Outcome<String> {
    let output = command.stdin(Stdio::null()).output().map_err(|error| format!("{command:?}: {error}"))?;
    let message = String::from_utf8(output.stderr)?;
    if output.status.code() != Some(1) {
        return Err(format!("{command:?} ended with {}: {message}", output.status).into());
    }
    is_message(id, &message)?;
    Ok(message)
}

/// Whether `message` is all that a failure prints.
pub fn is_message(id: &str, message: &str) -> Outcome {
    let text = message.strip_prefix("rspy: ").ok_or_else(|| format!("not rspy's message: {message}"))?;
    is_documented(id, text)
}

/// Both commands, since both attach.
pub fn fails_to_attach(id: &str, pid: u32) -> Outcome {
    fails(id, dump(rspy(), pid))?;
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("profile.svg");
    fails(id, record(rspy(), pid, &file))?;
    if file.exists() { Err("a recording that never began left a file".into()) } else { Ok(()) }
}

/// A process that runs `executable`, which waits for input.
pub fn running(executable: &Path) -> Outcome<Waiting> {
    let executable = executable.canonicalize()?;
    let waiting = Waiting::start(Command::new(&executable), 0)?;
    let (pid, link) = (waiting.pid(), format!("/proc/{}/exe", waiting.pid()));
    // The link is there before the program is; only when it sleeps it has begun.
    process::wait_until("it waits", || {
        fs::read_link(&link).is_ok_and(|path| path == executable) && process::state(pid, pid) == Some('S')
    })?;
    Ok(waiting)
}

pub fn interpreter(label: &str) -> Outcome<Interpreter> {
    let found = interpreters::all().into_iter().find(|interpreter| interpreter.label == label);
    found.ok_or_else(|| format!("CPython {label} is not here; tools/pythons {label} provides it").into())
}
