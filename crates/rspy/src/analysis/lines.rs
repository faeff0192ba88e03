//! `rspy lines`: the source of the functions that take the most time, with what each line takes.

use std::io;
use std::process::ExitCode;

use rspy_profile::analysis::{self, Basis, LineMemory, LinesOf, Time};
use serde::Serialize;

use super::annotated::{Annotated, Row, Target};
use super::page::{Page, Tone, json};
use super::shown;
use crate::cli::Lines;
use crate::failure::Failure;
use crate::progress::report as say;
use crate::taken::Taken;

/// Below this width there is no room for more than the time of a line.
const NARROW: usize = 60;

/// Writes the source of the functions that take the most time.
pub fn lines(options: &Lines) -> Result<ExitCode, Failure> {
    let taken = Taken::take(&options.samples, true)?;
    let shown = shown(&taken.loaded, options.full_filenames);
    let profile = &taken.loaded.profile;
    let lines = analysis::Lines::new(profile, &shown);
    let chosen = options.functions.of(&lines.functions, |function| function.time.own);
    let mut target = Target::of(&profile.metadata, taken.folder());
    let functions: Vec<Annotated> = chosen.into_iter().map(|function| target.annotate(function)).collect();
    let report = Report { basis: &lines.basis, functions };
    let written = match options.json {
        true => json(&report),
        false => write(options, &report).map_err(|error| Failure::printing(&error)),
    };
    if report.functions.is_empty() {
        say(nothing_shown(&lines));
    }
    let code = taken.finish();
    written.map(|()| code)
}

fn nothing_shown(lines: &analysis::Lines) -> &'static str {
    match lines.functions.is_empty() {
        true => {
            "rspy: There is no sample of Python code in it, or none of what was asked for.\n      \
             Record for longer, or leave the filters out, or --mode."
        }
        false => {
            "rspy: No function that was seen is of that name or file.\n      \
             rspy stats lists those that were. A pattern is one of a shell, as 'Sess?on.get'."
        }
    }
}

#[derive(Serialize)]
struct Report<'a> {
    #[serde(flatten)]
    basis: &'a Basis,
    functions: Vec<Annotated<'a>>,
}

fn write(options: &Lines, report: &Report) -> io::Result<()> {
    let mut page = Page::stdout();
    page.line(Tone::Title, &report.basis.title)?;
    page.line(Tone::Plain, &report.basis.subtitle)?;
    for Annotated { function, note, rows } in &report.functions {
        let LinesOf { name, file, short_file, first_line, time, .. } = function;
        let file = if options.full_filenames { file } else { short_file };
        let line = first_line.map_or(String::new(), |line| format!(":{line}"));
        page.line(Tone::Plain, "")?;
        page.line(Tone::Title, &format!("{name} ({file}{line})"))?;
        page.line(Tone::Plain, &total(time, report.basis))?;
        if let Some(note) = note {
            page.line(Tone::Warm, note)?;
        }
        table(&mut page, function, rows, report.basis)?;
    }
    page.finish()
}

/// `1.234 s of 2.000 s (61.7 %), 0.400 s of it itself, 0.100 s waiting`.
fn total(time: &Time, basis: &Basis) -> String {
    let Basis { time: all, unit, .. } = basis;
    let amount = |time: f64| amount(time, basis);
    let share = if *all > 0.0 { time.total / all * 100.0 } else { 0.0 };
    let of_all = format!("{} of {} {unit} ({share:.1} %)", amount(time.total), amount(*all));
    format!("{of_all}: {} itself, {} waiting", amount(time.own), amount(time.waiting))
}

/// A time, or a number of samples.
fn amount(time: f64, basis: &Basis) -> String {
    if basis.unit == "s" { format!("{time:.3}") } else { format!("{time:.0}") }
}

/// What is known of a line, in columns.
struct Columns<'a> {
    basis: &'a Basis,
    /// There is no room for all of them.
    is_narrow: bool,
    /// It is known how memory changed.
    has_memory: bool,
}

impl Columns<'_> {
    fn heading(&self) -> String {
        let time = if self.basis.unit == "s" { "Time s" } else { "Time" };
        let memory = if self.has_memory { "   Mem MB" } else { "" };
        match self.is_narrow {
            true => format!("  Line {time:>8}      %"),
            false => format!("  Line  Samples {time:>8}      %    CPU s   Wait s{memory}"),
        }
    }

    fn row(&self, line: Option<u32>, time: Option<&Time>, share: f64) -> String {
        let number = line.map_or("?".to_owned(), |line| line.to_string());
        let amount = |time: f64| amount(time, self.basis);
        match time {
            None => format!("{number:>6}{:width$}", "", width = self.heading().len() - 6),
            Some(time) if self.is_narrow => {
                format!("{number:>6} {:>8} {:>6.1}", amount(time.total), share * 100.0)
            }
            Some(time) => {
                let memory =
                    if self.has_memory { format!(" {:>8}", megabytes(time.memory)) } else { String::new() };
                format!(
                    "{number:>6} {:>8} {:>8} {:>6.1} {:>8} {:>8}{memory}",
                    time.samples,
                    amount(time.total),
                    share * 100.0,
                    amount(time.cpu),
                    amount(time.waiting)
                )
            }
        }
    }
}

/// By how much memory changed, `+12.3`; nothing for what is less than is told apart.
fn megabytes(memory: Option<LineMemory>) -> String {
    let change = memory.map_or(0.0, |memory| memory.grown - memory.released) / 1e6;
    if change.abs() < 0.05 { String::new() } else { format!("{change:+.1}") }
}

fn table(page: &mut Page, function: &LinesOf, rows: &[Row], basis: &Basis) -> io::Result<()> {
    let columns = Columns {
        basis,
        is_narrow: page.width.is_some_and(|width| width < NARROW),
        has_memory: function.time.memory.is_some(),
    };
    page.line(Tone::Quiet, &columns.heading())?;
    let mut before: Option<u32> = None;
    for Row { line, time, source } in rows {
        let is_next = before.zip(*line).is_none_or(|(before, line)| line <= before + 1);
        if !is_next {
            page.line(Tone::Quiet, "   ...")?;
        }
        before = line.or(before);
        let all = function.time.total;
        let share = time.map_or(0.0, |time| if all > 0.0 { time.total / all } else { 0.0 });
        let figures = columns.row(*line, time.as_ref(), share);
        let text = format!("{figures}  {}", source.as_deref().unwrap_or_default());
        page.line(Page::tone(share), &text)?;
    }
    Ok(())
}
