//! Reports by function and by line: goldens of a whole profile, written cases, and what holds for all. To bless changes:
//! `INSTA_UPDATE=always cargo test`.

mod fixture;

use std::collections::{BTreeMap, BTreeSet};

use fixture::{Recorder, metadata, shop};
use insta::assert_snapshot;
use proptest::prelude::*;
use rspy_profile::analysis::{Functions, LineMemory, Lines, LinesOf};
use rspy_profile::{Activity, Frame, FrameKind, MemoryUse, Options, Profile, Sample, StackId, ThreadState};
use serde::Serialize;

/// All threads, as `rspy lines` and `rspy stats` show them.
fn wall() -> Options {
    Options { idle: true, ..Options::default() }
}

/// A line of JSON.
fn line(report: &impl Serialize) -> String {
    serde_json::to_string(report).expect("plain numbers") + "\n"
}

#[test]
fn the_lines_of_a_shop() {
    let mut profile = shop();
    profile.charge_memory();
    let lines = Lines::new(&profile, &wall());
    let mut text = line(&lines.basis);
    for function in &lines.functions {
        text += &line(function);
        text.extend(function.lines.iter().map(|known| format!("    {}", line(known))));
    }
    assert_snapshot!("lines", text);
}

#[test]
fn the_functions_of_a_shop() {
    let functions = Functions::new(&shop(), &wall());
    let mut text = line(&functions.basis);
    for function in &functions.functions {
        text += &line(function);
        for call in &function.callers {
            text += &format!("    <- {} {}", functions.functions[call.function].name.name, line(&call.cost));
        }
    }
    assert_snapshot!("functions", text);
}

fn recorder() -> Recorder {
    Recorder { profile: Profile::new(metadata()), ..Recorder::default() }
}

fn of<'a>(lines: &'a Lines, name: &str) -> &'a LinesOf {
    lines.functions.iter().find(|function| function.name == name).expect("a function that was seen")
}

/// The samples of each line of a function.
fn samples(function: &LinesOf) -> Vec<(Option<u32>, u64)> {
    function.lines.iter().map(|line| (line.line, line.time.samples)).collect()
}

#[test]
fn the_time_of_a_line_includes_what_it_calls() {
    let mut recorder = recorder();
    let thread = recorder.thread(1, "");
    let outer = recorder.stack(StackId::EMPTY, &[("outer", "/a.py", 3, 1)]);
    let inner = recorder.stack(outer, &[("inner", "/a.py", 9, 8)]);
    recorder.active(thread, outer, 100);
    recorder.active(thread, inner, 300);
    let lines = Lines::new(&recorder.profile, &wall());
    let outer = of(&lines, "outer");
    assert_eq!(samples(outer), [(Some(3), 400)]);
    assert_eq!((outer.time.total, outer.time.own, outer.time.cpu, outer.time.memory), (4.0, 1.0, 4.0, None));
    // What is executed itself for longer comes first.
    assert_eq!(lines.functions[0].name, "inner");
}

#[test]
fn a_recursion_counts_once_on_each_line() {
    let mut recorder = recorder();
    let thread = recorder.thread(1, "");
    let mut stack = StackId::EMPTY;
    for line in [5, 6, 5, 7] {
        stack = recorder.stack(stack, &[("again", "/a.py", line, 1)]);
    }
    recorder.active(thread, stack, 10);
    let lines = Lines::new(&recorder.profile, &wall());
    let again = of(&lines, "again");
    assert_eq!(again.time.samples, 10);
    assert_eq!(samples(again), [(Some(5), 10), (Some(6), 10), (Some(7), 10)]);
    let own: Vec<f64> = again.lines.iter().map(|line| line.time.own).collect();
    assert_eq!(own, [0.0, 0.0, 0.1]);
}

