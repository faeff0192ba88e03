//! The same threads, sampled again and again.
//!
//! An [`Unwinder`] knows the stacks and code objects that were met, a [`Watch`] where one
//! thread's stack is expected and what it was last time. A sample is three steps, so that
//! one system call serves many threads, and none is made between two of them:
//!
//! 1. [`Unwinder::ask`] adds to a batch what is expected of each thread;
//! 2. the batch is read;
//! 3. [`Unwinder::standing`] or [`Unwinder::running`] makes a stack of what came, for a
//!    thread that surely stood still meanwhile, or that may have run.
//!
//! The answer is a [`NodeId`]: one integer for a whole stack. Where most of a stack is what
//! it was, most of it is not decoded again; nothing is allocated unless something new is met.
//!
//! Code objects are looked at again by [`Unwinder::verify`], now and then: until then a
//! sample is preliminary. One that took another's address makes the samples since
//! the last look doubtful, and is looked at in every sample from then on.

mod heads;
mod nodes;
mod ranges;
mod running;
mod standing;
mod watch;

use std::mem;

use rspy_process::{Address, Batch, Memory};

pub use self::heads::{Heads, HeadsAsked};
pub use self::nodes::{Node, NodeId};
pub use self::watch::{Asked, Watch};

use self::nodes::Nodes;
use self::ranges::Reading;
use self::running::{Nothing, Path, Walk, confirm};
use self::standing::Ahead;
use self::watch::Known;
use crate::class_names;
use crate::code::{CodeCache, CodeId, CodeInfo};
use crate::frames::{Calling, ChainEnd, FrameChain, FrameKind, Link};
use crate::layout::{Frames, Layout};
use crate::operations::{Callee, Operation};
use crate::stack::{self, Frame};

/// What one sample of one thread shows.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Sampled {
    /// The stack, as far as it is known.
    pub stack: NodeId,
    /// How it ended.
    pub end: StackEnd,
}

/// What is missing of a stack.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum StackEnd {
    /// Nothing.
    Whole,
    /// The innermost frames.
    Cut,
    /// The outermost frames, or all: why the chain of frames ended.
    Base(ChainEnd),
    /// All: the thread state is gone.
    Gone,
}

/// How the samples of an [`Unwinder`] came about.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Work {
    /// Frames that were what they were the last time.
    pub kept: u64,
    /// Frames that were decoded.
    pub decoded: u64,
    /// Samples that took more than one read: something was not where it was expected, or new.
    pub surprises: u64,
    /// Samples of which no frame is known.
    pub unknown: u64,
}

/// What the samples of one process have in common.
#[derive(Default)]
pub struct Unwinder {
    work: Work,
    codes: CodeCache,
    nodes: Nodes,
    /// Whether methods are given the names of their classes.
    class_names: bool,
    chain: FrameChain,
    path: Path,
    /// The last sample's frames that are to be remembered, outermost first.
    news: Vec<(Link, NodeId)>,
    again: Batch,
    /// Marks of [`Unwinder::verify`], by node.
    visited: Vec<u32>,
    visit: u32,
    in_use: Vec<CodeId>,
    trusted: Vec<CodeId>,
    /// Code of a sample that is to be looked at before it is believed.
    doubted: Vec<CodeId>,
    refuted: Vec<CodeId>,
}

impl Unwinder {
    /// Nothing is met yet. With `class_names` methods are given the names of their classes, where
    /// code does not know them.
    pub fn new(class_names: bool) -> Unwinder {
        Unwinder { class_names, ..Unwinder::default() }
    }

    /// The stacks that were met after the first `count`.
    pub fn nodes_since(&self, count: usize) -> &[Node] {
        self.nodes.since(count)
    }

    /// How many stacks were met.
    pub fn nodes(&self) -> usize {
        self.nodes.len()
    }

    /// How all samples so far came about.
    pub fn work(&self) -> Work {
        self.work
    }

    /// The code objects that were met.
    pub fn codes(&self) -> &CodeCache {
        &self.codes
    }

