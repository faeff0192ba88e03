//! The command line: every command line of py-spy 0.4.3 means the same here, and
//! options of our own come after py-spy's.
//!
//! The program is taken as py-spy takes it: the words that are no options, with
//! or without `--` before them. Without it, options behind the program's name are
//! rspy's own.

// These comments are the help: `[cut]` is no link there.
#![allow(rustdoc::broken_intra_doc_links)]

mod analysis;
mod choice;
mod heap;
mod heap_key;
mod notes;
mod report;
mod time;

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{OsStringValueParser, PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::{Arg, ArgAction, ArgGroup, Args, Parser, Subcommand};
use clap_complete::Shell;
use rspy_profile::format::{Flamegraph, Recording};
use rspy_profile::{FORMATS, Format};

pub use self::analysis::{FunctionArguments, Lines, Memory, MemoryFormat, Samples, Sites, SortKey, Stats};
pub use self::choice::{DumpModes, Filters, Mode, Modes, StackChoice, ThreadChoice};
pub use self::heap::{Heap, HeapCommand, HeapCopy, HeapDiff, HeapSave};
pub use self::heap_key::HeapKey;
use self::notes::*;
pub use self::report::{Grouping, Report, View};
pub use self::time::Time;
use crate::clock::Rate;
use crate::sink::{Limits, Rotate};
use crate::target::Pausing;
use crate::top::Sort;

/// Sampling profiler for running Python programs.
///
/// Attaches to a CPython process from outside: nothing is imported, injected or
/// restarted in it.
#[derive(Parser)]
#[command(name = "rspy", version, infer_subcommands = true, max_term_width = 100, after_help = GENERAL)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What rspy can do.
#[derive(Subcommand)]
pub enum Command {
    /// Records stack traces to a flame graph or another format
    // Before there was a report, as in py-spy, these were not ambiguous.
    #[command(after_help = RECORD_NOTES, group = whom(), override_usage = RECORD_USAGE, aliases = ["r", "re"])]
    Record(Record),
    /// Shows the functions that use the most time, live
    // As in py-spy, where nothing else begins so.
    #[command(after_help = TOP_NOTES, group = whom(), override_usage = TOP_USAGE, alias = "t")]
    Top(Top),
    /// Dumps the stack of every thread, now
    #[command(after_help = DUMP_NOTES)]
    Dump(Dump),
    /// Turns recordings into a table, a flame graph or any other format
    #[command(after_help = REPORT_NOTES)]
    Report(Report),
    /// Shows the source of what takes the most time, line by line
    #[command(after_help = LINES_NOTES, mut_arg("mode", wall), mut_arg("idle", idle), group = analysis::what(), override_usage = LINES_USAGE)]
    Lines(Lines),
    /// Shows how much memory a program and all that it starts have over time, and the lines that made it grow
    #[command(after_help = MEMORY_NOTES, mut_arg("mode", wall), mut_arg("idle", idle), mut_arg("rate", |rate| rate.default_value("500")), mut_arg("subprocesses", by_default), group = analysis::what(), override_usage = MEMORY_USAGE)]
    Memory(Memory),
    /// Shows what fills the memory of a process: objects by type, who holds them, what has leaked
    #[command(after_help = HEAP_NOTES)]
    Heap(Heap),
    /// Shows the functions that take the most time, and their callers, as pstats does
    #[command(after_help = STATS_NOTES, mut_arg("mode", wall), mut_arg("idle", idle), group = analysis::what(), override_usage = STATS_USAGE)]
    Stats(Stats),
    /// Times a command, Python or not: real, user and system time, memory, and where the time went
    #[command(after_help = TIME_NOTES, override_usage = TIME_USAGE)]
    Time(Time),
    /// Writes a script that completes rspy's command line in a shell
    #[command(hide = true, after_help = COMPLETIONS_NOTES)]
    Completions(Completions),
}

/// Where the time that threads wait is shown as well, unless it is left out.
fn wall(mode: Arg) -> Arg {
    mode.help("Which threads to include [default: wall]")
}

fn idle(idle: Arg) -> Arg {
    idle.help("Include threads that are idle: asleep, or waiting for a lock or for data. They are, unless --gil or --mode leaves them out")
}

/// What is done unless it is said to be left out.
fn by_default(subprocesses: Arg) -> Arg {
    subprocesses.help("Sample the processes that it starts as well, which is the default")
}

/// A process or a program is needed; with both, as in py-spy, it is the process.
fn whom() -> ArgGroup {
    ArgGroup::new("whom").args(["pid", "program"]).required(true).multiple(true)
}

/// Options of `rspy record`.
#[derive(Args)]
pub struct Record {
    /// A Python program to start and record, with its arguments
    #[arg(value_name = "COMMAND", value_parser = OsStringValueParser::new())]
    pub program: Vec<OsString>,

    /// The process to attach to, in decimal or, with 0x, hexadecimal
    #[arg(short, long, value_parser = pid, value_name = "PID")]
    pub pid: Option<u32>,

    /// Show whole paths instead of paths within their package
    #[arg(long)]
    pub full_filenames: bool,

    /// File to write to [default: PID-TIME and the format's extension]
    #[arg(short, long, value_name = "FILE", value_parser = path())]
    pub output: Option<PathBuf>,

    /// What to write [default: flamegraph; rspy, if FILE ends so]
    #[arg(short, long, value_name = "FORMAT", ignore_case = true, value_parser = format_parser())]
    pub format: Option<&'static dyn Format>,

    /// How long to sample, in seconds, or "unlimited"
    #[arg(short, long, value_name = "SECONDS", default_value = "unlimited", value_parser = duration)]
    pub duration: Limit,

    /// Samples a second: 100, 2.5k, 20khz, 1mhz; or "max", as many as can be had
    #[arg(short, long, value_name = "HZ", default_value = "100")]
    pub rate: Rate,

    /// Record the processes that it starts as well
    #[arg(short, long)]
    pub subprocesses: bool,

    /// Add up by function instead of by line
    #[arg(short = 'F', long)]
    pub function: bool,

    /// Do not show line numbers
    #[arg(long)]
    pub nolineno: bool,

    /// Show each thread on its own, instead of adding up all of them
    #[arg(short, long)]
    pub threads: bool,

    /// In which states threads are recorded
    #[command(flatten)]
    pub modes: Modes,

    /// Keep what the program prints to itself; show its stderr if it fails
    #[arg(long, hide = true)]
    pub capture: bool,

    /// Show no progress
    #[arg(long, hide = true)]
    pub hideprogress: bool,

    /// Show the frames of extensions in C, C++, Cython or Rust as well (not in this release yet)
    #[arg(short, long)]
    pub native: bool,

    /// How much the program is stopped
    #[command(flatten)]
    pub stops: Stops,

    /// Say at the end what the recording cost rspy itself
    #[arg(long)]
    pub stats: bool,

    /// Show columns beside line numbers (Python 3.11 and later): file.py:LINE:FIRST-LAST, counted from 1
    #[arg(long)]
    pub columns: bool,

    /// Show the classes of methods up to Python 3.10, by what `self` or `cls` is bound to, for which every
    /// sample is stopped; from 3.11 on they are shown in any case
    #[arg(long)]
    pub class_names: bool,

    /// Write the figures of the recording as JSON: CPU, GIL and GC shares of each thread and process
    #[arg(long, value_name = "FILE", value_parser = path(), display_order = 103)]
    pub summary: Option<PathBuf>,

    /// With -f rspy, jsonl or chrometrace, also record how much memory each process has resident, with every sample
    #[arg(long)]
    pub memory: bool,

    /// With -f rspy, go on in a new file after this time (90s, 10m, 1h) or at this size (64MB): app.rspy,
    /// app.1.rspy, ...
    #[arg(long, value_name = "TIME|SIZE", display_order = 104)]
    pub rotate: Option<Rotate>,

    /// With -f rspy, how much all files may take (500MB): the recording ends there or, with --rotate, goes on
    /// without the oldest files
    #[arg(long, value_name = "SIZE", value_parser = crate::sink::size, display_order = 105)]
    pub max_size: Option<u64>,

    /// Which threads are recorded
    #[command(flatten)]
    pub thread_choice: ThreadChoice,

    /// Which stacks are recorded
    #[command(flatten)]
    pub stack_choice: StackChoice,
}

impl Record {
    /// What is written.
    pub fn format(&self) -> &'static dyn Format {
        let is_recording = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "rspy");
        match self.format {
            Some(format) => format,
            None if self.output.as_ref().is_some_and(is_recording) => &Recording,
            None => &Flamegraph,
        }
    }

    /// Which threads are recorded. What is chosen when a recording is read need not be chosen before.
    pub fn mode(&self) -> Mode {
        let is_chosen_later = self.format().about().is_written_as_taken;
        self.modes.mode_or(if is_chosen_later { Mode::Wall } else { Mode::Cpu })
    }

    /// How long and large recordings become.
    pub fn limits(&self) -> Limits {
        Limits { rotate: self.rotate, max_size: self.max_size }
    }
}

