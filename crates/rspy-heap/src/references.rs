//! What an object refers to: exactly where its kind is known, else every word in it that may be the address of an object.

use rspy_cpython::layout::InstanceValues;
use rspy_process::word;

use crate::kind::Kind;
use crate::object::{Object, Reader};
use crate::offsets::{Dict, Keys, KeysShape};

/// More entries than any container has.
const MAX_ENTRIES: u64 = 1 << 32;
/// What the last two words of an entry of `functools.lru_cache` are (`Modules/_functoolsmodule.c`).
const CACHE_ENTRY: [&str; 2] = ["key", "result"];
/// Where `PyModuleDef` has `m_size`, behind the head; and a larger state than any module has, in bytes.
const MODULE_SIZE: usize = 40;
const MAX_STATE: u64 = 1 << 20;
/// Dimensions of an array, at most.
const MAX_DIMENSIONS: u64 = 64;

/// How an object refers to another.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Edge {
    /// It is its type.
    Type,
    /// It is an item.
    Index(u64),
    /// It is a key, or an element of a set.
    Key,
    /// It is the value of the key at that address.
    Value(u64),
    /// It is the value of the attribute with that number.
    Attribute(u64),
    /// It is the `__dict__`.
    Dict,
    /// It is a member, by CPython's name.
    Member(&'static str),
    /// Something at that offset is its address, as far as can be seen.
    At(u32),
}

