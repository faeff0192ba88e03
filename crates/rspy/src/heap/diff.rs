//! `rspy heap diff`: what has grown from one saved heap to the next.

use std::cmp::Reverse;
use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;

use rspy_heap::census::Census;
use rspy_heap::graph::Dominators;
use rspy_heap::holders::Holders;
use rspy_heap::holdings::Holdings;
use rspy_heap::objects::Objects;
use rspy_heap::trails::Trails;
use serde::Serialize;

use super::captured::Captured;
use super::changes::{Change, Counts, write_changes};
use super::held::{Held, Moments, write_held};
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
/// Of how many holders it is found out whether they hold more, and how small a part of all is told from others.
const HOLDERS: usize = 5000;
const PARTS: u64 = 2000;
/// How many of those that hold more JSON has.
const GROWN: usize = 1000;

/// What has changed between heaps.
#[derive(Serialize)]
struct Report {
    /// When each was copied, in seconds since 1970.
    times: Vec<i64>,
    /// Bytes of all objects of each, as the allocators count.
    footprints: Vec<u64>,
    /// Types whose counts or sizes differ, those that have grown the most first.
    types: Vec<Change>,
    /// Holders that hold more in the last heap than in the first, each after what holds it.
    holders: Vec<Held>,
    /// Who holds what is new in the last heap, of the types that have grown the most.
    new: Vec<New>,
}

/// Objects of a type that have come.
#[derive(Serialize)]
struct New {
    r#type: String,
    /// How many are in the last heap and not in the one before.
    count: usize,
    /// How many are in the last two and not in the one before those: what has come and stayed.
    survivors: usize,
    /// Who holds those that have stayed, or where there are none those that are new.
    #[serde(flatten)]
    ways: Ways,
}

/// What tells an object from others that were at the same place: where it is, and a mark of its type's name.
type Identity = (u64, u64);

/// Compares heaps.
pub fn diff(options: &HeapDiff) -> Result<(), Failure> {
    let count = options.files.len();
    let mut report = Report {
        times: Vec::new(),
        footprints: Vec::new(),
        types: Vec::new(),
        holders: Vec::new(),
        new: Vec::new(),
    };
    let (mut counts, mut moments) = (Counts::new(count), Moments::new(count));
    // Those of the last two heaps before this one.
    let mut earlier: [HashSet<Identity>; 2] = Default::default();
    for (index, file) in options.files.iter().enumerate() {
        let captured = Captured::saved(file)?;
        let heap = captured.heap()?;
        let census = during("counting objects", || Census::of(&heap));
        counts.add(index, &census);
        report.times.push(captured.about.time);
        report.footprints.push(census.types.iter().map(|one| one.size.footprint).sum());
        let objects = during("finding objects", || Objects::of(&heap));
        let holders = during("following references", || Holders::of(&heap, &objects));
        let trails = Trails::new(&heap, &objects, &holders, options.values);
        let sizes = objects.footprints(&heap);
        let dominators =
            during("finding out what holds what", || Dominators::new(&holders.graph, &holders.root_nodes()));
        let holdings = Holdings::new(&objects, &dominators, &trails, &sizes).of_parts(PARTS);
        moments.add(index, &holdings.largest(HOLDERS));
        if index + 1 == count {
            report.types = std::mem::take(&mut counts).changes(options.sort);
            report.new = new(&report.types, &objects, &holders, &trails, &earlier);
        } else if index + 3 >= count {
            earlier.swap(0, 1);
            earlier[1] = objects.numbers().filter_map(|number| identity(&objects, number)).collect();
        }
    }
    report.holders = moments.grown(if options.json { GROWN } else { shown(options) });
    match options.json {
        true => json(&report),
        false => write(options, &report).map_err(|error| Failure::printing(&error)),
    }
}

/// How many rows are shown.
fn shown(options: &HeapDiff) -> usize {
    if options.rows == 0 { usize::MAX } else { options.rows }
}

fn identity(objects: &Objects, number: u32) -> Option<Identity> {
    let object = objects.get(number)?;
    let mut hasher = DefaultHasher::new();
    object.of.name.hash(&mut hasher);
    Some((object.at, hasher.finish()))
}

/// Who holds what is new.
fn new(
    types: &[Change],
    objects: &Objects,
    holders: &Holders,
    trails: &Trails<'_>,
    [first, second]: &[HashSet<Identity>; 2],
) -> Vec<New> {
    let mut grown: Vec<&Change> = types.iter().filter(|change| change.grown().1 > 0).collect();
    // However they are shown.
    grown.sort_by_key(|change| Reverse((change.keeps_growing, change.grown())));
    let of = |change: &&Change| {
        let is_it = |number: &u32| objects.of_type(*number).is_some_and(|of| of.name == change.r#type);
        let known =
            objects.numbers().filter(is_it).filter_map(|number| Some((number, identity(objects, number)?)));
        let (mut new, mut survivors) = (Vec::new(), Vec::new());
        for (number, identity) in known {
            match (first.contains(&identity), second.contains(&identity)) {
                (_, false) => new.push(number),
                (false, true) => survivors.push(number),
                (true, true) => {}
            }
        }
        // Of two heaps nothing is known to have stayed.
        if first.is_empty() {
            survivors.clear();
        }
        let (r#type, count) = (change.r#type.clone(), new.len());
        let wanted = if survivors.is_empty() { &new } else { &survivors };
        New { r#type, count, survivors: survivors.len(), ways: Ways::to(objects, holders, trails, wanted) }
    };
    grown.iter().take(HELD).map(of).collect()
}

fn write(options: &HeapDiff, report: &Report) -> io::Result<()> {
    let mut page = Page::stdout();
    let sizes: Vec<String> =
        report.footprints.iter().map(|bytes| format!("{} MB", megabytes(*bytes))).collect();
    page.line(Tone::Title, &format!("Objects: {}", sizes.join(" -> ")))?;
    write_changes(&report.types, options.rows, &mut page)?;
    write_held(&report.holders, &mut page)?;
    for new in &report.new {
        page.line(Tone::Plain, "")?;
        let wanted = if new.survivors > 0 { new.survivors } else { new.count };
        let looked_at = new.ways.looked_at(wanted);
        let count = grouped(new.count as u64);
        let title = match new.survivors {
            0 => format!("{count} new of {}{looked_at}", new.r#type),
            stayed => format!(
                "{} of {} came earlier and have stayed{looked_at}; {count} are new",
                grouped(stayed as u64),
                new.r#type
            ),
        };
        page.line(Tone::Title, &title)?;
        new.ways.write(WAYS, wanted, &mut page)?;
    }
    page.finish()
}
