//! Callgrind's profile format, for KCachegrind, QCachegrind, `callgrind_annotate` and gprof2dot: the cost of each
//! function by line, and of what each line calls. It is documented in
//! <https://valgrind.org/docs/manual/cl-format.html>.
//!
//! - Events are samples, and microseconds if there is a rate.
//! - Functions are called `name (file:first line)`, with the file relative to its package, since gprof2dot
//!   knows them by this name alone. `fl` is the whole path, by which viewers find the source.
//! - Numbers of calls are estimates, lower bounds (see the `entries` module). The format knows no calls of
//!   unknown number, so that there is at least one, also of `[cut]`.
//! - Of a recursion only the outermost call of each function has a cost. So what calls of a function cost is
//!   in all what it and all below it took, as viewers reckon, and there are cycles only where functions
//!   call each other in both orders.
//! - Every stack begins with `[all samples]`: for viewers a function that has callers is never called
//!   from nowhere.
//! - Where a line is not known or not wanted it is 0.

use std::fmt;
use std::io::{self, BufWriter, Write};

use indexmap::IndexSet;
use rustc_hash::FxBuildHasher;

use super::{About, Format, FormatError};
use crate::callgraph::{CallGraph, Function, LineCost, NO_FILE};
use crate::label;
use crate::metadata::Metadata;
use crate::options::Options;
use crate::profile::Profile;

/// What the format calls the file of what is in none that is known: viewers look for no source then.
const UNKNOWN_FILE: &str = "???";

/// The function at the root of every stack.
const ROOT: &str = "[all samples]";

/// A file for KCachegrind and `callgrind_annotate`.
#[derive(Clone, Copy, Debug)]
pub struct Callgrind;

impl Format for Callgrind {
    fn about(&self) -> About {
        About {
            name: "callgrind",
            extension: "callgrind",
            description: "functions, lines and calls, whose number is an estimate, for KCachegrind and callgrind_annotate",
            content: "callgrind data",
            how_to_open: Some(
                "View with KCachegrind or callgrind_annotate. Numbers of calls are estimates: lower bounds",
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
        let total = graph.functions.iter().map(|(_, known)| known.cost.own).sum();
        let mut writer = BufWriter::new(writer);
        header(&profile.metadata, total, &mut writer)?;
        functions(&graph, &profile.metadata, &mut writer)?;
        writer.flush()?;
        Ok(())
    }
}

/// What a function is called.
fn name(function: &Function, short_file: &str) -> String {
    match (short_file.trim(), function.first_line) {
        ("", 0) => function.name.clone(),
        ("", line) => format!("{} ({line})", function.name),
        (file, line) => format!("{} ({file}:{line})", function.name),
    }
}

/// The file of a function.
fn file(function: &Function) -> &str {
    if function.file == NO_FILE { UNKNOWN_FILE } else { &function.file }
}

/// What something costs: a value for each event.
struct Values<'a> {
    metadata: &'a Metadata,
    ticks: u64,
}

impl fmt::Display for Values<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.ticks)?;
        match self.metadata.seconds(self.ticks) {
            // A float that is out of range becomes the largest number.
            Some(seconds) => write!(formatter, " {}", (seconds * 1e6).round() as u64),
            None => Ok(()),
        }
    }
}

/// Numbers for texts, which are written out where they are used for the first time: `(1) text`, then `(1)`.
#[derive(Default)]
struct Names<'a> {
    known: IndexSet<&'a str, FxBuildHasher>,
}

impl<'a> Names<'a> {
    fn number(&mut self, text: &'a str) -> Name<'a> {
        let (index, is_new) = self.known.insert_full(text);
        Name { number: index + 1, text: is_new.then_some(text) }
    }
}

struct Name<'a> {
    number: usize,
    text: Option<&'a str>,
}

impl fmt::Display for Name<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "({})", self.number)?;
        self.text.map_or(Ok(()), |text| write!(formatter, " {text}"))
    }
}

