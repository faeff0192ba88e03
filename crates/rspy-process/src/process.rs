//! A target process: who it is, what it runs, what it has mapped.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::elf::{self, Image};
use crate::live::LiveMemory;
use crate::maps::{self, LoadedFile, Mapping};
use crate::{Memory, ProcessError};

/// A live process. Holds its pid and start time, so that a pid given to another
/// process meanwhile is noticed ([`is_same`](Process::is_same)).
pub struct Process {
    pid: u32,
    start_time: u64,
    memory: LiveMemory,
}

impl Process {
    /// The process with this id as rspy sees it (in rspy's own pid namespace).
    pub fn open(pid: u32) -> Result<Process, ProcessError> {
        let stat = stat(pid)?;
        if stat.state == 'Z' {
            return Err(ProcessError::Zombie { pid });
        }
        let memory = LiveMemory::new(pid).map_err(|error| ProcessError::from_io(pid, "/proc", error))?;
        Ok(Process { pid, start_time: stat.starttime, memory })
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// When it started, in the kernel's clock ticks since boot: with the id it says which
    /// process is meant.
    pub fn start_time(&self) -> u64 {
        self.start_time
    }

    /// Its memory.
    pub fn memory(&self) -> &LiveMemory {
        &self.memory
    }

    /// Whether this process still runs: neither exited, nor a zombie, nor its
    /// pid given to another process.
    pub fn is_same(&self) -> bool {
        stat(self.pid).is_ok_and(|stat| stat.starttime == self.start_time && stat.state != 'Z')
    }

    /// The most memory that was resident at any time of its life, in bytes; `None` if it is gone.
    pub fn max_rss(&self) -> Option<u64> {
        self.memory_figure("VmHWM:")
    }

    /// The memory that is resident now, in bytes; `None` if it is gone.
    pub fn rss(&self) -> Option<u64> {
        self.memory_figure("VmRSS:")
    }

    /// For how long it runs; `None` if it is gone.
    pub fn age(&self) -> Option<Duration> {
        let begun = Duration::from_secs_f64(self.start_time as f64 / procfs::ticks_per_second() as f64);
        let now = fs::read_to_string("/proc/uptime").ok()?;
        let now: f64 = now.split_whitespace().next()?.parse().ok()?;
        Some(Duration::try_from_secs_f64(now).ok()?.saturating_sub(begun))
    }

    /// The time that its threads have spent on CPUs; `None` if it is gone.
    pub fn cpu_time(&self) -> Option<Duration> {
        let stat = stat(self.pid).ok()?;
        let ticks = stat.utime.saturating_add(stat.stime);
        Some(Duration::from_secs_f64(ticks as f64 / procfs::ticks_per_second() as f64))
    }

    fn memory_figure(&self, name: &str) -> Option<u64> {
        let status = fs::read_to_string(self.proc_path("status")).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
        kibibytes.checked_mul(1024)
    }

    /// The command line, argument by argument, lossily as text. Empty for kernel threads.
    pub fn command_line(&self) -> Vec<String> {
        let Ok(bytes) = fs::read(self.proc_path("cmdline")) else { return Vec::new() };
        let text = bytes.strip_suffix(&[0]).unwrap_or(&bytes);
        if text.is_empty() {
            return Vec::new();
        }
        text.split(|byte| *byte == 0).map(|part| String::from_utf8_lossy(part).into_owned()).collect()
    }

    /// The executable as the target sees it.
    pub fn executable(&self) -> Result<PathBuf, ProcessError> {
        let path = self.proc_path("exe");
        fs::read_link(&path).map_err(|error| ProcessError::from_io(self.pid, "exe", error))
    }

    /// The same as the maps have it: without the kernel's ` (deleted)`.
    pub fn mapped_executable(&self) -> Option<PathBuf> {
        let path = self.executable().ok()?;
        match path.as_os_str().as_bytes().strip_suffix(b" (deleted)") {
            Some(path) => Some(PathBuf::from(OsStr::from_bytes(path))),
            None => Some(path),
        }
    }

    /// What is mapped now, in address order.
    pub fn maps(&self) -> Result<Vec<Mapping>, ProcessError> {
        let text = fs::read(self.proc_path("maps"))
            .map_err(|error| ProcessError::from_io(self.pid, "maps", error))?;
        let maps = maps::parse(&text);
        if maps.is_empty() {
            // A kernel thread, or a process that is just exiting.
            return Err(if self.is_same() {
                ProcessError::NoMemory { pid: self.pid }
            } else {
                ProcessError::NoSuchProcess { pid: self.pid }
            });
        }
        Ok(maps)
    }

    /// `path`, which is meant as the target sees it, as rspy can open it: through
    /// the target's root and mount namespace.
    pub fn path_from_here(&self, path: &Path) -> PathBuf {
        let relative = path.strip_prefix("/").unwrap_or(path);
        self.proc_path("root").join(relative)
    }

    /// The ELF image behind `file`, with the addresses of those of the `wanted`
    /// symbols that it has.
    ///
    /// Read from the file where it is still the one that was mapped (its first
    /// bytes equal the memory's); else through `/proc/PID/map_files` or
    /// `/proc/PID/exe`, which reach unlinked inodes; else from memory, where only
    /// the dynamic symbols are.
    pub fn image(
        &self,
        memory: &impl Memory,
        file: &LoadedFile,
        wanted: &[&str],
    ) -> Result<Image, elf::ElfError> {
        let mut candidates = vec![self.path_from_here(&file.path)];
        if let Some(first) = file.mappings.first() {
            let range = format!("map_files/{:x}-{:x}", first.start.0, first.end.0);
            candidates.push(self.proc_path(&range));
        }
        candidates.push(self.proc_path("exe"));
        for path in candidates {
            let Ok(opened) = fs::File::open(&path) else { continue };
            if !elf::is_image_of(&opened, memory, file) {
                continue;
            }
            if let Ok(image) = elf::from_file(&opened, file, wanted) {
                tracing::debug!(pid = self.pid, ?path, "read an image");
                return Ok(image);
            }
        }
        tracing::debug!(pid = self.pid, file = ?file.path, "reads an image from memory: no file is the mapped one");
        elf::from_memory(memory, file, wanted)
    }

    /// Ids of its threads (in rspy's pid namespace), the main thread's first.
    pub fn threads(&self) -> Result<Vec<u32>, ProcessError> {
        let process = remoteprocess::Process::new(self.pid as i32)
            .map_err(|_| ProcessError::NoSuchProcess { pid: self.pid })?;
        let threads = process.threads().map_err(|error| match error {
            remoteprocess::Error::IOError(error) => ProcessError::from_io(self.pid, "task", error),
            _ => ProcessError::NoSuchProcess { pid: self.pid },
        })?;
        Ok(threads.iter().filter_map(|thread| thread.id().ok()).map(|tid| tid as u32).collect())
    }

    /// A path below `/proc/PID`.
    pub fn proc_path(&self, name: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/{name}", self.pid))
    }
}

/// `/proc/PID/stat`, as far as needed here.
pub(crate) fn stat(pid: u32) -> Result<procfs::process::Stat, ProcessError> {
    let gone = ProcessError::NoSuchProcess { pid };
    let Ok(raw) = i32::try_from(pid) else { return Err(gone) };
    procfs::process::Process::new(raw).and_then(|process| process.stat()).map_err(|error| match error {
        procfs::ProcError::PermissionDenied(_) => {
            ProcessError::from_io(pid, "stat", io::ErrorKind::PermissionDenied.into())
        }
        _ => gone,
    })
}
