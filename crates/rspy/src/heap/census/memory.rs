//! What of a process is in memory, by what it is for Python.

use std::io;

use rspy_heap::residence::{Mapped, Resident};
use serde::Serialize;

use super::super::megabytes;
use crate::analysis::page::{Page, Tone};

/// Files that take less than this part of the whole are told together.
const LEAST: f64 = 0.005;

/// What is in memory, in bytes: all together it is the RSS.
#[derive(Serialize)]
pub struct Memory {
    /// The arenas of Python's allocator, or mimalloc's segments.
    arenas: u64,
    /// What objects have outside of them: what is larger than its largest block it asks `malloc` for.
    large_objects: u64,
    /// The stack of the main thread, and those of others.
    main_stack: u64,
    thread_stacks: u64,
    /// Programs, libraries and other files.
    files: u64,
    /// What is none of those: memory of native libraries, and what `malloc` keeps that nobody uses.
    other: u64,
}

impl Memory {
    /// Of what is `resident`, where so many bytes are `arenas` and so many of objects `beyond` those.
    pub fn new(resident: &[Resident], arenas: u64, beyond: u64) -> Memory {
        let mut memory =
            Memory { arenas: 0, large_objects: 0, main_stack: 0, thread_stacks: 0, files: 0, other: 0 };
        for part in resident {
            let sum = match part.what {
                Mapped::Anonymous | Mapped::Heap => &mut memory.other,
                Mapped::ThreadStacks => &mut memory.thread_stacks,
                Mapped::Stack => &mut memory.main_stack,
                Mapped::File(_) => &mut memory.files,
            };
            *sum += part.bytes;
        }
        // Of a process that goes on there may be more by now.
        memory.arenas = arenas.min(memory.other);
        memory.large_objects = beyond.min(memory.other - memory.arenas);
        memory.other -= memory.arenas + memory.large_objects;
        memory
    }

    /// Writes it, with each of the larger files that are `resident`.
    pub fn write(&self, resident: &[Resident], page: &mut Page) -> io::Result<()> {
        let rss: u64 = resident.iter().map(|part| part.bytes).sum();
        page.line(Tone::Title, &format!("In memory: {} MB", megabytes(rss)))?;
        let mut rows = vec![
            (self.arenas, "arenas or segments of Python's allocator".to_owned()),
            (self.large_objects, "objects, tables and items that are too large for those".to_owned()),
            (self.thread_stacks, "stacks of threads".to_owned()),
            (self.main_stack, "stack of the main thread".to_owned()),
        ];
        let mut small_files = 0;
        for part in resident {
            match &part.what {
                Mapped::File(path) if part.bytes as f64 >= LEAST * rss as f64 => {
                    rows.push((part.bytes, path.display().to_string()));
                }
                Mapped::File(_) => small_files += part.bytes,
                _ => {}
            }
        }
        rows.push((small_files, "other files".to_owned()));
        let other = "unexplained: memory of native libraries, and what malloc keeps unused";
        rows.push((self.other, other.to_owned()));
        for (bytes, what) in rows.iter().filter(|(bytes, _)| *bytes > 0) {
            page.line(Tone::Plain, &format!("{:>12}  {what}", megabytes(*bytes)))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(resident: &[(Mapped, u64)]) -> Vec<Resident> {
        let part = |(what, bytes): &(Mapped, u64)| Resident { what: what.clone(), bytes: *bytes, swapped: 0 };
        resident.iter().map(part).collect()
    }

    #[test]
    fn parts_add_up() {
        let file = Mapped::File("/lib/x.so".into());
        let resident =
            parts(&[(Mapped::Anonymous, 100), (Mapped::Heap, 50), (Mapped::ThreadStacks, 8), (file, 7)]);
        let sum = |memory: &Memory| {
            let Memory { arenas, large_objects, main_stack, thread_stacks, files, other } = memory;
            arenas + large_objects + main_stack + thread_stacks + files + other
        };
        let memory = Memory::new(&resident, 60, 30);
        assert_eq!((memory.arenas, memory.large_objects, memory.other, sum(&memory)), (60, 30, 60, 165));
        // What was counted a moment later may be more than there was.
        let memory = Memory::new(&resident, 140, 30);
        assert_eq!((memory.arenas, memory.large_objects, memory.other, sum(&memory)), (140, 10, 0, 165));
    }
}
