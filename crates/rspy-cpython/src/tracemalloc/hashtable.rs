//! `_Py_hashtable_t`: buckets of linked entries.

use rspy_process::{Address, Batch, Memory, ReadError, word};

use super::offsets::Offsets;
use super::scattered;

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
        let (key_size, data_size) = match offsets.inline_sizes {
            Some((key, data)) => (key.read(memory, at)?, data.read(memory, at)?),
            None => (0, 0),
        };
        Ok(Hashtable {
            nentries: offsets.nentries.read(memory, at)?,
            nbuckets: offsets.nbuckets.read(memory, at)?,
            buckets: offsets.buckets.read(memory, at)?,
            key_size,
            entry_len: offsets.entry_len(key_size, data_size).unwrap_or(0),
        })
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
