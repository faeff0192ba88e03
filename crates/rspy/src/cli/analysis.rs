//! The options of commands that look into samples: of recordings, or taken now.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::OsStringValueParser;
use clap::{ArgGroup, Args, ValueEnum};
use regex::Regex;

use super::choice::Filters;
use super::{Limit, Stops, duration, path, pid};
use crate::clock::Rate;

/// Whose samples are looked at.
#[derive(Args)]
pub struct Samples {
    /// Recordings (`rspy record -o app.rspy`), or files of other profilers, which `rspy report` reads. Several are
    /// added up
    #[arg(value_name = "FILE", value_parser = path())]
    pub files: Vec<PathBuf>,

    /// A Python program to start and sample, with its arguments
    #[arg(last = true, value_name = "COMMAND", value_parser = OsStringValueParser::new())]
    pub program: Vec<OsString>,

    /// The process to sample, in decimal or, with 0x, hexadecimal
    #[arg(short, long, value_parser = pid, value_name = "PID")]
    pub pid: Option<u32>,

    /// How long to sample, in seconds, or "unlimited"
    #[arg(short, long, value_name = "SECONDS", default_value = "unlimited", value_parser = duration)]
    pub duration: Limit,

    /// Samples a second: 100, 2.5k, 20khz, 1mhz; or "max", as many as can be had
    #[arg(short, long, value_name = "HZ", default_value = "100")]
    pub rate: Rate,

    /// Sample the processes that it starts as well
    #[arg(short, long)]
    pub subprocesses: bool,

    /// How much the program is stopped
    #[command(flatten)]
    pub stops: Stops,

    /// Show no progress
    #[arg(long, hide = true)]
    pub hideprogress: bool,

    /// Which of the samples
    #[command(flatten)]
    pub filters: Filters,
}

/// One of recordings, a process or a program is needed.
pub fn what() -> ArgGroup {
    ArgGroup::new("what").args(["files", "pid", "program"]).required(true).multiple(false)
}

/// The heading of what is written, and how, in the help.
const OUTPUT: &str = "Output";

/// Whose lines are shown.
#[derive(Args)]
#[command(next_help_heading = OUTPUT)]
pub struct FunctionArguments {
    /// Only functions of this name (* and ? stand for any text, any character), as 'Session.*'. Can be given again
    #[arg(long, value_name = "NAME")]
    pub function: Vec<glob::Pattern>,

    /// Only functions of this file (app.py, '*/django/*') or module (django.db). Can be given again
    #[arg(long, value_name = "PATTERN")]
    pub file: Vec<crate::filter::StackPattern>,

    /// How many functions are shown; 0 for all [default: as many as make 80 % of the whole, up to 10]
    #[arg(long, value_name = "N")]
    pub limit: Option<usize>,
}

/// Options of `rspy lines`.
#[derive(Args)]
pub struct Lines {
    /// Whose samples
    #[command(flatten)]
    pub samples: Samples,

    /// Of which functions
    #[command(flatten)]
    pub functions: FunctionArguments,

    /// Show whole paths instead of paths within their package
    #[arg(long, help_heading = OUTPUT)]
    pub full_filenames: bool,

    /// Write JSON
    #[arg(short, long, help_heading = OUTPUT)]
    pub json: bool,
}

/// Options of `rspy stats`.
#[derive(Args)]
pub struct Stats {
    /// Whose samples
    #[command(flatten)]
    pub samples: Samples,

    /// What rows are sorted by, as cProfile and pstats call it
    #[arg(long, value_enum, value_name = "KEY", default_value = "cumulative", help_heading = OUTPUT, hide_possible_values = false)]
    pub sort: SortKey,

    /// How many rows are shown; 0 for all
    #[arg(long, value_name = "N", default_value = "40", help_heading = OUTPUT)]
    pub limit: usize,

    /// Only functions that this regular expression is found in, as `file:line(name)` is shown
    #[arg(long, value_name = "REGEX", help_heading = OUTPUT)]
    pub function: Option<Regex>,

    /// Show who called the functions
    #[arg(long, conflicts_with = "callees", help_heading = OUTPUT)]
    pub callers: bool,

    /// Show what the functions called
    #[arg(long, help_heading = OUTPUT)]
    pub callees: bool,

    /// Show whole paths instead of paths within their package
    #[arg(long, help_heading = OUTPUT)]
    pub full_filenames: bool,

    /// Write JSON
    #[arg(short, long, help_heading = OUTPUT)]
    pub json: bool,
}

/// What functions are sorted by.
#[derive(ValueEnum, Copy, Clone, Debug, PartialEq, Eq)]
pub enum SortKey {
    /// The time in which a function was on the stack
    #[value(alias = "cumtime")]
    Cumulative,
    /// The time in which it was executed itself
    #[value(alias = "time")]
    Tottime,
    /// How often it was called, as far as that was seen
    #[value(alias = "ncalls")]
    Calls,
    /// The same without the calls within its own
    Pcalls,
    /// Its name
    Name,
    /// Its file
    #[value(aliases = ["file", "module"])]
    Filename,
    /// Its line
    Line,
    /// Name, file, line
    Nfl,
    /// The name as it is shown: file, line, name
    Stdname,
}

/// Options of `rspy memory`.
#[derive(Args)]
pub struct Memory {
    /// Whose samples
    #[command(flatten)]
    pub samples: Samples,

    /// Leave out the processes that it starts
    #[arg(long, conflicts_with = "subprocesses", help_heading = None)]
    pub no_subprocesses: bool,

    /// What to write [default: what the extension of -o says; else text]
    #[arg(short, long, value_enum, value_name = "FORMAT", ignore_case = true, help_heading = OUTPUT)]
    pub format: Option<MemoryFormat>,

    /// Write JSON, as with -f json
    #[arg(short, long, conflicts_with = "format", help_heading = OUTPUT)]
    pub json: bool,

    /// File to write to [default: the standard output]
    #[arg(short, long, value_name = "FILE", value_parser = path(), help_heading = OUTPUT)]
    pub output: Option<PathBuf>,

    /// Instead read what a process keeps of its own allocations, if it runs with tracemalloc: by line, file or traceback.
    /// With -d SECONDS also what changed in that time
    #[arg(long, value_enum, value_name = "SITES", num_args = 0..=1, default_missing_value = "line", require_equals = true, help_heading = None)]
    pub tracemalloc: Option<Sites>,

    /// Of which functions
    #[command(flatten)]
    pub functions: FunctionArguments,

    /// Show whole paths instead of paths within their package
    #[arg(long, help_heading = OUTPUT)]
    pub full_filenames: bool,
}

/// By what allocations are added up.
#[derive(ValueEnum, Copy, Clone, Debug, PartialEq, Eq)]
pub enum Sites {
    /// The line that allocates
    Line,
    /// The file
    File,
    /// The lines that led to it, as many as the process keeps
    Traceback,
}

/// What is written of memory.
#[derive(ValueEnum, Copy, Clone, Debug, PartialEq, Eq)]
pub enum MemoryFormat {
    /// Curve, processes, and the lines that made memory grow
    Text,
    /// A picture of the curve, processes stacked
    Svg,
    /// What was resident of each process, and what it shared, over time
    Csv,
    /// All of it
    Json,
    /// Flame graph (SVG) of the stacks that made memory grow
    Flamegraph,
}
