//! Stacks as a prefix tree of places in code: what a sample refers to.
//!
//! Frames that are not shown (the interpreter's own, and those that are being set up) have
//! no node: their key leads to the caller's.

use rspy_process::{Address, Memory};
use rustc_hash::FxHashMap;

use crate::code::{CodeId, CodeInfo};
use crate::frames::{Position, RawFrame};
use crate::layout::Layout;
use crate::stack;

/// A stack that was met: its innermost frame, and by way of its parent the others.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(u32);

impl NodeId {
    /// The stack without frames.
    pub const ROOT: NodeId = NodeId(0);

    /// Its place among all that were met, from 1; 0 is the stack without frames.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// One frame of a stack.
#[derive(Clone, Debug)]
pub struct Node {
    /// The stack of its caller.
    pub parent: NodeId,
    /// What runs.
    pub code: CodeId,
    /// Where: byte offset in the bytecode, negative before the first instruction; `None`
    /// where the frame points outside its own code.
    pub offset: Option<i64>,
    /// The class it is a method of, where that was asked for and code does not know it.
    pub class: Option<Box<str>>,
}

/// What one stack is told from others by. `place` is the position as the frame has it, and
/// `class` tells apart frames that differ in their class alone.
#[derive(Copy, Clone, PartialEq, Eq, Hash)]
struct Key {
    parent: NodeId,
    code: CodeId,
    place: u64,
    class: u32,
}

/// The stacks of one target.
#[derive(Default)]
pub(super) struct Nodes {
    known: FxHashMap<Key, NodeId>,
    list: Vec<Node>,
    classes: FxHashMap<Box<str>, u32>,
}

/// A frame that cannot be where it says it is.
pub(super) struct Unsound;

impl Nodes {
    /// The stack of `frame`, which runs `code`, called from `parent`. With `strict` a frame
    /// that points outside its own code is none.
    #[inline]
    pub fn intern(
        &mut self,
        memory: &impl Memory,
        layout: &Layout,
        parent: NodeId,
        frame: &RawFrame,
        code: (CodeId, &CodeInfo),
        strict: bool,
    ) -> Result<NodeId, Unsound> {
        let key = Key { parent, code: code.0, place: place(frame.position), class: 0 };
        match self.known.get(&key) {
            Some(node) => Ok(*node),
            None => self.add(memory, layout, key, frame, code.1, strict),
        }
    }

    #[cold]
    fn add(
        &mut self,
        memory: &impl Memory,
        layout: &Layout,
        key: Key,
        frame: &RawFrame,
        code: &CodeInfo,
        strict: bool,
    ) -> Result<NodeId, Unsound> {
        let offset = stack::offset(memory, layout, frame, code);
        if strict && offset.is_none() {
            return Err(Unsound);
        }
        if code.is_interpreters_own() || stack::is_incomplete(frame, code, offset) {
            self.known.insert(key, key.parent);
            return Ok(key.parent);
        }
        Ok(self.push(key, offset, None))
    }

    /// The stack of a frame whose place is known already, with the class it is a method of.
    pub fn intern_placed(
        &mut self,
        parent: NodeId,
        code: CodeId,
        offset: Option<i64>,
        class: Option<&str>,
    ) -> NodeId {
        let number = match class {
            None => 0,
            Some(class) => match self.classes.get(class) {
                Some(number) => *number,
                None => {
                    let number = self.classes.len() as u32 + 1;
                    self.classes.insert(class.into(), number);
                    number
                }
            },
        };
        // No pointer into bytecode is that small, and no offset as large as a pointer.
        let key = Key { parent, code, place: offset.map_or(u64::MAX, |offset| offset as u64), class: number };
        match self.known.get(&key) {
            Some(node) => *node,
            None => self.push(key, offset, class.map(Into::into)),
        }
    }

    fn push(&mut self, key: Key, offset: Option<i64>, class: Option<Box<str>>) -> NodeId {
        let Ok(index) = u32::try_from(self.list.len() + 1) else { return key.parent };
        self.list.push(Node { parent: key.parent, code: key.code, offset, class });
        self.known.insert(key, NodeId(index));
        NodeId(index)
    }

    pub fn get(&self, node: NodeId) -> Option<&Node> {
        self.list.get(node.index().checked_sub(1)?)
    }

    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// The nodes behind the first `count`.
    pub fn since(&self, count: usize) -> &[Node] {
        self.list.get(count..).unwrap_or_default()
    }
}

fn place(position: Position) -> u64 {
    match position {
        Position::Offset(offset) => offset as u64,
        Position::Pointer { instr: Address(instr), .. } => instr,
    }
}
