//! mimalloc, which free-threaded builds have and others can be told to use: segments, the pages in them, and which blocks of a page
//! are in use (`Objects/mimalloc/segment.c` and `page.c`, `Include/internal/mimalloc/mimalloc/types.h`).
//!
//! No list is followed to find them: segments lie at multiples of their size, and each says what its own address is, encoded as all
//! others of the process. So those of threads that have ended are found as well, and those of a process that goes on.

use std::ops::Range;

use rspy_cpython::layout::Layout;
use rspy_process::word;

use crate::image::Image;
use crate::pages::{Code, Page, Pages};

/// The smallest block, in bytes.
const LEAST: u64 = 8;
/// Blocks up to this size are a multiple of two words (`MI_ALIGN2W` in `mi_bin`), in bytes.
const SMALL: u64 = 64;
/// Blocks up to this size begin a little behind the start of their page (`_mi_segment_page_start_from_slice`), in bytes.
const SHIFTED: u64 = 512;
/// More slices than a segment has for what it says of itself.
const MAX_INFO: u64 = 16;
/// `MI_SEGMENT_HUGE`, of `mi_segment_kind_t`: one block, and larger than others.
const HUGE: u64 = 1;
/// Flags below a link to what other threads have freed (`mi_thread_free_t`).
const FREE_FLAGS: u64 = 3;

/// What this build has made its mimalloc like, from the layout table: offsets and sizes in bytes.
#[derive(Clone, Debug)]
pub struct Mimalloc {
    /// Size of a slice, of which pages are made.
    slice: u64,
    /// How many there are in a segment, but for huge ones.
    slices: u64,
    /// Up to which size there are classes of blocks; what is larger has a page of its own.
    medium: u64,
    /// From which number of slices on a block's size stands for "all of the page".
    huge: Option<u64>,
    /// What stands behind what was asked for in each block.
    padding: u64,
    /// The tag of pages without objects, if there are such.
    mem_heap: Option<u64>,
    segment: SegmentOffsets,
    page: PageOffsets,
}

/// `mi_segment_t`.
#[derive(Copy, Clone, Debug)]
struct SegmentOffsets {
    segment_size: usize,
    used: usize,
    cookie: usize,
    segment_slices: usize,
    segment_info_slices: usize,
    kind: usize,
    slice_entries: usize,
    slices: usize,
    size: usize,
}

/// `mi_page_t`.
#[derive(Copy, Clone, Debug)]
struct PageOffsets {
    slice_count: usize,
    tag: Tag,
    capacity: usize,
    reserved: usize,
    /// With how wide it is.
    used: (usize, usize),
    block_size: (usize, usize),
    page_start: Option<usize>,
    lists: [usize; 3],
    keys: Option<usize>,
    size: usize,
}

/// Which heap a page is of.
#[derive(Copy, Clone, Debug)]
enum Tag {
    /// A byte.
    Byte(usize),
    /// So many bits of a word of four bytes.
    Bits { word: usize, shift: u64, bits: u64 },
}

/// Memory of which pages are made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Its memory.
    pub range: Range<u64>,
    /// How many of its first slices say what the others are.
    info: u64,
    /// Of how many slices it says something: all, but for huge ones.
    entries: u64,
}

