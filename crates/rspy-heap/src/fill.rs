//! How full what allocators have made pages of is, by size of block: arenas of pymalloc, segments of mimalloc.

use std::collections::BTreeMap;
use std::ops::Range;

use serde::Serialize;

use crate::image::Image;
use crate::pages::Area;

/// All areas of an allocator. Bytes add up: `bytes` is what is `used`, `free` in pages and outside of them, and `overhead`.
///
/// What is called arenas and pools here, as JSON has it, are segments and pages of mimalloc.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Fill {
    /// How many arenas there are.
    pub arenas: u64,
    /// What they take of the address space.
    pub bytes: u64,
    /// What of that is in memory.
    pub resident: u64,
    /// Blocks in use.
    pub used: u64,
    /// Blocks that are free, in pools that others keep.
    pub free_blocks: u64,
    /// Pools with nothing in them, which blocks of any size can be made of.
    pub free_pools: u64,
    /// Headers of pools, and what is left over at their ends.
    pub overhead: u64,
    /// Arenas less than a tenth of which is in use: what is in them keeps the rest from being returned. mimalloc returns
    /// what it does not use all the same.
    pub sparse_arenas: u64,
    /// What is free in those.
    pub sparse_free: u64,
    /// By size of block, smallest first.
    pub classes: Vec<Class>,
}

/// Pools with blocks of one size.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Class {
    /// Size of a block, in bytes.
    pub size: u64,
    /// How many pools.
    pub pools: u64,
    /// How many of their blocks are in use.
    pub used: u64,
    /// How many are free.
    pub free: u64,
}

impl Fill {
    /// Of all these areas.
    pub fn of(image: &Image, areas: &[Area<'_>]) -> Fill {
        let mut fill = Fill { resident: resident(image, areas), ..Fill::default() };
        let mut classes: BTreeMap<u64, Class> = BTreeMap::new();
        for area in areas {
            let (bytes, pages) = (area.range().end - area.range().start, area.pages(image));
            let mut used = 0;
            for page in &pages.pages {
                let (capacity, in_use) = (u64::from(page.capacity), u64::from(page.used));
                let free = capacity - in_use.min(capacity);
                let class = classes.entry(page.block).or_default();
                class.size = page.block;
                class.pools += 1;
                class.used += in_use;
                class.free += free;
                used += in_use * page.block;
                fill.free_blocks += free * page.block;
            }
            fill.arenas += 1;
            fill.bytes += bytes;
            fill.used += used;
            fill.free_pools += pages.free;
            if area.is_sparse(used) {
                fill.sparse_arenas += 1;
                fill.sparse_free += bytes - used;
            }
        }
        // An arena that is not aligned to its pools has a part of one at each end; what makes no sense counts here as well.
        fill.overhead = fill.bytes - (fill.used + fill.free_blocks + fill.free_pools).min(fill.bytes);
        fill.classes = classes.into_values().collect();
        fill
    }
}

/// How much of `areas` is in memory.
fn resident(image: &Image, areas: &[Area<'_>]) -> u64 {
    let mut ranges: Vec<_> = areas.iter().map(|area| area.range()).collect();
    ranges.sort_by_key(|range| range.start);
    let within = |run: &Range<u64>| -> u64 {
        let first = ranges.partition_point(|range| range.end <= run.start);
        let there = ranges.iter().skip(first).take_while(|range| range.start < run.end);
        there.map(|range| range.end.min(run.end) - range.start.max(run.start)).sum()
    };
    image.runs().map(|(run, _)| within(&run)).sum()
}