    /// Adds to `batch` what is to be read for a sample of `watch`: with `twice` in two copies,
    /// with what names the innermost frame between them. Reads a little itself where the
    /// stack was not where it was expected.
    pub fn ask(
        &mut self,
        memory: &impl Memory,
        layout: &Layout,
        watch: &mut Watch,
        batch: &mut Batch,
        twice: bool,
    ) -> Asked {
        watch.prepare(memory, layout, &mut self.chain);
        watch.ask(layout, &self.codes, batch, twice)
    }

    /// The stack of a thread that has stood still since before its batch was read, and does
    /// until this returns. `base` is what it stands on: [`NodeId::ROOT`], or the stack of the same kernel
    /// thread in another interpreter.
    pub fn standing(
        &mut self,
        memory: &impl Memory,
        layout: &Layout,
        watch: &mut Watch,
        asked: Asked,
        batch: &Batch,
        base: NodeId,
    ) -> Sampled {
        let mut chain = mem::take(&mut self.chain);
        let ahead = Ahead::new(memory, watch, asked, batch);
        let end = chain.read(&ahead, layout, &watch.state);
        if let (ChainEnd::Root, Some(outermost)) = (end, chain.frames.last()) {
            // What it goes on from when it is read while it runs.
            watch.root = outermost.address;
        }
        let sampled = match end {
            ChainEnd::Broken => {
                watch.is_strange();
                Sampled { stack: base, end: StackEnd::Base(end) }
            }
            _ if self.class_names && matches!(layout.frames, Frames::Object(_)) => {
                self.with_classes(memory, layout, &chain, base, end)
            }
            _ => self.placed(memory, layout, watch, (asked, batch), &chain, (base, end)),
        };
        self.chain = chain;
        watch.turn();
        sampled
    }

    fn placed(
        &mut self,
        memory: &impl Memory,
        layout: &Layout,
        watch: &mut Watch,
        (asked, batch): (Asked, &Batch),
        chain: &FrameChain,
        (base, end): (NodeId, ChainEnd),
    ) -> Sampled {
        self.check_volatile(layout, watch, asked, batch, base);
        let same = watch.links.iter().zip(chain.frames.iter().rev());
        let kept = same.take_while(|(known, frame)| known.link.frame == **frame).count();
        let mut stack = top_of(watch, kept, base);
        self.news.clear();
        for frame in chain.frames.iter().rev().skip(kept) {
            if frame.kind != FrameKind::Shim {
                let code = match self.codes.occupant(frame.code) {
                    Some(id) if !self.codes.is_volatile(id) => Ok(id),
                    _ => self.codes.meet(memory, layout, frame.code),
                };
                let Ok(id) = code else {
                    // A stack with a hole would be another one.
                    watch.forget();
                    return Sampled { stack: base, end: StackEnd::Base(ChainEnd::Broken) };
                };
                let code = (id, &**self.codes.info(id));
                if let Ok(node) = self.nodes.intern(memory, layout, stack, frame, code, false) {
                    stack = node;
                }
            }
            // Whether it calls, and whom it was called by, is read where it matters.
            let link = Link { frame: *frame, previous: Address::NULL, calling: Calling::UNKNOWN };
            self.news.push((link, stack));
        }
        for (depth, frame) in chain.frames.iter().rev().enumerate().skip(kept) {
            if watch.meet(frame.address, depth) {
                watch.arrange_later();
            }
        }
        self.remember(layout, watch, kept, asked.first, batch, base);
        let end = match end {
            ChainEnd::Root if chain.is_cut => StackEnd::Cut,
            ChainEnd::Root => StackEnd::Whole,
            end => StackEnd::Base(end),
        };
        if end != StackEnd::Whole {
            watch.forget();
        }
        Sampled { stack, end }
    }

