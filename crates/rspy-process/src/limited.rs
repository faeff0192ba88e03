//! A memory of which only so much can be read.

use std::cell::Cell;

use crate::memory::read_one_by_one;
use crate::{Address, Batch, Memory, ReadError};

/// What a read costs beside its bytes: about as many bytes as could be copied meanwhile.
const READ: u64 = 256;

/// Passes reads on to `inner` until they have cost as much as was allowed; what comes
/// after is not readable.
///
/// Every structure that is read has a bound of its own, but where structures lead to
/// structures the bounds multiply, and a target that is damaged or means harm could keep
/// a reader busy for days. This bounds the whole.
pub struct Limited<M> {
    inner: M,
    left: Cell<u64>,
}

impl<M: Memory> Limited<M> {
    /// Allows reads of `bytes` bytes altogether, each counted with 256 more.
    pub fn new(inner: M, bytes: u64) -> Self {
        Limited { inner, left: Cell::new(bytes) }
    }

    /// Takes what `reads` reads of `bytes` bytes cost, if that is left.
    fn take(&self, reads: usize, bytes: usize) -> bool {
        let cost = (reads as u64).saturating_mul(READ).saturating_add(bytes as u64);
        match self.left.get().checked_sub(cost) {
            Some(left) => {
                self.left.set(left);
                true
            }
            None => false,
        }
    }
}

impl<M: Memory> Memory for Limited<M> {
    fn read(&self, at: Address, into: &mut [u8]) -> Result<(), ReadError> {
        if !self.take(1, into.len()) {
            return Err(ReadError::Fault { at, len: into.len() });
        }
        self.inner.read(at, into)
    }

    fn read_many(&self, batch: &mut Batch) {
        if self.take(batch.len(), batch.bytes.len()) {
            self.inner.read_many(batch);
        } else {
            read_one_by_one(self, batch);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Zeroes;

    impl Memory for Zeroes {
        fn read(&self, _: Address, into: &mut [u8]) -> Result<(), ReadError> {
            into.fill(0);
            Ok(())
        }
    }

    #[test]
    fn reads_end_with_what_is_allowed() {
        let memory = Limited::new(Zeroes, 3 * (READ + 8) + READ);
        assert_eq!(memory.u64(Address(1)), Ok(0));
        let mut batch = Batch::new();
        for at in 0..4 {
            batch.push(Address(at), 8);
        }
        memory.read_many(&mut batch);
        let read: Vec<bool> = (0..4).map(|index| batch.get(index).is_ok()).collect();
        assert_eq!(read, [true, true, false, false]);
        // What is too large leaves the rest for what is not.
        assert!(memory.bytes(Address(0), 1).is_err());
        assert!(memory.bytes(Address(0), 0).is_ok());
    }
}
