//! The file that a recording, or what is made of one, goes to.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, IsTerminal};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::failure::Failure;

/// A file that can be written to. What it held goes only when the recording is
/// there to replace it; if it is never [begun](Output::begin), a new file is taken away again.
pub struct Output {
    path: PathBuf,
    file: File,
    is_new: bool,
    is_begun: Cell<bool>,
}

impl Output {
    /// Opens `path`: whether it can be written is found out before an hour of
    /// sampling, not after.
    pub fn open(path: &Path) -> Result<Output, Failure> {
        let is_new = !path.exists();
        let file = File::options().create(true).append(true).open(path);
        let file = file.map_err(|error| Failure::opening(path, &error))?;
        Ok(Output { path: path.to_owned(), file, is_new, is_begun: Cell::new(false) })
    }

    /// Refuses the file `path` if it is one of those that are `read`, whatever names it has: a recording is not written
    /// over by what is made of it.
    pub fn refuse_read<'a>(path: &Path, read: impl IntoIterator<Item = &'a PathBuf>) -> Result<(), Failure> {
        let identity = |path: &Path| path.metadata().ok().map(|known| (known.dev(), known.ino()));
        let own = identity(path);
        match own.is_some() && read.into_iter().any(|file| identity(file) == own) {
            true => Err(Failure::new(
                format!("{} is one of the recordings that are read.", path.display()),
                "Choose another file with -o FILE.",
            )),
            false => Ok(()),
        }
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
        self.is_begun.set(true);
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
}

impl Drop for Output {
    fn drop(&mut self) {
        if self.is_new && !self.is_begun.get() {
            // It is empty; failing to remove it is not worth a message.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}
