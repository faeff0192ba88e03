//! A profile as a tree of labels: stacks whose labels agree are one, whatever set them apart
//! before, and siblings are in the order of their text, so that outputs do not depend on the order
//! in which things were seen.
//!
//! Nothing here recurses: a stack may be as deep as the sampled program made it.

use std::ops::Range;

use indexmap::IndexSet;
use rustc_hash::FxBuildHasher;

use crate::fold::{Folded, fold};
use crate::frame::FrameId;
use crate::handle::handle;
use crate::label;
use crate::options::{By, Options};
use crate::process::ProcessId;
use crate::profile::Profile;
use crate::stack::StackId;
use crate::thread::ThreadId;

handle! {
    /// A label of a tree.
    LabelId
}

handle! {
    /// A node of a tree: a path of labels from the root.
    NodeId
}

impl NodeId {
    /// The node above all stacks, which has no label.
    const ROOT: NodeId = NodeId(0);
}

/// What a label was made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// A frame.
    Frame(FrameId),
    /// A process or a thread.
    Thread,
    /// Neither: samples without frames, lost samples, what is left out of a picture.
    Note,
}

/// How much of a deep stack a tree keeps.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DepthLimit {
    /// How many of the outermost frames.
    pub(crate) outer: u32,
    /// How many of the innermost frames.
    pub(crate) inner: u32,
    /// The label of the frame that stands for all between them.
    pub(crate) label: &'static str,
}

/// The folded samples of a profile as a tree of labels.
#[derive(Debug)]
pub(crate) struct Tree {
    labels: IndexSet<String, FxBuildHasher>,
    /// What each label was made from; often several things share one.
    sources: Vec<(LabelId, Source)>,
    /// Parents come before their children; the root is its own parent.
    nodes: IndexSet<(NodeId, Option<LabelId>), FxBuildHasher>,
    /// The weight of the stacks that end at each node.
    own: Vec<u64>,
}

impl Tree {
    /// The samples of `profile` that `options` include, and the lost ones.
    pub(crate) fn new(profile: &Profile, options: &Options, depth_limit: Option<DepthLimit>) -> Self {
        let mut tree = Tree::of(profile, options, depth_limit, fold(profile, options));
        for (process, reason, weight) in profile.lost.by_process() {
            let process = process.filter(|_| options.by_process);
            let root = process.map_or(NodeId::ROOT, |process| tree.process(profile, process));
            tree.add_note(root, &label::lost(reason), weight);
        }
        tree
    }

    /// What was `folded` of the samples of `profile`.
    pub(crate) fn of(
        profile: &Profile,
        options: &Options,
        depth_limit: Option<DepthLimit>,
        folded: impl IntoIterator<Item = Folded>,
    ) -> Self {
        let mut builder = Builder {
            profile,
            options,
            tree: Tree {
                labels: IndexSet::default(),
                sources: Vec::new(),
                nodes: IndexSet::with_capacity_and_hasher(profile.stacks.len(), FxBuildHasher),
                own: vec![0],
            },
            frame_labels: vec![None; profile.frames.len()],
            known: vec![(NodeId::ROOT, NodeId::ROOT); profile.stacks.len() + 1],
            pending: Vec::new(),
        };
        builder.tree.nodes.insert((NodeId::ROOT, None));
        for folded in folded {
            let root = builder.tree.root(profile, folded.process, folded.thread);
            let node = builder.stack(root, folded.stack, depth_limit);
            builder.tree.own[node.index()] += folded.weight;
        }
        builder.tree
    }

    /// The node below which the stacks of `process` and `thread` are, where each is told apart.
    pub(crate) fn root(
        &mut self,
        profile: &Profile,
        process: Option<ProcessId>,
        thread: Option<ThreadId>,
    ) -> NodeId {
        let root = process.map_or(NodeId::ROOT, |process| self.process(profile, process));
        thread.map_or(root, |thread| {
            let label = self.label(label::thread(profile, &profile.threads[thread]), Source::Thread);
            self.child(root, label)
        })
    }

    /// Adds to what is below `root` under a label that stands for no frame.
    pub(crate) fn add_note(&mut self, root: NodeId, text: &str, weight: u64) {
        let node = self.note(root, text);
        self.own[node.index()] += weight;
    }

