//! The stack of a thread that may be running, from two copies of it.
//!
//! The innermost frame is the one that the thread state named *between* the copies. From
//! there the links of the second copy are followed down to the thread's root. A frame with
//! another one above is known if both copies say the same of it, and that it is in a call;
//! the innermost of all, if both say what it executes and who called it. Frames above one
//! that is not known are not known either: they are the cut.
//!
//! What was not expected where it is, and so not read twice, is read now, twice again, with a
//! third copy of all else between. Nothing is begun anew because of what it showed.

use rspy_process::{Address, Batch, Memory};

use super::ranges::{Range, Reading, Spot, prefix};
use super::watch::{Asked, Known, Watch};
use crate::frames::{FrameKind, Link, Loops, MAX_FRAMES};
use crate::layout::{CurrentFrame, Frames, Layout};

/// Most stretches that are read because they were not expected, in one sample.
const MAX_MORE: usize = 4096;
/// The longest of them, in bytes.
const MAX_STRETCH: u64 = 64 << 10;
/// How many of the last sample's frames are searched for one of this sample's: deeper ones are
/// decoded, so that no stack costs more than its depth.
const MAX_SEARCHED: usize = 1024;
/// Most evaluation loops (3.11, 3.12) that are tried one below the other: only the
/// innermost ones can be in between.
const MAX_LOOPS: usize = 3;

/// What was found out of a stack.
#[derive(Default)]
pub(super) struct Path {
    /// Frames that differ from the last sample's, innermost first.
    pub fresh: Vec<Link>,
    /// How many of `fresh`, from the innermost on, are not known.
    pub unknown: usize,
    /// How many of the last sample's frames, from the outermost on, are there still.
    pub kept: usize,
    /// The innermost frames are missing, beside those `unknown`.
    pub is_cut: bool,
    /// A trace or profile function may run, which any instruction can have called.
    pub is_tracing: bool,
    /// What was not expected, and was read afterwards.
    pub more: More,
    /// How much of each range is the same in all copies, from its beginning on; and how much is also
    /// what it was in the last sample (frames on a data stack).
    same: Vec<usize>,
    kept_up_to: Vec<usize>,
}

/// Stretches that were read afterwards.
#[derive(Default)]
pub(super) struct More {
    ranges: Vec<Range>,
    bytes: Vec<u8>,
}

impl More {
    fn clear(&mut self) {
        self.ranges.clear();
        self.bytes.clear();
    }

    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// Reads `len` bytes at `at`.
    fn read(&mut self, memory: &impl Memory, at: Address, len: usize) -> Option<()> {
        if self.ranges.len() == MAX_MORE {
            return None;
        }
        let start = self.bytes.len();
        self.bytes.resize(start + len, 0);
        if memory.read(at, &mut self.bytes[start..]).is_err() {
            self.bytes.truncate(start);
            return None;
        }
        self.ranges.push(Range { at, len });
        Some(())
    }

    /// The `len` bytes at `at`, and which stretch they are in and where.
    fn find(&self, at: Address, len: usize) -> Option<(usize, usize, &[u8])> {
        let mut start = self.bytes.len();
        for (index, range) in self.ranges.iter().enumerate().rev() {
            start = start.checked_sub(range.len)?;
            if let Some(offset) = range.offset(at, len) {
                return Some((index, offset, self.bytes.get(start + offset..start + offset + len)?));
            }
        }
        None
    }

    /// Asks for all of them again. Answers the handle of the first.
    pub fn ask(&self, batch: &mut Batch) -> usize {
        let first = batch.len();
        for range in &self.ranges {
            batch.push(range.at, range.len);
        }
        first
    }
}

/// Why nothing is known of a stack.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Nothing {
    /// The thread state is gone, or another's by now.
    Gone,
    /// What was read is no chain down to the root.
    NoChain,
}

/// The copies of one stack, and what it takes to follow it.
pub(super) struct Walk<'w, M> {
    pub memory: &'w M,
    pub layout: &'w Layout,
    pub watch: &'w mut Watch,
    pub asked: Asked,
    pub batch: &'w Batch,
}

