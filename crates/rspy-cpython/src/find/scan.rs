//! Searching the writable memory of an image, for interpreters whose symbols
//! were stripped.

use std::collections::HashSet;

use rspy_process::elf::Region;
use rspy_process::maps::Mapping;
use rspy_process::{Address, Batch, Limited, Memory, ReadError, word};

use super::validate;
use crate::layout::Layout;
use crate::version::Version;

/// Most writable memory of one image that is searched, in bytes.
const MAX_SEARCHED: u64 = 256 << 20;
/// Read at once, in bytes.
const BLOCK: usize = 1 << 20;
/// Most that is read to prove candidates, in bytes.
const MAX_PROVED: u64 = 2 << 30;
/// Longest text that is looked for: `Py_GetVersion`'s buffer.
const OVERLAP: usize = 320;

/// Calls `visit` with overlapping blocks of `regions`, with the address of each,
/// until it gives something.
fn blocks<T>(
    memory: &impl Memory,
    regions: &[Region],
    mut visit: impl FnMut(Address, &[u8]) -> Option<T>,
) -> Option<T> {
    let mut left = MAX_SEARCHED;
    let mut block = vec![0; BLOCK + OVERLAP];
    for region in regions {
        let mut at = 0;
        while at < region.len && left > 0 {
            let len = (region.len - at).min(block.len() as u64) as usize;
            let Some(start) = region.start.0.checked_add(at).map(Address) else { break };
            let bytes = &mut block[..len];
            // Parts of a segment may have been protected or unmapped since: what
            // is readable up to there still counts.
            if (memory.read(start, bytes).is_ok() || read_pages(memory, start, bytes))
                && let Some(found) = visit(start, bytes)
            {
                return Some(found);
            }
            at += BLOCK as u64;
            left = left.saturating_sub(BLOCK as u64);
        }
    }
    None
}

/// Reads page by page, zeroes where nothing is readable; whether anything was.
fn read_pages(memory: &impl Memory, start: Address, bytes: &mut [u8]) -> bool {
    let mut any = false;
    let mut at = 0;
    while at < bytes.len() {
        let page_end = 4096 - (start.0 as usize % 4096 + at) % 4096;
        let end = (at + page_end).min(bytes.len());
        match memory.read(start.offset(at as u64), &mut bytes[at..end]) {
            Ok(()) => any = true,
            Err(_) => bytes[at..end].fill(0),
        }
        at = end;
    }
    any
}

/// How far it is from `start` to the next multiple of 8.
fn to_next_word(start: Address) -> usize {
    (start.0.wrapping_neg() % 8) as usize
}

/// The first 8-aligned place that holds `wanted`.
pub(super) fn find_bytes(memory: &impl Memory, regions: &[Region], wanted: &[u8; 8]) -> Option<Address> {
    blocks(memory, regions, |start, bytes| {
        let skip = to_next_word(start);
        let words = bytes.get(skip..)?.chunks_exact(8);
        let index = { words }.position(|word| word == wanted)?;
        Some(start.offset((skip + index * 8) as u64))
    })
}

/// The version in the text that `Py_GetVersion` made: `3.8.18 (default, …) [GCC …]`.
pub(super) fn find_version_text(memory: &impl Memory, regions: &[Region]) -> Option<Version> {
    blocks(memory, regions, |start, bytes| {
        let skip = to_next_word(start);
        (skip..bytes.len().saturating_sub(16)).step_by(8).find_map(|at| {
            let text = &bytes[at..];
            if !matches!(text, [b'2' | b'3', b'.', b'0'..=b'9', ..]) {
                return None;
            }
            let end = text.iter().take(OVERLAP).position(|byte| *byte == 0)?;
            let text = std::str::from_utf8(&text[..end]).ok()?;
            // "3.8.18 (default, Apr …) \n[GCC 12.2.0]"
            let is_version = text.contains(" (") && text.contains(", ") && text.contains(") ");
            if is_version { Version::from_text(text) } else { None }
        })
    })
}

/// The variable in `regions` that points to the newest interpreter: the one from
/// which the whole chain holds.
///
/// Every aligned word is a candidate. Two rounds of batched reads leave those
/// whose thread state points back, and only these are looked at closely.
pub(super) fn find_interpreters(
    memory: &impl Memory,
    layout: &Layout,
    regions: &[Region],
    maps: &[Mapping],
) -> Result<Option<Address>, ReadError> {
    let limited = &Limited::new(memory, MAX_PROVED);
    // Interpreters that were none: more than one variable can point to the same.
    let mut tried = HashSet::new();
    let found = blocks(memory, regions, |start, bytes| {
        // (variable, interpreter)
        let mut candidates: Vec<(Address, Address)> = Vec::new();
        for at in (0..bytes.len().min(BLOCK)).step_by(8) {
            let value = Address(word(bytes, at, 8).unwrap_or(0));
            if value.is_plausible() && value.0.is_multiple_of(8) && is_writable(maps, value) {
                candidates.push((start.offset(at as u64), value));
            }
        }
        let heads =
            follow(memory, candidates.iter().map(|(_, interp)| layout.interpreter.threads_head.of(*interp)));
        let mut threads = Vec::new();
        for (candidate, head) in candidates.into_iter().zip(heads) {
            if let Some(thread) = head
                && thread.is_plausible()
                && thread.0.is_multiple_of(8)
            {
                threads.push((candidate.0, candidate.1, thread));
            }
        }
        let owners = follow(memory, threads.iter().map(|(.., thread)| layout.thread.interp.of(*thread)));
        let plausible = threads.into_iter().zip(owners);
        plausible
            .filter(|((_, interpreter, _), owner)| *owner == Some(*interpreter))
            .find(|((variable, interpreter, _), _)| {
                tried.insert(*interpreter) && validate::chain(limited, layout, *variable).is_ok()
            })
            .map(|((variable, ..), _)| variable)
    });
    Ok(found)
}

/// Reads one pointer at each address, batch by batch.
fn follow(memory: &impl Memory, addresses: impl Iterator<Item = Address>) -> Vec<Option<Address>> {
    let mut batch = Batch::new();
    for at in addresses {
        batch.push(at, 8);
    }
    memory.read_many(&mut batch);
    (0..batch.len()).map(|index| word(batch.get(index).ok()?, 0, 8).map(Address)).collect()
}

fn is_writable(maps: &[Mapping], at: Address) -> bool {
    let index = maps.partition_point(|mapping| mapping.end <= at);
    maps.get(index).is_some_and(|mapping| mapping.start <= at && mapping.writable)
}
