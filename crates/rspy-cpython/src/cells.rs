//! The cells of a notebook, as IPython numbers them.
//!
//! A Jupyter kernel gives the code of each cell a file of its own (`/tmp/ipykernel_PID/HASH.py`, which does
//! not exist). `InteractiveShell._instance.compile._filename_map` says which cell that is: what tracebacks
//! have as `In [3]`.

use std::collections::HashMap;

use rspy_process::{Address, Memory};

use crate::layout::Layout;
use crate::modules::{find, module};
use crate::text::{ValueError, string};
use crate::values::{attribute, integer, items};

/// How many cells are told of: the newest.
const MAX_CELLS: usize = 1 << 16;

/// Numbers of cells by the name of their file, in the interpreter at `interpreter`. None without a shell.
/// A cell that was run again with the same code has the number of the last time.
pub(crate) fn notebook_cells(
    memory: &impl Memory,
    layout: &Layout,
    interpreter: Address,
) -> Result<HashMap<String, u64>, ValueError> {
    let mut cells = HashMap::new();
    let Some(map) = filename_map(memory, layout, interpreter)? else { return Ok(cells) };
    for item in items(memory, layout, map)?.into_iter().rev().take(MAX_CELLS) {
        // What changes while it is read costs only itself.
        if let (Ok(file), Ok(number)) =
            (string(memory, layout, item.key), integer(memory, layout, item.value))
        {
            cells.insert(file, number);
        }
    }
    Ok(cells)
}

fn filename_map(
    memory: &impl Memory,
    layout: &Layout,
    interpreter: Address,
) -> Result<Option<Address>, ValueError> {
    let Some(names) = module(memory, layout, interpreter, "IPython.core.interactiveshell")? else {
        return Ok(None);
    };
    let Some(class) = find(memory, layout, names, "InteractiveShell")? else { return Ok(None) };
    let unexpected = ValueError::Unexpected { at: class, expected: "class" };
    let tp_dict = layout.table.optional::<Address>("type", "tp_dict").ok_or(unexpected)?;
    // The one shell is known to its class and to each that it inherits from.
    let Some(shell) = find(memory, layout, tp_dict.read(memory, class)?, "_instance")? else {
        return Ok(None);
    };
    let Some(compiler) = attribute(memory, layout, shell, "compile")? else { return Ok(None) };
    attribute(memory, layout, compiler, "_filename_map")
}
