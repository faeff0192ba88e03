//! A copy of the memory in which objects live.
//!
//! What lies near each other in the process lies as far apart in the copy (a *cluster*), so that an address is found by one
//! subtraction. Where the process has nothing in memory the copy has zeros, which take memory only in huge pages
//! that are filled for the most part.

use std::io;
use std::ops::Range;

use memmap2::{Advice, MmapMut, MmapOptions};
use rayon::prelude::*;
use rspy_process::maps::Mapping;
use rspy_process::pagemap::{PAGE, Pagemap};
use rspy_process::{Address, Memory, ReadError, word};

/// Mappings farther apart than this lie in clusters of their own, in bytes.
const GAP: u64 = 1 << 30;

/// A huge page of x86-64, in bytes.
const HUGE_PAGE: usize = 2 << 20;
/// How much of one must be filled for it to be asked for, in bytes.
const FULL: usize = HUGE_PAGE / 4 * 3;

/// How much is copied at a time, in bytes.
const PIECE: u64 = 4 << 20;

/// Why there is no copy.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// It would be larger than was allowed.
    #[error("copying the heap takes {needed} bytes of memory, {limit} are allowed")]
    TooLarge {
        /// Bytes to be copied.
        needed: u64,
        /// Bytes that may be.
        limit: u64,
    },
    /// There is no room for it.
    #[error("there is no memory to copy the heap into: {0}")]
    NoRoom(io::Error),
    /// Which pages are in memory could not be read.
    #[error("which pages of the process are in memory could not be read: {0}")]
    Pagemap(io::Error),
    /// Its memory could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
}

/// What is to be copied: found before a process is stopped, so that the stop is as short as the copying.
pub struct Plan {
    clusters: Vec<Cluster>,
    runs: Vec<Range<u64>>,
    /// Bytes that will be copied.
    pub bytes: u64,
    /// Bytes that are in swap space and left there.
    pub swapped: u64,
}

/// The copy.
pub struct Image {
    clusters: Vec<Cluster>,
    /// The number of the largest: most addresses lie in it.
    largest: usize,
    /// Bytes that were copied.
    pub bytes: u64,
    /// Bytes that are in swap space: they were left there, and are zeros here.
    pub swapped: u64,
    /// Bytes that were gone when they were to be copied.
    pub lost: u64,
}

/// A part of the address space.
struct Cluster {
    range: Range<u64>,
    copy: MmapMut,
    /// Which of its pages were copied: a bit each.
    pages: Vec<u64>,
}

impl Cluster {
    fn new(range: Range<u64>) -> Result<Cluster, ImageError> {
        let length = usize::try_from(range.end - range.start).unwrap_or(usize::MAX);
        let copy = MmapOptions::new().len(length).no_reserve_swap().map_anon();
        let pages = vec![0; (length / PAGE as usize).div_ceil(64)];
        Ok(Cluster { range, copy: copy.map_err(ImageError::NoRoom)?, pages })
    }

    /// Asks for huge pages where most of each will be filled: giving them takes far less time.
    fn use_huge_pages(&self) {
        let base = self.copy.as_ptr().addr();
        let first = base.next_multiple_of(HUGE_PAGE) - base;
        let is_full = |start: &usize| {
            let page = start / PAGE as usize;
            let filled = (page..page + HUGE_PAGE / PAGE as usize).filter(|page| self.is_copied(*page));
            filled.count() * PAGE as usize >= FULL
        };
        let slots: Vec<usize> =
            (first..(self.copy.len() + 1).saturating_sub(HUGE_PAGE)).step_by(HUGE_PAGE).collect();
        for together in slots.chunk_by(|one, next| is_full(one) == is_full(next)) {
            if let Some(start) = together.first().filter(|start| is_full(start)) {
                // A kernel without them gives small ones.
                let _ = self.copy.advise_range(Advice::HugePage, *start, together.len() * HUGE_PAGE);
            }
        }
    }

    /// Whether the page with this number, counted from the beginning, is copied.
    fn is_copied(&self, page: usize) -> bool {
        self.pages.get(page / 64).is_some_and(|bits| bits & (1 << (page % 64)) != 0)
    }

