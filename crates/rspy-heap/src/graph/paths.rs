//! How an object is reached: shortest paths from the roots, by a breadth-first search.

use super::Graph;

/// The predecessor of what no root reaches.
const NONE: u32 = u32::MAX;

/// The shortest paths from the roots to all nodes: 8 bytes a node, and 4 bytes more a reachable node while it is made.
///
/// Of several shortest paths to a node it is the one whose first number is lowest, then its second, and so on.
#[derive(Clone, Debug)]
pub struct Paths {
    /// The node before each on its path; of a root itself; else [`NONE`].
    previous: Vec<u32>,
    /// How many references the path of each has; 0 where there is none.
    lengths: Vec<u32>,
}

impl Paths {
    /// Searches from `roots`. Roots that are no nodes are left out.
    #[must_use]
    pub fn from(graph: &Graph, roots: &[u32]) -> Self {
        let mut paths = Paths { previous: vec![NONE; graph.len()], lengths: vec![0; graph.len()] };
        let mut queue: Vec<u32> = roots.iter().copied().filter(|&root| graph.contains(root)).collect();
        queue.sort_unstable();
        queue.dedup();
        for &root in &queue {
            paths.previous[root as usize] = root;
        }
        let mut at = 0;
        while let Some(&node) = queue.get(at) {
            at += 1;
            let new = queue.len();
            for &target in graph.successors(node) {
                let previous = &mut paths.previous[target as usize];
                if *previous == NONE {
                    *previous = node;
                    paths.lengths[target as usize] = paths.lengths[node as usize] + 1;
                    queue.push(target);
                }
            }
            // What is nearer or lower is in the queue first, so that the first to reach a node has the lowest path.
            queue[new..].sort_unstable();
        }
        paths
    }

    /// Whether a root reaches `node`.
    #[must_use]
    pub fn reaches(&self, node: u32) -> bool {
        self.previous.get(node as usize).is_some_and(|&previous| previous != NONE)
    }

    /// How many references lead from the next root to `node`: 0 for a root; [`None`] if no root reaches it.
    #[must_use]
    pub fn length(&self, node: u32) -> Option<u32> {
        self.reaches(node).then(|| self.lengths[node as usize])
    }

    /// The path from a root to `node`, both included; [`None`] if no root reaches it.
    #[must_use]
    pub fn path_to(&self, node: u32) -> Option<Vec<u32>> {
        let length = self.length(node)?;
        let mut path = Vec::with_capacity(length as usize + 1);
        let mut at = node;
        path.push(at);
        for _ in 0..length {
            at = self.previous[at as usize];
            path.push(at);
        }
        path.reverse();
        Some(path)
    }

    /// Of `nodes` the one that is nearest to a root, the lowest if there are several; [`None`] if no root reaches any.
    #[must_use]
    pub fn nearest(&self, nodes: impl IntoIterator<Item = u32>) -> Option<u32> {
        nodes.into_iter().filter_map(|node| Some((self.length(node)?, node))).min().map(|(_, node)| node)
    }
}
