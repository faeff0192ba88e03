//! Blocks of memory that were allocated: how large they are really, whoever allocated them.

use std::ops::Range;

use rayon::prelude::*;
use rspy_process::word;

use crate::image::Image;
use crate::obmalloc::{Arena, Arenas, Geometry, POOL_HEADER, Pool};

/// Where the size stands before a block of the GNU C library's `malloc`, and its bits that are flags.
const CHUNK_SIZE: u64 = 8;
const CHUNK_FLAGS: u64 = 7;
/// Set where the block has a mapping of its own.
const CHUNK_MAPPED: u64 = 2;
/// What debugging allocators put before what was asked for: how much that was, the highest byte first, and a letter for who asked
/// with seven bytes that nobody may write to; and what behind it (`_PyMem_DebugRawAlloc` in `Objects/obmalloc.c`).
pub(crate) const DEBUG_HEAD: u64 = 16;
const DEBUG_TAIL: u64 = 8;
/// What is too large for pymalloc it asks another for, of which debugging may be made as well.
const DEBUGGERS: usize = 2;

/// Larger than any block, in bytes.
const MAX_CHUNK: u64 = 1 << 40;

/// Arenas farther apart than this have tables of their own, in bytes.
const GAP: u64 = 1 << 30;

/// Where blocks are.
pub struct Allocated {
    /// Few: one for most processes.
    tables: Vec<Table>,
    /// Size of a pool as a power of two.
    pool_shift: u32,
    /// Whether what is in no pool comes from the C library.
    is_malloc: bool,
}

/// The pools of a part of the address space.
struct Table {
    range: Range<u64>,
    /// The size of the blocks of each place where a pool can be, in bytes; 0 where none is. It is asked several times for each
    /// object, and small enough to stay in a processor's cache.
    blocks: Vec<u16>,
}

impl Allocated {
    /// The pools of all `arenas`. What is in none comes from the C library where `is_malloc`.
    pub fn new(image: &Image, arenas: &[Arenas], is_malloc: bool) -> Allocated {
        let pool = arenas.first().map_or(1, |all| all.geometry.pool);
        let mut allocated = Allocated { tables: Vec::new(), pool_shift: pool.trailing_zeros(), is_malloc };
        // All interpreters of a process are of one build.
        let of_build = arenas.iter().filter(|all| all.geometry.pool == pool);
        let mut all: Vec<(&Arena, Geometry)> =
            of_build.flat_map(|all| all.arenas.iter().map(|arena| (arena, all.geometry))).collect();
        all.sort_by_key(|(arena, _)| arena.range.start);
        let pools: Vec<Vec<Pool>> =
            all.par_iter().map(|(arena, geometry)| arena.pools(image, *geometry).pools).collect();
        let mut ranges: Vec<Range<u64>> = Vec::new();
        for (arena, _) in &all {
            let start = arena.range.start / pool * pool;
            match ranges.last_mut() {
                Some(last) if start.saturating_sub(last.end) < GAP => {
                    last.end = last.end.max(arena.range.end)
                }
                _ => ranges.push(start..arena.range.end),
            }
        }
        let places = |range: &Range<u64>| (range.end - range.start).div_ceil(pool) as usize;
        allocated.tables =
            ranges.into_iter().map(|range| Table { blocks: vec![0; places(&range)], range }).collect();
        for pool in pools.iter().flatten() {
            let place = allocated.tables.iter_mut().find_map(|table| {
                let index = table.place(pool.at, allocated.pool_shift)?;
                table.blocks.get_mut(index)
            });
            if let Some(place) = place {
                *place = pool.block as u16;
            }
        }
        allocated
    }

    /// The size of the blocks of the pool that `at` lies in.
    #[inline]
    pub fn block_size(&self, at: u64) -> Option<u64> {
        for table in &self.tables {
            if let Some(index) = table.place(at, self.pool_shift) {
                return table.blocks.get(index).map(|size| u64::from(*size)).filter(|size| *size != 0);
            }
        }
        None
    }

    /// The block that `at` lies in.
    #[inline]
    pub fn block_of(&self, at: u64) -> Option<Range<u64>> {
        let size = self.block_size(at)?;
        let first = (at >> self.pool_shift << self.pool_shift) + POOL_HEADER;
        let start = at - at.checked_sub(first)? % size;
        Some(start..start + size)
    }

    /// What the block at `at` really takes, of which `wanted` bytes were asked for.
    #[inline]
    pub fn footprint(&self, image: &Image, at: u64, wanted: u64) -> u64 {
        match self.block_size(at) {
            Some(size) => size,
            None => {
                let chunk = if self.is_malloc { Allocated::chunk(image, at, wanted) } else { None };
                chunk.unwrap_or_else(|| wanted.next_multiple_of(16))
            }
        }
    }

    /// The size of the chunk of `malloc` at `at`, if what stands before it is one.
    fn chunk(image: &Image, at: u64, wanted: u64) -> Option<u64> {
        let (mut at, mut wanted) = (at, wanted);
        let mut before = image.bytes(at.checked_sub(CHUNK_SIZE)?, 8)?;
        for _ in 0..DEBUGGERS {
            if !is_debug_mark(before) {
                break;
            }
            at = at.checked_sub(DEBUG_HEAD)?;
            wanted += DEBUG_HEAD + DEBUG_TAIL;
            before = image.bytes(at.checked_sub(CHUNK_SIZE)?, 8)?;
        }
        let size = word(before, 0, 8)?;
        let (size, flags) = (size & !CHUNK_FLAGS, size & CHUNK_FLAGS);
        let most = wanted.saturating_mul(2).saturating_add(if flags & CHUNK_MAPPED == 0 { 64 } else { 8192 });
        (size.is_multiple_of(16) && (wanted..=most).contains(&size) && size < MAX_CHUNK).then_some(size)
    }
}

impl Table {
    /// The number of the place that `at` lies in.
    #[inline]
    fn place(&self, at: u64, pool_shift: u32) -> Option<usize> {
        self.range.contains(&at).then(|| ((at - self.range.start) >> pool_shift) as usize)
    }
}

/// Whether these eight bytes are the letter and what nobody may write to.
pub(crate) fn is_debug_mark(bytes: &[u8]) -> bool {
    bytes.split_first().is_some_and(|(letter, rest)| letter.is_ascii_lowercase() && rest == [0xfd; 7])
}
