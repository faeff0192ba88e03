//! `rspy heap --retained`: what would be freed with each object, and with all of each type.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use rspy_heap::graph::{Dominators, Garbage, garbage};
use rspy_heap::heap::Heap as Objects;
use rspy_heap::holders::Holders;
use rspy_heap::holdings::{Holding, Holdings};
use rspy_heap::objects;
use rspy_heap::packages::{Package, packages};
use rspy_heap::trails::Trails;
use rspy_profile::format::flamegraph_of;
use serde::Serialize;

use super::captured::{About, Captured};
use super::megabytes;
use crate::analysis::page::{Page, Tone, json};
use crate::cli::{Heap, HeapKey};
use crate::failure::Failure;
use crate::progress::{during, grouped, report};

/// How many holders JSON has, if rows are not limited.
const ALL: usize = 10_000;
/// How many types of a cycle are told.
const TYPES_OF_CYCLE: usize = 4;

/// What is held by what. All is in bytes.
#[derive(Serialize)]
struct Report {
    /// All objects, and those of them that no root leads to.
    footprint: u64,
    unreachable: u64,
    /// What roots hold, and what that holds: the largest, each after what holds it.
    holdings: Vec<Holding>,
    /// Types by what would be freed with all of each, the largest first.
    types: Vec<OfType>,
    /// Packages by what would be freed with all modules of each, the largest first.
    modules: Vec<Package>,
    /// Objects that are held only by each other, the largest first.
    cycles: Vec<Cycle>,
}

/// A type, and what would be freed with its instances.
#[derive(Serialize)]
struct OfType {
    r#type: String,
    count: u64,
    own: u64,
    retained: u64,
}

/// Objects that are held only by each other: so many times, objects of these types.
#[derive(Serialize)]
struct Cycle {
    times: usize,
    /// All of them together.
    bytes: u64,
    objects: usize,
    /// The types in one, the most frequent first, and how many of each.
    types: Vec<(String, usize)>,
}

/// Prints what holds how much.
pub fn retained(options: &Heap) -> Result<(), Failure> {
    let captured = Captured::of(options)?;
    let heap = captured.heap()?;
    let objects = during("finding objects", || objects::Objects::of(&heap));
    let holders = during("following references", || Holders::of(&heap, &objects));
    let report = captured.whole(&heap, Report::new(options, &heap, &objects, &holders))?;
    match &options.output {
        Some(file) => picture(&captured.about, &report, file),
        None if options.json => json(&report),
        None => write(options, &report).map_err(|error| Failure::printing(&error)),
    }
}

impl Report {
    fn new(options: &Heap, heap: &Objects<'_>, objects: &objects::Objects, holders: &Holders) -> Report {
        let sizes = objects.footprints(heap);
        let roots = holders.root_nodes();
        let dominators = during("finding out what holds what", || Dominators::new(&holders.graph, &roots));
        let trails = Trails::new(heap, objects, holders, options.values);
        let holdings = Holdings::new(objects, &dominators, &trails, &sizes);
        let rows = if options.rows == 0 || options.output.is_some() { ALL } else { options.rows };
        let garbage = garbage(&holders.graph, &roots, &sizes);
        Report {
            footprint: sizes.iter().fold(0, |sum: u64, size| sum.saturating_add(*size)),
            unreachable: garbage.iter().fold(0, |sum: u64, garbage| sum.saturating_add(garbage.size)),
            holdings: holdings.largest(rows),
            types: types(objects, &dominators, &sizes, options.sort),
            modules: sorted(packages(holders, &dominators, &sizes), options.sort),
            cycles: cycles(objects, &garbage),
        }
    }
}

