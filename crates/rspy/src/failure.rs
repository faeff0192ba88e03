//! What a user is told when something went wrong: the cause that was found, and
//! what to do.

use std::fmt;
use std::io;
use std::path::Path;

use rspy_cpython::{FindError, layout};
use rspy_process::{ProcessError, ReadError};

/// A failed command.
#[derive(Debug)]
pub struct Failure {
    cause: String,
    advice: String,
    broken_pipe: bool,
}

impl Failure {
    /// A failure with its cause and what to do, both whole sentences.
    pub fn new(cause: impl Into<String>, advice: impl Into<String>) -> Failure {
        Failure { cause: cause.into(), advice: advice.into(), broken_pipe: false }
    }

    /// Writing to `place` failed.
    pub fn writing(place: &str, error: &io::Error) -> Failure {
        let advice = match error.kind() {
            io::ErrorKind::PermissionDenied => "Choose a file you may write with -o FILE.",
            io::ErrorKind::NotFound => "Create that folder first, or choose another with -o FILE.",
            io::ErrorKind::StorageFull => "Make room there, or choose a file on another disk with -o FILE.",
            _ => "Choose another file with -o FILE.",
        };
        Failure {
            broken_pipe: error.kind() == io::ErrorKind::BrokenPipe,
            ..Failure::new(format!("Writing to {place} failed: {error}."), advice)
        }
    }

    /// Looking at process `pid` failed.
    pub fn attaching(pid: u32, error: &FindError) -> Failure {
        match error {
            FindError::Process(ProcessError::Denied { .. }) | FindError::Read(ReadError::Denied) => {
                denied(pid)
            }
            FindError::Process(ProcessError::NoSuchProcess { .. }) => Failure::new(
                format!("No process has the id {pid}."),
                "`ps -ef | grep python` lists those that run; in a container, use the id it has there.",
            ),
            FindError::Process(error) => {
                Failure::new(format!("Process {pid} cannot be looked at: {error}."), "Choose one that runs.")
            }
            FindError::Read(ReadError::Gone) => {
                Failure::new(format!("Process {pid} has exited."), "Choose one that runs.")
            }
            FindError::NotPython { executable } => Failure::new(
                format!("Process {pid} runs {}: {error}.", executable.display()),
                "If it starts Python as a child, give that one's id; if it embeds Python, it may not have \
                 started it yet.",
            ),
            FindError::NotReady => {
                Failure::new(format!("Process {pid} runs Python, but {error}."), "Try again in a moment.")
            }
            FindError::Unsupported(layout::LayoutError::UnknownVersion { .. }) => Failure::new(
                format!("Process {pid} cannot be read: {error}."),
                "A newer rspy may know that version.",
            ),
            FindError::Unsupported(_) | FindError::Inconsistent { .. } => Failure::new(
                format!("Process {pid} cannot be read: {error}."),
                "Please report this with the output of `python -VV` and where that Python comes from.",
            ),
            FindError::Elf(error) => {
                Failure::new(format!("Process {pid} cannot be read: {error}."), "Use a 64-bit x86-64 Python.")
            }
            FindError::Read(error) => {
                Failure::new(format!("Process {pid} cannot be read: {error}."), "Try again.")
            }
        }
    }

    /// Whether it is only that nobody reads our output any more.
    pub fn is_broken_pipe(&self) -> bool {
        self.broken_pipe
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n      {}", self.cause, self.advice)
    }
}

/// The kernel refused: which rule stands in the way, read from the system.
fn denied(pid: u32) -> Failure {
    let cause = format!("No permission to read the memory of process {pid}");
    let own = status_of("self");
    let target = status_of(&pid.to_string());
    let is_root = own.uid == Some(0);
    if !is_root && own.uid != target.uid && target.uid.is_some() {
        return Failure::new(
            format!("{cause}: it belongs to another user."),
            "Run rspy as that user or with sudo.",
        );
    }
    if own.can_trace() {
        return Failure::new(
            format!(
                "{cause}, although rspy has CAP_SYS_PTRACE: a security module, a seccomp filter or the \
                     process's own user namespace refuses."
            ),
            "Run rspy outside of the container or sandbox that it runs in.",
        );
    }
    let scope = std::fs::read_to_string("/proc/sys/kernel/yama/ptrace_scope").unwrap_or_default();
    if !matches!(scope.trim(), "" | "0") {
        return Failure::new(
            format!("{cause}: kernel.yama.ptrace_scope is {}.", scope.trim()),
            "Run rspy with sudo, or allow it with `sudo sysctl kernel.yama.ptrace_scope=0`; or let rspy start \
             the program itself: rspy record -- python …",
        );
    }
    let in_container = Path::new("/.dockerenv").exists() || Path::new("/run/.containerenv").exists();
    if is_root || in_container {
        return Failure::new(
            format!("{cause}: rspy lacks the capability CAP_SYS_PTRACE."),
            "Docker: run the container with `--cap-add SYS_PTRACE`. Kubernetes: add SYS_PTRACE under \
             securityContext.capabilities.add. Or run rspy on the host.",
        );
    }
    Failure::new(format!("{cause}: it runs with privileges that rspy lacks."), "Run rspy with sudo.")
}

/// What `/proc/…/status` says of a process's rights.
struct Rights {
    uid: Option<u32>,
    effective_capabilities: u64,
}

impl Rights {
    fn can_trace(&self) -> bool {
        const CAP_SYS_PTRACE: u32 = 19;
        self.effective_capabilities >> CAP_SYS_PTRACE & 1 == 1
    }
}

fn status_of(process: &str) -> Rights {
    let text = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name));
    Rights {
        uid: field("Uid:").and_then(|ids| ids.split_whitespace().next()?.parse().ok()),
        effective_capabilities: field("CapEff:")
            .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
            .unwrap_or(0),
    }
}
