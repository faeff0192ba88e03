//! One function: who calls it, what it calls, and its lines.

use std::collections::HashMap;
use std::hash::Hash;

use super::sums::{StackSums, by_stack};
use super::{Choice, State};

/// What is around a function, each in samples of the window, the most first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Around {
    /// Samples with it on the stack.
    pub total: u64,
    /// The same in per cent of the time.
    pub percent: f64,
    /// The functions that called it; `None` is a thread that began with it.
    pub callers: Vec<(Option<usize>, u64)>,
    /// The functions that it called; `None` is itself.
    pub callees: Vec<(Option<usize>, u64)>,
    /// Its lines, with samples that were in the line itself.
    pub lines: Vec<(Option<u32>, u64, u64)>,
}

/// What is around a function. Of a recursion the outermost call counts for the callers, the innermost one for the rest.
pub fn around(state: &State, choice: &Choice, function: usize) -> Around {
    let StackSums { stacks, window } = by_stack(state, choice);
    let mut callers: HashMap<Option<usize>, u64> = HashMap::new();
    let mut callees: HashMap<Option<usize>, u64> = HashMap::new();
    let mut lines: HashMap<Option<u32>, (u64, u64)> = HashMap::new();
    let mut total = 0;
    for (stack, weight, _) in stacks.into_iter().filter(|(_, weight, _)| *weight > 0) {
        let mut above = None;
        let mut innermost = None;
        let mut caller = None;
        let mut is_inside = false;
        for line in state.leaf_first(stack).filter_map(|line| state.lines.get_index(line)) {
            if std::mem::replace(&mut is_inside, line.function == function) && !is_inside {
                caller = Some(line.function);
            }
            if is_inside {
                innermost.get_or_insert((line.line, above));
                caller = None;
            }
            above = Some(line.function);
        }
        let Some((line, callee)) = innermost else { continue };
        total += weight;
        *callers.entry(caller).or_default() += weight;
        *callees.entry(callee).or_default() += weight;
        let sums = lines.entry(line).or_default();
        sums.0 += weight;
        sums.1 += if callee.is_none() { weight } else { 0 };
    }
    let mut lines: Vec<_> = lines.into_iter().map(|(line, (total, own))| (line, total, own)).collect();
    lines.sort();
    Around {
        total,
        percent: window.percent(total),
        callers: most_first(callers),
        callees: most_first(callees),
        lines,
    }
}

fn most_first<K: Hash + Eq + Ord + Copy>(sums: HashMap<K, u64>) -> Vec<(K, u64)> {
    let mut sums: Vec<(K, u64)> = sums.into_iter().collect();
    sums.sort_by_key(|(key, weight)| (std::cmp::Reverse(*weight), *key));
    sums
}
