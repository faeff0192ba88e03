//! `rspy heap`: the objects of a live process: how many of which type, and who holds them.

mod advise;
mod captured;
mod census;
mod changes;
mod diff;
mod duplicates;
mod growth;
mod held;
mod instances;
mod pause;
mod retained;
mod save;
mod why;

use std::process::ExitCode;

use crate::cli::HeapKey::{
    self, After, Before, Count, Different, Footprint, Generation, Largest, Mean, References, Retained, Size,
    Type,
};
use crate::cli::{Heap, HeapCommand};
use crate::failure::Failure;

/// Answers what is asked of a heap.
pub fn heap(options: &Heap) -> Result<ExitCode, Failure> {
    match &options.command {
        Some(HeapCommand::Save(options)) => save::save(options)?,
        Some(HeapCommand::Diff(options)) => {
            sorted_by(options.sort, "rspy heap diff", &CHANGES)?;
            diff::diff(options)?;
        }
        None => ask(options)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn ask(options: &Heap) -> Result<(), Failure> {
    match (&options.why, &options.of_type, options.growth) {
        (Some(what), ..) => why::why(options, what),
        (_, Some(name), _) => {
            let keys = [Footprint, Size, References, Generation, Type];
            sorted_by(options.sort, "--type", &keys).and_then(|()| instances::of_type(options, name))
        }
        (.., Some(seconds)) => {
            sorted_by(options.sort, "--growth", &CHANGES).and_then(|()| growth::growth(options, seconds))
        }
        _ if options.duplicates => {
            let keys = [Footprint, Count, Different, Type];
            sorted_by(options.sort, "--duplicates", &keys).and_then(|()| duplicates::print(options))
        }
        _ if options.advise => {
            let keys = [Footprint, Before, After, Count, Type];
            sorted_by(options.sort, "--advise", &keys).and_then(|()| advise::advise(options))
        }
        _ if options.top.is_some() => {
            let keys = [Footprint, Size, References, Generation, Type];
            sorted_by(options.sort, "--top", &keys).and_then(|()| instances::top(options))
        }
        _ if options.retained => {
            let keys = [Retained, Footprint, Count, Type];
            sorted_by(options.sort, "--retained", &keys).and_then(|()| retained::retained(options))
        }
        _ => {
            let keys = [Footprint, Size, Count, Mean, Largest, Type];
            sorted_by(options.sort, "rspy heap", &keys).and_then(|()| census::census(options))
        }
    }
}

/// What changes are sorted by.
const CHANGES: [HeapKey; 3] = [Footprint, Count, Type];

/// Whether a table that has these `keys` can be sorted by `key`.
fn sorted_by(key: Option<HeapKey>, table: &str, keys: &[HeapKey]) -> Result<(), Failure> {
    match key.filter(|key| !keys.contains(key)) {
        None => Ok(()),
        Some(key) => Err(Failure::sorting_heap(table, &key.name(), keys.iter().map(|key| key.name()))),
    }
}

/// Bytes as people read them.
fn megabytes(bytes: u64) -> String {
    format!("{:.1}", bytes as f64 / 1e6)
}
