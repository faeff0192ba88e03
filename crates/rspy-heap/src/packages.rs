//! What would be freed with a package: with all of its modules together.
//!
//! What two modules of a package hold and nobody else does, neither of them dominates; together they do. It is found without
//! another look at all objects: a reference leads out of what a node dominates only to what that node's own dominator dominates
//! itself. So whatever leads from under one child of the tree's root to under another leads to that child, and the children of the root are
//! a graph of their own in which dominators are the same. In that the modules of a package are one node.

use rustc_hash::FxHashMap;
use serde::Serialize;

use crate::graph::{Dominator, Dominators, Graph, GraphBuilder};
use crate::holders::{Holders, Root};

/// The group of what no root reaches.
const NONE: u32 = u32::MAX;

/// A package with its modules, or a module that is in none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Package {
    /// Its name: the first part of the names of its modules.
    pub name: String,
    /// How many modules of it were imported.
    pub modules: u64,
    /// What would be freed with all of them, in bytes.
    pub retained: u64,
}

/// All packages, what holds the most first. `sizes` are those of nodes, in bytes.
pub fn packages(holders: &Holders, dominators: &Dominators, sizes: &[u64]) -> Vec<Package> {
    let mut packages: Vec<Package> = Vec::new();
    let mut by_name: FxHashMap<&str, u32> = FxHashMap::default();
    let mut of_modules: FxHashMap<u32, u32> = FxHashMap::default();
    for (node, _) in holders.named() {
        // One that has several names is in the package of the first.
        let Some(Root::Module(name)) = holders.root(*node) else { continue };
        let name = name.split('.').next().unwrap_or(name);
        let number = *by_name.entry(name).or_insert_with(|| {
            packages.push(Package { name: name.to_owned(), modules: 0, retained: 0 });
            packages.len() as u32 - 1
        });
        if of_modules.insert(*node, number).is_none()
            && let Some(package) = packages.get_mut(number as usize)
        {
            package.modules += 1;
        }
    }
    let roots = holders.root_nodes();
    let retained = retained_together(&holders.graph, &roots, dominators, sizes, packages.len(), |node| {
        of_modules.get(&node).copied()
    });
    for (package, retained) in packages.iter_mut().zip(retained) {
        package.retained = retained;
    }
    packages.sort_by(|one, next| next.retained.cmp(&one.retained).then_with(|| one.name.cmp(&next.name)));
    packages
}

/// What each of so many `sets` of roots retains. `set_of` tells in which a root is, if in any.
fn retained_together(
    graph: &Graph,
    roots: &[u32],
    dominators: &Dominators,
    sizes: &[u64],
    sets: usize,
    set_of: impl Fn(u32) -> Option<u32>,
) -> Vec<u64> {
    let retained = dominators.retained(sizes);
    // What the dominators of each group begin with: those of a set together, all others alone.
    let mut tops: Vec<Vec<u32>> = vec![Vec::new(); sets];
    for top in dominators.children(Dominator::Root) {
        match set_of(top).and_then(|set| tops.get_mut(set as usize)) {
            Some(set) => set.push(top),
            None => tops.push(vec![top]),
        }
    }
    let mut group_of = vec![NONE; graph.len()];
    for (group, tops) in tops.iter().enumerate() {
        for node in tops.iter().flat_map(|top| dominators.dominated(*top)) {
            if let Some(place) = group_of.get_mut(*node as usize) {
                *place = group as u32;
            }
        }
    }
    let group = |node: u32| group_of.get(node as usize).copied().unwrap_or(NONE);
    let mut between = GraphBuilder::with_capacity(tops.len(), 0);
    // The last group in which each was referred to: once is enough.
    let mut last = vec![NONE; tops.len()];
    for (from, tops) in tops.iter().enumerate() {
        between.begin();
        for node in tops.iter().flat_map(|top| dominators.dominated(*top)) {
            between.extend(graph.successors(*node).iter().map(|target| group(*target)).filter(|to| {
                *to != from as u32
                    && last
                        .get_mut(*to as usize)
                        .is_some_and(|last| std::mem::replace(last, from as u32) != from as u32)
            }));
        }
    }
    let sum = |tops: &Vec<u32>| {
        tops.iter()
            .filter_map(|top| retained.get(*top as usize))
            .fold(0, |sum: u64, bytes| sum.saturating_add(*bytes))
    };
    let sizes: Vec<u64> = tops.iter().map(sum).collect();
    let roots: Vec<u32> = roots.iter().map(|root| group(*root)).filter(|group| *group != NONE).collect();
    let mut together = Dominators::new(&between.finish(), &roots).retained(&sizes);
    together.truncate(sets);
    together
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn graph(rows: &[Vec<u32>]) -> Graph {
        let mut builder = GraphBuilder::default();
        for row in rows {
            builder.begin();
            builder.extend(row.iter().copied());
        }
        builder.finish()
    }

    /// Which nodes `roots` reach without going through a node of `without`.
    fn reached(rows: &[Vec<u32>], roots: &[u32], without: &[u32]) -> Vec<bool> {
        let mut seen = vec![false; rows.len()];
        let mut next: Vec<u32> = roots.to_vec();
        while let Some(node) = next.pop() {
            if without.contains(&node) || std::mem::replace(&mut seen[node as usize], true) {
                continue;
            }
            next.extend(&rows[node as usize]);
        }
        seen
    }

    #[test]
    fn what_two_modules_share_is_their_packages() {
        // 0 and 1 are modules of a package, 2 is another; 3 is of 0 and 1, 4 of 1 and 2, 5 of 3.
        let rows = vec![vec![3, 2], vec![3, 4], vec![4], vec![5], vec![], vec![]];
        let (graph, roots, sizes) = (graph(&rows), [0, 1, 2], [1, 10, 100, 1000, 10_000, 100_000]);
        let dominators = Dominators::new(&graph, &roots);
        let sets = |node: u32| [Some(0), Some(0), Some(1)].get(node as usize).copied().flatten();
        assert_eq!(retained_together(&graph, &roots, &dominators, &sizes, 2, sets), [101_011, 100]);
    }

    proptest! {
        /// Against what cannot be reached any more without a set.
        #[test]
        fn sets_retain_what_only_they_lead_to(
            rows in prop::collection::vec(prop::collection::vec(0..20_u32, 0..4), 20),
            roots in prop::collection::vec(0..20_u32, 1..8),
        ) {
            let graph = graph(&rows);
            let dominators = Dominators::new(&graph, &roots);
            let sizes: Vec<u64> = (0..20).map(|node| 1 << node).collect();
            let sets = |node: u32| roots.contains(&node).then_some(node % 2).filter(|_| !node.is_multiple_of(5));
            let found = retained_together(&graph, &roots, &dominators, &sizes, 2, sets);
            let all = reached(&rows, &roots, &[]);
            for set in 0..2 {
                let members: Vec<u32> = roots.iter().copied().filter(|root| sets(*root) == Some(set)).collect();
                let left = reached(&rows, &roots, &members);
                let gone = all.iter().zip(&left).zip(&sizes).filter(|((was, is), _)| **was && !**is);
                prop_assert_eq!(found[set as usize], gone.map(|(_, size)| size).sum::<u64>());
            }
        }
    }
}
