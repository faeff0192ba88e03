//! Samples added up by the numbers of the file, where their times do not matter: there are millions of them, in no order that a
//! table likes, so each is looked up once.

use rustc_hash::FxHashMap;

use super::samples::Encoded;

/// How many weights are kept at most, of 8 bytes each.
const MOST: usize = 8 << 20;

/// Weights of samples, by thread, state and stack.
#[derive(Debug, Default)]
pub(super) struct Sums {
    /// Of a thread and a state, where their weights are.
    rows: FxHashMap<(usize, u8), usize>,
    /// By row and number of the stack.
    weights: Vec<Vec<u64>>,
    /// How many weights there are in all rows.
    size: usize,
}

impl Sums {
    /// Adds a sample. Answers whether there was room for it.
    pub(super) fn add(&mut self, sample: &Encoded) -> bool {
        let row = *self.rows.entry((sample.thread, sample.state)).or_insert(self.weights.len());
        if row == self.weights.len() {
            self.weights.push(Vec::new());
        }
        let weights = &mut self.weights[row];
        if sample.stack >= weights.len() {
            let length = (sample.stack + 1).next_power_of_two();
            if self.size + length - weights.len() > MOST {
                return false;
            }
            self.size += length - weights.len();
            weights.resize(length, 0);
        }
        let sum = weights[sample.stack].checked_add(sample.weight);
        sum.map(|sum| weights[sample.stack] = sum).is_some()
    }

    /// All of them as one sample each, without a time.
    pub(super) fn into_all(mut self) -> impl Iterator<Item = Encoded> {
        let mut rows: Vec<_> = self.rows.into_iter().collect();
        rows.sort_unstable_by_key(|(_, row)| *row);
        rows.into_iter().flat_map(move |((thread, state), row)| {
            let weights = std::mem::take(&mut self.weights[row]);
            let sums = weights.into_iter().enumerate().filter(|(_, weight)| *weight > 0);
            sums.map(move |(stack, weight)| Encoded { at: 0, thread, stack, state, weight })
        })
    }
}
