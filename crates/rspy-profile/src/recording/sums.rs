//! Samples added up before they come to a profile, where their times do not matter: a recording has millions of
//! them, in no order that a hash table likes.

use rustc_hash::FxHashMap;

use crate::profile::Profile;
use crate::sample::{Sample, ThreadState};
use crate::stack::StackId;
use crate::thread::ThreadId;

/// How many weights are kept at most, of 8 bytes each. Where more are needed, samples go straight to the profile.
const MOST: usize = 8 << 20;

/// Weights of samples, by thread, state and stack.
#[derive(Debug, Default)]
pub struct Sums {
    rows: FxHashMap<(ThreadId, ThreadState), usize>,
    /// By index of the stack its column, counted from 1; 0 if it has none. Most stacks are only callers of others.
    columns: Vec<u32>,
    stacks: Vec<StackId>,
    /// By row and column.
    weights: Vec<Vec<u64>>,
    /// How many weights there are in all rows.
    size: usize,
}

impl Sums {
    /// Adds a sample that belongs into `profile`.
    pub fn add(&mut self, sample: Sample, profile: &mut Profile) {
        let column = match self.columns.get(sample.stack.index()) {
            Some(column) if *column > 0 => *column as usize - 1,
            _ => self.new_column(sample.stack),
        };
        let row = *self.rows.entry((sample.thread, sample.state)).or_insert(self.weights.len());
        if row == self.weights.len() {
            self.weights.push(Vec::new());
        }
        let weights = &mut self.weights[row];
        if column >= weights.len() {
            let length = (column + 1).next_power_of_two();
            if self.size + length - weights.len() > MOST {
                profile.add(sample);
                return;
            }
            self.size += length - weights.len();
            weights.resize(length, 0);
        }
        match weights[column].checked_add(sample.weight) {
            Some(sum) => weights[column] = sum,
            None => profile.add(sample),
        }
    }

    fn new_column(&mut self, stack: StackId) -> usize {
        if self.columns.len() <= stack.index() {
            self.columns.resize((stack.index() + 1).next_power_of_two(), 0);
        }
        self.stacks.push(stack);
        self.columns[stack.index()] = self.stacks.len() as u32;
        self.stacks.len() - 1
    }

    /// Adds all of them to `profile`.
    pub fn hand_over(self, profile: &mut Profile) {
        let mut rows: Vec<_> = self.rows.into_iter().collect();
        rows.sort_unstable_by_key(|(_, row)| *row);
        for ((thread, state), row) in rows {
            for (stack, weight) in
                self.stacks.iter().zip(&self.weights[row]).filter(|(_, weight)| **weight > 0)
            {
                profile.add(Sample { at: 0, thread, stack: *stack, weight: *weight, state });
            }
        }
    }
}
