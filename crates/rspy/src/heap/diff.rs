//! `rspy heap diff`: what has grown from one saved heap to the next.

use std::collections::HashSet;
use std::io;

use rspy_heap::census::Census;
use rspy_heap::holders::Holders;
use rspy_heap::objects::Objects;
use rspy_heap::trails::Trails;
use serde::Serialize;

use super::captured::Captured;
use super::changes::{Change, Counts, write_changes};
use super::megabytes;
use super::why::Ways;
use crate::analysis::page::{Page, Tone, json};
use crate::cli::HeapDiff;
use crate::failure::Failure;
use crate::progress::{during, grouped};

/// Of how many types it is told who holds what is new.
const HELD: usize = 3;
/// How many ways to the new objects of a type are told.
const WAYS: usize = 3;

/// What has changed between heaps.
#[derive(Serialize)]
struct Report {
    /// When each was copied, in seconds since 1970.
    times: Vec<i64>,
    /// Bytes of all objects of each, as the allocators count.
    footprints: Vec<u64>,
    /// Types whose counts or sizes differ, those that have grown the most first.
    types: Vec<Change>,
    /// Who holds what is new in the last heap, of the types that have grown the most.
    new: Vec<New>,
}

/// Objects of a type that are in the last heap and not in the one before.
#[derive(Serialize)]
struct New {
    r#type: String,
    count: usize,
    #[serde(flatten)]
    ways: Ways,
}

/// Compares heaps.
pub fn diff(options: &HeapDiff) -> Result<(), Failure> {
    let count = options.files.len();
    let mut report = Report { times: Vec::new(), footprints: Vec::new(), types: Vec::new(), new: Vec::new() };
    let mut counts = Counts::new(count);
    let mut before: HashSet<(u64, String)> = HashSet::new();
    for (index, file) in options.files.iter().enumerate() {
        let captured = Captured::saved(file)?;
        let heap = captured.heap()?;
        let census = during("counting objects", || Census::of(&heap));
        counts.add(index, &census);
        report.times.push(captured.about.time);
        report.footprints.push(census.types.iter().map(|one| one.size.footprint).sum());
        let is_last = index + 1 == count;
        if is_last {
            report.types = std::mem::take(&mut counts).changes();
        }
        if index + 2 >= count {
            let objects = during("finding objects", || Objects::of(&heap));
            match is_last {
                false => before.extend(objects.numbers().filter_map(|number| identity(&objects, number))),
                true => {
                    let holders = during("following references", || Holders::of(&heap, &objects));
                    let trails = Trails::new(&heap, &objects, &holders, options.values);
                    report.new = new(&report.types, &objects, &holders, &trails, &before);
                }
            }
        }
    }
    match options.json {
        true => json(&report),
        false => write(options, &report).map_err(|error| Failure::printing(&error)),
    }
}

/// What tells an object from others that were at the same place.
fn identity(objects: &Objects, number: u32) -> Option<(u64, String)> {
    let object = objects.get(number)?;
    Some((object.at, object.of.name.clone()))
}

/// Who holds what is new.
fn new(
    types: &[Change],
    objects: &Objects,
    holders: &Holders,
    trails: &Trails<'_>,
    before: &HashSet<(u64, String)>,
) -> Vec<New> {
    let grown = types.iter().filter(|change| change.grown().1 > 0).take(HELD);
    let of = |change: &Change| {
        let is_new = |number: &u32| {
            objects.of_type(*number).is_some_and(|of| of.name == change.r#type)
                && identity(objects, *number).is_some_and(|identity| !before.contains(&identity))
        };
        let new: Vec<u32> = objects.numbers().filter(is_new).collect();
        New {
            r#type: change.r#type.clone(),
            count: new.len(),
            ways: Ways::to(objects, holders, trails, &new),
        }
    };
    grown.map(of).collect()
}

fn write(options: &HeapDiff, report: &Report) -> io::Result<()> {
    let mut page = Page::stdout();
    let sizes: Vec<String> =
        report.footprints.iter().map(|bytes| format!("{} MB", megabytes(*bytes))).collect();
    page.line(Tone::Title, &format!("Objects: {}", sizes.join(" -> ")))?;
    write_changes(&report.types, options.rows, &mut page)?;
    for new in &report.new {
        page.line(Tone::Plain, "")?;
        let looked_at = new.ways.looked_at(new.count);
        page.line(Tone::Title, &format!("{} new of {}{looked_at}", grouped(new.count as u64), new.r#type))?;
        new.ways.write(WAYS, new.count, &mut page)?;
    }
    page.finish()
}
