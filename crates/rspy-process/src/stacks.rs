//! Where threads have their stacks: `/proc/PID/maps` does not say, and the kernel joins them with what lies beside.

use std::ops::Range;

use crate::maps::Mapping;
use crate::pagemap::{PAGE, Pagemap};
use crate::threads::stack_pointer;
use crate::{Address, Memory, word};

/// How far `struct pthread` of the GNU C library and of musl reaches, of which the thread's id is the address, in bytes.
/// It lies at the end of the stack and has, somewhere, where the stack's memory begins and how large that is (`stackblock`,
/// `stackblock_size` in `nptl/descr.h`; `map_base`, `map_size` in `pthread_impl.h`).
const DESCRIPTOR: u64 = 2304;
/// How far from the end of a stack its descriptor may begin: variables of threads lie there as well, in bytes.
const MAX_DESCRIPTOR: u64 = 1 << 20;
/// How many pages above a stack pointer are looked through for the descriptor.
const MAX_PAGES: usize = 4096;

/// The stacks of the threads of process `pid` but that of the main thread, with what guards them, in order. `known` are ids of threads, as
/// `pthread_self()` gives, which for those that run are the only way to find them.
///
/// Only what is in memory is read. A thread that neither sleeps nor is known, or that has another C library, is left out.
pub fn thread_stacks(
    pid: u32,
    threads: &[u32],
    known: &[Address],
    memory: &impl Memory,
    maps: &[Mapping],
) -> Vec<Range<u64>> {
    let Ok(pagemap) = Pagemap::open(pid) else { return Vec::new() };
    let mut stacks: Vec<Range<u64>> =
        known.iter().filter_map(|at| stack_of(memory, mapping_of(maps, *at)?, at.0)).collect();
    for pointer in threads.iter().filter_map(|tid| stack_pointer(pid, *tid)) {
        let is_known = stacks.iter().any(|stack| stack.contains(&pointer.0));
        let Some(mapping) = mapping_of(maps, pointer).filter(|_| !is_known) else { continue };
        let above = pagemap.present(pointer.0 & !(PAGE - 1)..mapping.end.0).unwrap_or_default();
        let pages = above.runs.into_iter().flat_map(|run| run.step_by(PAGE as usize)).take(MAX_PAGES);
        stacks.extend(
            pages
                .flat_map(|page| descriptors(memory, page))
                .find_map(|at| stack_of(memory, mapping, at).filter(|stack| stack.contains(&pointer.0))),
        );
    }
    stacks.sort_by_key(|stack| (stack.start, stack.end));
    stacks.dedup_by(|next, one| next.start < one.end);
    stacks
}

/// The memory of the process's own that `at` lies in.
fn mapping_of(maps: &[Mapping], at: Address) -> Option<&Mapping> {
    let index = maps.partition_point(|mapping| mapping.end <= at);
    maps.get(index).filter(|mapping| mapping.contains(at) && mapping.writable && mapping.path.is_none())
}

/// Where a page has what may be a descriptor: it begins with its own address.
fn descriptors(memory: &impl Memory, page: u64) -> Vec<u64> {
    let bytes = memory.bytes(Address(page), PAGE as usize).unwrap_or_default();
    let places = (0..bytes.len()).step_by(16).map(|offset| (page + offset as u64, word(&bytes, offset, 8)));
    places.filter(|(at, value)| *value == Some(*at)).map(|(at, _)| at).collect()
}

/// The stack of the thread whose descriptor is at `at`.
fn stack_of(memory: &impl Memory, mapping: &Mapping, at: u64) -> Option<Range<u64>> {
    let length = DESCRIPTOR.min(mapping.end.0.checked_sub(at)?);
    let descriptor = memory.bytes(Address(at), length as usize).ok()?;
    if word(&descriptor, 0, 8)? != at {
        return None;
    }
    (0..descriptor.len().saturating_sub(15)).step_by(8).find_map(|offset| {
        let (start, size) = (word(&descriptor, offset, 8)?, word(&descriptor, offset + 8, 8)?);
        let end = start.checked_add(size)?;
        let is_stack = start.is_multiple_of(PAGE)
            && size.is_multiple_of(PAGE)
            && start < at
            && (at + 8..=at.saturating_add(MAX_DESCRIPTOR)).contains(&end)
            && end <= mapping.end.0;
        is_stack.then_some(start..end)
    })
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;
    use std::thread;

    use super::*;
    use crate::{LiveMemory, Process};

    #[test]
    fn threads_that_wait_are_found_by_their_stack_pointers() {
        let (told, places) = channel();
        let (go_on, wait) = channel::<()>();
        let thread = thread::Builder::new().stack_size(300 << 10).spawn(move || {
            let here = 0_u8;
            told.send((&raw const here).addr() as u64).unwrap();
            let _ = wait.recv();
        });
        let here = places.recv().unwrap();
        let pid = std::process::id();
        let process = Process::open(pid).unwrap();
        let memory = LiveMemory::new(pid).unwrap();
        // It told where it is before it began to wait.
        let found = loop {
            let (threads, maps) = (process.threads().unwrap(), process.maps().unwrap());
            let stacks = thread_stacks(pid, &threads, &[], &memory, &maps);
            if let Some(stack) = stacks.into_iter().find(|stack| stack.contains(&here)) {
                break stack;
            }
            thread::yield_now();
        };
        assert!((300 << 10..=400 << 10).contains(&(found.end - found.start)), "{found:x?}");
        go_on.send(()).unwrap();
        thread.unwrap().join().unwrap();
    }
}
