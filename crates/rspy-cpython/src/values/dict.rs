//! Dictionaries: their items, in insertion order where the version keeps one.

use rspy_process::{Address, Memory, word};

use crate::layout::{Field, Layout};
use crate::text::ValueError;

/// Largest number of entries that is read, empty ones included.
const MAX_ENTRIES: u64 = 1 << 20;
/// How many entries are read at a time where only the first items are wanted, and how
/// many in all.
const CHUNK: u64 = 256;
const MAX_SCANNED: u64 = 1 << 16;

/// A key and its value.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct DictItem {
    /// The key object.
    pub key: Address,
    /// The value object.
    pub value: Address,
}

/// Where the entries of a `PyDictKeysObject` or, in 2.7, of a dict itself are.
pub(super) struct Keys {
    start: Address,
    count: u64,
    size: usize,
    key: Field<Address>,
    value: Field<Address>,
}

impl Keys {
    /// Key and value (null where the dict keeps its values apart) of `count` entries
    /// from number `first` on, unused ones included: a value's index is that of its
    /// key. Fewer where the entries end before.
    fn read(&self, memory: &impl Memory, first: u64, count: u64) -> Result<Vec<DictItem>, ValueError> {
        let count = count.min(self.count.saturating_sub(first)).min(MAX_ENTRIES);
        let start = self.start.offset(first.saturating_mul(self.size as u64));
        let bytes = memory.bytes(start, count as usize * self.size)?;
        let entries = bytes.chunks_exact(self.size).map(|entry| DictItem {
            key: self.key.get(entry).unwrap_or(Address::NULL),
            value: self.value.get(entry).unwrap_or(Address::NULL),
        });
        Ok(entries.collect())
    }
}

/// The keys of a dict, and its values if those stand in an array of their own.
struct Entries {
    keys: Keys,
    values: Option<Address>,
}

impl Entries {
    /// `count` entries from number `first` on; what is not used has a null key or value.
    fn read(&self, memory: &impl Memory, first: u64, count: u64) -> Result<Vec<DictItem>, ValueError> {
        let mut entries = self.keys.read(memory, first, count)?;
        if let Some(values) = self.values {
            let bytes = memory.bytes(values.offset(first.saturating_mul(8)), entries.len() * 8)?;
            for (index, entry) in entries.iter_mut().enumerate() {
                entry.value = Address(word(&bytes, index * 8, 8).unwrap_or(0));
            }
        }
        Ok(entries)
    }
}

/// The items of the dict at `at`.
pub fn items(memory: &impl Memory, layout: &Layout, at: Address) -> Result<Vec<DictItem>, ValueError> {
    let entries = entries(memory, layout, at)?;
    if entries.keys.count > MAX_ENTRIES {
        return Err(ValueError::Unexpected { at, expected: "dict" });
    }
    Ok(used(entries.read(memory, 0, MAX_ENTRIES)?))
}

/// The first `wanted` items of the dict at `at`, however large it is; fewer if it has
/// fewer, or if they are behind very many deleted ones. Each read costs one of `budget`.
pub(super) fn first_items(
    memory: &impl Memory,
    layout: &Layout,
    at: Address,
    wanted: usize,
    budget: &mut usize,
) -> Result<Vec<DictItem>, ValueError> {
    let entries = entries(memory, layout, at)?;
    let mut items = Vec::new();
    let mut first = 0;
    while items.len() < wanted && first < entries.keys.count.min(MAX_SCANNED) && *budget > 0 {
        *budget -= 1;
        items.extend(used(entries.read(memory, first, CHUNK)?));
        first += CHUNK;
    }
    items.truncate(wanted);
    Ok(items)
}

