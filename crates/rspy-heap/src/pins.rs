//! What keeps arenas that are nearly empty from being returned: the few blocks in use that they have.

use std::cmp::Reverse;

use rustc_hash::FxHashMap;
use serde::Serialize;

use crate::heap::Heap;
use crate::pages::{Area, Blocks};
use crate::types::Known;

/// Objects of a type that lie in nearly empty arenas.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Pin {
    /// The type.
    pub r#type: String,
    /// How many there are.
    pub count: u64,
    /// What their blocks take, in bytes.
    pub bytes: u64,
    /// How many arenas have some.
    pub arenas: u64,
    /// Where one of them is.
    pub address: u64,
}

/// What lies in arenas that are nearly empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Pins {
    /// Objects by type, those that are in the most arenas first.
    pub types: Vec<Pin>,
    /// Blocks that are no objects: tables of dicts, items of lists, what C code has allocated.
    pub others: u64,
    /// What those take, in bytes.
    pub other_bytes: u64,
}

impl Heap<'_> {
    /// What keeps those arenas that [`Fill`](crate::fill::Fill) counts as sparse. Nothing else is looked at.
    pub fn pins(&self) -> Pins {
        let (types, reader) = (self.types(), self.reader());
        let mut known = Known::default();
        let mut pins = Pins::default();
        // By number of the type, with the arena in which one was seen last.
        let mut by_type: FxHashMap<u32, (Pin, usize)> = FxHashMap::default();
        let mut in_use = Blocks::default();
        for (number, area) in Area::all(&self.arenas, &[], None).into_iter().enumerate() {
            let pools = area.pages(self.image).pages;
            if !area.is_sparse(pools.iter().map(|pool| u64::from(pool.used) * pool.block).sum()) {
                continue;
            }
            for pool in &pools {
                pool.find_used(self.image, &mut in_use);
                for block in in_use.iter().map(|index| pool.block_at(index)) {
                    let object = reader.in_block(&types, &mut known, block, pool.room, pool.step);
                    let Some(object) = object else {
                        pins.others += 1;
                        pins.other_bytes += pool.block;
                        continue;
                    };
                    let (pin, last) = by_type.entry(object.of.id).or_insert_with(|| {
                        let name = object.of.name.clone();
                        (Pin { r#type: name, count: 0, bytes: 0, arenas: 0, address: object.at }, usize::MAX)
                    });
                    pin.count += 1;
                    pin.bytes += pool.block;
                    pin.arenas += u64::from(std::mem::replace(last, number) != number);
                }
            }
        }
        pins.types = by_type.into_values().map(|(pin, _)| pin).collect();
        pins.types.sort_by(|one, next| {
            let key = |pin: &Pin| Reverse((pin.arenas, pin.bytes));
            key(one).cmp(&key(next)).then_with(|| one.r#type.cmp(&next.r#type))
        });
        pins
    }
}
