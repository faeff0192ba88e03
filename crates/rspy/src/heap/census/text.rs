//! What is known of a heap, for people.

use std::cmp::Reverse;
use std::io;

use rspy_heap::fill::{Class, Fill};
use rspy_heap::pins::Pins;

use super::super::megabytes;
use super::{Report, Row};
use crate::analysis::page::{Page, Tone};
use crate::cli::Heap;
use crate::progress::grouped;

/// How many types of what keeps arenas are told.
const PINS: usize = 5;

/// How many sizes of blocks.
const CLASSES: usize = 5;

/// Writes the types, the arenas and what is in memory.
pub fn write(options: &Heap, report: &Report) -> io::Result<()> {
    let mut page = Page::stdout();
    page.line(
        Tone::Title,
        &format!("{} · Python {} · pid {}", report.command_line, report.version, report.pid),
    )?;
    page.line(
        Tone::Plain,
        &format!(
            "{} objects of {} types: {} MB, {} MB as sys.getsizeof() counts; RSS {} MB",
            grouped(report.count),
            grouped(report.types.len() as u64),
            megabytes(report.footprint),
            megabytes(report.size),
            megabytes(report.rss),
        ),
    )?;
    page.line(Tone::Quiet, &how(report))?;
    page.line(Tone::Plain, "")?;
    types(options, report, &mut page)?;
    page.line(Tone::Plain, "")?;
    report.memory.write(&report.resident, &mut page)?;
    page.line(Tone::Plain, "")?;
    match &report.mimalloc {
        None => arenas(&report.pymalloc, &report.pins, &mut page)?,
        Some(fill) => segments(fill, &mut page)?,
    }
    classes(options, report.mimalloc.as_ref().unwrap_or(&report.pymalloc), &mut page)?;
    page.finish()
}

/// How it was read, and what that may have missed.
fn how(report: &Report) -> String {
    let mut text = match &report.paused {
        Some(paused) if paused.ran == 0 && paused.seconds == 0.0 => {
            "nothing ran while it was copied".to_owned()
        }
        Some(paused) if paused.ran == 0 => format!("stopped for {:.0} ms", paused.seconds * 1e3),
        Some(paused) => {
            format!(
                "stopped for {:.0} ms, in which {} threads ran all the same",
                paused.seconds * 1e3,
                paused.ran
            )
        }
        None => "read while it went on (--pause: all of one moment)".to_owned(),
    };
    if report.misfits > 0 {
        text += &format!("; {} pages made no sense", report.misfits);
    }
    if report.lost > 0 {
        text += &format!("; {} MB were gone when they were read", megabytes(report.lost));
    }
    if report.swapped > 0 {
        text += &format!("; {} MB in swap space were left there", megabytes(report.swapped));
    }
    text
}

fn types(options: &Heap, report: &Report, page: &mut Page) -> io::Result<()> {
    page.line(
        Tone::Quiet,
        "       Count          MB       %     getsizeof MB    Mean B     Largest B  Type",
    )?;
    let shown = if options.rows == 0 { report.types.len() } else { options.rows };
    for row in report.types.iter().take(shown) {
        page.line(Page::tone(share(row.footprint, report.footprint)), &line(row, report.footprint))?;
    }
    if let Some(rest) = report.types.get(shown..).filter(|rest| !rest.is_empty()) {
        let sum = |of: fn(&Row) -> u64| rest.iter().map(of).fold(0, u64::saturating_add);
        let left = format!(
            "{:>12}  {:>10}  {:>5.1}  {:>15}                           {} more types (--rows 0 shows all)",
            grouped(sum(|row| row.count)),
            megabytes(sum(|row| row.footprint)),
            share(sum(|row| row.footprint), report.footprint) * 100.0,
            megabytes(sum(|row| row.size)),
            rest.len(),
        );
        page.line(Tone::Quiet, &left)?;
    }
    Ok(())
}

fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

fn line(row: &Row, whole: u64) -> String {
    format!(
        "{:>12}  {:>10}  {:>5.1}  {:>15}  {:>8.1}  {:>12}  {}",
        grouped(row.count),
        megabytes(row.footprint),
        share(row.footprint, whole) * 100.0,
        megabytes(row.size),
        row.mean,
        grouped(row.largest.footprint),
        row.r#type
    )
}

