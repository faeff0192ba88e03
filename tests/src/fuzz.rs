//! What rspy does with hostile memory: the bodies of its fuzz targets.
//!
//! Each module has a function `run` that takes any bytes for its input and panics where rspy does something it
//! must not: panic itself, read or allocate without bound, or give a wrong answer. libFuzzer calls them
//! (`tests/fuzz/fuzz_targets`), and so does a test on stable Rust with the inputs that are kept (`tests/fuzz/corpus`,
//! `tests/fuzz/regressions`).
//!
//! - [`lines`]: line tables
//! - [`layouts`]: layout tables and `_Py_DebugOffsets`
//! - [`foreign`]: files of other profilers
//! - [`images`]: ELF files, ELF images in memory, `.gnu_debugdata`, `/proc/PID/maps`
//! - [`values`]: strings, integers, dicts, attributes
//! - [`processes`]: whole processes, from the roots to the lines
//! - [`recordings`]: recordings, and reports of them
//! - [`sampling`]: processes, sampled again and again while they are damaged
//!
//! [`memory`] is what they read: made-up, and counting.

pub mod foreign;
pub mod images;
pub mod layouts;
pub mod lines;
pub mod memory;
pub mod processes;
pub mod recordings;
pub mod sampling;
pub mod values;

/// What is called with an input.
pub type Target = fn(&[u8]);

/// The targets by name, as they are called in `tests/fuzz`.
pub const TARGETS: &[(&str, Target)] = &[
    ("foreign", foreign::run),
    ("images", images::run),
    ("layouts", layouts::run),
    ("lines", lines::run),
    ("processes", processes::run),
    ("recordings", recordings::run),
    ("sampling", sampling::run),
    ("values", values::run),
];
