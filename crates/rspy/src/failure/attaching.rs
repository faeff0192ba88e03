//! Looking at a process failed.

use std::path::Path;

use nix::errno::Errno;
use nix::unistd::Pid;
use rspy_cpython::FindError;
use rspy_cpython::layout::LayoutError;
use rspy_process::elf::ElfError;
use rspy_process::maps::loaded_files;
use rspy_process::{Process, ProcessError, ReadError};

use super::Failure;
use super::circumstances::{Circumstances, is_in_pid_namespace};
use super::neighbours::{descendants, listed, namesakes, running_python};
use super::proc_status::{Status, is_kernel_thread};
use super::{permission, surroundings};

/// Lists what can be given instead.
const LIST: &str = "ps -ef | grep python";

impl Failure {
    /// Looking at process `pid` failed.
    pub fn attaching(pid: u32, error: &FindError) -> Failure {
        let proc = Path::new("/proc");
        let no_such_call = Errno::ENOSYS as i32;
        match error {
            FindError::Process(ProcessError::NoSuchProcess { .. }) => missing(proc, pid),
            FindError::Process(ProcessError::Zombie { .. }) => zombie(proc, pid),
            FindError::Process(ProcessError::NoMemory { .. } | ProcessError::Denied { .. })
                if is_kernel_thread(proc, pid) =>
            {
                kernel_thread(proc, pid)
            }
            FindError::Process(ProcessError::Denied { .. }) | FindError::Read(ReadError::Denied) => {
                permission::refused(&Circumstances::read(Path::new("/"), pid))
            }
            FindError::Read(ReadError::Os(errno)) if *errno == no_such_call => {
                permission::refused(&Circumstances::read(Path::new("/"), pid))
            }
            FindError::Process(ProcessError::NoMemory { .. }) | FindError::Read(ReadError::Gone) => {
                exited(pid)
            }
            FindError::NotPython { executable } => not_python(proc, pid, executable),
            FindError::Elf(ElfError::Foreign { bits, machine }) => foreign(pid, *bits, *machine),
            FindError::NotReady => Failure::new(
                format!("The Python interpreter in process {pid} has not started yet, or has ended already."),
                "Try again in a moment.",
            ),
            FindError::Unsupported(LayoutError::UnknownVersion { version, known }) => Failure::new(
                format!(
                    "Process {pid} runs CPython {version}, which this rspy cannot read. It reads {known}."
                ),
                "Run the program with one of these, or get a newer rspy.",
            ),
            FindError::Unsupported(_) | FindError::Inconsistent { .. } => Failure::new(
                format!("Process {pid} cannot be read: {error}."),
                format!(
                    "Please report this, with the output of python -VV and where that Python comes from, at \
                     {}/issues",
                    env!("CARGO_PKG_REPOSITORY")
                ),
            ),
            FindError::Process(_) | FindError::Elf(_) | FindError::Read(_) => {
                Failure::new(format!("Process {pid} cannot be read: {error}."), "Try again.")
            }
        }
    }

    /// Neither process `pid` nor any that it has started runs Python.
    pub fn no_python_below(pid: u32, executable: &Path) -> Failure {
        Failure::new(
            format!(
                "Process {pid} runs {}, and there is no Python interpreter in it or in any process below it.",
                executable.display()
            ),
            "Give the id of a process that runs Python, or one that has started it; this lists them:",
        )
        .with_command(LIST)
    }

    /// Process `pid` is one of several, and cannot be shown with the others.
    pub fn left_out(pid: u32, error: &FindError) -> Failure {
        match error {
            FindError::Process(ProcessError::NoSuchProcess { .. } | ProcessError::Zombie { .. })
            | FindError::Read(ReadError::Gone) => Failure::new(
                format!("Process {pid} has ended meanwhile, and is left out."),
                "The others are shown; ask again to see whether it was replaced.",
            ),
            error => Failure::attaching(pid, error),
        }
    }
}

pub(super) fn missing(proc: &Path, pid: u32) -> Failure {
    let namesakes = namesakes(proc, pid);
    if let Some(first) = namesakes.first() {
        return Failure::new(
            format!(
                "No process has the id {pid} here, but in a pid namespace of its own (a container) this \
                 has it: {}.",
                listed(proc, &namesakes)
            ),
            format!("Give the id that it has here: --pid {first}"),
        );
    }
    let raw = i32::try_from(pid).ok().map(Pid::from_raw);
    // No signal is sent; it only tells whether there is somebody to send one to.
    if raw.is_some_and(|raw| nix::sys::signal::kill(raw, None) == Err(Errno::EPERM)) {
        return hidden(pid);
    }
    if is_in_pid_namespace(proc) {
        return Failure::new(
            format!("No process has the id {pid} in the pid namespace (the container) that rspy runs in."),
            "Give the id that it has in there, which is another than outside; or run rspy outside. This lists \
             them:",
        )
        .with_command(LIST);
    }
    Failure::new(format!("No process has the id {pid}."), "Give the id of one that runs; this lists them:")
        .with_command(LIST)
}

