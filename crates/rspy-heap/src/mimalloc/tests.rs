//! Segments that were made up, whole and damaged.

use proptest::prelude::*;
use rspy_cpython::layout::Layout;
use rspy_cpython::{Abi, Version};

use super::*;
use crate::blocks::Allocated;
use crate::fill::Fill;
use crate::pages::{Area, Blocks};

const SEGMENT: u64 = 32 << 20;
const SLICE: u64 = 64 << 10;
/// Where the first segment is, and where the variable with the cookie.
const AT: u64 = 5 * SEGMENT;
const VARIABLES: Range<u64> = AT - 0x2000..AT - 0x1000;
const COOKIE: u64 = 0x1234_5678_9abc_def0;

/// How much of a usual segment is in memory.
const IN_MEMORY: u64 = 4 << 20;

/// Memory that can be written to.
struct Made {
    of: Mimalloc,
    end: u64,
    /// What of it is in memory, from the variables on.
    bytes: Vec<u8>,
}

/// What a page says.
#[derive(Copy, Clone, Default)]
struct Said {
    index: u64,
    count: u64,
    block: u64,
    reserved: u64,
    capacity: u64,
    used: u64,
    lists: [u64; 3],
    tag: u64,
}

fn layout(text: &str, free_threaded: bool, debug: bool) -> Mimalloc {
    let layout = Layout::of(Version::from_text(text).unwrap(), Abi { free_threaded, debug }).unwrap();
    Mimalloc::new(&layout).unwrap()
}

impl Made {
    /// A segment of so many slices, all free.
    fn segment(of: Mimalloc, slices: u64) -> Made {
        let end = AT + slices * SLICE;
        let in_memory = if slices > 512 { end } else { AT + IN_MEMORY };
        let mut made = Made { of, end, bytes: vec![0; (in_memory - VARIABLES.start) as usize] };
        made.put(VARIABLES.start + 0x100, 8, COOKIE);
        let segment = made.of.segment;
        for (offset, value) in [
            (segment.segment_size, slices * SLICE),
            (segment.used, 1),
            (segment.cookie, COOKIE ^ AT),
            (segment.segment_slices, slices),
            (segment.segment_info_slices, 1),
            (segment.slice_entries, slices.min(512)),
        ] {
            made.put(AT + offset as u64, 8, value);
        }
        made.put(AT + segment.kind as u64, 4, u64::from(slices != 512));
        made.page(Said { index: 0, count: 1, block: SLICE, ..Said::default() });
        made.page(Said { index: 1, count: slices - 1, ..Said::default() });
        made
    }

    fn put(&mut self, at: u64, width: usize, value: u64) {
        let offset = (at - VARIABLES.start) as usize;
        self.bytes[offset..offset + width].copy_from_slice(&value.to_le_bytes()[..width]);
    }

    /// Makes a page, or slices that are free.
    fn page(&mut self, said: Said) {
        let page = self.of.page;
        let entry = AT + self.of.segment.slices as u64 + said.index * page.size as u64;
        let (block, used) = (page.block_size, page.used);
        self.put(entry + page.slice_count as u64, 4, said.count);
        self.put(entry + block.0 as u64, block.1, said.block);
        self.put(entry + page.reserved as u64, 2, said.reserved);
        self.put(entry + page.capacity as u64, 2, said.capacity);
        self.put(entry + used.0 as u64, used.1, said.used);
        for (offset, list) in page.lists.into_iter().zip(said.lists) {
            self.put(entry + offset as u64, 8, list);
        }
        if let Some(offset) = page.page_start {
            self.put(entry + offset as u64, 8, AT + said.index * SLICE);
        }
        match page.tag {
            Tag::Byte(offset) => self.put(entry + offset as u64, 1, said.tag),
            Tag::Bits { word, shift, .. } => self.put(entry + word as u64, 1, said.tag << shift),
        }
    }

    fn image(&self) -> Image {
        let whole = VARIABLES.start..self.end;
        let fill = |into: &mut [u8]| {
            into.copy_from_slice(&self.bytes);
            Ok(())
        };
        let run = VARIABLES.start..VARIABLES.start + self.bytes.len() as u64;
        Image::restored(vec![whole], &[run], fill).unwrap()
    }

    fn segments(&self) -> Vec<Segment> {
        self.of.segments(&self.image(), &[VARIABLES])
    }

    /// The pages of its only segment.
    fn pages(&self) -> Pages {
        let segments = self.segments();
        assert_eq!(segments.len(), 1);
        segments[0].pages(&self.image(), &self.of)
    }

    fn used(&self, page: &Page) -> Vec<u32> {
        let mut blocks = Blocks::default();
        page.find_used(&self.image(), &mut blocks);
        blocks.iter().collect()
    }
}

