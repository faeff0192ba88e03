//! The objects of a heap, counted by type.

mod memory;
mod text;

use std::cmp::Reverse;

use rspy_heap::census::{Census, OfType};
use rspy_heap::fill::Fill;
use rspy_heap::heap::Heap as Objects;
use rspy_heap::pins::Pins;
use rspy_heap::residence::Resident;
use serde::Serialize;

use memory::Memory;

use super::captured::Captured;
use super::pause::Paused;
use crate::analysis::page::json;
use crate::cli::{Heap, HeapKey};
use crate::failure::Failure;
use crate::progress::during;

/// What is known of a heap.
#[derive(Serialize)]
struct Report {
    pid: u32,
    version: String,
    command_line: String,
    /// `None` if it went on while it was read.
    paused: Option<Paused>,
    /// Bytes that were copied; that had gone when they were to be; that are in swap space and were left there.
    copied: u64,
    lost: u64,
    swapped: u64,
    /// Bytes that are in memory, and of what.
    rss: u64,
    resident: Vec<Resident>,
    /// The same by what it is for Python.
    memory: Memory,
    pymalloc: Fill,
    /// `None` where the process has another allocator.
    mimalloc: Option<Fill>,
    /// What is in arenas that are nearly empty.
    pins: Pins,
    /// Blocks of these in use, those of them that are objects, objects elsewhere, and pages that made no sense.
    blocks: u64,
    objects_in_blocks: u64,
    objects_outside: u64,
    misfits: u64,
    /// Sums of all types.
    count: u64,
    size: u64,
    footprint: u64,
    types: Vec<Row>,
}

/// All objects of a type.
#[derive(Serialize)]
struct Row {
    r#type: String,
    count: u64,
    /// As `sys.getsizeof` counts, and as the allocators do.
    size: u64,
    footprint: u64,
    mean: f64,
    largest: Largest,
}

#[derive(Serialize)]
struct Largest {
    address: u64,
    size: u64,
    footprint: u64,
}

/// Counts the objects of a process and prints them by type.
pub fn census(options: &Heap) -> Result<(), Failure> {
    let captured = Captured::of(options)?;
    let heap = captured.heap()?;
    let census = during("counting objects", || Census::of(&heap));
    let report = captured.whole(&heap, Report::new(options, &captured, &heap, &census))?;
    match options.json {
        true => json(&report),
        false => text::write(options, &report).map_err(|error| Failure::printing(&error)),
    }
}

impl Report {
    fn new(options: &Heap, captured: &Captured, heap: &Objects<'_>, census: &Census) -> Report {
        let sum = |of: fn(&OfType) -> u64| census.types.iter().map(of).fold(0, u64::saturating_add);
        let (count, size, footprint) =
            (sum(|one| one.count), sum(|one| one.size.reported), sum(|one| one.size.footprint));
        let mut types: Vec<Row> = census.types.iter().map(Row::new).collect();
        sort(&mut types, options.sort);
        let (pymalloc, mimalloc) = (heap.pymalloc(), heap.mimalloc());
        let pages = pymalloc.resident + mimalloc.as_ref().map_or(0, |fill| fill.resident);
        Report {
            pid: captured.about.pid,
            version: captured.about.version.clone(),
            command_line: captured.about.command_line.clone(),
            paused: captured.about.paused,
            copied: captured.image.bytes,
            lost: captured.image.lost,
            swapped: captured.image.swapped,
            rss: captured.about.rss(),
            resident: captured.about.resident.clone(),
            memory: Memory::new(&captured.about.resident, pages, census.beyond_pages),
            pymalloc,
            mimalloc,
            pins: heap.pins(),
            blocks: census.blocks,
            objects_in_blocks: census.objects_in_blocks,
            objects_outside: census.objects_outside,
            misfits: census.misfits,
            count,
            size,
            footprint,
            types,
        }
    }
}

impl Row {
    fn new(one: &OfType) -> Row {
        let (address, size) = one.largest;
        Row {
            r#type: one.of.name.clone(),
            count: one.count,
            size: one.size.reported,
            footprint: one.size.footprint,
            mean: one.size.footprint as f64 / one.count as f64,
            largest: Largest { address, size: size.reported, footprint: size.footprint },
        }
    }
}

/// Sorts types; those that are alike by name.
fn sort(types: &mut [Row], key: Option<HeapKey>) {
    types.sort_by(|one, next| one.r#type.cmp(&next.r#type));
    match key {
        Some(HeapKey::Size) => types.sort_by_key(|row| Reverse(row.size)),
        Some(HeapKey::Count) => types.sort_by_key(|row| Reverse(row.count)),
        Some(HeapKey::Mean) => types.sort_by(|one, next| next.mean.total_cmp(&one.mean)),
        Some(HeapKey::Largest) => types.sort_by_key(|row| Reverse(row.largest.footprint)),
        Some(HeapKey::Type) => {}
        _ => types.sort_by_key(|row| Reverse(row.footprint)),
    }
}
