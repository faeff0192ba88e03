//! Dictionaries: their items, in insertion order where the version keeps one.

use rspy_process::{Address, Memory, word};

use crate::layout::{Field, Layout};
use crate::text::ValueError;

/// Largest number of entries that is read, empty ones included.
const MAX_ENTRIES: u64 = 1 << 20;

/// A key and its value.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct DictItem {
    /// The key object.
    pub key: Address,
    /// The value object.
    pub value: Address,
}

/// The entries of a `PyDictKeysObject` or, in 2.7, of a dict itself.
pub(super) struct Keys {
    entries: Vec<u8>,
    size: usize,
    key: Field<Address>,
    value: Field<Address>,
}

impl Keys {
    /// Key and value (null where the dict keeps its values apart) of every entry,
    /// unused ones included: a value's index is that of its key.
    pub(super) fn iter(&self) -> impl Iterator<Item = DictItem> + '_ {
        self.entries.chunks_exact(self.size).map(|entry| DictItem {
            key: self.key.get(entry).unwrap_or(Address::NULL),
            value: self.value.get(entry).unwrap_or(Address::NULL),
        })
    }
}

/// The items of the dict at `at`.
pub fn items(memory: &impl Memory, layout: &Layout, at: Address) -> Result<Vec<DictItem>, ValueError> {
    let table = &layout.table;
    let unexpected = ValueError::Unexpected { at, expected: "dict" };
    let Some(ma_keys) = table.optional::<Address>("dict", "ma_keys") else {
        return Ok(used(hash_table(memory, layout, at)?.iter()));
    };
    let keys = keys(memory, layout, ma_keys.read(memory, at)?)?;
    let ma_values = table.optional::<Address>("dict", "ma_values").ok_or(unexpected)?;
    let values = ma_values.read(memory, at)?;
    if values.is_null() {
        return Ok(used(keys.iter()));
    }
    let start = table.number("dict_values", "values").unwrap_or(0);
    values_of(memory, &keys, values.offset(start))
}

/// The items whose values stand in an array at `values`, in the order of `keys`.
pub(super) fn values_of(
    memory: &impl Memory,
    keys: &Keys,
    values: Address,
) -> Result<Vec<DictItem>, ValueError> {
    let bytes = memory.bytes(values, keys.iter().count() * 8)?;
    let items = keys.iter().enumerate().map(|(index, item)| DictItem {
        key: item.key,
        value: Address(word(&bytes, index * 8, 8).unwrap_or(0)),
    });
    Ok(used(items))
}

fn used(items: impl Iterator<Item = DictItem>) -> Vec<DictItem> {
    items.filter(|item| !item.key.is_null() && !item.value.is_null()).collect()
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
    let entries = u64::try_from(entries).ok().filter(|n| *n <= MAX_ENTRIES).ok_or(unexpected)?;
    let start = at.offset(header.len() as u64 + index_bytes);
    Ok(Keys { entries: memory.bytes(start, entries as usize * size)?, size, key, value })
}

/// The hash table of a 2.7 dict.
fn hash_table(memory: &impl Memory, layout: &Layout, at: Address) -> Result<Keys, ValueError> {
    let unexpected = ValueError::Unexpected { at, expected: "dict" };
    let field = |name| layout.table.number("dict", name).ok_or(unexpected);
    let mask = memory.u64(at.offset(field("ma_mask")?))?;
    let start = memory.address(at.offset(field("ma_table")?))?;
    let (size, key, value) = entry(layout, "dict_entry").ok_or(unexpected)?;
    if mask >= MAX_ENTRIES {
        return Err(unexpected);
    }
    Ok(Keys { entries: memory.bytes(start, (mask as usize + 1) * size)?, size, key, value })
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
