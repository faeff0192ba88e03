//! CPython as data: finding the interpreter in a process, walking its
//! interpreters, threads and frames, reading code objects, names and lines.
//!
//! Knows nothing of profiles or output. Which offsets and encodings a version
//! has is data (`layouts/*.toml`, [`layout`]); everything read is taken for
//! hostile: bounded, checked, and refused rather than guessed.
#![forbid(unsafe_code)]

pub mod activity;
mod cells;
pub mod class_names;
pub mod code;
pub mod find;
pub mod frames;
pub mod gc_statistics;
pub mod interpreter;
pub mod layout;
mod linecache;
pub mod lines;
pub mod locals;
mod modules;
pub mod operations;
pub mod sampling;
pub mod stack;
pub mod text;
mod thread_id;
mod thread_names;
pub mod tracemalloc;
pub mod values;
mod version;

pub use find::{Attached, FindError};
pub use version::{Abi, Version};
