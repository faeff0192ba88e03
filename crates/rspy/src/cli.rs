//! The command line: py-spy's words for what py-spy has.

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::PossibleValuesParser;
use clap::builder::TypedValueParser;
use clap::{Args, Parser, Subcommand};
use rspy_profile::{FORMATS, Format};

use crate::target::Pausing;

/// Sampling profiler for running Python programs.
///
/// Attaches to a CPython process from outside: nothing is imported, injected or
/// restarted in it.
#[derive(Parser)]
#[command(name = "rspy", version, infer_subcommands = true, max_term_width = 100)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What rspy can do.
#[derive(Subcommand)]
pub enum Command {
    /// Records stack traces to a flame graph or another format
    #[command(after_help = RECORD_EXAMPLES)]
    Record(Record),
    /// Dumps the stack of every thread, now
    #[command(after_help = DUMP_EXAMPLES)]
    Dump(Dump),
}

const RECORD_EXAMPLES: &str = "\
Examples:
  rspy record -o profile.svg --pid 12345
  rspy record -d 30 -f raw -o stacks.txt --pid 12345
  rspy record -o profile.svg -- python program.py --its-options";

const DUMP_EXAMPLES: &str = "\
Examples:
  rspy dump --pid 12345
  rspy dump --pid 12345 --json";

/// Options of `rspy record`.
#[derive(Args)]
pub struct Record {
    /// The process to attach to, in decimal or, with 0x, hexadecimal
    #[arg(short, long, value_parser = pid, value_name = "PID", required_unless_present = "program")]
    pub pid: Option<u32>,

    /// File to write to [default: made from pid, time and format]
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,

    /// What to write
    #[arg(short, long, value_name = "FORMAT", default_value = "flamegraph", ignore_case = true,
          value_parser = format_parser())]
    pub format: &'static dyn Format,

    /// How long to sample, in seconds, or "unlimited"
    #[arg(short, long, value_name = "SECONDS", default_value = "unlimited", value_parser = duration)]
    pub duration: Limit,

    /// Samples a second
    #[arg(short, long, value_name = "HZ", default_value = "100", value_parser = rate)]
    pub rate: u32,

    /// Include threads that are idle: asleep, or waiting for a lock or for data
    #[arg(short, long)]
    pub idle: bool,

    /// Include only the threads that hold the GIL
    #[arg(short, long)]
    pub gil: bool,

    /// Show each thread on its own, instead of adding up all of them
    #[arg(short, long)]
    pub threads: bool,

    /// Add up by function instead of by line
    #[arg(short = 'F', long)]
    pub function: bool,

    /// Do not show line numbers
    #[arg(long)]
    pub nolineno: bool,

    /// Show whole paths instead of paths within their package
    #[arg(long)]
    pub full_filenames: bool,

    /// Never stop the program: stacks of running threads are often lost or end in [cut], where
    /// the innermost frames are not known
    #[arg(long)]
    pub nonblocking: bool,

    /// Show no progress
    #[arg(long, hide = true)]
    pub hideprogress: bool,

    /// Show columns beside line numbers (Python 3.11 and later): file.py:LINE:FIRST-LAST, counted from 1
    #[arg(long)]
    pub columns: bool,

    /// A command to start and record
    #[arg(last = true, value_name = "COMMAND", conflicts_with = "pid")]
    pub program: Vec<String>,
}

/// Options of `rspy dump`.
#[derive(Args)]
pub struct Dump {
    /// The process to look at, in decimal or, with 0x, hexadecimal
    #[arg(short, long, value_parser = pid, value_name = "PID")]
    pub pid: u32,

    /// Write JSON
    #[arg(short, long)]
    pub json: bool,

    /// Show the arguments and local variables of each frame; each -l more lets their texts be longer
    #[arg(short, long, action = clap::ArgAction::Count)]
    pub locals: u8,

    /// Show whole paths instead of paths within their package
    #[arg(long)]
    pub full_filenames: bool,

    /// Never stop the program: stacks of running threads are often lost or end in [cut], where
    /// the innermost frames are not known
    #[arg(long)]
    pub nonblocking: bool,

    /// Show columns beside line numbers (Python 3.11 and later): file.py:LINE:FIRST-LAST, counted from 1
    #[arg(long)]
    pub columns: bool,
}

/// Whether threads may be stopped, as `--nonblocking` says.
pub fn pausing(nonblocking: bool) -> Pausing {
    if nonblocking { Pausing::Never } else { Pausing::Brief }
}

/// How long to sample.
#[derive(Copy, Clone, Debug, PartialEq)]
pub struct Limit(
    /// `None` is until told otherwise.
    pub Option<Duration>,
);

fn pid(text: &str) -> Result<u32, String> {
    let parsed = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) => u32::from_str_radix(digits, 16),
        None => text.parse(),
    };
    match parsed {
        Ok(pid) if pid > 0 => Ok(pid),
        _ => Err("a process id is a positive number; `ps -ef | grep python` lists them".to_owned()),
    }
}

fn duration(text: &str) -> Result<Limit, String> {
    if text == "unlimited" {
        return Ok(Limit(None));
    }
    // Fractions are ours, py-spy takes whole seconds.
    match text.parse::<f64>().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()) {
        Some(duration) if !duration.is_zero() => Ok(Limit(Some(duration))),
        _ => Err("give a positive number of seconds, or \"unlimited\"".to_owned()),
    }
}

fn rate(text: &str) -> Result<u32, String> {
    match text.parse() {
        Ok(rate @ 1..=100_000) => Ok(rate),
        _ => Err("give a whole number from 1 to 100000".to_owned()),
    }
}

fn format_parser() -> impl TypedValueParser<Value = &'static dyn Format> {
    let names = FORMATS
        .iter()
        .map(|format| clap::builder::PossibleValue::new(format.name()).help(format.description()));
    PossibleValuesParser::new(names).try_map(|name| {
        rspy_profile::format::by_name(&name.to_lowercase())
            .ok_or_else(|| format!("there is no format {name}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn values_are_read_as_py_spy_reads_them() {
        assert_eq!(pid("0x1F"), Ok(31));
        assert_eq!(pid("31"), Ok(31));
        assert!(pid("0").is_err() && pid("-1").is_err() && pid("python").is_err());
        assert_eq!(duration("unlimited"), Ok(Limit(None)));
        assert_eq!(duration("0.5"), Ok(Limit(Some(Duration::from_millis(500)))));
        assert!(duration("-1").is_err() && duration("nan").is_err() && duration("0").is_err());
        assert!(rate("0").is_err() && rate("100001").is_err());
        let cli = Cli::try_parse_from(["rspy", "rec", "-p", "12", "-f", "RAW"]).unwrap();
        assert!(matches!(cli.command, Command::Record(record) if record.format.name() == "raw"));
        assert!(Cli::try_parse_from(["rspy", "record"]).is_err());
        assert!(Cli::try_parse_from(["rspy", "record", "-p", "1", "--", "python"]).is_err());
    }
}
