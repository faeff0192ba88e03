//! What the command line understands and this release cannot do: it says so, and
//! what to do instead, rather than leaving something out.

use crate::cli::{Dump, Record, Top};
use crate::failure::Failure;

/// Refuses what `rspy record` cannot do yet.
pub fn record(options: &Record) -> Result<(), Failure> {
    native(options.native)
}

/// Refuses what `rspy dump` cannot do yet.
pub fn dump(options: &Dump) -> Result<(), Failure> {
    if let Some(core) = &options.core {
        return Err(Failure::new(
            format!("This release of rspy cannot read core files yet, so not {}.", core.display()),
            "Open it in gdb with CPython's python-gdb.py and say py-bt; or dump the process while it runs: \
             rspy dump --pid PID.",
        ));
    }
    native(options.native)
}

/// Refuses what `rspy top` cannot do yet.
pub fn top(options: &Top) -> Result<(), Failure> {
    native(options.native)
}

fn native(asked: bool) -> Result<(), Failure> {
    match asked {
        true => Err(Failure::new(
            "This release of rspy cannot show the frames of native extensions yet (-n, --native).",
            "Leave it away: time in an extension is then its Python caller's; `perf record -g` shows what is below.",
        )),
        false => Ok(()),
    }
}
