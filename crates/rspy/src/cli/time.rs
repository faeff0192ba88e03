//! The options of `rspy time`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::OsStringValueParser;
use clap::{ArgGroup, Args};
use glob::Pattern;

use super::{Stops, path};
use crate::clock::Rate;

/// Options of `rspy time`.
#[derive(Args)]
#[command(group = ArgGroup::new("several").args(["repeat", "vs"]).multiple(true))]
pub struct Time {
    /// The command to time, with its arguments: of any language
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true, value_name = "COMMAND",
          value_parser = OsStringValueParser::new())]
    pub program: Vec<OsString>,

    /// Run it so many times, undisturbed, and show how the times differ
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub repeat: Option<u32>,

    /// Run it so many times before these, without counting them
    #[arg(long, value_name = "N", default_value = "0", requires = "several")]
    pub warmup: u32,

    /// Compare it with another command: both run in turns, in random order, ten times each unless --repeat says otherwise
    #[arg(long, value_name = "COMMAND")]
    pub vs: Option<String>,

    /// Show how often a function of this name (* and ? stand for any text, any character) was seen to run, and how
    /// long. Can be given again
    #[arg(long, value_name = "NAME", conflicts_with = "several")]
    pub function: Vec<Pattern>,

    /// Do not sample it: no functions, and nothing that could disturb it
    #[arg(long, conflicts_with = "function")]
    pub no_sampling: bool,

    /// Samples a second: 100, 2.5k, 20khz, 1mhz; or "max", as many as can be had
    #[arg(short, long, value_name = "HZ", default_value = "100")]
    pub rate: Rate,

    /// How many functions are shown; 0 for all
    #[arg(long, value_name = "N", default_value = "15")]
    pub limit: usize,

    /// Show whole paths instead of paths within their package
    #[arg(long)]
    pub full_filenames: bool,

    /// Write JSON
    #[arg(short, long)]
    pub json: bool,

    /// File to write to, or - for the standard output, which is the command's too [default: the standard error]
    #[arg(short, long, value_name = "FILE", value_parser = path())]
    pub output: Option<PathBuf>,

    /// How much the command is stopped
    #[command(flatten)]
    pub stops: Stops,
}