    fn process(&mut self, profile: &Profile, process: ProcessId) -> NodeId {
        let upwards: Vec<ProcessId> = profile.processes.upwards(process).collect();
        upwards.into_iter().rev().fold(NodeId::ROOT, |node, process| {
            let text = label::process(profile, &profile.processes[process]);
            let label = self.label(text, Source::Thread);
            self.child(node, label)
        })
    }

    /// The sum of all weights.
    pub(crate) fn total(&self) -> u64 {
        self.own.iter().sum()
    }

    /// Every label with everything it was made from, in no particular order.
    pub(crate) fn sources(&self) -> impl Iterator<Item = (&str, Source)> {
        self.sources.iter().map(|&(label, source)| (self.labels[label.index()].as_str(), source))
    }

    /// Takes away what is less than the share of all that `options` want to be shown.
    pub(crate) fn prune_by(&mut self, options: &Options) {
        let minimum = (self.total() as f64 * options.minimum).ceil();
        if minimum > 1.0 {
            self.prune(minimum as u64, &format!("[under {} %]", options.minimum * 100.0));
        }
    }

    /// Takes away the nodes whose weight, descendants included, is below `minimum`. It goes to
    /// their parents, or, for outermost nodes, to one node labelled `rest`; the total stays.
    pub(crate) fn prune(&mut self, minimum: u64, rest: &str) {
        let totals = self.totals();
        let mut narrow_roots = 0;
        for index in (1..self.nodes.len()).rev().filter(|&index| totals[index] < minimum) {
            let weight = std::mem::take(&mut self.own[index]);
            match self.nodes[index].0 {
                NodeId::ROOT => narrow_roots += weight,
                parent => self.own[parent.index()] += weight,
            }
        }
        if narrow_roots > 0 {
            let node = self.note(NodeId::ROOT, rest);
            self.own[node.index()] += narrow_roots;
        }
    }

    /// The weight of each node, descendants included.
    fn totals(&self) -> Vec<u64> {
        let mut totals = self.own.clone();
        for index in (1..self.nodes.len()).rev() {
            totals[self.nodes[index].0.index()] += totals[index];
        }
        totals
    }

    /// Calls `visit` with each stack of some weight as folded text, `root;caller;leaf`, and its
    /// weight. Stacks with common outer frames follow each other, and a caller comes before what
    /// it calls; otherwise the order is that of the labels' text.
    pub(crate) fn visit<E>(&self, mut visit: impl FnMut(&str, u64) -> Result<(), E>) -> Result<(), E> {
        let (children, ranges) = self.children();
        let mut text = String::new();
        let mut pending: Vec<(NodeId, usize)> = Vec::new();
        let push_children = |pending: &mut Vec<_>, node: NodeId, length: usize| {
            let children = &children[ranges[node.index()].clone()];
            pending.extend(children.iter().rev().map(|&child| (child, length)));
        };
        push_children(&mut pending, NodeId::ROOT, 0);
        while let Some((node, length)) = pending.pop() {
            text.truncate(length);
            if length > 0 {
                text.push(';');
            }
            text.push_str(self.text(node));
            if self.own[node.index()] > 0 {
                visit(&text, self.own[node.index()])?;
            }
            push_children(&mut pending, node, text.len());
        }
        Ok(())
    }

    /// All nodes but the root that have some weight below them, grouped by parent and ordered by text within a group;
    /// and where the group of each node lies.
    fn children(&self) -> (Vec<NodeId>, Vec<Range<usize>>) {
        let mut by_text: Vec<usize> = (0..self.labels.len()).collect();
        by_text.sort_unstable_by_key(|&label| &self.labels[label]);
        let mut ranks = vec![0; self.labels.len()];
        for (rank, &label) in by_text.iter().enumerate() {
            ranks[label] = rank;
        }
        let totals = self.totals();
        let mut children: Vec<NodeId> =
            (1..self.nodes.len()).filter(|&index| totals[index] > 0).map(NodeId::from_index).collect();
        children.sort_unstable_by_key(|child| {
            let (parent, label) = self.nodes[child.index()];
            (parent, label.map(|label| ranks[label.index()]))
        });
        let mut ranges = vec![0..0; self.nodes.len()];
        let mut start = 0;
        for siblings in children.chunk_by(|one, other| self.parent(*one) == self.parent(*other)) {
            let end = start + siblings.len();
            ranges[self.parent(siblings[0]).index()] = start..end;
            start = end;
        }
        (children, ranges)
    }