    /// How many of the pages from `first` to before `end` are copied.
    fn copied(&self, first: u64, end: u64) -> u64 {
        let mut count = 0;
        let mut page = first;
        while page < end {
            // A word of bits at a time.
            let last = ((page / 64 + 1) * 64).min(end);
            let bits = self.pages.get((page / 64) as usize).copied().unwrap_or(0) >> (page % 64);
            count += u64::from((bits & (u64::MAX >> (64 - (last - page)))).count_ones());
            page = last;
        }
        count
    }

    /// Remembers that the pages of `run` are copied.
    fn mark(&mut self, run: &Range<u64>) {
        for page in (run.start.max(self.range.start) - self.range.start) / PAGE
            ..run.end.saturating_sub(self.range.start) / PAGE
        {
            if let Some(bits) = self.pages.get_mut((page / 64) as usize) {
                *bits |= 1 << (page % 64);
            }
        }
    }

    /// The pages that were copied, those that follow each other together.
    fn runs(&self) -> impl Iterator<Item = Range<u64>> {
        let is_there = |page: &u64| self.is_copied(*page as usize);
        let count = (self.range.end - self.range.start) / PAGE;
        let mut page = 0;
        std::iter::from_fn(move || {
            let first = (page..count).find(is_there)?;
            page = (first..count).find(|page| !is_there(page)).unwrap_or(count);
            let at = |page: u64| self.range.start + page * PAGE;
            Some(at(first)..at(page))
        })
    }

    /// Whether all pages of `len` bytes at `offset` were copied.
    fn has(&self, offset: usize, len: usize) -> bool {
        let (first, last) = (offset / PAGE as usize, offset.saturating_add(len.max(1) - 1) / PAGE as usize);
        (first..=last).all(|page| self.is_copied(page))
    }
}

/// Which pages of a mapping may have objects, or what they own.
#[derive(Copy, Clone, PartialEq, Eq)]
enum Wanted {
    /// All: it is memory of the process's own that can be written to.
    All,
    /// Those that the loader has written to before it made them read-only: tables of pointers in libraries.
    Own,
    Nothing,
}

fn wanted(mapping: &Mapping) -> Wanted {
    let is_device = mapping.path.as_ref().is_some_and(|path| path.starts_with("/dev/"));
    match () {
        () if is_device || !mapping.readable => Wanted::Nothing,
        () if mapping.writable => Wanted::All,
        () if mapping.inode != 0 && !mapping.executable => Wanted::Own,
        () => Wanted::Nothing,
    }
}

impl Plan {
    /// What of `maps` to copy, and the room for it.
    ///
    /// # Errors
    ///
    /// If it is more than `limit` bytes, or cannot be found out.
    pub fn new(pid: u32, maps: &[Mapping], limit: u64) -> Result<Plan, ImageError> {
        let pagemap = Pagemap::open(pid).map_err(ImageError::Pagemap)?;
        let mut plan = Plan { clusters: Vec::new(), runs: Vec::new(), bytes: 0, swapped: 0 };
        let mut ranges: Vec<Range<u64>> = Vec::new();
        for mapping in maps {
            let range = mapping.start.0..mapping.end.0;
            let present = match wanted(mapping) {
                Wanted::All => pagemap.present(range.clone()),
                Wanted::Own => pagemap.own(range.clone()),
                Wanted::Nothing => continue,
            };
            let present = present.map_err(ImageError::Pagemap)?;
            plan.swapped += present.swapped;
            plan.runs.extend(present.runs);
            match ranges.last_mut() {
                Some(last) if range.start.saturating_sub(last.end) < GAP => last.end = range.end,
                _ => ranges.push(range),
            }
        }
        plan.bytes = plan.runs.iter().map(|run| run.end - run.start).sum();
        if plan.bytes > limit {
            return Err(ImageError::TooLarge { needed: plan.bytes, limit });
        }
        plan.clusters = ranges.into_iter().map(Cluster::new).collect::<Result<_, _>>()?;
        for run in &plan.runs {
            let of_run = plan.clusters.iter_mut().find(|cluster| cluster.range.contains(&run.start));
            if let Some(cluster) = of_run {
                cluster.mark(run);
            }
        }
        plan.prepare();
        Ok(plan)
    }