/// Of the versions there are: the first with it, and the first whose pages say where their blocks begin.
fn all() -> Vec<Mimalloc> {
    vec![layout("3.13.5 ", true, false), layout("3.15.2 ", false, false)]
}

#[test]
fn blocks_in_use_are_those_on_no_list() {
    for of in all() {
        let mut made = Made::segment(of, 512);
        let first = AT + 2 * SLICE + if made.of.page.page_start.is_some() { 0 } else { 144 };
        made.page(Said { index: 1, count: 1, ..Said::default() });
        made.page(Said {
            index: 2,
            count: 1,
            block: 48,
            reserved: 1300,
            capacity: 100,
            used: 96,
            lists: [first + 48, first + 7 * 48, (first + 9 * 48) | 1],
            tag: 1,
        });
        made.page(Said { index: 3, count: 509, ..Said::default() });
        // Blocks 1, 2 and 5; 7; 9, which others have freed, so that they count as used.
        made.put(first + 48, 8, first + 2 * 48);
        made.put(first + 2 * 48, 8, first + 5 * 48);
        let pages = made.pages();
        assert_eq!((pages.pages.len(), pages.free, pages.misfits), (1, 510 * SLICE, 0));
        let page = pages.pages[0];
        assert_eq!((page.first, page.block, page.room, page.step), (first, 48, 48, 16));
        let expected: Vec<u32> = (0..100).filter(|index| ![1, 2, 5, 7, 9].contains(index)).collect();
        assert_eq!(made.used(&page), expected);

        let image = made.image();
        let segments = made.segments();
        let areas = Area::all(&[], &segments, Some(&made.of));
        let allocated = Allocated::new(&image, &areas, true);
        assert_eq!(allocated.block_size(first + 1000), Some(48));
        assert_eq!(allocated.block_of(first + 100), Some(first + 96..first + 144));
        assert_eq!(allocated.block_of(first + 3 * SLICE), None);
        let fill = Fill::of(&image, &areas);
        assert_eq!((fill.bytes, fill.used, fill.free_blocks), (SEGMENT, 96 * 48, 1204 * 48));
        assert_eq!(fill.used + fill.free_blocks + fill.free_pools + fill.overhead, fill.bytes);
        assert_eq!(fill.resident, IN_MEMORY);
    }
}

#[test]
fn a_block_of_several_slices_is_one() {
    for of in all() {
        let mut made = Made::segment(of, 512);
        made.page(Said {
            index: 1,
            count: 5,
            block: 5 * SLICE,
            reserved: 1,
            capacity: 1,
            used: 1,
            ..Said::default()
        });
        made.page(Said { index: 6, count: 506, ..Said::default() });
        let pages = made.pages().pages;
        assert_eq!((pages.len(), pages[0].first, pages[0].block), (1, AT + SLICE, 5 * SLICE));
        let (image, segments) = (made.image(), made.segments());
        let allocated = Allocated::new(&image, &Area::all(&[], &segments, Some(&made.of)), true);
        for at in [AT + SLICE, AT + 3 * SLICE + 8, AT + 6 * SLICE - 1] {
            assert_eq!(allocated.block_of(at), Some(AT + SLICE..AT + 6 * SLICE));
        }
        assert_eq!(allocated.block_of(AT + 6 * SLICE), None);
    }
}

#[test]
fn a_segment_may_be_one_large_block() {
    for of in all() {
        let mut made = Made::segment(of, 1025);
        made.page(Said {
            index: 1,
            count: 1024,
            block: 1024 * SLICE,
            reserved: 1,
            capacity: 1,
            used: 1,
            ..Said::default()
        });
        // What was there before.
        let before = made.bytes[(AT - VARIABLES.start) as usize..][..0x8000].to_vec();
        let within = (AT + SEGMENT - VARIABLES.start) as usize;
        made.bytes[within..within + before.len()].copy_from_slice(&before);
        made.put(AT + SEGMENT + made.of.segment.cookie as u64, 8, COOKIE ^ (AT + SEGMENT));
        let pages = made.pages().pages;
        assert_eq!((pages.len(), pages[0].block), (1, 1024 * SLICE));
        assert_eq!(made.used(&pages[0]), [0]);
    }
}

