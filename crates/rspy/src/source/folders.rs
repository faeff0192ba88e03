//! Where a process sees its files: in its own mounts, below its own root folder.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat, openat2};
use rustix::io::Errno;

/// What a path of the target names need not be a file: opening a pipe must not wait for its other end.
const READ: OFlags = OFlags::RDONLY.union(OFlags::CLOEXEC).union(OFlags::NONBLOCK);

/// The folders that paths of a process begin at. They are held, so that files can be read when it has ended.
#[derive(Debug)]
pub struct Folders {
    /// Where absolute paths begin: its root folder; `None` for that of rspy.
    root: Option<OwnedFd>,
    /// Where relative paths begin; `None` if that is not known.
    working: Option<OwnedFd>,
}

impl Folders {
    /// Those of process `pid` now; none if it is gone.
    pub fn of_process(pid: u32) -> Folders {
        let folder = |name: &str| {
            let path = format!("/proc/{pid}/{name}");
            openat(CWD, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).ok()
        };
        Folders { root: folder("root"), working: folder("cwd") }
    }

    /// The root folder of rspy, and no other one.
    pub fn here() -> Folders {
        Folders { root: None, working: None }
    }

    /// Opens the file `path` for reading; `None` if it is relative to a folder that is not known. Links that an absolute
    /// path leads through, absolute ones too, are the process's own.
    ///
    /// # Errors
    ///
    /// Those of opening the file.
    pub fn open(&self, path: &Path) -> Option<io::Result<File>> {
        let opened = match (&self.root, &self.working) {
            (Some(root), _) if path.is_absolute() => open_in(root, path),
            (None, _) if path.is_absolute() => openat(CWD, path, READ, Mode::empty()),
            (_, Some(working)) => openat(working, path, READ, Mode::empty()),
            (_, None) => return None,
        };
        Some(opened.map(File::from).map_err(io::Error::from))
    }
}

fn open_in(root: &OwnedFd, path: &Path) -> rustix::io::Result<OwnedFd> {
    match openat2(root, path, READ, Mode::empty(), ResolveFlags::IN_ROOT) {
        // Kernels before 5.6 do not have it, and filters may refuse it: absolute links are rspy's own then.
        Err(Errno::NOSYS | Errno::PERM) => {
            openat(root, path.strip_prefix("/").unwrap_or(path), READ, Mode::empty())
        }
        opened => opened,
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn links_do_not_lead_out_of_it() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("srv")).unwrap();
        std::fs::write(folder.path().join("srv/app.py"), "its own").unwrap();
        symlink("/srv", folder.path().join("app")).unwrap();
        symlink("../../../srv", folder.path().join("up")).unwrap();
        let root = openat(CWD, folder.path(), OFlags::PATH, Mode::empty()).unwrap();
        let folders = Folders { root: Some(root), working: None };
        for path in ["/srv/app.py", "/app/app.py", "/up/app.py", "/../srv/app.py"] {
            let mut text = String::new();
            folders.open(Path::new(path)).unwrap().unwrap().read_to_string(&mut text).unwrap();
            assert_eq!(text, "its own");
        }
        assert!(folders.open(Path::new("/proc/self/stat")).unwrap().is_err());
        assert!(folders.open(Path::new("app.py")).is_none());
    }

    #[test]
    fn a_pipe_is_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pipe");
        rustix::fs::mknodat(CWD, &path, rustix::fs::FileType::Fifo, Mode::RUSR, 0).unwrap();
        for folders in [Folders::of_process(std::process::id()), Folders::here()] {
            assert!(folders.open(&path).unwrap().is_ok());
        }
    }
}
