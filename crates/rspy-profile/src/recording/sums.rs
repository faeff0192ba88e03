//! Samples added up by the numbers of the file, where their times do not matter: there are millions of them, in no order that a
//! table likes, so each is looked up once.

use rustc_hash::FxHashMap;

use super::samples::Encoded;

/// How many weights are kept at most, of 8 bytes each.
const MOST: usize = 8 << 20;

/// So many samples are added at once: the processor waits for memory at each, and does so for many at a time only where
/// nothing else is between them.
const AT_ONCE: usize = 2048;

/// Weights of samples, by thread, state and stack.
#[derive(Debug, Default)]
pub(super) struct Sums {
    /// Of a thread and a state, where their weights are.
    rows: FxHashMap<(usize, u8), usize>,
    /// By row and number of the stack.
    weights: Vec<Vec<u64>>,
    /// How many weights there are in all rows.
    size: usize,
    /// Row, stack and weight of samples that are not in their sums yet, though there is room for them.
    pending: Vec<(usize, usize, u64)>,
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
        self.pending.push((row, sample.stack, sample.weight));
        if self.pending.len() == AT_ONCE {
            self.add_pending();
        }
        true
    }

    fn add_pending(&mut self) {
        for (row, stack, weight) in self.pending.drain(..) {
            let sum = &mut self.weights[row][stack];
            // A profile takes less than this.
            *sum = sum.saturating_add(weight);
        }
    }

    /// All of them as one sample each, without a time.
    pub(super) fn into_all(mut self) -> impl Iterator<Item = Encoded> {
        self.add_pending();
        let mut rows: Vec<_> = self.rows.into_iter().collect();
        rows.sort_unstable_by_key(|(_, row)| *row);
        rows.into_iter().flat_map(move |((thread, state), row)| {
            let weights = std::mem::take(&mut self.weights[row]);
            let sums = weights.into_iter().enumerate().filter(|(_, weight)| *weight > 0);
            sums.map(move |(stack, weight)| Encoded { at: 0, thread, stack, state, weight })
        })
    }
}
