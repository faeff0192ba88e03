//! Functions with their source beside what is known of their lines.

use std::time::{Duration, SystemTime};

use rspy_process::Process;
use rspy_profile::Metadata;
use rspy_profile::analysis::{LineTime, LinesOf, Time};
use serde::Serialize;

use crate::source::{Source, Sources, last_line};

/// The kernel tells when a process began in hundredths of a second, and changes files by a clock as coarse.
const GRAIN: Duration = Duration::from_millis(20);

/// How many lines before and after one that was seen are shown of code that is longer than a function should be.
const AROUND: u32 = 2;
/// How many lines of a function are shown whole.
const LONG: u32 = 200;

/// Where the code that was sampled comes from.
#[derive(Debug)]
pub struct Origin {
    sources: Sources,
    /// When it was loaded, at the earliest.
    begun: SystemTime,
}

impl Origin {
    /// The files of a process, to be read also when it has ended.
    pub fn of_process(process: &Process) -> Origin {
        let begun = begun(process).unwrap_or_else(SystemTime::now);
        Origin { sources: Sources::of_process(process.pid()), begun }
    }

    /// Those of the process of a recording, if it still runs; else those that are here.
    pub fn of_recording(metadata: &Metadata) -> Origin {
        let process = Process::open(metadata.pid).ok().filter(|process| {
            // Another one may have its number by now.
            process.command_line().join(" ") == metadata.program
                && begun(process).is_some_and(|begun| begun <= metadata.start)
        });
        match process {
            Some(process) => Origin::of_process(&process),
            None => Origin { sources: Sources::here(), begun: metadata.start },
        }
    }

    /// The source of a function beside its lines.
    pub fn annotate<'a>(&mut self, function: &'a LinesOf) -> Annotated<'a> {
        let source = self.sources.file(&function.file);
        let note = match source {
            Err(why) => Some(format!("no source: {why}")),
            Ok(source) if !fits(source, function) => {
                Some("the source has changed: it does not have this function there".to_owned())
            }
            Ok(source) if source.modified.is_some_and(|modified| modified > self.begun + GRAIN) => {
                Some("the source was changed after the process had begun: lines may be others".to_owned())
            }
            Ok(_) => None,
        };
        let source = source.ok().filter(|source| fits(source, function));
        let numbers = source.map(|source| numbers(source, function)).unwrap_or_default();
        let mut rows: Vec<Row> = numbers
            .into_iter()
            .map(|number| {
                let text = source.and_then(|source| source.line(number)).map(str::to_owned);
                Row { line: Some(number), time: None, source: text }
            })
            .collect();
        for LineTime { line, time } in &function.lines {
            match rows.binary_search_by_key(line, |row| row.line) {
                Ok(index) => rows[index].time = Some(*time),
                Err(index) => rows.insert(index, Row { line: *line, time: Some(*time), source: None }),
            }
        }
        Annotated { function, note, rows }
    }
}

/// When a process was started.
fn begun(process: &Process) -> Option<SystemTime> {
    SystemTime::now().checked_sub(process.age()?)
}

/// A function with its source.
#[derive(Serialize)]
pub struct Annotated<'a> {
    /// The function, and what is known of it.
    #[serde(flatten)]
    pub function: &'a LinesOf,
    /// What is to be known about its source.
    pub note: Option<String>,
    /// Its lines.
    #[serde(rename = "lines")]
    pub rows: Vec<Row>,
}

impl Annotated<'_> {
    /// The function, its file and its line: `work (app.py:12)`.
    pub fn title(&self, full_filenames: bool) -> String {
        let LinesOf { name, file, short_file, first_line, .. } = self.function;
        let file = if full_filenames { file } else { short_file };
        let line = first_line.map_or(String::new(), |line| format!(":{line}"));
        format!("{name} ({file}{line})")
    }

    /// Its lines, with `None` where some are left out between two.
    pub fn rows_and_gaps(&self) -> impl Iterator<Item = Option<&Row>> {
        let mut before: Option<u32> = None;
        self.rows.iter().flat_map(move |row| {
            let is_gap = before.zip(row.line).is_some_and(|(before, line)| line > before + 1);
            before = row.line.or(before);
            [is_gap.then_some(None), Some(Some(row))].into_iter().flatten()
        })
    }
}

/// A line of source, seen or not.
#[derive(Serialize)]
pub struct Row {
    /// Its number.
    pub line: Option<u32>,
    /// What it takes; `None` if no sample was of it, which does not say that it was not executed.
    #[serde(flatten)]
    pub time: Option<Time>,
    /// Its text, if that is known.
    pub source: Option<String>,
}

/// Whether the source may have the function: where it begins its name stands, after its decorators, or it has none.
fn fits(source: &Source, function: &LinesOf) -> bool {
    let name = function.name.rsplit('.').next().unwrap_or_default();
    let Some(first) = function.first_line else { return true };
    let last = function.lines.iter().filter_map(|line| line.line).max().unwrap_or(first);
    if usize::try_from(last).map_or(true, |last| last > source.lines.len()) {
        return false;
    }
    if name.starts_with('<') {
        return true;
    }
    let is_defined = |line: &str| {
        let words = line.trim_start().trim_start_matches("async").trim_start();
        let rest = words.strip_prefix("def ").or_else(|| words.strip_prefix("class "));
        rest.is_some_and(|rest| {
            let rest = rest.trim_start().strip_prefix(name);
            rest.is_some_and(|rest| !rest.starts_with(|next: char| next.is_alphanumeric() || next == '_'))
        })
    };
    // Up to the first line that was seen, which cannot be above the definition.
    (first..=last.max(first)).any(|number| source.line(number).is_some_and(is_defined))
}

/// The lines that are shown: all of a function, or what is around those that were seen.
fn numbers(source: &Source, function: &LinesOf) -> Vec<u32> {
    let seen: Vec<u32> = function.lines.iter().filter_map(|line| line.line).collect();
    let (Some(least), Some(most)) = (seen.first().copied(), seen.last().copied()) else { return Vec::new() };
    let is_part = function.name.rsplit('.').next().is_some_and(|name| name.starts_with('<'));
    let length = u32::try_from(source.lines.len()).unwrap_or(u32::MAX);
    if !is_part && let Some(first) = function.first_line {
        let last = last_line(&source.lines, first, most).min(length);
        if last.saturating_sub(first) < LONG {
            return (first..=last).collect();
        }
    }
    let mut numbers: Vec<u32> = seen
        .iter()
        .flat_map(|line| line.saturating_sub(AROUND).max(1)..=line.saturating_add(AROUND).min(length))
        .collect();
    numbers.sort_unstable();
    numbers.dedup();
    debug_assert!(numbers.first().is_none_or(|first| *first <= least));
    numbers
}
