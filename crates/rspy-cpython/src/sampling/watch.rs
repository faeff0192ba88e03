//! One thread that is sampled again and again: where its stack is expected, and what it
//! was last time.

use rspy_process::{Address, Batch, Memory};
use rustc_hash::FxHashMap;

use super::nodes::NodeId;
use super::ranges::{Ranges, Reading, Spot};
use crate::code::{CodeCache, CodeId};
use crate::frames::{FrameChain, FrameKind, Link, Position};
use crate::interpreter::ThreadState;
use crate::layout::{CurrentFrame, Frames, GeneratorState, InterpreterFrame, Layout};

/// How much is read beyond the top of the data stack, in bytes: a few frames more.
const SLACK: u64 = 384;
/// Most that is expected of one stack, in bytes.
const MAX_EXPECTED: u64 = 8 << 20;
/// Most chunks of one data stack that are followed.
const MAX_CHUNKS: usize = 1024;
/// Most frames outside of the data stack that are expected, beyond those in use. Each may be a
/// range of its own, which is read two or three times: a sample of many takes so long that
/// a program that changes fast shows nothing.
const MAX_SPARE: usize = 8;
/// The same of frame objects: each function keeps one of its own, so that all of a loop's are met again.
const MAX_SPARE_OBJECTS: usize = 64;
/// Most evaluation loops (3.11, 3.12) whose place is remembered.
const MAX_LOOPS: usize = 64;
/// So many samples make a turn, after which what was not met for some turns is forgotten.
const TURN: u32 = 64;
const TURNS_KEPT: u32 = 3;
/// Samples until a stack that was not understood is looked at anew.
const PATIENCE: u32 = 16;

/// A thread state that is sampled.
pub struct Watch {
    /// Which one.
    pub state: ThreadState,
    /// Where its stack is expected.
    pub(super) ranges: Ranges,
    /// Where its evaluation loops are expected (3.11, 3.12).
    pub(super) loops: Ranges,
    chunks: Vec<Chunk>,
    outside: FxHashMap<Address, Outside>,
    /// How many frames the stack had when it was last known.
    depth: usize,
    /// What `spare_few` sorts.
    ages: Vec<u32>,
    cframes: Vec<Address>,
    /// The outermost frame, once it is known; from 3.12 on it is one of the interpreter's own.
    pub(super) root: Address,
    /// What all frames of the interpreter's own execute, and where in it, once that is known: it
    /// is the same for all but the outermost.
    pub(super) shim: Option<(Address, Position)>,
    /// The last sample, outermost first, as far as it was known.
    pub(super) links: Vec<Known>,
    /// What `links` were read from, one behind the other (frame objects).
    pub(super) headers: Vec<u8>,
    /// All ranges as they were when `links` were read from them, one behind the other (frames on a
    /// data stack); nothing if they are others by now.
    pub(super) last: Vec<u8>,
    /// The stack that `links` stand on.
    pub(super) base: NodeId,
    /// Code in `links` that has to be looked at in each sample.
    pub(super) volatile: Vec<CodeId>,
    samples: u32,
    /// Samples until it is learnt anew; `None` if all is well.
    learn_in: Option<u32>,
    /// More is expected than the ranges say.
    has_grown: bool,
}

/// A frame of the last sample.
#[derive(Copy, Clone, Debug)]
pub(super) struct Known {
    pub link: Link,
    pub node: NodeId,
    /// Where it is among the ranges, if it was expected.
    pub spot: Option<Spot>,
}

/// A piece of the data stack.
#[derive(Copy, Clone, Debug)]
struct Chunk {
    at: Address,
    size: u64,
    /// How much of it is expected to be in use.
    expected: u64,
}

/// A frame that lies elsewhere: a generator's, one on the C stack, a frame object.
#[derive(Copy, Clone, Debug)]
struct Outside {
    /// In which sample it was last met.
    used: u32,
    /// How many frames were outside of it when it was last met.
    depth: u32,
}