/// Options of `rspy top`.
#[derive(Args)]
pub struct Top {
    /// A Python program to start and watch, with its arguments
    #[arg(value_name = "COMMAND", value_parser = OsStringValueParser::new())]
    pub program: Vec<OsString>,

    /// The process to attach to, in decimal or, with 0x, hexadecimal
    #[arg(short, long, value_parser = pid, value_name = "PID")]
    pub pid: Option<u32>,

    /// Samples a second: 100, 2.5k, 20khz, 1mhz; or "max", as many as can be had
    #[arg(short, long, value_name = "HZ", default_value = "100")]
    pub rate: Rate,

    /// Watch the processes that it starts as well
    #[arg(short, long)]
    pub subprocesses: bool,

    /// Show whole paths instead of paths within their package
    #[arg(long)]
    pub full_filenames: bool,

    /// Include only the threads that hold the GIL
    #[arg(short, long)]
    pub gil: bool,

    /// Include threads that are idle: asleep, or waiting for a lock or for data
    #[arg(short, long)]
    pub idle: bool,

    /// Time from one refresh to the next [default: 0.25; of text and JSON 1]
    #[arg(long, value_name = "SECONDS")]
    pub delay: Option<f64>,

    /// What functions are sorted by at first
    #[arg(long, value_enum, value_name = "COLUMN", default_value = "own")]
    pub sort: Sort,

