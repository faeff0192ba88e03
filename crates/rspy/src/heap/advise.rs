//! `rspy heap --advise`: what the program could do to take less memory.

use std::io;

use rspy_heap::advice::{Advice, What, advice};
use rspy_heap::holders::Holders;
use rspy_heap::objects::Objects;
use rspy_heap::trails::Trails;

use super::captured::Captured;
use super::megabytes;
use crate::analysis::page::{Page, Tone, json};
use crate::cli::Heap;
use crate::failure::Failure;
use crate::progress::{during, grouped};

/// Prints what could be done.
pub fn advise(options: &Heap) -> Result<(), Failure> {
    let captured = Captured::of(options)?;
    let heap = captured.heap()?;
    let objects = during("finding objects", || Objects::of(&heap));
    let holders = Holders::without_references();
    let trails = Trails::new(&heap, &objects, &holders, options.values);
    let advice = advice(&heap, &objects, &trails, &objects.footprints(&heap));
    match options.json {
        true => json(&advice),
        false => write(options, &advice).map_err(|error| Failure::printing(&error)),
    }
}

/// What is to be done, in words.
fn told(advice: &Advice) -> String {
    let Advice { subject, count, .. } = advice;
    let count = grouped(*count);
    match advice.what {
        What::Slots => format!("give {subject} __slots__ (or @dataclass(slots=True)): {count} instances"),
        What::MaterialisedDicts => {
            format!("avoid vars() and __dict__ of {subject}: {count} instances had a dict made for them")
        }
        What::Records => format!("make {count} dicts a class with __slots__ or a namedtuple: {subject}"),
        What::Duplicates => {
            let how = if subject == "str" { ", by sys.intern()" } else { "" };
            format!("keep one of equal {subject}{how}: {count} are equal to others")
        }
        What::SparseDicts => {
            format!("make dicts anew that have been much larger, by dict(old): {count} of them")
        }
        What::RoomInLists => {
            format!("make tuples of lists that are complete, or copy them, by list(old): {count} of them")
        }
    }
}

fn write(options: &Heap, all: &[Advice]) -> io::Result<()> {
    let mut page = Page::stdout();
    if all.is_empty() {
        page.line(Tone::Plain, "Nothing that would save more than a few kilobytes was found.")?;
        return page.finish();
    }
    page.line(Tone::Quiet, "    Saved MB   Before MB    After MB  What to do")?;
    let shown = if options.rows == 0 { all.len() } else { options.rows };
    for advice in all.iter().take(shown) {
        let text = format!(
            "{:>12}{:>12}{:>12}  {}",
            megabytes(advice.before - advice.after),
            megabytes(advice.before),
            megabytes(advice.after),
            told(advice)
        );
        page.line(Tone::Plain, &text)?;
    }
    page.finish()
}
