//! What `pstats.Stats(FILE)` of Python's standard library loads: each function with its time, and with the
//! functions that called it. The shape is that of `cProfile`, whose documentation is
//! `Doc/library/profile.rst` of CPython; what is in the tuples is said in `Lib/pstats.py` and
//! `Modules/_lsprof.c`:
//!
//! ```text
//! { (file, first line, name): (primitive calls, calls, own time, total time,
//!                              { caller: (calls, primitive calls, own time, total time) }) }
//! ```
//!
//! - Times are seconds, of as many samples as were taken: `own time` is that of the samples in which the
//!   function was innermost, and of a recursion only the outermost call counts in `total time`, as with
//!   `cProfile`. Without a rate (`--rate max`) no sample has a certain time, and they are numbers of samples.
//! - Numbers of calls are estimates, lower bounds: calls that were seen to begin (see the `entries`
//!   module). Times per call, which `pstats` makes of them, are upper bounds.
//! - What is no function (`[cut]`, `<gc>`, lost samples, roots of threads and processes) is in the file
//!   `~`, as built-in functions are. Where no calls are known there are 0, and `pstats` leaves the time per
//!   call blank.
//! - The last row, which costs nothing, says all this; it also makes a file without samples one that
//!   `pstats` loads, which it does not do with an empty dict.
//!
//! Options that name and tell apart lines have no effect: functions are named by their whole path, which
//! `Stats.strip_dirs()` shortens, and by their first line.

mod marshal;

use std::collections::BTreeMap;
use std::io::{self, BufWriter, Write};

use super::{About, Format, FormatError};
use crate::callgraph::{CallGraph, Cost, Function, NO_FILE};
use crate::metadata::Metadata;
use crate::options::Options;
use crate::profile::Profile;

/// A file for Python's `pstats` module, snakeviz, gprof2dot and others.
#[derive(Clone, Copy, Debug)]
pub struct Pstats;

impl Format for Pstats {
    fn about(&self) -> About {
        About {
            name: "pstats",
            extension: "pstats",
            description: "functions and their callers as cProfile writes them, with estimated calls, for pstats, snakeviz, gprof2dot",
            content: "pstats data",
            how_to_open: Some(
                "View with python -m pstats or snakeviz. Numbers of calls are estimates: lower bounds",
            ),
            needs_timeline: true,
            ..About::default()
        }
    }

    fn write(
        &self,
        profile: &Profile,
        options: &Options,
        writer: &mut dyn io::Write,
    ) -> Result<(), FormatError> {
        let graph = CallGraph::new(profile, options);
        let mut writer = BufWriter::new(writer);
        stats(&graph, &profile.metadata, &mut writer)?;
        writer.flush()?;
        Ok(())
    }
}

/// The row that says what the numbers are.
fn remark(metadata: &Metadata) -> Function {
    let name = match metadata.seconds(0) {
        Some(_) => "[sampled: calls are estimates]",
        None => "[sampled without a rate: times are numbers of samples, calls are estimates]",
    };
    Function { file: NO_FILE.into(), first_line: 0, name: name.into() }
}

fn stats(graph: &CallGraph, metadata: &Metadata, writer: &mut dyn Write) -> io::Result<()> {
    let mut callers: BTreeMap<usize, Vec<(usize, Cost)>> = BTreeMap::new();
    for (&(caller, callee), call) in &graph.calls {
        callers.entry(callee).or_default().push((caller, call.cost));
    }
    let time = |ticks| metadata.seconds(ticks).unwrap_or(ticks as f64);
    marshal::begin_dict(writer)?;
    for (index, (function, known)) in graph.functions.iter().enumerate() {
        let Cost { own, total, calls, primitive_calls, .. } = known.cost;
        key(writer, function)?;
        marshal::tuple(writer, 5)?;
        marshal::integer(writer, primitive_calls)?;
        marshal::integer(writer, calls)?;
        marshal::float(writer, time(own))?;
        marshal::float(writer, time(total))?;
        marshal::begin_dict(writer)?;
        for (caller, cost) in callers.get(&index).into_iter().flatten() {
            let Some((caller, _)) = graph.functions.get(*caller) else { continue };
            key(writer, caller)?;
            marshal::tuple(writer, 4)?;
            // The other way round than above: so does cProfile.
            marshal::integer(writer, cost.calls)?;
            marshal::integer(writer, cost.primitive_calls)?;
            marshal::float(writer, time(cost.own))?;
            marshal::float(writer, time(cost.total))?;
        }
        marshal::end_dict(writer)?;
    }
    let remark = remark(metadata);
    if graph.functions.iter().all(|(function, _)| *function != remark) {
        key(writer, &remark)?;
        marshal::tuple(writer, 5)?;
        (0..2).try_for_each(|_| marshal::integer(writer, 0))?;
        (0..2).try_for_each(|_| marshal::float(writer, 0.0))?;
        marshal::begin_dict(writer)?;
        marshal::end_dict(writer)?;
    }
    marshal::end_dict(writer)
}

fn key(writer: &mut dyn Write, function: &Function) -> io::Result<()> {
    marshal::tuple(writer, 3)?;
    marshal::text(writer, &function.file)?;
    marshal::integer(writer, function.first_line.into())?;
    marshal::text(writer, &function.name)
}
