//! The stack of a thread that stands still: read ahead in one call, followed as usual.

use rspy_process::{Address, Batch, Memory, ReadError};

use super::ranges::Ranges;
use super::watch::{Asked, Watch};

/// The target's memory, of which some was read into a batch already. Only for as long as
/// nothing changes.
pub(super) struct Ahead<'a, M> {
    pub memory: &'a M,
    pub batch: &'a Batch,
    pub ranges: &'a Ranges,
    pub loops: &'a Ranges,
    pub state: Address,
    pub asked: Asked,
}

impl<'a, M: Memory> Ahead<'a, M> {
    pub fn new(memory: &'a M, watch: &'a Watch, asked: Asked, batch: &'a Batch) -> Ahead<'a, M> {
        Ahead { memory, batch, ranges: &watch.ranges, loops: &watch.loops, state: watch.state.address, asked }
    }
}

impl<M: Memory> Memory for Ahead<'_, M> {
    fn read(&self, at: Address, into: &mut [u8]) -> Result<(), ReadError> {
        match self.copied(at, into.len()) {
            Some(bytes) => {
                into.copy_from_slice(bytes);
                Ok(())
            }
            None => self.memory.read(at, into),
        }
    }

    fn read_many(&self, batch: &mut Batch) {
        self.memory.read_many(batch);
    }

    fn copied(&self, at: Address, len: usize) -> Option<&[u8]> {
        if let Some(offset) = at.since(self.state)
            && let Ok(state) = self.batch.get(self.asked.state)
            && let Some(bytes) =
                usize::try_from(offset).ok().and_then(|offset| state.get(offset..)?.get(..len))
        {
            return Some(bytes);
        }
        let ahead = self.ranges.at(at, self.batch, self.asked.first, len);
        ahead.or_else(|| self.loops.at(at, self.batch, self.asked.loops, len))
    }
}
