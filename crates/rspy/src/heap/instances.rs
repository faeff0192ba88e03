//! `rspy heap --type` and `--top`: single objects, the largest first.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::io;

use rspy_heap::heap::Heap as Objects;
use rspy_heap::holders::Holders;
use rspy_heap::objects;
use rspy_heap::trails::Trails;
use serde::Serialize;

use super::captured::Captured;
use super::megabytes;
use super::why::instances;
use crate::analysis::page::{Page, Tone, json};
use crate::cli::{Heap, HeapKey};
use crate::failure::Failure;
use crate::progress::{during, grouped};

/// Of how many instances the attributes are looked at: evenly spread over all.
const LOOKED_AT: usize = 10_000;
/// How many objects JSON has, if rows are not limited.
const ALL: usize = 100_000;

/// Single objects. All sizes are in bytes.
#[derive(Serialize)]
struct Report {
    /// How many there are, and what they take.
    count: usize,
    size: u64,
    footprint: u64,
    /// The largest of them.
    objects: Vec<One>,
    /// Their attributes, those that take the most first; for instances of one type.
    attributes: Vec<Attribute>,
    /// Of how many instances those are.
    looked_at: usize,
}

/// An object.
#[derive(Serialize)]
struct One {
    address: u64,
    r#type: String,
    size: u64,
    footprint: u64,
    /// How often it is referred to; `None` if it is immortal.
    references: Option<u64>,
    /// Which generation of the collector it is in; `None` if it is not tracked.
    generation: Option<usize>,
    summary: String,
}

/// An attribute of several instances.
#[derive(Serialize)]
struct Attribute {
    name: String,
    /// How many instances have it.
    count: usize,
    /// What the objects take that it is bound to, each counted once, and how many those are.
    footprint: u64,
    objects: usize,
    /// Their types, the most frequent first.
    types: Vec<(String, usize)>,
}

/// Prints the instances of a type.
pub fn of_type(options: &Heap, name: &str) -> Result<(), Failure> {
    let captured = Captured::of(options)?;
    let heap = captured.heap()?;
    let objects = during("finding objects", || objects::Objects::of(&heap));
    captured.whole(&heap, ())?;
    let wanted = instances(&objects, name)?;
    print(options, &captured, &heap, &objects, wanted, Some(name))
}

/// Prints the largest of all objects.
pub fn top(options: &Heap) -> Result<(), Failure> {
    let captured = Captured::of(options)?;
    let heap = captured.heap()?;
    let objects = during("finding objects", || objects::Objects::of(&heap));
    let all = objects.numbers().collect();
    print(options, &captured, &heap, &objects, all, None)
}

fn print(
    options: &Heap,
    captured: &Captured,
    heap: &Objects<'_>,
    objects: &objects::Objects,
    wanted: Vec<u32>,
    name: Option<&str>,
) -> Result<(), Failure> {
    let holders = Holders::without_references();
    let trails = Trails::new(heap, objects, &holders, options.values);
    let report = Report::new(options, heap, objects, &trails, wanted, name.is_some());
    let report = captured.whole(heap, report)?;
    match options.json {
        true => json(&report),
        false => write(name, &report).map_err(|error| Failure::printing(&error)),
    }
}

impl Report {
    fn new(
        options: &Heap,
        heap: &Objects<'_>,
        objects: &objects::Objects,
        trails: &Trails<'_>,
        mut wanted: Vec<u32>,
        is_one_type: bool,
    ) -> Report {
        let (reader, sizes) = (heap.reader(), objects.footprints(heap));
        let of = |number: &u32| sizes.get(*number as usize).copied().unwrap_or(0);
        let reported = |number: &u32| objects.get(*number).map_or(0, |object| reader.size(&object).reported);
        let (size, footprint) = (wanted.iter().map(reported).sum(), wanted.iter().map(of).sum());
        let step = wanted.len().div_ceil(LOOKED_AT).max(1);
        let looked_at: Vec<u32> = wanted.iter().copied().step_by(step).filter(|_| is_one_type).collect();
        let attributes = attributes(objects, trails, &looked_at, &sizes);
        let count = wanted.len();
        let rows = match options.top.filter(|count| *count > 0).unwrap_or(options.rows) {
            0 => ALL,
            rows => rows,
        };
        let address = |number: &u32| objects.address(*number).unwrap_or(0);
        let generations_of = |some: &[u32]| heap.generations(&some.iter().map(address).collect::<Vec<u64>>());
        let is_sorted_by = |key| options.sort == Some(key);
        let in_all =
            if is_sorted_by(HeapKey::Generation) { generations_of(&wanted) } else { Default::default() };
        let name = |number: &u32| objects.of_type(*number).map_or("", |of| of.name.as_str());
        wanted.sort_by_cached_key(|number| {
            let key = match options.sort {
                Some(HeapKey::Size) => reported(number),
                // What is immortal is referred to the most.
                Some(HeapKey::References) => reader.count(address(number)).unwrap_or(u64::MAX),
                // What is not tracked is in none.
                Some(HeapKey::Generation) => {
                    in_all.get(&address(number)).map_or(0, |number| *number as u64 + 1)
                }
                _ => of(number),
            };
            (is_sorted_by(HeapKey::Type).then(|| name(number)), Reverse(key), *number)
        });
        wanted.truncate(rows);
        let generations = generations_of(&wanted);
        let one = |number: &u32| {
            let object = objects.get(*number)?;
            let size = reader.size(&object);
            Some(One {
                address: object.at,
                r#type: object.of.name.clone(),
                size: size.reported,
                footprint: size.footprint,
                references: reader.count(object.at),
                generation: generations.get(&object.at).copied(),
                summary: trails.summary(*number),
            })
        };
        Report {
            count,
            size,
            footprint,
            objects: wanted.iter().filter_map(one).collect(),
            attributes,
            looked_at: looked_at.len(),
        }
    }
}

