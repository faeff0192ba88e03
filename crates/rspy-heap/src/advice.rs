//! What a program could do to take less memory: in bytes of this process, before and after.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use rustc_hash::{FxHashMap, FxHashSet};
use serde::Serialize;

use crate::duplicates::duplicates;
use crate::heap::Heap;
use crate::kind::Kind;
use crate::object::{Object, Reader};
use crate::objects::Objects;
use crate::references::Edge;
use crate::trails::Trails;
use crate::types::Type;

/// Less than this is not worth changing a program for, in bytes.
const LEAST: u64 = 10_000;
/// Of how many instances of a class attributes are collected.
const LOOKED_AT: u64 = 1000;
/// A dict of more keys is no record; as many dicts must have the same keys.
const MAX_KEYS: usize = 32;
const LEAST_RECORDS: u64 = 100;
/// A table that is less full than one in so many is sparse: it has been larger.
const SPARSE: u64 = 8;

/// What could be done.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// Give a class `__slots__`.
    Slots,
    /// Not have a `__dict__` made for instances: `vars()`, `__dict__`, `setattr` with many names.
    MaterialisedDicts,
    /// Make dicts with the same keys instances of a class with `__slots__`, or named tuples.
    Records,
    /// Keep one of equal objects: `sys.intern()`, a dict of those there are.
    Duplicates,
    /// Make dicts anew that have been much larger.
    SparseDicts,
    /// Make lists anew, or tuples, when no more is added to them.
    RoomInLists,
}

/// What could be done about what, and what it takes before and after, in bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Advice {
    /// What could be done.
    pub what: What,
    /// About which type, or dicts with which keys.
    pub subject: String,
    /// How many objects there are of them.
    pub count: u64,
    /// What they take.
    pub before: u64,
    /// What they would.
    pub after: u64,
}

/// What is known of the instances of a class.
#[derive(Default)]
struct OfClass {
    count: u64,
    /// What they take, and of that the dicts that were made for some of them.
    bytes: u64,
    with_dict: u64,
    dicts: u64,
    attributes: BTreeSet<String>,
}

/// What could be done, what saves the most first. `sizes` are what objects take, in bytes.
pub fn advice(heap: &Heap<'_>, objects: &Objects, trails: &Trails<'_>, sizes: &[u64]) -> Vec<Advice> {
    let reader = heap.reader();
    let mut namespaces = FxHashSet::default();
    let mut all = classes(&reader, objects, trails, sizes, &mut namespaces);
    all.extend(records(&reader, objects, trails, sizes, &namespaces));
    all.extend(spare_room(&reader, objects));
    all.extend(equal(heap, objects, sizes));
    all.retain(|advice| advice.before >= advice.after.saturating_add(LEAST));
    all.sort_by_key(|advice| Reverse(advice.before - advice.after));
    all
}

/// Classes without `__slots__`, and dicts that were made for their instances, which go to `namespaces`.
fn classes(
    reader: &Reader<'_>,
    objects: &Objects,
    trails: &Trails<'_>,
    sizes: &[u64],
    namespaces: &mut FxHashSet<u32>,
) -> Vec<Advice> {
    let size = |number: u32| sizes.get(number as usize).copied().unwrap_or(0);
    let is_class: Vec<bool> = objects.all_types().iter().map(|of| has_dict(reader, of)).collect();
    let mut by_class: FxHashMap<u32, OfClass> = FxHashMap::default();
    for (number, of) in objects.numbers().zip(objects.types()) {
        if is_class.get(*of as usize) != Some(&true) {
            continue;
        }
        let Some(object) = objects.get(number) else { continue };
        let class = by_class.entry(*of).or_default();
        class.count += 1;
        class.bytes = class.bytes.saturating_add(size(number));
        if let Some(dict) = dict(reader, objects, &object) {
            class.with_dict += 1;
            class.dicts = class.dicts.saturating_add(size(dict));
            namespaces.insert(dict);
        }
        if class.count <= LOOKED_AT {
            class.attributes.extend(trails.attributes(number).into_iter().map(|(name, _)| name));
        }
    }
    let mut all = Vec::new();
    for (of, class) in by_class {
        let Some(of) = objects.all_types().get(of as usize) else { continue };
        let name = || of.name.clone();
        all.push(Advice {
            what: What::Slots,
            subject: name(),
            count: class.count,
            before: class.bytes.saturating_add(class.dicts),
            after: class.count.saturating_mul(reader.slotted(class.attributes.len() as u64)),
        });
        // Without a way to have attributes but a dict there is nothing to be said of it.
        if of.has_managed_dict() {
            let (count, before) = (class.with_dict, class.dicts);
            all.push(Advice { what: What::MaterialisedDicts, subject: name(), count, before, after: 0 });
        }
    }
    all
}

