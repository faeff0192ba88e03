//! pymalloc: arenas, the pools in them, and which blocks of a pool are in use (`Objects/obmalloc.c`).
//!
//! No symbol is needed: the array of arenas is recognised by what it leads to, since each pool has the index of its arena.

use std::ops::Range;

use rspy_process::{Address, Memory, word};

use crate::image::Image;
use crate::pages::{Page, Pages};

/// `struct arena_object`: `address`, `pool_address`, `nfreepools` and `ntotalpools` of four bytes, `freepools`, `nextarena`,
/// `prevarena`.
pub(crate) const ARENA_OBJECT: usize = 48;
/// `struct pool_header`, in bytes: blocks begin behind it.
pub const POOL_HEADER: u64 = 48;
/// The largest block, in bytes.
pub const LARGEST: u64 = 512;
/// Where no array of arenas is larger: four terabytes of objects.
const MAX_ARENAS: usize = 1 << 22;
/// How many unused arenas may stand before the first used one where an array is looked for.
const UNUSED_BEFORE: usize = 4096;
/// Sizes of arena and pool there have been: up to 3.9, from 3.10 on.
const SIZES: [(u64, u64); 2] = [(256 << 10, 4 << 10), (1 << 20, 16 << 10)];
/// What sizes of blocks are multiples of: from 3.7.4 on, before.
const ALIGNMENTS: [u64; 2] = [16, 8];

/// What this build has made its arenas and pools like, in bytes.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Geometry {
    /// Size of an arena.
    pub arena: u64,
    /// Size of a pool, and what pools are aligned to.
    pub pool: u64,
    /// What sizes of blocks are multiples of.
    pub alignment: u64,
}

/// An arena in use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arena {
    /// Its memory.
    pub range: Range<u64>,
    /// Its index, which each of its pools has.
    index: u32,
    /// Where the next pool will be made.
    pool_address: u64,
}

/// All arenas of an array.
#[derive(Clone, Debug)]
pub struct Arenas {
    /// Their sizes.
    pub geometry: Geometry,
    /// Those in use, by index.
    pub arenas: Vec<Arena>,
}

impl Arenas {
    /// All arrays of arenas that something in `roots` points to: one for each interpreter that has an allocator of its own.
    pub fn find(image: &Image, roots: &[Range<u64>]) -> Vec<Arenas> {
        let mut known = Vec::new();
        let mut found = Vec::new();
        for root in roots {
            let length = usize::try_from(root.end.saturating_sub(root.start)).unwrap_or(0);
            let Some(bytes) = image.bytes(root.start, length) else { continue };
            for pointer in bytes.as_chunks().0 {
                let at = u64::from_le_bytes(*pointer);
                if at % 8 == 0
                    && image.covers(at)
                    && !known.contains(&at)
                    && let Some(arenas) = Arenas::at(image, at)
                {
                    known.push(at);
                    found.push(arenas);
                }
            }
        }
        found
    }

    /// The array at `at`, if one is there.
    fn at(image: &Image, at: u64) -> Option<Arenas> {
        let array = image.from(at);
        let objects = || array.chunks_exact(ARENA_OBJECT).enumerate();
        let is_unused = |object: &[u8]| word(object, 0, 8) == Some(0);
        let (first, object) = objects().take(UNUSED_BEFORE).find(|(_, object)| !is_unused(object))?;
        let geometry = Geometry::find(image, object, first)?;
        let mut arenas = Vec::new();
        for (index, object) in objects().take(MAX_ARENAS) {
            if is_unused(object) {
                continue;
            }
            match Arena::of(object, index, geometry.arena, geometry.pool) {
                Some(arena) if image.covers(arena.range.start) && arena.is_first_pools(image, geometry) => {
                    arenas.push(arena);
                }
                // Behind the array.
                _ => break,
            }
        }
        Some(Arenas { geometry, arenas })
    }

    /// The bytes they take.
    pub fn bytes(&self) -> u64 {
        self.arenas.len() as u64 * self.geometry.arena
    }
}

