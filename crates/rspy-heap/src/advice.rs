//! What a program could do to take less memory: in bytes of this process, before and after.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use rspy_cpython::text::string;
use rspy_cpython::values::items;
use rspy_process::Address;
use rustc_hash::{FxHashMap, FxHashSet};
use serde::Serialize;

use crate::alternatives::{Alternative, Way};
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
/// The first version whose dataclasses know `slots=True`.
const SLOTS_TRUE: (u8, u8) = (3, 10);
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
    /// Of classes and records: how many attributes or keys they have.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attributes: Option<u64>,
    /// Of classes: whether it is a dataclass, and whether `@dataclass(slots=True)` is known to this version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dataclass: Option<Dataclass>,
    /// Of dicts that were made for instances: how many of them have a table of keys of their own, not their class's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub own_keys: Option<u64>,
    /// Of classes and records: what else they could be, and what they would take then.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub alternatives: Vec<Alternative>,
}

/// How a dataclass gets `__slots__`.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Dataclass {
    /// By `@dataclass(slots=True)` (3.10 and later).
    BySlotsTrue,
    /// By naming its fields, of which none may have a default then.
    ByHand,
}

impl Advice {
    fn new(what: What, subject: &str) -> Advice {
        Advice {
            what,
            subject: subject.to_owned(),
            count: 0,
            before: 0,
            after: 0,
            attributes: None,
            dataclass: None,
            own_keys: None,
            alternatives: Vec::new(),
        }
    }

    /// With what so many instances with so many attributes would take, of which `__slots__` are what is advised.
    fn of_attributes(self, heap: &Heap<'_>, attributes: usize) -> Advice {
        let alternatives = heap.alternatives(attributes as u64, self.count);
        let slots = alternatives.iter().find(|one| one.way == Way::Slots);
        let after = slots.map_or(self.after, |slots| slots.after);
        Advice { after, attributes: Some(attributes as u64), alternatives, ..self }
    }
}

/// What is known of the instances of a class.
#[derive(Default)]
struct OfClass {
    count: u64,
    /// What they take, and of that the dicts that were made for some of them.
    bytes: u64,
    with_dict: u64,
    dicts: u64,
    /// What values take of those dicts that have keys of the class, and how many have keys of their own.
    values: u64,
    own_keys: u64,
    attributes: BTreeSet<String>,
}

/// What could be done, what saves the most first. `sizes` are what objects take, in bytes.
pub fn advice(heap: &Heap<'_>, objects: &Objects, trails: &Trails<'_>, sizes: &[u64]) -> Vec<Advice> {
    let reader = heap.reader();
    let mut namespaces = FxHashSet::default();
    let mut all = classes(heap, objects, trails, sizes, &mut namespaces);
    all.extend(records(heap, objects, trails, sizes, &namespaces));
    all.extend(spare_room(&reader, objects));
    all.extend(equal(heap, objects, sizes));
    all.retain(|advice| advice.before >= advice.after.saturating_add(LEAST));
    all.sort_by_key(|advice| Reverse(advice.before - advice.after));
    all
}

/// Classes without `__slots__`, and dicts that were made for their instances, which go to `namespaces`.
fn classes(
    heap: &Heap<'_>,
    objects: &Objects,
    trails: &Trails<'_>,
    sizes: &[u64],
    namespaces: &mut FxHashSet<u32>,
) -> Vec<Advice> {
    let reader = &heap.reader();
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
            match objects.get(dict).and_then(|dict| reader.values_of_shared_keys(&dict)) {
                Some(values) => class.values = class.values.saturating_add(values),
                None => class.own_keys += 1,
            }
            namespaces.insert(dict);
        }
        if class.count <= LOOKED_AT {
            class.attributes.extend(trails.attributes(number).into_iter().map(|(name, _)| name));
        }
    }
    let mut all = Vec::new();
    for (of, class) in by_class {
        let Some(of) = objects.all_types().get(of as usize) else { continue };
        let slots = Advice {
            count: class.count,
            before: class.bytes.saturating_add(class.dicts),
            dataclass: dataclass(heap, of),
            ..Advice::new(What::Slots, &of.name)
        };
        all.push(slots.of_attributes(heap, class.attributes.len()));
        // Without a way to have attributes but a dict there is nothing to be said of it.
        if of.has_managed_dict() {
            // What the values take that the dict has taken over is spent without it as well.
            let asked_for = reader.values_asked_for(of.at);
            let values = if asked_for == 0 { 0 } else { heap.spent(asked_for) };
            all.push(Advice {
                count: class.with_dict,
                before: class.dicts,
                after: class.values.saturating_add(class.own_keys.saturating_mul(values)),
                own_keys: Some(class.own_keys),
                ..Advice::new(What::MaterialisedDicts, &of.name)
            });
        }
    }
    all
}

/// Whether a type was made by a `class` statement, and its instances have attributes in a dict or instead of one.
fn has_dict(reader: &Reader<'_>, of: &Type) -> bool {
    let has = of.has_managed_dict() || of.dictoffset != 0;
    // In 2.7 nothing else makes types at run time; later on those have no keys for their instances.
    let is_made = reader.is_2() || reader.cached_keys(of.at).is_some();
    has && of.kind == Kind::Other && of.is_heap_type() && is_made
}

/// How a class gets `__slots__` if it is a dataclass: it has `__dataclass_fields__` itself.
fn dataclass(heap: &Heap<'_>, of: &Type) -> Option<Dataclass> {
    let (reader, layout) = (heap.reader(), &heap.attached.layout);
    let namespace = items(&heap.memory, layout, Address(reader.namespace(of.at)?)).ok()?;
    let is_it = |key| string(&heap.memory, layout, key).is_ok_and(|name| name == "__dataclass_fields__");
    let is_dataclass = namespace.iter().any(|item| is_it(item.key));
    let knows_slots = reader.offsets.version >= SLOTS_TRUE;
    is_dataclass.then_some(if knows_slots { Dataclass::BySlotsTrue } else { Dataclass::ByHand })
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
    heap: &Heap<'_>,
    objects: &Objects,
    trails: &Trails<'_>,
    sizes: &[u64],
    namespaces: &FxHashSet<u32>,
) -> Vec<Advice> {
    let reader = heap.reader();
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
    let advice = records.map(|(keys, (count, before))| {
        let subject = keys.iter().map(|key| trails.key(*key)).collect::<Vec<_>>().join(", ");
        Advice { count, before, ..Advice::new(What::Records, &subject) }.of_attributes(heap, keys.len())
    });
    advice.collect()
}

/// Dicts and lists with room that is not used.
fn spare_room(reader: &Reader<'_>, objects: &Objects) -> Vec<Advice> {
    let mut dicts = Advice::new(What::SparseDicts, "dict");
    let mut lists = Advice::new(What::RoomInLists, "list");
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
        let advice = by_type.entry(&of.name).or_insert_with(|| Advice::new(What::Duplicates, &of.name));
        let one = sizes.get(alike.example as usize).copied().unwrap_or(0);
        advice.count += alike.count;
        advice.before = advice.before.saturating_add(alike.spare).saturating_add(one);
        advice.after = advice.after.saturating_add(one);
    }
    by_type.into_values().collect()
}
