//! What is known of memory, for people.

use std::io;

use rspy_profile::Profile;
use rspy_profile::analysis::{Generation, LineMemory, Memory, Moment, ProcessMemory, Shares, moments};

use super::curve::curve;
use crate::analysis::annotated::{Annotated, Row};
use crate::analysis::page::{Page, Tone};
use crate::analysis::table::{NOTHING, Table};
use crate::cli;

/// How wide the curve is where no terminal says.
const WIDTH: usize = 80;

/// How many frames of a stack are shown: the innermost ones.
const FRAMES: usize = 8;

/// How many processes are shown, those with the most memory.
const PROCESSES: usize = 60;

/// What is less is not said, in bytes.
const LEAST: f64 = 50e3;

/// Writes the curve, the processes, and the lines of `functions`.
pub fn write(
    options: &cli::Memory,
    profile: &Profile,
    memory: &Memory,
    functions: &[Annotated],
    mut page: Page,
) -> io::Result<()> {
    page.line(Tone::Title, &memory.basis.title)?;
    page.line(Tone::Plain, &memory.basis.subtitle)?;
    page.line(Tone::Plain, "")?;
    let width = page.width.unwrap_or(WIDTH).min(WIDTH * 2);
    let points: Vec<Moment> = moments(profile, width * 2);
    for line in curve(&points, width, page.look) {
        page.line(Tone::Plain, &line)?;
    }
    page.line(Tone::Plain, "")?;
    peak(memory, &mut page)?;
    processes(memory, &mut page)?;
    collectors(memory, &mut page)?;
    lines(options, memory, functions, &mut page)?;
    page.finish()
}

fn megabytes(bytes: f64) -> String {
    format!("{:.1}", bytes / 1e6)
}

fn peak(memory: &Memory, page: &mut Page) -> io::Result<()> {
    let Some(peak) = &memory.peak else { return Ok(()) };
    let all = match memory.processes.len() {
        1 => String::new(),
        count => format!(" in {count} processes, no page counted twice"),
    };
    let size = megabytes(peak.bytes as f64);
    page.line(Tone::Title, &format!("Peak: {size} MB at {:.2} s{all}; process {} in", peak.at, peak.pid))?;
    let hidden = peak.stack.len().saturating_sub(FRAMES);
    if hidden > 0 {
        page.line(Tone::Quiet, &format!("    ... {hidden} more"))?;
    }
    for frame in peak.stack.iter().skip(hidden) {
        page.line(Tone::Plain, &format!("    {frame}"))?;
    }
    if peak.stack.is_empty() {
        page.line(Tone::Quiet, "    no Python code that was seen")?;
    }
    Ok(())
}

fn processes(memory: &Memory, page: &mut Page) -> io::Result<()> {
    let mut order: Vec<&ProcessMemory> = memory.processes.iter().collect();
    order.sort_by_key(|process| std::cmp::Reverse(process.peak));
    page.line(Tone::Plain, "")?;
    let mut table = Table::new(&[
        "PID",
        "Start",
        "First MB",
        "Last MB",
        "Peak MB",
        "PSS MB",
        "USS MB",
        "With parent MB",
        "Faults",
        "Arenas MB",
    ]);
    for process in order.iter().take(PROCESSES) {
        let size = |bytes: u64| megabytes(bytes as f64);
        let last = process.shares.map(|[_, last]| last);
        let unknown = || "?".to_owned();
        table.row(vec![
            process.pid.to_string(),
            process.start_method.unwrap_or(NOTHING).to_owned(),
            size(process.first),
            size(process.last),
            size(process.peak),
            last.map_or_else(unknown, |last| size(last.proportional)),
            last.map_or_else(unknown, |last| size(last.private)),
            with_parent(process),
            last.map_or_else(unknown, |last| last.minor_faults.to_string()),
            last.and_then(|last| last.arenas).map_or_else(unknown, size),
        ]);
    }
    table.write(page)?;
    if order.len() > PROCESSES {
        page.line(Tone::Quiet, &format!("          {} more", order.len() - PROCESSES))?;
    }
    for process in &order {
        if let Some(loss) = copies(process) {
            page.line(Tone::Plain, &loss)?;
        }
    }
    Ok(())
}

/// What a fork has with its parent, first and last: `310.2 > 12.0`.
fn with_parent(process: &ProcessMemory) -> String {
    match (process.start_method, process.shares) {
        (Some("fork" | "forkserver"), Some([first, last])) => {
            let size = |shares: Shares| megabytes(shares.shared_dirty as f64);
            format!("{} > {}", size(first), size(last))
        }
        _ => NOTHING.to_owned(),
    }
}