/// Where in a batch the answers to [`Watch::ask`] are.
#[derive(Copy, Clone, Debug)]
pub struct Asked {
    /// The first copy.
    pub(super) first: Reading,
    /// The thread state.
    pub(super) state: usize,
    /// The evaluation loops.
    pub(super) loops: Reading,
    /// First range of volatile code.
    pub(super) volatile: usize,
    /// The second copy; the first again if there is but one.
    pub(super) second: Reading,
    /// A third one, where there is one.
    pub(super) third: Option<Reading>,
}

impl Watch {
    /// Begins to watch a thread state.
    pub fn new(state: ThreadState) -> Watch {
        Watch {
            state,
            ranges: Ranges::default(),
            loops: Ranges::default(),
            chunks: Vec::new(),
            outside: FxHashMap::default(),
            depth: 0,
            ages: Vec::new(),
            cframes: Vec::new(),
            root: Address::NULL,
            shim: None,
            links: Vec::new(),
            headers: Vec::new(),
            last: Vec::new(),
            base: NodeId::ROOT,
            volatile: Vec::new(),
            samples: 0,
            learn_in: Some(0),
            has_grown: false,
        }
    }

    /// Forgets the last sample.
    pub(super) fn forget(&mut self) {
        self.links.clear();
        self.headers.clear();
        self.volatile.clear();
    }

    /// Keeps `copy` of all ranges: `links` are made to say what it says.
    pub(super) fn keep_copy(&mut self, layout: &Layout, batch: &Batch, copy: Reading) {
        let Watch { links, ranges, last, .. } = self;
        last.clear();
        if let Frames::Object(_) = layout.frames {
            return;
        }
        for range in 0..ranges.len() {
            let bytes = ranges.all(range, batch, copy);
            if bytes.len() != ranges.length(range) {
                last.clear();
                return;
            }
            last.extend_from_slice(bytes);
        }
        let len = layout.frames.len();
        for Known { link, spot, .. } in links {
            let bytes = spot.and_then(|spot| ranges.bytes(spot, batch, copy, len));
            match bytes.and_then(|bytes| layout.frames.link(link.frame.address, bytes)) {
                Some(now) => *link = now,
                None => *spot = None,
            }
        }
    }

    /// Gets ready for a sample. Looks, frame by frame, where the stack is, if it was not
    /// where it was expected; that is not part of any sample.
    pub(super) fn prepare(&mut self, memory: &impl Memory, layout: &Layout, chain: &mut FrameChain) {
        match self.learn_in {
            None if self.has_grown => return self.arrange(layout),
            None => return,
            Some(0) => self.learn_in = None,
            Some(left) => {
                self.learn_in = Some(left - 1);
                return;
            }
        }
        if let Frames::Interpreter(frame) = &layout.frames {
            self.learn_chunks(memory, layout, frame);
        }
        if let CurrentFrame::Cframe { cframe, previous, .. } = layout.thread.current_frame
            && let Ok(innermost) = cframe.read(memory, self.state.address)
        {
            let mut at = innermost;
            for _ in 0..MAX_LOOPS {
                if at.is_null() || self.state.is_root_cframe(layout, at) {
                    break;
                }
                self.meet_loop(at);
                at = previous.read(memory, at).unwrap_or(Address::NULL);
            }
        }
        chain.read(memory, layout, &self.state);
        if let Some(last) = chain.frames.last() {
            self.root = last.address;
        }
        for (depth, frame) in chain.frames.iter().rev().enumerate() {
            self.meet(frame.address, depth);
        }
        self.depth = chain.frames.len();
        let outer = chain.frames.len().saturating_sub(1);
        let shim = chain.frames[..outer].iter().rev().find(|frame| frame.kind == FrameKind::Shim);
        if let Some(shim) = shim {
            self.shim.get_or_insert((shim.code, shim.position));
        }
        self.arrange(layout);
    }

