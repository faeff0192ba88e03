//! Threads sampled again and again, while their memory is damaged: between two samples and in the middle of one.
//!
//! Undamaged, each way of sampling shows what was planned, or a part of it that says so. Damaged, nothing may panic,
//! the work is bounded, and a thread that stands still has the stack that is read of it without any memory of
//! what was.

use std::cell::{Cell, OnceCell};

use arbitrary::{Arbitrary, Unstructured};
use rspy_cpython::Attached;
use rspy_cpython::code::CodeCache;
use rspy_cpython::frames::{ChainEnd, FrameChain};
use rspy_cpython::interpreter::{GilState, ThreadState};
use rspy_cpython::layout::Layout;
use rspy_cpython::sampling::{Heads, NodeId, Sampled, StackEnd, Unwinder, Watch};
use rspy_cpython::stack::{Frame, resolve};
use rspy_process::{Address, Batch, Memory, ReadError};

use super::memory::{Limits, Synthetic};
use super::processes::image::{Damage, Image, Kind};
use super::processes::plan::{Plan, Process};
use super::processes::{attached_to, of_each_shape};
use super::values::layouts_of_all;

/// For all samples of an input. What a chunk says of its size decides how much is asked for: up to 16 MB in each copy.
const LIMITS: Limits = Limits { reads: 1 << 20, bytes: 8 << 30 };
/// Most rounds of samples.
const MAX_ROUNDS: usize = 8;

#[derive(Arbitrary, Debug)]
struct Input {
    plan: Plan,
    /// By which layout it is read: its own, or one of all.
    layout: u8,
    rounds: Vec<Round>,
}

/// What happens to the memory around one sample of each thread.
#[derive(Arbitrary, Debug)]
struct Round {
    before: Vec<Damage>,
    /// Damages while it is read: after so many reads.
    meanwhile: Vec<(u8, Damage)>,
    way: Way,
}

/// How the threads are sampled.
#[derive(Arbitrary, Copy, Clone, Debug, PartialEq)]
enum Way {
    Standing,
    Running,
}

/// A memory that becomes another one while it is read.
struct Changing {
    /// Each from so many reads on.
    states: Vec<(u64, Synthetic)>,
    reads: Cell<u64>,
}

impl Memory for Changing {
    fn read(&self, at: Address, into: &mut [u8]) -> Result<(), ReadError> {
        let reads = self.reads.get();
        self.reads.set(reads + 1);
        let state = self.states.iter().rfind(|(from, _)| *from <= reads);
        state.map_or(Err(ReadError::Fault { at, len: into.len() }), |(_, memory)| memory.read(at, into))
    }
}

impl Changing {
    /// `image`, damaged while it is read; afterwards it is what it is then.
    fn new(image: &mut Image, mut meanwhile: Vec<&(u8, Damage)>) -> Changing {
        let mut states = vec![(0, image.memory(LIMITS))];
        meanwhile.sort_by_key(|(after, _)| *after);
        for (after, damage) in meanwhile.into_iter().take(4) {
            image.damage(damage);
            states.push((u64::from(*after), image.memory(LIMITS)));
        }
        Changing { states, reads: Cell::new(0) }
    }
}

/// Samples a process, then what is left of it.
pub fn run(data: &[u8]) {
    thread_local! {
        static ATTACHED: OnceCell<[Attached; 4]> = const { OnceCell::new() };
        static LAYOUTS: OnceCell<Vec<Layout>> = const { OnceCell::new() };
    }
    let Ok(input) = Input::arbitrary_take_rest(Unstructured::new(data)) else { return };
    let mut process = input.plan.build();
    ATTACHED.with(|attached| {
        let attached = attached_to(attached.get_or_init(of_each_shape), &process);
        match input.layout.checked_sub(128) {
            None => {
                let mut sampling = Sampling::new(attached, &process);
                sampling.compare(&process);
                sampling.watch_heads(&mut process);
                sampling.rounds(&attached.layout, &mut process.image, &input.rounds, true);
            }
            Some(index) => LAYOUTS.with(|layouts| {
                let layouts = layouts.get_or_init(layouts_of_all);
                let layout = &layouts[usize::from(index) % layouts.len()];
                let mut sampling = Sampling::new(attached, &process);
                sampling.rounds(layout, &mut process.image, &input.rounds, false);
            }),
        }
    });
}

