//! A made-up memory that counts what is asked of it.

use std::cell::Cell;

use rspy_process::{Address, Memory, ReadError};

/// How much may be asked of a memory; going beyond is a finding, and panics.
#[derive(Copy, Clone, Debug)]
pub struct Limits {
    /// Reads.
    pub reads: u64,
    /// Bytes in all reads together, failed ones included: who asks for bytes has made room for them.
    pub bytes: u64,
}

/// Regions of bytes at addresses; what lies between them is not mapped.
pub struct Synthetic {
    /// (start, content), in address order, without overlap.
    regions: Vec<(u64, Vec<u8>)>,
    limits: Limits,
    reads: Cell<u64>,
    bytes: Cell<u64>,
}

impl Synthetic {
    /// A memory of these regions. Of two that overlap the one that begins later is left out.
    pub fn new(mut regions: Vec<(u64, Vec<u8>)>, limits: Limits) -> Synthetic {
        regions.sort_by_key(|(start, _)| *start);
        let mut end = 0;
        regions.retain(|(start, content)| {
            let is_free = *start >= end && start.checked_add(content.len() as u64).is_some();
            if is_free {
                end = start + content.len() as u64;
            }
            is_free
        });
        Synthetic { regions, limits, reads: Cell::new(0), bytes: Cell::new(0) }
    }

    /// How many reads were asked for.
    pub fn reads(&self) -> u64 {
        self.reads.get()
    }
}

impl Memory for Synthetic {
    fn read(&self, at: Address, into: &mut [u8]) -> Result<(), ReadError> {
        self.reads.set(self.reads.get() + 1);
        self.bytes.set(self.bytes.get() + into.len() as u64);
        assert!(self.reads.get() <= self.limits.reads, "more than {} reads", self.limits.reads);
        assert!(self.bytes.get() <= self.limits.bytes, "more than {} bytes read", self.limits.bytes);
        let fault = ReadError::Fault { at, len: into.len() };
        let index = self.regions.partition_point(|(start, _)| *start <= at.0);
        let (start, content) = index.checked_sub(1).and_then(|index| self.regions.get(index)).ok_or(fault)?;
        let offset = (at.0 - start) as usize;
        let found = offset.checked_add(into.len()).and_then(|end| content.get(offset..end)).ok_or(fault)?;
        into.copy_from_slice(found);
        Ok(())
    }
}
