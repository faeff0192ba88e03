//! A flame graph from left to right in the order of time, each thread on its own.
//!
//! The time is divided into [`PARTS`], and what is in one of them is drawn as a flame graph of its own; frames that go on in the
//! next one are drawn as one. Samples that are not shown, of idle threads above all, keep their place.

use std::collections::BTreeMap;
use std::fmt::Write;

use inferno::flamegraph::color::PaletteMap;

use super::{DEPTH, palette};
use crate::fold::Folded;
use crate::options::Options;
use crate::process::ProcessId;
use crate::profile::Profile;
use crate::samples::Run;
use crate::stack::StackId;
use crate::thread::ThreadId;
use crate::tree::Tree;

/// In so many parts is the time divided: two pixels each, of a picture that is not zoomed.
const PARTS: u128 = 600;

/// The share of all that is drawn at least, where a part holds many things: one in so many.
const NARROWEST: u64 = 20_000;

/// The label of what is narrower than that.
const NARROW: &str = "[under 0.005 %]";

/// The label of samples that are not shown.
const IDLE: &str = "[idle]";

/// Whose samples, and in which part of the time.
type Place = (Option<ProcessId>, ThreadId, u128);

/// All stacks in the order of time as folded text, and the colours of what is in them.
pub(super) fn lines(profile: &Profile, options: &Options, palette: &mut PaletteMap) -> String {
    let mut lines = String::new();
    let all: u64 = profile.samples().iter().map(Run::weight).sum();
    let least = all.div_ceil(NARROWEST);
    for ((process, thread, _), stacks) in parts(profile, options) {
        let folded = |(stack, weight): (&Option<StackId>, &u64)| {
            stack.map(|stack| Folded { process, thread: Some(thread), stack, weight: *weight })
        };
        let mut tree = Tree::of(profile, options, Some(DEPTH), stacks.iter().filter_map(folded));
        if let Some(idle) = stacks.get(&None) {
            let root = tree.root(profile, process, Some(thread));
            tree.add_note(root, IDLE, *idle);
        }
        tree.prune(least, NARROW);
        palette::add(palette, profile, &tree);
        tree.visit(|stack, weight| writeln!(lines, "{stack} {weight}")).expect("writing to a String");
    }
    lines
}

/// The weight of each stack in each part of the time, in its order. Without a stack are those that are not shown.
fn parts(profile: &Profile, options: &Options) -> BTreeMap<Place, BTreeMap<Option<StackId>, u64>> {
    let end = profile.samples().iter().map(|run| run.until.max(run.sample.at)).max().unwrap_or_default();
    let begin = profile.samples().iter().map(|run| run.sample.at).min().unwrap_or_default();
    let length = u128::from(end - begin.min(end)) + 1;
    let mut parts: BTreeMap<Place, BTreeMap<Option<StackId>, u64>> = BTreeMap::new();
    for run in profile.samples() {
        let sample = run.sample;
        let stack = options.include(&sample).then_some(sample.stack);
        let process = options.by_process.then(|| profile.threads[sample.thread].process);
        for at in run.times() {
            let part = u128::from(at.saturating_sub(begin)) * PARTS / length;
            *parts.entry((process, sample.thread, part)).or_default().entry(stack).or_default() +=
                sample.weight;
        }
    }
    parts
}
