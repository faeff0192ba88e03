//! Making a profile of samples, and writing it.

use std::hint::black_box;
use std::io;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use rspy_profile::format::{Flamegraph, Raw};
use rspy_profile::{
    Activity, Format, Frame, FrameId, FrameKind, Metadata, Options, Process, Profile, Sample, StackId,
    Thread, ThreadId, ThreadState,
};

/// Of so many functions,
const FUNCTIONS: u32 = 1_000;
/// so many stacks,
const STACKS: u32 = 1_000;
/// of so many frames each,
const DEPTH: usize = 30;
/// so many samples.
const SAMPLES: u64 = 10_000;

/// The frames of `FUNCTIONS` functions.
fn frames(profile: &mut Profile) -> Vec<FrameId> {
    let frame = |number: u32| {
        let name = profile.strings.intern(&format!("Package.function_{number}"));
        let file = profile.strings.intern(&format!("package/module_{}.py", number % 40));
        let kind = Frame::unknown(FrameKind::Python);
        profile.frames.intern(Frame { name, file, short_file: file, line: Some(number), ..kind })
    };
    (0..FUNCTIONS).map(frame).collect()
}

/// The frames of stack `number`, outermost first: neighbours share most of them, as in real programs.
fn stack(frames: &[FrameId], number: u32) -> Vec<FrameId> {
    let mut seed = u64::from(number).reverse_bits();
    let frame = |level| {
        let frame = frames[(seed >> 60) as usize * 60 + level];
        seed = seed.rotate_left(1);
        frame
    };
    (0..DEPTH).map(frame).collect()
}

fn intern(profile: &mut Profile, stack: &[FrameId]) -> StackId {
    stack.iter().fold(StackId::EMPTY, |stack, frame| profile.stacks.intern(stack, *frame))
}

/// One sample each of all the stacks in turn.
fn add(profile: &mut Profile, thread: ThreadId, stacks: &[StackId]) {
    let state = ThreadState { activity: Activity::Active, ..ThreadState::default() };
    for (number, stack) in (0..SAMPLES).zip(stacks.iter().cycle()) {
        profile.add(Sample { at: number * 100_000, thread, stack: *stack, weight: 1, state });
    }
}

fn thread(profile: &mut Profile) -> ThreadId {
    let command_line = profile.strings.intern("");
    let process = profile.processes.add(Process { pid: 1, parent: None, command_line });
    profile.threads.add(Thread { process, os_id: Some(1), python_id: None, name: None })
}

fn interning(criterion: &mut Criterion) {
    let mut profile = Profile::default();
    let frames = frames(&mut profile);
    let stacks: Vec<Vec<FrameId>> = (0..STACKS).map(|number| stack(&frames, number)).collect();
    let mut group = criterion.benchmark_group("intern");
    group.bench_function(format!("{STACKS} new stacks"), |bencher| {
        bencher.iter_batched_ref(
            Profile::default,
            |profile| stacks.iter().map(|stack| intern(profile, stack).index()).max(),
            criterion::BatchSize::LargeInput,
        );
    });
    let ids: Vec<StackId> = stacks.iter().map(|stack| intern(&mut profile, stack)).collect();
    let mut known = stacks.iter().cycle();
    group.bench_function("a known stack", |bencher| {
        bencher.iter(|| known.next().map(|stack| intern(&mut profile, black_box(stack))));
    });
    group.bench_function(format!("{SAMPLES} samples"), |bencher| {
        bencher.iter_batched_ref(
            || Profile::for_format(Metadata::default(), &Flamegraph),
            |profile| {
                let thread = thread(profile);
                add(profile, thread, &ids);
            },
            criterion::BatchSize::LargeInput,
        );
    });
}

fn emitting(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("emit");
    let formats: [&dyn Format; 2] = [&Flamegraph, &Raw];
    for format in formats {
        let mut profile = Profile::for_format(Metadata::default(), format);
        let frames = frames(&mut profile);
        let stacks: Vec<StackId> =
            (0..STACKS).map(|number| intern(&mut profile, &stack(&frames, number))).collect();
        let thread = thread(&mut profile);
        add(&mut profile, thread, &stacks);
        group.bench_function(
            format!("{}, {SAMPLES} samples of {STACKS} stacks", format.about().name),
            |bencher| {
                bencher.iter(|| format.write(&profile, &Options::default(), &mut io::sink()));
            },
        );
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(2))
        .sample_size(20);
    targets = interning, emitting
}
criterion_main!(benches);
