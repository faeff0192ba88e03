//! The functions, or lines, by the time spent in them.

use super::sums::{StackSums, by_stack};
use super::{Choice, State};

/// A function or a line.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// The function, or line, by its index.
    pub index: usize,
    /// Samples in the window in which it was executed itself.
    pub own_samples: u64,
    /// Samples in the window with it on the stack.
    pub total_samples: u64,
    /// The first in per cent of the time; 100 is one thread all the time.
    pub own: f64,
    /// The second in per cent of the time.
    pub total: f64,
    /// Seconds in it since the beginning.
    pub own_seconds: f64,
    /// Seconds in it and in what it called.
    pub total_seconds: f64,
}

/// What rows are sorted by.
#[derive(clap::ValueEnum, Copy, Clone, Debug, Default, PartialEq, Eq)]
pub enum Sort {
    /// Time in it, in the window.
    #[default]
    Own,
    /// Time in it and what it called, in the window.
    Total,
    /// Time in it, since the beginning.
    OwnSeconds,
    /// Time in it and what it called, since the beginning.
    TotalSeconds,
    /// Its name.
    Name,
    /// Its file and line.
    File,
}

impl Sort {
    /// All, in the order of the columns.
    pub const ALL: [Sort; 6] =
        [Sort::Own, Sort::Total, Sort::OwnSeconds, Sort::TotalSeconds, Sort::Name, Sort::File];
}

/// The name, file and line of a row.
pub fn place(state: &State, by_line: bool, index: usize, full: bool) -> (&str, &str, Option<u32>) {
    let (function, line) = match by_line {
        true => match state.lines.get_index(index) {
            Some(line) => (line.function, line.line),
            None => return ("", "", None),
        },
        false => (index, state.function(index).and_then(|function| function.first_line)),
    };
    match state.function(function) {
        Some(function) => (&function.name, if full { &function.file } else { &function.short_file }, line),
        None => ("", "", None),
    }
}

/// Which function a line is in, or the line itself where lines are told apart.
pub fn index_of(state: &State, by_line: bool, line: usize) -> usize {
    if by_line { line } else { state.lines.get_index(line).map_or(0, |line| line.function) }
}

/// Every row, in the order asked for.
pub fn rows(state: &State, choice: &Choice, sort: Sort, is_reversed: bool) -> Vec<Row> {
    let StackSums { stacks, window } = by_stack(state, choice);
    let count = if choice.by_line { state.lines.len() } else { state.functions.len() };
    let mut sums: Vec<Sum> = vec![Sum::default(); count];
    for (stack, weight, seconds) in stacks {
        let mut is_leaf = true;
        for line in state.leaf_first(stack) {
            let Some(sum) = sums.get_mut(index_of(state, choice.by_line, line)) else { continue };
            if std::mem::take(&mut is_leaf) {
                sum.own += weight;
                sum.own_seconds += seconds;
            }
            // A recursion counts once.
            if std::mem::replace(&mut sum.counted, stack) != stack {
                sum.total += weight;
                sum.total_seconds += seconds;
            }
        }
    }
    let met = sums.into_iter().enumerate().filter(|(_, sum)| sum.total_seconds > 0.0);
    let mut rows: Vec<Row> = met
        .map(|(index, sum)| Row {
            index,
            own_samples: sum.own,
            total_samples: sum.total,
            own: window.percent(sum.own),
            total: window.percent(sum.total),
            own_seconds: sum.own_seconds,
            total_seconds: sum.total_seconds,
        })
        .collect();
    let name = |row: &Row| place(state, choice.by_line, row.index, true);
    rows.sort_by(|one, other| {
        let by_time = |key: fn(&Row) -> f64| key(other).total_cmp(&key(one));
        let by_name = || name(one).cmp(&name(other));
        let by_file = || (name(one).1, name(one).2).cmp(&(name(other).1, name(other).2));
        let order = match sort {
            Sort::Own => by_time(|row| row.own),
            Sort::Total => by_time(|row| row.total),
            Sort::OwnSeconds => by_time(|row| row.own_seconds),
            Sort::TotalSeconds => by_time(|row| row.total_seconds),
            Sort::Name => by_name(),
            Sort::File => by_file(),
        };
        let order = if is_reversed { order.reverse() } else { order };
        order
            .then_with(|| by_time(|row| row.total))
            .then_with(|| by_time(|row| row.total_seconds))
            .then_with(by_name)
    });
    rows
}

#[derive(Clone, Debug, Default)]
struct Sum {
    own: u64,
    total: u64,
    own_seconds: f64,
    total_seconds: f64,
    /// The stack that was counted last; the empty one has no rows.
    counted: usize,
}
