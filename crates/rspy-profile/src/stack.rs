//! Stacks as a prefix tree: a stack is its caller's stack and one more frame, so that stacks with
//! the same outer frames share them, and two stacks are equal exactly when their ids are.

use std::hash::BuildHasher;
use std::iter;

use hashbrown::HashTable;
use rustc_hash::FxBuildHasher;

use crate::frame::FrameId;
use crate::handle::handle;

handle! {
    /// A stack of a profile. Equal stacks have equal ids.
    StackId
}

impl StackId {
    /// The stack without frames, from which all others grow.
    pub const EMPTY: StackId = StackId(0);
}

/// The stacks of a profile.
#[derive(Clone, Debug, Default)]
pub struct Stacks {
    /// Stack `n` is `nodes[n - 1]`: its caller's stack, and its innermost frame.
    nodes: Vec<(StackId, FrameId)>,
    /// The number of frames of each node.
    depths: Vec<u32>,
    /// The first so many nodes, to be found by what they are: as many as were there when one was looked for.
    index: HashTable<u32>,
}

impl Stacks {
    /// The stack that consists of `frame` called from `prefix`.
    pub fn intern(&mut self, prefix: StackId, frame: FrameId) -> StackId {
        let nodes = &self.nodes;
        let hash = |index: &u32| FxBuildHasher.hash_one(nodes[*index as usize]);
        for index in self.index.len()..nodes.len() {
            let index = index as u32;
            self.index.insert_unique(hash(&index), index, hash);
        }
        let wanted = (prefix, frame);
        let known = self.index.find(FxBuildHasher.hash_one(wanted), |index| nodes[*index as usize] == wanted);
        match known {
            Some(index) => StackId::from_index(*index as usize + 1),
            None => self.append(prefix, frame),
        }
    }

    /// The same, where it is known that there is no such stack yet: nothing is looked for. A table that is read as a whole
    /// needs no index until something is added to it.
    pub(crate) fn append(&mut self, prefix: StackId, frame: FrameId) -> StackId {
        self.depths.push(self.depth(prefix) + 1);
        self.nodes.push((prefix, frame));
        StackId::from_index(self.nodes.len())
    }

    /// How many distinct stacks there are, the empty one not counted.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether there is no stack but the empty one.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Every stack but the empty one with its caller's and its innermost frame, callers before what they call.
    pub fn iter(&self) -> impl Iterator<Item = (StackId, StackId, FrameId)> {
        self.nodes
            .iter()
            .enumerate()
            .map(|(index, &(caller, frame))| (StackId::from_index(index + 1), caller, frame))
    }

    /// The caller's stack and the innermost frame; `None` for the empty stack.
    pub fn split(&self, stack: StackId) -> Option<(StackId, FrameId)> {
        Some(self.nodes[stack.index().checked_sub(1)?])
    }

    /// The number of frames.
    pub fn depth(&self, stack: StackId) -> u32 {
        stack.index().checked_sub(1).map_or(0, |index| self.depths[index])
    }

    /// The frames from the innermost to the outermost.
    pub fn leaf_first(&self, stack: StackId) -> impl Iterator<Item = FrameId> {
        let mut rest = stack;
        iter::from_fn(move || {
            let (prefix, frame) = self.split(rest)?;
            rest = prefix;
            Some(frame)
        })
    }

    /// The frames from the outermost to the innermost, collected into `buffer`, whose memory is
    /// reused from call to call.
    pub fn root_first<'buffer>(
        &self,
        stack: StackId,
        buffer: &'buffer mut Vec<FrameId>,
    ) -> &'buffer [FrameId] {
        buffer.clear();
        buffer.extend(self.leaf_first(stack));
        buffer.reverse();
        buffer
    }
}