fn header(metadata: &Metadata, total: u64, writer: &mut dyn Write) -> io::Result<()> {
    writeln!(writer, "# callgrind format")?;
    writeln!(writer, "version: 1")?;
    writeln!(writer, "creator: rspy {}", label::printable(&metadata.rspy_version))?;
    writeln!(writer, "pid: {}", metadata.pid)?;
    writeln!(writer, "cmd: {}", label::printable(&metadata.program))?;
    if let Some(version) = &metadata.python_version {
        writeln!(writer, "desc: Python: {}", label::printable(version))?;
    }
    if let Some(host) = &metadata.host {
        writeln!(writer, "desc: Host: {}", label::printable(host))?;
    }
    match metadata.seconds(0) {
        Some(_) => writeln!(writer, "desc: Rate: {} samples a second", metadata.rate)?,
        None => writeln!(writer, "desc: Rate: none, so that samples have no certain time")?,
    }
    writeln!(writer, "desc: Calls: estimates, lower bounds: as many as samples saw begin")?;
    writeln!(writer, "positions: line")?;
    writeln!(writer, "event: Samples : Samples")?;
    match metadata.seconds(0) {
        Some(_) => {
            writeln!(writer, "event: Microseconds : Microseconds, by the number of samples")?;
            writeln!(writer, "events: Samples Microseconds")?;
        }
        None => writeln!(writer, "events: Samples")?,
    }
    writeln!(writer, "summary: {}", Values { metadata, ticks: total })
}

fn functions(graph: &CallGraph, metadata: &Metadata, writer: &mut dyn Write) -> io::Result<()> {
    let names: Vec<String> =
        graph.functions.iter().map(|(function, known)| name(function, &known.short_file)).collect();
    let mut body = Body { metadata, files: Names::default(), functions: Names::default(), writer };
    body.function(UNKNOWN_FILE, ROOT)?;
    if graph.outermost.is_empty() {
        body.cost(None, 0)?;
    }
    for (&callee, cost) in &graph.outermost {
        body.call(graph, &names, callee, None, cost)?;
    }
    for (index, (function, known)) in graph.functions.iter().enumerate() {
        body.function(file(function), &names[index])?;
        for (&line, &ticks) in &known.lines {
            body.cost(line, ticks)?;
        }
        for (&(_, callee), call) in graph.calls.range((index, 0)..(index + 1, 0)) {
            for (&line, cost) in &call.lines {
                body.call(graph, &names, callee, line, cost)?;
            }
        }
    }
    Ok(())
}

/// The part of the file after its header.
struct Body<'a, 'writer> {
    metadata: &'a Metadata,
    files: Names<'a>,
    functions: Names<'a>,
    writer: &'writer mut dyn Write,
}

impl<'a> Body<'a, '_> {
    /// Begins a function.
    fn function(&mut self, file: &'a str, name: &'a str) -> io::Result<()> {
        writeln!(self.writer, "\nfl={}", self.files.number(file))?;
        writeln!(self.writer, "fn={}", self.functions.number(name))
    }

    /// What a line itself costs.
    fn cost(&mut self, line: Option<u32>, ticks: u64) -> io::Result<()> {
        writeln!(self.writer, "{} {}", line.unwrap_or(0), Values { metadata: self.metadata, ticks })
    }

    /// What a line's calls of a function cost.
    fn call(
        &mut self,
        graph: &'a CallGraph,
        names: &'a [String],
        callee: usize,
        line: Option<u32>,
        cost: &LineCost,
    ) -> io::Result<()> {
        let (function, _) = &graph.functions[callee];
        writeln!(self.writer, "cfl={}", self.files.number(file(function)))?;
        writeln!(self.writer, "cfn={}", self.functions.number(&names[callee]))?;
        writeln!(self.writer, "calls={} {}", cost.calls.max(1), function.first_line)?;
        self.cost(line, cost.outermost)
    }
}
