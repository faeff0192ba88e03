//! The file that a recording goes to.

use std::fs::File;
use std::io::{self, IsTerminal};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use crate::failure::Failure;

/// A file that can be written to. What it held goes only when the recording is
/// there to replace it.
pub struct Output {
    path: PathBuf,
    file: File,
    is_new: bool,
}

impl Output {
    /// Opens `path`: whether it can be written is found out before an hour of
    /// sampling, not after.
    pub fn open(path: &Path) -> Result<Output, Failure> {
        let is_new = !path.exists();
        let file = File::options().create(true).append(true).open(path);
        let file = file.map_err(|error| Failure::opening(path, &error))?;
        Ok(Output { path: path.to_owned(), file, is_new })
    }

    /// The default: `PID-2026-11-22T11-58-45+0000.svg`, in local time, as py-spy
    /// names them.
    pub fn default_path(pid: u32, extension: &str) -> PathBuf {
        let time = jiff::Zoned::now().strftime("%Y-%m-%dT%H-%M-%S%z");
        PathBuf::from(format!("{pid}-{time}.{extension}"))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether it is what rspy's stdout is too, as with `-o /dev/stdout`.
    pub fn is_stdout(&self) -> bool {
        let stdout = io::stdout();
        let identity = |fd: &dyn AsFd| {
            rustix::fs::fstat(fd.as_fd()).ok().map(|stat| (stat.st_dev, stat.st_ino, stat.st_rdev))
        };
        !stdout.is_terminal() && identity(&self.file).is_some_and(|file| Some(file) == identity(&stdout))
    }

    /// The file, to be written from its beginning.
    pub fn begin(&self) -> io::Result<&File> {
        // A pipe or a device has nothing that could go, and what others wrote to the
        // same stdout stays.
        if self.file.metadata()?.is_file() && !self.is_stdout() {
            self.file.set_len(0)?;
        }
        Ok(&self.file)
    }

    /// Writing it has failed.
    pub fn failure(&self, error: &io::Error) -> Failure {
        Failure::writing(&self.path.display().to_string(), error)
    }

    /// Takes the file away again if it was not there before: there is nothing to write.
    pub fn give_up(self) {
        if self.is_new {
            // It is empty; failing to remove it is not worth a second message.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}