/// The threads of a process, sampled.
struct Sampling<'a> {
    attached: &'a Attached,
    unwinder: Unwinder,
    watches: Vec<Watch>,
    threads: Vec<ThreadState>,
    batch: Batch,
}

impl<'a> Sampling<'a> {
    fn new(attached: &'a Attached, process: &Process) -> Sampling<'a> {
        let threads = attached.threads(&process.image.memory(LIMITS)).expect("threads");
        Sampling {
            attached,
            unwinder: Unwinder::new(false),
            watches: threads.iter().copied().map(Watch::new).collect(),
            threads,
            batch: Batch::new(),
        }
    }

    /// One sample of each thread.
    fn sample(&mut self, memory: &impl Memory, layout: &Layout, way: Way) -> Vec<Sampled> {
        let Sampling { unwinder, watches, batch, .. } = self;
        batch.clear();
        let twice = way == Way::Running;
        let asked: Vec<_> =
            watches.iter_mut().map(|watch| unwinder.ask(memory, layout, watch, batch, twice)).collect();
        memory.read_many(batch);
        let sampled = watches.iter_mut().zip(asked).map(|(watch, asked)| match way {
            Way::Standing => unwinder.standing(memory, layout, watch, asked, batch, NodeId::ROOT),
            Way::Running => unwinder.running(memory, layout, watch, asked, batch, NodeId::ROOT),
        });
        sampled.collect()
    }

    /// The names, files and lines of a stack, innermost first.
    fn shown(&self, stack: NodeId) -> Vec<(String, String, Option<u32>)> {
        let mut shown = Vec::new();
        let mut at = stack;
        while let Some(node) =
            at.index().checked_sub(1).and_then(|index| self.unwinder.nodes_since(index).first())
        {
            let code = self.unwinder.code(node.code);
            let line = node.offset.and_then(|offset| code.location(offset).line);
            shown.push((code.name.to_string(), code.filename.to_string(), line));
            assert!(node.parent < at, "a stack stands on one that was met before");
            at = node.parent;
        }
        shown
    }

    /// An undamaged process is seen as it was planned, time and again.
    fn compare(&mut self, process: &Process) {
        let memory = process.image.memory(LIMITS);
        let layout = &self.attached.layout;
        let version = process.shape.version;
        for way in [Way::Standing, Way::Running, Way::Standing, Way::Running, Way::Running] {
            let all = self.sample(&memory, layout, way);
            assert!(self.verify(&memory, layout, &all), "{version:?} {way:?}");
            for (sampled, stack) in all.into_iter().zip(&process.stacks) {
                let shown = self.shown(sampled.stack);
                let planned: Vec<_> = stack
                    .lines
                    .iter()
                    // Names of classes were not asked for.
                    .map(|line| {
                        let name = line.name.strip_prefix("str.").unwrap_or(&line.name);
                        (name.to_owned(), line.filename.clone(), line.line)
                    })
                    .collect();
                match sampled.end {
                    StackEnd::Whole => assert_eq!(shown, planned, "{version:?} {way:?}"),
                    // Its frames need not stand where something is called: that shows.
                    StackEnd::Cut if way == Way::Running => {
                        assert!(planned.ends_with(&shown), "{version:?}: {shown:?} of {planned:?}");
                    }
                    end => panic!("{version:?} {way:?}: {end:?}"),
                }
            }
        }
    }

    /// Looks at the code objects of samples again. Answers whether they, and what the stacks stand on, are what
    /// they were.
    fn verify(&mut self, memory: &impl Memory, layout: &Layout, sampled: &[Sampled]) -> bool {
        let Sampling { unwinder, watches, .. } = self;
        let refuted = unwinder.verify(memory, layout, sampled.iter().map(|sampled| sampled.stack));
        let mut is_same = refuted.is_empty();
        for watch in watches.iter_mut() {
            is_same &= unwinder.check_root(memory, layout, watch);
        }
        is_same
    }

    /// The words that all threads have in common say what is read without them, whoever takes the GIL.
    fn watch_heads(&mut self, process: &mut Process) {
        let Sampling { attached, batch, threads, .. } = self;
        let mut heads = Heads::default();
        heads.learn(&process.image.memory(LIMITS), attached, threads.iter()).expect("interpreters");
        let mut gil = GilState::Unknown;
        for holder in [None, threads.last().map(|thread| thread.address), process.holder] {
            process.hold(holder);
            let memory = process.image.memory(LIMITS);
            batch.clear();
            let asked = heads.ask(batch);
            memory.read_many(batch);
            assert!(heads.are_same(attached, batch, asked), "{:?}", process.shape.version);
            heads.gil_state(attached, batch, asked, &mut gil);
            assert_eq!(attached.gil_state(&memory).as_ref(), Ok(&gil), "{:?}", process.shape.version);
        }
    }

    /// Samples while the memory is damaged.
    fn rounds(&mut self, layout: &Layout, image: &mut Image, rounds: &[Round], is_own: bool) {
        let objects = image.bytes(Kind::Heap).to_vec();
        for round in rounds.iter().take(MAX_ROUNDS) {
            for damage in &round.before {
                image.damage(damage);
            }
            let is_still = round.meanwhile.is_empty();
            let memory = Changing::new(image, round.meanwhile.iter().collect());
            let sampled = self.sample(&memory, layout, round.way);
            for sampled in &sampled {
                self.shown(sampled.stack);
            }
            if is_own && is_still && round.way == Way::Standing && image.bytes(Kind::Heap) == objects {
                self.stands(&memory, &sampled);
            }
            self.verify(&memory, layout, &sampled);
        }
        // It did not harm what was known for good.
        self.sample(&image.memory(LIMITS), layout, Way::Running);
    }

    /// Threads that stand still, with code that is what it was, have the stacks that a first look sees.
    fn stands(&self, memory: &impl Memory, sampled: &[Sampled]) {
        let layout = &self.attached.layout;
        for (thread, sampled) in self.threads.iter().zip(sampled) {
            let mut chain = FrameChain::default();
            let end = chain.read(memory, layout, thread);
            let frames = resolve(memory, layout, &mut CodeCache::default(), &chain.frames);
            let is_known = frames.iter().all(|frame| matches!(frame, Frame::Python { .. }));
            if end == ChainEnd::Broken || !is_known {
                assert_eq!(sampled.end, StackEnd::Base(ChainEnd::Broken));
                continue;
            }
            let expected = match end {
                ChainEnd::Root if chain.is_cut => StackEnd::Cut,
                ChainEnd::Root => StackEnd::Whole,
                end => StackEnd::Base(end),
            };
            let seen = |frame: &Frame| match frame {
                Frame::Python { code, .. } => {
                    (code.name.to_string(), code.filename.to_string(), frame.location().line)
                }
                Frame::Unknown(error) => panic!("{error}"),
            };
            assert_eq!(sampled.end, expected);
            assert_eq!(self.shown(sampled.stack), frames.iter().map(seen).collect::<Vec<_>>());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fuzz::processes::shape::SHAPES;

    /// Every version, every kind of frame, several threads and interpreters.
    #[test]
    fn undamaged_processes_are_sampled_as_they_are() {
        let attached = of_each_shape();
        for (shape, attached) in (0..SHAPES.len() as u8).zip(&attached) {
            let mut process = Plan::of_everything(shape).build();
            let mut sampling = Sampling::new(attached, &process);
            sampling.compare(&process);
            sampling.watch_heads(&mut process);
            assert!(sampling.unwinder.nodes() > 40);
        }
    }

    #[test]
    fn heads_tell_that_a_thread_came() {
        let attached = of_each_shape();
        for (index, shape) in SHAPES.iter().enumerate() {
            let mut process = Plan::of_everything(index as u8).build();
            let attached = attached_to(&attached, &process);
            let memory = process.image.memory(LIMITS);
            let threads = attached.threads(&memory).expect("threads");
            let mut heads = Heads::default();
            heads.learn(&memory, attached, threads.iter()).expect("interpreters");
            let are_same = |process: &Process| {
                let mut batch = Batch::new();
                let asked = heads.ask(&mut batch);
                process.image.memory(LIMITS).read_many(&mut batch);
                heads.are_same(attached, &batch, asked)
            };
            assert!(are_same(&process), "{:?}", shape.version);
            // The first thread of the second interpreter, which comes last.
            let last = threads.last().expect("threads");
            let newest = last.interpreter.offset(shape.interpreter.threads_head);
            process.image.word(newest, last.address.0 + 0x1000);
            assert!(!are_same(&process), "{:?}", shape.version);
            process.image.word(newest, last.address.0);
            assert!(are_same(&process), "{:?}", shape.version);
        }
    }
}
