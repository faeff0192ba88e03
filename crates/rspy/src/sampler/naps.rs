//! Threads that sleep on with the stack that they had. Where only sums of samples matter, those of one sleep are
//! handed on as one, a few times a second: a program of a thousand threads has a thousand such samples in each pass,
//! and nothing new in any of them.

use std::time::{Duration, Instant};

use super::Taken;

/// How often they are handed on.
const HAND_ON: Duration = Duration::from_millis(100);

/// The samples that wait to be handed on.
pub struct Naps {
    /// By number of the thread.
    waiting: Vec<Option<Taken>>,
    handed_on: Instant,
}

impl Naps {
    /// Of nobody yet.
    pub fn new(now: Instant) -> Naps {
        Naps { waiting: Vec::new(), handed_on: now }
    }

    /// One more sample of a thread that sleeps on. Answers those before it that are of another kind.
    pub fn add(&mut self, taken: Taken) -> Option<Taken> {
        let index = taken.thread as usize;
        if self.waiting.len() <= index {
            self.waiting.resize(index + 1, None);
        }
        let waiting = &mut self.waiting[index];
        match waiting {
            Some(nap) if nap.is_like(&taken) => {
                *nap = Taken { weight: nap.weight.saturating_add(taken.weight), ..taken };
                None
            }
            _ => waiting.replace(taken),
        }
    }

    /// The samples of a thread that sleeps no more.
    pub fn end(&mut self, thread: u32) -> Option<Taken> {
        self.waiting.get_mut(thread as usize)?.take()
    }

    /// All of them, if it is time to.
    pub fn due(&mut self, now: Instant) -> impl Iterator<Item = Taken> {
        let is_due = now.saturating_duration_since(self.handed_on) >= HAND_ON;
        if is_due {
            self.handed_on = now;
        }
        let count = if is_due { self.waiting.len() } else { 0 };
        self.waiting[..count].iter_mut().filter_map(Option::take)
    }

    /// All of them.
    pub fn all(&mut self) -> impl Iterator<Item = Taken> {
        self.waiting.iter_mut().filter_map(Option::take)
    }
}

#[cfg(test)]
mod tests {
    use rspy_cpython::sampling::NodeId;

    use super::*;
    use crate::sampler::Known;

    fn asleep(thread: u32, at: u64) -> Taken {
        Taken {
            at,
            process: 0,
            thread,
            stack: NodeId::ROOT,
            known: Known::Whole,
            stood: true,
            active: Some(false),
            owns_gil: Some(false),
            waits_for_gil: Some(false),
            in_kernel: None,
            collects: Some(false),
            is_collecting: false,
            waits_for: None,
            weight: 2,
        }
    }

    fn weights(naps: impl Iterator<Item = Taken>) -> Vec<(u32, u32)> {
        naps.map(|nap| (nap.thread, nap.weight)).collect()
    }

    #[test]
    fn samples_of_one_sleep_are_one_of_their_weight() {
        let now = Instant::now();
        let mut naps = Naps::new(now);
        for at in 0..5 {
            assert!(naps.add(asleep(3, at)).is_none());
            assert!(naps.add(asleep(0, at)).is_none());
        }
        assert_eq!(weights(naps.due(now + HAND_ON / 2)), []);
        assert_eq!(weights(naps.due(now + HAND_ON)), [(0, 10), (3, 10)]);
        naps.add(asleep(3, 5));
        assert_eq!(weights(naps.due(now + HAND_ON)), []);
        assert_eq!(weights(naps.all()), [(3, 2)]);
    }

    #[test]
    fn a_sleep_ends_when_another_begins_or_the_thread_runs() {
        let mut naps = Naps::new(Instant::now());
        naps.add(asleep(1, 0));
        let waits = Taken { waits_for_gil: Some(true), ..asleep(1, 1) };
        assert_eq!(naps.add(waits).map(|nap| (nap.at, nap.waits_for_gil)), Some((0, Some(false))));
        assert_eq!(naps.end(1).map(|nap| nap.at), Some(1));
        assert!(naps.end(1).is_none() && naps.end(7).is_none());
    }
}