    fn parent(&self, node: NodeId) -> NodeId {
        self.nodes[node.index()].0
    }

    /// The label of a node.
    fn text(&self, node: NodeId) -> &str {
        self.nodes[node.index()].1.map_or("", |label| &self.labels[label.index()])
    }

    fn label(&mut self, text: String, source: Source) -> LabelId {
        let label = LabelId::from_index(self.labels.insert_full(text).0);
        self.sources.push((label, source));
        label
    }

    fn child(&mut self, parent: NodeId, label: LabelId) -> NodeId {
        let (index, is_new) = self.nodes.insert_full((parent, Some(label)));
        if is_new {
            self.own.push(0);
        }
        NodeId::from_index(index)
    }

    fn note(&mut self, parent: NodeId, text: &str) -> NodeId {
        let label = self.label(text.into(), Source::Note);
        self.child(parent, label)
    }
}

/// A tree under construction, and what is remembered to make each label and node once.
struct Builder<'profile> {
    profile: &'profile Profile,
    options: &'profile Options,
    tree: Tree,
    frame_labels: Vec<Option<LabelId>>,
    /// By the index of a stack below which root it was seen last, and its node there; the root of all if it was not.
    known: Vec<(NodeId, NodeId)>,
    pending: Vec<(StackId, FrameId)>,
}

