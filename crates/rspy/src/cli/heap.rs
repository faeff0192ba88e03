//! The options of `rspy heap`.

use std::path::PathBuf;

use bytesize::ByteSize;
use clap::{ArgGroup, Args, Subcommand};

use super::heap_key::HeapKey;
use super::{path, pid};

/// A process, and how its heap is copied.
#[derive(Args)]
pub struct HeapCopy {
    /// The process to look into, in decimal or, with 0x, hexadecimal
    #[arg(short, long, value_parser = pid, value_name = "PID", group = "heap")]
    pub pid: Option<u32>,

    /// Stop the program while its heap is copied, so that all is of one moment; how long that took is printed. Threads
    /// that sleep are left asleep
    #[arg(long, requires = "pid")]
    pub pause: bool,

    /// How much memory rspy may take for the copy [default: half of what is available]
    #[arg(long, value_name = "SIZE", requires = "pid")]
    pub limit: Option<ByteSize>,
}

/// What else can be done with heaps.
#[derive(Subcommand)]
pub enum HeapCommand {
    /// Saves the heap of a process in a file, to be asked later and elsewhere
    Save(HeapSave),
    /// Compares saved heaps: what has grown, and who holds what is new
    Diff(HeapDiff),
}

/// Options of `rspy heap save`.
#[derive(Args)]
#[command(group(ArgGroup::new("heap").required(true)))]
pub struct HeapSave {
    /// The file to write
    #[arg(value_name = "FILE", value_parser = path())]
    pub file: PathBuf,

    /// Whose heap, and how it is copied.
    #[command(flatten)]
    pub copy: HeapCopy,
}

/// Options of `rspy heap diff`.
#[derive(Args)]
pub struct HeapDiff {
    /// Two or more saved heaps of a process, the oldest first
    #[arg(value_name = "FILE", value_parser = path(), num_args = 2.., required = true)]
    pub files: Vec<PathBuf>,

    /// What types are sorted by
    #[arg(long, value_enum, value_name = "KEY")]
    pub sort: Option<HeapKey>,

    /// How many rows are shown; 0 for all
    #[arg(long, value_name = "N", default_value = "15")]
    pub rows: usize,

    /// Show text and other values: without this keys and values that are not in the program's own text are not told
    #[arg(long)]
    pub values: bool,

    /// Write JSON
    #[arg(short, long)]
    pub json: bool,
}

/// Options of `rspy heap`.
#[derive(Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true, group(ArgGroup::new("heap").required(true)))]
pub struct Heap {
    /// What else is done.
    #[command(subcommand)]
    pub command: Option<HeapCommand>,

    /// A heap that rspy heap save has written
    #[arg(value_name = "FILE", value_parser = path(), group = "heap")]
    pub file: Option<PathBuf>,

    /// Whose heap, and how it is copied.
    #[command(flatten)]
    pub copy: HeapCopy,

    /// Who holds an object: the path of references from a module, a frame or the interpreter itself to what lies at this
    /// address, or to the instances of this type
    #[arg(long, value_name = "ADDRESS|TYPE", group = "question")]
    pub why: Option<String>,

    /// The instances of this type, the largest first: what they take, how often they are referred to, what they hold
    #[arg(long = "type", value_name = "TYPE", group = "question")]
    pub of_type: Option<String>,

    /// The N objects that take the most themselves (as many as --rows): containers with their tables, long strings
    #[arg(long, value_name = "N", num_args = 0..=1, default_missing_value = "0", value_parser = number, group = "question")]
    pub top: Option<usize>,

    /// What would be freed with each object and with all of each type, since nothing else holds it; objects that only hold
    /// each other
    #[arg(long, group = "question")]
    pub retained: bool,

    /// Write a flame graph of what holds how much to a file, an SVG picture
    #[arg(short, long, value_name = "FILE", value_parser = path(), requires = "retained")]
    pub output: Option<PathBuf>,

    /// Objects that are equal and there several times: strings, bytes, numbers, tuples of them
    #[arg(long, group = "question")]
    pub duplicates: bool,

    /// What the program could do to take less memory: in bytes of this process, before and after
    #[arg(long, group = "question")]
    pub advise: bool,

    /// Look twice, so many seconds apart: of which types there are more
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "10", value_parser = clap::value_parser!(u64).range(1..), requires = "pid", group = "question")]
    pub growth: Option<u64>,

    /// Show text and other values: without this keys and values that are not in the program's own text are not told
    #[arg(long)]
    pub values: bool,

    /// What a table is sorted by: a column that it has
    #[arg(long, value_enum, value_name = "KEY", conflicts_with = "why")]
    pub sort: Option<HeapKey>,

    /// How many rows are shown; 0 for all
    #[arg(long, value_name = "N", default_value = "30")]
    pub rows: usize,

    /// Write JSON
    #[arg(short, long)]
    pub json: bool,
}

/// A number of objects.
fn number(text: &str) -> Result<usize, String> {
    text.parse().map_err(|_| "it is no number of objects; the file of a heap stands before --top".to_owned())
}
