//! What an instance with so many attributes would take if it were made in another way: by this version's structures and this process's
//! allocator.

use serde::Serialize;

use crate::heap::Heap;
use crate::obmalloc::LARGEST;

/// The smallest chunk of the GNU C library's `malloc`, its head, and what it is a multiple of, in bytes (`MINSIZE`, `SIZE_SZ` and
/// `MALLOC_ALIGNMENT` in `malloc/malloc.c`).
const LEAST_CHUNK: u64 = 32;
const CHUNK_HEAD: u64 = 8;
const CHUNK_ALIGNMENT: u64 = 16;

/// A way to make instances.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    /// A class with `__slots__`; `@dataclass(slots=True)` makes one.
    Slots,
    /// `collections.namedtuple` or `typing.NamedTuple`.
    Namedtuple,
    /// A plain `tuple`.
    Tuple,
    /// `dataobject` of the package recordclass, which the collector does not track unless asked to.
    Recordclass,
}

/// What one instance takes that is made in a way.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Alternative {
    /// The way.
    pub way: Way,
    /// What one takes, in bytes.
    pub each: u64,
    /// What all would.
    pub after: u64,
}

impl Heap<'_> {
    /// What `count` instances with so many attributes would take, by each way there is in this version.
    pub fn alternatives(&self, attributes: u64, count: u64) -> Vec<Alternative> {
        let reader = self.reader();
        let words = attributes.saturating_mul(8);
        let (head, tracked) = (reader.head(), reader.offsets.gc_head);
        // What can refer to nothing is not tracked (`inherit_slots` in `Objects/typeobject.c`).
        let slots = if attributes == 0 { head } else { tracked + head + words };
        let tuple = tracked + reader.offsets.tuple_item as u64;
        let mut ways = vec![
            (Way::Slots, slots),
            // `PyType_GenericAlloc` has room for one item more than was asked for (`Objects/typeobject.c`).
            (Way::Namedtuple, tuple + 8 + words),
            (Way::Tuple, tuple + words),
        ];
        // Its `basicsize` is that of `object` and a word for each field (`dataobject_new` in `recordclass/_dataobject.c`).
        if !reader.is_2() {
            ways.push((Way::Recordclass, head + words));
        }
        let alternative = |(way, bytes): (Way, u64)| {
            let each = self.spent(bytes);
            Alternative { way, each, after: each.saturating_mul(count) }
        };
        ways.into_iter().map(alternative).collect()
    }

    /// What the allocator spends on a block for which so many bytes are asked.
    pub(crate) fn spent(&self, bytes: u64) -> u64 {
        match self.arenas.first() {
            Some(arenas) if bytes <= LARGEST => bytes.next_multiple_of(arenas.geometry.alignment),
            None if self.attached.abi().free_threaded => spent_by_mimalloc(bytes),
            _ => bytes.saturating_add(CHUNK_HEAD).next_multiple_of(CHUNK_ALIGNMENT).max(LEAST_CHUNK),
        }
    }
}

/// Up to eight words there are blocks of every second number of words, above that four sizes to each power of two (`_mi_bin` in
/// `Objects/mimalloc/page-queue.c`).
fn spent_by_mimalloc(bytes: u64) -> u64 {
    let words = bytes.div_ceil(8).max(1);
    let step = match words {
        0..=8 => 2,
        _ => 1 << ((words - 1).ilog2() - 2),
    };
    if words == 1 { 8 } else { words.next_multiple_of(step) * 8 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mimalloc_has_four_sizes_to_a_power_of_two() {
        for (bytes, block) in
            [(1, 8), (9, 16), (24, 32), (64, 64), (65, 80), (96, 96), (130, 160), (300, 320)]
        {
            assert_eq!(spent_by_mimalloc(bytes), block, "{bytes}");
        }
    }
}