impl Builder<'_> {
    fn stack(&mut self, root: NodeId, stack: StackId, limit: Option<DepthLimit>) -> NodeId {
        let stacks = &self.profile.stacks;
        let depth = stacks.depth(stack);
        match limit {
            _ if depth == 0 => self.tree.note(root, label::NO_FRAMES),
            limit if self.options.inverted => self.inverted_stack(root, stack, limit),
            Some(limit) if depth > limit.outer + limit.inner => {
                let mut outer = stack;
                while let Some((prefix, _)) =
                    stacks.split(outer).filter(|_| stacks.depth(outer) > limit.outer)
                {
                    outer = prefix;
                }
                let inner: Vec<FrameId> = stacks.leaf_first(stack).take(limit.inner as usize).collect();
                let outer = self.whole_stack(root, outer);
                let gap = self.tree.note(outer, limit.label);
                inner.into_iter().rev().fold(gap, |node, frame| self.frame(node, frame))
            }
            _ => self.whole_stack(root, stack),
        }
    }

    /// The node of `stack` below `root`, its innermost frame first.
    fn inverted_stack(&mut self, root: NodeId, stack: StackId, limit: Option<DepthLimit>) -> NodeId {
        let depth = self.profile.stacks.depth(stack);
        let gap = limit.filter(|limit| depth > limit.outer + limit.inner);
        let mut node = root;
        for (index, frame) in (0..).zip(self.profile.stacks.leaf_first(stack)) {
            match gap {
                Some(limit) if index == limit.outer => node = self.tree.note(node, limit.label),
                Some(limit) if index > limit.outer && index < depth - limit.inner => {}
                _ => node = self.frame(node, frame),
            }
        }
        node
    }

    /// The node of `stack` below `root`, found by way of the nearest caller seen before.
    fn whole_stack(&mut self, root: NodeId, stack: StackId) -> NodeId {
        let mut rest = stack;
        let mut node = root;
        while let Some((prefix, frame)) = self.profile.stacks.split(rest) {
            let (below, known) = self.known[rest.index()];
            if known != NodeId::ROOT && below == root {
                node = known;
                break;
            }
            self.pending.push((rest, frame));
            rest = prefix;
        }
        while let Some((stack, frame)) = self.pending.pop() {
            node = self.frame(node, frame);
            self.known[stack.index()] = (root, node);
        }
        node
    }

    fn frame(&mut self, parent: NodeId, frame: FrameId) -> NodeId {
        let label = self.frame_labels[frame.index()].unwrap_or_else(|| {
            let text = label::frame(self.profile, &self.profile.frames[frame], self.options);
            self.tree.label(text, Source::Frame(frame))
        });
        self.frame_labels[frame.index()] = Some(label);
        if self.options.by == By::Module && self.tree.nodes[parent.index()].1 == Some(label) {
            return parent;
        }
        self.tree.child(parent, label)
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;
    use crate::{Frame, FrameKind, LostReason, Sample, ThreadState};

    const LIMIT: DepthLimit = DepthLimit { outer: 2, inner: 1, label: "[gap]" };

    /// A profile with the given stacks, root first, of the given weights.
    fn profile(stacks: &[(&[&str], u64)]) -> Profile {
        let mut profile = Profile::default();
        let process = crate::Process { pid: 1, parent: None, command_line: crate::StringId::EMPTY };
        let process = profile.processes.add(process);
        let thread = crate::Thread { process, os_id: Some(1), python_id: None, name: None };
        let thread = profile.threads.add(thread);
        for &(names, weight) in stacks {
            let stack = names.iter().fold(StackId::EMPTY, |stack, name| {
                let name = profile.strings.intern(name);
                let frame = Frame { name, ..Frame::unknown(FrameKind::Python) };
                let frame = profile.frames.intern(frame);
                profile.stacks.intern(stack, frame)
            });
            profile.add(Sample { at: 0, thread, stack, weight, state: ThreadState::default() });
        }
        profile
    }

    fn lines(tree: &Tree) -> Vec<(String, u64)> {
        let mut lines = Vec::new();
        let Ok(()) = tree.visit(|text, weight| {
            lines.push((text.to_owned(), weight));
            Ok::<_, Infallible>(())
        });
        lines
    }

    #[test]
    fn stacks_that_share_callers_follow_each_other_whatever_their_text() {
        let profile = profile(&[(&["a", "z"], 1), (&["a (b)"], 2), (&["a;"], 3), (&["a"], 4), (&["a:"], 5)]);
        let lines = lines(&Tree::new(&profile, &Options::default(), None));
        assert_eq!(lines, [("a".into(), 4), ("a;z".into(), 1), ("a (b)".into(), 2), ("a:".into(), 8)]);
    }

    #[test]
    fn the_middle_of_a_deep_stack_is_left_out_and_named() {
        let profile =
            profile(&[(&["a", "b", "c"], 1), (&["a", "b", "c", "d"], 2), (&["a", "b", "x", "c", "d"], 3)]);
        let lines = lines(&Tree::new(&profile, &Options::default(), Some(LIMIT)));
        assert_eq!(lines, [("a;b;[gap];d".into(), 5), ("a;b;c".into(), 1)]);
    }

    #[test]
    fn pruning_keeps_the_total() {
        let mut profile = profile(&[(&["a", "b", "c"], 1), (&["a", "b"], 9), (&["x", "y"], 2), (&["z"], 3)]);
        profile.lost.add(LostReason::Exited, 20);
        let mut tree = Tree::new(&profile, &Options::default(), None);
        tree.prune(5, "[rest]");
        assert_eq!(
            lines(&tree),
            [("[lost: exited while read]".into(), 20), ("[rest]".into(), 5), ("a;b".into(), 10)]
        );
        assert_eq!(tree.total(), 35);
    }

    #[test]
    fn what_is_lost_of_a_process_is_below_it_where_processes_are_shown() {
        let mut profile = profile(&[(&["a"], 1)]);
        let process = profile.threads[crate::ThreadId::from_index(0)].process;
        profile.lost.add_of(process, LostReason::Exited, 2);
        profile.lost.add(LostReason::Exited, 4);
        let of = |options: &Options| lines(&Tree::new(&profile, options, None));
        assert_eq!(
            of(&Options { by_process: true, ..Options::default() }),
            [
                ("[lost: exited while read]".into(), 4),
                ("process 1:\"\";[lost: exited while read]".into(), 2),
                ("process 1:\"\";a".into(), 1)
            ]
        );
        let all = of(&Options::default());
        assert_eq!(all, [("[lost: exited while read]".into(), 6), ("a".into(), 1)]);
    }

    #[test]
    fn threads_are_roots_where_asked_for() {
        let profile = profile(&[(&["a"], 1), (&[], 2)]);
        let options = Options { by_thread: true, ..Options::default() };
        let lines = lines(&Tree::new(&profile, &options, None));
        assert_eq!(lines, [("thread (1);[no frames]".into(), 2), ("thread (1);a".into(), 1)]);
    }
}