    /// Percentages are of the last so many seconds, up to 600, or "all" since the beginning
    #[arg(long, value_name = "SECONDS", default_value = "5", value_parser = window)]
    pub window: Window,

    /// Watch for the window, write one screen as text, and end
    #[arg(long)]
    pub once: bool,

    /// Write a line of JSON a second instead; with --once, one
    #[arg(long)]
    pub json: bool,

    /// Show the frames of extensions in C, C++, Cython or Rust as well (not in this release yet)
    #[arg(short, long)]
    pub native: bool,

    /// How much the program is stopped
    #[command(flatten)]
    pub stops: Stops,
}

/// How much `record` and `top` stop the program.
#[derive(Args)]
pub struct Stops {
    /// Never stop the program, not even for microseconds: many stacks of running threads are lost
    /// or end in [cut], where the innermost frames are not known
    #[arg(long)]
    pub nonblocking: bool,

    /// Stop the program for every sample of a running thread, whatever it costs
    #[arg(long, conflicts_with = "nonblocking")]
    pub blocking: bool,

    /// How much of its time the program may be stopped for sampling. Beyond it stacks are read while
    /// it runs, and may end in [cut]
    #[arg(long, value_name = "PERCENT", default_value = "1", value_parser = share)]
    pub stop_budget: f64,
}

impl Stops {
    /// What they come to.
    pub fn pausing(&self) -> Pausing {
        match (self.nonblocking, self.blocking) {
            (true, _) => Pausing::Never,
            (_, true) => Pausing::Always,
            _ => Pausing::Budget(self.stop_budget),
        }
    }
}

/// Options of `rspy dump`.
#[derive(Args)]
pub struct Dump {
    /// The process to look at, in decimal or, with 0x, hexadecimal
    #[arg(short, long, value_parser = pid, value_name = "PID", required_unless_present = "core")]
    pub pid: Option<u32>,

    /// A core file to look at instead of a process (not in this release yet)
    #[arg(short, long, value_name = "FILE", value_parser = path())]
    pub core: Option<PathBuf>,

    /// Show whole paths instead of paths within their package
    #[arg(long)]
    pub full_filenames: bool,

    /// Show the local variables of each frame; -ll shows more of each
    #[arg(short, long, action = ArgAction::Count)]
    pub locals: u8,

    /// Write JSON
    #[arg(short, long)]
    pub json: bool,

    /// Show the processes that it has started as well, and those that they have
    #[arg(short, long)]
    pub subprocesses: bool,

    /// Show the frames of extensions in C, C++, Cython or Rust as well (not in this release yet)
    #[arg(short, long)]
    pub native: bool,

    /// Never stop the program, not even for microseconds: stacks of running threads may be lost or
    /// end in [cut], where the innermost frames are not known
    #[arg(long)]
    pub nonblocking: bool,

    /// Show columns beside line numbers (Python 3.11 and later): file.py:LINE:FIRST-LAST, counted from 1
    #[arg(long)]
    pub columns: bool,

    /// Show the classes of methods up to Python 3.10, by what `self` or `cls` is bound to; from 3.11 on they
    /// are shown in any case
    #[arg(long)]
    pub class_names: bool,

    /// In which states threads are shown
    #[command(flatten)]
    pub modes: DumpModes,

    /// Which threads are shown
    #[command(flatten)]
    pub thread_choice: ThreadChoice,
}

/// Options of `rspy completions`.
#[derive(Args)]
pub struct Completions {
    /// The shell
    #[arg(value_name = "SHELL")]
    pub shell: Shell,
}

