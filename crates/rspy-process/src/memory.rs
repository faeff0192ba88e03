//! The seam under everything that reads a target: a live process, a fault
//! injector, later a core file or a recorded snapshot.

use nix::sys::uio::RemoteIoVec;

use crate::Address;

/// Why a read of the target's memory failed. Small and `Copy`, since it is made
/// on the sampling thread; it carries the address so that a message can name it.
#[derive(Copy, Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// Nothing readable is mapped there.
    #[error("{len} bytes at {at} are not readable")]
    Fault {
        /// First byte of the range that was asked for.
        at: Address,
        /// Length of that range in bytes.
        len: usize,
    },
    /// The kernel refuses: other user, Yama, seccomp or a missing capability.
    #[error("the kernel does not permit reading the process's memory")]
    Denied,
    /// The process has exited.
    #[error("the process has exited")]
    Gone,
    /// Any other `errno`.
    #[error("reading the process's memory failed with errno {0}")]
    Os(i32),
}

/// Read access to the memory of one target.
pub trait Memory {
    /// Fills `into` with the bytes at `at`, all or none.
    fn read(&self, at: Address, into: &mut [u8]) -> Result<(), ReadError>;

    /// Reads every range of `batch`, in as few system calls as the source can.
    /// Each range has its own result: a bad one does not cost the others.
    fn read_many(&self, batch: &mut Batch) {
        read_one_by_one(self, batch);
    }

    /// The `len` bytes at `at` if they have been copied already: a source that reads ahead
    /// hands out what it has without another copy.
    fn copied(&self, _at: Address, _len: usize) -> Option<&[u8]> {
        None
    }

    /// `N` bytes at `at`.
    fn array<const N: usize>(&self, at: Address) -> Result<[u8; N], ReadError> {
        let mut bytes = [0; N];
        self.read(at, &mut bytes)?;
        Ok(bytes)
    }

    /// The 32-bit little-endian word at `at`.
    fn u32(&self, at: Address) -> Result<u32, ReadError> {
        self.array(at).map(u32::from_le_bytes)
    }

    /// The 64-bit little-endian word at `at`.
    fn u64(&self, at: Address) -> Result<u64, ReadError> {
        self.array(at).map(u64::from_le_bytes)
    }

    /// The pointer at `at`.
    fn address(&self, at: Address) -> Result<Address, ReadError> {
        self.u64(at).map(Address)
    }

    /// `len` bytes at `at`. The caller bounds `len`: it may come from the target.
    fn bytes(&self, at: Address, len: usize) -> Result<Vec<u8>, ReadError> {
        let mut bytes = vec![0; len];
        self.read(at, &mut bytes)?;
        Ok(bytes)
    }

    /// The bytes before the first NUL at `at`, at most `limit` of them.
    /// Reads up to page ends, so that a string before an unmapped page is found.
    fn c_string(&self, at: Address, limit: usize) -> Result<Vec<u8>, ReadError> {
        const PAGE: u64 = 4096;
        let mut text = Vec::new();
        let mut from = at;
        while text.len() < limit {
            let to_page_end = (PAGE - from.0 % PAGE) as usize;
            let chunk = self.bytes(from, to_page_end.min(256).min(limit - text.len()))?;
            if let Some(end) = chunk.iter().position(|byte| *byte == 0) {
                text.extend_from_slice(&chunk[..end]);
                return Ok(text);
            }
            from = from.offset(chunk.len() as u64);
            text.extend_from_slice(&chunk);
        }
        Ok(text)
    }
}

/// What [`Memory::read_many`] means, a call for each range.
pub(crate) fn read_one_by_one(memory: &(impl Memory + ?Sized), batch: &mut Batch) {
    let Batch { ranges, bytes, .. } = batch;
    for range in ranges {
        range.outcome = memory.read(range.at, &mut bytes[range.start..range.start + range.len]);
    }
}

impl<M: Memory + ?Sized> Memory for &M {
    fn read(&self, at: Address, into: &mut [u8]) -> Result<(), ReadError> {
        (**self).read(at, into)
    }

    fn read_many(&self, batch: &mut Batch) {
        (**self).read_many(batch)
    }

    fn copied(&self, at: Address, len: usize) -> Option<&[u8]> {
        (**self).copied(at, len)
    }
}

