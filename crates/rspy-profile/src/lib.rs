//! Samples of a Python program's stacks, and the files they are written to.
//!
//! A [`Profile`] is a set of tables joined by small integer handles. Text is interned in
//! [`Strings`], a place in the program is a [`Frame`] in [`Frames`], a stack is a (caller, frame)
//! node in the prefix tree [`Stacks`], and a [`Sample`] is a few words: when, which thread, which
//! stack. Names are looked up only when something is written, so recording never touches text it
//! has already seen. Samples that are alike share an entry ([`Run`]), so that a profile stays small at any rate.
//!
//! ```text
//! Sample ──► ThreadId ──► Thread ──► StringId
//!    └─────► StackId  ──► (StackId of the caller, FrameId) ──► Frame ──► StringId
//! ```
//!
//! Every output is a [`Format`] listed in [`FORMATS`]. A new one is a file in `format/`, a line in
//! that list and its golden file; nothing else names formats. Formats share three steps: [`fold`]
//! adds up identical (thread, stack) pairs by integer, labels give each frame its text under the
//! chosen [`Options`], and a label tree orders the result, so that every output is deterministic.
//!
//! What is not known is a value here and a name in every output: frames that could not be read are
//! [`FrameKind::Cut`], [`FrameKind::Truncated`] or [`FrameKind::Lost`], and samples that could not
//! be taken at all are counted in [`Lost`] and drawn beside the others.
//!
//! # Limits
//!
//! A profile holds fewer than 2³² entries per table, and lives in memory. Handles belong to the
//! profile that gave them out; using one with another profile panics or names the wrong thing.
//!
//! # What it leaves to others
//!
//! It knows nothing of processes or of Python's internals: who reads the stacks, decides what is
//! idle, shortens file names and prints messages is another crate. It never prints, exits or reads
//! the environment.

#![forbid(unsafe_code)]

mod account;
pub mod analysis;
mod callgraph;
mod caption;
mod comparison;
mod counted;
mod entries;
mod fold;
pub mod foreign;
pub mod format;
mod frame;
mod growth;
mod handle;
mod label;
mod memory;
mod metadata;
mod options;
mod place;
mod process;
mod profile;
pub mod recording;
mod sample;
mod samples;
mod stack;
mod strings;
mod thread;
mod timeline;
mod tree;

pub use account::{Account, Collections};
pub use comparison::{Change, Comparison, SIGNIFICANT, compare};
pub use fold::{Folded, Totals, fold};
pub use foreign::{FOREIGN, Foreign, ForeignError};
pub use format::{FORMATS, Format, FormatError};
pub use frame::{Columns, Frame, FrameId, FrameKind, Frames, LostReason};
pub use growth::Growth;
pub use memory::MemoryUse;
pub use metadata::{Metadata, Overhead};
pub use options::{By, Options, View};
pub use process::{Process, ProcessId, Processes};
pub use profile::{Lost, Profile};
pub use sample::{Activity, Sample, ThreadState};
pub use samples::Run;
pub use stack::{StackId, Stacks};
pub use strings::{StringId, Strings};
pub use thread::{Thread, ThreadId, Threads};