/// How long to sample.
#[derive(Copy, Clone, Debug, PartialEq)]
pub struct Limit(
    /// `None` is until told otherwise.
    pub Option<Duration>,
);

/// Of which time percentages are.
#[derive(Copy, Clone, Debug, PartialEq)]
pub struct Window(
    /// The last so many seconds; `None` is since the beginning.
    pub Option<u64>,
);

fn pid(text: &str) -> Result<u32, String> {
    let parsed = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) => i32::from_str_radix(digits, 16),
        None => text.parse(),
    };
    // No process has the id 0, which is not for the command line to know.
    parsed.ok().and_then(|pid| u32::try_from(pid).ok()).ok_or_else(|| {
        "a process id is a whole number, in hexadecimal with 0x; `ps -ef | grep python` lists them".to_owned()
    })
}

fn duration(text: &str) -> Result<Limit, String> {
    if text == "unlimited" {
        return Ok(Limit(None));
    }
    // Fractions are ours, py-spy takes whole seconds.
    match text.parse::<f64>().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()) {
        Some(duration) => Ok(Limit(Some(duration))),
        None => Err("give a number of seconds, or \"unlimited\"".to_owned()),
    }
}

fn window(text: &str) -> Result<Window, String> {
    match text.parse() {
        Ok(seconds) if (1..=600).contains(&seconds) => Ok(Window(Some(seconds))),
        _ if text == "all" => Ok(Window(None)),
        _ => Err("give a whole number of seconds from 1 to 600, or \"all\"".to_owned()),
    }
}

fn share(text: &str) -> Result<f64, String> {
    match text.strip_suffix('%').unwrap_or(text).parse::<f64>() {
        Ok(percent) if percent > 0.0 && percent <= 100.0 => Ok(percent / 100.0),
        _ => Err("give a percentage above 0 and up to 100".to_owned()),
    }
}

/// A path, also an empty one: what is wrong with it is said when it is opened.
fn path() -> impl TypedValueParser<Value = PathBuf> {
    OsStringValueParser::new().map(PathBuf::from)
}

fn format_parser() -> impl TypedValueParser<Value = &'static dyn Format> {
    let names =
        FORMATS.iter().map(|format| PossibleValue::new(format.about().name).help(format.about().description));
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
        assert_eq!(pid("+31"), Ok(31));
        assert!(pid("-1").is_err() && pid("python").is_err() && pid("2147483648").is_err());
        assert_eq!(duration("unlimited"), Ok(Limit(None)));
        assert_eq!(duration("0"), Ok(Limit(Some(Duration::ZERO))));
        assert_eq!(duration("0.5"), Ok(Limit(Some(Duration::from_millis(500)))));
        assert!(duration("-1").is_err() && duration("nan").is_err() && duration("10s").is_err());
        assert_eq!(share("1"), Ok(0.01));
        assert_eq!(share("0.5%"), Ok(0.005));
        assert_eq!(share("100"), Ok(1.0));
        assert!(share("0").is_err() && share("101").is_err() && share("nan").is_err() && share("").is_err());
    }

    fn record(arguments: &[&str]) -> Record {
        let all = ["rspy", "rec"].iter().chain(arguments);
        match Cli::try_parse_from(all).unwrap_or_else(|error| panic!("{error}")).command {
            Command::Record(record) => record,
            _ => panic!("rec is record"),
        }
    }

    #[test]
    fn a_program_is_taken_with_and_without_dashes() {
        assert_eq!(record(&["--", "python", "a.py", "-d", "1"]).program, ["python", "a.py", "-d", "1"]);
        let mixed = record(&["python", "-d", "1", "a.py", "--", "-x"]);
        assert_eq!(mixed.program, ["python", "a.py", "-x"]);
        assert_eq!(mixed.duration, Limit(Some(Duration::from_secs(1))));
        let both = record(&["-p", "12", "-f", "RAW", "python"]);
        assert_eq!((both.pid, both.format().about().name), (Some(12), "raw"));
        assert!(Cli::try_parse_from(["rspy", "record"]).is_err());
    }

    #[test]
    fn stops_are_as_the_options_say() {
        let pausing = |arguments: &[&str]| record(&[&["-p", "12"], arguments].concat()).stops.pausing();
        assert_eq!(pausing(&[]), Pausing::Budget(0.01));
        assert_eq!(pausing(&["--stop-budget", "5"]), Pausing::Budget(0.05));
        assert_eq!(pausing(&["--stop-budget", "5", "--blocking"]), Pausing::Always);
        assert_eq!(pausing(&["--nonblocking"]), Pausing::Never);
        let both = ["rspy", "record", "-p", "12", "--blocking", "--nonblocking"];
        assert!(Cli::try_parse_from(both).is_err());
    }
}