/// Ranges to be read together, and the bytes that came back. Kept between uses,
/// it allocates only until it has seen its largest batch.
#[derive(Default)]
pub struct Batch {
    pub(crate) ranges: Vec<Range>,
    /// Longer than what is asked for once a larger batch was read: what is behind `used`
    /// is left over from then.
    pub(crate) bytes: Vec<u8>,
    used: usize,
    /// The ranges as the kernel wants them, kept for its storage.
    pub(crate) remote: Vec<RemoteIoVec>,
}

#[derive(Copy, Clone)]
pub(crate) struct Range {
    pub(crate) at: Address,
    pub(crate) start: usize,
    pub(crate) len: usize,
    pub(crate) outcome: Result<(), ReadError>,
}

impl Batch {
    /// An empty batch.
    pub fn new() -> Batch {
        Batch::default()
    }

    /// Forgets all ranges; keeps the storage.
    pub fn clear(&mut self) {
        self.ranges.clear();
        self.used = 0;
    }

    /// Asks for `len` bytes at `at`; the answer is the handle for [`get`](Batch::get).
    /// Until the batch is read, that range counts as failed.
    pub fn push(&mut self, at: Address, len: usize) -> usize {
        let start = self.used;
        self.used += len;
        if self.bytes.len() < self.used {
            self.bytes.resize(self.used, 0);
        }
        let outcome = Err(ReadError::Fault { at, len });
        self.ranges.push(Range { at, start, len, outcome });
        self.ranges.len() - 1
    }

    /// The bytes of range `index`, or why they could not be read.
    #[inline]
    pub fn get(&self, index: usize) -> Result<&[u8], ReadError> {
        match self.ranges.get(index) {
            Some(range) => {
                range.outcome?;
                Ok(&self.bytes[range.start..range.start + range.len])
            }
            None => Err(ReadError::Fault { at: Address::NULL, len: 0 }),
        }
    }

    /// How many bytes were asked for.
    pub fn size(&self) -> usize {
        self.used
    }

    /// How many ranges were asked for.
    pub fn len(&self) -> usize {
        self.ranges.len()
    }

    /// Whether nothing was asked for.
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }
}

/// The little-endian word of `width` (1, 2, 4 or 8) bytes at `offset` of `bytes`;
/// `None` where it does not lie inside. What every structure of a target is
/// taken apart with, so that no offset can panic.
#[inline]
pub fn word(bytes: &[u8], offset: usize, width: usize) -> Option<u64> {
    let slice = bytes.get(offset..offset.checked_add(width)?)?;
    let mut padded = [0; 8];
    padded.get_mut(..width)?.copy_from_slice(slice);
    Some(u64::from_le_bytes(padded))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One mapped range, everything else unmapped.
    struct One(u64, Vec<u8>);

    impl Memory for One {
        fn read(&self, at: Address, into: &mut [u8]) -> Result<(), ReadError> {
            let fault = ReadError::Fault { at, len: into.len() };
            let start = at.0.checked_sub(self.0).ok_or(fault)? as usize;
            let slice = self.1.get(start..start + into.len()).ok_or(fault)?;
            into.copy_from_slice(slice);
            Ok(())
        }
    }

    #[test]
    fn a_bad_range_does_not_cost_the_others() {
        let memory = One(4096, vec![7; 64]);
        let mut batch = Batch::new();
        let good = batch.push(Address(4096), 8);
        let bad = batch.push(Address(1), 8);
        let also_good = batch.push(Address(4100), 4);
        memory.read_many(&mut batch);
        assert_eq!(batch.get(good), Ok(&[7; 8][..]));
        assert_eq!(batch.get(bad), Err(ReadError::Fault { at: Address(1), len: 8 }));
        assert_eq!(batch.get(also_good), Ok(&[7; 4][..]));
    }

    #[test]
    fn a_string_that_ends_with_its_page_is_read() {
        let mut bytes = vec![b'x'; 4096];
        bytes[4095] = 0;
        let memory = One(4096, bytes);
        assert_eq!(memory.c_string(Address(8000), 1000), Ok(vec![b'x'; 191]));
        assert_eq!(memory.c_string(Address(8000), 10), Ok(vec![b'x'; 10]));
    }

    #[test]
    fn words_outside_are_none() {
        assert_eq!(word(&[1, 2, 3, 4], 0, 4), Some(0x0403_0201));
        assert_eq!(word(&[1, 2, 3, 4], 1, 4), None);
        assert_eq!(word(&[1], usize::MAX, 8), None);
    }
}
