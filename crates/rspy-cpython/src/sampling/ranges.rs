//! The stretches of memory that a stack is expected in.

use rspy_process::{Address, Batch};

/// Ranges closer to each other than this are read as one, in bytes: the kernel asks
/// 0.4 µs for each range and page, but only 0.1 µs for a kilobyte more.
const NEAR: u64 = 4096;

/// So many bytes are compared at once, first large ones, then within the first that differs.
const PREFIX_BLOCKS: [usize; 4] = [2048, 128, 8, 1];

/// A stretch of memory.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) struct Range {
    pub at: Address,
    pub len: usize,
}

impl Range {
    /// Where `len` bytes at `at` lie in it, if they do.
    #[inline]
    pub fn offset(&self, at: Address, len: usize) -> Option<usize> {
        let offset = usize::try_from(at.since(self.at)?).ok()?;
        (offset.checked_add(len)? <= self.len).then_some(offset)
    }

    fn end(&self) -> u64 {
        self.at.0.saturating_add(self.len as u64)
    }
}

/// Ranges, none near another, each with a rank that says when it is to be read.
#[derive(Default)]
pub(super) struct Ranges {
    /// In the order of their addresses.
    list: Vec<(Range, u32)>,
    /// Indices into `list`, in the order of their ranks; and for each range where it is in that.
    order: Vec<usize>,
    place: Vec<usize>,
}

/// Where in a batch all ranges were read, one behind the other.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) struct Reading {
    /// The handle of the first.
    first: usize,
    /// The last rank first.
    backwards: bool,
}

impl Ranges {
    pub fn clear(&mut self) {
        self.list.clear();
    }

    /// Adds a range, which may overlap others. To be followed by [`merge`](Ranges::merge).
    pub fn add(&mut self, at: Address, len: usize, rank: u32) {
        self.list.push((Range { at, len }, rank));
    }

    /// Puts the ranges in order, and makes one of those that are near each other.
    pub fn merge(&mut self) {
        let Ranges { list, order, place } = self;
        list.sort_unstable_by_key(|(range, _)| range.at);
        let mut kept = 0;
        for index in 0..list.len() {
            let (range, rank) = list[index];
            match list[..kept].last_mut() {
                Some((last, first_rank)) if range.at.0 <= last.end().saturating_add(NEAR) => {
                    last.len = (last.end().max(range.end()) - last.at.0) as usize;
                    *first_rank = rank.min(*first_rank);
                }
                _ => {
                    list[kept] = (range, rank);
                    kept += 1;
                }
            }
        }
        list.truncate(kept);
        order.clear();
        order.extend(0..kept);
        order.sort_by_key(|index| list[*index].1);
        place.clear();
        place.resize(kept, 0);
        for (position, index) in order.iter().enumerate() {
            place[*index] = position;
        }
    }

    /// All of range `range` as it was read; nothing if it could not be.
    pub fn all<'b>(&self, range: usize, batch: &'b Batch, reading: Reading) -> &'b [u8] {
        let len = self.list.get(range).map_or(0, |(range, _)| range.len);
        self.bytes(Spot { range, offset: 0 }, batch, reading, len).unwrap_or_default()
    }

    /// How many ranges there are.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// How long range `range` is, in bytes.
    pub fn length(&self, range: usize) -> usize {
        self.list.get(range).map_or(0, |(range, _)| range.len)
    }

    /// Asks for all of them, in the order of their ranks or backwards.
    pub fn ask(&self, batch: &mut Batch, backwards: bool) -> Reading {
        let first = batch.len();
        for position in 0..self.order.len() {
            let position = if backwards { self.order.len() - 1 - position } else { position };
            let (range, _) = self.list[self.order[position]];
            batch.push(range.at, range.len);
        }
        Reading { first, backwards }
    }

    /// Which range holds the `len` bytes at `at`, and where. `hint` is where the last
    /// ones were: the next ones mostly are there, too.
    #[inline]
    pub fn find(&self, at: Address, len: usize, hint: usize) -> Option<Spot> {
        if let Some(offset) = self.list.get(hint).and_then(|(range, _)| range.offset(at, len)) {
            return Some(Spot { range: hint, offset });
        }
        let after = self.list.partition_point(|(range, _)| range.at <= at);
        let range = after.checked_sub(1)?;
        let offset = self.list.get(range)?.0.offset(at, len)?;
        Some(Spot { range, offset })
    }

    /// The `len` bytes at `spot` as they were read.
    #[inline]
    pub fn bytes<'b>(&self, spot: Spot, batch: &'b Batch, reading: Reading, len: usize) -> Option<&'b [u8]> {
        let place = *self.place.get(spot.range)?;
        let place = if reading.backwards { self.order.len() - 1 - place } else { place };
        batch.get(reading.first + place).ok()?.get(spot.offset..spot.offset.checked_add(len)?)
    }

    /// The `len` bytes at `at` as they were read, if they were.
    #[inline]
    pub fn at<'b>(&self, at: Address, batch: &'b Batch, reading: Reading, len: usize) -> Option<&'b [u8]> {
        self.bytes(self.find(at, len, 0)?, batch, reading, len)
    }
}

