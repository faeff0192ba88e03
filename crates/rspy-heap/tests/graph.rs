//! Graphs of objects against what the words mean: by leaving nodes out and looking what is still reached.

use proptest::prelude::*;
use rspy_heap::graph::{Components, Dominator, Dominators, Garbage, Graph, GraphBuilder, Paths, garbage};

/// Who refers to whom, by node.
type References = Vec<Vec<u32>>;

fn graph(references: &[Vec<u32>]) -> Graph {
    let mut builder = GraphBuilder::default();
    for targets in references {
        builder.begin();
        builder.extend(targets.iter().copied());
    }
    builder.finish()
}

/// What `roots` reach if `without` is not there.
fn reached(graph: &Graph, roots: &[u32], without: Option<u32>) -> Vec<bool> {
    let mut reached = vec![false; graph.len()];
    let mut queue: Vec<u32> = roots.to_vec();
    while let Some(node) = queue.pop() {
        if Some(node) != without && (node as usize) < graph.len() && !reached[node as usize] {
            reached[node as usize] = true;
            queue.extend(graph.successors(node));
        }
    }
    reached
}

fn nodes(graph: &Graph) -> std::ops::Range<u32> {
    0..graph.len() as u32
}

/// Random graphs of several shapes: any, sparse, a tree with some references across, a list with some back.
fn shapes() -> impl Strategy<Value = References> {
    let any = (0..16usize).prop_flat_map(|count| {
        prop::collection::vec(prop::collection::vec(0..count.max(1) as u32, 0..5), count)
    });
    let sparse = (1..24usize)
        .prop_flat_map(|count| prop::collection::vec(prop::collection::vec(0..count as u32, 0..2), count));
    let spanned = |above: fn(u32) -> u32| {
        (1..24u32).prop_flat_map(move |count| {
            prop::collection::vec((0..count, 0..count), 0..8).prop_map(move |more| {
                let mut references = vec![Vec::new(); count as usize];
                for node in 1..count {
                    references[above(node) as usize].push(node);
                }
                for (from, to) in more {
                    references[from as usize].push(to);
                }
                references
            })
        })
    };
    prop_oneof![any, sparse, spanned(|node| (node - 1) / 2), spanned(|node| node - 1)]
}