/// How full the arenas are.
fn arenas(fill: &Fill, pins: &Pins, page: &mut Page) -> io::Result<()> {
    page.line(Tone::Title, &format!("{} arenas: {} MB", grouped(fill.arenas), megabytes(fill.bytes)))?;
    for (bytes, what) in [
        (fill.used, "in use"),
        (fill.free_blocks, "free blocks between those: only for objects of the same size"),
        (fill.free_pools, "free pools: for objects of any size"),
        (fill.overhead, "headers and what is left over"),
    ] {
        page.line(Tone::Plain, &format!("{:>12}  {what}", megabytes(bytes)))?;
    }
    if fill.sparse_arenas > 0 {
        let text = format!(
            "{:>12}  of that in {} that {} kept by less than a tenth:",
            megabytes(fill.sparse_free),
            counted(fill.sparse_arenas, "arena"),
            if fill.sparse_arenas == 1 { "is" } else { "are" }
        );
        page.line(Tone::Plain, &text)?;
        page.line(Tone::Plain, &format!("{:>14}{}", "", kept_by(pins)))?;
    }
    Ok(())
}

/// How full the segments of mimalloc are.
fn segments(fill: &Fill, page: &mut Page) -> io::Result<()> {
    let title = format!(
        "{} segments of mimalloc: {} MB, of which {} MB are in memory",
        grouped(fill.arenas),
        megabytes(fill.bytes),
        megabytes(fill.resident)
    );
    page.line(Tone::Title, &title)?;
    for (bytes, what) in [
        (fill.used, "in use"),
        (fill.free_blocks, "free blocks between those: only for what is of the same size and kind"),
        (fill.free_pools, "free pages: for anything; not in memory, or soon to be returned"),
        (fill.overhead, "headers and what is left over"),
    ] {
        page.line(Tone::Plain, &format!("{:>12}  {what}", megabytes(bytes)))?;
    }
    Ok(())
}

/// How full pages are, by the size of their blocks: those with the most that is free, which only objects of that size can have.
fn classes(options: &Heap, fill: &Fill, page: &mut Page) -> io::Result<()> {
    if fill.classes.is_empty() {
        return Ok(());
    }
    let free = |class: &Class| class.free.saturating_mul(class.size);
    let mut all: Vec<&Class> = fill.classes.iter().collect();
    all.sort_by_key(|class| (Reverse(free(class)), class.size));
    let shown = if options.rows == 0 { all.len() } else { CLASSES };
    page.line(Tone::Plain, "")?;
    page.line(Tone::Quiet, "     Block B       Pools     Used MB     Free MB  Free %")?;
    for class in all.iter().take(shown) {
        let Class { size, pools, used, .. } = **class;
        let used = used.saturating_mul(size);
        let text = format!(
            "{:>12}  {:>10}  {:>10}  {:>10}  {:>6.1}",
            grouped(size),
            grouped(pools),
            megabytes(used),
            megabytes(free(class)),
            share(free(class), used.saturating_add(free(class))) * 100.0
        );
        page.line(Tone::Plain, &text)?;
    }
    if let Some(rest) = all.get(shown..).filter(|rest| !rest.is_empty()) {
        let sum = rest.iter().map(|class| free(class)).fold(0, u64::saturating_add);
        let text = format!(
            "{:>12}  {:>10}  {:>10}  {:>10}          {} more sizes (--rows 0 shows all)",
            "",
            "",
            "",
            megabytes(sum),
            rest.len()
        );
        page.line(Tone::Quiet, &text)?;
    }
    Ok(())
}

/// What keeps arenas that are nearly empty, and how to ask further.
fn kept_by(pins: &Pins) -> String {
    let mut parts: Vec<String> =
        pins.types.iter().take(PINS).map(|pin| format!("{} {}", grouped(pin.count), pin.r#type)).collect();
    let rest: u64 = pins.types.iter().skip(PINS).map(|pin| pin.count).sum();
    if rest > 0 {
        parts.push(counted(rest, "other object"));
    }
    if pins.others > 0 {
        parts.push(format!("{} of tables and items", counted(pins.others, "block")));
    }
    let ask = pins.types.first().map(|pin| format!(" (--why {:#x} tells who holds one)", pin.address));
    format!("{}{}", parts.join(", "), ask.unwrap_or_default())
}

/// So many of something.
fn counted(count: u64, what: &str) -> String {
    format!("{} {what}{}", grouped(count), if count == 1 { "" } else { "s" })
}
