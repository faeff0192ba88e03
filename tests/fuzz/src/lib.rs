//! What rspy does with hostile memory: the bodies of its fuzz targets.
//!
//! Each module has a function `run` that takes any bytes for its input and panics where rspy does something it
//! must not: panic itself, read or allocate without bound, or give a wrong answer. libFuzzer calls them
//! (`fuzz_targets/`), and so does a test on stable Rust with the inputs that are kept (`corpus/`, `regressions/`).
//!
//! - [`lines`]: line tables
//! - [`layouts`]: layout tables and `_Py_DebugOffsets`
//! - [`images`]: ELF files, ELF images in memory, `.gnu_debugdata`, `/proc/PID/maps`
//! - [`values`]: strings, integers, dicts, attributes
//! - [`processes`]: whole processes, from the roots to the lines
//!
//! [`memory`] is what they read: made-up, and counting.
#![forbid(unsafe_code)]

pub mod images;
pub mod layouts;
pub mod lines;
pub mod memory;
pub mod processes;
pub mod values;

/// The targets by name, as they are called in `fuzz_targets/`.
pub const TARGETS: &[(&str, fn(&[u8]))] = &[
    ("images", images::run),
    ("layouts", layouts::run),
    ("lines", lines::run),
    ("processes", processes::run),
    ("values", values::run),
];