fn entries(memory: &impl Memory, layout: &Layout, at: Address) -> Result<Entries, ValueError> {
    let table = &layout.table;
    let unexpected = ValueError::Unexpected { at, expected: "dict" };
    let Some(ma_keys) = table.optional::<Address>("dict", "ma_keys") else {
        return Ok(Entries { keys: hash_table(memory, layout, at)?, values: None });
    };
    let keys = keys(memory, layout, ma_keys.read(memory, at)?)?;
    let ma_values = table.optional::<Address>("dict", "ma_values").ok_or(unexpected)?;
    let values = ma_values.read(memory, at)?;
    let start = table.number("dict_values", "values").unwrap_or(0);
    Ok(Entries { keys, values: (!values.is_null()).then(|| values.offset(start)) })
}

/// The items whose values stand in an array at `values`, in the order of `keys`.
pub(super) fn values_of(
    memory: &impl Memory,
    keys: Keys,
    values: Address,
) -> Result<Vec<DictItem>, ValueError> {
    Ok(used(Entries { keys, values: Some(values) }.read(memory, 0, MAX_ENTRIES)?))
}

fn used(mut items: Vec<DictItem>) -> Vec<DictItem> {
    items.retain(|item| !item.key.is_null() && !item.value.is_null());
    items
}

/// The keys object at `at` (3.6 and later): a header, a table of indices, entries.
pub(super) fn keys(memory: &impl Memory, layout: &Layout, at: Address) -> Result<Keys, ValueError> {
    let table = &layout.table;
    let unexpected = ValueError::Unexpected { at, expected: "dict keys object" };
    let number = |name| table.number("dict_keys", name).ok_or(unexpected);
    let header = memory.bytes(at, number("dk_indices")? as usize)?;
    let entries: i64 = Field::new(number("dk_nentries")? as u32).get(&header).ok_or(unexpected)?;
    // Sizes are kept as logarithms from 3.11 on.
    let (index_bytes, is_unicode) = match table.optional::<u8>("dict_keys", "dk_log2_index_bytes") {
        Some(field) => {
            let log2 = field.get(&header).filter(|log2| *log2 < 40).ok_or(unexpected)?;
            let kind: u8 = Field::new(number("dk_kind")? as u32).get(&header).ok_or(unexpected)?;
            // DICT_KEYS_GENERAL is 0; the others have keys of type str only.
            (1u64 << log2, kind != 0)
        }
        None => {
            let size: i64 = Field::new(number("dk_size")? as u32).get(&header).ok_or(unexpected)?;
            let size = u64::try_from(size).map_err(|_| unexpected)?;
            let width = match size {
                0..=0xff => 1,
                0x100..=0xffff => 2,
                0x1_0000..=0xffff_ffff => 4,
                _ => return Err(unexpected),
            };
            (size * width, false)
        }
    };
    let section = if is_unicode { "dict_unicode_entry" } else { "dict_entry" };
    let (size, key, value) = entry(layout, section).ok_or(unexpected)?;
    let count = u64::try_from(entries).map_err(|_| unexpected)?;
    let start = at.offset(header.len() as u64 + index_bytes);
    Ok(Keys { start, count, size, key, value })
}

/// The hash table of a 2.7 dict.
fn hash_table(memory: &impl Memory, layout: &Layout, at: Address) -> Result<Keys, ValueError> {
    let unexpected = ValueError::Unexpected { at, expected: "dict" };
    let field = |name| layout.table.number("dict", name).ok_or(unexpected);
    let mask = memory.u64(at.offset(field("ma_mask")?))?;
    let start = memory.address(at.offset(field("ma_table")?))?;
    let (size, key, value) = entry(layout, "dict_entry").ok_or(unexpected)?;
    Ok(Keys { start, count: mask.saturating_add(1), size, key, value })
}

fn entry(layout: &Layout, section: &'static str) -> Option<(usize, Field<Address>, Field<Address>)> {
    let size = layout.table.number(section, "size")?;
    let key = layout.table.optional(section, "me_key")?;
    Some((
        usize::try_from(size).ok().filter(|size| *size > 0)?,
        key,
        layout.table.optional(section, "me_value")?,
    ))
}
