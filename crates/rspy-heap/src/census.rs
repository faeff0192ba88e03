//! Every object of a heap, counted by type.

use std::sync::Arc;

use crate::heap::Heap;
use crate::object::Object;
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
}

/// What was counted of a part of the objects, by the number of their type.
#[derive(Default)]
struct Counted(Vec<Option<OfType>>);

impl Counted {
    fn add(&mut self, object: &Object<'_>, size: Size) {
        let none = || OfType {
            of: Arc::clone(object.of),
            count: 0,
            size: Size::default(),
            largest: (object.at, size),
        };
        let index = object.of.id as usize;
        if index >= self.0.len() {
            self.0.resize(index + 1, None);
        }
        let total = self.0[index].get_or_insert_with(none);
        total.count += 1;
        total.size.reported = total.size.reported.saturating_add(size.reported);
        total.size.footprint = total.size.footprint.saturating_add(size.footprint);
        if size.footprint > total.largest.1.footprint {
            total.largest = (object.at, size);
        }
    }

    fn merge(mut self, other: Counted) -> Counted {
        if other.0.len() > self.0.len() {
            self.0.resize(other.0.len(), None);
        }
        for (total, new) in self.0.iter_mut().zip(other.0) {
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
        let walked =
            heap.walk(&types, |counted: &mut Counted, object| counted.add(object, reader.size(object)));
        let counted = walked.parts.into_iter().fold(Counted::default(), Counted::merge);
        Census {
            types: counted.0.into_iter().flatten().collect(),
            blocks: walked.blocks,
            objects_in_blocks: walked.objects_in_blocks,
            objects_outside: walked.objects_outside,
            misfits: walked.misfits,
        }
    }
}