impl<M: Memory> Walk<'_, M> {
    /// Follows the stack into `path`.
    pub fn follow(&mut self, path: &mut Path) -> Result<(), Nothing> {
        path.more.clear();
        path.is_cut = false;
        let layout = self.layout;
        let state = self.batch.get(self.asked.state).map_err(|_| Nothing::Gone)?;
        let thread = &layout.thread;
        let watched = &self.watch.state;
        let is_same = thread.interp.get(state) == Some(watched.interpreter)
            && thread.thread_id.get(state) == Some(watched.thread_id);
        if !is_same {
            return Err(Nothing::Gone);
        }
        let newest = thread.datastack_chunk.and_then(|field| field.get(state));
        let top = thread.datastack_top.and_then(|field| field.get(state)).unwrap_or(Address::NULL);
        let base = thread.base_frame.and_then(|field| field.get(state));
        if let Some(base) = base.filter(|base| !base.is_null()) {
            self.watch.root = base;
        }
        if let Some(chunk) = newest
            && !self.watch.knows_chunk(chunk)
        {
            self.watch.has_moved();
        }
        self.compare(path);
        path.is_tracing = thread.tracing.and_then(|field| field.get(state)).unwrap_or(0) != 0;
        let followed = match thread.current_frame {
            CurrentFrame::Thread(field) => {
                let start = field.get(state).ok_or(Nothing::Gone)?;
                self.chain(start, top, path)
            }
            CurrentFrame::Cframe { cframe, .. } => {
                let innermost = cframe.get(state).ok_or(Nothing::Gone)?;
                self.loops(innermost, top, path)
            }
        };
        followed.or_else(|why| self.base(top, path).ok_or(why))
    }

    /// Finds out how far the copies of each range agree, with each other and with the last sample.
    fn compare(&mut self, path: &mut Path) {
        let Walk { watch, asked, batch, layout, .. } = self;
        path.same.clear();
        path.kept_up_to.clear();
        if let Frames::Object(_) = layout.frames {
            return;
        }
        let Watch { ranges, last, .. } = &**watch;
        let mut start = 0;
        for range in 0..ranges.len() {
            let length = ranges.length(range);
            let second = ranges.all(range, batch, asked.second);
            let mut same = prefix(ranges.all(range, batch, asked.first), second);
            if let Some(third) = asked.third {
                same = same.min(prefix(second, ranges.all(range, batch, third)));
            }
            let kept = prefix(last.get(start..start + length).unwrap_or_default(), second);
            path.same.push(same);
            path.kept_up_to.push(kept.min(same));
            start += length;
        }
    }

    /// What is known of a stack whose innermost frame leads nowhere, as that of a generator does
    /// that has yielded since: those of the last sample's frames that are there still, up to
    /// one that lies on the data stack below its top, or that says it executes. Frames above are
    /// left from calls that are over, or cannot be told from such.
    fn base(&self, top: Address, path: &mut Path) -> Option<()> {
        let len = self.layout.frames.len();
        let mut hint = 0;
        let links = &self.watch.links;
        let there = (0..links.len()).take_while(|index| self.is_kept(*index, len, &mut hint, path)).count();
        let is_live = |known: &Known| match self.layout.frames {
            Frames::Object(_) => known.link.calling.executes == Some(true),
            Frames::Interpreter(_) => {
                let at = known.link.frame.address;
                known.link.frame.kind == FrameKind::Function
                    && at < top
                    && self.watch.chunk_end(at) == self.watch.chunk_end(top)
            }
        };
        let last = links.get(..there)?.iter().rposition(is_live)?;
        path.fresh.clear();
        path.unknown = 0;
        path.is_cut = true;
        self.keep(last, None, path);
        // That one may be anywhere by now; but its caller has called it.
        path.kept = path.kept.min(last);
        (path.kept > 0).then_some(())
    }

    /// The same from the innermost evaluation loop on (3.11, 3.12). One that was just
    /// begun does not know its frame yet: then the frames of the one below are known.
    fn loops(&mut self, innermost: Address, top: Address, path: &mut Path) -> Result<(), Nothing> {
        let CurrentFrame::Cframe { current_frame, previous, .. } = self.layout.thread.current_frame else {
            return Err(Nothing::NoChain);
        };
        let len = current_frame.end().max(previous.end());
        let mut at = innermost;
        for _ in 0..MAX_LOOPS {
            let within = |bytes: &[u8]| Some((current_frame.get(bytes)?, previous.get(bytes)?));
            let state = self.batch.get(self.asked.state).unwrap_or_default();
            let in_state = at
                .since(self.watch.state.address)
                .and_then(|offset| within(state.get(usize::try_from(offset).ok()?..)?.get(..len)?));
            let expected = self.watch.loops.at(at, self.batch, self.asked.loops, len).and_then(within);
            let found = in_state.or(expected);
            if found.is_none() && !at.is_null() && !self.watch.state.is_root_cframe(self.layout, at) {
                self.watch.meet_loop(at);
                self.watch.arrange_later();
            }
            let Some((frame, below)) = found else { return Err(Nothing::NoChain) };
            if self.chain(frame, top, path).is_ok() {
                return Ok(());
            }
            path.is_cut = true;
            at = below;
        }
        Err(Nothing::NoChain)
    }

    /// Follows the chain that begins at `start`.
    fn chain(&mut self, start: Address, top: Address, path: &mut Path) -> Result<(), Nothing> {
        let Walk { memory, layout, .. } = *self;
        let len = layout.frames.len();
        let is_on_stack = matches!(layout.frames, Frames::Interpreter(_));
        // Whether a frame of the interpreter's own stands below all others.
        let is_rooted = matches!(&layout.frames, Frames::Interpreter(frame) if frame.owner_shim.is_some());
        path.fresh.clear();
        path.unknown = 0;
        path.kept = 0;
        let mut at = start;
        let mut hint = 0;
        let mut loops = Loops::default();
        let mut eligible = self.watch.links.len();
        // Where the nearest frame above is that lies on the data stack.
        let mut above: Option<Spot> = None;
        for _ in 0..MAX_FRAMES {
            if at.is_null() {
                return self.ends(path);
            }
            if at == self.watch.root && is_rooted {
                return Ok(());
            }
            if loops.closes(at) || !at.is_plausible() || !at.0.is_multiple_of(8) {
                return Err(Nothing::NoChain);
            }
            let links = &self.watch.links;
            let nearest = &links[eligible.saturating_sub(MAX_SEARCHED)..eligible];
            let found = nearest.iter().rposition(|known| known.link.frame.address == at);
            if let Some(index) = found.map(|index| index + eligible - nearest.len()) {
                match (0..=index).rev().find(|below| !self.is_kept(*below, len, &mut hint, path)) {
                    None => {
                        self.keep(index, above, path);
                        return Ok(());
                    }
                    // This one and those above it are read anew.
                    Some(changed) => eligible = changed,
                }
            }
            let spot = self.watch.ranges.find(at, len, hint);
            let (link, agrees) = match spot.and_then(|spot| self.link(at, spot, len, path.fresh.is_empty())) {
                Some(read) => read,
                None => {
                    if path.more.find(at, len).is_none() {
                        self.read_more(memory, at, len, top, &mut path.more).ok_or(Nothing::NoChain)?;
                    }
                    let bytes = path.more.find(at, len).map(|(_, _, bytes)| bytes).ok_or(Nothing::NoChain)?;
                    (layout.frames.link(at, bytes).ok_or(Nothing::NoChain)?, true)
                }
            };
            let is_known = agrees
                && (path.is_tracing || self.is_sound(&link))
                && above.is_none_or(|above| has_stood(&link, spot, above, path));
            path.fresh.push(link);
            if !is_known {
                path.unknown = path.fresh.len();
            }
            if link.frame.kind == FrameKind::Shim && link.previous.is_null() {
                self.watch.root = at;
                return Ok(());
            }
            hint = spot.map_or(hint, |spot| spot.range);
            if link.frame.kind == FrameKind::Function {
                above = spot.filter(|_| is_on_stack);
            }
            at = link.previous;
        }
        Err(Nothing::NoChain)
    }

    /// The frame at `spot`, and whether all copies of it agree; `None` if it was not read.
    #[inline]
    fn link(&self, at: Address, spot: Spot, len: usize, is_innermost: bool) -> Option<(Link, bool)> {
        let Walk { layout, asked, batch, .. } = *self;
        let copy = |reading| layout.frames.link(at, self.watch.ranges.bytes(spot, batch, reading, len)?);
        let link = copy(asked.second)?;
        let same = |reading| copy(reading).is_some_and(|other| agree(&other, &link, is_innermost));
        Some((link, same(asked.first) && asked.third.is_none_or(same)))
    }

    /// Takes over the last sample's frames up to `index`, as far as their values are what they were;
    /// `above` is the nearest frame above that lies on the data stack.
    fn keep(&self, index: usize, above: Option<Spot>, path: &mut Path) {
        let links = &self.watch.links;
        let spot = |index: usize| links.get(index).and_then(|known| known.spot);
        path.kept = index + 1;
        if let Some(above) = above
            && !has_stood(&links[index].link, spot(index), above, path)
        {
            path.kept = index;
            path.unknown = path.fresh.len();
        }
        // Frames on the data stack lie one behind the other: where the copies begin to differ tells
        // which of them have stood.
        let Some(top) = spot(index) else { return };
        let Some(same) = path.same.get(top.range).copied() else { return };
        while path.kept > 1
            && let Some(Spot { range, offset }) = spot(path.kept - 1)
            && range == top.range
            && offset > same
        {
            // The one below this one has not.
            path.kept -= 1;
            path.unknown = path.fresh.len();
            path.is_cut = true;
            if spot(path.kept - 1).is_some_and(|below| below.range == range && below.offset <= same) {
                path.kept -= 1;
            }
        }
    }

    /// Whether a frame is what it says beside the chain: a generator that runs, one of the
    /// interpreter's own like all others.
    fn is_sound(&self, link: &Link) -> bool {
        match link.frame.kind {
            // A frame object that was given back is what it was, but for this.
            _ if link.calling.executes == Some(false) => false,
            FrameKind::Function => true,
            FrameKind::Generator => self.generator_runs(link.frame.address),
            FrameKind::Shim => {
                let is_outermost = link.previous.is_null() || link.previous == self.watch.root;
                let own = (link.frame.code, link.frame.position);
                is_outermost || self.watch.shim.is_none_or(|shim| shim == own)
            }
        }
    }

    /// Whether the last sample's frame `index` is there still, in both copies.
    #[inline]
    fn is_kept(&self, index: usize, len: usize, hint: &mut usize, path: &Path) -> bool {
        if let Frames::Interpreter(_) = self.layout.frames {
            let spot = self.watch.links.get(index).and_then(|known| known.spot);
            let kept =
                |spot: Spot| path.kept_up_to.get(spot.range).is_some_and(|kept| spot.offset + len <= *kept);
            return spot.is_some_and(kept);
        }
        let (Some(known), Some(header)) =
            (self.watch.links.get(index), self.watch.headers.get(index * len..(index + 1) * len))
        else {
            return false;
        };
        let Some(spot) = self.watch.ranges.find(known.link.frame.address, len, *hint) else { return false };
        *hint = spot.range;
        let ranges = &self.watch.ranges;
        let is_same = |reading| ranges.bytes(spot, self.batch, reading, len) == Some(header);
        is_same(self.asked.first) && is_same(self.asked.second) && self.asked.third.is_none_or(is_same)
    }

    /// Whether the generator whose frame lies at `at` says in both copies that it runs.
    fn generator_runs(&self, at: Address) -> bool {
        let Frames::Interpreter(frame) = &self.layout.frames else { return true };
        let Some(state) = frame.generator else { return true };
        let ranges = &self.watch.ranges;
        let state_at = Address(at.0.wrapping_sub(state.before.into()));
        let runs = |reading| {
            ranges.at(state_at, self.batch, reading, 1).is_none_or(|byte| byte == [state.executing])
        };
        runs(self.asked.first) && runs(self.asked.second) && self.asked.third.is_none_or(runs)
    }

    /// Whether a chain whose last frame has no caller is one of the thread's: a frame that is
    /// given back loses its caller, too, and a generator has none while it waits.
    fn ends(&self, path: &Path) -> Result<(), Nothing> {
        match (&self.layout.frames, path.fresh.last()) {
            // The thread runs no Python.
            (_, None) => Ok(()),
            (Frames::Interpreter(frame), _) if frame.owner_shim.is_some() => Err(Nothing::NoChain),
            (_, Some(last)) if last.frame.address == self.watch.root => Ok(()),
            _ => Err(Nothing::NoChain),
        }
    }

    /// Reads the frame at `at`, which was not expected; on the data stack all up to its top.
    fn read_more(
        &mut self,
        memory: &M,
        at: Address,
        len: usize,
        top: Address,
        more: &mut More,
    ) -> Option<()> {
        let stretch = match self.watch.chunk_end(at) {
            Some(end) => top.since(at).unwrap_or(0).min(end.since(at)?).clamp(len as u64, MAX_STRETCH),
            None => len as u64,
        };
        let is_read = more.read(memory, at, stretch as usize).or_else(|| more.read(memory, at, len));
        if self.watch.meet(at, usize::MAX) {
            self.watch.arrange_later();
        }
        is_read
    }
}