    /// Has the kernel give the room now: it takes longer than to copy.
    fn prepare(&mut self) {
        for cluster in &self.clusters {
            cluster.use_huge_pages();
        }
        self.pieces().into_par_iter().for_each(|piece| {
            for byte in piece.into.iter_mut().step_by(PAGE as usize) {
                // Not 0, which a page that was never written to has as well: the write must not be left out.
                *byte = 1;
            }
        });
    }

    /// What is to be copied, in pieces that several threads can take.
    fn pieces(&mut self) -> Vec<Piece<'_>> {
        let mut runs = self.runs.iter().cloned().peekable();
        let mut pieces = Vec::new();
        for cluster in &mut self.clusters {
            let mut at = cluster.range.start;
            let mut rest: &mut [u8] = &mut cluster.copy;
            while let Some(run) = runs.next_if(|run| run.end <= cluster.range.end) {
                let mut start = run.start;
                while start < run.end {
                    let end = run.end.min(start + PIECE);
                    let skipped = usize::try_from(start.saturating_sub(at)).unwrap_or(usize::MAX);
                    let length = usize::try_from(end - start).unwrap_or(usize::MAX);
                    let Some((_, behind)) = rest.split_at_mut_checked(skipped) else { return pieces };
                    let Some((into, behind)) = behind.split_at_mut_checked(length) else { return pieces };
                    pieces.push(Piece { at: Address(start), into });
                    (rest, at, start) = (behind, end, end);
                }
            }
        }
        pieces
    }

    /// Copies, with what `open` gives to each thread. What has gone since it was planned is zeros and counted.
    ///
    /// # Errors
    ///
    /// If the process is gone or does not permit it.
    pub fn copy<M: Memory>(
        mut self,
        open: impl Fn() -> Result<M, ReadError> + Sync,
    ) -> Result<Image, ImageError> {
        let copied = |memory: &mut Result<M, ReadError>, piece: Piece<'_>| match memory {
            Ok(memory) => piece.copy(memory),
            Err(error) => Err(*error),
        };
        let lost: Result<Vec<u64>, ReadError> =
            self.pieces().into_par_iter().map_init(&open, copied).collect();
        let lost = lost?.iter().sum();
        Ok(Image {
            largest: largest(&self.clusters),
            clusters: self.clusters,
            bytes: self.bytes,
            swapped: self.swapped,
            lost,
        })
    }
}

struct Piece<'i> {
    at: Address,
    into: &'i mut [u8],
}

