//! How often each thread was seen in each stack, for formats that name places by their number.
//!
//! Places are numbered in the order of their text and stacks listed in the order of these numbers, so that
//! outputs do not depend on the order in which things were seen.

use crate::fold::fold;
use crate::frame::{Columns, FrameKind};
use crate::label;
use crate::options::Options;
use crate::place::{Place, PlaceId, Places};
use crate::profile::Profile;
use crate::thread::ThreadId;

/// The samples of a profile, added up by thread and stack.
#[derive(Debug)]
pub(crate) struct Counted {
    /// All places, in the order of their text. None is there twice.
    pub(crate) places: Vec<Place>,
    /// Every stack that was seen, once for each thread; lost samples are last.
    pub(crate) stacks: Vec<Stack>,
}

/// A stack of a thread, and how often it was seen.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Stack {
    /// Whose it is; `None` for samples that were lost, whose thread is not known.
    pub(crate) thread: Option<ThreadId>,
    /// Its places, outermost first, as indices into [`Counted::places`].
    pub(crate) places: Vec<usize>,
    /// The sum of the weights of its samples: a number of ticks of the sampler. Above 0.
    pub(crate) weight: u64,
}

impl Counted {
    /// The samples of `profile` that `options` include, and the lost ones.
    pub(crate) fn new(profile: &Profile, options: &Options) -> Self {
        let mut places = Places::new(profile, options);
        let mut found: Vec<(Option<ThreadId>, Vec<PlaceId>, u64)> = Vec::new();
        let mut buffer = Vec::new();
        let each_thread = Options { by_thread: true, ..options.clone() };
        for folded in fold(profile, &each_thread).into_iter().filter(|folded| folded.weight > 0) {
            let Some(thread) = folded.thread else { continue };
            places.stack(thread, folded.stack, &mut buffer);
            found.push((Some(thread), buffer.clone(), folded.weight));
        }
        for (reason, weight) in profile.lost.iter().filter(|(_, weight)| *weight > 0) {
            found.push((None, vec![places.note(label::lost(reason))], weight));
        }
        Self::in_order(places.into_places(), found)
    }

    fn in_order(places: Vec<Place>, found: Vec<(Option<ThreadId>, Vec<PlaceId>, u64)>) -> Self {
        let mut by_text: Vec<(Place, usize)> = places.into_iter().map(distinct).zip(0..).collect();
        by_text.sort_unstable();
        let mut ranks = vec![0; by_text.len()];
        let mut places: Vec<Place> = Vec::new();
        for (place, index) in by_text {
            if places.last() != Some(&place) {
                places.push(place);
            }
            ranks[index] = places.len() - 1;
        }
        let mut stacks: Vec<Stack> = found
            .into_iter()
            .map(|(thread, places, weight)| {
                let places = places.iter().map(|place| ranks[place.index()]).collect();
                Stack { thread, places, weight }
            })
            .collect();
        stacks.sort_unstable_by(|one, other| {
            (one.thread.is_none(), one.thread, &one.places).cmp(&(
                other.thread.is_none(),
                other.thread,
                &other.places,
            ))
        });
        stacks.dedup_by(|next, kept| {
            let same = (next.thread, &next.places) == (kept.thread, &kept.places);
            if same {
                kept.weight += next.weight;
            }
            same
        });
        Self { places, stacks }
    }
}

/// What these formats can tell of a place: 0 is an unknown line, and only the first column is shown.
fn distinct(place: Place) -> Place {
    let known = |line: Option<u32>| line.filter(|line| *line > 0);
    let columns = place.columns.map(|columns| Columns { end_line: None, last: columns.first, ..columns });
    let kind = place.kind.filter(|kind| *kind == FrameKind::Python);
    Place { line: known(place.line), first_line: known(place.first_line), columns, kind, ..place }
}