/// Whether a type was made by a `class` statement, and its instances have attributes in a dict or instead of one.
fn has_dict(reader: &Reader<'_>, of: &Type) -> bool {
    let has = of.has_managed_dict() || of.dictoffset != 0;
    has && of.kind == Kind::Other && of.is_heap_type() && reader.cached_keys(of.at).is_some()
}

fn dict(reader: &Reader<'_>, objects: &Objects, object: &Object<'_>) -> Option<u32> {
    let mut found = None;
    reader.references(object, &mut |at, edge| {
        if edge == Edge::Dict && found.is_none() {
            found = objects.number(at);
        }
    });
    found
}

/// Dicts with the same keys that are no `namespaces` of instances.
fn records(
    reader: &Reader<'_>,
    objects: &Objects,
    trails: &Trails<'_>,
    sizes: &[u64],
    namespaces: &FxHashSet<u32>,
) -> Vec<Advice> {
    let mut by_keys: FxHashMap<Vec<u64>, (u64, u64)> = FxHashMap::default();
    for number in objects.numbers().filter(|number| !namespaces.contains(number)) {
        let Some(object) = objects.get(number).filter(|object| object.of.name == "dict") else { continue };
        if !reader.len(&object).is_some_and(|count| (1..=MAX_KEYS as u64).contains(&count)) {
            continue;
        }
        let mut keys = Vec::new();
        reader.references(&object, &mut |at, edge| {
            if edge == Edge::Key && keys.len() <= MAX_KEYS {
                keys.push(at);
            }
        });
        let is_name = |at: &u64| {
            objects
                .number(*at)
                .and_then(|number| objects.of_type(number))
                .is_some_and(|of| of.kind == Kind::Unicode)
        };
        if keys.iter().all(is_name) {
            let (count, bytes) = by_keys.entry(keys).or_default();
            *count += 1;
            *bytes = bytes.saturating_add(sizes.get(number as usize).copied().unwrap_or(0));
        }
    }
    let records = by_keys.into_iter().filter(|(_, (count, _))| *count >= LEAST_RECORDS);
    let advice = records.map(|(keys, (count, before))| Advice {
        what: What::Records,
        subject: keys.iter().map(|key| trails.key(*key)).collect::<Vec<_>>().join(", "),
        count,
        before,
        after: count * reader.slotted(keys.len() as u64),
    });
    advice.collect()
}

/// Dicts and lists with room that is not used.
fn spare_room(reader: &Reader<'_>, objects: &Objects) -> Vec<Advice> {
    let advice =
        |what, subject: &str| Advice { what, subject: subject.to_owned(), count: 0, before: 0, after: 0 };
    let (mut dicts, mut lists) = (advice(What::SparseDicts, "dict"), advice(What::RoomInLists, "list"));
    for object in objects.numbers().filter_map(|number| objects.get(number)) {
        let Some(room) = reader.room(&object).filter(|room| room.used < room.room) else { continue };
        let is_list = object.of.kind == Kind::List;
        // The smallest tables are as small as can be, and what grows is half full at times.
        if !is_list && (room.used >= room.room / SPARSE || room.room <= SPARSE) {
            continue;
        }
        let one = if is_list { &mut lists } else { &mut dicts };
        one.count += 1;
        one.before = one.before.saturating_add(room.bytes);
        one.after = one.after.saturating_add((room.bytes / room.room.max(1)).saturating_mul(room.used));
    }
    vec![dicts, lists]
}

/// Objects that are equal, by type.
fn equal(heap: &Heap<'_>, objects: &Objects, sizes: &[u64]) -> Vec<Advice> {
    let mut by_type: FxHashMap<&str, Advice> = FxHashMap::default();
    for alike in duplicates(heap, objects, sizes) {
        let Some(of) = objects.of_type(alike.example) else { continue };
        let none =
            || Advice { what: What::Duplicates, subject: of.name.clone(), count: 0, before: 0, after: 0 };
        let advice = by_type.entry(&of.name).or_insert_with(none);
        let one = sizes.get(alike.example as usize).copied().unwrap_or(0);
        advice.count += alike.count;
        advice.before = advice.before.saturating_add(alike.spare).saturating_add(one);
        advice.after = advice.after.saturating_add(one);
    }
    by_type.into_values().collect()
}
