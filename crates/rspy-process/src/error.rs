//! What can stand between rspy and a process.

use std::io;

/// Why a process could not be looked at.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// No process has this id.
    #[error("no process has the id {pid}")]
    NoSuchProcess {
        /// The id that was asked for.
        pid: u32,
    },
    /// It has exited and waits for its parent to take note.
    #[error("process {pid} has exited (a zombie: its parent has not collected it yet)")]
    Zombie {
        /// The id that was asked for.
        pid: u32,
    },
    /// It has no memory of its own.
    #[error("process {pid} has no memory of its own: a kernel thread, or it is just exiting")]
    NoMemory {
        /// The id that was asked for.
        pid: u32,
    },
    /// The kernel refuses.
    #[error("no permission to read /proc/{pid}/{what}")]
    Denied {
        /// The id that was asked for.
        pid: u32,
        /// Which file below `/proc/PID`.
        what: &'static str,
    },
    /// Anything else.
    #[error("reading /proc/{pid}/{what} failed: {error}")]
    Io {
        /// The id that was asked for.
        pid: u32,
        /// Which file below `/proc/PID`.
        what: &'static str,
        /// What the system said.
        error: io::Error,
    },
}

impl ProcessError {
    pub(crate) fn from_io(pid: u32, what: &'static str, error: io::Error) -> ProcessError {
        // Reading some files of a process that exits meanwhile gives ESRCH.
        let gone = error.raw_os_error() == Some(nix::errno::Errno::ESRCH as i32);
        match error.kind() {
            io::ErrorKind::NotFound => ProcessError::NoSuchProcess { pid },
            _ if gone => ProcessError::NoSuchProcess { pid },
            io::ErrorKind::PermissionDenied => ProcessError::Denied { pid, what },
            _ => ProcessError::Io { pid, what, error },
        }
    }
}
