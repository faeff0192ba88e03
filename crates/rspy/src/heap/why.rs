//! `rspy heap --why`: who holds an object, or the instances of a type.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::io;

use rspy_heap::graph::Paths;
use rspy_heap::holders::Holders;
use rspy_heap::objects::Objects;
use rspy_heap::trails::{Step, Trails};
use serde::Serialize;

use super::captured::Captured;
use crate::analysis::page::{Page, Tone, json};
use crate::cli::Heap;
use crate::failure::Failure;
use crate::progress::{during, grouped};

/// How many instances of a type are looked at: evenly spread over all.
const LOOKED_AT: usize = 10_000;

/// Who holds what was asked for.
#[derive(Serialize)]
struct Report {
    /// What was asked for, and how many objects that is.
    what: String,
    count: usize,
    #[serde(flatten)]
    ways: Ways,
}

/// The ways to objects.
#[derive(Serialize)]
pub struct Ways {
    /// How many objects were looked at.
    looked_at: usize,
    /// How many of them nothing leads to but themselves, if anything.
    unreachable: usize,
    /// By what is on the way: the most frequent first.
    ways: Vec<Way>,
}

/// Paths that are alike: through objects of the same types, from the same root.
#[derive(Serialize)]
struct Way {
    count: usize,
    /// One of them.
    path: Vec<Step>,
}

/// Prints who holds `what`: an address or a type.
pub fn why(options: &Heap, what: &str) -> Result<(), Failure> {
    let captured = Captured::of(options)?;
    let heap = captured.heap()?;
    let objects = during("finding objects", || Objects::of(&heap));
    captured.whole(&heap, ())?;
    let wanted = wanted(&objects, what)?;
    let holders = during("following references", || Holders::of(&heap, &objects));
    let trails = Trails::new(&heap, &objects, &holders, options.values);
    let ways = Ways::to(&objects, &holders, &trails, &wanted);
    let report = captured.whole(&heap, Report { what: what.to_owned(), count: wanted.len(), ways })?;
    match options.json {
        true => json(&report),
        false => write(options, &report).map_err(|error| Failure::printing(&error)),
    }
}

/// The objects that are asked for.
fn wanted(objects: &Objects, what: &str) -> Result<Vec<u32>, Failure> {
    if let Some(at) = what.strip_prefix("0x").and_then(|digits| u64::from_str_radix(digits, 16).ok()) {
        return match objects.number(at) {
            Some(number) => Ok(vec![number]),
            None => Err(Failure::new(
                format!("No object begins at {what}."),
                "Give the address that id() or another rspy heap of the same process has told.",
            )),
        };
    }
    instances(objects, what)
}

/// The instances of the types that are called `name`: wholly, or by their last part.
pub fn instances(objects: &Objects, name: &str) -> Result<Vec<u32>, Failure> {
    let of_type = types(objects, name)?;
    let is_wanted =
        |number: &u32| objects.of_type(*number).and_then(|of| of_type.get(of.id as usize)) == Some(&true);
    Ok(objects.numbers().filter(is_wanted).collect())
}

/// Which types are called `name`, by number.
fn types(objects: &Objects, name: &str) -> Result<Vec<bool>, Failure> {
    let all = objects.all_types();
    let by = |is_it: &dyn Fn(&str) -> bool| -> Option<Vec<bool>> {
        let found: Vec<bool> = all.iter().map(|of| is_it(&of.name)).collect();
        found.contains(&true).then_some(found)
    };
    let last = |full: &str| full.rsplit('.').next() == Some(name);
    by(&|full| full == name).or_else(|| by(&last)).ok_or_else(|| {
        let near = all.iter().filter(|of| of.name.to_lowercase().contains(&name.to_lowercase()));
        let mut near: Vec<&str> = near.map(|of| of.name.as_str()).take(8).collect();
        near.sort_unstable();
        let cause = format!("There is no object of a type called {name}.");
        match near.is_empty() {
            true => Failure::new(cause, "See rspy heap for the types there are."),
            false => Failure::new(cause, format!("Did you mean {}?", near.join(", "))),
        }
    })
}

