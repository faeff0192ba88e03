//! Source that only the interpreter has: `linecache.cache`, where IPython keeps the cells of a notebook, for tracebacks.

use rspy_process::{Address, Memory};

use crate::layout::Layout;
use crate::modules::{find, module};
use crate::text::{ValueError, string};
use crate::values::ValueReader;

/// The most lines that are read of a file.
const MAX_LINES: usize = 1 << 16;

/// The lines of `file` as the interpreter at `interpreter` has them, without their ends. None without an entry, or if it is
/// one that is only made when it is asked for.
pub(crate) fn cached_lines(
    memory: &impl Memory,
    layout: &Layout,
    interpreter: Address,
    file: &str,
) -> Result<Option<Vec<String>>, ValueError> {
    let Some(names) = module(memory, layout, interpreter, "linecache")? else { return Ok(None) };
    let Some(cache) = find(memory, layout, names, "cache")? else { return Ok(None) };
    let Some(entry) = find(memory, layout, cache, file)? else { return Ok(None) };
    // Size, time of the last change, lines, name.
    let reader = &mut ValueReader::new(memory, layout, 0);
    let [_, _, lines, _] = reader.tuple(entry, 4)?[..] else { return Ok(None) };
    let mut text = Vec::new();
    for line in reader.list(lines, MAX_LINES)? {
        let mut line = string(memory, layout, line)?;
        line.truncate(line.trim_end_matches(['\r', '\n']).len());
        text.push(line);
    }
    Ok(Some(text))
}
