//! `rspy heap`: the objects of a live process: how many of which type, and who holds them.

mod advise;
mod captured;
mod census;
mod changes;
mod diff;
mod duplicates;
mod growth;
mod instances;
mod pause;
mod retained;
mod save;
mod why;

use std::process::ExitCode;

use crate::cli::{Heap, HeapCommand};
use crate::failure::Failure;

/// Answers what is asked of a heap.
pub fn heap(options: &Heap) -> Result<ExitCode, Failure> {
    match &options.command {
        Some(HeapCommand::Save(options)) => save::save(options)?,
        Some(HeapCommand::Diff(options)) => diff::diff(options)?,
        None => ask(options)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn ask(options: &Heap) -> Result<(), Failure> {
    match (&options.why, &options.of_type, options.growth) {
        (Some(what), ..) => why::why(options, what),
        (_, Some(name), _) => instances::of_type(options, name),
        (.., Some(seconds)) => growth::growth(options, seconds),
        _ if options.duplicates => duplicates::print(options),
        _ if options.advise => advise::advise(options),
        _ if options.top => instances::top(options),
        _ if options.retained => retained::retained(options),
        _ => census::census(options),
    }
}

/// Bytes as people read them.
fn megabytes(bytes: u64) -> String {
    format!("{:.1}", bytes as f64 / 1e6)
}