#[test]
fn links_of_debug_builds_are_decoded() {
    let mut made = Made::segment(layout("3.13.5 ", false, true), 512);
    let (keys, entry) = ([0xfeed_0123_4567_89ab_u64, 0x1357_9bdf_0246_8ace_u64], made.of.page.size as u64);
    let at = AT + made.of.segment.slices as u64 + entry;
    for (index, key) in (0..).zip(keys) {
        made.put(at + made.of.page.keys.unwrap() as u64 + 8 * index, 8, key);
    }
    // `mi_ptr_encode`.
    let encode = |link: u64| (link ^ keys[1]).rotate_left((keys[0] % 64) as u32).wrapping_add(keys[0]);
    let first = AT + SLICE + 144;
    let said = Said { block: 48, reserved: 1300, capacity: 10, used: 8, ..Said::default() };
    made.page(Said { index: 1, count: 1, lists: [first + 48, 0, 0], ..said });
    made.page(Said { index: 2, count: 510, ..Said::default() });
    made.put(first + 48, 8, encode(first + 3 * 48));
    made.put(first + 3 * 48, 8, encode(at));
    let pages = made.pages().pages;
    assert_eq!(pages[0].room, 40);
    assert_eq!(made.used(&pages[0]), [0, 2, 4, 5, 6, 7, 8, 9]);
}

#[test]
fn only_segments_of_the_interpreter_are_taken() {
    let of = || layout("3.13.5 ", true, false);
    assert_eq!(Made::segment(of(), 512).segments().len(), 1);
    let mut of_a_library = Made::segment(of(), 512);
    of_a_library.put(AT + of().segment.cookie as u64, 8, !COOKIE ^ AT);
    assert!(of_a_library.segments().is_empty());
    let mut given_back = Made::segment(of(), 512);
    given_back.put(AT + of().segment.used as u64, 8, 0);
    assert!(given_back.segments().is_empty());
}

#[test]
fn steps_are_those_between_classes() {
    let of = layout("3.13.5 ", true, false);
    // `_mi_heap_empty` of `init.c` has the sizes.
    let classes = [16, 32, 48, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 640];
    for pair in classes.windows(2) {
        assert_eq!(pair[1] - of.step(pair[1]), pair[0]);
    }
    assert_eq!(of.step(8), 8);
    assert!(of.step(3 << 20) >= (256 << 10) + SLICE);
}

#[test]
fn pages_for_what_objects_own_have_none() {
    for (free_threaded, tag, has_objects) in [(true, 0, false), (true, 3, true), (false, 0, true)] {
        for version in ["3.13.5 ", "3.15.2 "] {
            let mut made = Made::segment(layout(version, free_threaded, false), 512);
            let said = Said { index: 1, count: 511, block: 1024, tag, ..Said::default() };
            made.page(Said { reserved: 4, capacity: 4, used: 4, ..said });
            assert_eq!(made.pages().pages[0].has_objects, has_objects);
        }
    }
}

proptest! {
    /// Whatever a page says, reading it ends, and what is found lies where the page is.
    #[test]
    fn what_a_page_says_is_bounded(
        count in prop_oneof![0..600_u64, any::<u32>().prop_map(u64::from)],
        block in prop_oneof![0..2000_u64, any::<u64>()],
        numbers in any::<(u16, u16, u16)>(),
        lists in any::<[u16; 3]>(),
        is_new in any::<bool>(),
        links in prop::collection::vec((any::<u16>(), any::<u16>()), 0..200),
    ) {
        let mut made = Made::segment(all().swap_remove(usize::from(is_new)), 512);
        let place = |offset: u16| AT + SLICE + u64::from(offset);
        let (reserved, capacity, used) = numbers;
        made.page(Said {
            index: 1,
            count,
            block,
            reserved: u64::from(reserved),
            capacity: u64::from(capacity),
            used: u64::from(used),
            lists: lists.map(place),
            tag: 1,
        });
        for (from, to) in links {
            made.put(place(from & !7), 8, place(to));
        }
        let image = made.image();
        let segments = made.of.segments(&image, &[VARIABLES]);
        for page in &segments[0].pages(&image, &made.of).pages {
            let end = page.first + u64::from(page.capacity) * page.block;
            prop_assert!(page.first >= AT && end <= AT + SEGMENT);
            let mut blocks = Blocks::default();
            page.find_used(&image, &mut blocks);
            prop_assert!(blocks.iter().all(|index| page.block_at(index) + page.block <= end));
        }
        Allocated::new(&image, &Area::all(&[], &segments, Some(&made.of)), true).block_of(place(lists[0]));
        Fill::of(&image, &Area::all(&[], &segments, Some(&made.of)));
    }

    /// Whatever a segment says of itself, it is taken only with the cookie, and stays within memory.
    #[test]
    fn what_a_segment_says_is_bounded(
        words in prop::collection::vec((0..64_usize, any::<u64>()), 1..8),
        small in prop::collection::vec((0..64_usize, 0..2048_u64), 0..8),
    ) {
        let mut made = Made::segment(layout("3.13.5 ", true, false), 512);
        for (index, word) in words.into_iter().chain(small) {
            made.put(AT + 8 * index as u64, 8, word);
        }
        let image = made.image();
        for segment in made.of.segments(&image, &[VARIABLES]) {
            prop_assert!(segment.range.start == AT && segment.range.end <= made.end);
            segment.pages(&image, &made.of);
        }
    }
}
