//! Objects that keep each other alive: strongly connected components, and those that no root reaches.

use std::cmp::Reverse;

use super::{Graph, Paths};

/// The number of a node that was not seen, and the component of one that has none.
const NONE: u32 = u32::MAX;

/// The strongly connected components of a graph: sets of nodes that all reach each other. Most have one node.
///
/// Kept are at most 12 bytes a node; while they are found (by Tarjan's algorithm) there are at most 12 bytes more, and
/// 12 bytes a level of the search. What is by component or level grows by doubling.
#[derive(Clone, Debug)]
pub struct Components {
    /// The component of each node.
    of: Vec<u32>,
    /// The nodes, those of a component together.
    members: Vec<u32>,
    /// Where the members of each component end.
    ends: Vec<u32>,
}

impl Components {
    /// All components of a graph.
    #[must_use]
    pub fn new(graph: &Graph) -> Self {
        Self::among(graph, |_| true)
    }

    /// The components of that part of a graph which has the nodes `wanted`.
    #[must_use]
    pub fn among(graph: &Graph, wanted: impl Fn(u32) -> bool) -> Self {
        let mut search = Search {
            numbers: vec![NONE; graph.len()],
            lowest: Vec::new(),
            open: Vec::new(),
            found: Components { of: vec![NONE; graph.len()], members: Vec::new(), ends: Vec::new() },
        };
        let mut path = Vec::new();
        for start in graph.nodes().filter(|&node| wanted(node)) {
            if search.numbers[start as usize] == NONE {
                search.open(start);
                path.push((start, graph.row(start)));
            }
            while let Some((node, row)) = path.last_mut() {
                let node = *node;
                match graph.next(row) {
                    Some(target) if !wanted(target) => {}
                    Some(target) if search.numbers[target as usize] == NONE => {
                        search.open(target);
                        path.push((target, graph.row(target)));
                    }
                    Some(target) => search.reach(node, target),
                    None => {
                        path.pop();
                        search.close(node);
                        if let Some(&(above, _)) = path.last() {
                            search.reach(above, node);
                        }
                    }
                }
            }
        }
        search.found
    }

    /// How many components there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The component of `node`, counted from 0; [`None`] if there is no such node or it was not wanted.
    #[must_use]
    pub fn of(&self, node: u32) -> Option<usize> {
        self.of
            .get(node as usize)
            .filter(|&&component| component != NONE)
            .map(|&component| component as usize)
    }

    /// The nodes of each component, lowest first. A component comes after those it refers to.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &[u32]> {
        let mut start = 0;
        self.ends.iter().map(move |&end| {
            let members = &self.members[start..end as usize];
            start = end as usize;
            members
        })
    }

    /// The components that are cycles in `graph`, of which they were made: those of several nodes, and single nodes
    /// that refer to themselves.
    pub fn cycles<'a>(&'a self, graph: &'a Graph) -> impl Iterator<Item = &'a [u32]> {
        self.iter().filter(|members| match members {
            [node] => graph.successors(*node).contains(node),
            _ => true,
        })
    }
}

/// Tarjan's search: nodes are numbered in the order of visits, and stay open until their component is found.
struct Search {
    /// The number of each node.
    numbers: Vec<u32>,
    /// By number: the lowest number of an open node it is known to reach.
    lowest: Vec<u32>,
    /// The open nodes, in the order of their numbers.
    open: Vec<u32>,
    found: Components,
}

impl Search {
    fn open(&mut self, node: u32) {
        let number = self.lowest.len() as u32;
        self.numbers[node as usize] = number;
        self.lowest.push(number);
        self.open.push(node);
    }

    /// `node` refers to `target`, of which something is known already.
    fn reach(&mut self, node: u32, target: u32) {
        if self.found.of[target as usize] == NONE {
            let reached = self.lowest[self.numbers[target as usize] as usize];
            let lowest = &mut self.lowest[self.numbers[node as usize] as usize];
            *lowest = reached.min(*lowest);
        }
    }

    /// All that `node` refers to is known. If it reaches nothing before it, what is open from there is a component.
    fn close(&mut self, node: u32) {
        let number = self.numbers[node as usize];
        if self.lowest[number as usize] != number {
            return;
        }
        let Components { of, members, ends } = &mut self.found;
        let start = members.len();
        while let Some(member) = self.open.pop() {
            of[member as usize] = ends.len() as u32;
            members.push(member);
            if member == node {
                break;
            }
        }
        members[start..].sort_unstable();
        ends.push(members.len() as u32);
    }
}

/// A component of what no root reaches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Garbage {
    /// Its nodes, lowest first.
    pub members: Vec<u32>,
    /// The sum of their sizes.
    pub size: u64,
    /// Whether they keep each other alive: there are several, or it is one that refers to itself.
    pub is_cycle: bool,
    /// Whether another component refers to it. If none does, and it is a cycle, it is what keeps alive all it reaches.
    pub is_referred_to: bool,
}

/// What no root reaches, in strongly connected components, the largest first, then the one with the lowest node. A
/// missing size is 0.
///
/// A component that nothing else refers to and that is no cycle has a reference that is not in the graph: a root that
/// is not known, or a count that was never given back.
#[must_use]
pub fn garbage(graph: &Graph, roots: &[u32], sizes: &[u64]) -> Vec<Garbage> {
    let paths = Paths::from(graph, roots);
    let components = Components::among(graph, |node| !paths.reaches(node));
    let mut is_referred_to = vec![false; components.len()];
    for (component, members) in components.iter().enumerate() {
        for target in members.iter().flat_map(|&member| graph.successors(member)) {
            match components.of(*target) {
                Some(other) if other != component => is_referred_to[other] = true,
                _ => {}
            }
        }
    }
    let size = |&node: &u32| sizes.get(node as usize).copied().unwrap_or(0);
    let mut garbage: Vec<Garbage> = components
        .iter()
        .zip(is_referred_to)
        .map(|(members, is_referred_to)| Garbage {
            members: members.to_vec(),
            size: members.iter().map(size).fold(0, u64::saturating_add),
            is_cycle: members.len() > 1 || members.iter().any(|node| graph.successors(*node).contains(node)),
            is_referred_to,
        })
        .collect();
    garbage.sort_by_key(|garbage| (Reverse(garbage.size), garbage.members.first().copied()));
    garbage
}
