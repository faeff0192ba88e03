//! Objects that are equal and there several times: strings, bytes, numbers, and tuples of them.

use std::hash::{DefaultHasher, Hash, Hasher};

use rayon::prelude::*;

use crate::heap::Heap;
use crate::kind::Kind;
use crate::object::{Object, Reader};
use crate::objects::Objects;
use crate::references::Edge;

/// Tuples of more items are not compared.
const MAX_ITEMS: u64 = 8;

/// Objects that are equal.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Duplicates {
    /// One of them.
    pub example: u32,
    /// How many there are.
    pub count: u64,
    /// What all but one of them take, in bytes.
    pub spare: u64,
}

/// Equal objects, those that take the most first. `sizes` are what objects take, in bytes.
pub fn duplicates(heap: &Heap<'_>, objects: &Objects, sizes: &[u64]) -> Vec<Duplicates> {
    let reader = heap.reader();
    let mut marks: Vec<(u64, u32)> = objects
        .numbers()
        .into_par_iter()
        .filter_map(|number| Some((mark(&reader, objects, &objects.get(number)?)?, number)))
        .collect();
    marks.par_sort_unstable();
    let size = |number: &u32| sizes.get(*number as usize).copied().unwrap_or(0);
    let alike = marks.chunk_by(|one, next| one.0 == next.0).filter(|alike| alike.len() > 1);
    let mut all: Vec<Duplicates> = alike
        .filter_map(|alike| {
            let (_, example) = alike.first()?;
            let spare =
                alike.iter().skip(1).fold(0, |sum: u64, (_, number)| sum.saturating_add(size(number)));
            Some(Duplicates { example: *example, count: alike.len() as u64, spare })
        })
        .collect();
    all.sort_by_key(|one| (std::cmp::Reverse(one.spare), one.example));
    all
}

/// A number that objects of one type have in common if they are equal, and others have not: by 64 bits of SipHash.
fn mark(reader: &Reader<'_>, objects: &Objects, object: &Object<'_>) -> Option<u64> {
    let mut hasher = DefaultHasher::new();
    object.of.id.hash(&mut hasher);
    if let Some(content) = reader.content(object) {
        content.hash(&mut hasher);
        return Some(hasher.finish());
    }
    if object.of.kind != Kind::Tuple || !(1..=MAX_ITEMS).contains(&reader.len(object)?) {
        return None;
    }
    let mut is_known = true;
    reader.references(object, &mut |at, edge| {
        if !matches!(edge, Edge::Index(_)) {
            return;
        }
        let item = objects.number(at).and_then(|number| objects.get(number));
        match item.as_ref().and_then(|item| Some((item.of.id, reader.content(item)?))) {
            Some(content) => content.hash(&mut hasher),
            // What cannot be compared is equal to itself.
            None => at.hash(&mut hasher),
        }
        is_known &= item.is_some();
    });
    is_known.then(|| hasher.finish())
}