/// How much of two stretches is the same, from their beginnings on.
pub(super) fn prefix(one: &[u8], other: &[u8]) -> usize {
    let mut same = 0;
    for block in PREFIX_BLOCKS {
        let (one, other) = (one.get(same..).unwrap_or_default(), other.get(same..).unwrap_or_default());
        let blocks = one.chunks_exact(block).zip(other.chunks_exact(block));
        same += blocks.take_while(|(one, other)| one == other).count() * block;
    }
    same
}

/// A place in one of several ranges.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) struct Spot {
    pub range: usize,
    pub offset: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn merged(ranges: &[(u64, usize)]) -> Vec<(u64, usize)> {
        let mut all = Ranges::default();
        for (at, len) in ranges {
            all.add(Address(*at), *len, 0);
        }
        all.merge();
        all.list.iter().map(|(range, _)| (range.at.0, range.len)).collect()
    }

    #[test]
    fn neighbours_are_one_range() {
        assert_eq!(merged(&[(9000, 80), (100, 80), (200, 80)]), [(100, 180), (9000, 80)]);
        assert_eq!(merged(&[(100, 500), (200, 10)]), [(100, 500)]);
        assert_eq!(merged(&[(u64::MAX - 8, 80), (u64::MAX - 9, 80)]).len(), 1);
        assert_eq!(merged(&[]), []);
    }

    #[test]
    fn what_lies_in_a_range_is_found_and_nothing_else() {
        let mut ranges = Ranges::default();
        ranges.add(Address(50_000), 100, 0);
        ranges.add(Address(1_000), 100, 1);
        ranges.merge();
        for hint in 0..3 {
            let spot = |at, len| ranges.find(Address(at), len, hint);
            assert_eq!(spot(1_000, 100), Some(Spot { range: 0, offset: 0 }));
            assert_eq!(spot(50_020, 80), Some(Spot { range: 1, offset: 20 }));
            assert_eq!(spot(50_021, 80), None);
            assert_eq!(spot(999, 8), None);
            assert_eq!(spot(1_001, usize::MAX), None);
        }
    }

    #[test]
    fn the_second_reading_goes_the_other_way() {
        let mut ranges = Ranges::default();
        for (at, rank) in [(90_000, 2), (10_000, 1), (50_000, 0)] {
            ranges.add(Address(at), 8, rank);
        }
        ranges.merge();
        let mut batch = Batch::new();
        let (there, back) = (ranges.ask(&mut batch, false), ranges.ask(&mut batch, true));
        let addresses: Vec<u64> = (0..6).map(|index| asked(&batch, index)).collect();
        assert_eq!(addresses, [50_000, 10_000, 90_000, 90_000, 10_000, 50_000]);
        let spot = ranges.find(Address(10_000), 8, 0).unwrap();
        assert_eq!((there.handle(&ranges, spot), back.handle(&ranges, spot)), (1, 4));
    }

    /// The address of a range of `batch`, which was never read.
    fn asked(batch: &Batch, index: usize) -> u64 {
        match batch.get(index) {
            Err(rspy_process::ReadError::Fault { at, .. }) => at.0,
            other => panic!("{other:?}"),
        }
    }

    impl Reading {
        fn handle(self, ranges: &Ranges, spot: Spot) -> usize {
            let place = ranges.place[spot.range];
            self.first + if self.backwards { ranges.order.len() - 1 - place } else { place }
        }
    }
}
