//! `rspy heap --growth`: of which types there are more some seconds later.

use std::io;
use std::thread;
use std::time::Duration;

use rspy_heap::census::Census;
use serde::Serialize;

use super::captured::Captured;
use super::changes::{Change, Counts, write_changes};
use crate::analysis::page::{Page, Tone, json};
use crate::cli::Heap;
use crate::failure::Failure;
use crate::progress::during;

/// What has changed.
#[derive(Serialize)]
struct Report {
    seconds: u64,
    types: Vec<Change>,
}

/// Looks twice, so many `seconds` apart, and prints what has changed.
pub fn growth(options: &Heap, seconds: u64) -> Result<(), Failure> {
    let mut counts = Counts::new(2);
    for moment in 0..2 {
        if moment > 0 {
            thread::sleep(Duration::from_secs(seconds));
        }
        let captured = Captured::of(options)?;
        let heap = captured.heap()?;
        let census = during("counting objects", || Census::of(&heap));
        counts.add(moment, &captured.whole(&heap, census)?);
    }
    let report = Report { seconds, types: counts.changes(options.sort) };
    match options.json {
        true => json(&report),
        false => write(options, &report).map_err(|error| Failure::printing(&error)),
    }
}

fn write(options: &Heap, report: &Report) -> io::Result<()> {
    let mut page = Page::stdout();
    page.line(Tone::Title, &format!("What has changed in {} s", report.seconds))?;
    if report.types.is_empty() {
        page.line(Tone::Plain, "Nothing: there are as many of each type as before.")?;
        return page.finish();
    }
    write_changes(&report.types, options.rows, &mut page)?;
    page.finish()
}
