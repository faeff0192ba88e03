//! Stacks as a prefix tree of places in code: what a sample refers to.
//!
//! Frames that are not shown (the interpreter's own, and those that are being set up) have
//! no node: their key leads to the caller's.

use rspy_process::{Address, Memory};
use rustc_hash::FxHashMap;

use crate::code::{CodeId, CodeInfo};
use crate::frames::{FrameKind, Position, RawFrame};
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
    /// A generator at its first instructions is shown, a function there is just being set up.
    is_generator: bool,
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
        let is_generator = frame.kind == FrameKind::Generator;
        let key = Key { parent, code: code.0, place: place(frame.position), class: 0, is_generator };
        match self.known.get(&key) {
            // It may have been met where that was no reason not to believe it.
            Some(node) if strict && self.is_outside(*node, parent) => Err(Unsound),
            Some(node) => Ok(*node),
            None => self.add(memory, layout, key, frame, code.1, strict),
        }
    }

    /// Whether `node`, called from `parent`, points outside its own code.
    fn is_outside(&self, node: NodeId, parent: NodeId) -> bool {
        node != parent && self.get(node).is_some_and(|node| node.offset.is_none())
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
        let place = offset.map_or(u64::MAX, |offset| offset as u64);
        let key = Key { parent, code, place, class: number, is_generator: false };
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

#[cfg(test)]
mod tests {
    use rspy_process::ReadError;

    use super::*;
    use crate::layout::Bytecode;
    use crate::{Abi, Version};

    /// Nothing has to be read to know where a frame is.
    struct Unmapped;

    impl Memory for Unmapped {
        fn read(&self, at: Address, into: &mut [u8]) -> Result<(), ReadError> {
            Err(ReadError::Fault { at, len: into.len() })
        }
    }

    const CODE: Address = Address(0x10_0000);

    struct Stacks {
        nodes: Nodes,
        layout: Layout,
        code: CodeInfo,
    }

    impl Stacks {
        fn new(minor: u8, code: CodeInfo) -> Stacks {
            let version = Version { major: 3, minor, patch: 0 };
            let layout = Layout::of(version, Abi::default()).expect("a table");
            Stacks { nodes: Nodes::default(), layout, code }
        }

        /// The stack of a frame of code number `code`, at byte `offset`, if it is sound.
        fn intern(&mut self, parent: NodeId, code: u32, offset: i64, strict: bool) -> Option<NodeId> {
            self.intern_kind(FrameKind::Function, parent, code, offset, strict)
        }

        fn intern_kind(
            &mut self,
            kind: FrameKind,
            parent: NodeId,
            code: u32,
            offset: i64,
            strict: bool,
        ) -> Option<NodeId> {
            let position = match self.layout.code.bytecode {
                Bytecode::Bytes(_) => Position::Offset(offset),
                Bytecode::Inline { start, .. } => {
                    let instr = Address(CODE.0.wrapping_add(u64::from(start)).wrapping_add_signed(offset));
                    Position::Pointer { instr, tlbc_index: 0 }
                }
            };
            let frame = RawFrame { address: CODE, code: CODE, position, kind, is_entry: true };
            let code = (CodeId::made(code), &self.code);
            self.nodes.intern(&Unmapped, &self.layout, parent, &frame, code, strict).ok()
        }
    }

    fn function() -> CodeInfo {
        CodeInfo::made("f", "f.py", 100, 0)
    }

    #[test]
    fn one_stack_is_one_node() {
        for minor in [8, 12] {
            let mut stacks = Stacks::new(minor, function());
            let caller = stacks.intern(NodeId::ROOT, 0, 10, true).unwrap();
            let stack = stacks.intern(caller, 1, 20, true).unwrap();
            assert_eq!(stacks.intern(caller, 1, 20, true), Some(stack));
            assert_eq!(stacks.nodes.len(), 2);
            // Another place, other code, another caller.
            assert_ne!(stacks.intern(caller, 1, 22, true), Some(stack));
            assert_ne!(stacks.intern(caller, 2, 20, true), Some(stack));
            assert_ne!(stacks.intern(NodeId::ROOT, 1, 20, true), Some(stack));
            assert_eq!(stacks.nodes.len(), 5);
            let node = stacks.nodes.get(stack).unwrap();
            assert_eq!((node.parent, node.code, node.offset), (caller, CodeId::made(1), Some(20)));
        }
    }

    #[test]
    fn the_empty_stack_is_no_node() {
        let mut stacks = Stacks::new(12, function());
        assert!(stacks.nodes.get(NodeId::ROOT).is_none());
        assert_eq!(stacks.intern(NodeId::ROOT, 0, 0, true).unwrap().index(), 1);
        assert!(stacks.nodes.get(NodeId::ROOT).is_none());
    }

    #[test]
    fn a_frame_outside_its_code_is_none_or_has_no_place() {
        let mut stacks = Stacks::new(12, function());
        assert_eq!(stacks.intern(NodeId::ROOT, 0, 100, true), None);
        assert_eq!(stacks.nodes.len(), 0);
        let stack = stacks.intern(NodeId::ROOT, 0, 100, false).unwrap();
        assert_eq!(stacks.nodes.get(stack).unwrap().offset, None);
    }

    #[test]
    fn frames_that_are_not_shown_lead_to_their_callers() {
        // One that is being set up.
        let mut stacks = Stacks::new(12, CodeInfo::made("f", "f.py", 100, 4));
        assert_eq!(stacks.intern(NodeId::ROOT, 0, 2, true), Some(NodeId::ROOT));
        let caller = stacks.intern(NodeId::ROOT, 0, 4, true).unwrap();
        assert_ne!(caller, NodeId::ROOT);
        assert_eq!(stacks.intern(caller, 1, 2, true), Some(caller));
        assert_eq!(stacks.intern(caller, 1, 2, true), Some(caller), "as the first time");
        // A generator there is none, which one of the same code must not be mistaken for.
        let generator = stacks.intern_kind(FrameKind::Generator, caller, 1, 2, true).unwrap();
        assert_ne!(generator, caller);
        assert_eq!(stacks.intern(caller, 1, 2, true), Some(caller));
        // The interpreter's own.
        stacks.code = CodeInfo::made("__init__", "__init__", 100, 0);
        assert_eq!(stacks.intern(caller, 2, 50, true), Some(caller));
        assert_eq!(stacks.nodes.len(), 2);
    }

    #[test]
    fn classes_tell_stacks_apart() {
        let mut nodes = Nodes::default();
        let mut intern = |offset, class| nodes.intern_placed(NodeId::ROOT, CodeId::made(0), offset, class);
        let a = intern(Some(2), Some("A"));
        let others = [intern(Some(2), Some("B")), intern(Some(2), None), intern(None, Some("A"))];
        assert!(!others.contains(&a));
        assert_eq!(intern(Some(2), Some("A")), a);
        assert_eq!(intern(None, Some("A")), others[2]);
        assert_eq!(nodes.get(a).unwrap().class.as_deref(), Some("A"));
        assert_eq!(nodes.len(), 4);
    }

    #[test]
    fn what_was_met_since_is_told_in_order() {
        let mut stacks = Stacks::new(8, function());
        let first = stacks.intern(NodeId::ROOT, 0, 0, true).unwrap();
        stacks.intern(first, 0, 2, true).unwrap();
        let parents: Vec<NodeId> = stacks.nodes.since(1).iter().map(|node| node.parent).collect();
        assert_eq!(parents, [first]);
        assert!(stacks.nodes.since(2).is_empty());
        assert!(stacks.nodes.since(3).is_empty());
    }
}
