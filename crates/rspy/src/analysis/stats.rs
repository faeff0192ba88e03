//! `rspy stats`: the table that `pstats` makes of what `cProfile` measured, of samples.

use std::cmp::Ordering;
use std::io;
use std::process::ExitCode;

use rspy_profile::analysis::{Basis, Call, Function, FunctionCost, FunctionName, Functions};
use serde::Serialize;

use super::page::{Page, Tone, json};
use super::shown;
use crate::cli::{SortKey, Stats};
use crate::failure::Failure;
use crate::progress::report as say;
use crate::taken::Taken;

/// Writes the functions that take the most time, or who called them.
pub fn stats(options: &Stats) -> Result<ExitCode, Failure> {
    let taken = Taken::take(&options.samples, false)?;
    let shown = shown(&taken.loaded, options.full_filenames);
    let functions = Functions::new(&taken.loaded.profile, &shown);
    let rows = rows(options, &functions);
    let written = match options.json {
        true => json(&report(&functions, &rows)),
        false => write(options, &functions, &rows).map_err(|error| Failure::printing(&error)),
    };
    if rows.is_empty() {
        say(nothing_shown(&functions));
    }
    let code = taken.finish();
    written.map(|()| code)
}

fn nothing_shown(all: &Functions) -> &'static str {
    match all.functions.is_empty() {
        true => {
            "rspy: There is no sample of what was asked for in it.\n      \
             Record for longer, or leave the filters out, or --mode."
        }
        false => {
            "rspy: No function that was seen is matched by --function.\n      \
             Without it all are listed; it is a regular expression, found in file:line(name)."
        }
    }
}

/// The functions that are shown, as JSON: with names in place of numbers.
fn report<'a>(all: &'a Functions, rows: &[usize]) -> Report<'a> {
    let named = |call: &'a Call| Neighbour { name: &all.functions[call.function].name, cost: &call.cost };
    let row = |index: &usize| {
        let function = &all.functions[*index];
        let callers = function.callers.iter().map(named).collect();
        Row { function, callers, callees: function.callees.iter().map(named).collect() }
    };
    Report { basis: &all.basis, functions: rows.iter().map(row).collect() }
}

#[derive(Serialize)]
struct Report<'a> {
    #[serde(flatten)]
    basis: &'a Basis,
    functions: Vec<Row<'a>>,
}

#[derive(Serialize)]
struct Row<'a> {
    #[serde(flatten)]
    function: &'a Function,
    callers: Vec<Neighbour<'a>>,
    callees: Vec<Neighbour<'a>>,
}

#[derive(Serialize)]
struct Neighbour<'a> {
    #[serde(flatten)]
    name: &'a FunctionName,
    #[serde(flatten)]
    cost: &'a FunctionCost,
}

/// Those that are shown, in their order.
fn rows(options: &Stats, all: &Functions) -> Vec<usize> {
    let is_chosen = |function: &Function| match &options.function {
        Some(pattern) => pattern.is_match(&label(&function.name, options.full_filenames)),
        None => true,
    };
    let functions = &all.functions;
    let mut rows: Vec<usize> = (0..functions.len()).filter(|index| is_chosen(&functions[*index])).collect();
    // Equal ones stay in the order of their names.
    rows.sort_by(|one, other| {
        let (one, other) = (&functions[*one], &functions[*other]);
        order(options, (&one.name, &one.cost), (&other.name, &other.cost))
    });
    if options.limit > 0 {
        rows.truncate(options.limit);
    }
    rows
}

fn order(
    options: &Stats,
    (name, cost): (&FunctionName, &FunctionCost),
    (other, most): (&FunctionName, &FunctionCost),
) -> Ordering {
    let file = |name: &FunctionName| match options.full_filenames {
        true => name.file.clone(),
        false => name.short_file.clone(),
    };
    match options.sort {
        SortKey::Cumulative => most.total.total_cmp(&cost.total).then(most.own.total_cmp(&cost.own)),
        SortKey::Tottime => most.own.total_cmp(&cost.own).then(most.total.total_cmp(&cost.total)),
        SortKey::Calls => most.calls.cmp(&cost.calls),
        SortKey::Pcalls => most.primitive_calls.cmp(&cost.primitive_calls),
        SortKey::Name => name.name.cmp(&other.name),
        SortKey::Filename => file(name).cmp(&file(other)),
        SortKey::Line => name.line.cmp(&other.line),
        SortKey::Nfl => (&name.name, file(name), name.line).cmp(&(&other.name, file(other), other.line)),
        SortKey::Stdname => (file(name), name.line, &name.name).cmp(&(file(other), other.line, &other.name)),
    }
}

