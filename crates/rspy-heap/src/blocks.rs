//! Blocks of memory that were allocated: how large they are really, whoever allocated them.

use rspy_process::word;
use rustc_hash::FxHashMap;

use crate::image::Image;
use crate::obmalloc::{Arenas, POOL_HEADER, Pool};

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

/// Where blocks are.
pub struct Allocated {
    /// By where they begin.
    pools: FxHashMap<u64, Pool>,
    /// Size of a pool, in bytes; 0 if there is none.
    pool: u64,
    /// Whether what is in no pool comes from the C library.
    is_malloc: bool,
}

/// Who has allocated a block.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Owner {
    /// It lies in a pool.
    Pymalloc,
    /// It comes from `malloc`, in which it takes so many bytes.
    Malloc(u64),
}

impl Allocated {
    /// The pools of all `arenas`. What is in none comes from the C library where `is_malloc`.
    pub fn new(image: &Image, arenas: &[Arenas], is_malloc: bool) -> Allocated {
        let mut allocated = Allocated { pools: FxHashMap::default(), pool: 0, is_malloc };
        for all in arenas {
            allocated.pool = all.geometry.pool;
            for arena in &all.arenas {
                let pools = arena.pools(image, all.geometry).pools;
                allocated.pools.extend(pools.into_iter().map(|pool| (pool.at, pool)));
            }
        }
        allocated
    }

    /// The pool that `at` lies in.
    #[inline]
    pub fn pool_of(&self, at: u64) -> Option<&Pool> {
        self.pools.get(&(at & !self.pool.checked_sub(1)?))
    }

    /// All pools.
    pub fn pools(&self) -> impl Iterator<Item = &Pool> {
        self.pools.values()
    }

    /// What the block at `at` really takes, of which `wanted` bytes were asked for.
    #[inline]
    pub fn footprint(&self, image: &Image, at: u64, wanted: u64) -> u64 {
        match self.pool_of(at) {
            Some(pool) => pool.block,
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

impl Pool {
    /// Where the block that `at` lies in begins.
    #[inline]
    pub fn block_of(&self, at: u64) -> Option<u64> {
        let offset = at.checked_sub(self.at + POOL_HEADER)?;
        Some(at - offset % self.block)
    }
}

/// Whether these eight bytes are the letter and what nobody may write to.
pub(crate) fn is_debug_mark(bytes: &[u8]) -> bool {
    bytes.split_first().is_some_and(|(letter, rest)| letter.is_ascii_lowercase() && rest == [0xfd; 7])
}