#[test]
fn waiting_is_told_from_running() {
    let mut recorder = recorder();
    let thread = recorder.thread(1, "");
    let stack = recorder.stack(StackId::EMPTY, &[("work", "/a.py", 2, 1)]);
    recorder.sample(thread, stack, 30, Activity::Idle);
    recorder.active(thread, stack, 50);
    let waits = ThreadState { activity: Activity::Idle, waits_for_gil: Some(true), ..ThreadState::default() };
    let at = recorder.now.as_nanos() as u64 + 10_000_000;
    recorder.profile.add(Sample { at, thread, stack, weight: 20, state: waits });
    let lines = Lines::new(&recorder.profile, &wall());
    let time = of(&lines, "work").lines[0].time;
    assert_eq!((time.cpu, time.waiting, time.waiting_for_gil), (0.5, 0.5, 0.2));
    let lines = Lines::new(&recorder.profile, &Options::default());
    assert_eq!(of(&lines, "work").time.samples, 50);
}

#[test]
fn lines_that_are_not_known_are_none() {
    let mut recorder = recorder();
    let thread = recorder.thread(1, "");
    let strings = &mut recorder.profile.strings;
    let (name, file) = (strings.intern("made"), strings.intern("<string>"));
    let frame = Frame {
        name,
        file,
        short_file: file,
        line: None,
        columns: None,
        first_line: None,
        kind: FrameKind::Python,
    };
    let frame = recorder.profile.frames.intern(frame);
    let stack = recorder.profile.stacks.intern(StackId::EMPTY, frame);
    recorder.active(thread, stack, 1);
    let lines = Lines::new(&recorder.profile, &wall());
    assert_eq!(samples(of(&lines, "made")), [(None, 1)]);
}

#[test]
fn what_is_no_function_has_no_lines() {
    let mut recorder = recorder();
    let thread = recorder.thread(1, "");
    let outer = recorder.stack(StackId::EMPTY, &[("outer", "/a.py", 3, 1)]);
    let cut = recorder.unknown(FrameKind::Cut);
    let cut = recorder.profile.stacks.intern(outer, cut);
    recorder.active(thread, cut, 4);
    let lines = Lines::new(&recorder.profile, &wall());
    assert_eq!(lines.functions.len(), 1);
    // Somebody it calls was executed, or it itself was: nobody knows.
    assert_eq!((lines.functions[0].time.samples, lines.functions[0].time.own), (4, 0.0));
    assert_eq!((lines.basis.samples, lines.basis.cut), (4, 4));
}

#[test]
fn without_a_rate_times_are_samples() {
    let mut profile = shop();
    profile.metadata.rate = 0.0;
    let lines = Lines::new(&profile, &wall());
    assert_eq!((lines.basis.unit, lines.basis.time), ("samples", lines.basis.samples as f64));
    assert_eq!(Functions::new(&profile, &wall()).basis, lines.basis);
}

#[test]
fn memory_is_charged_to_lines() {
    let mut recorder = recorder();
    let thread = recorder.thread(1, "");
    let process = recorder.profile.threads[thread].process;
    let line = |recorder: &mut Recorder, line| recorder.stack(StackId::EMPTY, &[("work", "/a.py", line, 1)]);
    let (takes, gives) = (line(&mut recorder, 2), line(&mut recorder, 3));
    let look = |recorder: &mut Recorder, stack, megabytes: u64| {
        recorder.active(thread, stack, 1);
        let at = recorder.now.as_nanos() as u64;
        recorder.profile.memory.push(MemoryUse { at, process, resident: megabytes * 1_000_000 });
    };
    for megabytes in [10, 20, 30] {
        look(&mut recorder, takes, megabytes);
    }
    for megabytes in [30, 25, 20] {
        look(&mut recorder, gives, megabytes);
    }
    recorder.profile.charge_memory();
    let lines = Lines::new(&recorder.profile, &wall());
    let changes = |memory: Option<LineMemory>| memory.map(|memory| (memory.grown, memory.released));
    let work = of(&lines, "work");
    assert_eq!(changes(work.lines[0].time.memory), Some((20e6, 0.0)));
    assert_eq!(changes(work.lines[1].time.memory), Some((0.0, 10e6)));
    let all = work.time.memory.expect("it was recorded");
    assert_eq!((all.grown, all.released, all.own_grown), (20e6, 10e6, 20e6));
    assert_eq!((all.most, all.visits), (30_000_000, 1));
}