    /// The stack with the classes of its methods, which may change while it does not.
    fn with_classes(
        &mut self,
        memory: &impl Memory,
        layout: &Layout,
        chain: &FrameChain,
        base: NodeId,
        end: ChainEnd,
    ) -> Sampled {
        let addresses: Vec<Address> = chain.frames.iter().map(|frame| frame.code).collect();
        let infos = self.codes.resolve(memory, layout, &addresses);
        let mut frames = stack::place(memory, layout, &chain.frames, infos.into_iter().map(Some));
        class_names::add(memory, layout, &mut frames);
        let mut stack = base;
        for frame in frames.iter().rev() {
            let Frame::Python { raw, offset, class, .. } = frame else {
                return Sampled { stack: base, end: StackEnd::Base(ChainEnd::Broken) };
            };
            let Some(code) = self.codes.occupant(raw.code) else { continue };
            stack = self.nodes.intern_placed(stack, code, *offset, class.as_deref());
        }
        let end = if end == ChainEnd::Root { StackEnd::Whole } else { StackEnd::Base(end) };
        Sampled { stack, end }
    }

    /// The stack of a thread that may have run while its batch was read (asked for twice).
    /// `base` as for [`standing`](Unwinder::standing).
    pub fn running(
        &mut self,
        memory: &impl Memory,
        layout: &Layout,
        watch: &mut Watch,
        asked: Asked,
        batch: &Batch,
        base: NodeId,
    ) -> Sampled {
        self.check_volatile(layout, watch, asked, batch, base);
        let mut path = mem::take(&mut self.path);
        let followed = Walk { memory, layout, watch, asked, batch }.follow(&mut path);
        let sampled = match followed {
            Ok(()) => self.known(memory, layout, watch, (asked, batch), &mut path, base),
            Err(Nothing::Gone) => Sampled { stack: base, end: StackEnd::Gone },
            Err(Nothing::NoChain) => {
                watch.is_strange();
                self.work.unknown += 1;
                // Nothing of it is known but that it is this thread's.
                Sampled { stack: base, end: StackEnd::Cut }
            }
        };
        self.path = path;
        watch.turn();
        sampled
    }

    /// Makes a stack of what is known of a path.
    fn known(
        &mut self,
        memory: &impl Memory,
        layout: &Layout,
        watch: &mut Watch,
        (asked, batch): (Asked, &Batch),
        path: &mut Path,
        base: NodeId,
    ) -> Sampled {
        // Code that is new is read before the frames are looked at once more: if
        // they are the same then, they have kept it alive.
        let mut is_unsure = !path.more.is_empty();
        self.doubted.clear();
        for link in &path.fresh[path.unknown..] {
            if link.frame.kind == FrameKind::Shim {
                continue;
            }
            match self.codes.occupant(link.frame.code) {
                Some(id) if !self.codes.is_volatile(id) => {}
                Some(id) if self.is_read(layout, watch, id, asked, batch) => {}
                Some(id) => {
                    if !self.doubted.contains(&id) {
                        self.doubted.push(id);
                    }
                }
                None => {
                    is_unsure = true;
                    // What cannot be read shows below, as a frame without code.
                    let _ = self.codes.meet(memory, layout, link.frame.code);
                }
            }
        }
        if is_unsure || !self.doubted.is_empty() {
            self.work.surprises += 1;
            let mut again = mem::take(&mut self.again);
            again.clear();
            for id in &self.doubted {
                self.codes.ask(layout, *id, &mut again);
            }
            let more = path.more.ask(&mut again);
            let third = watch.ranges.ask(&mut again, true);
            memory.read_many(&mut again);
            let mut at = 0;
            let mut doubted = mem::take(&mut self.doubted);
            for id in doubted.drain(..) {
                let (is_same, next) = self.codes.is_same(layout, id, &again, at);
                at = next;
                if !is_same {
                    self.give_up(memory, layout, id, path);
                }
            }
            self.doubted = doubted;
            confirm(layout, watch, path, &again, third, more);
            self.again = again;
        }
        let unknown = self.judge(memory, layout, watch, path, base);
        let Some(unknown) = unknown else {
            watch.is_strange();
            self.work.unknown += 1;
            return Sampled { stack: base, end: StackEnd::Cut };
        };
        let stack = self.news.last().map_or_else(|| top_of(watch, path.kept, base), |(_, stack)| *stack);
        let is_cut = path.is_cut || unknown;
        self.remember(layout, watch, path.kept, asked.second, batch, base);
        Sampled { stack, end: if is_cut { StackEnd::Cut } else { StackEnd::Whole } }
    }

