//! A copy of a heap that was looked through, and the way through all its objects.

use std::ops::Range;

use rayon::prelude::*;
use rspy_cpython::Attached;
use rspy_process::Memory;
use rspy_process::maps::{Mapping, loaded_files};
use rustc_hash::{FxHashMap, FxHashSet};

use crate::blocks::Allocated;
use crate::fill::Fill;
use crate::image::Image;
use crate::mimalloc::{Mimalloc, Segment};
use crate::object::{Object, Reader};
use crate::obmalloc::Arenas;
use crate::offsets::{Lacking, Offsets};
use crate::pages::{Area, Blocks};
use crate::roots::roots;
use crate::running::{frames, held_by_interpreters};
use crate::types::{Known, Types};
use crate::whole::Whole;

/// Lists that a collector has, with that of what was frozen.
const GENERATIONS: usize = 4;

/// A copy of a heap that was looked through: where the allocator has what.
pub struct Heap<'i> {
    pub(crate) image: &'i Image,
    pub(crate) attached: &'i Attached,
    offsets: Offsets,
    pub(crate) arenas: Vec<Arenas>,
    /// Of those that have it.
    mimalloc: Option<Mimalloc>,
    segments: Vec<Segment>,
    allocated: Allocated,
    /// Variables of the interpreter and of libraries, by address.
    variables: Vec<Range<u64>>,
    pub(crate) memory: Whole<'i>,
}

/// How many there were of what, and what was gathered of the objects.
#[derive(Debug, Default)]
pub struct Walked<S> {
    /// What was gathered, in parts: those from pages in the order of the areas, what lies outside of them last.
    pub parts: Vec<S>,
    /// Blocks in use, of pymalloc or mimalloc.
    pub blocks: u64,
    /// Those of them that are objects.
    pub objects_in_blocks: u64,
    /// Objects that lie elsewhere: larger ones, and those that were never allocated.
    pub objects_outside: u64,
    /// Pages whose headers made no sense.
    pub misfits: u64,
}

/// What one thread has met.
#[derive(Default)]
struct Met<S> {
    known: Known,
    part: S,
    /// Those in use of the page that is looked through.
    in_use: Blocks,
    blocks: u64,
    objects: u64,
    misfits: u64,
    outside: Outside,
}

/// How many addresses are remembered as met just now: a power of two.
const RECENT: usize = 1 << 10;

/// What was referred to outside of the pools.
struct Outside {
    all: FxHashSet<u64>,
    /// What was met just now, by a few bits of it: classes, `None` and small numbers are met again and again.
    recent: Box<[u64; RECENT]>,
}

impl Default for Outside {
    fn default() -> Outside {
        Outside { all: FxHashSet::default(), recent: Box::new([0; RECENT]) }
    }
}

impl Outside {
    /// Remembers what `object` refers to that is not in a pool.
    fn look(&mut self, reader: &Reader<'_>, object: &Object<'_>) {
        reader.references(object, &mut |at, _| {
            if reader.allocated.block_size(at).is_some() {
                return;
            }
            let recent = &mut self.recent[(at >> 3) as usize % RECENT];
            if *recent == at {
                return;
            }
            *recent = at;
            if at.is_multiple_of(8) && reader.image.covers(at) {
                self.all.insert(at);
            }
        });
    }
}

/// The objects of a list of the collector.
pub(crate) fn tracked(reader: &Reader<'_>, head: u64) -> impl Iterator<Item = u64> {
    let before = reader.offsets.gc_head;
    // The lowest bits of a link are marks of the collector's.
    let follow = move |at: &u64| reader.image.word(*at).map(|next| next & !7).filter(|next| *next != head);
    // Of a process that goes on it may lead in a circle.
    let most = usize::try_from(reader.image.bytes / 32).unwrap_or(usize::MAX);
    std::iter::successors(follow(&head), follow).take(most).map(move |at| at.saturating_add(before))
}

