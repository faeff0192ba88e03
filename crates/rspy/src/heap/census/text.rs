//! What is known of a heap, for people.

use std::io;

use rspy_heap::fill::Fill;
use rspy_heap::residence::Mapped;

use super::super::megabytes;
use super::{Report, Row};
use crate::analysis::page::{Page, Tone};
use crate::cli::Heap;
use crate::progress::grouped;

/// What is less than this part of the whole is not said of what is in memory.
const LEAST: f64 = 0.005;

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
    memory(report, &mut page)?;
    page.line(Tone::Plain, "")?;
    match &report.mimalloc {
        None => arenas(&report.pymalloc, &mut page)?,
        Some(fill) => segments(fill, &mut page)?,
    }
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

/// What of the process is in memory.
fn memory(report: &Report, page: &mut Page) -> io::Result<()> {
    page.line(Tone::Title, &format!("In memory: {} MB", megabytes(report.rss)))?;
    let mut rest = 0;
    for part in &report.resident {
        if share(part.bytes, report.rss) < LEAST {
            rest += part.bytes;
            continue;
        }
        let what = match &part.what {
            Mapped::Anonymous => {
                let resident = |fill: &Fill| fill.resident;
                let pages = report.pymalloc.resident + report.mimalloc.as_ref().map_or(0, resident);
                let pages = pages.min(part.bytes);
                let what = match report.mimalloc {
                    None => "arenas of Python's allocator",
                    Some(_) => "segments of Python's allocator",
                };
                page.line(Tone::Plain, &format!("{:>12}  {what}", megabytes(pages)))?;
                page.line(
                    Tone::Plain,
                    &format!(
                        "{:>12}  other memory: large objects, libraries, stacks of threads",
                        megabytes(part.bytes - pages)
                    ),
                )?;
                continue;
            }
            Mapped::Heap => "malloc's heap".to_owned(),
            Mapped::Stack => "stack of the main thread".to_owned(),
            Mapped::File(path) => path.display().to_string(),
        };
        page.line(Tone::Plain, &format!("{:>12}  {what}", megabytes(part.bytes)))?;
    }
    if rest > 0 {
        page.line(Tone::Quiet, &format!("{:>12}  other files", megabytes(rest)))?;
    }
    Ok(())
}

/// How full the arenas are.
fn arenas(fill: &Fill, page: &mut Page) -> io::Result<()> {
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
            "{:>12}  of that in {} arenas that are kept by less than a tenth of them",
            megabytes(fill.sparse_free),
            grouped(fill.sparse_arenas)
        );
        page.line(Tone::Plain, &text)?;
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