    /// Frames of `path` with the code `id`, which is another one by now, are not known, nor are those above.
    fn give_up(&mut self, memory: &impl Memory, layout: &Layout, id: CodeId, path: &mut Path) {
        let address = self.codes.address(id);
        let last = path.fresh.iter().rposition(|link| link.frame.code == address);
        path.unknown = path.unknown.max(last.map_or(0, |last| last + 1));
        let _ = self.codes.meet(memory, layout, address);
    }

    /// Makes nodes of the frames of `path` that are known, from the outermost on, as far as each can have
    /// called the next: into `self.news`. Answers whether frames are unknown; `None` if all are.
    fn judge(
        &mut self,
        memory: &impl Memory,
        layout: &Layout,
        watch: &Watch,
        path: &mut Path,
        base: NodeId,
    ) -> Option<bool> {
        self.news.clear();
        let mut stack = top_of(watch, path.kept, base);
        let below = path.kept.checked_sub(1).and_then(|last| watch.links.get(last)).map(|known| known.link);
        let mut below = below.map(|link| self.place(memory, layout, &link));
        for depth in (path.unknown..path.fresh.len()).rev() {
            let link = path.fresh[depth];
            let is_own = link.frame.kind == FrameKind::Shim;
            let mut node = Some(stack);
            let place = self.place(memory, layout, &link);
            if !is_own {
                node = self.codes.occupant(link.frame.code).and_then(|id| {
                    let code = (id, &**self.codes.info(id));
                    // A generator has lost its caller when it is suspended: it is no thread's root.
                    if below.is_none() && code.1.is_generator() && matches!(layout.frames, Frames::Object(_))
                    {
                        return None;
                    }
                    self.nodes.intern(memory, layout, stack, &link.frame, code, true).ok()
                });
            }
            let Some(node) = node else {
                return (below.is_some() || !self.news.is_empty()).then_some(true);
            };
            if let Some(caller) = below {
                let beyond = if is_own { path.fresh.get(depth.wrapping_sub(1)) } else { Some(&link) };
                if !path.is_tracing && !caller.can_have_called(&place, beyond) {
                    // Where it stands is not where it stood when it called: it is not known either.
                    if self.news.pop().is_none() {
                        path.kept -= 1;
                    }
                    return Some(true);
                }
            }
            stack = node;
            self.news.push((link, stack));
            below = Some(place);
        }
        // What called those that are not known has to look like it, too.
        if let (Some(above), Some(caller)) =
            (path.unknown.checked_sub(1).and_then(|depth| path.fresh.get(depth)), below)
        {
            let beyond = match above.frame.kind {
                FrameKind::Shim => path.unknown.checked_sub(2).and_then(|depth| path.fresh.get(depth)),
                _ => Some(above),
            };
            let above = self.place(memory, layout, above);
            let is_caller = path.is_tracing || caller.can_have_called(&above, beyond);
            if !is_caller && self.news.pop().is_none() {
                path.kept -= 1;
            }
        }
        Some(path.unknown > 0)
    }

    /// Where `link` stands.
    fn place(&self, memory: &impl Memory, layout: &Layout, link: &Link) -> Place {
        let mut place = Place { link: *link, operation: Operation::Unknown, is_own: true };
        if link.frame.kind != FrameKind::Shim
            && let Some(id) = self.codes.occupant(link.frame.code)
        {
            let code = self.codes.info(id);
            let offset = stack::offset(memory, layout, &link.frame, code);
            place.operation = offset.map_or(Operation::Unknown, |offset| code.operation(offset));
            place.is_own = code.is_interpreters_own();
        }
        place
    }