/// What would be freed with each type.
fn types(
    objects: &objects::Objects,
    dominators: &Dominators,
    sizes: &[u64],
    key: Option<HeapKey>,
) -> Vec<OfType> {
    let retained = dominators.retained_by(objects.types(), sizes);
    let mut all: Vec<OfType> = objects
        .all_types()
        .iter()
        .zip(retained)
        .map(|(of, retained)| OfType { r#type: of.name.clone(), count: 0, own: 0, retained })
        .collect();
    for (of, size) in objects.types().iter().zip(sizes) {
        if let Some(row) = all.get_mut(*of as usize) {
            row.count += 1;
            row.own += size;
        }
    }
    all.retain(|row| row.count > 0);
    all.sort_by(|one, next| one.r#type.cmp(&next.r#type));
    match key {
        Some(HeapKey::Footprint) => all.sort_by_key(|row| Reverse(row.own)),
        Some(HeapKey::Count) => all.sort_by_key(|row| Reverse(row.count)),
        Some(HeapKey::Type) => {}
        _ => all.sort_by_key(|row| Reverse(row.retained)),
    }
    all
}

/// The packages, those that hold the most first.
fn sorted(mut packages: Vec<Package>, key: Option<HeapKey>) -> Vec<Package> {
    match key {
        Some(HeapKey::Count) => packages.sort_by_key(|package| Reverse(package.modules)),
        Some(HeapKey::Type) => packages.sort_by(|one, next| one.name.cmp(&next.name)),
        _ => {}
    }
    packages
}

/// Cycles, those that are alike together, by what they take.
fn cycles(objects: &objects::Objects, garbage: &[Garbage]) -> Vec<Cycle> {
    let mut alike: HashMap<Vec<(String, usize)>, Cycle> = HashMap::new();
    for one in garbage.iter().filter(|one| one.is_cycle) {
        let mut types: HashMap<&str, usize> = HashMap::new();
        for of in one.members.iter().filter_map(|member| objects.of_type(*member)) {
            *types.entry(&of.name).or_default() += 1;
        }
        let mut types: Vec<(String, usize)> =
            types.into_iter().map(|(name, count)| (name.to_owned(), count)).collect();
        types.sort_by(|one, next| (Reverse(one.1), &one.0).cmp(&(Reverse(next.1), &next.0)));
        let none = || Cycle { times: 0, bytes: 0, objects: 0, types: types.clone() };
        let cycle = alike.entry(types.clone()).or_insert_with(none);
        cycle.times += 1;
        cycle.bytes += one.size;
        cycle.objects += one.members.len();
    }
    let mut cycles: Vec<Cycle> = alike.into_values().collect();
    cycles.sort_by(|one, next| (next.bytes, &one.types).cmp(&(one.bytes, &next.types)));
    cycles
}

fn write(options: &Heap, report: &Report) -> io::Result<()> {
    let mut page = Page::stdout();
    let share = |bytes: u64| bytes as f64 / report.footprint.max(1) as f64;
    page.line(Tone::Title, "What would be freed with each: what holds it is above, and further left")?;
    page.line(Tone::Quiet, " Retained MB       %      Own MB       Count  Holder")?;
    for holding in in_order(&report.holdings) {
        let text = format!(
            "{:>12}  {:>6.1}  {:>10}  {:>10}  {}{}",
            megabytes(holding.retained),
            share(holding.retained) * 100.0,
            megabytes(holding.own),
            grouped(holding.count),
            "  ".repeat(holding.depth),
            holding.what
        );
        page.line(Page::tone(share(holding.retained)), &text)?;
    }
    page.line(Tone::Plain, "")?;
    page.line(Tone::Title, "What would be freed with all of a type")?;
    page.line(Tone::Quiet, " Retained MB       %      Own MB       Count  Type")?;
    let shown = if options.rows == 0 { report.types.len() } else { options.rows };
    for row in report.types.iter().take(shown) {
        let text = format!(
            "{:>12}  {:>6.1}  {:>10}  {:>10}  {}",
            megabytes(row.retained),
            share(row.retained) * 100.0,
            megabytes(row.own),
            grouped(row.count),
            row.r#type
        );
        page.line(Page::tone(share(row.retained)), &text)?;
    }
    page.line(Tone::Plain, "")?;
    page.line(Tone::Title, "What would be freed with all modules of a package")?;
    page.line(Tone::Quiet, " Retained MB       %     Modules  Package")?;
    let shown = if options.rows == 0 { report.modules.len() } else { options.rows };
    for package in report.modules.iter().take(shown) {
        let text = format!(
            "{:>12}  {:>6.1}  {:>10}  {}",
            megabytes(package.retained),
            share(package.retained) * 100.0,
            grouped(package.modules),
            package.name
        );
        page.line(Page::tone(share(package.retained)), &text)?;
    }
    page.line(Tone::Plain, "")?;
    page.line(
        Tone::Title,
        &format!("{} MB are garbage that the collector has not found yet", megabytes(report.unreachable)),
    )?;
    for cycle in report.cycles.iter().take(shown) {
        let mut types: Vec<String> =
            cycle.types.iter().map(|(name, count)| format!("{count} {name}")).collect();
        if types.len() > TYPES_OF_CYCLE {
            types.truncate(TYPES_OF_CYCLE);
            types.push("…".to_owned());
        }
        let text = format!(
            "{:>12}  {} times objects that hold each other: {}",
            megabytes(cycle.bytes),
            grouped(cycle.times as u64),
            types.join(", ")
        );
        page.line(Tone::Plain, &text)?;
    }
    page.finish()
}

/// Writes a flame graph of what holds how much.
fn picture(about: &About, known: &Report, file: &Path) -> Result<(), Failure> {
    // What is left of each when what it holds, and is told, is taken away.
    let mut own: Vec<u64> = known.holdings.iter().map(|holding| holding.retained).collect();
    let mut stacks: Vec<Vec<String>> = Vec::with_capacity(own.len());
    for holding in &known.holdings {
        let mut stack = holding.within.and_then(|within| stacks.get(within).cloned()).unwrap_or_default();
        let count = if holding.count > 1 { format!("{} × ", grouped(holding.count)) } else { String::new() };
        stack.push(format!("{count}{}", holding.what));
        stacks.push(stack);
        if let Some(above) = holding.within.and_then(|within| own.get_mut(within)) {
            *above = above.saturating_sub(holding.retained);
        }
    }
    let stacks = stacks.iter().zip(own).map(|(stack, own)| (stack.as_slice(), own / 1000));
    let title = about.command_line.clone();
    let subtitle = format!(
        "{} MB of objects by what holds them · Python {} · pid {}",
        megabytes(known.footprint),
        about.version,
        about.pid
    );
    let mut out = File::create(file).map_err(|error| Failure::opening(file, &error))?;
    let mut drawn = Vec::new();
    flamegraph_of(title, subtitle, "kB", stacks.filter(|(_, own)| *own > 0), &mut drawn)
        .map_err(|error| Failure::drawing_heap(file, &io::Error::other(error)))?;
    out.write_all(&drawn).map_err(|error| Failure::drawing_heap(file, &error))?;
    report(format_args!("Wrote {}: open it in a browser.", file.display()));
    Ok(())
}

/// Each after what holds it, the largest first.
fn in_order(holdings: &[Holding]) -> Vec<&Holding> {
    let mut within: HashMap<Option<usize>, Vec<usize>> = HashMap::new();
    for (place, holding) in holdings.iter().enumerate() {
        within.entry(holding.within).or_default().push(place);
    }
    let mut ordered = Vec::with_capacity(holdings.len());
    let mut left: Vec<usize> = within.get(&None).into_iter().flatten().rev().copied().collect();
    while let Some(place) = left.pop() {
        ordered.extend(holdings.get(place));
        left.extend(within.get(&Some(place)).into_iter().flatten().rev().copied());
    }
    ordered
}
