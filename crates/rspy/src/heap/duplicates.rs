//! `rspy heap --duplicates`: objects that are equal and there several times.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::io;

use rspy_heap::duplicates::duplicates;
use rspy_heap::holders::Holders;
use rspy_heap::objects::Objects;
use rspy_heap::trails::Trails;
use serde::Serialize;

use super::captured::Captured;
use super::megabytes;
use crate::analysis::page::{Page, Tone, json};
use crate::cli::{Heap, HeapKey};
use crate::failure::Failure;
use crate::progress::{during, grouped};

/// How many JSON has, if rows are not limited.
const ALL: usize = 100_000;

/// Equal objects. All is in bytes.
#[derive(Serialize)]
struct Report {
    /// By type: what one of each would save.
    types: Vec<OfType>,
    /// Single ones, those that take the most first.
    largest: Vec<Row>,
}

#[derive(Serialize)]
struct OfType {
    r#type: String,
    /// How many different ones, how many all together, and what all but one of each take.
    different: u64,
    count: u64,
    spare: u64,
}

#[derive(Serialize)]
struct Row {
    r#type: String,
    count: u64,
    spare: u64,
    /// Where one is, and what it is.
    address: u64,
    summary: String,
}

/// Prints what is there several times.
pub fn print(options: &Heap) -> Result<(), Failure> {
    let captured = Captured::of(options)?;
    let heap = captured.heap()?;
    let objects = during("finding objects", || Objects::of(&heap));
    let holders = Holders::without_references();
    let trails = Trails::new(&heap, &objects, &holders, options.values);
    let mut all = duplicates(&heap, &objects, &objects.footprints(&heap));
    let name = |number: u32| objects.of_type(number).map(|of| of.name.clone()).unwrap_or_default();
    let mut types: BTreeMap<String, OfType> = BTreeMap::new();
    for one in &all {
        let r#type = name(one.example);
        let none = || OfType { r#type: r#type.clone(), different: 0, count: 0, spare: 0 };
        let of = types.entry(r#type.clone()).or_insert_with(none);
        of.different += 1;
        of.count += one.count;
        of.spare += one.spare;
    }
    let mut types: Vec<OfType> = types.into_values().collect();
    // They come by their names.
    match options.sort {
        Some(HeapKey::Count) => types.sort_by_key(|of| Reverse(of.count)),
        Some(HeapKey::Different) => types.sort_by_key(|of| Reverse(of.different)),
        Some(HeapKey::Type) => {}
        _ => types.sort_by_key(|of| Reverse(of.spare)),
    }
    // And they with what takes the most first.
    match options.sort {
        Some(HeapKey::Count) => all.sort_by_key(|one| Reverse(one.count)),
        Some(HeapKey::Type) => all.sort_by_key(|one| name(one.example)),
        _ => {}
    }
    let rows = if options.rows == 0 { ALL } else { options.rows };
    let row = |one: &rspy_heap::duplicates::Duplicates| Row {
        r#type: name(one.example),
        count: one.count,
        spare: one.spare,
        address: objects.address(one.example).unwrap_or(0),
        summary: trails.summary(one.example),
    };
    let report = Report { types, largest: all.iter().take(rows).map(row).collect() };
    let report = captured.whole(&heap, report)?;
    match options.json {
        true => json(&report),
        false => write(&report).map_err(|error| Failure::printing(&error)),
    }
}

fn write(report: &Report) -> io::Result<()> {
    let mut page = Page::stdout();
    page.line(Tone::Title, "What is there several times: what would be saved if there were one of each")?;
    page.line(Tone::Quiet, "          MB       Count   Different  Type")?;
    for of in &report.types {
        let text = format!(
            "{:>12}{:>12}{:>12}  {}",
            megabytes(of.spare),
            grouped(of.count),
            grouped(of.different),
            of.r#type
        );
        page.line(Tone::Plain, &text)?;
    }
    page.line(Tone::Plain, "")?;
    page.line(Tone::Quiet, "          MB       Count  Address         Type")?;
    for row in &report.largest {
        let summary = if row.summary.is_empty() { String::new() } else { format!(": {}", row.summary) };
        let text = format!(
            "{:>12}{:>12}  {:#x}  {}{summary}",
            megabytes(row.spare),
            grouped(row.count),
            row.address,
            row.r#type
        );
        page.line(Tone::Plain, &text)?;
    }
    page.finish()
}