/// Whether the values of a frame, which lie between it and the one it called if both are
/// on the data stack, are the same in all copies: else it was called from
/// another place, or another time, than it looks.
fn has_stood(link: &Link, spot: Option<Spot>, above: Spot, path: &Path) -> bool {
    let (Some(own), FrameKind::Function) = (spot, link.frame.kind) else { return true };
    if own.range != above.range || own.offset > above.offset {
        return true;
    }
    path.same.get(own.range).is_some_and(|same| above.offset <= *same)
}

/// Whether two copies of a frame say the same of it: of the innermost all but how far it is.
pub(super) fn agree(one: &Link, other: &Link, is_innermost: bool) -> bool {
    let what = |link: &Link| (link.frame.code, link.previous, link.frame.kind, link.calling.executes);
    what(one) == what(other)
        && (is_innermost || (one.frame.position == other.frame.position && one.calling == other.calling))
}

/// Makes `path` what a third copy leaves of it: `third` is its first range in `batch`,
/// `again` the first of what was not expected.
pub(super) fn confirm(
    layout: &Layout,
    watch: &Watch,
    path: &mut Path,
    batch: &Batch,
    third: Reading,
    again: usize,
) {
    let len = layout.frames.len();
    let copy = |at: Address| match watch.ranges.find(at, len, 0) {
        Some(spot) => watch.ranges.bytes(spot, batch, third, len),
        None => {
            let (range, offset, _) = path.more.find(at, len)?;
            batch.get(again + range).ok()?.get(offset..offset + len)
        }
    };
    let is_same = |link: &Link, is_innermost: bool| {
        let at = link.frame.address;
        copy(at)
            .and_then(|bytes| layout.frames.link(at, bytes))
            .is_some_and(|now| agree(link, &now, is_innermost))
    };
    let changed = watch.links.iter().take(path.kept).position(|Known { link, .. }| !is_same(link, false));
    if let Some(changed) = changed {
        // If none is fresh, this may be the innermost.
        let is_innermost = path.fresh.is_empty() && changed + 1 == path.kept;
        if !(is_innermost && is_same(&watch.links[changed].link, true)) {
            path.unknown = path.fresh.len();
            path.is_cut |= changed < path.kept;
            path.kept = changed;
        }
        return;
    }
    let last = path.fresh.iter().enumerate().rposition(|(depth, link)| !is_same(link, depth == 0));
    if let Some(last) = last {
        path.unknown = path.unknown.max(last + 1);
    }
}
