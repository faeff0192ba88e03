//! The options of `rspy report`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use rspy_profile::Format;

use super::choice::Filters;
use super::{format_parser, path};

/// Options of `rspy report`.
#[derive(Args)]
pub struct Report {
    /// Recordings (`rspy record -o app.rspy`), or files of other profilers: folded stacks, speedscope, austin's MOJO,
    /// profiling.sampling's binary. Several are added up
    #[arg(value_name = "FILE", required = true, value_parser = path())]
    pub files: Vec<PathBuf>,

    /// What to write [default: what the extension of -o says; else table]
    #[arg(short, long, value_name = "FORMAT", ignore_case = true, value_parser = format_parser())]
    pub format: Option<&'static dyn Format>,

    /// File to write to [default: the standard output; on a terminal, for what is no text, FILE with the format's
    /// extension]
    #[arg(short, long, value_name = "FILE", value_parser = path())]
    pub output: Option<PathBuf>,

    /// Show what changed since this recording, as a table or a flame graph: what takes more of the time and what
    /// less, and how certain that is. Can be given again: these are added up
    #[arg(long, value_name = "BASE", value_parser = path())]
    pub diff: Vec<PathBuf>,

    /// What is added up: lines, functions, files; or show each thread, or each process, on its own
    #[arg(long, value_enum, value_name = "WHAT", default_value = "line", hide_possible_values = false)]
    pub by: Grouping,

    /// Add up by function instead of by line, as --by function
    #[arg(short = 'F', long)]
    pub function: bool,

    /// Show each thread on its own, as --by thread
    #[arg(short, long)]
    pub threads: bool,

    /// Do not show line numbers
    #[arg(long)]
    pub nolineno: bool,

    /// Show whole paths instead of paths within their package
    #[arg(long)]
    pub full_filenames: bool,

    /// Begin stacks with what was executed, and show who called it
    #[arg(long)]
    pub invert: bool,

    /// How a flame graph lies: callers above what they call, callers below, or from left to right as time went by
    #[arg(long, value_enum, value_name = "VIEW", default_value = "icicle", hide_possible_values = false)]
    pub view: View,

    /// Gather what is less than this share of all samples
    #[arg(long, value_name = "PERCENT", value_parser = super::share)]
    pub min: Option<f64>,

    /// The title of a picture
    #[arg(long, value_name = "TEXT")]
    pub title: Option<String>,

    /// Show no progress
    #[arg(long, hide = true)]
    pub hideprogress: bool,

    /// Which samples
    #[command(flatten)]
    pub filters: Filters,
}

/// What is added up.
#[derive(ValueEnum, Copy, Clone, Debug, PartialEq, Eq)]
pub enum Grouping {
    /// Each line
    Line,
    /// Each function
    Function,
    /// Each file
    Module,
    /// Each line, in each thread
    Thread,
    /// Each line, in each process
    Process,
}

/// How a flame graph lies.
#[derive(ValueEnum, Copy, Clone, Debug, PartialEq, Eq)]
pub enum View {
    /// Callers above
    Icicle,
    /// Callers below
    Flame,
    /// In the order of time, each thread on its own
    Time,
}
