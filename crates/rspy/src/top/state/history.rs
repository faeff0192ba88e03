//! What the whole tree did, second by second.

use std::collections::VecDeque;

use super::Shares;

/// As many as the widest terminal has room for.
const MOST: usize = 400;

/// One second.
#[derive(Copy, Clone, Debug, Default, PartialEq)]
pub struct Moment {
    /// Shares of it, of all threads together.
    pub shares: Shares,
    /// Memory that was resident, in bytes.
    pub rss: Option<u64>,
}

/// The last seconds.
#[derive(Clone, Debug, Default)]
pub struct History {
    moments: VecDeque<Moment>,
}

impl History {
    /// One more second.
    pub fn add(&mut self, moment: Moment) {
        if self.moments.len() == MOST {
            self.moments.pop_front();
        }
        self.moments.push_back(moment);
    }

    /// The last one.
    pub fn latest(&self) -> Option<&Moment> {
        self.moments.back()
    }

    /// One figure of the last `count` seconds, the latest last.
    pub fn last(&self, count: usize, figure: fn(&Moment) -> Option<f64>) -> Vec<Option<f64>> {
        let skipped = self.moments.len().saturating_sub(count);
        self.moments.iter().skip(skipped).map(figure).collect()
    }
}
