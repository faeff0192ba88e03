//! What is written, and programs that are started.

use std::io::{self, ErrorKind};
use std::path::Path;

use super::Failure;

impl Failure {
    /// The file `place` cannot be opened for writing: found out before anything is sampled.
    pub fn opening(place: &Path, error: &io::Error) -> Failure {
        let folder = match place.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder.display().to_string(),
            _ => "the current folder".to_owned(),
        };
        let place = place.display();
        match error.kind() {
            ErrorKind::NotFound => Failure::new(
                format!("{place} cannot be written: there is no folder {folder}."),
                "Create that folder, or choose another with -o FILE.",
            ),
            ErrorKind::NotADirectory => Failure::new(
                format!("{place} cannot be written: {folder} is no folder."),
                "Choose another file with -o FILE.",
            ),
            ErrorKind::IsADirectory => Failure::new(
                format!("{place} cannot be written: it is a folder."),
                "Choose a file in it with -o FILE.",
            ),
            ErrorKind::PermissionDenied => Failure::new(
                format!("{place} cannot be written: no permission."),
                "Choose a file that you may write with -o FILE.",
            ),
            ErrorKind::ReadOnlyFilesystem => Failure::new(
                format!("{place} cannot be written: its file system is read-only."),
                "Choose a file on another one with -o FILE, as in /tmp.",
            ),
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Failure::new(
                format!("{place} cannot be written: no space is left there."),
                "Make room, or choose a file on another disk with -o FILE.",
            ),
            _ => Failure::new(
                format!("{place} cannot be written: {}.", reason(error)),
                "Choose another file with -o FILE.",
            ),
        }
    }

    /// Writing what was recorded to the file `place` failed in the midst.
    pub fn writing(place: &str, error: &io::Error) -> Failure {
        let advice = match error.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
                "Make room there, or choose a file on another disk with -o FILE, and record again."
            }
            _ => "Choose another file with -o FILE, and record again.",
        };
        let cause = format!(
            "Writing to {place} failed: {}. What was recorded is lost; what is in there is incomplete.",
            reason(error)
        );
        Failure { broken_pipe: error.kind() == ErrorKind::BrokenPipe, ..Failure::new(cause, advice) }
    }

    /// Writing to stdout failed.
    pub fn printing(error: &io::Error) -> Failure {
        let advice = match error.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => "Make room where it goes, and try again.",
            _ => "Send it to another place with > FILE.",
        };
        Failure {
            broken_pipe: error.kind() == ErrorKind::BrokenPipe,
            ..Failure::new(format!("Writing to the standard output failed: {}.", reason(error)), advice)
        }
    }

    /// The command `name` could not be started.
    pub fn starting(name: &Path, error: &io::Error) -> Failure {
        let is_path = name.components().count() > 1;
        let (why, advice) = match error.kind() {
            ErrorKind::NotFound if is_path && name.exists() => (
                "the interpreter that its first line names does not exist".to_owned(),
                "Mend that line, or name the interpreter: rspy record -- python SCRIPT.",
            ),
            ErrorKind::NotFound if is_path => {
                ("there is no such file".to_owned(), "Give the path of a program.")
            }
            ErrorKind::NotFound => (
                "there is no such program on the PATH".to_owned(),
                "Give a program that is on the PATH, or its whole path.",
            ),
            ErrorKind::PermissionDenied => (
                "it is not executable, or you may not execute it".to_owned(),
                "For a script without execute permission, start its interpreter: rspy record -- python SCRIPT.",
            ),
            _ if error.raw_os_error() == Some(nix::errno::Errno::ENOEXEC as i32) => (
                "it is no program for this system".to_owned(),
                "For a script that does not begin with #!, start its interpreter: rspy record -- python SCRIPT.",
            ),
            _ => (reason(error), "Start it without rspy to see whether it works."),
        };
        Failure::new(format!("{} cannot be started: {why}.", name.display()), advice)
    }
}

/// What the system says of it, as the middle of a sentence: without the number that
/// Rust puts behind.
pub(super) fn reason(error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::StorageFull => "no space is left there".to_owned(),
        ErrorKind::QuotaExceeded => "your quota there is used up".to_owned(),
        _ => match error.raw_os_error() {
            Some(errno) => nix::errno::Errno::from_raw(errno).desc().to_lowercase(),
            None => error.to_string(),
        },
    }
}
