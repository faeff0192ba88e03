//! A memory whose n-th read fails: how tests prove that no read is trusted.

use std::cell::Cell;

use crate::memory::read_one_by_one;
use crate::{Address, Batch, Memory, ReadError};

/// Passes reads on to `inner` until the one numbered `fail_at` (from 0), which
/// fails; with `forever`, so do all that follow.
pub struct FaultInjector<M> {
    inner: M,
    fail_at: u64,
    forever: bool,
    reads: Cell<u64>,
}

impl<M: Memory> FaultInjector<M> {
    /// Fails read number `fail_at`, and all later ones if `forever`.
    pub fn new(inner: M, fail_at: u64, forever: bool) -> Self {
        FaultInjector { inner, fail_at, forever, reads: Cell::new(0) }
    }

    /// How many reads were asked for. A test checks that this passed `fail_at`:
    /// a fault that was never hit has proved nothing.
    pub fn reads(&self) -> u64 {
        self.reads.get()
    }
}

impl<M: Memory> Memory for FaultInjector<M> {
    fn read(&self, at: Address, into: &mut [u8]) -> Result<(), ReadError> {
        let number = self.reads.get();
        self.reads.set(number + 1);
        if number == self.fail_at || (self.forever && number > self.fail_at) {
            return Err(ReadError::Fault { at, len: into.len() });
        }
        self.inner.read(at, into)
    }

    /// Every range is a read of its own; where none of them is to fail, they stay
    /// one batch.
    fn read_many(&self, batch: &mut Batch) {
        let first = self.reads.get();
        let last = first + batch.len() as u64;
        if last <= self.fail_at || (first > self.fail_at && !self.forever) {
            self.reads.set(last);
            self.inner.read_many(batch);
        } else {
            read_one_by_one(self, batch);
        }
    }
}
