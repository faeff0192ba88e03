//! Attributes of instances, wherever the version keeps them.

use rspy_process::{Address, Memory};

use super::dict::{DictItem, items, keys, values_of};
use crate::layout::{InstanceValues, Layout};
use crate::text::{ValueError, string};

/// `Py_TPFLAGS_MANAGED_DICT` (3.11 and later).
const MANAGED_DICT: u64 = 1 << 4;
/// `Py_TPFLAGS_INLINE_VALUES` (3.13 and later).
const INLINE_VALUES: u64 = 1 << 2;

/// The object's own attribute called `name`, as `object.__dict__[name]` would give it.
pub fn attribute(
    memory: &impl Memory,
    layout: &Layout,
    object: Address,
    name: &str,
) -> Result<Option<Address>, ValueError> {
    let named = |item: &DictItem| string(memory, layout, item.key).is_ok_and(|key| key == name);
    Ok(attributes(memory, layout, object)?.into_iter().find(named).map(|item| item.value))
}

fn attributes(memory: &impl Memory, layout: &Layout, object: Address) -> Result<Vec<DictItem>, ValueError> {
    let unexpected = ValueError::Unexpected { at: object, expected: "object with attributes" };
    let ob_type = layout.object.ob_type.read(memory, object)?;
    let field = |name| layout.table.number("type", name).ok_or(unexpected);
    let type_word = |name| Ok::<u64, ValueError>(memory.u64(ob_type.offset(field(name)?))?);
    let before = |words: u64| Address(object.0.saturating_sub(words * 8));
    let cached_keys = || keys(memory, layout, Address(type_word("ht_cached_keys")?));
    let flags = type_word("tp_flags")?;

    // Only where there is such a thing: every class of 2.7 has that bit for something else.
    let managed = if flags & MANAGED_DICT != 0 { layout.instance_values } else { InstanceValues::None };
    let dict = match managed {
        InstanceValues::None => match type_word("tp_dictoffset")? as i64 {
            offset @ 1..=0xffff => memory.address(object.offset(offset as u64))?,
            _ => return Err(unexpected),
        },
        // The dict is three words before the object, the values four, one of them null.
        InstanceValues::Pointer => {
            let values = memory.address(before(4))?;
            if !values.is_null() {
                return values_of(memory, cached_keys()?, values);
            }
            memory.address(before(3))?
        }
        // One word for both; where it leads to values it is one less than their address.
        InstanceValues::Tagged => {
            let dict_or_values = memory.address(before(3))?;
            if dict_or_values.0 & 1 == 1 {
                return values_of(memory, cached_keys()?, dict_or_values.offset(1));
            }
            dict_or_values
        }
        InstanceValues::Inline => {
            // Free-threaded builds have no header of the collector's before objects.
            let dict = memory.address(before(if layout.abi.free_threaded { 1 } else { 3 }))?;
            if dict.is_null() && flags & INLINE_VALUES != 0 {
                let values = object.offset(type_word("tp_basicsize")?);
                let start = layout.table.number("dict_values", "values").ok_or(unexpected)?;
                return values_of(memory, cached_keys()?, values.offset(start));
            }
            dict
        }
    };
    if dict.is_null() { Ok(Vec::new()) } else { items(memory, layout, dict) }
}
