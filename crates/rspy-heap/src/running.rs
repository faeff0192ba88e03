//! What an interpreter and its threads hold at the moment.

use std::collections::HashMap;

use rspy_cpython::Attached;
use rspy_cpython::code::CodeCache;
use rspy_cpython::frames::FrameChain;
use rspy_cpython::locals::LocalsReader;
use rspy_cpython::stack::{Frame, resolve};
use rspy_process::Memory;

use crate::computing::Computing;

/// Members of `PyInterpreterState` that hold what is not in a module. Nothing else of it is looked at: what lies there may be
/// left over.
const STATE: [&str; 3] = ["imports.modules", "sysdict", "builtins"];
/// Bytes of text of values, which nobody asks for.
const NO_TEXT: usize = 16;

/// A frame that runs, and what it has in variables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Running {
    /// Where the frame itself is.
    pub at: u64,
    /// Name of its thread, or what `threading.get_ident()` gives.
    pub thread: String,
    /// Its function.
    pub function: String,
    /// Its file.
    pub file: String,
    /// Its line, if known.
    pub line: Option<u32>,
    /// Its variables, and where what they are bound to is.
    pub locals: Vec<(String, u64)>,
    /// Where the values are that it computes with; `None` if it does not say.
    pub values: Option<Vec<u64>>,
}

/// The frames of all threads.
pub(crate) fn frames(attached: &Attached, memory: &impl Memory) -> Vec<Running> {
    let layout = &attached.layout;
    let names: HashMap<u64, String> = attached.thread_names(memory);
    let mut locals = LocalsReader::new(memory, layout, NO_TEXT);
    let computing = Computing::new(layout);
    let (mut codes, mut chain) = (CodeCache::default(), FrameChain::default());
    let mut all = Vec::new();
    for thread in attached.threads(memory).unwrap_or_default() {
        chain.read(memory, layout, &thread);
        let mut frames = resolve(memory, layout, &mut codes, &chain.frames);
        locals.read(&mut frames);
        let name = names.get(&thread.thread_id).cloned().unwrap_or_else(|| thread.thread_id.to_string());
        for frame in &frames {
            let Frame::Python { locals: Some(variables), raw, .. } = frame else { continue };
            // What another thread than the one that may run bytecode has saved stays so.
            let is_innermost = chain.frames.first().is_some_and(|first| first.address == raw.address);
            let may_run = is_innermost && thread.attached != Some(false);
            let bound = variables.iter().map(|variable| (variable.name.clone(), variable.address.0));
            all.push(Running {
                at: raw.address.0,
                thread: name.clone(),
                function: frame.name().into_owned(),
                file: frame.filename().unwrap_or_default().to_owned(),
                line: frame.location().line,
                locals: bound.collect(),
                values: computing.and_then(|computing| computing.values(memory, raw, may_run)),
            });
        }
    }
    all
}

/// What the state of the interpreters points to by itself: by the member, and where it is.
pub(crate) fn held_by_interpreters(attached: &Attached, memory: &impl Memory) -> Vec<(&'static str, u64)> {
    let table = &attached.layout.table;
    let mut held = Vec::new();
    for interpreter in attached.interpreters(memory).unwrap_or_default() {
        for name in STATE {
            let member = table.number("interpreter", name).map(|offset| interpreter.offset(offset));
            let at = member.and_then(|member| memory.address(member).ok());
            held.extend(at.map(|at| (name, at.0)));
        }
    }
    held
}
