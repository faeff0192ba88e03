//! What modules hold, by name.

use rspy_process::{Address, Memory};

use crate::layout::Layout;
use crate::text::{ValueError, string};
use crate::values::items;

/// The dict of the module `name` of the interpreter at `interpreter`, if it was imported.
pub(crate) fn module(
    memory: &impl Memory,
    layout: &Layout,
    interpreter: Address,
    name: &str,
) -> Result<Option<Address>, ValueError> {
    let modules = layout.interpreter.modules.read(memory, interpreter)?;
    let Some(module) = find(memory, layout, modules, name)? else { return Ok(None) };
    let unexpected = ValueError::Unexpected { at: module, expected: "module" };
    let md_dict = layout.table.optional::<Address>("module", "md_dict").ok_or(unexpected)?;
    Ok(Some(md_dict.read(memory, module)?))
}

/// The value under a key that is text.
pub(crate) fn find(
    memory: &impl Memory,
    layout: &Layout,
    dict: Address,
    key: &str,
) -> Result<Option<Address>, ValueError> {
    let found = items(memory, layout, dict)?
        .into_iter()
        .find(|item| string(memory, layout, item.key).is_ok_and(|text| text == key));
    Ok(found.map(|item| item.value))
}
