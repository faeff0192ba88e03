//! Classes of methods where code objects do not know them (up to 3.10): what `self` or
//! `cls` is bound to in the frame tells.
//!
//! The class is the object's own, which may have inherited the method. Static methods
//! and functions that call their first argument otherwise have none.

use rspy_process::{Address, Memory};

use crate::frames::RawFrame;
use crate::layout::{Frames, Layout, Slots};
use crate::stack::Frame;
use crate::text::{ValueError, string};

/// More variables than any function has that inner functions use.
const MAX_CELLS: u64 = 256;
/// Longest name of a class that is read, in bytes.
const MAX_NAME: usize = 128;

/// Where the frames of a function have the object or class that it is a method of.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Receiver {
    /// Index in the frame's array of variables.
    slot: u64,
    /// A cell holds it, since an inner function uses it.
    is_cell: bool,
    /// It is the class itself.
    is_class: bool,
}

/// The receiver of the code object at `at`; `None` for functions that are no methods,
/// and where code knows its qualified name.
pub(crate) fn receiver(memory: &impl Memory, layout: &Layout, at: Address) -> Option<Receiver> {
    let Slots::Apart { varnames, cellvars, .. } = &layout.code.slots else { return None };
    if layout.code.argcount.read(memory, at).ok()? < 1 {
        return None;
    }
    let item = layout.table.number("tuple", "ob_item")?;
    let name_at = |tuple: Address, index: u64| {
        string(memory, layout, memory.address(tuple.offset(item + index * 8)).ok()?).ok()
    };
    let len = |tuple| u64::try_from(layout.object.ob_size.read(memory, tuple).ok()?).ok();
    let names = varnames.read(memory, at).ok()?;
    let first = name_at(names, 0)?;
    let is_class = match first.as_str() {
        "self" => false,
        "cls" => true,
        _ => return None,
    };
    let cells = cellvars.read(memory, at).ok()?;
    let cell = (0..len(cells)?.min(MAX_CELLS)).find(|index| name_at(cells, *index).as_ref() == Some(&first));
    let slot = cell.map_or(Some(0), |cell| len(names)?.checked_add(cell))?;
    Some(Receiver { slot, is_cell: cell.is_some(), is_class })
}

/// Gives those of `frames` that are methods the names of their classes. What cannot be
/// read stays without.
pub fn add(memory: &impl Memory, layout: &Layout, frames: &mut [Frame]) {
    for frame in frames {
        if let Frame::Python { code, raw, class, .. } = frame
            && let Some(receiver) = code.receiver
        {
            *class = name(memory, layout, raw, receiver).ok().flatten();
        }
    }
}

fn name(
    memory: &impl Memory,
    layout: &Layout,
    frame: &RawFrame,
    receiver: Receiver,
) -> Result<Option<Box<str>>, ValueError> {
    let Frames::Object(object) = &layout.frames else { return Ok(None) };
    let slot = object.localsplus.of(frame.address).offset(receiver.slot.saturating_mul(8));
    let mut at = memory.address(slot)?;
    if receiver.is_cell {
        let unexpected = ValueError::Unexpected { at, expected: "cell" };
        at = memory.address(at.offset(layout.table.number("cell", "ob_ref").ok_or(unexpected)?))?;
    }
    // It may have been deleted, or not be set yet.
    if at.is_null() {
        return Ok(None);
    }
    let class = if receiver.is_class { at } else { layout.object.ob_type.read(memory, at)? };
    if receiver.is_class {
        let metaclass = layout.object.ob_type.read(memory, class)?;
        let flags = layout.table.number("type", "tp_flags").unwrap_or(0);
        // `Py_TPFLAGS_TYPE_SUBCLASS`: `cls` may be bound to anything.
        if memory.u64(metaclass.offset(flags))? & 1 << 31 == 0 {
            return Ok(None);
        }
    }
    let text = memory.c_string(layout.object.tp_name.read(memory, class)?, MAX_NAME)?;
    let Ok(text) = String::from_utf8(text) else { return Ok(None) };
    // Types made in C have the name of their module before their own.
    let name = text.rsplit('.').next().unwrap_or_default();
    // 2.7's classes that do not inherit from `object` share one type for their instances.
    if name == "instance" && text.len() == name.len() && !receiver.is_class {
        return Ok(None);
    }
    let is_name = !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '_');
    Ok(is_name.then(|| name.into()))
}
