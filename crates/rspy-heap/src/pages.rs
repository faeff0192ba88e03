//! Pages: blocks of one size that follow each other, which is how allocators keep them (pools of pymalloc, pages of mimalloc), and
//! which of them are in use.

use std::ops::Range;

use crate::image::Image;
use crate::mimalloc::{Mimalloc, Segment};
use crate::obmalloc::{Arena, Arenas, Geometry};

/// Less than one in so many parts of an arena in use is little.
const SPARSE: u64 = 10;

/// Memory that an allocator makes pages of.
#[derive(Copy, Clone, Debug)]
pub enum Area<'h> {
    /// An arena of pymalloc.
    Arena(&'h Arena, Geometry),
    /// A segment of mimalloc.
    Segment(&'h Segment, &'h Mimalloc),
}

/// What there is of an area.
#[derive(Clone, Debug, Default)]
pub struct Pages {
    /// Pages in use.
    pub pages: Vec<Page>,
    /// Bytes of which pages can be made, those never made included.
    pub free: u64,
    /// Headers that make no sense: changed while they were copied, or damaged.
    pub misfits: u64,
}

/// A page in use: blocks of one size.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// Where its first block is.
    pub first: u64,
    /// Size of a block, in bytes.
    pub block: u64,
    /// How many bytes of a block can be asked for.
    pub room: u64,
    /// What is smaller than `room` by this or more is given a smaller block.
    pub step: u64,
    /// How many blocks there is room for.
    pub capacity: u32,
    /// How many are in use, as the page says.
    pub used: u32,
    /// Whether objects are in it, or only what they own.
    pub has_objects: bool,
    /// How many have ever been.
    pub(crate) carved: u32,
    /// Where its lists of free blocks begin, each of which leads to the next.
    pub(crate) lists: [u64; 3],
    /// How many blocks can be on those together.
    pub(crate) listed: u32,
    /// How their links are encoded, if they are.
    pub(crate) code: Option<Code>,
}

/// How debug builds of mimalloc encode links between free blocks (`mi_ptr_decode`).
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) struct Code {
    /// `keys` of the page.
    pub keys: [u64; 2],
    /// What stands for no link.
    pub null: u64,
}

impl Code {
    fn decode(self, link: u64) -> u64 {
        let [first, second] = self.keys;
        let at = link.wrapping_sub(first).rotate_right((first % 64) as u32) ^ second;
        if at == self.null { 0 } else { at }
    }
}

/// Blocks of a page, by index: a bit each.
#[derive(Clone, Debug, Default)]
pub struct Blocks(Vec<u64>);

impl<'h> Area<'h> {
    /// All areas of these allocators.
    pub fn all(arenas: &'h [Arenas], segments: &'h [Segment], of: Option<&'h Mimalloc>) -> Vec<Area<'h>> {
        let arenas =
            arenas.iter().flat_map(|all| all.arenas.iter().map(|one| Area::Arena(one, all.geometry)));
        let segments = of.into_iter().flat_map(|of| segments.iter().map(move |one| Area::Segment(one, of)));
        arenas.chain(segments).collect()
    }

    /// Its memory.
    pub fn range(&self) -> &'h Range<u64> {
        match self {
            Area::Arena(arena, _) => &arena.range,
            Area::Segment(segment, _) => &segment.range,
        }
    }

    /// Whether few of its blocks keep it from being returned, where so many bytes of it are in use. mimalloc returns what it does
    /// not use all the same.
    pub(crate) fn is_sparse(&self, used: u64) -> bool {
        let range = self.range();
        matches!(self, Area::Arena(..)) && used < (range.end - range.start) / SPARSE
    }

    /// Its pages.
    pub fn pages(&self, image: &Image) -> Pages {
        match self {
            Area::Arena(arena, geometry) => arena.pools(image, *geometry),
            Area::Segment(segment, mimalloc) => segment.pages(image, mimalloc),
        }
    }
}

impl Page {
    /// Where its block `index` is.
    #[inline]
    pub fn block_at(&self, index: u32) -> u64 {
        self.first + u64::from(index) * self.block
    }

    /// Makes `blocks` those that are in use: those ever used that are not on a list of free ones. Of a process that goes on a
    /// list may be cut short, and blocks that are free count as used then: what they hold tells.
    pub fn find_used(&self, image: &Image, blocks: &mut Blocks) {
        blocks.set_first(self.carved);
        let mut left = self.listed;
        for list in self.lists {
            let mut next = list;
            // In a damaged one they may lead in a circle.
            while left > 0 {
                let Some(offset) = next.checked_sub(self.first) else { break };
                let index = offset / self.block;
                if offset % self.block != 0 || index >= u64::from(self.carved) {
                    break;
                }
                blocks.remove(index as usize);
                let link = image.word(next).unwrap_or(0);
                next = self.code.map_or(link, |code| code.decode(link));
                left -= 1;
            }
        }
    }
}

impl Blocks {
    /// Makes it the first `count`.
    fn set_first(&mut self, count: u32) {
        self.0.clear();
        self.0.resize(count as usize / 64, u64::MAX);
        if !count.is_multiple_of(64) {
            self.0.push((1 << (count % 64)) - 1);
        }
    }

    fn remove(&mut self, index: usize) {
        if let Some(bits) = self.0.get_mut(index / 64) {
            *bits &= !(1 << (index % 64));
        }
    }

    /// How many they are.
    pub fn len(&self) -> u64 {
        self.0.iter().map(|bits| u64::from(bits.count_ones())).sum()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|bits| *bits == 0)
    }

    /// Their indices, in order.
    #[inline]
    pub fn iter(&self) -> impl Iterator<Item = u32> {
        self.0.iter().enumerate().flat_map(|(index, bits)| {
            let next = |bits: &u64| Some(bits & bits.wrapping_sub(1)).filter(|bits| *bits != 0);
            let start = Some(*bits).filter(|bits| *bits != 0);
            std::iter::successors(start, next).map(move |bits| index as u32 * 64 + bits.trailing_zeros())
        })
    }
}
