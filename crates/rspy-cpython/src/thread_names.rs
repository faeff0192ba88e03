//! Names of threads, as `threading.Thread.name` has them.
//!
//! `sys.modules["threading"]._active` maps thread ids to `Thread` objects. A
//! program that never imports `threading` has no names; nor has a thread that
//! was started without it.

use std::collections::HashMap;

use rspy_process::{Address, Memory};

use crate::layout::Layout;
use crate::modules::{find, module};
use crate::text::{ValueError, string};
use crate::values::{attribute, integer, items};

/// Names by thread id (`threading.get_ident()`) in the interpreter at `interpreter`.
pub(crate) fn thread_names(
    memory: &impl Memory,
    layout: &Layout,
    interpreter: Address,
) -> Result<HashMap<u64, String>, ValueError> {
    let Some(threading) = module(memory, layout, interpreter, "threading")? else {
        return Ok(HashMap::new());
    };
    let Some(active) = find(memory, layout, threading, "_active")? else { return Ok(HashMap::new()) };
    // 2.7 mangles the name of the attribute.
    let attribute_name = match layout.text {
        crate::layout::Text::Bytes => "_Thread__name",
        crate::layout::Text::Unicode(_) => "_name",
    };
    let mut names = HashMap::new();
    for item in items(memory, layout, active)? {
        // What changes while it is read costs only itself.
        let name = attribute(memory, layout, item.value, attribute_name);
        if let (Ok(id), Ok(Some(name))) = (integer(memory, layout, item.key), name)
            && let Ok(name) = string(memory, layout, name)
        {
            names.insert(id, name);
        }
    }
    Ok(names)
}
