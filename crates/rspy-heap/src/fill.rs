//! How full pymalloc's arenas are, by size of block.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::image::Image;
use crate::obmalloc::Arenas;

/// All arenas of a process. Bytes add up: `bytes` is what is `used`, `free` in pools and outside of them, and `overhead`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Fill {
    /// How many arenas there are.
    pub arenas: u64,
    /// What they take.
    pub bytes: u64,
    /// Blocks in use.
    pub used: u64,
    /// Blocks that are free, in pools that others keep.
    pub free_blocks: u64,
    /// Pools with nothing in them, which blocks of any size can be made of.
    pub free_pools: u64,
    /// Headers of pools, and what is left over at their ends.
    pub overhead: u64,
    /// Arenas less than a tenth of which is in use: what is in them keeps the rest from being returned.
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
    /// Of all these arenas.
    pub fn of(image: &Image, all: &[Arenas]) -> Fill {
        let mut fill = Fill::default();
        let mut classes: BTreeMap<u64, Class> = BTreeMap::new();
        for arenas in all {
            let geometry = arenas.geometry;
            for arena in &arenas.arenas {
                let pools = arena.pools(image, geometry);
                let mut used = 0;
                for pool in &pools.pools {
                    let (capacity, in_use) = (u64::from(pool.capacity), u64::from(pool.used));
                    let class = classes.entry(pool.block).or_default();
                    class.size = pool.block;
                    class.pools += 1;
                    class.used += in_use;
                    class.free += capacity - in_use.min(capacity);
                    used += in_use * pool.block;
                    fill.free_blocks += (capacity - in_use.min(capacity)) * pool.block;
                }
                fill.arenas += 1;
                fill.bytes += geometry.arena;
                fill.used += used;
                fill.free_pools += pools.free * geometry.pool;
                let is_sparse = used < geometry.arena / 10;
                if is_sparse {
                    fill.sparse_arenas += 1;
                    fill.sparse_free += geometry.arena - used;
                }
            }
        }
        // An arena that is not aligned to its pools has a part of one at each end; what makes no sense counts here as well.
        fill.overhead = fill.bytes - (fill.used + fill.free_blocks + fill.free_pools).min(fill.bytes);
        fill.classes = classes.into_values().collect();
        fill
    }
}
