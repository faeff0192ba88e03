//! What types that are written in C keep apart from their instances: blocks of memory that are no objects.
//!
//! Each is named with the file of CPython that says so in its `__sizeof__`.

use rspy_process::{Address, Memory, word};

use crate::object::{MAX_SIZE, Reader};
use crate::offsets::Dict;
use crate::types::Type;

/// `_ODictNode` (`Objects/odictobject.c`), in bytes.
const ORDERED_NODE: u64 = 32;
/// Size of `buffered` behind the head, where it has its buffer, and how large that is (3.x; `Modules/_io/bufferedio.c`).
const BUFFERED: u64 = 136;
const BUFFER: u64 = 40;
const BUFFER_SIZE: u64 = 104;
/// `formatcode` (`Modules/_struct.c`), in bytes, and more of them than there are.
const FORMAT_CODE: u64 = 32;
const MAX_CODES: u64 = 1 << 20;

/// `MAXFREEBLOCKS` (`Modules/_collectionsmodule.c`).
const MAX_SPARE: u64 = 16;
/// `NPY_ARRAY_OWNDATA`, and more dimensions than an array has.
const OWN_DATA: u64 = 4;
const MAX_DIMENSIONS: u64 = 64;

/// A block of memory that an instance alone has.
#[derive(Debug, PartialEq, Eq)]
pub struct Apart {
    /// The way to the pointer to it: from behind the head of the object, and on from where each pointer leads.
    pointer: &'static [u64],
    count: Count,
    /// Size of an item, in bytes.
    item: u64,
    /// Size of what has the pointer, if few items are a part of that.
    inside: u64,
    /// Whether references to objects are in it.
    refers: bool,
    /// From which version on `sys.getsizeof()` counts it, if ever.
    counted_from: Option<(u8, u8)>,
}