/// The attributes of some instances.
fn attributes(
    objects: &objects::Objects,
    trails: &Trails<'_>,
    instances: &[u32],
    sizes: &[u64],
) -> Vec<Attribute> {
    let mut by_name: BTreeMap<String, (usize, Vec<u32>)> = BTreeMap::new();
    for instance in instances {
        for (name, value) in trails.attributes(*instance) {
            let (count, values) = by_name.entry(name).or_default();
            *count += 1;
            values.push(value);
        }
    }
    let attribute = |(name, (count, mut values)): (String, (usize, Vec<u32>))| {
        values.sort_unstable();
        values.dedup();
        let mut types: BTreeMap<&str, usize> = BTreeMap::new();
        for of in values.iter().filter_map(|value| objects.of_type(*value)) {
            *types.entry(&of.name).or_default() += 1;
        }
        let mut types: Vec<(String, usize)> =
            types.into_iter().map(|(name, count)| (name.to_owned(), count)).collect();
        types.sort_by_key(|(_, count)| Reverse(*count));
        let footprint = values.iter().filter_map(|value| sizes.get(*value as usize)).sum();
        Attribute { name, count, footprint, objects: values.len(), types }
    };
    let mut all: Vec<Attribute> = by_name.into_iter().map(attribute).collect();
    all.sort_by_key(|attribute| Reverse(attribute.footprint));
    all
}

fn write(name: Option<&str>, report: &Report) -> io::Result<()> {
    let mut page = Page::stdout();
    page.line(
        Tone::Title,
        &format!(
            "{} {}: {} MB, {} MB as sys.getsizeof() counts",
            grouped(report.count as u64),
            name.map_or_else(|| "objects".to_owned(), |name| format!("of {name}")),
            megabytes(report.footprint),
            megabytes(report.size)
        ),
    )?;
    page.line(Tone::Quiet, "           Bytes       getsizeof  References  Generation  Address         Type")?;
    for one in &report.objects {
        let counted = |count: Option<u64>| count.map_or_else(|| "-".to_owned(), grouped);
        let summary = if one.summary.is_empty() { String::new() } else { format!(": {}", one.summary) };
        let text = format!(
            "{:>16}  {:>14}  {:>10}  {:>10}  {:#x}  {}{summary}",
            grouped(one.footprint),
            grouped(one.size),
            counted(one.references),
            counted(one.generation.map(|generation| generation as u64)),
            one.address,
            one.r#type,
        );
        page.line(Tone::Plain, &text)?;
    }
    if !report.attributes.is_empty() {
        page.line(Tone::Plain, "")?;
        let text =
            format!("Attributes of {} instances: what they are bound to", grouped(report.looked_at as u64));
        page.line(Tone::Title, &text)?;
        page.line(Tone::Quiet, "          MB     Objects   Instances  Attribute")?;
        for attribute in &report.attributes {
            let types: Vec<&str> = attribute.types.iter().take(4).map(|(name, _)| name.as_str()).collect();
            let text = format!(
                "{:>12}  {:>10}  {:>10}  {}: {}",
                megabytes(attribute.footprint),
                grouped(attribute.objects as u64),
                grouped(attribute.count as u64),
                attribute.name,
                types.join(", ")
            );
            page.line(Tone::Plain, &text)?;
        }
    }
    page.finish()
}