    /// Whether `id`, which was read with the batch, is still where it was.
    fn is_read(&mut self, layout: &Layout, watch: &Watch, id: CodeId, asked: Asked, batch: &Batch) -> bool {
        let mut at = asked.volatile;
        for volatile in &watch.volatile {
            let (is_same, next) = self.codes.is_same(layout, *volatile, batch, at);
            if *volatile == id {
                return is_same;
            }
            at = next;
        }
        false
    }

    /// Forgets the last sample if it has code that has changed since, or stood on another.
    fn check_volatile(
        &mut self,
        layout: &Layout,
        watch: &mut Watch,
        asked: Asked,
        batch: &Batch,
        base: NodeId,
    ) {
        let mut at = asked.volatile;
        let mut is_sound = watch.base == base;
        for id in &watch.volatile {
            let (is_same, next) = self.codes.is_same(layout, *id, batch, at);
            is_sound &= is_same;
            at = next;
        }
        if !is_sound {
            watch.links.clear();
            watch.headers.clear();
        }
    }

    /// Keeps `self.news` for the next sample, on top of the first `kept` frames of the last.
    fn remember(
        &mut self,
        layout: &Layout,
        watch: &mut Watch,
        kept: usize,
        copy: Reading,
        batch: &Batch,
        base: NodeId,
    ) {
        let len = layout.frames.len();
        self.work.kept += kept as u64;
        self.work.decoded += self.news.len() as u64;
        watch.base = base;
        if kept == watch.links.len() && self.news.is_empty() {
            return;
        }
        let had_volatile = !watch.volatile.is_empty();
        watch.links.truncate(kept);
        watch.keep_copy(layout, batch, copy);
        let news_from = watch.links.len();
        watch.headers.truncate(kept * len);
        let has_headers = matches!(layout.frames, Frames::Object(_));
        for (link, node) in self.news.drain(..) {
            let at = link.frame.address;
            let spot = watch.ranges.find(at, len, 0);
            let bytes = spot.and_then(|spot| watch.ranges.bytes(spot, batch, copy, len));
            let full = bytes.and_then(|bytes| layout.frames.link(at, bytes));
            // What was not expected has no place, and nothing is like it.
            watch.links.push(Known { link: full.unwrap_or(link), node, spot: full.and(spot) });
            match bytes {
                Some(bytes) if has_headers => watch.headers.extend_from_slice(bytes),
                _ if has_headers => watch.headers.resize(watch.headers.len() + len, 0xff),
                _ => {}
            }
        }
        if !had_volatile && !self.has_volatile(&watch.links[news_from..]) {
            return;
        }
        watch.volatile.clear();
        for known in watch.links.iter().filter(|known| known.link.frame.kind != FrameKind::Shim) {
            if let Some(id) = self.codes.occupant(known.link.frame.code)
                && self.codes.is_volatile(id)
                && !watch.volatile.contains(&id)
            {
                watch.volatile.push(id);
            }
        }
    }

    /// Whether code in `links` has to be looked at in each sample.
    fn has_volatile(&self, links: &[Known]) -> bool {
        links.iter().filter(|known| known.link.frame.kind != FrameKind::Shim).any(|known| {
            self.codes.occupant(known.link.frame.code).is_some_and(|id| self.codes.is_volatile(id))
        })
    }

