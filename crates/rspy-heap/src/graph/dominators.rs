//! What keeps an object alive by itself: dominators.
//!
//! A node dominates another if every path from a root to the other leads through it; if it went, so would the other.
//! The sizes of all that a node dominates are what it retains.
//!
//! Above all roots there is one virtual root. The algorithm is semi-NCA (Georgiadis, Linear-Time Algorithms for
//! Dominators and Related Problems, 2005): a depth-first search numbers the nodes, semidominators are found in reverse
//! order with path compression, and the immediate dominator of a node is the nearest common ancestor, in the tree so
//! far, of its parent and its semidominator.
//!
//! Afterwards the nodes are arranged in the preorder of the dominator tree, so that what a node dominates is one range:
//! sums, subtrees and "is it inside" need neither lists of children nor a stack.

use super::Graph;

/// The place of the virtual root, and the mark of nodes that have no place since no root reaches them.
const ROOT: u32 = 0;

/// What keeps a node alive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dominator {
    /// Nothing alone: it is a root itself, or is reached from several that have no one above them.
    Root,
    /// This node.
    Node(u32),
}

/// The dominator tree of what is reachable from the roots.
///
/// Kept are 4 bytes a node and 12 bytes a reachable node. While it is made there are 16 bytes more a reachable node, or
/// 12 and 8 bytes a reference that leads back or across the search's tree; and before that 12 bytes a level of the
/// search (these two grow by doubling).
#[derive(Clone, Debug)]
pub struct Dominators {
    /// The place of each node in the preorder of the tree; [`ROOT`] if it is not reachable.
    places: Vec<u32>,
    /// By place: the node. That of the virtual root means nothing.
    nodes: Vec<u32>,
    /// By place: the place of the immediate dominator.
    immediate: Vec<u32>,
    /// By place: where what it dominates ends.
    ends: Vec<u32>,
}

impl Dominators {
    /// The dominators of what `roots` reach. Roots that are no nodes are left out.
    #[must_use]
    pub fn new(graph: &Graph, roots: &[u32]) -> Self {
        let Search { numbers, nodes, parents, semidominators, entries } = Search::new(graph, roots);
        let immediate = immediate_dominators(parents, semidominators, entries);
        arrange(numbers, &nodes, &immediate)
    }

    /// The immediate dominator of `node`; [`None`] if no root reaches it.
    #[must_use]
    pub fn immediate(&self, node: u32) -> Option<Dominator> {
        let immediate = self.immediate[self.place(node)? as usize];
        Some(match immediate {
            ROOT => Dominator::Root,
            place => Dominator::Node(self.nodes[place as usize]),
        })
    }

    /// Whether every path from a root to `other` leads through `node`; a reachable node dominates itself.
    #[must_use]
    pub fn dominates(&self, node: u32, other: u32) -> bool {
        match (self.place(node), self.place(other)) {
            (Some(node), Some(other)) => (node..self.ends[node as usize]).contains(&other),
            _ => false,
        }
    }

    /// All reachable nodes in preorder: each before what it dominates.
    #[must_use]
    pub fn preorder(&self) -> &[u32] {
        &self.nodes[1..]
    }

    /// What `node` dominates in preorder, itself first; nothing if no root reaches it.
    #[must_use]
    pub fn dominated(&self, node: u32) -> &[u32] {
        self.place(node).map_or(&[], |place| &self.nodes[place as usize..self.ends[place as usize] as usize])
    }

    /// The nodes whose immediate dominator is this one.
    pub fn children(&self, of: Dominator) -> impl Iterator<Item = u32> {
        let place = match of {
            Dominator::Root => Some(ROOT),
            Dominator::Node(node) => self.place(node),
        };
        let (mut next, end) = place.map_or((0, 0), |place| (place + 1, self.ends[place as usize]));
        std::iter::from_fn(move || {
            let place = (next < end).then_some(next as usize)?;
            next = self.ends[place];
            Some(self.nodes[place])
        })
    }