impl Mimalloc {
    /// Of a version that has it.
    pub fn new(layout: &Layout) -> Option<Mimalloc> {
        let number = |section: &str, name: &str| layout.table.number(section, name);
        let segment = |name: &str| number("mimalloc_segment", name).map(|offset| offset as usize);
        let page = |name: &str| number("mimalloc_page", name).map(|offset| offset as usize);
        let all = |name: &str| number("mimalloc", name);
        let tag = match (page("heap_tag"), page("tag")) {
            (Some(byte), _) => Tag::Byte(byte),
            (None, word) => Tag::Bits {
                word: word?,
                shift: number("mimalloc_page", "tag.shift")?.min(31),
                bits: number("mimalloc_page", "tag.bits")?.min(31),
            },
        };
        let slice = all("slice_size").filter(|slice| slice.is_power_of_two())?;
        Some(Mimalloc {
            slice,
            slices: all("slices_per_segment").filter(|slices| slices.is_power_of_two())?,
            medium: all("medium_block")?,
            huge: all("huge_block.slices"),
            padding: all("padding").unwrap_or(0),
            mem_heap: all("mem_heap").filter(|_| layout.abi.free_threaded),
            segment: SegmentOffsets {
                segment_size: segment("segment_size")?,
                used: segment("used")?,
                cookie: segment("cookie")?,
                segment_slices: segment("segment_slices")?,
                segment_info_slices: segment("segment_info_slices")?,
                kind: segment("kind")?,
                slice_entries: segment("slice_entries")?,
                slices: segment("slices")?,
                size: segment("size")?,
            },
            page: PageOffsets {
                slice_count: page("slice_count")?,
                tag,
                capacity: page("capacity")?,
                reserved: page("reserved")?,
                used: (page("used")?, page("used.size")?),
                block_size: (page("block_size")?, page("block_size.size")?),
                page_start: page("page_start"),
                lists: [page("free")?, page("local_free")?, page("xthread_free")?],
                keys: page("keys"),
                size: page("size").filter(|size| *size > 0)?,
            },
        })
    }

    /// The size of a slice, in bytes: what pages are aligned to.
    pub fn slice(&self) -> u64 {
        self.slice
    }

    /// All segments in use of the mimalloc whose variables are somewhere in `roots`. Others, as libraries have them, are not
    /// meant.
    pub fn segments(&self, image: &Image, roots: &[Range<u64>]) -> Vec<Segment> {
        let size = self.slice * self.slices;
        let mut cookies: Vec<u64> = Vec::new();
        let mut found: Vec<Segment> = Vec::new();
        for range in image.ranges() {
            let mut next = range.start.checked_next_multiple_of(size).filter(|at| *at < range.end);
            while let Some(at) = next {
                let mut end = at + size;
                if let Some((segment, cookie)) = self.segment_at(image, at)
                    && (cookies.contains(&cookie) || has_word(image, roots, cookie))
                {
                    if !cookies.contains(&cookie) {
                        cookies.push(cookie);
                    }
                    // In a huge one what was there before may be left over.
                    end = segment.range.end.max(end);
                    found.push(segment);
                }
                next = end.checked_next_multiple_of(size).filter(|at| *at < range.end);
            }
        }
        found
    }

    /// The segment at `at`, if one is there and in use, and what its address is encoded with (`_mi_ptr_cookie`).
    fn segment_at(&self, image: &Image, at: u64) -> Option<(Segment, u64)> {
        let offsets = &self.segment;
        let header = image.bytes(at, offsets.size)?;
        let number = |offset: usize| word(header, offset, 8);
        let (size, slices) = (number(offsets.segment_size)?, number(offsets.segment_slices)?);
        let (info, entries) = (number(offsets.segment_info_slices)?, number(offsets.slice_entries)?);
        let has_room = (1..=MAX_INFO).contains(&info) && info * self.slice >= offsets.size as u64;
        let is_usual = slices == self.slices;
        let is_sane = size > 0
            && slices.checked_mul(self.slice) == Some(size)
            && size <= image.from(at).len() as u64
            && entries == slices.min(self.slices)
            && has_room
            && info < entries
            && match word(header, offsets.kind, 4)? {
                0 => is_usual,
                kind => kind == HUGE,
            }
            // The first slices are a page as well.
            && word(header.get(offsets.slices..)?, self.page.slice_count, 4)? == info
            // One that was given back stays as it was, but for this.
            && (1..=entries).contains(&number(offsets.used)?);
        let segment = Segment { range: at..at.checked_add(size)?, info, entries };
        is_sane.then_some((segment, number(offsets.cookie)? ^ at))
    }

