//! The parts of a sample that are rspy's own, on the memory of a real thread of 3.13: no process, no system
//! call; what a read brings is copied out of the image, which is in the figures.

mod image;

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use image::{DEPTHS, Image, Still};
use rspy_cpython::code::{CodeCache, CodeInfo};
use rspy_cpython::interpreter::{ThreadState, threads_of};
use rspy_cpython::layout::Layout;
use rspy_cpython::sampling::{NodeId, Sampled, StackEnd, Unwinder, Watch};
use rspy_process::{Address, Batch, Memory};

const IMAGE: &[u8] = include_bytes!("images/3.13.image");
/// The moments by number: two stacks that differ in the innermost frame, and a deep one.
const FIRST: usize = 0;
const SECOND: usize = 1;
const DEEP: usize = 2;
/// So many samples until a watch expects the stack where it is.
const WARM_UP: usize = 200;

/// One thread that is sampled.
struct Sampling {
    layout: Layout,
    moments: Vec<Still>,
    unwinder: Unwinder,
    watch: Watch,
    batch: Batch,
}

impl Sampling {
    /// Of the thread in the image, which has been seen at each of `moments`.
    fn new(is_running: bool, moments: &[usize]) -> Sampling {
        let image = Image::from_bytes(IMAGE);
        let (version, abi) = image.version();
        let layout = Layout::of(version, abi).expect("3.13 is known");
        let memories: Vec<Still> = (0..DEPTHS.len()).map(|moment| image.memory(moment)).collect();
        let mut threads: Vec<ThreadState> = Vec::new();
        threads_of(&memories[FIRST], &layout, Address(image.interpreter), 0, &mut threads)
            .expect("the image has the interpreter");
        let watch = Watch::new(threads[0]);
        let (unwinder, batch) = (Unwinder::new(false), Batch::new());
        let mut sampling = Sampling { layout, moments: memories, unwinder, watch, batch };
        for round in 0..WARM_UP {
            sampling.sample(moments[round % moments.len()], is_running);
        }
        for moment in moments {
            let sampled = sampling.sample(*moment, is_running);
            assert_eq!(sampled.end, StackEnd::Whole, "the image lacks what this rspy reads: record it anew");
            assert_eq!(sampling.depth(sampled.stack), DEPTHS[*moment]);
        }
        sampling
    }

    fn depth(&self, stack: NodeId) -> usize {
        let nodes = self.unwinder.nodes_since(0);
        std::iter::successors(Some(stack), |at| Some(nodes.get(at.index().checked_sub(1)?)?.parent))
            .take_while(|at| *at != NodeId::ROOT)
            .count()
    }

    /// One sample, from the question to the stack.
    fn sample(&mut self, moment: usize, is_running: bool) -> Sampled {
        let Sampling { layout, moments, unwinder, watch, batch } = self;
        let memory = &moments[moment];
        batch.clear();
        let asked = unwinder.ask(memory, layout, watch, batch, is_running);
        memory.read_many(batch);
        if is_running {
            unwinder.running(memory, layout, watch, asked, batch, NodeId::ROOT)
        } else {
            unwinder.standing(memory, layout, watch, asked, batch, NodeId::ROOT)
        }
    }
}

/// Threads that may run (two copies and the thread state) and that stand still (one).
fn samples(criterion: &mut Criterion) {
    for (name, is_running) in [("running", true), ("standing", false)] {
        let mut group = criterion.benchmark_group(name);
        for (stack, moment) in [("unchanged, 12 frames", FIRST), ("unchanged, 205 frames", DEEP)] {
            let mut sampling = Sampling::new(is_running, &[moment]);
            group.bench_function(stack, |bencher| {
                bencher.iter(|| sampling.sample(moment, is_running));
            });
        }
        let mut sampling = Sampling::new(is_running, &[FIRST, SECOND]);
        let mut moments = [FIRST, SECOND].into_iter().cycle();
        group.bench_function("another innermost frame, 12 frames", |bencher| {
            bencher.iter(|| sampling.sample(moments.next().unwrap_or(FIRST), is_running));
        });
        for (stack, moment) in [("decoded, 12 frames", FIRST), ("decoded, 205 frames", DEEP)] {
            let mut sampling = Sampling::new(is_running, &[moment]);
            group.bench_function(stack, |bencher| {
                bencher.iter(|| {
                    sampling.unwinder.forget(&mut sampling.watch);
                    sampling.sample(moment, is_running)
                });
            });
        }
    }
}

/// Code objects: one that is known, one that is read for the first time, and the look that notices
/// if another took its address.
fn codes(criterion: &mut Criterion) {
    let mut sampling = Sampling::new(true, &[FIRST]);
    let stack = sampling.sample(FIRST, true).stack;
    let Sampling { layout, moments, unwinder, .. } = &mut sampling;
    let memory = &moments[FIRST];
    let (id, _) = unwinder.codes().since(0).next().expect("a code object");
    let address = unwinder.codes().address(id);
    let mut group = criterion.benchmark_group("code");
    group.bench_function("known", |bencher| {
        bencher.iter(|| unwinder.codes().occupant(black_box(address)));
    });
    group.bench_function("met", |bencher| {
        bencher.iter(|| CodeCache::default().meet(memory, layout, black_box(address)));
    });
    group.bench_function("verified, 12 frames", |bencher| {
        bencher.iter(|| unwinder.verify(memory, layout, [stack].into_iter()).len());
    });
}

/// The line of an instruction: of each one of a function, and of the module's.
fn lines(criterion: &mut Criterion) {
    let sampling = Sampling::new(true, &[FIRST]);
    let info = |name: &str| {
        let mut codes = sampling.unwinder.codes().since(0);
        codes.find(|(_, info)| &*info.name == name).map(|(_, info)| info.clone()).expect("the code is there")
    };
    let mut group = criterion.benchmark_group("line");
    for name in ["step0", "<module>"] {
        let info: std::sync::Arc<CodeInfo> = info(name);
        let mut offsets = (0..info.code_len as i64).step_by(2).cycle();
        group.bench_function(format!("{name}, {} bytes", info.code_len), |bencher| {
            bencher.iter(|| info.location(offsets.next().unwrap_or(0)));
        });
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .sample_size(50);
    targets = samples, codes, lines
}
criterion_main!(benches);
