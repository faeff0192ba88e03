//! Where an interpreter keeps what leads to its allocator.

use std::ops::Range;

use rspy_cpython::Attached;
use rspy_process::maps::{Mapping, loaded_files};
use rspy_process::{Address, Memory};

/// How much of the state of an interpreter's allocator is looked at, in bytes.
const STATE: u64 = 8192;

/// Where pointers to arenas may be: the interpreter's own variables, and what interpreters have of their own.
pub(crate) fn roots(memory: &impl Memory, attached: &Attached, maps: &[Mapping]) -> Vec<Range<u64>> {
    let of_binary = loaded_files(maps).into_iter().filter(|file| file.path == attached.binary);
    let variables = of_binary.flat_map(|file| file.mappings).filter(|mapping| mapping.writable);
    let mut roots: Vec<Range<u64>> = variables.map(|mapping| mapping.start.0..mapping.end.0).collect();
    let table = &attached.layout.table;
    let size = table.number("interpreter", "size").unwrap_or(STATE);
    for interpreter in attached.interpreters(memory).unwrap_or_default() {
        roots.push(interpreter.0..interpreter.0.saturating_add(size));
        let state = table.number("interpreter", "obmalloc").map(|offset| interpreter.offset(offset));
        if let Some(Ok(Address(state))) = state.map(|state| memory.address(state)) {
            roots.push(state..state.saturating_add(STATE));
        }
    }
    roots
}
