//! What holds how much at several moments.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::io;

use rspy_heap::holdings::Holding;
use serde::Serialize;

use super::megabytes;
use crate::analysis::page::{Page, Tone};
use crate::progress::grouped;

/// What grows by less than one of so many parts of what grows the most is not told.
const LEAST: i64 = 100;

/// An object, or several of one type that the same holds, in each of the heaps.
#[derive(Serialize)]
pub struct Held {
    /// What it is, as in `--retained`.
    what: String,
    /// How many objects, and what would be freed with them, in bytes.
    counts: Vec<u64>,
    retained: Vec<u64>,
    /// How deep it is, and the place of what holds it.
    depth: usize,
    within: Option<usize>,
}

impl Held {
    /// By how many bytes it holds more in the last than in the first.
    fn grown(&self) -> i64 {
        match (self.retained.first(), self.retained.last()) {
            (Some(first), Some(last)) => last.cast_signed().saturating_sub(first.cast_signed()),
            _ => 0,
        }
    }
}

/// What was found at several moments, put together by what it is called and what holds it.
pub struct Moments {
    moments: usize,
    all: Vec<Held>,
    places: HashMap<(Option<usize>, String), usize>,
}

impl Moments {
    /// None yet, of so many moments.
    pub fn new(moments: usize) -> Moments {
        Moments { moments, all: Vec::new(), places: HashMap::new() }
    }

    /// Adds what was found at one of them: each after what holds it.
    pub fn add(&mut self, moment: usize, holdings: &[Holding]) {
        let mut places: Vec<usize> = Vec::with_capacity(holdings.len());
        for holding in holdings {
            let within = holding.within.and_then(|within| places.get(within).copied());
            let (what, depth) = (without_line(&holding.what), holding.depth);
            let (moments, next) = (self.moments, self.all.len());
            let place = *self.places.entry((within, what.clone())).or_insert(next);
            if place == next {
                let (counts, retained) = (vec![0; moments], vec![0; moments]);
                self.all.push(Held { what, counts, retained, depth, within });
            }
            if let Some(held) = self.all.get_mut(place) {
                held.counts[moment] += holding.count;
                held.retained[moment] += holding.retained;
            }
            places.push(place);
        }
    }

    /// The `most` that have grown the most, with what holds them; each after that.
    pub fn grown(self, most: usize) -> Vec<Held> {
        let least = self.all.iter().map(Held::grown).max().unwrap_or(0) / LEAST;
        let mut order: Vec<usize> =
            (0..self.all.len()).filter(|place| self.all[*place].grown() > least).collect();
        order.sort_by_key(|place| (Reverse(self.all[*place].grown()), *place));
        let mut is_shown = vec![false; self.all.len()];
        let mut shown = 0;
        for place in order {
            let mut chain = Vec::new();
            let mut next = Some(place).filter(|place| !is_shown[*place]);
            while let Some(place) = next {
                chain.push(place);
                next = self.all[place].within.filter(|above| !is_shown[*above]);
            }
            if shown + chain.len() > most {
                break;
            }
            shown += chain.len();
            for place in chain {
                is_shown[place] = true;
            }
        }
        in_order(self.all, &is_shown)
    }
}

/// Those of `all` that are shown, each after what holds it, what has grown the most first.
fn in_order(all: Vec<Held>, is_shown: &[bool]) -> Vec<Held> {
    let mut within: HashMap<Option<usize>, Vec<usize>> = HashMap::new();
    for (place, held) in all.iter().enumerate().filter(|(place, _)| is_shown[*place]) {
        within.entry(held.within).or_default().push(place);
    }
    for places in within.values_mut() {
        places.sort_by_key(|place| (all[*place].grown(), Reverse(*place)));
    }
    let mut left = within.remove(&None).unwrap_or_default();
    let mut order = Vec::new();
    while let Some(place) = left.pop() {
        order.push(place);
        left.extend(within.remove(&Some(place)).unwrap_or_default());
    }
    let new: HashMap<usize, usize> = order.iter().enumerate().map(|(new, old)| (*old, new)).collect();
    let mut all: Vec<Option<Held>> = all.into_iter().map(Some).collect();
    let held = order.iter().filter_map(|place| all[*place].take());
    held.map(|held| Held { within: held.within.and_then(|old| new.get(&old).copied()), ..held }).collect()
}

/// What a frame is called wherever it has got to: without its line.
fn without_line(what: &str) -> String {
    let Some((function, place)) = what.strip_prefix("frame ").and_then(|frame| frame.split_once(" (")) else {
        return what.to_owned();
    };
    let Some((file, thread)) = place.rsplit_once(", thread ") else { return what.to_owned() };
    let file = file.rsplit_once(':').map_or(file, |(file, _)| file);
    format!("frame {function} ({file}, thread {thread}")
}

/// Writes them as a tree.
pub fn write_held(all: &[Held], page: &mut Page) -> io::Result<()> {
    if all.is_empty() {
        return Ok(());
    }
    page.line(Tone::Plain, "")?;
    page.line(Tone::Title, "What holds more than before: what would be freed with each")?;
    page.line(Tone::Quiet, "        MB         Count  Holder: MB held")?;
    for held in all {
        let sizes: Vec<String> = held.retained.iter().map(|bytes| megabytes(*bytes)).collect();
        let text = format!(
            "{:>+10.1}  {:>12}  {}{}: {}",
            held.grown() as f64 / 1e6,
            grouped(held.counts.last().copied().unwrap_or(0)),
            "  ".repeat(held.depth),
            held.what,
            sizes.join(" -> ")
        );
        page.line(Tone::Plain, &text)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holding(what: &str, retained: u64, within: Option<usize>) -> Holding {
        let depth = usize::from(within.is_some());
        Holding { what: what.to_owned(), count: 1, retained, depth, within, ..Holding::default() }
    }

    #[test]
    fn the_same_holder_is_one_wherever_it_stands() {
        let mut moments = Moments::new(2);
        moments.add(
            0,
            &[holding("module a", 10, None), holding(".x dict", 5, Some(0)), holding("module b", 4, None)],
        );
        moments.add(
            1,
            &[
                holding("module b", 50, None),
                holding(".x dict", 40, Some(0)),
                holding("module a", 12, None),
                holding(".x dict", 6, Some(2)),
            ],
        );
        let grown = moments.grown(10);
        let told: Vec<_> =
            grown.iter().map(|held| (held.what.as_str(), held.retained.as_slice(), held.within)).collect();
        let expected: [(&str, &[u64], Option<usize>); 4] = [
            ("module b", &[4, 50], None),
            (".x dict", &[0, 40], Some(0)),
            ("module a", &[10, 12], None),
            (".x dict", &[5, 6], Some(2)),
        ];
        assert_eq!(told, expected);
    }

    #[test]
    fn what_is_above_is_shown_as_well() {
        let mut moments = Moments::new(2);
        moments.add(0, &[holding("module a", 10, None), holding(".x dict", 1, Some(0))]);
        moments.add(1, &[holding("module a", 9, None), holding(".x dict", 8, Some(0))]);
        let told: Vec<String> = moments.grown(2).into_iter().map(|held| held.what).collect();
        assert_eq!(told, ["module a", ".x dict"]);
    }

    #[test]
    fn frames_go_on() {
        let at = |line| format!("frame f (/a:b/c.py:{line}, thread worker)");
        assert_eq!(without_line(&at(3)), without_line(&at(44)));
        assert_eq!(without_line("frame f (/a:b/c.py:3, thread t)"), "frame f (/a:b/c.py, thread t)");
        assert_eq!(without_line("module a"), "module a");
    }
}
