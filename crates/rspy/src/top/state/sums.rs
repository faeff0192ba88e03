//! Sums of samples: since the beginning, and in each of the last seconds.

use std::collections::VecDeque;
use std::time::Duration;

use super::{Choice, State};

/// The most seconds that are kept one by one.
pub const MOST_SECONDS: usize = 600;

/// Samples of one thread with one stack in one state.
#[derive(Clone, Debug)]
pub struct Run {
    /// The thread, by its index.
    pub thread: usize,
    /// The stack, by its index.
    pub stack: usize,
    /// The thread was asleep or waited.
    pub is_idle: bool,
    /// It held the GIL.
    pub owns_gil: bool,
    /// It waited for the GIL.
    pub waits_for_gil: bool,
    /// It collected garbage.
    pub collects: bool,
    /// What all of its samples weigh, as told last.
    pub told: u64,
    /// What those since the last reset weigh.
    pub weight: u64,
    /// The time they stand for, in seconds.
    pub seconds: f64,
}

/// One second.
#[derive(Clone, Debug, Default)]
struct Bucket {
    elapsed: Duration,
    passes: u64,
    /// What the samples weigh of each run that was met, by its index.
    weights: Vec<(usize, u64)>,
}

/// The samples.
#[derive(Clone, Debug, Default)]
pub struct Sums {
    /// All runs, in the order in which they were met.
    pub runs: Vec<Run>,
    buckets: VecDeque<Bucket>,
    /// Time and passes since the last reset.
    all: (Duration, u64),
}

/// Sums of some time.
#[derive(Clone, Debug, Default)]
pub struct Window {
    /// How long it is.
    pub elapsed: Duration,
    /// How often it was looked at all threads.
    pub passes: u64,
    /// What the samples weigh, by run.
    pub weights: Vec<u64>,
}

impl Window {
    /// Samples in per cent of the time: 100 is one thread all the time.
    pub fn percent(&self, weight: u64) -> f64 {
        crate::figures::percent(weight as f64, self.passes as f64)
    }
}

impl Sums {
    /// Takes note of some time that has passed, of looks in it, and of what all samples of each run weigh now.
    pub fn add(&mut self, elapsed: Duration, passes: u64, told: impl Iterator<Item = u64>) {
        // A second is over when the next one begins, so that the last seconds are whole ones and what is just begun.
        if self.buckets.back().is_none_or(|bucket| bucket.elapsed >= Duration::from_millis(900)) {
            if self.buckets.len() == MOST_SECONDS {
                self.buckets.pop_front();
            }
            self.buckets.push_back(Bucket::default());
        }
        let Some(bucket) = self.buckets.back_mut() else { return };
        let period = elapsed.as_secs_f64() / passes.max(1) as f64;
        bucket.elapsed += elapsed;
        bucket.passes += passes;
        self.all = (self.all.0 + elapsed, self.all.1 + passes);
        for (index, (run, told)) in self.runs.iter_mut().zip(told).enumerate() {
            let weight = told.saturating_sub(run.told);
            if weight > 0 {
                run.told = told;
                run.weight += weight;
                run.seconds += weight as f64 * period;
                bucket.weights.push((index, weight));
            }
        }
    }

    /// Forgets all but what runs there are.
    pub fn reset(&mut self) {
        for run in &mut self.runs {
            (run.weight, run.seconds) = (0, 0.0);
        }
        self.buckets.clear();
        self.all = Default::default();
    }

    /// The sums of the last so many seconds, or since the last reset.
    pub fn window(&self, seconds: Option<u64>) -> Window {
        let Some(seconds) = seconds else {
            let weights = self.runs.iter().map(|run| run.weight).collect();
            return Window { elapsed: self.all.0, passes: self.all.1, weights };
        };
        let mut window = Window { weights: vec![0; self.runs.len()], ..Window::default() };
        for bucket in self.buckets.iter().rev().take(usize::try_from(seconds).unwrap_or(MOST_SECONDS)) {
            window.elapsed += bucket.elapsed;
            window.passes += bucket.passes;
            for (run, weight) in &bucket.weights {
                window.weights[*run] += weight;
            }
        }
        window
    }
}

/// What the samples of each stack come to.
#[derive(Clone, Debug, Default)]
pub struct StackSums {
    /// The stacks that have any: each with what weighs in the window, and with the seconds since the last reset.
    pub stacks: Vec<(usize, u64, f64)>,
    /// The window.
    pub window: Window,
}

/// The sums of the stacks that are chosen.
pub fn by_stack(state: &State, choice: &Choice) -> StackSums {
    let window = state.sums.window(choice.window);
    let mut sums = vec![(0, 0.0); state.stacks.len()];
    for (run, weight) in state.sums.runs.iter().zip(&window.weights) {
        if run.weight > 0
            && choice.includes(run)
            && let Some(sum) = sums.get_mut(run.stack)
        {
            sum.0 += weight;
            sum.1 += run.seconds;
        }
    }
    let stacks = sums.into_iter().enumerate().filter(|(_, (_, seconds))| *seconds > 0.0);
    let stacks = stacks.map(|(stack, (weight, seconds))| (stack, weight, seconds)).collect();
    StackSums { stacks, window }
}