    fn learn_chunks(&mut self, memory: &impl Memory, layout: &Layout, frame: &InterpreterFrame) {
        let Ok(newest) = self.state.datastack_chunk(memory, layout) else { return };
        let top = self.state.datastack_top(memory, layout).unwrap_or(Address::NULL);
        self.chunks.clear();
        let mut at = newest;
        let mut expected = 0;
        let mut head = [0; 64];
        let Some(head) = head.get_mut(..frame.chunk.len) else { return };
        while !at.is_null() && self.chunks.len() < MAX_CHUNKS && expected < MAX_EXPECTED {
            if self.chunks.iter().any(|chunk| chunk.at == at) || memory.read(at, head).is_err() {
                break;
            }
            let (Some(size), Some(words), Some(previous)) =
                (frame.chunk.size.get(head), frame.chunk.top.get(head), frame.chunk.previous.get(head))
            else {
                break;
            };
            let used = match at == newest {
                true => top.since(at).unwrap_or(size).saturating_add(SLACK),
                false => words.saturating_mul(8).saturating_add(frame.chunk.len as u64),
            };
            let chunk =
                Chunk { at, size: size.min(MAX_EXPECTED), expected: used.min(size).min(MAX_EXPECTED) };
            expected += chunk.expected;
            self.chunks.push(chunk);
            at = previous;
        }
    }

    /// Expects a frame at `at` from now on, so many frames from the outermost; answers whether that is new.
    pub(super) fn meet(&mut self, at: Address, depth: usize) -> bool {
        let chunk =
            self.chunks.iter_mut().find(|chunk| at.since(chunk.at).is_some_and(|offset| offset < chunk.size));
        if let Some(chunk) = chunk {
            let end = at.since(chunk.at).unwrap_or(0).saturating_add(SLACK).min(chunk.size);
            let is_new = end > chunk.expected;
            chunk.expected = chunk.expected.max(end);
            return is_new;
        }
        let used = Outside { used: self.samples, depth: u32::try_from(depth).unwrap_or(u32::MAX) };
        self.outside.insert(at, used).is_none()
    }

    /// Expects an evaluation loop at `at` from now on.
    pub(super) fn meet_loop(&mut self, at: Address) {
        if !self.cframes.contains(&at) {
            if self.cframes.len() == MAX_LOOPS {
                self.cframes.remove(0);
            }
            self.cframes.push(at);
        }
    }

    /// Whether `chunk` is expected to be the newest one of the data stack.
    pub(super) fn knows_chunk(&self, chunk: Address) -> bool {
        self.chunks.iter().any(|known| known.at == chunk)
    }

    /// Whether `at` lies in the data stack, as far as it is known: then, up to where.
    pub(super) fn chunk_end(&self, at: Address) -> Option<Address> {
        let chunk =
            self.chunks.iter().find(|chunk| at.since(chunk.at).is_some_and(|offset| offset < chunk.size))?;
        Some(chunk.at.offset(chunk.size))
    }

    /// The stack was not understood: it is to be learnt anew, but not each time.
    pub(super) fn is_strange(&mut self) {
        self.learn_in.get_or_insert(PATIENCE);
    }

    /// The stack has moved: it is to be learnt anew before the next sample.
    pub(super) fn has_moved(&mut self) {
        self.learn_in = Some(0);
    }

    /// More is expected than the ranges say, which are in use now.
    pub(super) fn arrange_later(&mut self) {
        self.has_grown = true;
    }

