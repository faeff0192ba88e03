//! Places as formats show them that have a field for each part: name, file, line and columns.

use std::ops::Index;

use indexmap::IndexSet;
use rustc_hash::FxBuildHasher;

use crate::frame::{Columns, Frame, FrameId, FrameKind};
use crate::handle::handle;
use crate::label;
use crate::options::{By, Options};
use crate::profile::Profile;
use crate::stack::StackId;
use crate::thread::ThreadId;

handle! {
    /// A place. Equal places have equal ids.
    PlaceId
}

/// A frame as it is shown. Lines of a function that are not told apart are one place. The order is that
/// of the text, and so does not depend on when a place was seen.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Place {
    /// The function, or what stands for one.
    pub(crate) name: String,
    /// Its source file, empty where there is none.
    pub(crate) file: String,
    /// The line that is shown.
    pub(crate) line: Option<u32>,
    /// The columns being executed.
    pub(crate) columns: Option<Columns>,
    /// The line the function starts on.
    pub(crate) first_line: Option<u32>,
    /// What the frame stands for; `None` for a place that is none in the program.
    pub(crate) kind: Option<FrameKind>,
}

impl Place {
    /// Whether both are in the same function.
    pub(crate) fn is_same_function(&self, other: &Place) -> bool {
        self.name == other.name && self.file == other.file && self.first_line == other.first_line
    }
}

/// The places of a profile under some options, in the order of their first use.
#[derive(Debug)]
pub(crate) struct Places<'profile> {
    profile: &'profile Profile,
    options: &'profile Options,
    entries: IndexSet<Place, FxBuildHasher>,
    of_frames: Vec<Option<PlaceId>>,
}

impl<'profile> Places<'profile> {
    /// None yet.
    pub(crate) fn new(profile: &'profile Profile, options: &'profile Options) -> Self {
        let of_frames = vec![None; profile.frames.len()];
        Self { profile, options, entries: IndexSet::default(), of_frames }
    }

    /// The places of a thread's stack, outermost first, put in place of what `buffer` holds. At least one.
    pub(crate) fn stack(&mut self, thread: ThreadId, stack: StackId, buffer: &mut Vec<PlaceId>) {
        buffer.clear();
        for frame in self.profile.stacks.leaf_first(stack) {
            buffer.push(self.frame(frame));
        }
        if self.options.by == By::Module {
            buffer.dedup();
        }
        if buffer.is_empty() {
            buffer.push(self.note(label::NO_FRAMES.into()));
        }
        if self.options.by_thread {
            let name = label::thread(self.profile, &self.profile.threads[thread]);
            // py-spy's thread has line 0.
            let line = self.options.line_numbers.then_some(0);
            buffer.push(self.intern(Place { name, line, ..Place::default() }));
        }
        if self.options.by_process {
            for process in self.profile.processes.upwards(self.profile.threads[thread].process) {
                let name = label::process(self.profile, &self.profile.processes[process]);
                let line = self.options.line_numbers.then_some(0);
                buffer.push(self.intern(Place { name, line, ..Place::default() }));
            }
        }
        buffer.reverse();
    }

    /// A place that is none in the program.
    pub(crate) fn note(&mut self, name: String) -> PlaceId {
        self.intern(Place { name, ..Place::default() })
    }

    /// All places so far, in the order of their ids.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Place> {
        self.entries.iter()
    }

    /// All places, in the order of their ids.
    pub(crate) fn into_places(self) -> Vec<Place> {
        self.entries.into_iter().collect()
    }

    fn frame(&mut self, id: FrameId) -> PlaceId {
        if let Some(known) = self.of_frames[id.index()] {
            return known;
        }
        let place = self.place(&self.profile.frames[id]);
        let place = self.intern(place);
        self.of_frames[id.index()] = Some(place);
        place
    }

    /// Names are given as they are, since fields need no separators; and files whole, as py-spy does.
    fn place(&self, frame: &Frame) -> Place {
        if frame.kind != FrameKind::Python {
            let name = label::frame(self.profile, frame, self.options);
            return Place { name, kind: Some(frame.kind), ..Place::default() };
        }
        let name = &self.profile.strings[frame.name];
        if self.options.by == By::Module {
            let name = label::module(self.profile, frame, self.options);
            return Place { name, file: self.profile.strings[frame.file].into(), ..Place::default() };
        }
        let is_function = self.options.by == By::Function;
        let line = if is_function { frame.first_line } else { frame.line };
        let line = line.filter(|_| self.options.line_numbers);
        Place {
            name: if name.is_empty() { label::UNNAMED } else { name }.into(),
            file: self.profile.strings[frame.file].into(),
            line,
            columns: frame.columns.filter(|_| line.is_some() && !is_function),
            first_line: frame.first_line,
            kind: Some(FrameKind::Python),
        }
    }

    fn intern(&mut self, place: Place) -> PlaceId {
        PlaceId::from_index(self.entries.insert_full(place).0)
    }
}

impl Index<PlaceId> for Places<'_> {
    type Output = Place;

    fn index(&self, id: PlaceId) -> &Place {
        &self.entries[id.index()]
    }
}
