//! Strings, integers, dicts, attributes, types' names, and any value as text: in any memory, by the layout of any
//! version.

use std::cell::OnceCell;

use arbitrary::{Arbitrary, Unstructured};
use rspy_cpython::layout::{Layout, known_versions};
use rspy_cpython::text::{MAX_TEXT, string, type_name};
use rspy_cpython::values::{Value, ValueReader, attribute, integer, items};
use rspy_cpython::{Abi, Version};
use rspy_process::Address;

use super::memory::{Limits, Synthetic};

/// A dict can hold as many keys as there is room for, and each key is a string that is compared.
const LIMITS: Limits = Limits { reads: 1 << 16, bytes: 256 << 20 };
/// Where the made-up memory begins.
const BASE: u64 = 0x10_0000;

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    layout: u8,
    /// Where what is read begins, in words.
    start: u8,
    /// How long the text of a value may be.
    limit: u8,
    /// Pointers between places in memory, in words: chance alone would never make one.
    pointers: Vec<(u8, u8)>,
    bytes: &'a [u8],
}

/// Reads whatever lies in memory as everything it could be.
pub fn run(data: &[u8]) {
    thread_local!(static LAYOUTS: OnceCell<Vec<Layout>> = const { OnceCell::new() });
    let Ok(input) = Input::arbitrary_take_rest(Unstructured::new(data)) else { return };
    let mut bytes = input.bytes.to_vec();
    for (at, to) in &input.pointers {
        let at = usize::from(*at) * 8;
        if let Some(word) = bytes.get_mut(at..at + 8) {
            word.copy_from_slice(&(BASE + u64::from(*to) * 8).to_le_bytes());
        }
    }
    let memory = Synthetic::new(vec![(BASE, bytes)], LIMITS);
    LAYOUTS.with(|layouts| {
        let layouts = layouts.get_or_init(layouts_of_all);
        let layout = &layouts[usize::from(input.layout) % layouts.len()];
        let at = Address(BASE + u64::from(input.start) * 8);
        read(&memory, layout, at);
        value(&memory, layout, at, input.limit.into());
    });
}

/// The layouts of all versions and ABIs that there are tables for.
pub(super) fn layouts_of_all() -> Vec<Layout> {
    let mut layouts = Vec::new();
    for name in known_versions().split(", ") {
        let version = Version::from_text(&format!("{name}.0 ")).expect("a table is named after its version");
        for (free_threaded, debug) in [(false, false), (true, false), (false, true)] {
            layouts.extend(Layout::of(version, Abi { free_threaded, debug }));
        }
    }
    layouts
}

fn read(memory: &Synthetic, layout: &Layout, at: Address) {
    if let Ok(text) = string(memory, layout, at) {
        assert!(text.chars().count() <= MAX_TEXT + 1, "a text is cut");
    }
    if let Ok(name) = type_name(memory, layout, at) {
        assert!(name.len() <= 128 && !name.contains(&0));
    }
    let _ = integer(memory, layout, at);
    if let Ok(items) = items(memory, layout, at) {
        assert!(items.iter().all(|item| !item.key.is_null() && !item.value.is_null()));
        for item in items {
            let _ = string(memory, layout, item.key);
        }
    }
    let _ = attribute(memory, layout, at, "_name");
}

/// Objects can hold each other many times over; what is shown of them is as long as it may be, not longer.
fn value(memory: &Synthetic, layout: &Layout, at: Address, limit: usize) {
    let value = ValueReader::new(memory, layout, limit).value(at);
    let len = value.to_string().len();
    let most = match value {
        // The names of its type and its own are not cut to the limit, only to their own.
        Value::Object { .. } => 4 * MAX_TEXT + 1000,
        // One byte can become ten: `\U0010ffff`. A number is shown whole.
        _ => 10 * limit + 100,
    };
    assert!(len <= most, "{len} bytes where {limit} were allowed: {value}");
    assert!(depth(&value) <= limit, "containers of which nothing is shown");
}

fn depth(value: &Value) -> usize {
    match value {
        Value::Sequence { items, .. } => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Dict { items, .. } => {
            1 + items.iter().map(|(key, value)| depth(key).max(depth(value))).max().unwrap_or(0)
        }
        _ => 0,
    }
}
