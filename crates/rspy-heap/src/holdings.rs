//! What holds how much: the tree of dominators, with objects of one type under one holder taken together.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use rustc_hash::FxHashMap;

use crate::graph::{Dominator, Dominators};
use crate::objects::Objects;
use crate::trails::Trails;

/// What is said of objects that no one holds alone.
const SHARED: &str = " (held by several)";
/// An object that holds this part of all stands for itself.
const ALONE: u64 = 100;
/// How deep the tree may be: of what is linked to a chain the rest is in the last.
const MAX_DEPTH: usize = 100;

/// An object, or several of one type that are held by the same, with what would be freed with them.
#[derive(Clone, Debug, Default, serde::Serialize)]
pub struct Holding {
    /// What it is: `module app`, `.cache dict`, `Session`.
    pub what: String,
    /// How many objects.
    pub count: u64,
    /// Where the first of them is; 0 for a frame.
    pub address: u64,
    /// What they take themselves, in bytes.
    pub own: u64,
    /// What they take with all that nothing else holds.
    pub retained: u64,
    /// How deep in the tree it is: 0 for what roots hold.
    pub depth: usize,
    /// Which one holds it, by its place; `None` for what only roots hold.
    pub within: Option<usize>,
}

/// What is not yet told of the tree.
struct Group {
    retained: u64,
    members: Vec<u32>,
    within: Option<usize>,
    depth: usize,
    by: Option<String>,
}

impl Ord for Group {
    fn cmp(&self, other: &Group) -> std::cmp::Ordering {
        self.key().cmp(&other.key())
    }
}

impl PartialOrd for Group {
    fn partial_cmp(&self, other: &Group) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Group {
    fn eq(&self, other: &Group) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Group {}

impl Group {
    /// By what they are sorted: those that hold the most first.
    fn key(&self) -> (u64, Reverse<Option<u32>>) {
        (self.retained, Reverse(self.members.first().copied()))
    }
}

/// Makes the tree of what holds the most.
pub struct Holdings<'h> {
    objects: &'h Objects,
    dominators: &'h Dominators,
    trails: &'h Trails<'h>,
    sizes: &'h [u64],
    retained: Vec<u64>,
    /// From how many bytes on an object stands for itself.
    alone: u64,
}

impl<'h> Holdings<'h> {
    /// By these dominators; `sizes` are those of nodes, in bytes.
    pub fn new(
        objects: &'h Objects,
        dominators: &'h Dominators,
        trails: &'h Trails<'h>,
        sizes: &'h [u64],
    ) -> Holdings<'h> {
        let retained = dominators.retained(sizes);
        let alone = sizes.iter().fold(0, |sum: u64, size| sum.saturating_add(*size)) / ALONE;
        Holdings { objects, dominators, trails, sizes, retained, alone }
    }

    /// The same, but an object stands for itself if it holds one of so many `parts` of all.
    pub fn of_parts(self, parts: u64) -> Holdings<'h> {
        Holdings { alone: (self.alone * ALONE / parts.max(1)).max(1), ..self }
    }

    /// The `most` that hold the most, each after what holds it.
    pub fn largest(&self, most: usize) -> Vec<Holding> {
        let mut told: Vec<Holding> = Vec::new();
        let mut left: BinaryHeap<Group> = self.held_by(None, &[Dominator::Root], None, 0).into();
        while let Some(group) = left.pop().filter(|_| told.len() < most) {
            let place = told.len();
            told.push(self.holding(&group));
            if group.depth < MAX_DEPTH {
                let holder = match group.members.as_slice() {
                    [one] => Some(*one),
                    _ => None,
                };
                let nodes: Vec<Dominator> = group.members.iter().map(|node| Dominator::Node(*node)).collect();
                left.extend(self.held_by(holder, &nodes, Some(place), group.depth + 1));
            }
        }
        told
    }

    fn holding(&self, group: &Group) -> Holding {
        let first = group.members.first().copied().unwrap_or(u32::MAX);
        let what = match &group.by {
            Some(by) => format!("{by} {}", self.trails.what(first, false)),
            None if group.members.len() == 1 => self.trails.what(first, group.depth == 0),
            None => self.objects.of_type(first).map_or_else(|| "frames".to_owned(), |of| of.name.clone()),
        };
        let is_shared = group.depth == 0 && !self.trails.is_root(first);
        let what = if is_shared { what + SHARED } else { what };
        Holding {
            what,
            count: group.members.len() as u64,
            address: self.objects.address(first).unwrap_or(0),
            own: self.sum(&group.members, self.sizes),
            retained: group.retained,
            depth: group.depth,
            within: group.within,
        }
    }

    fn sum(&self, nodes: &[u32], of: &[u64]) -> u64 {
        nodes
            .iter()
            .filter_map(|node| of.get(*node as usize))
            .fold(0, |sum, bytes| sum.saturating_add(*bytes))
    }

    /// What `nodes` hold, by type, but large ones by themselves. Of what one object has in its namespace the namespace is left
    /// out.
    fn held_by(
        &self,
        holder: Option<u32>,
        nodes: &[Dominator],
        within: Option<usize>,
        depth: usize,
    ) -> Vec<Group> {
        let namespace = holder.and_then(|holder| self.trails.namespace(holder));
        let mut alone: Vec<u32> = Vec::new();
        let mut by_type: FxHashMap<(u32, bool), Vec<u32>> = FxHashMap::default();
        let mut sort = |node: u32| {
            let is_large = self.retained.get(node as usize).is_some_and(|bytes| *bytes >= self.alone);
            match (holder.is_some() || depth == 0) && is_large {
                true => alone.push(node),
                false => {
                    let of = self.objects.types().get(node as usize).copied().unwrap_or(u32::MAX);
                    by_type.entry((of, depth == 0 && self.trails.is_root(node))).or_default().push(node);
                }
            }
        };
        for node in nodes {
            for child in self.dominators.children(*node) {
                match Some(child) == namespace {
                    true => self.dominators.children(Dominator::Node(child)).for_each(&mut sort),
                    false => sort(child),
                }
            }
        }
        let alone = alone.into_iter().map(|node| {
            let by = holder.and_then(|holder| self.trails.link(holder, node));
            (vec![node], by)
        });
        let by_type = by_type.into_values().map(|members| (members, None));
        let groups = alone.chain(by_type).map(|(members, by)| Group {
            retained: self.sum(&members, &self.retained),
            members,
            within,
            depth,
            by,
        });
        groups.collect()
    }
}
