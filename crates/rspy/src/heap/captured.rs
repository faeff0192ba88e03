//! A heap that was copied, of a live process or from a file.

use std::fs::File;
use std::io::{self, BufReader};
use std::path::Path;

use procfs::{Current, Meminfo};
use rspy_cpython::{Attached, FindError};
use rspy_heap::heap::Heap as Objects;
use rspy_heap::image::{Image, ImageError, Plan};
use rspy_heap::residence::{Resident, resident};
use rspy_heap::snapshot::{self, Pages, Remembering, Snapshot};
use rspy_process::maps::Mapping;
use rspy_process::stacks::thread_stacks;
use rspy_process::{Address, LiveMemory, ReadError};
use serde::{Deserialize, Serialize};

use super::pause::{Paused, paused};
use crate::attach::attach;
use crate::cli::{Heap, HeapCopy};
use crate::failure::Failure;
use crate::progress::during;
use crate::target::Pausing;

/// A copy of a heap, and what it takes to read it.
pub struct Captured {
    /// What it is of.
    pub about: About,
    pub attached: Attached,
    pub maps: Vec<Mapping>,
    pub image: Image,
    rest: Rest,
}

/// Whose heap it is.
#[derive(Clone, Serialize, Deserialize)]
pub struct About {
    pub pid: u32,
    pub version: String,
    pub command_line: String,
    /// `None` if it went on while it was read.
    pub paused: Option<Paused>,
    /// When it was copied, in seconds since 1970.
    pub time: i64,
    /// What of the process is in memory.
    pub resident: Vec<Resident>,
}

/// Where what was not copied is read.
enum Rest {
    /// In the process, if it is still there.
    Process,
    /// In what was read when the heap was saved.
    Saved(Pages),
}

impl Captured {
    /// The heap that is asked for.
    pub fn of(options: &Heap) -> Result<Captured, Failure> {
        match &options.file {
            Some(file) => Captured::saved(file),
            None => Captured::live(&options.copy),
        }
    }

    /// Copies the heap of a process.
    pub fn live(options: &HeapCopy) -> Result<Captured, Failure> {
        // The command line asks for it.
        let pid = options.pid.unwrap_or_default();
        let target = attach(pid, Pausing::Never)?;
        let process = &target.process;
        let gone = |error: &ReadError| Failure::attaching(pid, &FindError::Read(*error));
        let maps = process.maps().map_err(|error| Failure::attaching(pid, &error.into()))?;
        let not_copied = |error: &ImageError| Failure::copying_heap(pid, error);
        let memory = LiveMemory::new(pid).map_err(|_| gone(&ReadError::Gone))?;
        let known = target.attached.threads(&memory).unwrap_or_default();
        let known: Vec<Address> = known.iter().map(|thread| Address(thread.thread_id)).collect();
        let threads = process.threads().map_err(|error| Failure::attaching(pid, &error.into()))?;
        let stacks = thread_stacks(pid, &threads, &known, &memory, &maps);
        let resident =
            resident(pid, &maps, &stacks).map_err(|error| not_copied(&ImageError::Pagemap(error)))?;
        let limit = options.limit.map_or_else(half_of_available, |limit| limit.as_u64());
        let plan = Plan::new(pid, &maps, limit).map_err(|error| not_copied(&error))?;
        let open = || LiveMemory::new(pid).map_err(|_| ReadError::Gone);
        open().map_err(|error| gone(&error))?;
        let copy = || plan.copy(open);
        let (image, paused) = match options.pause {
            false => (during("copying the heap", copy), None),
            true => {
                let (image, pause) = during("copying the heap", || paused(process, copy))
                    .map_err(|error| Failure::attaching(pid, &error.into()))?;
                (image, Some(pause))
            }
        };
        let image = image.map_err(|error| match error {
            ImageError::Read(error) => gone(&error),
            error => not_copied(&error),
        })?;
        let about = About {
            pid,
            version: target.attached.version().to_string(),
            command_line: process.command_line().join(" "),
            paused,
            time: jiff::Timestamp::now().as_second(),
            resident,
        };
        Ok(Captured { about, attached: target.attached.clone(), maps, image, rest: Rest::Process })
    }

    /// The heap in a file.
    pub fn saved(file: &Path) -> Result<Captured, Failure> {
        let opening = |error: &io::Error| Failure::opening_heap(file, error);
        let opened = File::open(file).map_err(|error| opening(&error))?;
        if opened.metadata().is_ok_and(|metadata| metadata.is_dir()) {
            return Err(opening(&io::ErrorKind::IsADirectory.into()));
        }
        let snapshot =
            snapshot::read(BufReader::new(opened)).map_err(|error| Failure::reading_heap(file, &error))?;
        let Snapshot { about, attached, maps, image, pages } = snapshot;
        Ok(Captured { about, attached, maps, image, rest: Rest::Saved(pages) })
    }

    /// The heap, looked through.
    pub fn heap(&self) -> Result<Objects<'_>, Failure> {
        match &self.rest {
            Rest::Process => self.looked_through(self.process()?),
            Rest::Saved(pages) => self.looked_through(pages.clone()),
        }
    }

    /// The same, with all that is read beside the copy kept.
    pub fn heap_remembering(&self) -> Result<(Objects<'_>, Pages), Failure> {
        let pages = Pages::default();
        let heap = self.looked_through(Remembering::new(self.process()?, pages.clone()))?;
        Ok((heap, pages))
    }

    /// What was made of its `heap`, if the process was there for as long as it was needed.
    ///
    /// # Errors
    ///
    /// If it was not: then that is not all.
    pub fn whole<T>(&self, heap: &Objects<'_>, answer: T) -> Result<T, Failure> {
        match heap.is_process_gone() {
            false => Ok(answer),
            true => Err(Failure::attaching(self.about.pid, &FindError::Read(ReadError::Gone))),
        }
    }

    fn process(&self) -> Result<LiveMemory, Failure> {
        let pid = self.about.pid;
        LiveMemory::new(pid).map_err(|_| Failure::attaching(pid, &FindError::Read(ReadError::Gone)))
    }

    fn looked_through(
        &self,
        rest: impl rspy_process::Memory + Send + 'static,
    ) -> Result<Objects<'_>, Failure> {
        Objects::new(&self.image, &self.attached, &self.maps, rest).map_err(|error| {
            Failure::new(
                format!("The heap of process {} cannot be read: {error}.", self.about.pid),
                "Please report this, with the output of python -VV.",
            )
        })
    }
}

impl About {
    /// Bytes that are in memory.
    pub fn rss(&self) -> u64 {
        self.resident.iter().map(|part| part.bytes).sum()
    }
}

/// Half of what the system could still give.
fn half_of_available() -> u64 {
    Meminfo::current().ok().and_then(|info| info.mem_available).map_or(u64::MAX, |bytes| bytes / 2)
}