impl Geometry {
    /// That of the arena described by `object`, the entry `index` of an array, if it is one.
    pub(crate) fn find(memory: &impl Memory, object: &[u8], index: usize) -> Option<Geometry> {
        SIZES.into_iter().find_map(|sizes| Geometry::of(memory, object, index, sizes))
    }

    /// If its pools have these sizes.
    fn of(memory: &impl Memory, object: &[u8], index: usize, (arena, pool): (u64, u64)) -> Option<Geometry> {
        let arena_of = Arena::of(object, index, arena, pool)?;
        let header: [u8; POOL_HEADER as usize] = memory.array(Address(arena_of.first_pool(pool))).ok()?;
        let is_its_pool = word(&header, 32, 4)? == index as u64;
        let (size_index, max_next_offset) = (word(&header, 36, 4)?, word(&header, 44, 4)?);
        let fits = |alignment: &u64| {
            let block = (size_index + 1) * alignment;
            block <= LARGEST && max_next_offset + block == pool
        };
        let alignment = ALIGNMENTS.into_iter().find(fits)?;
        is_its_pool.then_some(Geometry { arena, pool, alignment })
    }
}

impl Arena {
    /// What an `arena_object` says, if it makes sense for arenas and pools of these sizes.
    pub(crate) fn of(object: &[u8], index: usize, arena: u64, pool: u64) -> Option<Arena> {
        let (address, pool_address) = (word(object, 0, 8)?, word(object, 8, 8)?);
        let (free, total) = (word(object, 16, 4)?, word(object, 20, 4)?);
        let end = address.checked_add(arena)?;
        // An arena that is not aligned to its pools has room for one less.
        let whole = arena / pool - u64::from(!address.is_multiple_of(pool));
        let is_sane = address.is_multiple_of(4096)
            && (address..=end).contains(&pool_address)
            && pool_address.is_multiple_of(pool)
            && total == whole
            && free <= total;
        is_sane.then_some(Arena { range: address..end, index: u32::try_from(index).ok()?, pool_address })
    }

    fn first_pool(&self, pool: u64) -> u64 {
        self.range.start.next_multiple_of(pool)
    }

    /// Whether its first pool has its index, as far as that was made.
    fn is_first_pools(&self, image: &Image, geometry: Geometry) -> bool {
        let first = self.first_pool(geometry.pool);
        first >= self.pool_address
            || image.bytes(first + 32, 4).and_then(|bytes| word(bytes, 0, 4)) == Some(u64::from(self.index))
    }

    /// Its pools.
    pub fn pools(&self, image: &Image, geometry: Geometry) -> Pages {
        let mut found = Pages::default();
        let mut at = self.first_pool(geometry.pool);
        while at + geometry.pool <= self.range.end {
            let is_made = at < self.pool_address;
            let header = image.bytes(at, POOL_HEADER as usize).filter(|_| is_made);
            match header.map(|header| (word(header, 0, 4), header)) {
                None | Some((Some(0), _)) => found.free += geometry.pool,
                Some((_, header)) => match self.pool(at, header, geometry) {
                    Some(pool) => found.pages.push(pool),
                    None => found.misfits += 1,
                },
            }
            at += geometry.pool;
        }
        found
    }

    fn pool(&self, at: u64, header: &[u8], geometry: Geometry) -> Option<Page> {
        let (used, freeblock) = (word(header, 0, 4)?, word(header, 8, 8)?);
        let (index, size_index) = (word(header, 32, 4)?, word(header, 36, 4)?);
        let next_offset = word(header, 40, 4)?;
        let block = (size_index + 1) * geometry.alignment;
        if index != u64::from(self.index) || block > LARGEST || next_offset < POOL_HEADER {
            return None;
        }
        let capacity = (geometry.pool - POOL_HEADER) / block;
        let carved = ((next_offset - POOL_HEADER) / block).min(capacity);
        let narrow = |count: u64| u32::try_from(count).ok();
        Some(Page {
            first: at + POOL_HEADER,
            block,
            room: block,
            step: geometry.alignment,
            capacity: narrow(capacity)?,
            used: narrow(used)?,
            has_objects: true,
            carved: narrow(carved)?,
            lists: [freeblock, 0, 0],
            listed: narrow(carved.checked_sub(used)?)?,
            code: None,
        })
    }
}
