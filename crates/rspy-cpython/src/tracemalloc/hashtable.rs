//! `_Py_hashtable_t`: buckets of linked entries.

use std::ops::Range;

use rspy_process::{Address, Batch, Memory, ReadError, word};

use super::offsets::Offsets;
use super::scattered;

/// `HASHTABLE_MIN_SIZE`.
const MIN_BUCKETS: u64 = 16;
/// More buckets than memory has blocks for.
const MAX_BUCKETS: u64 = 1 << 30;
/// As many buckets are read together.
const BUCKETS: u64 = 1 << 16;
/// Longer chains than blocks at any distance from one another make.
const MAX_CHAIN: usize = 4096;

/// The head of a table, as it was read: another one after a rehash.
#[derive(Copy, Clone, Debug, PartialEq)]
pub(super) struct Hashtable {
    nentries: u64,
    nbuckets: u64,
    buckets: Address,
    /// Of an entry's key, where it is inline.
    key_size: u64,
    /// Of a whole entry, 0 if no entry is that long.
    entry_len: usize,
}

impl Hashtable {
    pub fn read(memory: &impl Memory, offsets: &Offsets, at: Address) -> Result<Hashtable, ReadError> {
        let head = memory.bytes(at, offsets.head_size())?;
        Hashtable::of(offsets, &head).ok_or(ReadError::Fault { at, len: head.len() })
    }

    /// The one whose head these bytes are.
    pub fn of(offsets: &Offsets, head: &[u8]) -> Option<Hashtable> {
        let (key_size, data_size) = match offsets.inline_sizes {
            Some((key, data)) => (key.get(head)?, data.get(head)?),
            None => (0, 0),
        };
        Some(Hashtable {
            nentries: offsets.nentries.get(head)?,
            nbuckets: offsets.nbuckets.get(head)?,
            buckets: offsets.buckets.get(head)?,
            key_size,
            entry_len: offsets.entry_len(key_size, data_size).unwrap_or(0),
        })
    }

    /// Where its buckets are, if there can be such a table: there are more than entries, and their number is a power of two.
    pub fn buckets(&self) -> Option<Range<Address>> {
        let is_sane = self.nbuckets.is_power_of_two()
            && (MIN_BUCKETS..=MAX_BUCKETS).contains(&self.nbuckets)
            && self.nentries <= self.nbuckets
            && self.entry_len > 0;
        is_sane.then(|| self.buckets..self.buckets.offset(self.nbuckets * 8))
    }

    pub fn is_empty(&self) -> bool {
        self.nentries == 0
    }

    /// How long the data of an entry is, where that is inline.
    pub fn data_size(&self, offsets: &Offsets) -> Option<usize> {
        self.entry_len.checked_sub(offsets.entry_size)?.checked_sub(usize::try_from(self.key_size).ok()?)
    }

    /// Calls `visit` with each entry, at most `most`; whether these were all and no more than the table counts.
    pub fn walk(
        &self,
        memory: &impl Memory,
        offsets: &Offsets,
        most: u64,
        mut visit: impl FnMut(&[u8]),
    ) -> bool {
        if self.nbuckets > MAX_BUCKETS || self.entry_len == 0 {
            return false;
        }
        // A chain that was torn can lead anywhere, into itself too.
        let most = most.min(self.nentries.saturating_add(self.nentries / 4).saturating_add(1024));
        let mut visited = 0;
        let mut batch = Batch::new();
        let mut is_whole = true;
        let mut first = 0;
        while first < self.nbuckets {
            let count = (self.nbuckets - first).min(BUCKETS);
            let Ok(heads) = memory.bytes(self.buckets.offset(first * 8), count as usize * 8) else {
                return false;
            };
            first += count;
            let mut links: Vec<Address> =
                heads.chunks_exact(8).filter_map(|head| word(head, 0, 8)).map(Address).collect();
            links.retain(|link| !link.is_null());
            // The first entries of all these chains together, then the second ones.
            for _ in 0..MAX_CHAIN {
                links.truncate(usize::try_from(most - visited).unwrap_or(usize::MAX));
                if links.is_empty() {
                    break;
                }
                let mut later = Vec::new();
                is_whole &= scattered::read(memory, &mut batch, &mut links, self.entry_len, |_, entry| {
                    visited += 1;
                    visit(entry);
                    later.extend(offsets.next.get(entry).filter(|next| !next.is_null()));
                });
                links = later;
            }
            is_whole &= links.is_empty();
        }
        is_whole && visited == self.nentries
    }

    /// The domain, if the key holds it, and the trace of an entry that has them inline (up to 3.8):
    /// behind the key, which is an address and, once there is another domain than 0, a domain.
    pub fn inline<'e>(&self, offsets: &Offsets, entry: &'e [u8]) -> (Option<u32>, &'e [u8]) {
        let key_size = usize::try_from(self.key_size).unwrap_or(usize::MAX);
        let rest = entry.get(offsets.entry_size..).unwrap_or_default();
        let (key, trace) = rest.split_at_checked(key_size).unwrap_or_default();
        (word(key, 8, 4).map(|domain| domain as u32), trace)
    }
}