impl Ways {
    /// The ways to `wanted`, or to some of them where they are many.
    pub fn to(objects: &Objects, holders: &Holders, trails: &Trails<'_>, wanted: &[u32]) -> Ways {
        let named: Vec<u32> = holders.named().iter().map(|(node, _)| *node).collect();
        let paths = [Paths::from(&holders.graph, &named), Paths::from(&holders.graph, &holders.root_nodes())];
        let step = wanted.len().div_ceil(LOOKED_AT).max(1);
        let looked_at: Vec<u32> = wanted.iter().copied().step_by(step).collect();
        let mut unreachable = 0;
        let mut ways: HashMap<Vec<u32>, (usize, Vec<u32>)> = HashMap::new();
        for number in &looked_at {
            // What a name leads to counts before what only is counted.
            let Some(path) = paths.iter().find_map(|paths| paths.path_to(*number)) else {
                unreachable += 1;
                continue;
            };
            let of = |node: &u32| objects.types().get(*node as usize).copied().unwrap_or(u32::MAX);
            let mut alike: Vec<u32> = path.iter().map(of).collect();
            alike.extend(path.first());
            ways.entry(alike).or_insert((0, path)).0 += 1;
        }
        let mut ways: Vec<(usize, Vec<u32>)> = ways.into_values().collect();
        ways.sort_by_key(|(count, path)| (Reverse(*count), path.len(), path.clone()));
        let ways = ways.into_iter().map(|(count, path)| Way { count, path: trails.steps(&path) });
        Ways { looked_at: looked_at.len(), unreachable, ways: ways.collect() }
    }

    /// Writes as many as `rows`, each with its share of `count` objects.
    pub fn write(&self, rows: usize, count: usize, page: &mut Page) -> io::Result<()> {
        let shown = if rows == 0 { self.ways.len() } else { rows };
        for way in self.ways.iter().take(shown) {
            page.line(Tone::Plain, "")?;
            if count > 1 {
                page.line(Tone::Warm, &format!("{} like this one:", grouped(way.count as u64)))?;
            }
            page.line(Tone::Plain, &line(&way.path))?;
        }
        if let Some(rest) = self.ways.get(shown..).filter(|rest| !rest.is_empty()) {
            let count: usize = rest.iter().map(|way| way.count).sum();
            let text = format!("{} in {} other ways (--rows 0 shows all)", grouped(count as u64), rest.len());
            page.line(Tone::Quiet, "")?;
            page.line(Tone::Quiet, &text)?;
        }
        if self.unreachable > 0 {
            page.line(Tone::Plain, "")?;
            let text = format!(
                "{}: nothing leads there but what is garbage itself, which the collector has not found yet",
                grouped(self.unreachable as u64)
            );
            page.line(Tone::Warm, &text)?;
        }
        Ok(())
    }

    /// What was looked at of `count` objects, if that is not all of them.
    pub fn looked_at(&self, count: usize) -> String {
        match self.looked_at < count {
            true => format!(", {} of them looked at", grouped(self.looked_at as u64)),
            false => String::new(),
        }
    }
}

fn write(options: &Heap, report: &Report) -> io::Result<()> {
    let mut page = Page::stdout();
    let heading = match report.what.starts_with("0x") {
        true => report.what.clone(),
        false => format!(
            "{} of {}{}",
            grouped(report.count as u64),
            report.what,
            report.ways.looked_at(report.count)
        ),
    };
    page.line(Tone::Title, &heading)?;
    report.ways.write(options.rows, report.count, &mut page)?;
    page.finish()
}

/// A path on one line.
fn line(path: &[Step]) -> String {
    let step = |step: &Step| format!("{}{}", step.what, step.by);
    let last = path.last().map(|last| format!(" at {:#x}", last.address)).unwrap_or_default();
    format!("{}{last}", path.iter().map(step).collect::<Vec<_>>().join(" -> "))
}