impl SortKey {
    /// What `pstats` says of it.
    fn description(self) -> &'static str {
        match self {
            SortKey::Cumulative => "cumulative time",
            SortKey::Tottime => "internal time",
            SortKey::Calls => "call count",
            SortKey::Pcalls => "primitive call count",
            SortKey::Name => "function name",
            SortKey::Filename => "file name",
            SortKey::Line => "line number",
            SortKey::Nfl => "name/file/line",
            SortKey::Stdname => "standard name",
        }
    }
}

/// `app.py:12(work)`, and what is no function by its name alone.
fn label(name: &FunctionName, full_filenames: bool) -> String {
    let FunctionName { name, file, short_file, line } = name;
    match if full_filenames { file } else { short_file }.as_str() {
        "" | "~" => name.clone(),
        file => format!("{file}:{line}({name})"),
    }
}

/// `7`, or `9/7` where some were within others; nothing where none are known.
fn calls(cost: &FunctionCost) -> String {
    match (cost.calls, cost.primitive_calls) {
        (0, _) => String::new(),
        (all, primitive) if all == primitive => all.to_string(),
        (all, primitive) => format!("{all}/{primitive}"),
    }
}

fn write(options: &Stats, all: &Functions, rows: &[usize]) -> io::Result<()> {
    let mut page = Page::stdout();
    page.line(Tone::Title, &all.basis.title)?;
    page.line(Tone::Plain, &all.basis.subtitle)?;
    page.line(Tone::Plain, "")?;
    page.line(Tone::Plain, &format!("   Ordered by: {}", options.sort.description()))?;
    if rows.len() < all.functions.len() {
        let chosen = format!("   {} of {} functions (--limit 0 shows all)", rows.len(), all.functions.len());
        page.line(Tone::Plain, &chosen)?;
    }
    page.line(Tone::Quiet, "   ncalls: the calls that samples tell apart; there may be many more")?;
    page.line(Tone::Plain, "")?;
    match (options.callers, options.callees) {
        (true, _) => neighbours(options, all, rows, &mut page, ("was called by", "<-"))?,
        (_, true) => neighbours(options, all, rows, &mut page, ("called", "->"))?,
        _ => table(options, all, rows, &mut page)?,
    }
    page.finish()
}

/// The part of all time that `time` is.
fn share(all: &Functions, time: f64) -> f64 {
    if all.basis.time > 0.0 { time / all.basis.time } else { 0.0 }
}

fn table(options: &Stats, all: &Functions, rows: &[usize], page: &mut Page) -> io::Result<()> {
    let is_narrow = page.is_narrow();
    let heading = match is_narrow {
        true => "  tottime  cumtime  filename:lineno(function)",
        false => "   ncalls  tottime       %  cumtime       %  filename:lineno(function)",
    };
    page.line(Tone::Title, heading)?;
    for Function { name, cost, .. } in rows.iter().map(|index| &all.functions[*index]) {
        let FunctionCost { own, total, .. } = *cost;
        let figures = match is_narrow {
            true => format!("{own:9.3} {total:8.3}"),
            false => format!(
                "{:>9} {own:8.3} {:6.1}% {total:8.3} {:6.1}%",
                calls(cost),
                share(all, own) * 100.0,
                share(all, total) * 100.0
            ),
        };
        let text = format!("{figures}  {}", label(name, options.full_filenames));
        page.line(Page::tone(share(all, own)), &text)?;
    }
    Ok(())
}

fn neighbours(
    options: &Stats,
    all: &Functions,
    rows: &[usize],
    page: &mut Page,
    (heading, arrow): (&str, &str),
) -> io::Result<()> {
    let figures = |cost: &FunctionCost| format!("{:>9} {:8.3} {:8.3}", calls(cost), cost.own, cost.total);
    page.line(Tone::Title, &format!("   ncalls  tottime  cumtime  function, and what it {heading}"))?;
    for function in rows.iter().map(|index| &all.functions[*index]) {
        let Function { name, cost, callers, callees } = function;
        page.line(Tone::Plain, "")?;
        let text = format!("{}  {}", figures(cost), label(name, options.full_filenames));
        page.line(Page::tone(share(all, cost.own)), &text)?;
        let mut calls: Vec<&Call> = if options.callers { callers } else { callees }.iter().collect();
        let name_of = |call: &Call| &all.functions[call.function].name;
        calls.sort_by(|one, other| order(options, (name_of(one), &one.cost), (name_of(other), &other.cost)));
        for call in &calls {
            let name = label(name_of(call), options.full_filenames);
            page.line(Tone::Plain, &format!("{}    {arrow} {name}", figures(&call.cost)))?;
        }
        if calls.is_empty() {
            page.line(Tone::Quiet, &format!("{:27}    {arrow} nothing that was seen", ""))?;
        }
    }
    Ok(())
}