/// How fast a fork loses what it had with its parent, if it loses something worth saying.
fn copies(process: &ProcessMemory) -> Option<String> {
    const WORTH: f64 = 10e6;
    let is_fork = matches!(process.start_method, Some("fork" | "forkserver"));
    let [first, last] = process.shares.filter(|_| is_fork)?;
    let lost = first.shared_dirty as f64 - last.shared_dirty as f64;
    let time = last.at - first.at;
    let is_worth = lost > WORTH && time > 0.0;
    is_worth.then(|| {
        format!(
            "{:>9}  has written to, or lost, {} of {} MB that it shared with its parent: {} MB/s",
            process.pid,
            megabytes(lost),
            megabytes(first.shared_dirty as f64),
            megabytes(lost / time)
        )
    })
}

/// What the garbage collector of each process did, if it did something.
fn collectors(memory: &Memory, page: &mut Page) -> io::Result<()> {
    let mut table =
        Table::new(&["PID", "Generation", "Threshold", "Collections", "Freed objects", "Not freed"]);
    let mut times: Vec<String> = Vec::new();
    for process in &memory.processes {
        let Some(collector) = &process.collector else { continue };
        if collector.generations.iter().all(|generation| generation.collections == 0) {
            continue;
        }
        for (number, generation) in collector.generations.iter().enumerate() {
            let Generation { threshold, collections, collected, uncollectable } = *generation;
            let cells = [number as u64, threshold, collections, collected, uncollectable];
            let pid = std::iter::once(process.pid.to_string());
            table.row(pid.chain(cells.map(|cell| cell.to_string())).collect());
        }
        let seconds = process.until - process.from;
        let share = |time: f64| time / seconds.max(1e-9) * 100.0;
        let time = match (collector.duration, collector.sampled) {
            (Some(time), _) => format!("{time:.3} s, {:.1} % of the time", share(time)),
            (None, Some(time)) => {
                format!("about {time:.2} s, {:.1} % of the time, by the samples", share(time))
            }
            (None, None) => continue,
        };
        times.push(format!("  Collecting took process {} {time}", process.pid));
    }
    if table.is_empty() {
        return Ok(());
    }
    page.line(Tone::Plain, "")?;
    table.write(page)?;
    times.iter().try_for_each(|time| page.line(Tone::Plain, time))
}

fn lines(options: &cli::Memory, memory: &Memory, functions: &[Annotated], page: &mut Page) -> io::Result<()> {
    for annotated in functions {
        page.line(Tone::Plain, "")?;
        page.line(Tone::Title, &annotated.title(options.full_filenames))?;
        let of_all = annotated.function.time.memory.unwrap_or_default();
        page.line(
            Tone::Plain,
            &format!("grew by {} MB, gave back {} MB", megabytes(of_all.grown), megabytes(of_all.released)),
        )?;
        if let Some(note) = &annotated.note {
            page.line(Tone::Warm, note)?;
        }
        let is_narrow = page.is_narrow();
        let heading = match is_narrow {
            true => "  Line    Increment   Line Contents",
            false => "  Line   Mem usage    Increment  Occurrences   Line Contents",
        };
        page.line(Tone::Quiet, heading)?;
        for row in annotated.rows_and_gaps() {
            let Some(row) = row else {
                page.line(Tone::Quiet, "   ...")?;
                continue;
            };
            let memory = row.time.and_then(|time| time.memory);
            let share = memory.map_or(0.0, |memory| memory.grown / of_all.grown.max(1.0));
            page.line(Page::tone(share), &text(row, memory, is_narrow))?;
        }
    }
    let [grown, released] = memory.unattributed;
    if grown.max(released) >= LEAST {
        let (grown, released) = (megabytes(grown), megabytes(released));
        page.line(Tone::Plain, "")?;
        page.line(
            Tone::Quiet,
            &format!("Grown by {grown} MB and given back {released} MB while no thread was seen to run."),
        )?;
    }
    Ok(())
}

/// A line as `memory_profiler` shows it: the most that was resident meanwhile, what it made of it, how often it was seen.
fn text(row: &Row, memory: Option<LineMemory>, is_narrow: bool) -> String {
    let number = row.line.map_or("?".to_owned(), |line| line.to_string());
    let source =
        row.source.as_deref().unwrap_or(if row.line.is_none() { "[not known which line]" } else { "" });
    let LineMemory { grown, released, most, visits, .. } = memory.unwrap_or_default();
    let change = grown - released;
    let change = if change.abs() < LEAST { String::new() } else { format!("{:+.1} MB", change / 1e6) };
    if is_narrow {
        return format!("{number:>6} {change:>12}   {source}");
    }
    let most = if most == 0 { String::new() } else { format!("{} MB", megabytes(most as f64)) };
    let visits = if visits == 0 { String::new() } else { visits.to_string() };
    format!("{number:>6} {most:>11} {change:>12} {visits:>12}    {source}")
}