prop_compose! {
    /// Stacks of four functions, each at one of two lines.
    fn profiles()(
        samples in prop::collection::vec(
            (prop::collection::vec((0..4_usize, 1..3_u32), 0..6), 0..5_u64, 0..3_usize), 0..30,
        ),
    ) -> Recorder {
        let mut recorder = recorder();
        let thread = recorder.thread(1, "");
        for (calls, weight, activity) in samples {
            let name = |function| ["a", "b", "c", "d"][function];
            let calls: Vec<_> =
                calls.into_iter().map(|(function, line)| (name(function), "/a.py", line, 1)).collect();
            let stack = recorder.stack(StackId::EMPTY, &calls);
            let activity = [Activity::Active, Activity::Idle, Activity::Unknown][activity];
            recorder.sample(thread, stack, weight, activity);
        }
        recorder
    }
}

proptest! {
    /// Counted again, sample by sample.
    #[test]
    fn lines_and_functions_count_each_sample_once(recorder in profiles(), idle in any::<bool>()) {
        let profile = &recorder.profile;
        let options = Options { idle, ..Options::default() };
        let (mut functions, mut lines) = (BTreeMap::new(), BTreeMap::new());
        let mut own: BTreeMap<String, u64> = BTreeMap::new();
        for sample in recorder.taken.iter().filter(|sample| sample.weight > 0 && options.include(sample)) {
            let frames: Vec<(String, Option<u32>)> = profile
                .stacks
                .leaf_first(sample.stack)
                .map(|frame| &profile.frames[frame])
                .map(|frame| (profile.strings[frame.name].to_owned(), frame.line))
                .collect();
            for (name, line) in frames.iter().cloned().collect::<BTreeSet<_>>() {
                *lines.entry((name, line)).or_default() += sample.weight;
            }
            for name in frames.iter().map(|(name, _)| name.clone()).collect::<BTreeSet<_>>() {
                *functions.entry(name).or_default() += sample.weight;
            }
            if let Some((name, _)) = frames.first() {
                *own.entry(name.clone()).or_default() += sample.weight;
            }
        }
        let report = Lines::new(profile, &options);
        let seen: BTreeMap<String, u64> =
            report.functions.iter().map(|function| (function.name.clone(), function.time.samples)).collect();
        prop_assert_eq!(&seen, &functions);
        let seen: BTreeMap<(String, Option<u32>), u64> = report
            .functions
            .iter()
            .flat_map(|function| {
                function.lines.iter().map(|line| ((function.name.clone(), line.line), line.time.samples))
            })
            .collect();
        prop_assert_eq!(seen, lines);
        for function in &report.functions {
            let time = function.time;
            let expected = *own.get(&function.name).unwrap_or(&0) as f64 / 100.0;
            prop_assert!((time.own - expected).abs() < 1e-9, "{function:?}");
            prop_assert!((time.cpu + time.waiting - time.total).abs() < 1e-9, "{function:?}");
            let of_lines: f64 = function.lines.iter().map(|line| line.time.own).sum();
            prop_assert!((of_lines - time.own).abs() < 1e-9, "{function:?}");
        }
        // Both reports agree on what a function takes.
        let by_function = Functions::new(profile, &options);
        for function in by_function.functions.iter().filter(|function| function.name.file == "/a.py") {
            let samples = functions.get(&function.name.name).copied().unwrap_or(0);
            prop_assert!((function.cost.total - samples as f64 / 100.0).abs() < 1e-9, "{function:?}");
        }
    }
}