/// How many items a block has room for.
#[derive(Debug, PartialEq, Eq)]
enum Count {
    One,
    /// As the word says that this way leads to.
    Word(&'static [u64]),
    /// As many as the tuple has that this way leads to.
    Tuple(&'static [u64]),
}

impl Apart {
    const fn new(pointer: &'static [u64], count: Count, item: u64) -> Apart {
        Apart { pointer, count, item, inside: 0, refers: false, counted_from: Some((3, 0)) }
    }

    const fn inside(self, inside: u64) -> Apart {
        Apart { inside, ..self }
    }

    const fn refers(self) -> Apart {
        Apart { refers: true, ..self }
    }

    const fn counted_from(self, major: u8, minor: u8) -> Apart {
        Apart { counted_from: Some((major, minor)), ..self }
    }

    const fn never_counted(self) -> Apart {
        Apart { counted_from: None, ..self }
    }
}

/// By the name of the type, as it is in its `tp_name`.
pub(crate) static TYPES: &[(&str, &[Apart])] = &[
    // Modules/itertoolsmodule.c: indices into the pools; of permutations cycles as well.
    ("itertools.product", &[Apart::new(&[8], Count::Tuple(&[0]), 8)]),
    ("itertools.combinations", &[Apart::new(&[8], Count::Word(&[24]), 8)]),
    ("itertools.combinations_with_replacement", &[Apart::new(&[8], Count::Word(&[24]), 8)]),
    (
        "itertools.permutations",
        &[Apart::new(&[8], Count::Tuple(&[0]), 8), Apart::new(&[16], Count::Word(&[32]), 8)],
    ),
    // Modules/_decimal/_decimal.c: digits, more than four words of them.
    ("decimal.Decimal", &[Apart::new(&[48], Count::Word(&[40]), 8).inside(88)]),
    // Modules/_elementtree.c: attributes and children, with room for four.
    (
        "xml.etree.ElementTree.Element",
        &[
            Apart::new(&[24], Count::One, 64).refers(),
            Apart::new(&[24, 24], Count::Word(&[24, 16]), 8).inside(64).refers(),
        ],
    ),
    // Modules/_pickle.c: what was pickled, and the table that has it.
    (
        "_pickle.Pickler",
        &[Apart::new(&[0], Count::One, 32), Apart::new(&[0, 24], Count::Word(&[0, 16]), 16).refers()],
    ),
    // Modules/_io/stringio.c: four bytes for each character, once it was read from or gone back in.
    ("_io.StringIO", &[Apart::new(&[0], Count::Word(&[24]), 4).never_counted()]),
    // Modules/_queuemodule.c: a ring of what waits (3.13 and later).
    ("_queue.SimpleQueue", &[Apart::new(&[24], Count::Word(&[32]), 8).refers().counted_from(3, 15)]),
];

impl Reader<'_> {
    /// The word that a way from behind the head of the object at `at` leads to, and where the last pointer led.
    fn follow(&self, at: u64, way: &[u64]) -> Option<(u64, u64)> {
        let (last, pointers) = way.split_last()?;
        let mut from = at.checked_add(self.offsets.object_size)?;
        for offset in pointers {
            from = self.image.word(from.checked_add(*offset)?)?;
        }
        Some((self.image.word(from.checked_add(*last)?)?, from))
    }

    /// Where a block is and how large, if the object at `at` has it.
    fn place(&self, at: u64, block: &Apart) -> Option<(u64, u64)> {
        let (start, from) = self.follow(at, block.pointer)?;
        if start == 0 || start.checked_sub(from).is_some_and(|offset| offset < block.inside) {
            return None;
        }
        let count = match block.count {
            Count::One => 1,
            Count::Word(way) => self.follow(at, way)?.0,
            Count::Tuple(way) => self.word(self.follow(at, way)?.0, self.offsets.ob_size)?,
        };
        Some((start, count.checked_mul(block.item).filter(|size| *size < MAX_SIZE)?))
    }

    /// What `blocks` of the object at `at` take, as it says and as it is.
    pub(crate) fn apart(&self, at: u64, blocks: &[Apart]) -> (u64, u64) {
        let places = blocks.iter().filter_map(|block| Some((block, self.place(at, block)?)));
        places.fold((0, 0), |(said, spent), (block, (start, size))| {
            let is_counted = block.counted_from.is_some_and(|first| first <= self.offsets.version);
            (said + if is_counted { size } else { 0 }, spent + self.footprint_at(start, size))
        })
    }

    /// Where those of `blocks` of the object at `at` are that refer to objects, and their sizes in bytes.
    pub(crate) fn referring(&self, at: u64, blocks: &'static [Apart]) -> impl Iterator<Item = (u64, u64)> {
        blocks.iter().filter(|block| block.refers).filter_map(move |block| self.place(at, block))
    }

    /// The elements of a `numpy.ndarray`, unless they are another's, and its dimensions (`array_sizeof` in
    /// `numpy/_core/src/multiarray/methods.c`).
    pub(crate) fn array_data(&self, at: u64) -> Option<(u64, u64)> {
        let head = self.offsets.object_size;
        let member = |offset: u64| self.word(at, (head + offset) as usize);
        let (data, dimensions, shape) = (member(0)?, member(8)? & 0xffff_ffff, member(16)?);
        let (descr, flags) = (member(40)?, member(48)?);
        let shape_bytes = dimensions.min(MAX_DIMENSIONS) * 16;
        let shape_spent = self.footprint_at(shape, shape_bytes);
        if flags & OWN_DATA == 0 {
            return Some((shape_bytes, shape_spent));
        }
        let mut bytes = self.element_size(descr)?;
        for index in 0..dimensions.min(MAX_DIMENSIONS) {
            bytes = bytes.checked_mul(self.image.word(shape.checked_add(index * 8)?)?)?;
        }
        let bytes = bytes.min(MAX_SIZE);
        Some((shape_bytes + bytes, shape_spent + self.footprint_at(data, bytes)))
    }

    /// How large an element of a numpy type is: numpy 1 has an alignment, which is never 0, where numpy 2 has the upper half of
    /// flags, which are few, before the size (`PyArray_Descr` in `numpy/ndarraytypes.h`).
    fn element_size(&self, descr: u64) -> Option<u64> {
        let head = self.offsets.object_size as usize;
        let first = self.word(descr, head + 16)?;
        if first >> 32 != 0 { Some(first & 0xffff_ffff) } else { self.word(descr, head + 24) }
    }

    /// The blocks of a `deque` (`Modules/_collectionsmodule.c`).
    pub(crate) fn deque_blocks(&self, at: u64) -> Option<(u64, u64)> {
        let deque = &self.offsets.deque;
        let (length, first) = (self.word(at, deque.length)?, self.word(at, deque.leftindex)?);
        let blocks = first.checked_add(length)?.checked_add(deque.block_items - 1)? / deque.block_items;
        let block = (deque.block_items + 2) * 8;
        let first = self.footprint_at(self.word(at, deque.leftblock)?, block);
        // What it holds back for items to come does not count.
        let spare = deque.spare.and_then(|spare| self.word(at, spare)).unwrap_or(0).min(MAX_SPARE);
        let spent = (blocks + spare).checked_mul(first)?.min(MAX_SIZE);
        Some((blocks.checked_mul(block)?.min(MAX_SIZE), spent))
    }

    /// The items of an `array.array` (`Modules/arraymodule.c`).
    pub(crate) fn numbers(&self, at: u64) -> Option<(u64, u64)> {
        let head = self.offsets.ob_size + 8;
        let (items, allocated, descr) =
            (self.word(at, head)?, self.word(at, head + 8)?, self.word(at, head + 16)?);
        let width = u64::from(u32::from_le_bytes(self.whole.array(Address(descr.checked_add(4)?)).ok()?));
        let bytes = allocated.checked_mul(width)?.min(MAX_SIZE);
        Some((bytes, self.footprint_at(items, bytes)))
    }

    /// What a `BytesIO` says of the `bytes` that it writes to (`Modules/_io/bytesio.c`).
    pub(crate) fn buffer(&self, at: u64) -> Option<u64> {
        let bytes = self.word(at, self.offsets.object_size as usize).filter(|bytes| *bytes != 0)?;
        // Without a count it is shared with all.
        if self.count(bytes)? > 1 {
            return None;
        }
        self.word(bytes, self.offsets.ob_size)?.checked_add(self.offsets.ob_size as u64 + 17)
    }

    /// The buffer of a buffered file (`buffered` in `Modules/_io/bufferedio.c`).
    pub(crate) fn buffered(&self, of: &Type, at: u64) -> Option<(u64, u64)> {
        let head = self.offsets.object_size;
        let is_known = of.own_from == head + BUFFERED;
        let buffer = self.word(at, (head + BUFFER) as usize).filter(|buffer| is_known && *buffer != 0)?;
        let size = self.word(at, (head + BUFFER_SIZE) as usize)?.min(MAX_SIZE);
        Some((size, self.footprint_at(buffer, size)))
    }

    /// What a `Struct` was compiled to, with its end (`Modules/_struct.c`).
    pub(crate) fn format_codes(&self, at: u64) -> Option<(u64, u64)> {
        let codes = self.word(at, self.offsets.object_size as usize + 16)?;
        // Without how often it is repeated in 2.7.
        let size = if self.is_2() { FORMAT_CODE - 8 } else { FORMAT_CODE };
        let is_code = |index: &u64| {
            self.image.word(codes.saturating_add(index * size)).is_some_and(|format| format != 0)
        };
        let count = (0..MAX_CODES).take_while(is_code).count() as u64;
        let bytes = (count + 1) * size;
        Some((bytes, self.footprint_at(codes, bytes)))
    }

    /// The variables and the stack of a generator or coroutine, whose frame is a part of it (`gen_sizeof` in
    /// `Objects/genobject.c`, 3.11 and later).
    pub(crate) fn frame_slots(&self, of: &Type, at: u64) -> Option<u64> {
        let running = self.offsets.running.filter(|_| of.name != "frame")?;
        let code = self.word(at, running.code)? & !7;
        let number =
            |offset| self.image.bytes(code.checked_add(offset)?, 4).and_then(|bytes| word(bytes, 0, 4));
        Some((number(running.nlocalsplus)? + number(running.stacksize)?).min(1 << 20) * 8)
    }

    /// The nodes of an `OrderedDict`, and the table by which they are found (`Objects/odictobject.c`).
    pub(crate) fn ordered_nodes(&self, at: u64) -> Option<(u64, u64)> {
        let Dict::Keys { .. } = self.offsets.dict else { return None };
        let member = |offset| self.word(at, self.offsets.dict_size + offset);
        let (first, table, size) = (member(0)?, member(16)?, member(24)?);
        let count = self.word(at, self.offsets.object_size as usize)?.min(MAX_SIZE / ORDERED_NODE);
        let (table_bytes, nodes) = (size.checked_mul(8)?.min(MAX_SIZE), count * ORDERED_NODE);
        let node = self.footprint_at(first, ORDERED_NODE);
        Some((table_bytes + nodes, self.footprint_at(table, table_bytes) + count * node))
    }
}
