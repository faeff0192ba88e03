//! Sets: their members, in the order in which Python iterates over them.

use rspy_process::{Address, Memory};

use crate::layout::{Field, Layout, Text};
use crate::text::{ValueError, string, type_name};

/// How many entries are read at a time, and how many in all.
const CHUNK: u64 = 256;
const MAX_SCANNED: u64 = 1 << 16;

/// The first `wanted` members of the `set` or `frozenset` at `at`; fewer if it has
/// fewer, or if they are behind very many empty entries. Each read costs one of `budget`.
pub(super) fn first_members(
    memory: &impl Memory,
    layout: &Layout,
    at: Address,
    wanted: usize,
    budget: &mut usize,
) -> Result<Vec<Address>, ValueError> {
    let unexpected = ValueError::Unexpected { at, expected: "set" };
    let number = |section, name| layout.table.number(section, name).ok_or(unexpected);
    let used = memory.u64(at.offset(number("set", "used")?))?;
    let count = memory.u64(at.offset(number("set", "mask")?))?.saturating_add(1);
    let table = memory.address(at.offset(number("set", "table")?))?;
    let size = usize::try_from(number("set_entry", "size")?).map_err(|_| unexpected)?;
    let key: Field<Address> = Field::new(number("set_entry", "key")? as u32);
    let hash: Field<i64> = Field::new(number("set_entry", "hash")? as u32);
    if size == 0 {
        return Err(unexpected);
    }
    let wanted = wanted.min(usize::try_from(used).unwrap_or(usize::MAX));
    let mut members = Vec::new();
    let mut first = 0;
    while members.len() < wanted && first < count.min(MAX_SCANNED) && *budget > 0 {
        *budget -= 1;
        let some = CHUNK.min(count - first) as usize;
        let bytes = memory.bytes(table.offset(first.saturating_mul(size as u64)), some * size)?;
        for entry in bytes.chunks_exact(size) {
            let key = key.get(entry).unwrap_or(Address::NULL);
            let hash = hash.get(entry).unwrap_or(-1);
            // No object has the hash −1: it marks what was removed (3.6 and later).
            if !key.is_null() && hash != -1 && !is_dummy(memory, layout, key, hash) {
                members.push(key);
            }
        }
        first += CHUNK;
    }
    members.truncate(wanted);
    Ok(members)
}

/// Whether `key` is what 2.7 puts where a member was removed: the string `<dummy key>`,
/// beside the hash of that member.
fn is_dummy(memory: &impl Memory, layout: &Layout, key: Address, hash: i64) -> bool {
    matches!(layout.text, Text::Bytes)
        && type_name(memory, layout, key).is_ok_and(|name| name == b"str")
        && layout.object.bytes_hash.read(memory, key).is_ok_and(|own| own != hash)
        && string(memory, layout, key).is_ok_and(|text| text == "<dummy key>")
}
