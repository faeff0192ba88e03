//! Every object of a heap, counted by type.

use std::sync::Arc;

use crate::heap::Heap;
use crate::object::{Object, Reader};
use crate::obmalloc::LARGEST;
use crate::size::Size;
use crate::types::Type;

/// Objects of one type.
#[derive(Clone, Debug)]
pub struct OfType {
    /// The type.
    pub of: Arc<Type>,
    /// How many there are.
    pub count: u64,
    /// What they take together.
    pub size: Size,
    /// Where the largest is, and what it takes.
    pub largest: (u64, Size),
}

/// What was counted.
#[derive(Clone, Debug, Default)]
pub struct Census {
    /// By type, in no order.
    pub types: Vec<OfType>,
    /// Blocks of pymalloc in use.
    pub blocks: u64,
    /// Those of them that are objects.
    pub objects_in_blocks: u64,
    /// Objects that lie elsewhere: larger ones, and those that were never allocated.
    pub objects_outside: u64,
    /// Pools whose headers made no sense.
    pub misfits: u64,
    /// What objects have in memory outside of pools, in bytes: large ones, and tables and items that are large.
    pub beyond_pages: u64,
}

/// What was counted of a part of the objects, by the number of their type.
#[derive(Default)]
struct Counted {
    types: Vec<Option<OfType>>,
    beyond_pages: u64,
}

impl Counted {
    fn add(&mut self, object: &Object<'_>, size: Size) {
        let none = || OfType {
            of: Arc::clone(object.of),
            count: 0,
            size: Size::default(),
            largest: (object.at, size),
        };
        let index = object.of.id as usize;
        if index >= self.types.len() {
            self.types.resize(index + 1, None);
        }
        let total = self.types[index].get_or_insert_with(none);
        total.count += 1;
        total.size.reported = total.size.reported.saturating_add(size.reported);
        total.size.footprint = total.size.footprint.saturating_add(size.footprint);
        if size.footprint > total.largest.1.footprint {
            total.largest = (object.at, size);
        }
    }

    fn merge(mut self, other: Counted) -> Counted {
        self.beyond_pages = self.beyond_pages.saturating_add(other.beyond_pages);
        if other.types.len() > self.types.len() {
            self.types.resize(other.types.len(), None);
        }
        for (total, new) in self.types.iter_mut().zip(other.types) {
            match (total, new) {
                (_, None) => {}
                (total @ None, new) => *total = new,
                (Some(total), Some(new)) => {
                    total.count += new.count;
                    total.size.reported = total.size.reported.saturating_add(new.size.reported);
                    total.size.footprint = total.size.footprint.saturating_add(new.size.footprint);
                    if new.largest.1.footprint > total.largest.1.footprint {
                        total.largest = new.largest;
                    }
                }
            }
        }
        self
    }
}

impl Census {
    /// Counts all objects of `heap`.
    pub fn of(heap: &Heap<'_>) -> Census {
        let (types, reader) = (heap.types(), heap.reader());
        // What is asked for in bytes that no page has is asked about again, what of it is in memory.
        let beyond = heap.allocated().beyond_pages(heap.variables());
        let least = if beyond.has_pages() { LARGEST } else { 0 };
        let outside = Reader { allocated: &beyond, ..reader };
        let walked = heap.walk(&types, |counted: &mut Counted, object| {
            let size = reader.size(object);
            counted.add(object, size);
            if size.footprint > least {
                let beyond = outside.size(object).footprint;
                counted.beyond_pages = counted.beyond_pages.saturating_add(beyond);
            }
        });
        let counted = walked.parts.into_iter().fold(Counted::default(), Counted::merge);
        Census {
            types: counted.types.into_iter().flatten().collect(),
            blocks: walked.blocks,
            objects_in_blocks: walked.objects_in_blocks,
            objects_outside: walked.objects_outside,
            misfits: walked.misfits,
            beyond_pages: counted.beyond_pages,
        }
    }
}
