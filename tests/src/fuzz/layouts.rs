//! Layout tables, and the debug offsets that targets publish of themselves.

use arbitrary::{Arbitrary, Unstructured};
use rspy_cpython::code::CodeCache;
use rspy_cpython::frames::FrameChain;
use rspy_cpython::interpreter::{gil_state, interpreters, threads_of};
use rspy_cpython::layout::{Layout, LayoutError, Table};
use rspy_cpython::{Abi, Version, stack, text, values};
use rspy_process::Address;

use crate::fuzz::memory::{Limits, Synthetic};

const LIMITS: Limits = Limits { reads: 1 << 20, bytes: 1 << 30 };
/// Where the made-up memory begins.
const BASE: u64 = 0x1_0000;

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    is_table: bool,
    minor: u8,
    patch: u8,
    abi: u8,
    bytes: &'a [u8],
}

/// Makes layouts of any table or any debug offsets, and follows in any memory those that are accepted.
pub fn run(data: &[u8]) {
    let Ok(input) = Input::arbitrary_take_rest(Unstructured::new(data)) else { return };
    let version = Version { major: 3, minor: input.minor, patch: input.patch };
    let abi = Abi { free_threaded: input.abi & 1 == 1, debug: input.abi & 2 == 2 };
    let memory = Synthetic::new(vec![(BASE, input.bytes.to_vec())], LIMITS);
    let layout = if input.is_table {
        let Ok(text) = std::str::from_utf8(input.bytes) else { return };
        match Table::parse(text, version, abi) {
            Ok(table) => Layout::from_table(table, version, abi),
            Err(error) => {
                assert!(matches!(error, LayoutError::Damaged(_)));
                return;
            }
        }
    } else {
        Layout::described(&memory, Address(BASE), version, abi)
    };
    if let Ok(layout) = layout {
        follow(&memory, &layout);
    }
}

/// Uses a layout in a memory that nothing is known of.
fn follow(memory: &Synthetic, layout: &Layout) {
    let base = Address(BASE);
    let head = layout.runtime.map_or(base, |runtime| runtime.interpreters_head.of(base));
    let found = interpreters(memory, layout, head).unwrap_or_default();
    let mut threads = Vec::new();
    for (index, interpreter) in found.iter().enumerate() {
        let _ = threads_of(memory, layout, *interpreter, index, &mut threads);
    }
    let _ = gil_state(memory, layout, Some(base), Some(base), &found);
    let mut chain = FrameChain::default();
    let mut codes = CodeCache::default();
    for thread in threads.iter().take(4) {
        chain.read(memory, layout, thread);
        for frame in stack::resolve(memory, layout, &mut codes, &chain.frames) {
            frame.location();
        }
    }
    let _ = codes.resolve(memory, layout, &[base]);
    let _ = text::string(memory, layout, base);
    let _ = text::type_name(memory, layout, base);
    let _ = values::integer(memory, layout, base);
    let _ = values::items(memory, layout, base);
    let _ = values::attribute(memory, layout, base, "_name");
}