    /// How much each node retains: the sum of the sizes of all it dominates, itself included. Nodes that no root
    /// reaches retain 0; a missing size is 0.
    #[must_use]
    pub fn retained(&self, sizes: &[u64]) -> Vec<u64> {
        let by_place = self.retained_by_place(sizes);
        self.places.iter().map(|&place| if place == ROOT { 0 } else { by_place[place as usize] }).collect()
    }

    /// How much the nodes of each group retain together, such as the instances of a type. A node inside of another of
    /// its group adds nothing, since what it retains is counted there already.
    ///
    /// `groups` has the group of each node, counted from 0; groups that are no lower than the number of nodes are left
    /// out.
    #[must_use]
    pub fn retained_by(&self, groups: &[u32], sizes: &[u64]) -> Vec<u64> {
        let most = self.places.len();
        let count = groups.iter().map(|&group| group as usize).filter(|&group| group < most).max();
        let mut sums = vec![0u64; count.map_or(0, |last| last + 1)];
        // Where the last node of each group that was counted ends: what comes before that lies inside of it.
        let mut ends = vec![0; sums.len()];
        let retained = self.retained_by_place(sizes);
        for (place, (&node, &retained)) in self.nodes.iter().zip(&retained).enumerate().skip(1) {
            let Some(&group) = groups.get(node as usize) else { continue };
            let group = group as usize;
            if group < sums.len() && place as u32 >= ends[group] {
                sums[group] = sums[group].saturating_add(retained);
                ends[group] = self.ends[place];
            }
        }
        sums
    }

    /// What each place retains.
    fn retained_by_place(&self, sizes: &[u64]) -> Vec<u64> {
        let size = |&node: &u32| sizes.get(node as usize).copied().unwrap_or(0);
        let mut retained: Vec<u64> = self.nodes.iter().map(size).collect();
        retained[ROOT as usize] = 0;
        for place in (1..retained.len()).rev() {
            let above = self.immediate[place] as usize;
            retained[above] = retained[above].saturating_add(retained[place]);
        }
        retained
    }

    /// The place of a node in the tree, if it is in it.
    fn place(&self, node: u32) -> Option<u32> {
        self.places.get(node as usize).copied().filter(|&place| place != ROOT)
    }
}

/// A depth-first search from the virtual root, which is number 0. What is by number is so by the order of visits.
struct Search {
    /// The number of each node; 0 if it was not reached.
    numbers: Vec<u32>,
    /// By number: the node.
    nodes: Vec<u32>,
    /// By number: the number from which it was reached.
    parents: Vec<u32>,
    /// By number: the lowest number so far from which a path leads here over higher ones only.
    semidominators: Vec<u32>,
    entries: Entries,
}

impl Search {
    fn new(graph: &Graph, roots: &[u32]) -> Self {
        // Room for all nodes: what is not reached is not touched, and takes no memory.
        let first = |value| {
            let mut by_number = Vec::with_capacity(graph.len() + 1);
            by_number.push(value);
            by_number
        };
        let mut search = Search {
            numbers: vec![0; graph.len()],
            nodes: first(0),
            parents: first(0),
            semidominators: first(0),
            entries: Entries { first: first(Entries::NONE), entries: Vec::new() },
        };
        let mut path = Vec::new();
        for &root in roots.iter().filter(|&&root| graph.contains(root)) {
            path.extend(search.see(0, root).map(|number| (number, graph.row(root))));
            while let Some((number, row)) = path.last_mut() {
                let number = *number;
                match graph.next(row) {
                    Some(target) => {
                        path.extend(search.see(number, target).map(|number| (number, graph.row(target))));
                    }
                    None => {
                        path.pop();
                    }
                }
            }
        }
        search
    }

    /// Follows a reference. If it leads to a node not seen before, that gets the next number.
    fn see(&mut self, from: u32, target: u32) -> Option<u32> {
        let number = self.numbers[target as usize];
        if number == 0 {
            let number = self.nodes.len() as u32;
            self.numbers[target as usize] = number;
            self.nodes.push(target);
            self.parents.push(from);
            self.semidominators.push(from);
            self.entries.first.push(Entries::NONE);
            return Some(number);
        }
        if from < number {
            // Down the tree again: such a path has nothing between.
            let semidominator = &mut self.semidominators[number as usize];
            *semidominator = from.min(*semidominator);
        } else if from > number {
            self.entries.add(number, from);
        }
        None
    }
}