impl<'i> Heap<'i> {
    /// Looks through `image`, of the process with these `maps`. `rest` is read where the image has nothing.
    ///
    /// # Errors
    ///
    /// If the version's table lacks what is needed.
    pub fn new(
        image: &'i Image,
        attached: &'i Attached,
        maps: &[Mapping],
        rest: impl Memory + Send + 'static,
    ) -> Result<Heap<'i>, Lacking> {
        let offsets = Offsets::new(&attached.layout)?;
        let roots = roots(image, attached, maps);
        let arenas = Arenas::find(image, &roots);
        let mimalloc = Mimalloc::new(&attached.layout);
        let segments = mimalloc.as_ref().map(|of| of.segments(image, &roots)).unwrap_or_default();
        // Free-threaded builds have what is in no page from elsewhere if it is not known where their pages are.
        let is_malloc = !attached.abi().free_threaded || !segments.is_empty();
        let areas = Area::all(&arenas, &segments, mimalloc.as_ref());
        let allocated = Allocated::new(image, &areas, is_malloc);
        let files = loaded_files(maps).into_iter().flat_map(|file| file.mappings);
        let mut variables: Vec<Range<u64>> =
            files.filter(|mapping| mapping.writable).map(|mapping| mapping.start.0..mapping.end.0).collect();
        variables.sort_by_key(|range| range.start);
        Ok(Heap {
            image,
            attached,
            offsets,
            arenas,
            mimalloc,
            segments,
            allocated,
            variables,
            memory: Whole::new(image, rest),
        })
    }

    /// What objects are read with.
    pub fn reader(&self) -> Reader<'_> {
        Reader { image: self.image, whole: &self.memory, offsets: &self.offsets, allocated: &self.allocated }
    }

    /// Types, none of them known yet.
    pub fn types(&self) -> Types<'_> {
        Types::new(&self.memory, self.image, &self.attached.layout, &self.offsets)
    }

    /// Whether the process was gone when something was to be read that is not in the copy. Names of types are such, and objects of types
    /// without a name are not found: what was answered is not all.
    pub fn is_process_gone(&self) -> bool {
        self.memory.is_gone()
    }

    /// How full the arenas of pymalloc are.
    pub fn pymalloc(&self) -> Fill {
        Fill::of(self.image, &Area::all(&self.arenas, &[], None))
    }

    /// How full the segments of mimalloc are, if the process has some.
    pub fn mimalloc(&self) -> Option<Fill> {
        let segments = Area::all(&[], &self.segments, self.mimalloc.as_ref());
        (!segments.is_empty()).then(|| Fill::of(self.image, &segments))
    }

    /// Whether `at` was never allocated: it lies in variables of the interpreter or of a library.
    pub fn is_static(&self, at: u64) -> bool {
        // An arena may lie right behind the variables of a library.
        if self.allocated.block_size(at).is_some() {
            return false;
        }
        let next = self.variables.partition_point(|range| range.start <= at);
        next.checked_sub(1).and_then(|last| self.variables.get(last)).is_some_and(|range| range.contains(&at))
    }

    /// Variables of the interpreter and of libraries, by address.
    pub(crate) fn variables(&self) -> &[Range<u64>] {
        &self.variables
    }

    /// Where blocks are.
    pub fn allocated(&self) -> &Allocated {
        &self.allocated
    }

    /// Which generation of the collector those of the objects at `places` are in that it tracks: 3 are those that were
    /// frozen.
    pub fn generations(&self, places: &[u64]) -> FxHashMap<u64, usize> {
        let wanted: FxHashSet<u64> = places.iter().copied().collect();
        let reader = self.reader();
        let mut generations = FxHashMap::default();
        for (index, head) in self.attached.gc_lists(self.image).unwrap_or_default().into_iter().enumerate() {
            let here = tracked(&reader, head.0).filter(|at| wanted.contains(at));
            generations.extend(here.map(|at| (at, index % GENERATIONS)));
        }
        generations
    }

    /// Goes through all objects on all processors; `each` gathers of them what is wanted.
    pub fn walk<S: Default + Send>(
        &self,
        types: &Types<'_>,
        each: impl Fn(&mut S, &Object<'_>) + Sync,
    ) -> Walked<S> {
        let (image, reader) = (self.image, self.reader());
        let areas = Area::all(&self.arenas, &self.segments, self.mimalloc.as_ref());
        let met: Vec<Met<S>> = areas
            .par_iter()
            .fold(Met::default, |mut met: Met<S>, area| {
                let pages = area.pages(image);
                met.misfits += pages.misfits;
                let mut in_use = std::mem::take(&mut met.in_use);
                for page in &pages.pages {
                    page.find_used(image, &mut in_use);
                    if !page.has_objects {
                        met.blocks += in_use.len();
                        continue;
                    }
                    for index in in_use.iter() {
                        met.blocks += 1;
                        let known = &mut met.known;
                        let block = page.block_at(index);
                        if let Some(object) = reader.in_block(types, known, block, page.room, page.step) {
                            met.objects += 1;
                            each(&mut met.part, &object);
                            met.outside.look(&reader, &object);
                        }
                    }
                }
                met.in_use = in_use;
                met
            })
            .collect();
        let mut walked = Walked::default();
        let mut rest = Met::default();
        for one in met {
            walked.blocks += one.blocks;
            walked.objects_in_blocks += one.objects;
            walked.misfits += one.misfits;
            walked.parts.push(one.part);
            rest.outside.all.extend(one.outside.all);
        }
        let lists = self.attached.gc_lists(image).unwrap_or_default();
        let is_outside = |at: &u64| self.allocated.block_size(*at).is_none();
        for head in lists {
            rest.outside.all.extend(tracked(&reader, head.0).filter(is_outside));
        }
        // What is on no list and not in a page is found from where the interpreter finds it.
        if areas.is_empty() {
            let held = held_by_interpreters(self.attached, &self.memory).into_iter().map(|(_, at)| at);
            let locals = frames(self.attached, &self.memory).into_iter().flat_map(|frame| frame.locals);
            rest.outside.all.extend(held.chain(locals.map(|(_, at)| at)));
        }
        walked.objects_outside = self.outside(types, &mut rest, each);
        walked.parts.push(rest.part);
        walked
    }

    /// Goes through the objects outside of the pools: what was referred to there, and what those refer to. Answers how
    /// many there are.
    fn outside<S>(&self, types: &Types<'_>, rest: &mut Met<S>, each: impl Fn(&mut S, &Object<'_>)) -> u64 {
        let reader = self.reader();
        let mut seen = std::mem::take(&mut rest.outside.all);
        let mut next: Vec<u64> = seen.iter().copied().collect();
        let mut known = Known::default();
        let mut count = 0;
        while let Some(at) = next.pop() {
            let Some(object) = reader.at(types, &mut known, at) else { continue };
            count += 1;
            each(&mut rest.part, &object);
            rest.outside.look(&reader, &object);
            next.extend(rest.outside.all.drain().filter(|at| seen.insert(*at)));
        }
        count
    }
}