/// It is there, but not to be seen.
pub(super) fn hidden(pid: u32) -> Failure {
    Failure::new(
        format!("Process {pid} belongs to another user, and /proc hides it (mount option hidepid)."),
        "Run rspy as root:",
    )
    .with_command(format!("sudo {}", surroundings::own_command()))
}

fn zombie(proc: &Path, pid: u32) -> Failure {
    let parent = Status::read(proc, &pid.to_string()).map_or(0, |status| status.parent);
    let whose = match parent {
        0 => String::new(),
        parent => format!(", {},", listed(proc, &[parent])),
    };
    Failure::new(
        format!("Process {pid} has exited; it is a zombie until its parent{whose} takes note."),
        "Give the id of a process that runs; this lists them:",
    )
    .with_command(LIST)
}

fn exited(pid: u32) -> Failure {
    Failure::new(
        format!("Process {pid} exited while rspy looked at it."),
        "Give the id of one that runs on; this lists them:",
    )
    .with_command(LIST)
}

fn kernel_thread(proc: &Path, pid: u32) -> Failure {
    let name = Status::read(proc, &pid.to_string()).map(|status| status.name).unwrap_or_default();
    instead(proc, pid, &format!("is a thread of the kernel ({name})")).unwrap_or_else(|| {
        Failure::new(
            format!("Process {pid} is a thread of the kernel ({name}), which runs no Python."),
            "Give the id of a process that runs Python; this lists them:",
        )
        .with_command(LIST)
    })
}

fn not_python(proc: &Path, pid: u32, executable: &Path) -> Failure {
    let runs = executable.display();
    if is_pypy(pid, executable) {
        return Failure::new(
            format!("Process {pid} runs PyPy ({runs}), whose stacks are made in another way than CPython's."),
            "Run the program with CPython, which is what rspy reads.",
        );
    }
    let family = running_python(descendants(proc, pid));
    if let Some(first) = family.first() {
        let is_child = Status::read(proc, &first.to_string()).is_some_and(|status| status.parent == pid);
        let kin = match (family.len(), is_child) {
            (1, true) => "its child",
            (1, false) => "its descendant",
            _ => "its descendants",
        };
        let run = if family.len() == 1 { "runs" } else { "run" };
        return Failure::new(
            format!(
                "Process {pid} runs {runs}, which is not Python, but {kin} {} {run} it.",
                listed(proc, &family)
            ),
            format!("Give that one's id: --pid {first}"),
        );
    }
    instead(proc, pid, &format!("runs {runs}, which is not Python")).unwrap_or_else(|| {
        Failure::new(
            format!("Process {pid} runs {runs}, and there is no Python interpreter in it."),
            "Give the id of a process that runs Python (one that embeds it may not have started it yet); this \
             lists them:",
        )
        .with_command(LIST)
    })
}

/// If the id is one that a Python has in a container: small ids are taken by others outside.
fn instead(proc: &Path, pid: u32, what: &str) -> Option<Failure> {
    let meant = running_python(namesakes(proc, pid));
    let first = meant.first()?;
    Some(Failure::new(
        format!(
            "Process {pid} {what}; but in a pid namespace of its own (a container) a Python has that id: {}.",
            listed(proc, &meant)
        ),
        format!("Give the id that it has here: --pid {first}"),
    ))
}

fn is_pypy(pid: u32, executable: &Path) -> bool {
    let is_named = executable.file_name().is_some_and(|name| name.to_string_lossy().starts_with("pypy"));
    let maps = Process::open(pid).and_then(|process| process.maps()).unwrap_or_default();
    is_named || loaded_files(&maps).iter().any(|file| file.file_name().starts_with("libpypy"))
}

fn foreign(pid: u32, bits: u8, machine: u16) -> Failure {
    let what = match bits {
        32 => "a 32-bit program".to_owned(),
        _ => format!("a program for another processor (ELF machine {machine})"),
    };
    Failure::new(
        format!("Process {pid} runs {what}; rspy reads 64-bit programs for x86-64."),
        "Run the program with a Python for x86-64.",
    )
}
