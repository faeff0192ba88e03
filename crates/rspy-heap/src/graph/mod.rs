//! Graphs of objects: who refers to whom, as numbers.
//!
//! Objects are numbered from 0 in the order in which they were found. What a graph is built from was read in foreign
//! memory, so nothing here trusts it: references and roots that lead nowhere are left out, and nothing recurses, since
//! a linked list may be as long as the heap is large.

mod cycles;
mod dominators;
mod paths;

pub use cycles::{Components, Garbage, garbage};
pub use dominators::{Dominator, Dominators};
pub use paths::Paths;

/// More nodes than this are left out: one number stands for "none", and dominators need one for what is above all.
const MOST_NODES: usize = u32::MAX as usize - 1;

/// Who refers to whom, in compressed sparse rows: 4 bytes a node and 4 bytes a reference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Graph {
    /// Where the targets of each node start, and after the last where they end.
    offsets: Vec<u32>,
    targets: Vec<u32>,
    dropped: u64,
}

impl Graph {
    /// How many nodes there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.offsets.len() - 1
    }

    /// Whether there are no nodes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many references there are, those counted that lead to the same node twice.
    #[must_use]
    pub fn references(&self) -> usize {
        self.targets.len()
    }

    /// How many references were left out: they lead to no node, or are more than [`u32::MAX`].
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// The nodes that `node` refers to, in the order given; none if there is no such node.
    #[must_use]
    pub fn successors(&self, node: u32) -> &[u32] {
        let node = node as usize;
        match (self.offsets.get(node), self.offsets.get(node + 1)) {
            (Some(&start), Some(&end)) => &self.targets[start as usize..end as usize],
            _ => &[],
        }
    }

    /// The same graph with each reference turned round: the successors of a node are those that refer to it, lowest
    /// first. It takes as much memory as the graph itself, and nothing more meanwhile.
    #[must_use]
    pub fn reversed(&self) -> Graph {
        // A counting sort in place: `offsets` holds the ends first, and moves down to the starts as the targets are
        // put in, the last one first.
        let mut offsets = vec![0; self.offsets.len()];
        for &target in &self.targets {
            offsets[target as usize] += 1;
        }
        let mut end = 0;
        for offset in &mut offsets {
            end += *offset;
            *offset = end;
        }
        let mut targets = vec![0; self.targets.len()];
        for node in self.nodes().rev() {
            for &target in self.successors(node) {
                let offset = &mut offsets[target as usize];
                *offset -= 1;
                targets[*offset as usize] = node;
            }
        }
        Graph { offsets, targets, dropped: self.dropped }
    }

    /// The numbers of all nodes.
    fn nodes(&self) -> std::ops::Range<u32> {
        0..self.len() as u32
    }

    /// Whether there is a node of that number.
    fn contains(&self, node: u32) -> bool {
        (node as usize) < self.len()
    }

    /// Where the targets of a node lie, to go through them bit by bit.
    fn row(&self, node: u32) -> std::ops::Range<u32> {
        self.offsets[node as usize]..self.offsets[node as usize + 1]
    }

    /// The next target of a row, if there is one.
    fn next(&self, row: &mut std::ops::Range<u32>) -> Option<u32> {
        row.next().map(|at| self.targets[at as usize])
    }
}

/// Builds a [`Graph`] from its nodes in the order of their numbers, each with its targets.
///
/// The graph is the builder's own memory: nothing is copied at the end.
#[derive(Clone, Debug, Default)]
pub struct GraphBuilder {
    /// Where the targets of each node start.
    offsets: Vec<u32>,
    targets: Vec<u32>,
    dropped: u64,
}

impl GraphBuilder {
    /// A builder that has room for so many nodes and references.
    #[must_use]
    pub fn with_capacity(nodes: usize, references: usize) -> Self {
        GraphBuilder {
            offsets: Vec::with_capacity(nodes + 1),
            targets: Vec::with_capacity(references),
            dropped: 0,
        }
    }

    /// Begins the next node; the first one is number 0.
    pub fn begin(&mut self) {
        self.offsets.push(self.targets.len() as u32);
    }

    /// Adds to what the last node refers to. Targets may come before their nodes; a target that is no node in the end
    /// is left out. Before the first node nothing is added.
    pub fn extend(&mut self, targets: impl IntoIterator<Item = u32>) {
        for target in targets {
            if self.offsets.is_empty() || self.targets.len() >= u32::MAX as usize {
                self.dropped += 1;
            } else {
                self.targets.push(target);
            }
        }
    }

    /// The graph of all that was given.
    #[must_use]
    pub fn finish(self) -> Graph {
        let GraphBuilder { mut offsets, mut targets, mut dropped } = self;
        if offsets.len() > MOST_NODES {
            let end = offsets[MOST_NODES] as usize;
            dropped += (targets.len() - end) as u64;
            targets.truncate(end);
            offsets.truncate(MOST_NODES);
        }
        let nodes = offsets.len() as u32;
        offsets.push(targets.len() as u32);
        if targets.iter().any(|&target| target >= nodes) {
            dropped += drop_beyond(nodes, &mut offsets, &mut targets);
        }
        Graph { offsets, targets, dropped }
    }
}

/// Leaves out the targets that are no node, moving the others together; how many there were.
fn drop_beyond(nodes: u32, offsets: &mut [u32], targets: &mut Vec<u32>) -> u64 {
    let before = targets.len();
    let mut kept = 0;
    let mut start = 0;
    for node in 0..nodes as usize {
        let end = offsets[node + 1] as usize;
        offsets[node] = kept as u32;
        for at in start..end {
            if targets[at] < nodes {
                targets[kept] = targets[at];
                kept += 1;
            }
        }
        start = end;
    }
    offsets[nodes as usize] = kept as u32;
    targets.truncate(kept);
    (before - kept) as u64
}
