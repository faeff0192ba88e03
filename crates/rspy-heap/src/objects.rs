//! All objects of a heap, numbered in the order of their addresses.

use std::sync::Arc;

use rayon::prelude::*;
use rustc_hash::FxHashMap;

use crate::heap::Heap;
use crate::kind::Kind;
use crate::object::Object;
use crate::types::{Known, Type};

/// How much of the address space has one entry in the index, in bytes: a bit for every eight.
const PAGE: u64 = 4096;
const WORDS: usize = (PAGE / 8 / 64) as usize;

/// All objects, each with a number. 12 bytes for each, and 80 for every 4096 bytes in which some begin.
pub struct Objects {
    addresses: Vec<u64>,
    types: Vec<u32>,
    /// By the number of its type.
    all_types: Vec<Arc<Type>>,
    pages: FxHashMap<u64, Page>,
}

/// The objects that begin in a part of the address space.
#[derive(Default)]
struct Page {
    /// The number of the first.
    first: u32,
    /// Where they begin: a bit for every eight bytes.
    begins: [u64; WORDS],
}

impl Objects {
    /// Those of `heap`.
    pub fn of(heap: &Heap<'_>) -> Objects {
        let types = heap.types();
        let walked =
            heap.walk(&types, |found: &mut Vec<(u64, u32)>, object| found.push((object.at, object.of.id)));
        let mut known = Known::default();
        let mut all: Vec<(u64, u32)> = Vec::with_capacity(walked.parts.iter().map(Vec::len).sum());
        for part in walked.parts {
            all.extend(part);
        }
        all.par_sort_unstable();
        // Numbers have four bytes, one of which stands for none.
        all.truncate(u32::MAX as usize - 1);
        // Classes without instances have names as well.
        let is_type = types.all().iter().map(|of| of.kind == Kind::Type).collect::<Vec<_>>();
        for (at, of) in &all {
            if is_type.get(*of as usize) == Some(&true) {
                types.get(&mut known, *at);
            }
        }
        Objects::new(&all, types.into_all())
    }

    fn new(all: &[(u64, u32)], all_types: Vec<Arc<Type>>) -> Objects {
        let mut pages: FxHashMap<u64, Page> = FxHashMap::default();
        for (number, (at, _)) in all.iter().enumerate() {
            let page =
                pages.entry(at / PAGE).or_insert_with(|| Page { first: number as u32, begins: [0; WORDS] });
            let (word, bit) = place(*at);
            page.begins[word] |= bit;
        }
        let (addresses, types) = all.iter().copied().unzip();
        Objects { addresses, types, all_types, pages }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.addresses.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.addresses.is_empty()
    }

    /// The number of the object at `at`.
    #[inline]
    pub fn number(&self, at: u64) -> Option<u32> {
        let page = self.pages.get(&(at / PAGE))?;
        let (word, bit) = place(at);
        if page.begins[word] & bit == 0 || !at.is_multiple_of(8) {
            return None;
        }
        let before: u32 = page.begins[..word].iter().map(|bits| bits.count_ones()).sum();
        Some(page.first + before + (page.begins[word] & (bit - 1)).count_ones())
    }

    /// The object with a number.
    #[inline]
    pub fn get(&self, number: u32) -> Option<Object<'_>> {
        let of = self.of_type(number)?;
        Some(Object { at: self.address(number)?, of, preheader: of.preheader })
    }

    /// Where an object is.
    #[inline]
    pub fn address(&self, number: u32) -> Option<u64> {
        self.addresses.get(number as usize).copied()
    }

    /// The type of an object.
    #[inline]
    pub fn of_type(&self, number: u32) -> Option<&Arc<Type>> {
        self.all_types.get(*self.types.get(number as usize)? as usize)
    }

    /// The number of the type of each.
    pub fn types(&self) -> &[u32] {
        &self.types
    }

    /// All types, by number.
    pub fn all_types(&self) -> &[Arc<Type>] {
        &self.all_types
    }

    /// What the allocators spend on each, in bytes.
    pub fn footprints(&self, heap: &Heap<'_>) -> Vec<u64> {
        let reader = heap.reader();
        let of = |number| self.get(number).map_or(0, |object| reader.size(&object).footprint);
        self.numbers().into_par_iter().map(of).collect()
    }

    /// All numbers.
    pub fn numbers(&self) -> std::ops::Range<u32> {
        0..self.addresses.len() as u32
    }
}

/// The word, and the bit in it, that stands for an address.
fn place(at: u64) -> (usize, u64) {
    let index = at % PAGE / 8;
    ((index / 64) as usize, 1 << (index % 64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_address_has_its_number_and_no_other_has_one() {
        let all: Vec<(u64, u32)> =
            [0x1000, 0x1008, 0x1ff8, 0x2000, 0x2200, 0x2f00, 0x7000].map(|at| (at, 0)).to_vec();
        let objects = Objects::new(&all, Vec::new());
        for at in (0..0x9000).step_by(4) {
            let expected = all.iter().position(|(known, _)| *known == at).map(|number| number as u32);
            assert_eq!(objects.number(at), expected, "{at:x}");
        }
        assert_eq!(objects.address(3), Some(0x2000));
        assert_eq!(objects.address(7), None);
    }
}
