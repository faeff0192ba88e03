//! Blocks of memory that were allocated: how large they are really, whoever allocated them.

use std::ops::Range;

use rayon::prelude::*;
use rspy_process::word;

use crate::image::Image;
use crate::obmalloc::POOL_HEADER;
use crate::pages::{Area, Page};

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

/// Areas farther apart than this have tables of their own, in bytes.
const GAP: u64 = 1 << 30;

/// Where blocks are.
#[derive(Clone)]
pub struct Allocated {
    /// By pool of pymalloc, the size of its blocks in bytes; 0 where none is. It is asked several times for each object, and
    /// small enough to stay in a processor's cache.
    pools: Tables<u16>,
    /// By slice of mimalloc, the number of its page, counted from 1; 0 where none is.
    slices: Tables<u32>,
    pages: Vec<Blocks>,
    /// Whether what is in no page comes from the C library.
    is_malloc: bool,
    /// Whether only what is in no page counts, and of that what is in memory and not in these ranges.
    beyond: Option<Vec<Range<u64>>>,
}

/// The blocks of a page of mimalloc.
#[derive(Copy, Clone)]
struct Blocks {
    first: u64,
    size: u64,
}

/// What there is of each of the places, all of one size, that parts of the address space are divided into.
#[derive(Clone)]
struct Tables<T> {
    /// Few: one for most processes.
    all: Vec<Table<T>>,
    /// Size of a place as a power of two.
    shift: u32,
}

#[derive(Clone)]
struct Table<T> {
    range: Range<u64>,
    entries: Vec<T>,
}

impl Allocated {
    /// The pages of all `areas`. What is in none comes from the C library where `is_malloc`.
    pub fn new(image: &Image, areas: &[Area<'_>], is_malloc: bool) -> Allocated {
        let place_of = |area: &Area<'_>| match area {
            Area::Arena(_, geometry) => geometry.pool,
            Area::Segment(_, mimalloc) => mimalloc.slice(),
        };
        // All interpreters of a process are of one build.
        let of_build = |is_arena: bool| {
            let mut of_kind: Vec<Area<'_>> =
                areas.iter().copied().filter(|area| matches!(area, Area::Arena(..)) == is_arena).collect();
            let place = of_kind.first().map_or(1, place_of);
            of_kind.retain(|area| place_of(area) == place);
            of_kind.sort_by_key(|area| area.range().start);
            let found = of_kind.par_iter().map(|area| area.pages(image).pages).collect();
            let found: Vec<Vec<Page>> = found;
            (of_kind, place, found.into_iter().flatten().collect::<Vec<Page>>())
        };
        let (arenas, pool, in_pools) = of_build(true);
        let mut pools = Tables::new(&arenas, pool);
        for page in in_pools {
            if let Some(entry) = pools.get_mut(page.first) {
                *entry = page.block as u16;
            }
        }
        let (segments, slice, in_slices) = of_build(false);
        let mut slices = Tables::new(&segments, slice);
        let mut pages = Vec::with_capacity(in_slices.len());
        for page in in_slices {
            pages.push(Blocks { first: page.first, size: page.block });
            let end = page.first + u64::from(page.capacity) * page.block;
            for at in (page.first..end).step_by(slice as usize).chain((end > page.first).then(|| end - 1)) {
                if let Some(entry) = slices.get_mut(at) {
                    *entry = pages.len() as u32;
                }
            }
        }
        Allocated { pools, slices, pages, is_malloc, beyond: None }
    }

    /// The same, but that what is in pages takes nothing, and all else only what of it is in memory and in no `variables`.
    pub(crate) fn beyond_pages(&self, variables: &[Range<u64>]) -> Allocated {
        Allocated { beyond: Some(variables.to_vec()), ..self.clone() }
    }

    /// Whether there are pages.
    pub(crate) fn has_pages(&self) -> bool {
        !self.pools.all.is_empty() || !self.pages.is_empty()
    }

    /// The size of the blocks of the page that `at` lies in.
    #[inline]
    pub fn block_size(&self, at: u64) -> Option<u64> {
        match self.pools.get(at) {
            Some(size) if size != 0 => Some(u64::from(size)),
            _ if self.pages.is_empty() => None,
            _ => self.blocks_in_slice(at).map(|blocks| blocks.size),
        }
    }

    /// The block that `at` lies in.
    #[inline]
    pub fn block_of(&self, at: u64) -> Option<Range<u64>> {
        let Blocks { first, size } = match self.pools.get(at) {
            Some(size) if size != 0 => {
                Blocks { first: self.pools.start_of(at) + POOL_HEADER, size: u64::from(size) }
            }
            _ => self.blocks_in_slice(at)?,
        };
        let start = at - at.checked_sub(first)? % size;
        Some(start..start + size)
    }

    /// The blocks of the page of mimalloc that `at` lies in.
    fn blocks_in_slice(&self, at: u64) -> Option<Blocks> {
        self.pages.get((self.slices.get(at)? as usize).checked_sub(1)?).copied()
    }

    /// What the block at `at` really takes, of which `wanted` bytes were asked for.
    #[inline]
    pub fn footprint(&self, image: &Image, at: u64, wanted: u64) -> u64 {
        match self.block_size(at) {
            Some(_) if self.beyond.is_some() => 0,
            Some(size) => size,
            None => {
                let chunk = if self.is_malloc { Allocated::chunk(image, at, wanted) } else { None };
                let size = chunk.unwrap_or_else(|| wanted.next_multiple_of(16));
                match &self.beyond {
                    None => size,
                    Some(variables) if variables.iter().any(|range| range.contains(&at)) => 0,
                    Some(_) => image.copied_in(at..at.saturating_add(size)),
                }
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

impl<T: Copy + Default> Tables<T> {
    /// Of the places of `size` in `areas`, which are in order.
    fn new(areas: &[Area<'_>], size: u64) -> Tables<T> {
        let mut ranges: Vec<Range<u64>> = Vec::new();
        for area in areas {
            let start = area.range().start / size * size;
            match ranges.last_mut() {
                Some(last) if start.saturating_sub(last.end) < GAP => {
                    last.end = last.end.max(area.range().end);
                }
                _ => ranges.push(start..area.range().end),
            }
        }
        let entries =
            |range: &Range<u64>| vec![T::default(); (range.end - range.start).div_ceil(size) as usize];
        let all = ranges.into_iter().map(|range| Table { entries: entries(&range), range }).collect();
        Tables { all, shift: size.trailing_zeros() }
    }

    /// Where the place that `at` lies in begins.
    fn start_of(&self, at: u64) -> u64 {
        at >> self.shift << self.shift
    }

    /// The entry of the place that `at` lies in.
    #[inline]
    fn get(&self, at: u64) -> Option<T> {
        let table = self.all.iter().find(|table| table.range.contains(&at))?;
        table.entries.get(((at - table.range.start) >> self.shift) as usize).copied()
    }

    fn get_mut(&mut self, at: u64) -> Option<&mut T> {
        let table = self.all.iter_mut().find(|table| table.range.contains(&at))?;
        table.entries.get_mut(((at - table.range.start) >> self.shift) as usize)
    }
}

/// Whether these eight bytes are the letter and what nobody may write to.
pub(crate) fn is_debug_mark(bytes: &[u8]) -> bool {
    bytes.split_first().is_some_and(|(letter, rest)| letter.is_ascii_lowercase() && rest == [0xfd; 7])
}