/// The references by which a number is entered from a higher one: lists in one array, since most numbers have none.
struct Entries {
    /// By number: the first entry.
    first: Vec<u32>,
    /// Where each comes from, and the next one to the same number.
    entries: Vec<(u32, u32)>,
}

impl Entries {
    /// The end of a list: there are fewer entries than references, hence fewer than this.
    const NONE: u32 = u32::MAX;

    fn add(&mut self, number: u32, from: u32) {
        let first = &mut self.first[number as usize];
        self.entries.push((from, *first));
        *first = (self.entries.len() - 1) as u32;
    }

    fn to(&self, number: u32) -> impl Iterator<Item = u32> {
        let mut next = self.first[number as usize];
        std::iter::from_fn(move || {
            let &(from, after) = self.entries.get(next as usize)?;
            next = after;
            Some(from)
        })
    }
}

/// The immediate dominator of each number.
fn immediate_dominators(parents: Vec<u32>, mut semidominators: Vec<u32>, entries: Entries) -> Vec<u32> {
    let mut forest = Forest { above: parents.clone(), lowest: semidominators.clone(), path: Vec::new() };
    for number in (1..parents.len() as u32).rev() {
        let mut semidominator = semidominators[number as usize];
        for from in entries.to(number) {
            semidominator = semidominator.min(forest.lowest(from, number));
        }
        semidominators[number as usize] = semidominator;
        forest.lowest[number as usize] = semidominator;
    }
    let mut immediate = parents;
    for number in 1..immediate.len() {
        let mut dominator = immediate[number];
        while dominator > semidominators[number] {
            dominator = immediate[dominator as usize];
        }
        immediate[number] = dominator;
    }
    immediate
}

/// The part of the search's tree whose semidominators are known, with paths compressed as they are asked for.
struct Forest {
    /// By number: one further up.
    above: Vec<u32>,
    /// By number: the lowest semidominator from there to before `above`.
    lowest: Vec<u32>,
    /// What is on the way; empty between calls, kept for its memory.
    path: Vec<u32>,
}

impl Forest {
    /// The lowest semidominator on the way from `from` up to the first that is not above `limit`, which is not counted.
    fn lowest(&mut self, from: u32, limit: u32) -> u32 {
        let mut top = from;
        while self.above[top as usize] > limit {
            self.path.push(top);
            top = self.above[top as usize];
        }
        let above = self.above[top as usize];
        let mut lowest = self.lowest[top as usize];
        while let Some(number) = self.path.pop() {
            lowest = lowest.min(self.lowest[number as usize]);
            self.lowest[number as usize] = lowest;
            self.above[number as usize] = above;
        }
        lowest
    }
}

/// Arranges numbers in the preorder of the dominator tree. A dominator's number is lower than those it dominates, so
/// that one pass from the end counts these and one from the start gives each its place.
fn arrange(mut numbers: Vec<u32>, nodes: &[u32], immediate: &[u32]) -> Dominators {
    let mut counts = vec![1u32; nodes.len()];
    for number in (1..nodes.len()).rev() {
        counts[immediate[number] as usize] += counts[number];
    }
    let mut arranged = Dominators {
        places: Vec::new(),
        nodes: vec![0; nodes.len()],
        immediate: vec![0; nodes.len()],
        ends: vec![0; nodes.len()],
    };
    arranged.ends[0] = nodes.len() as u32;
    // By number: its place, and the place of the next it dominates; the count is not needed any more once it has one.
    let mut places = vec![0; nodes.len()];
    let mut free = counts;
    free[0] = 1;
    for number in 1..nodes.len() {
        let above = immediate[number] as usize;
        let (place, count) = (free[above], free[number]);
        free[above] += count;
        free[number] = place + 1;
        places[number] = place;
        arranged.nodes[place as usize] = nodes[number];
        arranged.immediate[place as usize] = places[above];
        arranged.ends[place as usize] = place + count;
    }
    for number in &mut numbers {
        *number = places[*number as usize];
    }
    arranged.places = numbers;
    arranged
}
