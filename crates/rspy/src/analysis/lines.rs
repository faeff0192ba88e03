//! `rspy lines`: the source of the functions that take the most time, with what each line takes.

use std::io;
use std::process::ExitCode;

use rspy_profile::analysis::{self, Basis, LineMemory, Time};
use serde::Serialize;

use super::annotated::{Annotated, Row};
use super::page::{Page, Tone, json};
use super::shown;
use crate::cli::Lines;
use crate::failure::Failure;
use crate::progress::report as say;
use crate::taken::Taken;

/// Writes the source of the functions that take the most time.
pub fn lines(options: &Lines) -> Result<ExitCode, Failure> {
    let mut taken = Taken::take(&options.samples, true)?;
    let shown = shown(&taken.loaded, options.full_filenames);
    let profile = &taken.loaded.profile;
    let lines = analysis::Lines::new(profile, &shown);
    let chosen = options.functions.of(&lines.functions, |function| function.time.own);
    let origin = &mut taken.origin;
    let functions: Vec<Annotated> = chosen.into_iter().map(|function| origin.annotate(function)).collect();
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
    for annotated in &report.functions {
        page.line(Tone::Plain, "")?;
        page.line(Tone::Title, &annotated.title(options.full_filenames))?;
        page.line(Tone::Plain, &total(&annotated.function.time, report.basis))?;
        if let Some(note) = &annotated.note {
            page.line(Tone::Warm, note)?;
        }
        table(&mut page, annotated, report.basis)?;
    }
    page.finish()
}

/// `1.234 of 2.000 s (61.7 %): 0.400 itself, 0.100 waiting`.
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

fn table(page: &mut Page, annotated: &Annotated, basis: &Basis) -> io::Result<()> {
    let all = &annotated.function.time;
    let columns = Columns { basis, is_narrow: page.is_narrow(), has_memory: all.memory.is_some() };
    page.line(Tone::Quiet, &columns.heading())?;
    for row in annotated.rows_and_gaps() {
        let Some(Row { line, time, source }) = row else {
            page.line(Tone::Quiet, "   ...")?;
            continue;
        };
        let share = time.map_or(0.0, |time| if all.total > 0.0 { time.total / all.total } else { 0.0 });
        let figures = columns.row(*line, time.as_ref(), share);
        let text = format!("{figures}  {}", source.as_deref().unwrap_or_default());
        page.line(Page::tone(share), &text)?;
    }
    Ok(())
}
