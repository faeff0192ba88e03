//! The stacks as a tree: who called what, and for how long.

use std::collections::HashMap;

use super::rows::index_of;
use super::sums::by_stack;
use super::{Choice, State};

/// The node that everything is below.
pub const ROOT: usize = 0;

/// A function, or line, as it was called by the one above it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FlameNode {
    /// The function, or line, by its index.
    pub index: usize,
    /// Who called it.
    pub parent: usize,
    /// What it called, the most first.
    pub children: Vec<usize>,
    /// Samples with it on the stack.
    pub total: u64,
    /// Samples in itself.
    pub own: u64,
}

/// The tree of the samples in the window.
#[derive(Clone, Debug, Default)]
pub struct Flame {
    /// The nodes; the first is [`ROOT`].
    pub nodes: Vec<FlameNode>,
}

impl Flame {
    /// The tree of what is chosen.
    pub fn new(state: &State, choice: &Choice) -> Flame {
        let stacks = by_stack(state, choice).stacks;
        let mut nodes = vec![FlameNode::default()];
        let mut known: HashMap<(usize, usize), usize> = HashMap::new();
        let mut path = Vec::new();
        for (stack, weight, _) in stacks.into_iter().filter(|(_, weight, _)| *weight > 0) {
            path.clear();
            path.extend(state.leaf_first(stack).map(|line| index_of(state, choice.by_line, line)));
            let mut at = ROOT;
            nodes[ROOT].total += weight;
            for index in path.iter().rev() {
                at = *known.entry((at, *index)).or_insert_with(|| {
                    nodes.push(FlameNode { index: *index, parent: at, ..FlameNode::default() });
                    nodes.len() - 1
                });
                nodes[at].total += weight;
            }
            nodes[at].own += weight;
        }
        for child in 1..nodes.len() {
            let parent = nodes[child].parent;
            nodes[parent].children.push(child);
        }
        for node in 0..nodes.len() {
            let mut children = std::mem::take(&mut nodes[node].children);
            children.sort_by_key(|child| (std::cmp::Reverse(nodes[*child].total), nodes[*child].index));
            nodes[node].children = children;
        }
        Flame { nodes }
    }

    /// The node that a path of functions leads to, or as far as there are any.
    pub fn find(&self, path: &[usize]) -> usize {
        let mut at = ROOT;
        for index in path {
            match self.nodes[at].children.iter().find(|child| self.nodes[**child].index == *index) {
                Some(child) => at = *child,
                None => break,
            }
        }
        at
    }

    /// The functions on the way to a node.
    pub fn path(&self, node: usize) -> Vec<usize> {
        let mut path = Vec::new();
        let mut at = node;
        while at != ROOT {
            path.push(self.nodes[at].index);
            at = self.nodes[at].parent;
        }
        path.reverse();
        path
    }
}
