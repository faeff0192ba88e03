//! How to wait, within a limit, for what only polling can show.

use std::thread;
use std::time::{Duration, Instant};

/// Polling without pause. A thread that has a CPU answers within ten microseconds;
/// one that has not may be waiting for ours.
const SPIN: Duration = Duration::from_micros(20);
/// The first pause, doubled up to the last. Short, as a thread that has stopped
/// stands still until we look; not shorter, or we keep it from stopping.
/// (`sched_yield` instead costs us the rest of our time slice: measured, 3 ms.)
const FIRST_PAUSE: Duration = Duration::from_micros(10);
const LAST_PAUSE: Duration = Duration::from_micros(200);

/// Paces a polling loop until its deadline. (A blocking wait for one thread
/// cannot be bounded without taking over a signal of the whole process.)
pub(super) struct Pace {
    start: Instant,
    deadline: Instant,
    pause: Duration,
}

impl Pace {
    /// Begins at `start`, ends after `limit`.
    pub fn new(start: Instant, limit: Duration) -> Pace {
        // A limit beyond what the clock can count is as good as an hour.
        let deadline = start.checked_add(limit).unwrap_or(start + Duration::from_secs(3600));
        Pace { start, deadline, pause: FIRST_PAUSE }
    }

    /// Waits until it is worth to look again; false once the time is over.
    pub fn again(&mut self) -> bool {
        let now = Instant::now();
        let left = self.deadline.saturating_duration_since(now);
        if left.is_zero() {
            return false;
        }
        if now.duration_since(self.start) >= SPIN {
            thread::sleep(self.pause.min(left));
            self.pause = (self.pause * 2).min(LAST_PAUSE);
        }
        true
    }
}
