//! How large objects are: as `sys.getsizeof()` says, and as allocators spend.
//!
//! What a type counts beside its instances is in its `__sizeof__`, in the file of CPython that is named here. Types that keep
//! blocks of memory of their own are in `apart`.

use rspy_cpython::layout::InstanceValues;

use crate::kind::Kind;
use crate::object::{MAX_SIZE, Object, Reader};
use crate::offsets::{Dict, Keys, KeysShape};
use crate::types::Type;

/// Larger than any array of indices, as a logarithm.
const MAX_LOG2: u64 = 40;
/// How large an object is, in bytes.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Size {
    /// What `sys.getsizeof()` gives.
    pub reported: u64,
    /// What the allocators spend on it, and on what it alone owns: tables, arrays, and what they round up.
    pub footprint: u64,
}

/// How full a table is.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Room {
    /// For how many there is room.
    pub room: u64,
    /// How many there are.
    pub used: u64,
    /// What the room takes, in bytes.
    pub bytes: u64,
}

impl Reader<'_> {
    /// How many entries the table of a dict has room for, and how many it has; how many items a list has room for, and
    /// how many it has. What the room takes that is not used, in bytes, is with it.
    pub fn room(&self, object: &Object<'_>) -> Option<Room> {
        let Object { at, of, .. } = *object;
        let used = self.len(object)?;
        match of.kind {
            Kind::List => {
                let room = self.word(at, self.offsets.list_allocated)?;
                Some(Room { room, used, bytes: room.saturating_mul(8) })
            }
            Kind::Dict => {
                let Dict::Keys { keys, values, of: shape } = self.offsets.dict else { return None };
                let keys = self.word(at, keys)?;
                if self.word(at, values)? != 0 || self.word(keys, shape.refcnt)? != 1 {
                    return None;
                }
                Some(Room { room: self.usable(&shape, keys)?, used, bytes: self.keys_size(keys)? })
            }
            _ => None,
        }
    }

    /// What the values of a dict take that has its keys from a class; `None` if the keys are its own.
    pub(crate) fn values_of_shared_keys(&self, dict: &Object<'_>) -> Option<u64> {
        let Dict::Keys { keys, of, .. } = self.offsets.dict else { return None };
        let count = self.word(self.word(dict.at, keys)?, of.refcnt)?;
        if count == 1 { None } else { Some(self.dict(dict.at)?.1) }
    }

    /// What was asked for when the values of an instance of the class at `class` got a block of their own (`new_values` in
    /// `Objects/dictobject.c`, 3.11 and 3.12): nothing where they are a part of it.
    pub(crate) fn values_asked_for(&self, class: u64) -> u64 {
        let Dict::Keys { of: keys, .. } = &self.offsets.dict else { return 0 };
        let room = self.cached_keys(class).and_then(|cached| self.values_room(keys, cached)).unwrap_or(0);
        match self.offsets.instance_values {
            InstanceValues::Pointer | InstanceValues::Tagged => {
                (room + 2).next_multiple_of(8) + keys.values_header + room * 8
            }
            InstanceValues::Inline | InstanceValues::None => 0,
        }
    }

    /// What the object itself takes, without what it owns or what stands before it.
    pub(crate) fn own_size(&self, of: &Type, at: u64) -> Option<u64> {
        match of.kind {
            _ if of.has_inline_values() => Some(of.basicsize + self.inline_values(of, at)?),
            Kind::Unicode => {
                let (fixed, data, _) = self.unicode(at)?;
                // One that has its characters apart may be of a subclass, with members of its own.
                Some(if data.1 == 0 { fixed } else { of.basicsize })
            }
            _ => self.fixed_part(of, at),
        }
    }

    /// `tp_basicsize` with the items.
    pub(crate) fn fixed_part(&self, of: &Type, at: u64) -> Option<u64> {
        let items = match of.kind {
            Kind::Int => return self.int(at),
            // Their items stand for what is in the frame, which they do not count.
            Kind::Running => 0,
            _ if of.itemsize == 0 => 0,
            _ => self.word(at, self.offsets.ob_size)?.cast_signed().unsigned_abs(),
        };
        let size =
            of.basicsize.checked_add(items.checked_mul(of.itemsize)?).filter(|size| *size < MAX_SIZE)?;
        // What has something else where others say how many items they have: of a library's own types.
        let is_odd = of.kind == Kind::Other && of.itemsize != 0;
        let is_too_large = is_odd && self.allocated.block_size(at).is_some_and(|room| size > room);
        (!is_too_large).then_some(size)
    }

    /// What the values of attributes behind an instance take.
    fn inline_values(&self, of: &Type, at: u64) -> Option<u64> {
        let Dict::Keys { of: keys, .. } = self.offsets.dict else { return None };
        let capacity = self.byte(at, of.basicsize as usize)?;
        // Behind them stands in which order they were set, a byte for each.
        Some((keys.values_header + capacity * 8 + capacity).next_multiple_of(8))
    }

    /// How large an object is.
    pub fn size(&self, object: &Object<'_>) -> Size {
        let mut size = self.size_alone(object);
        size.footprint += self.values_block(object);
        size
    }

    /// What the block takes in which an instance has its attributes, if that is apart from it (3.11, 3.12).
    fn values_block(&self, object: &Object<'_>) -> u64 {
        if !object.of.has_managed_dict() {
            return 0;
        }
        let before = |words: u64| self.image.word(object.at.checked_sub(words * 8)?);
        let values = match self.offsets.instance_values {
            InstanceValues::Pointer => before(4).filter(|values| *values != 0),
            InstanceValues::Tagged => {
                before(3).filter(|tagged| tagged & 1 == 1).map(|tagged| tagged.wrapping_add(1))
            }
            InstanceValues::Inline | InstanceValues::None => None,
        };
        let room = |keys: &Keys| self.values_room(keys, self.cached_keys(object.of.at)?);
        let Dict::Keys { of: keys, .. } = &self.offsets.dict else { return 0 };
        values.map_or(0, |values| self.values_spent(keys, values, room(keys).unwrap_or(0)))
    }

    /// What is spent on `values` that lie apart, with room for so many attributes (`new_values` in `Objects/dictobject.c`).
    fn values_spent(&self, keys: &Keys, values: u64, room: u64) -> u64 {
        let items = keys.values_header + room * 8;
        match self.offsets.instance_values {
            InstanceValues::None => self.footprint_at(values, items),
            // Behind them stands in which order they were set.
            InstanceValues::Inline => self.footprint_at(values, (items + room).next_multiple_of(8)),
            // The same in front of them, up to a byte that says how much that is.
            InstanceValues::Pointer | InstanceValues::Tagged => {
                let prefix = values.checked_sub(1).and_then(|before| self.byte(before, 0)).unwrap_or(0);
                self.footprint_at(values.saturating_sub(prefix), prefix + items)
            }
        }
    }

    fn size_alone(&self, object: &Object<'_>) -> Size {
        let Object { at, of, preheader } = *object;
        let fixed = self.fixed_part(of, at).unwrap_or(of.basicsize);
        let inline = if of.has_inline_values() { self.inline_values(of, at).unwrap_or(0) } else { 0 };
        let own = |fixed: u64| {
            let wanted = fixed + inline + preheader;
            self.allocated.footprint(self.image, at.saturating_sub(preheader), wanted)
        };
        let with = |extra: (u64, u64)| Size {
            reported: preheader + fixed + extra.0,
            footprint: own(fixed) + extra.1,
        };
        match of.kind {
            Kind::List => {
                let allocated = self.word(at, self.offsets.list_allocated).unwrap_or(0);
                let bytes = allocated.saturating_mul(8).min(MAX_SIZE);
                with((bytes, self.block(at, self.offsets.list_item, bytes)))
            }
            Kind::Dict => {
                let dict = self.dict(at).unwrap_or_default();
                let nodes = if of.is_ordered { self.ordered_nodes(at).unwrap_or_default() } else { (0, 0) };
                with((dict.0 + nodes.0, dict.1 + nodes.1))
            }
            Kind::Set => {
                let set = &self.offsets.set;
                let table = self.word(at, set.table).unwrap_or(0);
                if table == at + set.smalltable as u64 {
                    return with((0, 0));
                }
                let mask = self.word(at, set.mask).unwrap_or(0);
                let bytes = mask.saturating_add(1).saturating_mul(set.entry).min(MAX_SIZE);
                with((bytes, self.footprint_at(table, bytes)))
            }
            Kind::Unicode => match self.unicode(at) {
                Some((fixed, data, utf8)) => {
                    // A subclass has more than it says.
                    let whole = fixed.max(if data.1 == 0 { 0 } else { of.basicsize });
                    Size {
                        reported: preheader + fixed + data.1 + utf8.1,
                        footprint: own(whole)
                            + self.footprint_at(data.0, data.1)
                            + self.footprint_at(utf8.0, utf8.1),
                    }
                }
                None => with((0, 0)),
            },
            Kind::ByteArray => {
                // `ob_alloc` is the first member behind the head, in 2.7 the second.
                let start = self.offsets.ob_size + if self.is_2() { 16 } else { 8 };
                let bytes = self.word(at, start).unwrap_or(0).min(MAX_SIZE);
                let owned = self.block(at, start + 8, bytes);
                // From 3.15 on it has a `bytes` object of its own, which it counts.
                let head = if self.offsets.has_bytes_object && bytes > 0 {
                    self.offsets.ob_size as u64 + 17
                } else {
                    0
                };
                with((bytes + head, owned))
            }
            Kind::Deque => with(self.deque_blocks(at).unwrap_or_default()),
            Kind::Numbers => with(self.numbers(at).unwrap_or_default()),
            Kind::Buffered => with(self.buffered(of, at).unwrap_or_default()),
            Kind::BytesIO if self.is_2() => {
                let start = self.offsets.object_size as usize;
                let bytes = self.word(at, start + 24).unwrap_or(0).min(MAX_SIZE);
                with((bytes, self.block(at, start, bytes)))
            }
            // The bytes are an object of their own, that counts itself, unless others have it as well.
            Kind::BytesIO => with((self.buffer(at).unwrap_or(0), 0)),
            Kind::Struct => with(self.format_codes(at).unwrap_or_default()),
            Kind::Apart(blocks) => with(self.apart(at, blocks)),
            Kind::Array => with(self.array_data(at).unwrap_or_default()),
            Kind::Code => {
                let whole = with((0, 0));
                Size { reported: whole.reported.next_multiple_of(8), ..whole }
            }
            Kind::Running => with((self.frame_slots(of, at).unwrap_or(0), 0)),
            // Of those of 2.7 many share a block of the C library's (`fill_free_list` in `Objects/intobject.c`).
            Kind::Number if self.is_2() && !of.is_heap_type() && of.name != "complex" => {
                Size { footprint: of.basicsize, ..with((0, 0)) }
            }
            // The slots of a class, which are behind it, are counted in 2.7 only.
            Kind::Type if self.is_2() && self.is_heap_type(at) => {
                let slots = self.word(at, self.offsets.ob_size).unwrap_or(0).min(MAX_SIZE / 64);
                let whole = of.basicsize + slots * of.itemsize;
                Size { reported: preheader + whole, footprint: own(whole) }
            }
            // Of subclasses what they add is not counted in 2.7.
            Kind::Bytes if self.is_2() => {
                let whole = with((0, 0));
                Size { reported: whole.reported - (of.basicsize - of.own_from.min(of.basicsize)), ..whole }
            }
            Kind::Type if self.is_heap_type(at) => {
                let keys = self.cached_keys(at);
                let bytes = keys.and_then(|keys| self.keys_size(keys)).unwrap_or(0);
                Size {
                    reported: preheader + self.offsets.types.heap_size + bytes,
                    footprint: own(self.offsets.types.heap_size)
                        + self.footprint_at(keys.unwrap_or(0), bytes),
                }
            }
            Kind::Type => {
                let head = if self.offsets.counts_head_of_static_types { self.offsets.gc_head } else { 0 };
                // In 2.7 a type is as large as its own type says.
                let fixed = if self.is_2() { of.basicsize } else { self.offsets.types.size as u64 };
                Size { reported: head + fixed, footprint: 0 }
            }
            _ => with((0, 0)),
        }
    }

    fn is_heap_type(&self, at: u64) -> bool {
        self.word(at, self.offsets.types.flags).is_some_and(|flags| flags & (1 << 9) != 0)
    }

    /// What the block that a pointer in an object leads to takes.
    fn block(&self, at: u64, offset: usize, wanted: u64) -> u64 {
        self.word(at, offset).map_or(0, |block| self.footprint_at(block, wanted))
    }

    pub(crate) fn footprint_at(&self, block: u64, wanted: u64) -> u64 {
        if block == 0 || wanted == 0 { 0 } else { self.allocated.footprint(self.image, block, wanted) }
    }

    /// The whole of an `int`.
    pub(crate) fn int(&self, at: u64) -> Option<u64> {
        let int = &self.offsets.int;
        let digits = match int.lv_tag {
            Some(tag) => (self.word(at, tag)? >> 3).max(1),
            None => self.word(at, self.offsets.ob_size)?.cast_signed().unsigned_abs().max(int.least_digits),
        };
        digits.checked_mul(int.digit_size)?.checked_add(int.digit).filter(|size| *size < MAX_SIZE)
    }

    /// What a dict has beside itself, as it says and as it is.
    fn dict(&self, at: u64) -> Option<(u64, u64)> {
        match self.offsets.dict {
            Dict::Table { mask, table, size, entry } => {
                let block = self.word(at, table)?;
                // A small table is a part of the dict.
                if (at..at + size).contains(&block) {
                    return Some((0, 0));
                }
                let bytes = self.word(at, mask)?.checked_add(1)?.checked_mul(entry)?.min(MAX_SIZE);
                Some((bytes, self.footprint_at(block, bytes)))
            }
            Dict::Keys { keys, values, of, .. } => {
                let (keys, values) = (self.word(at, keys)?, self.word(at, values)?);
                let mut sizes = (0, 0);
                if values != 0 {
                    let room = self.values_room(&of, keys)?;
                    let is_embedded = of.embedded.and_then(|offset| self.byte(values, offset)) == Some(1);
                    let spent = if is_embedded { 0 } else { self.values_spent(&of, values, room) };
                    sizes = (room * 8, spent);
                }
                if self.word(keys, of.refcnt)? == 1 {
                    let bytes = self.keys_size(keys)?;
                    sizes = (sizes.0 + bytes, sizes.1 + self.footprint_at(keys, bytes));
                }
                Some(sizes)
            }
        }
    }

    /// How many indices keys have.
    fn indices(&self, keys: &Keys, at: u64) -> Option<u64> {
        match keys.shape {
            KeysShape::Size(size) => self.word(at, size),
            KeysShape::Logarithms { size, .. } => Some(1 << self.byte(at, size)?.min(MAX_LOG2)),
        }
    }

    /// How many entries there is room for: two thirds of the indices.
    fn usable(&self, keys: &Keys, at: u64) -> Option<u64> {
        Some((self.indices(keys, at)?.checked_mul(2)? / 3).min(MAX_SIZE / 64))
    }

    /// For how many attributes there is room in values.
    fn values_room(&self, keys: &Keys, at: u64) -> Option<u64> {
        match keys.shape {
            // `dk_usable` stands before `dk_nentries`: what is left, and what is used.
            KeysShape::Logarithms { .. } => {
                let sum = self.word(at, keys.nentries)?.checked_add(self.word(at, keys.nentries - 8)?)?;
                Some(sum.min(MAX_SIZE / 64))
            }
            _ => self.usable(keys, at),
        }
    }

    /// What the keys at `at` take.
    fn keys_size(&self, at: u64) -> Option<u64> {
        let Dict::Keys { of: keys, .. } = &self.offsets.dict else { return None };
        let (start, (entry, ..)) = self.entries_of(keys, at)?;
        let entries = self.usable(keys, at)?.checked_mul(entry)?;
        (start - at).checked_add(entries).filter(|size| *size < MAX_SIZE)
    }

    /// What the indices of keys take.
    pub(crate) fn index_bytes(&self, keys: &Keys, at: u64) -> Option<u64> {
        match keys.shape {
            KeysShape::Size(_) => {
                let indices = self.indices(keys, at)?;
                let width = match indices {
                    0..=0xff => 1,
                    0x100..=0xffff => 2,
                    0x1_0000..=0xffff_ffff => 4,
                    _ => 8,
                };
                indices.checked_mul(width)
            }
            KeysShape::Logarithms { index_bytes, .. } => Some(1 << self.byte(at, index_bytes)?.min(MAX_LOG2)),
        }
    }

    /// Of a string: the size of the object itself; where its characters are, if apart, and their size; the same of the copy in
    /// UTF-8.
    #[allow(clippy::type_complexity)]
    pub(crate) fn unicode(&self, at: u64) -> Option<(u64, (u64, u64), (u64, u64))> {
        let Some(unicode) = &self.offsets.unicode else { return self.unicode_of_2(at) };
        let state = self.word(at, unicode.state)?;
        let length = self.word(at, unicode.length)?.min(MAX_SIZE / 8);
        let kind = ((state >> unicode.kind_shift) & 7).max(1);
        let has = |shift: u32| (state >> shift) & 1 != 0;
        let characters = (length + 1) * kind;
        if has(unicode.compact_shift) && has(unicode.ascii_shift) {
            return Some((unicode.ascii_size + length + 1, (0, 0), (0, 0)));
        }
        let utf8 = self.word(at, unicode.utf8)?;
        let utf8_size = self.word(at, unicode.utf8_length)?.min(MAX_SIZE) + 1;
        if has(unicode.compact_shift) {
            let fixed = unicode.compact_size + characters;
            return Some((fixed, (0, 0), if utf8 == 0 { (0, 0) } else { (utf8, utf8_size) }));
        }
        let data = self.word(at, unicode.data)?;
        let characters = if data == 0 { (0, 0) } else { (data, characters) };
        // Of text that is ASCII the copy is the text.
        let utf8 = if utf8 == 0 || utf8 == data { (0, 0) } else { (utf8, utf8_size) };
        Some((unicode.size, characters, utf8))
    }

    /// The same of 2.7, whose characters are always apart, each as wide as any.
    #[allow(clippy::type_complexity)]
    fn unicode_of_2(&self, at: u64) -> Option<(u64, (u64, u64), (u64, u64))> {
        let unicode = self.offsets.unicode_of_2?;
        let length = self.word(at, unicode.length)?.min(MAX_SIZE / 8);
        let data = self.word(at, unicode.str)?;
        Some((unicode.size, (data, (length + 1) * unicode.character_size), (0, 0)))
    }
}
