//! A table for terminals: each function, or line, file, thread, with the share of the samples in which it was
//! executed itself (own), and in which it was on the stack (total).
//!
//! What is below a thousandth of all samples, or below what the options say, is counted in a last line.

mod changes;

use std::io::{self, BufWriter, Write};

use rustc_hash::FxHashMap;

use super::{About, Format, FormatError};
use crate::caption;
use crate::fold::{Totals, fold};
use crate::label;
use crate::options::Options;
use crate::profile::Profile;

/// The share of all samples below which something has no row of its own.
const LEAST: f64 = 0.001;

/// A table of functions.
#[derive(Clone, Copy, Debug)]
pub struct Table;

impl Format for Table {
    fn about(&self) -> About {
        About {
            name: "table",
            extension: "text",
            description: "functions by the time spent in them, for the terminal",
            content: "table",
            is_for_terminals: true,
            compares: true,
            ..About::default()
        }
    }

    fn write_changes(
        &self,
        base: &Profile,
        profile: &Profile,
        options: &Options,
        writer: &mut dyn io::Write,
    ) -> Result<(), FormatError> {
        let mut out = BufWriter::new(writer);
        changes::write(base, profile, options, &mut out)?;
        Ok(out.flush()?)
    }

    fn write(
        &self,
        profile: &Profile,
        options: &Options,
        writer: &mut dyn io::Write,
    ) -> Result<(), FormatError> {
        let mut out = BufWriter::new(writer);
        let totals = Totals::new(profile, options);
        writeln!(out, "{}", caption::title(profile, options))?;
        writeln!(out, "{}", caption::subtitle(profile, options, &totals))?;
        let rows = rows(profile, options);
        let all = (totals.samples + totals.lost).max(1) as f64;
        let least = options.minimum.max(LEAST) * all;
        let (shown, small): (Vec<_>, Vec<_>) = rows.into_iter().partition(|row| row.total as f64 >= least);
        if !shown.is_empty() {
            let unit = if profile.metadata.rate > 0.0 { "s" } else { "samples" };
            writeln!(
                out,
                "\n   own %  {:>10}  total %  {:>10}",
                format!("own {unit}"),
                format!("total {unit}")
            )?;
        }
        for Row { label, own, total } in &shown {
            let percent = |weight: u64| weight as f64 / all * 100.0;
            let (own_time, total_time) = (amount(profile, *own), amount(profile, *total));
            writeln!(
                out,
                "{:>8.1}  {own_time:>10}  {:>7.1}  {total_time:>10}  {label}",
                percent(*own),
                percent(*total)
            )?;
        }
        if !small.is_empty() {
            let least = options.minimum.max(LEAST) * 100.0;
            writeln!(out, "          {} more, each under {least} % of the samples", small.len())?;
        }
        out.flush()?;
        Ok(())
    }
}

/// So many ticks of the sampler as a time, if they are one.
fn amount(profile: &Profile, weight: u64) -> String {
    match profile.metadata.rate > 0.0 {
        true => format!("{:.2}", weight as f64 / profile.metadata.rate),
        false => weight.to_string(),
    }
}

struct Row {
    label: String,
    own: u64,
    total: u64,
}

/// Those with the most samples of their own first.
fn rows(profile: &Profile, options: &Options) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    let mut known: FxHashMap<String, usize> = FxHashMap::default();
    let mut row_of = |label: String, rows: &mut Vec<Row>| match known.get(&label) {
        Some(row) => *row,
        None => {
            rows.push(Row { label: label.clone(), own: 0, total: 0 });
            known.insert(label, rows.len() - 1);
            rows.len() - 1
        }
    };
    let mut of_frames: Vec<Option<usize>> = vec![None; profile.frames.len()];
    // Which stack has counted for a row last: a recursion counts once.
    let mut counted: Vec<usize> = Vec::new();
    for (number, folded) in fold(profile, options).into_iter().filter(|folded| folded.weight > 0).enumerate()
    {
        let mut is_leaf = true;
        let mut add = |row: usize, rows: &mut Vec<Row>| {
            counted.resize(rows.len(), usize::MAX);
            if std::mem::take(&mut is_leaf) {
                rows[row].own += folded.weight;
            }
            if std::mem::replace(&mut counted[row], number) != number {
                rows[row].total += folded.weight;
            }
        };
        if profile.stacks.depth(folded.stack) == 0 {
            let row = row_of(label::NO_FRAMES.to_owned(), &mut rows);
            add(row, &mut rows);
        }
        for frame in profile.stacks.leaf_first(folded.stack) {
            let row = *of_frames[frame.index()].get_or_insert_with(|| {
                row_of(label::frame(profile, &profile.frames[frame], options), &mut rows)
            });
            add(row, &mut rows);
        }
        if let Some(thread) = folded.thread {
            let row = row_of(label::thread(profile, &profile.threads[thread]), &mut rows);
            add(row, &mut rows);
        }
        for process in folded.process.into_iter().flat_map(|process| profile.processes.upwards(process)) {
            let row = row_of(label::process(profile, &profile.processes[process]), &mut rows);
            add(row, &mut rows);
        }
    }
    for (reason, weight) in profile.lost.iter().filter(|(_, weight)| *weight > 0) {
        let row = row_of(label::lost(reason), &mut rows);
        rows[row].own += weight;
        rows[row].total += weight;
    }
    rows.sort_by(|one, other| (other.own, other.total, &one.label).cmp(&(one.own, one.total, &other.label)));
    rows
}