impl Reader<'_> {
    /// Tells `each` what `object` refers to. Addresses are as they were found: that something lives there is for the caller to see.
    pub fn references(&self, object: &Object<'_>, each: &mut impl FnMut(u64, Edge)) {
        let Object { at, of, .. } = *object;
        match of.kind {
            Kind::List => {
                let items = self.word(at, self.offsets.list_item).unwrap_or(0);
                self.array(items, self.word(at, self.offsets.ob_size).unwrap_or(0), each);
            }
            Kind::Tuple => {
                let items = at.saturating_add(self.offsets.tuple_item as u64);
                self.array(items, self.word(at, self.offsets.ob_size).unwrap_or(0), each);
            }
            Kind::Dict => drop(self.items(at, each)),
            Kind::Set => drop(self.elements(at, each)),
            Kind::Type => self.members(at, &self.offsets.type_members, each),
            Kind::Function => {
                self.members(at, &self.offsets.function, each);
                // Type parameters and what else newer versions have.
                self.body(object, self.offsets.object_size, &mut |value, edge| {
                    let is_member =
                        |offset| self.offsets.function.iter().any(|(member, _)| *member == offset);
                    if !matches!(edge, Edge::At(offset) if is_member(offset as usize)) {
                        each(value, edge);
                    }
                });
            }
            Kind::Code => self.members(at, &self.offsets.code, each),
            Kind::Cell => self.members(at, &self.offsets.cell, each),
            Kind::Method => self.members(at, &self.offsets.method, each),
            Kind::Weakref => self.members(at, &self.offsets.weakref, each),
            Kind::Module => drop(self.module(at, each)),
            Kind::Deque => drop(self.blocks(at, each)),
            Kind::CacheEntry => self.cache_entry(object, each),
            // Its first two members link its entries to a ring, which its dict has as well.
            Kind::Cache => self.body(object, self.offsets.object_size + 16, each),
            Kind::MemoryView => self.members(at, &[(self.offsets.view, "view")], each),
            Kind::Array => drop(self.elements_of_array(at, each)),
            Kind::Number | Kind::Numbers | Kind::Int | Kind::Bytes | Kind::Unicode | Kind::ByteArray => {}
            Kind::Apart(blocks) => {
                self.body(object, self.offsets.object_size, each);
                for (start, size) in self.referring(at, blocks) {
                    let place = |edge| {
                        if let Edge::Index(index) = edge { Edge::At((index * 8) as u32) } else { edge }
                    };
                    self.array(start, size / 8, &mut |value, edge| each(value, place(edge)));
                }
            }
            Kind::Clock => {
                if self.byte(at, self.offsets.object_size as usize + 8) == Some(1) {
                    self.members(at, &[(of.own_from.saturating_sub(8) as usize, "tzinfo")], each);
                }
            }
            Kind::Running | Kind::Buffered | Kind::BytesIO | Kind::Struct | Kind::Other => {
                self.body(object, self.offsets.object_size, each)
            }
        }
        // What a type adds to one that is known: slots, a `default_factory`.
        if of.itemsize == 0 && of.own_from < of.basicsize && !of.kind.is_scanned() {
            self.body(object, of.own_from, each);
        }
        if of.is_heap_type() {
            each(of.at, Edge::Type);
            self.attributes(object, each);
        }
    }

    fn array(&self, start: u64, count: u64, each: &mut impl FnMut(u64, Edge)) {
        let Some(length) = count.min(MAX_ENTRIES).checked_mul(8) else { return };
        let Some(items) = self.image.bytes(start, length as usize) else { return };
        for (index, item) in items.as_chunks().0.iter().enumerate() {
            each(u64::from_le_bytes(*item), Edge::Index(index as u64));
        }
    }

    fn members(&self, at: u64, members: &[(usize, &'static str)], each: &mut impl FnMut(u64, Edge)) {
        for (offset, name) in members {
            if let Some(value) = self.word(at, *offset).filter(|value| *value != 0) {
                each(value, Edge::Member(name));
            }
        }
    }

    /// Every word of an object from `start` on.
    fn body(&self, object: &Object<'_>, start: u64, each: &mut impl FnMut(u64, Edge)) {
        let Object { at, of, .. } = *object;
        let block = if of.kind == Kind::Running { self.allocated.block_of(at) } else { None };
        let whole = match block {
            // All of its block: it has more than its type says.
            Some(block) => block.end - at,
            None => self.fixed_part(of, at).unwrap_or(of.basicsize),
        };
        let Some(body) = self.image.bytes(at, whole as usize) else { return };
        for offset in (start as usize..body.len()).step_by(8) {
            let is_borrowed = of.kind == Kind::Running && self.offsets.borrowed.contains(&offset);
            if offset as i64 == of.weaklistoffset || is_borrowed {
                continue;
            }
            let Some(value) = word(body, offset, 8) else { continue };
            // References of frames have marks in their lowest bits.
            let value = if of.kind == Kind::Running { value & !7 } else { value };
            if value != 0 {
                let is_dict = offset as i64 == of.dictoffset;
                each(value, if is_dict { Edge::Dict } else { Edge::At(offset as u32) });
            }
        }
    }

    /// What an instance of a class has in attributes, with the `__dict__` if it has made one.
    fn attributes(&self, object: &Object<'_>, each: &mut impl FnMut(u64, Edge)) {
        let Object { at, of, .. } = *object;
        let before = |words: u64| self.image.word(at.checked_sub(words * 8)?);
        if of.has_managed_dict() {
            let dict = match self.offsets.instance_values {
                InstanceValues::None => None,
                InstanceValues::Pointer => {
                    if let Some(values) = before(4).filter(|values| *values != 0) {
                        self.values(of.at, values, each);
                    }
                    before(3)
                }
                InstanceValues::Tagged => match before(3) {
                    Some(tagged) if tagged & 1 == 1 => {
                        self.values(of.at, tagged.wrapping_add(1), each);
                        None
                    }
                    dict => dict,
                },
                InstanceValues::Inline => {
                    let dict = before(if self.offsets.gc_head == 0 { 1 } else { 3 });
                    if dict == Some(0) && of.has_inline_values() {
                        self.values(of.at, at + of.basicsize, each);
                    }
                    dict
                }
            };
            if let Some(dict) = dict.filter(|dict| *dict != 0) {
                each(dict, Edge::Dict);
            }
        } else if of.dictoffset != 0 && of.kind != Kind::Other {
            let offset = if of.dictoffset > 0 {
                Some(of.dictoffset.unsigned_abs())
            } else {
                let items =
                    self.word(at, self.offsets.ob_size).map(|items| items.cast_signed().unsigned_abs());
                items
                    .and_then(|items| of.basicsize.checked_add(items.checked_mul(of.itemsize)?))
                    .and_then(|size| size.checked_next_multiple_of(8)?.checked_add_signed(of.dictoffset))
            };
            let dict = offset.and_then(|offset| self.word(at, offset as usize));
            if let Some(dict) = dict.filter(|dict| *dict != 0) {
                each(dict, Edge::Dict);
            }
        }
    }

    /// The values of attributes at `values` of an instance of the class `class`.
    fn values(&self, class: u64, values: u64, each: &mut impl FnMut(u64, Edge)) {
        let Dict::Keys { of: keys, .. } = &self.offsets.dict else { return };
        let cached = self.cached_keys(class);
        let Some(count) = cached.and_then(|cached| self.narrow(cached, keys.nentries)) else { return };
        let values = values.saturating_add(keys.values_header);
        let Some(values) = self.image.bytes(values, count.min(64) as usize * 8) else {
            return;
        };
        for (index, value) in values.as_chunks().0.iter().enumerate() {
            each(u64::from_le_bytes(*value), Edge::Attribute(index as u64));
        }
    }

    /// The name of the attribute with a number, of instances of the class `class`: where that string is.
    pub(crate) fn attribute_name(&self, class: u64, number: u64) -> Option<u64> {
        let Dict::Keys { of: keys, .. } = &self.offsets.dict else { return None };
        let cached = self.cached_keys(class)?;
        let (start, entry) = self.entries_of(keys, cached)?;
        self.image.word(start.checked_add(number.checked_mul(entry.0)?)?.checked_add(entry.1 as u64)?)
    }

    /// A word of dict keys: they count in eight bytes.
    fn narrow(&self, at: u64, offset: usize) -> Option<u64> {
        self.word(at, offset).filter(|count| *count < MAX_ENTRIES)
    }

    fn items(&self, at: u64, each: &mut impl FnMut(u64, Edge)) -> Option<()> {
        match &self.offsets.dict {
            Dict::Table { mask, table, entry, .. } => {
                let count = self.word(at, *mask)?.checked_add(1)?.min(MAX_ENTRIES);
                let start = self.word(at, *table)?;
                self.entries(start, count, (*entry, 8, 16), each)
            }
            Dict::Keys { keys, values, of, .. } => {
                let (keys, values) = (self.word(at, *keys)?, self.word(at, *values)?);
                let count = self.narrow(keys, of.nentries)?;
                let (start, entry) = self.entries_of(of, keys)?;
                if values == 0 {
                    return self.entries(start, count, entry, each);
                }
                let values = values.checked_add(of.values_header)?;
                for index in 0..count {
                    let key = self.image.word(start.checked_add(index * entry.0 + entry.1 as u64)?)?;
                    each(key, Edge::Key);
                    each(self.image.word(values.checked_add(index * 8)?)?, Edge::Value(key));
                }
                Some(())
            }
        }
    }

    /// Where the entries of keys begin, and what they look like.
    pub(crate) fn entries_of(&self, keys: &Keys, at: u64) -> Option<(u64, (u64, usize, usize))> {
        let entry = match keys.shape {
            KeysShape::Logarithms { kind, .. } if self.byte(at, kind)? != 0 => {
                keys.unicode_entry.unwrap_or(keys.entry)
            }
            _ => keys.entry,
        };
        Some((at.checked_add(keys.indices)?.checked_add(self.index_bytes(keys, at)?)?, entry))
    }

    fn entries(
        &self,
        start: u64,
        count: u64,
        (size, key, value): (u64, usize, usize),
        each: &mut impl FnMut(u64, Edge),
    ) -> Option<()> {
        let bytes = self.image.bytes(start, count.checked_mul(size)? as usize)?;
        for entry in bytes.chunks_exact(size as usize) {
            let (key, value) = (word(entry, key, 8)?, word(entry, value, 8)?);
            // Where there is no value there is no item any more.
            if value != 0 {
                each(key, Edge::Key);
                each(value, Edge::Value(key));
            }
        }
        Some(())
    }

    /// What a module refers to: its dict, and whatever is in its state.
    fn module(&self, at: u64, each: &mut impl FnMut(u64, Edge)) -> Option<()> {
        self.members(at, &self.offsets.module, each);
        let members = self.offsets.module_state?;
        let size = match members.size {
            Some(size) => self.word(at, size)?,
            None => self
                .word(self.word(at, members.definition?)?, self.offsets.object_size as usize + MODULE_SIZE)?,
        };
        let state = self.word(at, members.state)?;
        let state = self.image.bytes(state, size.min(MAX_STATE) as usize).filter(|_| state != 0)?;
        for value in state.as_chunks().0 {
            each(u64::from_le_bytes(*value), Edge::Member("md_state"));
        }
        Some(())
    }

    /// The items of a `deque`, by its blocks (`Modules/_collectionsmodule.c`).
    fn blocks(&self, at: u64, each: &mut impl FnMut(u64, Edge)) -> Option<()> {
        let deque = &self.offsets.deque;
        let count = self.word(at, deque.length)?.min(MAX_ENTRIES);
        let (mut block, mut index) = (self.word(at, deque.leftblock)?, self.word(at, deque.leftindex)?);
        let mut item = 0;
        while item < count {
            let items = self.image.bytes(block.checked_add(deque.data)?, deque.block_items as usize * 8)?;
            for value in items.as_chunks().0.iter().skip(index as usize).take((count - item) as usize) {
                each(u64::from_le_bytes(*value), Edge::Index(item));
                item += 1;
            }
            index = 0;
            block = self.word(block, deque.rightlink)?;
        }
        Some(())
    }

    /// What an entry of a cache holds, not the entries beside it.
    fn cache_entry(&self, object: &Object<'_>, each: &mut impl FnMut(u64, Edge)) {
        let first = object.of.basicsize.saturating_sub(8 * CACHE_ENTRY.len() as u64) as usize;
        let members: [_; 2] = std::array::from_fn(|index| (first + 8 * index, CACHE_ENTRY[index]));
        self.members(object.at, &members, each);
    }

    /// What an array of NumPy's refers to: the one it is a view of, and objects where it is of objects
    /// (`PyArrayObject_fields`, `PyArray_Descr`).
    fn elements_of_array(&self, at: u64, each: &mut impl FnMut(u64, Edge)) -> Option<()> {
        let head = self.offsets.object_size as usize;
        self.members(at, &[(head + 32, "base"), (head + 40, "dtype")], each);
        let descr = self.word(at, head + 40)?;
        if self.byte(descr, head + 8)? != u64::from(b'O') || self.word(at, head + 32)? != 0 {
            return None;
        }
        let dimensions = self.word(at, head + 8)? & 0xffff_ffff;
        let shape = self.word(at, head + 16)?;
        let mut count: u64 = 1;
        for index in 0..dimensions.min(MAX_DIMENSIONS) {
            count = count.checked_mul(self.image.word(shape.checked_add(index * 8)?)?)?;
        }
        self.array(self.word(at, head)?, count, each);
        Some(())
    }

    fn elements(&self, at: u64, each: &mut impl FnMut(u64, Edge)) -> Option<()> {
        let set = &self.offsets.set;
        let count = self.word(at, set.mask)?.checked_add(1)?.min(MAX_ENTRIES);
        let table = self.image.bytes(self.word(at, set.table)?, count.checked_mul(set.entry)? as usize)?;
        for entry in table.chunks_exact(set.entry as usize) {
            // The mark of a removed element is an object as well, and nobody's element.
            each(word(entry, set.key, 8)?, Edge::Key);
        }
        Some(())
    }
}