    /// Makes ranges of what is expected.
    fn arrange(&mut self, layout: &Layout) {
        self.has_grown = false;
        self.spare_few(match &layout.frames {
            Frames::Interpreter(_) => MAX_SPARE,
            Frames::Object(_) => MAX_SPARE_OBJECTS,
        });
        self.last.clear();
        self.links.iter_mut().for_each(|known| known.spot = None);
        let len = layout.frames.len();
        self.ranges.clear();
        // The oldest chunk first, then what lies elsewhere, from the outermost frame on.
        for chunk in self.chunks.iter().rev() {
            self.ranges.add(chunk.at, chunk.expected as usize, 0);
        }
        // What a generator says of itself lies before its frame.
        let before = match &layout.frames {
            Frames::Interpreter(_) => GeneratorState::REACH as u64,
            Frames::Object(_) => 0,
        };
        // The interpreter's own outermost frame does not change while others stand on it.
        let is_rooted = matches!(&layout.frames, Frames::Interpreter(frame) if frame.owner_shim.is_some());
        let root = self.root;
        self.outside.retain(|at, _| !(is_rooted && *at == root));
        for (at, outside) in &self.outside {
            let at = Address(at.0.saturating_sub(before));
            self.ranges.add(at, len + before as usize, outside.depth.saturating_add(1));
        }
        self.ranges.merge();
        self.loops.clear();
        if let CurrentFrame::Cframe { current_frame, previous, .. } = layout.thread.current_frame {
            for at in &self.cframes {
                self.loops.add(*at, current_frame.end().max(previous.end()), 0);
            }
            self.loops.merge();
        }
    }

    /// Counts a sample; now and then forgets what was not used for long.
    pub(super) fn turn(&mut self) {
        self.samples = self.samples.wrapping_add(1);
        if !self.samples.is_multiple_of(TURN) {
            return;
        }
        self.mark_used();
        let before = self.outside.len();
        let now = self.samples.wrapping_add(1);
        self.outside.retain(|_, outside| now.wrapping_sub(outside.used) <= TURN * TURNS_KEPT);
        self.has_grown |= self.outside.len() != before;
    }

    /// The frames outside that the last sample had are in use: more lately than any that was but met.
    fn mark_used(&mut self) {
        let samples = self.samples.wrapping_add(1);
        for (depth, known) in self.links.iter().enumerate() {
            if let Some(outside) = self.outside.get_mut(&known.link.frame.address) {
                *outside = Outside { used: samples, depth: depth as u32 };
            }
        }
    }

    /// Forgets the frames outside that were met longest ago, if there are too many.
    fn spare_few(&mut self, spare: usize) {
        if !self.links.is_empty() {
            self.depth = self.links.len();
        }
        let most = self.depth + spare;
        if self.outside.len() <= most {
            return;
        }
        self.mark_used();
        let now = self.samples.wrapping_add(1);
        let age = |outside: &Outside| now.wrapping_sub(outside.used);
        self.ages.clear();
        self.ages.extend(self.outside.values().map(age));
        let (_, oldest, _) = self.ages.select_nth_unstable(most);
        // Those in use are of age 0.
        let oldest = (*oldest).max(1);
        self.outside.retain(|_, outside| age(outside) < oldest);
    }