    /// Looks at the code objects of `stacks` again. Answers those that were given away
    /// since the last time: samples with them are doubtful.
    pub fn verify(
        &mut self,
        memory: &impl Memory,
        layout: &Layout,
        stacks: impl Iterator<Item = NodeId>,
    ) -> &[CodeId] {
        self.visit = self.visit.wrapping_add(1);
        self.visited.resize(self.nodes.len() + 1, 0);
        self.in_use.clear();
        for stack in stacks {
            let mut at = stack;
            while let Some(node) = self.nodes.get(at)
                && self.visited[at.index()] != self.visit
            {
                self.visited[at.index()] = self.visit;
                // A few dozen distinct ones: sorted out below.
                self.in_use.push(node.code);
                at = node.parent;
            }
        }
        self.in_use.sort_unstable();
        self.in_use.dedup();
        let codes = &self.codes;
        self.in_use.retain(|id| codes.occupant(codes.address(*id)) == Some(*id) && !codes.is_shared(*id));
        self.trusted.clear();
        self.trusted.extend(self.in_use.iter().copied().filter(|id| !codes.is_volatile(*id)));
        self.refuted.clear();
        self.codes.verify(memory, layout, &self.in_use, &mut self.refuted);
        // Those that were not trusted were looked at in each sample.
        let trusted = &self.trusted;
        self.refuted.retain(|id| trusted.contains(id));
        &self.refuted
    }

    /// Has `watch` know which code of its last sample is to be looked at in each sample.
    pub fn review(&self, watch: &mut Watch) {
        let codes = &self.codes;
        watch.volatile.retain(|id| codes.is_volatile(*id));
    }

    /// Whether `stack` has code out of `codes`.
    pub fn has_code(&self, stack: NodeId, codes: &[CodeId]) -> bool {
        let mut at = stack;
        while let Some(node) = self.nodes.get(at) {
            if codes.contains(&node.code) {
                return true;
            }
            at = node.parent;
        }
        false
    }

    /// Forgets what `watch` was last time.
    pub fn forget(&self, watch: &mut Watch) {
        watch.forget();
    }

    /// Whether what `watch`'s frames stand on is what it was; else it is forgotten.
    pub fn check_root(&self, memory: &impl Memory, layout: &Layout, watch: &mut Watch) -> bool {
        let at = watch.root;
        let is_own = matches!(&layout.frames, Frames::Interpreter(frame) if frame.owner_shim.is_some());
        if at.is_null() || !is_own || layout.thread.base_frame.is_some() {
            return true;
        }
        let mut bytes = [0; 512];
        let Some(bytes) = bytes.get_mut(..layout.frames.len()) else { return true };
        let link = memory.read(at, bytes).ok().and_then(|()| layout.frames.link(at, bytes));
        let is_root = link.is_some_and(|link| link.frame.kind == FrameKind::Shim && link.previous.is_null());
        if !is_root {
            watch.root = Address::NULL;
            watch.forget();
        }
        is_root
    }

    /// What is known of a code object.
    pub fn code(&self, id: CodeId) -> &CodeInfo {
        self.codes.info(id)
    }
}

/// The stack of the first `kept` frames of the last sample.
fn top_of(watch: &Watch, kept: usize, base: NodeId) -> NodeId {
    kept.checked_sub(1).and_then(|last| watch.links.get(last)).map_or(base, |known| known.node)
}

/// A frame and where it stands.
struct Place {
    link: Link,
    operation: Operation,
    /// It is one of the interpreter's own, which do nothing but call.
    is_own: bool,
}

impl Place {
    /// Whether this can have called `above`; `beyond` is that, or the frame above it if it is
    /// one of the interpreter's own.
    fn can_have_called(&self, above: &Place, beyond: Option<&Link>) -> bool {
        if self.is_own {
            return true;
        }
        let callee = Callee::of(&above.link.frame, above.operation, &self.link.frame);
        if !self.operation.fits(callee) {
            return false;
        }
        // A generator that `throw()` has passed by keeps its values saved, though C runs; and so does
        // who lets go of an object as a call ends, whose destructor then runs.
        let is_passed_by = self.operation == Operation::Yield;
        let is_destructor = self.operation == Operation::Call
            && callee == Callee::ThroughC
            && beyond.is_some_and(|beyond| beyond.frame.kind == FrameKind::Function);
        let calling = self.link.calling;
        calling.executes != Some(false)
            && (is_passed_by || is_destructor || calling.fits(callee != Callee::ThroughC))
    }
}
