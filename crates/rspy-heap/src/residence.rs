//! What of a process is in memory, by what it is: together its RSS.

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use rspy_process::maps::Mapping;
use rspy_process::pagemap::Pagemap;
use serde::{Deserialize, Serialize};

/// What a mapping is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mapped {
    /// Memory of its own that is no file: arenas, large blocks, variables of libraries.
    Anonymous,
    /// Stacks of other threads than the main one.
    ThreadStacks,
    /// What `brk` gave to `malloc`.
    Heap,
    /// The stack of the main thread.
    Stack,
    /// A file: a program, a library, data.
    File(PathBuf),
}

/// Bytes in memory of one of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resident {
    /// What it is.
    pub what: Mapped,
    /// Bytes in memory.
    pub bytes: u64,
    /// Bytes in swap space.
    pub swapped: u64,
}

impl Mapped {
    fn of(mapping: &Mapping) -> Mapped {
        match mapping.path.as_deref() {
            None => Mapped::Anonymous,
            Some(path) if path == Path::new("[heap]") => Mapped::Heap,
            Some(path) if path == Path::new("[stack]") => Mapped::Stack,
            Some(path) if mapping.inode == 0 && path.to_string_lossy().starts_with('[') => Mapped::Anonymous,
            Some(path) => Mapped::File(path.to_owned()),
        }
    }
}

/// What of process `pid` with these `maps` is in memory now, the most first. The stacks of its threads are at `stacks`.
///
/// # Errors
///
/// Those of reading its `pagemap`.
pub fn resident(pid: u32, maps: &[Mapping], stacks: &[Range<u64>]) -> io::Result<Vec<Resident>> {
    let pagemap = Pagemap::open(pid)?;
    let mut all: BTreeMap<Mapped, (u64, u64)> = BTreeMap::new();
    for mapping in maps {
        let (mut at, end) = (mapping.start.0, mapping.end.0);
        // What lies between stacks, and those.
        while at < end {
            let stack = stacks.iter().find(|stack| stack.end > at && stack.start < end);
            let (part, what) = match stack {
                Some(stack) if stack.start <= at => (at..stack.end.min(end), Mapped::ThreadStacks),
                Some(stack) => (at..stack.start, Mapped::of(mapping)),
                None => (at..end, Mapped::of(mapping)),
            };
            at = part.end;
            let present = pagemap.present(part)?;
            let entry = all.entry(what).or_default();
            entry.0 += present.runs.iter().map(|run| run.end - run.start).sum::<u64>();
            entry.1 += present.swapped;
        }
    }
    let there = all.into_iter().filter(|(_, sums)| *sums != (0, 0));
    let mut all: Vec<Resident> =
        there.map(|(what, (bytes, swapped))| Resident { what, bytes, swapped }).collect();
    all.sort_by_key(|one| std::cmp::Reverse(one.bytes));
    Ok(all)
}