    /// Asks for the stack: in one copy, or in several with the thread state between.
    pub fn ask(&self, layout: &Layout, codes: &CodeCache, batch: &mut Batch, may_run: bool) -> Asked {
        let first = self.ranges.ask(batch, false);
        let state = batch.push(self.state.address, layout.thread.len);
        let loops = self.loops.ask(batch, false);
        let volatile = batch.len();
        for id in &self.volatile {
            codes.ask(layout, *id, batch);
        }
        if !may_run {
            return Asked { first, state, loops, volatile, second: first, third: None };
        }
        // Backwards, so that what called is looked at before and after what it called; and where
        // frames lie elsewhere than on the data stack, once more: a program that repeats
        // itself meanwhile would fool two readings.
        let second = self.ranges.ask(batch, true);
        let third = (!self.outside.is_empty()).then(|| self.ranges.ask(batch, false));
        Asked { first, state, loops, volatile, second, third }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frames::RawFrame;
    use crate::{Abi, Version};

    fn layout(minor: u8) -> Layout {
        Layout::of(Version { major: 3, minor, patch: 0 }, Abi::default()).expect("a table")
    }

    fn watch() -> Watch {
        Watch::new(ThreadState {
            address: Address(0x1000),
            interpreter: Address(0x2000),
            interpreter_index: 0,
            thread_id: 1,
            native_thread_id: None,
            attached: None,
        })
    }

    /// Memory that begins at an address.
    struct Image(Address, Vec<u8>);

    impl Memory for Image {
        fn read(&self, at: Address, into: &mut [u8]) -> Result<(), rspy_process::ReadError> {
            let fault = rspy_process::ReadError::Fault { at, len: into.len() };
            let offset = at.since(self.0).ok_or(fault)? as usize;
            into.copy_from_slice(self.1.get(offset..offset + into.len()).ok_or(fault)?);
            Ok(())
        }
    }

    /// The last sample had a frame there.
    fn use_frame(watch: &mut Watch, at: u64) {
        let frame = RawFrame {
            address: Address(at),
            code: Address::NULL,
            position: Position::Offset(0),
            kind: FrameKind::Function,
            is_entry: true,
        };
        let link = Link { frame, previous: Address::NULL, calling: crate::frames::Calling::UNKNOWN };
        watch.links.push(Known { link, node: NodeId::ROOT, spot: None });
    }

    fn turns(watch: &mut Watch, turns: u32) {
        for _ in 0..turns * TURN {
            watch.turn();
        }
    }

    fn expected(watch: &Watch) -> Vec<u64> {
        let mut expected: Vec<u64> = watch.outside.keys().map(|at| at.0).collect();
        expected.sort_unstable();
        expected
    }

    #[test]
    fn a_frame_elsewhere_is_new_once() {
        let mut watch = watch();
        assert!(watch.meet(Address(0x10_0000), 3));
        assert!(!watch.meet(Address(0x10_0000), 5));
        assert_eq!(expected(&watch), [0x10_0000]);
        assert_eq!(watch.outside[&Address(0x10_0000)].depth, 5);
    }

    #[test]
    fn a_chunk_is_expected_as_far_as_frames_were_met_in_it() {
        let mut watch = watch();
        watch.chunks.push(Chunk { at: Address(0x10_0000), size: 4096, expected: 600 });
        assert!(!watch.meet(Address(0x10_0000 + 64), 0));
        assert!(watch.meet(Address(0x10_0000 + 600), 0));
        assert_eq!(watch.chunks[0].expected, 600 + SLACK);
        assert!(watch.meet(Address(0x10_0000 + 4000), 0));
        assert_eq!(watch.chunks[0].expected, 4096, "no further than it goes");
        assert!(expected(&watch).is_empty());
        // Its end is no part of it.
        assert!(watch.meet(Address(0x10_0000 + 4096), 0));
        assert_eq!(expected(&watch), [0x10_1000]);
        assert_eq!(watch.chunk_end(Address(0x10_0000 + 4095)), Some(Address(0x10_1000)));
        assert_eq!(watch.chunk_end(Address(0x10_1000)), None);
    }

    #[test]
    fn frames_that_are_not_met_any_more_are_forgotten() {
        let mut watch = watch();
        watch.meet(Address(0x10_0000), 0);
        watch.meet(Address(0x20_0000), 1);
        use_frame(&mut watch, 0x10_0000);
        turns(&mut watch, TURNS_KEPT - 1);
        assert_eq!(expected(&watch), [0x10_0000, 0x20_0000]);
        watch.has_grown = false;
        turns(&mut watch, 1);
        assert_eq!(expected(&watch), [0x10_0000], "the one in use is kept");
        assert!(watch.has_grown, "the ranges are made anew");
        turns(&mut watch, 4 * TURNS_KEPT);
        assert_eq!(expected(&watch), [0x10_0000]);
    }

    #[test]
    fn few_frames_are_expected_beyond_those_in_use() {
        let layout = layout(13);
        let mut watch = watch();
        use_frame(&mut watch, 0x1000);
        watch.meet(Address(0x1000), 0);
        for index in 1..=MAX_SPARE as u64 {
            watch.meet(Address(0x10_0000 * index), 1);
            watch.turn();
        }
        watch.arrange(&layout);
        assert_eq!(watch.outside.len(), 1 + MAX_SPARE);
        watch.meet(Address(0x20), 1);
        watch.arrange(&layout);
        let expected = expected(&watch);
        assert!(expected.contains(&0x1000), "the one in use is kept");
        assert!(expected.contains(&0x20), "and the one met last");
        assert!(!expected.contains(&0x10_0000), "but not the one met first");
        assert!(expected.len() <= 1 + MAX_SPARE);
    }

    #[test]
    fn those_in_use_are_kept_however_many_are_met_at_once() {
        let layout = layout(13);
        let mut watch = watch();
        use_frame(&mut watch, 0x1000);
        watch.meet(Address(0x1000), 0);
        for index in 1..=3 * MAX_SPARE as u64 {
            watch.meet(Address(0x10_0000 * index), 1);
        }
        watch.arrange(&layout);
        assert_eq!(expected(&watch), [0x1000]);
    }

    #[test]
    fn what_is_remembered_is_what_the_kept_copy_says() {
        let layout = layout(13);
        let mut watch = watch();
        let at = Address(0x10_0000);
        let mut frame = vec![0_u8; 256];
        let (code, instruction) = (0x7777_0000_u64, 0x7777_1000_u64);
        frame[..8].copy_from_slice(&code.to_le_bytes());
        let place = |frame: &[u8]| layout.frames.link(at, frame).expect("a frame").frame.position;
        let changes = |word: &usize| {
            let mut other = frame.clone();
            other[word * 8..word * 8 + 8].copy_from_slice(&instruction.to_le_bytes());
            place(&other) != place(&frame)
        };
        let position = (1..layout.frames.len() / 8).find(changes).expect("where it stands") * 8;
        watch.chunks.push(Chunk { at, size: 256, expected: 256 });
        watch.arrange(&layout);
        let keep = |watch: &mut Watch, frame: &[u8]| {
            let mut batch = Batch::new();
            let copy = watch.ranges.ask(&mut batch, false);
            Image(at, frame.to_vec()).read_many(&mut batch);
            let spot = watch.ranges.find(at, layout.frames.len(), 0).expect("it is expected there");
            if watch.links.is_empty() {
                let link = layout.frames.link(at, frame).expect("a frame");
                watch.links.push(Known { link, node: NodeId::ROOT, spot: Some(spot) });
            }
            watch.keep_copy(&layout, &batch, copy);
            (watch.links[0].link.frame.position, watch.last.clone())
        };
        frame[position..position + 8].copy_from_slice(&instruction.to_le_bytes());
        let (first, _) = keep(&mut watch, &frame);
        frame[position..position + 8].copy_from_slice(&(instruction + 2).to_le_bytes());
        let (second, last) = keep(&mut watch, &frame);
        assert_ne!(first, second);
        assert_eq!(last, frame);
    }

    #[test]
    fn evaluation_loops_are_few() {
        let mut watch = watch();
        for index in 0..100 {
            watch.meet_loop(Address(0x7000_0000 + index * 64));
            watch.meet_loop(Address(0x7000_0000 + index * 64));
        }
        assert_eq!(watch.cframes.len(), MAX_LOOPS);
        assert_eq!(watch.cframes.last(), Some(&Address(0x7000_0000 + 99 * 64)));
    }

    #[test]
    fn a_stack_in_several_places_is_asked_for_three_times() {
        let (layout, codes) = (layout(13), CodeCache::default());
        let mut watch = watch();
        let mut batch = Batch::new();
        watch.chunks.push(Chunk { at: Address(0x10_0000), size: 4096, expected: 600 });
        watch.arrange(&layout);
        assert_eq!(watch.ask(&layout, &codes, &mut batch, true).third, None);
        assert_eq!(batch.len(), 3, "a copy, the thread state, a copy");
        watch.meet(Address(0x20_0000), 1);
        watch.arrange(&layout);
        batch.clear();
        assert!(watch.ask(&layout, &codes, &mut batch, true).third.is_some());
        assert_eq!(batch.len(), 7);
        batch.clear();
        // Who stands still is read once.
        watch.ask(&layout, &codes, &mut batch, false);
        assert_eq!(batch.len(), 3);
    }
}
