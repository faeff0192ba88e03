//! How many objects of which type there were at several moments.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::io;

use rspy_heap::census::Census;
use serde::Serialize;

use crate::analysis::page::{Page, Tone};
use crate::cli::HeapKey;
use crate::progress::grouped;

/// A type in each of the heaps.
#[derive(Serialize)]
pub struct Change {
    pub r#type: String,
    counts: Vec<u64>,
    footprints: Vec<u64>,
    /// Whether there were more of them in each heap than in the one before, of three heaps or more.
    pub keeps_growing: bool,
}

impl Change {
    /// By how many bytes, and by how many, there are more in the last than in the first.
    pub fn grown(&self) -> (i64, i64) {
        let difference = |of: &[u64]| match (of.first(), of.last()) {
            (Some(first), Some(last)) => last.cast_signed().saturating_sub(first.cast_signed()),
            _ => 0,
        };
        (difference(&self.footprints), difference(&self.counts))
    }
}

/// Counts at several moments, by type.
#[derive(Default)]
pub struct Counts {
    moments: usize,
    types: BTreeMap<String, (Vec<u64>, Vec<u64>)>,
}

impl Counts {
    /// None yet, of so many moments.
    pub fn new(moments: usize) -> Counts {
        Counts { moments, types: BTreeMap::new() }
    }

    /// Adds what was counted at one of them.
    pub fn add(&mut self, moment: usize, census: &Census) {
        for one in &census.types {
            let none = || (vec![0; self.moments], vec![0; self.moments]);
            let (counts, footprints) = self.types.entry(one.of.name.clone()).or_insert_with(none);
            counts[moment] += one.count;
            footprints[moment] += one.size.footprint;
        }
    }

    /// The types that have changed, by `key`: if none is given those that grew each time first, then those that grew the most.
    pub fn changes(self, key: Option<HeapKey>) -> Vec<Change> {
        let change = |(name, (counts, footprints)): (String, (Vec<u64>, Vec<u64>))| {
            let keeps_growing = counts.len() > 2 && counts.windows(2).all(|pair| pair[0] < pair[1]);
            Change { r#type: name, counts, footprints, keeps_growing }
        };
        let mut changes: Vec<Change> = self.types.into_iter().map(change).collect();
        changes.retain(|change| change.grown() != (0, 0) || change.keeps_growing);
        // They come by their names.
        match key {
            None => changes.sort_by_key(|change| Reverse((change.keeps_growing, change.grown()))),
            Some(HeapKey::Count) => changes.sort_by_key(|change| Reverse(change.grown().1)),
            Some(HeapKey::Type) => {}
            Some(_) => changes.sort_by_key(|change| Reverse(change.grown().0)),
        }
        changes
    }
}

/// A number with its sign.
fn signed(number: i64) -> String {
    let sign = if number < 0 { "-" } else { "+" };
    format!("{sign}{}", grouped(number.unsigned_abs()))
}

/// Writes as many as `rows` of them.
pub fn write_changes(changes: &[Change], rows: usize, page: &mut Page) -> io::Result<()> {
    page.line(Tone::Quiet, "        MB       Objects  Type: how many there were")?;
    let shown = if rows == 0 { changes.len() } else { rows };
    for change in changes.iter().take(shown) {
        let (bytes, count) = change.grown();
        let counts: Vec<String> = change.counts.iter().map(|count| grouped(*count)).collect();
        let growing = if change.keeps_growing { "  (more each time)" } else { "" };
        let text = format!(
            "{:>+10.1}  {:>12}  {}: {}{growing}",
            bytes as f64 / 1e6,
            signed(count),
            change.r#type,
            counts.join(" -> ")
        );
        page.line(if change.keeps_growing { Tone::Hot } else { Tone::Plain }, &text)?;
    }
    if let Some(rest) = changes.get(shown..).filter(|rest| !rest.is_empty()) {
        page.line(Tone::Quiet, &format!("{:>24}  {} more types (--rows 0 shows all)", "", rest.len()))?;
    }
    Ok(())
}