/// A graph and its roots, some of which may be no nodes.
fn rooted() -> impl Strategy<Value = (References, Vec<u32>)> {
    shapes().prop_flat_map(|references| {
        let most = references.len() as u32 + 2;
        (Just(references), prop::collection::vec(0..most, 0..4))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn a_node_dominates_what_is_not_reached_without_it((references, roots) in rooted()) {
        let graph = graph(&references);
        let dominators = Dominators::new(&graph, &roots);
        let all = reached(&graph, &roots, None);
        for node in nodes(&graph) {
            let without = reached(&graph, &roots, Some(node));
            let lost: Vec<u32> =
                nodes(&graph).filter(|&other| all[other as usize] && !without[other as usize]).collect();
            let mut dominated = dominators.dominated(node).to_vec();
            prop_assert_eq!(dominated.first(), lost.contains(&node).then_some(&node));
            dominated.sort_unstable();
            prop_assert_eq!(&dominated, &lost);
            for other in nodes(&graph) {
                prop_assert_eq!(dominators.dominates(node, other), lost.contains(&other));
            }
        }
    }

    #[test]
    fn the_immediate_dominator_is_the_nearest((references, roots) in rooted()) {
        let graph = graph(&references);
        let dominators = Dominators::new(&graph, &roots);
        let all = reached(&graph, &roots, None);
        for node in nodes(&graph) {
            // Of all that dominate a node, the nearest is dominated by the others.
            let nearest = nodes(&graph)
                .filter(|&above| above != node && dominators.dominates(above, node))
                .max_by_key(|&above| nodes(&graph).filter(|&other| dominators.dominates(other, above)).count());
            let expected = nearest.map_or(Dominator::Root, Dominator::Node);
            prop_assert_eq!(dominators.immediate(node), all[node as usize].then_some(expected));
        }
    }

    #[test]
    fn the_tree_is_the_immediate_dominators((references, roots) in rooted()) {
        let graph = graph(&references);
        let dominators = Dominators::new(&graph, &roots);
        let mut seen = Vec::new();
        let mut stack = vec![Dominator::Root];
        while let Some(above) = stack.pop() {
            if let Dominator::Node(node) = above {
                seen.push(node);
            }
            let children: Vec<u32> = dominators.children(above).collect();
            for &child in &children {
                prop_assert_eq!(dominators.immediate(child), Some(above));
            }
            stack.extend(children.into_iter().rev().map(Dominator::Node));
        }
        prop_assert_eq!(seen, dominators.preorder());
    }

    #[test]
    fn retained_is_what_would_go((references, roots) in rooted(), seed in 1..1_000u64) {
        let graph = graph(&references);
        let sizes: Vec<u64> = nodes(&graph).map(|node| seed * (u64::from(node) + 3) % 101).collect();
        let groups: Vec<u32> = nodes(&graph).map(|node| (u64::from(node) * seed % 3) as u32).collect();
        let dominators = Dominators::new(&graph, &roots);
        let all = reached(&graph, &roots, None);
        let retained = dominators.retained(&sizes);
        for node in nodes(&graph) {
            let without = reached(&graph, &roots, Some(node));
            let lost = nodes(&graph).map(|other| other as usize).filter(|&other| all[other] && !without[other]);
            prop_assert_eq!(retained[node as usize], lost.map(|other| sizes[other]).sum::<u64>());
        }
        let by_group = dominators.retained_by(&groups, &sizes);
        for (group, &sum) in by_group.iter().enumerate() {
            let is_of_group = |node: u32| groups[node as usize] as usize == group;
            // Counted once, however many of its dominators are of that group.
            let expected: u64 = nodes(&graph)
                .filter(|&node| nodes(&graph).any(|above| is_of_group(above) && dominators.dominates(above, node)))
                .map(|node| sizes[node as usize])
                .sum();
            prop_assert_eq!(sum, expected);
        }
    }

    #[test]
    fn dominators_are_those_of_petgraph(references in shapes()) {
        let graph = graph(&references);
        prop_assume!(!graph.is_empty());
        let edges = nodes(&graph).flat_map(|node| graph.successors(node).iter().map(move |&to| (node, to)));
        let other = petgraph::graph::DiGraph::<(), ()>::from_edges(edges.chain([(0, 0)]));
        let expected = petgraph::algo::dominators::simple_fast(&other, 0.into());
        let dominators = Dominators::new(&graph, &[0]);
        for node in 1..other.node_count() as u32 {
            let immediate = expected.immediate_dominator(node.into());
            prop_assert_eq!(
                dominators.immediate(node),
                immediate.map(|above| Dominator::Node(above.index() as u32))
            );
        }
    }

    #[test]
    fn paths_are_the_shortest_and_lowest((references, roots) in rooted()) {
        let graph = graph(&references);
        let paths = Paths::from(&graph, &roots);
        // The best path to each node, made better until nothing changes (Bellman and Ford).
        let mut best: Vec<Option<Vec<u32>>> = vec![None; graph.len()];
        for &root in roots.iter().filter(|&&root| (root as usize) < graph.len()) {
            best[root as usize] = Some(vec![root]);
        }
        loop {
            let before = best.clone();
            for node in nodes(&graph) {
                let Some(path) = best[node as usize].clone() else { continue };
                for &target in graph.successors(node) {
                    let longer = [path.as_slice(), &[target]].concat();
                    let known = &mut best[target as usize];
                    if known.as_ref().is_none_or(|known| (longer.len(), &longer) < (known.len(), known)) {
                        *known = Some(longer);
                    }
                }
            }
            if best == before {
                break;
            }
        }
        for node in nodes(&graph) {
            let expected = &best[node as usize];
            prop_assert_eq!(&paths.path_to(node), expected);
            prop_assert_eq!(paths.length(node), expected.as_ref().map(|path| path.len() as u32 - 1));
            prop_assert_eq!(paths.reaches(node), expected.is_some());
        }
        let nearest = nodes(&graph).filter_map(|node| Some((paths.length(node)?, node))).min();
        prop_assert_eq!(paths.nearest(nodes(&graph)), nearest.map(|(_, node)| node));
    }

    #[test]
    fn a_component_is_what_reaches_each_other(references in shapes()) {
        let graph = graph(&references);
        let components = Components::new(&graph);
        let reached: Vec<Vec<bool>> = nodes(&graph).map(|node| reached(&graph, &[node], None)).collect();
        for a in nodes(&graph) {
            for b in nodes(&graph) {
                let is_mutual = reached[a as usize][b as usize] && reached[b as usize][a as usize];
                prop_assert_eq!(components.of(a) == components.of(b), is_mutual);
                if reached[a as usize][b as usize] {
                    prop_assert!(components.of(b) <= components.of(a), "what is referred to comes first");
                }
            }
        }
        for (component, members) in components.iter().enumerate() {
            prop_assert!(members.is_sorted());
            prop_assert!(members.iter().all(|&member| components.of(member) == Some(component)));
        }
        prop_assert_eq!(components.iter().map(<[u32]>::len).sum::<usize>(), graph.len());
        let in_cycles: usize = components.cycles(&graph).map(<[u32]>::len).sum();
        let reach_themselves = nodes(&graph)
            .filter(|&node| graph.successors(node).iter().any(|&next| reached[next as usize][node as usize]));
        prop_assert_eq!(in_cycles, reach_themselves.count());
    }

    #[test]
    fn garbage_is_what_no_root_reaches((references, roots) in rooted()) {
        let graph = graph(&references);
        let sizes: Vec<u64> = nodes(&graph).map(|node| u64::from(node) * 7 % 5).collect();
        let garbage = garbage(&graph, &roots, &sizes);
        let all = reached(&graph, &roots, None);
        let mut members: Vec<u32> = garbage.iter().flat_map(|component| component.members.clone()).collect();
        members.sort_unstable();
        let expected: Vec<u32> = nodes(&graph).filter(|&node| !all[node as usize]).collect();
        prop_assert_eq!(&members, &expected);
        prop_assert!(garbage.is_sorted_by(|a, b| (b.size, &a.members) < (a.size, &b.members)));
        for Garbage { members, size, is_cycle, is_referred_to } in &garbage {
            prop_assert_eq!(*size, members.iter().map(|&member| sizes[member as usize]).sum::<u64>());
            let refers = |node: u32| graph.successors(node).iter().any(|to| members.contains(to));
            prop_assert_eq!(*is_cycle, members.iter().any(|&member| refers(member)));
            let outside = nodes(&graph).filter(|node| !members.contains(node));
            prop_assert_eq!(*is_referred_to, outside.into_iter().any(refers));
        }
        // All of it hangs on those that nothing else refers to.
        let tops: Vec<u32> = garbage.iter().filter(|top| !top.is_referred_to).map(|top| top.members[0]).collect();
        let held = reached(&graph, &tops, None);
        prop_assert!(expected.iter().all(|&node| held[node as usize]));
    }

    #[test]
    fn a_graph_reversed_has_each_reference_turned_round(references in shapes()) {
        let graph = graph(&references);
        let reversed = graph.reversed();
        for node in nodes(&graph) {
            let mut expected: Vec<u32> = nodes(&graph)
                .flat_map(|from| graph.successors(from).iter().filter(|&&to| to == node).map(move |_| from))
                .collect();
            expected.sort_unstable();
            prop_assert_eq!(reversed.successors(node), expected);
        }
        prop_assert_eq!(reversed.references(), graph.references());
    }

    #[test]
    fn nothing_foreign_does_harm(
        references in prop::collection::vec(prop::collection::vec(any::<u32>(), 0..4), 0..8),
        roots in prop::collection::vec(any::<u32>(), 0..4),
        groups in prop::collection::vec(any::<u32>(), 0..12),
        sizes in prop::collection::vec(any::<u64>(), 0..12),
        node in any::<u32>(),
    ) {
        let graph = graph(&references);
        let given: usize = references.iter().map(Vec::len).sum();
        prop_assert_eq!(graph.references() + graph.dropped() as usize, given);
        let roots = [roots, vec![0, node]].concat();
        let dominators = Dominators::new(&graph, &roots);
        prop_assert_eq!(dominators.retained(&sizes).len(), graph.len());
        prop_assert!(dominators.retained_by(&groups, &sizes).len() <= graph.len());
        prop_assert_eq!(dominators.dominated(node).is_empty(), dominators.immediate(node).is_none());
        prop_assert_eq!(dominators.children(Dominator::Node(u32::MAX)).count(), 0);
        prop_assert_eq!(Paths::from(&graph, &roots).path_to(u32::MAX), None);
        prop_assert_eq!(Components::new(&graph).of(u32::MAX), None);
        prop_assert!(garbage(&graph, &roots, &sizes).len() <= graph.len());
        prop_assert!(graph.successors(u32::MAX).is_empty());
    }
}

/// The immediate dominators of the nodes of a graph.
fn immediate(references: &[Vec<u32>], roots: &[u32]) -> Vec<Option<Dominator>> {
    let graph = graph(references);
    let dominators = Dominators::new(&graph, roots);
    nodes(&graph).map(|node| dominators.immediate(node)).collect()
}

const ROOT: Option<Dominator> = Some(Dominator::Root);

fn by(node: u32) -> Option<Dominator> {
    Some(Dominator::Node(node))
}

#[test]
fn a_diamond_is_kept_by_its_top() {
    let diamond = [vec![1, 2], vec![3], vec![3], vec![]];
    assert_eq!(immediate(&diamond, &[0]), [ROOT, by(0), by(0), by(0)]);
    assert_eq!(immediate(&diamond, &[1, 2]), [None, ROOT, ROOT, ROOT], "two roots share the bottom");
    let dominators = Dominators::new(&graph(&diamond), &[0]);
    assert_eq!(dominators.retained(&[1, 10, 100, 1_000]), [1_111, 10, 100, 1_000]);
}

#[test]
fn a_loop_entered_twice_is_kept_by_what_is_above_both_entries() {
    // 1 and 2 refer to each other, and both are entered from 0; 3 hangs on 1.
    assert_eq!(immediate(&[vec![1, 2], vec![2, 3], vec![1], vec![]], &[0]), [ROOT, by(0), by(0), by(1)]);
}

#[test]
fn the_example_of_lengauer_and_tarjan() {
    // R A B C D E F G H I J K L, and the dominator tree that their paper shows.
    let references = [
        vec![1, 2, 3],
        vec![4],
        vec![1, 4, 5],
        vec![6, 7],
        vec![12],
        vec![8],
        vec![9],
        vec![9, 10],
        vec![5, 11],
        vec![11],
        vec![9],
        vec![9, 0],
        vec![8],
    ];
    let above = [0, 0, 0, 0, 0, 3, 3, 0, 0, 7, 0, 4];
    let expected: Vec<_> = std::iter::once(ROOT).chain(above.map(by)).collect();
    assert_eq!(immediate(&references, &[0]), expected);
}

#[test]
fn self_references_duplicates_and_what_is_not_reached_change_nothing() {
    let references = [vec![0, 1, 1], vec![1, 0], vec![1, 2]];
    assert_eq!(immediate(&references, &[0, 0]), [ROOT, by(0), None]);
    assert_eq!(immediate(&references, &[0, 1]), [ROOT, ROOT, None], "a root inside of another is a root");
    assert_eq!(immediate(&references, &[1, 0]), [ROOT, ROOT, None]);
}

#[test]
fn without_roots_or_nodes_there_is_nothing() {
    assert_eq!(immediate(&[vec![1], vec![0]], &[]), [None, None]);
    assert_eq!(immediate(&[], &[0]), []);
    let empty = GraphBuilder::default().finish();
    assert!(empty.is_empty() && Components::new(&empty).is_empty() && empty.reversed().is_empty());
    assert_eq!(Dominators::new(&empty, &[]).retained_by(&[], &[]), [0; 0]);
    assert_eq!(garbage(&empty, &[0], &[]), []);
}

#[test]
fn references_that_lead_nowhere_are_left_out() {
    let mut builder = GraphBuilder::with_capacity(2, 4);
    builder.extend([0]);
    builder.begin();
    builder.extend([7, 1]);
    builder.extend([u32::MAX]);
    builder.begin();
    builder.extend([2, 0]);
    let graph = builder.finish();
    assert_eq!((graph.successors(0), graph.successors(1), graph.dropped()), (&[1][..], &[0][..], 4));
}

#[test]
fn a_type_counts_once_where_its_instances_are_nested() {
    // A list in a list, a string in that, and a list apart.
    let references = [vec![1], vec![2], vec![], vec![]];
    let dominators = Dominators::new(&graph(&references), &[0, 3]);
    assert_eq!(dominators.retained_by(&[0, 0, 1, 0], &[100, 10, 1, 1_000]), [1_111, 1]);
}

#[test]
fn garbage_says_what_holds_it() {
    // 0 is a root. 1 and 2 are a cycle that holds 3; 4 refers to itself; nobody knows who refers to 5.
    let references = [vec![], vec![2], vec![1, 3], vec![0], vec![4], vec![]];
    let found = garbage(&graph(&references), &[0], &[1, 10, 10, 30, 5, 7]);
    let found: Vec<_> =
        found.iter().map(|part| (&part.members[..], part.size, part.is_cycle, part.is_referred_to)).collect();
    assert_eq!(
        found,
        [
            (&[3][..], 30, false, true),
            (&[1, 2], 20, true, false),
            (&[5], 7, false, false),
            (&[4], 5, true, false),
        ]
    );
}

#[test]
fn sizes_too_large_to_add_are_as_large_as_can_be() {
    let dominators = Dominators::new(&graph(&[vec![1], vec![]]), &[0]);
    assert_eq!(dominators.retained(&[u64::MAX, u64::MAX]), [u64::MAX, u64::MAX]);
}

#[test]
fn a_list_of_five_million_nodes() {
    const COUNT: u32 = 5_000_000;
    let mut builder = GraphBuilder::default();
    for node in 0..COUNT {
        builder.begin();
        // Linked both ways.
        builder.extend(node.checked_sub(1));
        builder.extend((node + 1 < COUNT).then_some(node + 1));
    }
    let graph = builder.finish();
    let dominators = Dominators::new(&graph, &[0]);
    assert_eq!(dominators.immediate(COUNT - 1), Some(Dominator::Node(COUNT - 2)));
    assert_eq!(dominators.retained(&vec![1; COUNT as usize])[0], u64::from(COUNT));
    let path = Paths::from(&graph, &[0]).path_to(COUNT - 1);
    assert_eq!(path.map(|path| path.len()), Some(COUNT as usize));
    assert_eq!(Components::new(&graph).len(), 1);
    let found = garbage(&graph, &[], &vec![1; COUNT as usize]);
    assert_eq!(found.iter().map(|part| part.size).collect::<Vec<_>>(), [u64::from(COUNT)]);
}