impl Piece<'_> {
    /// Copies it. Answers how many bytes were gone.
    fn copy(self, memory: &impl Memory) -> Result<u64, ReadError> {
        match memory.read(self.at, self.into) {
            Ok(()) => return Ok(0),
            Err(ReadError::Fault { .. }) => {}
            Err(error) => return Err(error),
        }
        let mut lost = 0;
        let pages = self.into.chunks_mut(PAGE as usize);
        for (index, page) in pages.enumerate() {
            match memory.read(self.at.offset(index as u64 * PAGE), page) {
                Ok(()) => {}
                Err(ReadError::Fault { .. }) => {
                    page.fill(0);
                    lost += page.len() as u64;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(lost)
    }
}

impl Image {
    /// `len` bytes at `at`, if they are part of the copy. Zeros where the process had nothing in memory.
    #[inline]
    pub fn bytes(&self, at: u64, len: usize) -> Option<&[u8]> {
        let (cluster, offset) = self.place(at)?;
        cluster.copy.get(offset..offset.checked_add(len)?)
    }

    /// What there is from `at` on, to the end of its cluster.
    #[inline]
    pub fn from(&self, at: u64) -> &[u8] {
        self.place(at).and_then(|(cluster, offset)| cluster.copy.get(offset..)).unwrap_or_default()
    }

    /// The word of 8 bytes at `at`.
    #[inline]
    pub fn word(&self, at: u64) -> Option<u64> {
        self.bytes(at, 8).and_then(|bytes| word(bytes, 0, 8))
    }

    /// The number of the cluster that `at` lies in, and how far from its beginning.
    #[inline]
    fn place(&self, at: u64) -> Option<(&Cluster, usize)> {
        let of = |cluster: &&Cluster| cluster.range.contains(&at);
        let largest = self.clusters.get(self.largest).filter(of);
        let cluster = largest.or_else(|| self.clusters.iter().find(of))?;
        Some((cluster, usize::try_from(at - cluster.range.start).ok()?))
    }

    /// Whether `at` lies in a part of the address space that was copied.
    #[inline]
    pub fn covers(&self, at: u64) -> bool {
        self.clusters.iter().any(|cluster| cluster.range.contains(&at))
    }

    /// The pages that were copied, those that follow each other together, in order.
    pub fn runs(&self) -> impl Iterator<Item = (Range<u64>, &[u8])> {
        self.clusters.iter().flat_map(|cluster| {
            let runs = cluster.runs();
            runs.filter_map(|run| {
                let offset = |at: u64| usize::try_from(at - cluster.range.start).ok();
                Some((run.clone(), cluster.copy.get(offset(run.start)?..offset(run.end)?)?))
            })
        })
    }

    /// A copy that was kept: parts of the address space, and which pages of them `fill` has, in order.
    ///
    /// # Errors
    ///
    /// If those make no sense, there is no room for them, or `fill` fails.
    pub fn restored(
        ranges: Vec<Range<u64>>,
        runs: &[Range<u64>],
        mut fill: impl FnMut(&mut [u8]) -> io::Result<()>,
    ) -> io::Result<Image> {
        let is_sane = |range: &Range<u64>| {
            range.start < range.end && range.start.is_multiple_of(PAGE) && range.end.is_multiple_of(PAGE)
        };
        if !ranges.iter().chain(runs).all(is_sane) {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "its pages make no sense"));
        }
        let clusters: Result<Vec<Cluster>, ImageError> = ranges.into_iter().map(Cluster::new).collect();
        let mut clusters = clusters.map_err(io::Error::other)?;
        let mut bytes = 0;
        for run in runs {
            let cluster = clusters.iter_mut().find(|cluster| cluster.range.contains(&run.start));
            let Some(cluster) = cluster.filter(|cluster| run.end <= cluster.range.end) else { continue };
            let offset = |at: u64| usize::try_from(at - cluster.range.start).unwrap_or(usize::MAX);
            let (start, end) = (offset(run.start), offset(run.end));
            if let Some(into) = cluster.copy.get_mut(start..end) {
                fill(into)?;
            }
            cluster.mark(run);
            bytes += run.end - run.start;
        }
        Ok(Image { largest: largest(&clusters), clusters, bytes, swapped: 0, lost: 0 })
    }

    /// How many bytes of `range` are in pages that were copied.
    pub fn copied_in(&self, range: Range<u64>) -> u64 {
        let Some((cluster, _)) = self.place(range.start) else { return 0 };
        let offset = |at: u64| at.min(cluster.range.end) - cluster.range.start;
        let (start, end) = (offset(range.start), offset(range.end.max(range.start)));
        let pages = cluster.copied(start / PAGE, end.div_ceil(PAGE));
        // Less what of the first and of the last page is not in the range.
        let edge = |page: u64, bytes: u64| if cluster.copied(page, page + 1) > 0 { bytes } else { 0 };
        let edges = match start < end {
            true => edge(start / PAGE, start % PAGE) + edge(end / PAGE, end.next_multiple_of(PAGE) - end),
            false => 0,
        };
        (pages * PAGE).saturating_sub(edges)
    }

    /// The parts of the address space that were copied.
    pub fn ranges(&self) -> impl Iterator<Item = Range<u64>> {
        self.clusters.iter().map(|cluster| cluster.range.clone())
    }
}

/// The number of the largest of `clusters`.
fn largest(clusters: &[Cluster]) -> usize {
    let numbered = clusters.iter().enumerate();
    numbered
        .max_by_key(|(_, cluster)| cluster.range.end - cluster.range.start)
        .map_or(0, |(number, _)| number)
}

/// What was copied, not the zeros around it.
impl Memory for Image {
    fn read(&self, at: Address, into: &mut [u8]) -> Result<(), ReadError> {
        let fault = ReadError::Fault { at, len: into.len() };
        let (cluster, offset) = self.place(at.0).ok_or(fault)?;
        let end = offset.checked_add(into.len()).ok_or(fault)?;
        let bytes = cluster.copy.get(offset..end).filter(|_| cluster.has(offset, into.len())).ok_or(fault)?;
        into.copy_from_slice(bytes);
        Ok(())
    }
}
