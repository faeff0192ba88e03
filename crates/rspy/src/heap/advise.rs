//! `rspy heap --advise`: what the program could do to take less memory.

use std::cmp::Reverse;
use std::io;

use rspy_heap::advice::{Advice, Dataclass, What, advice};
use rspy_heap::alternatives::Way;
use rspy_heap::holders::Holders;
use rspy_heap::objects::Objects;
use rspy_heap::trails::Trails;

use super::captured::Captured;
use super::megabytes;
use crate::analysis::page::{Page, Tone, json};
use crate::cli::{Heap, HeapKey};
use crate::failure::Failure;
use crate::progress::{during, grouped};

/// Prints what could be done.
pub fn advise(options: &Heap) -> Result<(), Failure> {
    let captured = Captured::of(options)?;
    let heap = captured.heap()?;
    let objects = during("finding objects", || Objects::of(&heap));
    let holders = Holders::without_references();
    let trails = Trails::new(&heap, &objects, &holders, options.values);
    let mut advice = advice(&heap, &objects, &trails, &objects.footprints(&heap));
    captured.whole(&heap, ())?;
    match options.sort {
        Some(HeapKey::Before) => advice.sort_by_key(|one| Reverse(one.before)),
        Some(HeapKey::After) => advice.sort_by_key(|one| Reverse(one.after)),
        Some(HeapKey::Count) => advice.sort_by_key(|one| Reverse(one.count)),
        Some(HeapKey::Type) => advice.sort_by(|one, next| one.subject.cmp(&next.subject)),
        // It comes with what saves the most first.
        _ => {}
    }
    match options.json {
        true => json(&advice),
        false => write(options, &advice).map_err(|error| Failure::printing(&error)),
    }
}

/// What is to be done, in words.
fn told(advice: &Advice) -> String {
    let Advice { subject, count, .. } = advice;
    let count = grouped(*count);
    let attributes = match advice.attributes {
        Some(1) => "attribute".to_owned(),
        number => format!("{} attributes", number.unwrap_or(0)),
    };
    match advice.what {
        What::Slots => {
            let how = match advice.dataclass {
                Some(Dataclass::BySlotsTrue) => "by @dataclass(slots=True), ",
                Some(Dataclass::ByHand) => "by hand, as it is a dataclass, ",
                None => "",
            };
            format!("give {subject} __slots__, {how}for its {attributes}: {count} instances")
        }
        What::MaterialisedDicts => {
            let own = match advice.own_keys {
                Some(own) if own > 0 => format!(", {} of them with keys of their own", grouped(own)),
                _ => String::new(),
            };
            format!(
                "avoid vars() and __dict__ of {subject}: {count} instances had a dict made beside their values{own}"
            )
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

/// What one would take, in each way that there is.
fn alternatives(advice: &Advice) -> Option<String> {
    let name = |way: Way| match way {
        Way::Slots => "with __slots__",
        Way::Namedtuple => "as a namedtuple",
        Way::Tuple => "as a tuple",
        Way::Recordclass => "as a dataobject of recordclass",
    };
    let all: Vec<String> =
        advice.alternatives.iter().map(|one| format!("{} {}", one.each, name(one.way))).collect();
    let now = advice.before.checked_div(advice.count).filter(|_| !all.is_empty())?;
    Some(format!("each takes {now} B, would take {}", all.join(", ")))
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
        if let Some(text) = alternatives(advice) {
            page.line(Tone::Quiet, &format!("{:>38}{text}", ""))?;
        }
    }
    page.finish()
}