    /// The page of `bytes` from `start` on, as `entry` says, which is at `at`.
    fn page(&self, entry: &[u8], at: u64, start: u64, bytes: u64) -> Option<Page> {
        let offsets = &self.page;
        let number = |(offset, width): (usize, usize)| word(entry, offset, width);
        let block = number(offsets.block_size)?;
        let is_whole = self.huge.is_some_and(|slices| block >= slices * self.slice);
        let block = if is_whole { bytes } else { block };
        let shift = match offsets.page_start {
            Some(offset) => number((offset, 8))?.checked_sub(start)?,
            None => match block {
                LEAST..=SMALL => 3 * block,
                ..=SHIFTED => block,
                _ => 0,
            },
        };
        let (capacity, reserved) = (number((offsets.capacity, 2))?, number((offsets.reserved, 2))?);
        let used = number(offsets.used)?;
        let is_sane = (LEAST..=bytes).contains(&block)
            && reserved * block <= bytes.checked_sub(shift)?
            && capacity <= reserved
            && used <= capacity;
        let heap = match offsets.tag {
            Tag::Byte(offset) => number((offset, 1))?,
            Tag::Bits { word, shift, bits } => number((word, 4))? >> shift & ((1 << bits) - 1),
        };
        let code = match offsets.keys {
            Some(keys) => Some(Code { keys: [number((keys, 8))?, number((keys + 8, 8))?], null: at }),
            None => None,
        };
        let [free, local_free, thread_free] = offsets.lists;
        let page = Page {
            first: start.checked_add(shift)?,
            block,
            room: block.checked_sub(self.padding)?,
            step: self.step(block),
            capacity: reserved as u32,
            used: used as u32,
            has_objects: self.mem_heap != Some(heap),
            carved: capacity as u32,
            lists: [number((free, 8))?, number((local_free, 8))?, number((thread_free, 8))? & !FREE_FLAGS],
            listed: capacity as u32,
            code,
        };
        is_sane.then_some(page)
    }

    /// By how much objects are smaller than blocks of this size: by less than that.
    fn step(&self, block: u64) -> u64 {
        match block {
            ..=LEAST => LEAST,
            _ if block <= SMALL => 16,
            // Four classes for each power of two.
            _ if block <= self.medium => 1 << ((block - 1).ilog2() - 2),
            // Rounded up to an eighth or less (`_mi_os_good_alloc_size`), and then to slices.
            _ => block / 8 + self.slice,
        }
    }
}

/// Whether a word in `roots` is `wanted`.
fn has_word(image: &Image, roots: &[Range<u64>], wanted: u64) -> bool {
    roots.iter().any(|root| {
        let length = usize::try_from(root.end.saturating_sub(root.start)).unwrap_or(usize::MAX);
        let bytes = image.bytes(root.start, length).unwrap_or_default();
        bytes.as_chunks().0.iter().any(|word| u64::from_le_bytes(*word) == wanted)
    })
}

impl Segment {
    /// Its pages.
    pub fn pages(&self, image: &Image, of: &Mimalloc) -> Pages {
        let mut found = Pages::default();
        let header = image.bytes(self.range.start, of.segment.size).unwrap_or_default();
        let entries = header.get(of.segment.slices..).unwrap_or_default();
        let all = (self.range.end - self.range.start) / of.slice;
        let mut index = self.info;
        let mut is_lost = false;
        while index < self.entries {
            let entry = entries.chunks_exact(of.page.size).nth(index as usize).unwrap_or_default();
            let count = word(entry, of.page.slice_count, 4).filter(|count| (1..=all - index).contains(count));
            let Some(count) = count else {
                // The next one that makes sense is looked for.
                found.misfits += u64::from(!is_lost);
                is_lost = true;
                index += 1;
                continue;
            };
            is_lost = false;
            let (offset, width) = of.page.block_size;
            match word(entry, offset, width) {
                Some(0) => found.free += count * of.slice,
                _ => {
                    let place = of.segment.slices as u64 + index * of.page.size as u64;
                    let start = self.range.start + index * of.slice;
                    match of.page(entry, self.range.start + place, start, count * of.slice) {
                        Some(page) => found.pages.push(page),
                        None => found.misfits += 1,
                    }
                }
            }
            index += count;
        }
        found
    }
}

#[cfg(test)]
mod tests;
