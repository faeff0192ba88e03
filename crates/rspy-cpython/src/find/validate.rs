//! Whether the chain from a root holds: the proof that a layout fits a target.

use rspy_process::{Address, Limited, Memory};

use crate::code::is_code;
use crate::frames::{ChainEnd, FrameChain, FrameKind};
use crate::interpreter::{interpreters, threads_of};
use crate::layout::Layout;
use crate::text::type_name;

/// How often a running target's frames are read before they count as wrong: a
/// chain that changes while it is read need not make sense.
const TRIES: usize = 50;
/// Most that is read to prove one layout, in bytes.
const MAX_READ: u64 = 1 << 30;

/// How a chain does not hold.
pub(super) enum Broken {
    /// It ends early, as in an interpreter that is starting or has shut down.
    NotReady,
    /// It leads to something else than it should.
    Wrong(&'static str),
}

/// Follows the chain: interpreters, thread states that point back to their
/// interpreter, `sys.modules`, the outermost frame of each thread and its code.
pub(super) fn chain(memory: &impl Memory, layout: &Layout, head: Address) -> Result<(), Broken> {
    let memory = &Limited::new(memory, MAX_READ);
    let found = interpreters(memory, layout, head)
        .map_err(|_| Broken::Wrong("the list of interpreters leads outside the memory"))?;
    let Some(main) = found.first() else { return Err(Broken::NotReady) };
    let modules = layout
        .interpreter
        .modules
        .read(memory, *main)
        .map_err(|_| Broken::Wrong("an interpreter lies outside the memory"))?;
    if modules.is_null() {
        return Err(Broken::NotReady);
    }
    if type_name(memory, layout, modules).is_ok_and(|name| name == b"dict") {
        threads(memory, layout, *main)
    } else {
        Err(Broken::Wrong("sys.modules is no dict"))
    }
}

fn threads(memory: &impl Memory, layout: &Layout, interpreter: Address) -> Result<(), Broken> {
    let mut last = Broken::NotReady;
    let mut chain = FrameChain::default();
    for _ in 0..TRIES {
        let mut threads = Vec::new();
        if threads_of(memory, layout, interpreter, 0, &mut threads).is_err() {
            last = Broken::Wrong("a thread state does not point back to its interpreter");
            continue;
        }
        if threads.is_empty() {
            return Err(Broken::NotReady);
        }
        // The main thread is the oldest, and its outermost frame changes least.
        let mut without_frames = true;
        for thread in threads.iter().rev() {
            let end = chain.read(memory, layout, thread);
            let outermost = chain.frames.iter().rev().find(|frame| frame.kind != FrameKind::Shim);
            let Some(frame) = outermost else { continue };
            without_frames = false;
            if end == ChainEnd::Root && is_code(memory, layout, frame.code) {
                return Ok(());
            }
        }
        if without_frames {
            // An embedded interpreter between calls: nothing contradicts.
            return Ok(());
        }
        last = Broken::Wrong("a frame does not lead to a code object");
    }
    Err(last)
}
