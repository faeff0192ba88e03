//! What is called a change between two profiles, and what is chance.

mod fixture;

use std::time::Duration;

use fixture::Recorder;
use proptest::prelude::Rng;
use proptest::test_runner::{RngAlgorithm, TestRng};
use rspy_profile::{
    Activity, By, Comparison, Metadata, Options, Profile, Sample, StackId, ThreadState, compare,
};

/// A program in which each function takes its share of the time, in turns of `turn` samples.
fn program(shares: &[f64], samples: u64, turn: u64, random: &mut TestRng) -> Profile {
    let duration = Duration::from_millis(samples);
    let metadata = Metadata { rate: 1000.0, duration, ..fixture::metadata() };
    let mut recorder = Recorder { profile: Profile::new(metadata), ..Recorder::default() };
    let thread = recorder.thread(1, "MainThread");
    let names = ["f0", "f1", "f2", "f3", "f4", "f5", "f6", "f7", "f8", "f9"];
    let main = recorder.stack(StackId::EMPTY, &[("main", "a.py", 1, 1)]);
    let stacks: Vec<StackId> =
        names.iter().zip(shares).map(|(name, _)| recorder.stack(main, &[(name, "a.py", 2, 2)])).collect();
    let all: f64 = shares.iter().sum();
    let mut chosen = stacks[0];
    for number in 0..samples {
        if number % turn == 0 {
            let mut at = random.next_u32() as f64 / f64::from(u32::MAX) * all;
            let index = shares.iter().position(|share| {
                at -= share;
                at < 0.0
            });
            chosen = stacks[index.unwrap_or(0)];
        }
        let state = ThreadState { activity: Activity::Active, ..ThreadState::default() };
        let at = number * 1_000_000 + u64::from(random.next_u32() % 1_000_000);
        recorder.profile.add(Sample { at, thread, stack: chosen, weight: 1, state });
    }
    recorder.profile
}

fn changed(comparison: &Comparison) -> Vec<&str> {
    comparison
        .changes
        .iter()
        .filter(|change| change.is_significant())
        .map(|change| change.label.as_str())
        .collect()
}

fn options() -> Options {
    Options { by: By::Function, ..Options::default() }
}

const EQUAL: [f64; 10] = [1.0; 10];
const UNEVEN: [f64; 10] = [40.0, 20.0, 10.0, 10.0, 5.0, 5.0, 4.0, 3.0, 2.0, 1.0];

#[test]
fn two_recordings_of_one_program_show_no_change() {
    let mut random = TestRng::from_seed(RngAlgorithm::ChaCha, &[7; 32]);
    for shares in [EQUAL, UNEVEN] {
        // In turns shorter and longer than a block is: up to a tenth of the recording.
        for turn in [1, 7, 50, 500] {
            let mut wrong = Vec::new();
            for _ in 0..100 {
                let pair = [(); 2].map(|()| program(&shares, 3_000, turn, &mut random));
                let comparison = compare(&pair[0], &pair[1], &options());
                wrong.extend(changed(&comparison).first().map(|label| (*label).to_owned()));
            }
            assert!(wrong.len() <= 5, "turns of {turn}: {wrong:?}");
        }
    }
}

#[test]
fn a_function_slower_by_a_tenth_is_found() {
    let mut random = TestRng::from_seed(RngAlgorithm::ChaCha, &[8; 32]);
    let mut slower = UNEVEN;
    slower[0] *= 1.1;
    let mut found = 0;
    for _ in 0..100 {
        let base = program(&UNEVEN, 30_000, 1, &mut random);
        let other = program(&slower, 30_000, 1, &mut random);
        let comparison = compare(&base, &other, &options());
        found += usize::from(changed(&comparison).contains(&"f0 (a.py:2)"));
        let change = comparison.changes.iter().find(|change| change.label == "f0 (a.py:2)").expect("a row");
        assert!(
            (change.own[0] - 0.400).abs() < 0.02 && (change.own[1] - 44.0 / 104.0).abs() < 0.02,
            "{change:?}"
        );
        assert!((change.total[0] - change.own[0]).abs() < 1e-9);
    }
    assert!(found >= 95, "found in {found} of 100");
}

#[test]
fn what_is_new_or_gone_is_a_change_and_what_is_too_seldom_is_not_judged() {
    let mut random = TestRng::from_seed(RngAlgorithm::ChaCha, &[9; 32]);
    let base = program(&[1.0, 1.0, 0.0], 2_000, 1, &mut random);
    let other = program(&[1.0, 0.0, 1.0], 2_000, 1, &mut random);
    let comparison = compare(&base, &other, &options());
    assert_eq!(changed(&comparison), ["f2 (a.py:2)", "f1 (a.py:2)"], "the one that gained most first");
    let main = comparison.changes.iter().find(|change| change.label == "main (a.py:1)").expect("a row");
    assert_eq!((main.own, main.total, main.confidence), ([0.0; 2], [1.0; 2], None));
    let short = program(&EQUAL, 60, 1, &mut random);
    let comparison = compare(&short, &short, &options());
    assert!(comparison.changes.iter().all(|change| change.confidence.is_none()));
}

#[test]
fn shares_are_of_the_time_that_was_recorded() {
    let mut random = TestRng::from_seed(RngAlgorithm::ChaCha, &[10; 32]);
    let base = program(&EQUAL, 5_000, 1, &mut random);
    let mut longer = program(&EQUAL, 5_000, 1, &mut random);
    // It waited for as long as it ran.
    longer.metadata.duration *= 2;
    let comparison = compare(&base, &longer, &options());
    assert_eq!(comparison.scale, 2.0);
    for change in comparison.changes.iter().filter(|change| change.label != "main (a.py:1)") {
        assert!((change.own[1] / change.own[0] - 0.5).abs() < 0.15, "{change:?}");
    }
}

#[test]
fn empty_profiles_are_compared() {
    let nothing = Profile::default();
    assert!(compare(&nothing, &nothing, &options()).changes.is_empty());
    let mut random = TestRng::from_seed(RngAlgorithm::ChaCha, &[11; 32]);
    let something = program(&EQUAL, 1_000, 1, &mut random);
    assert_eq!(compare(&nothing, &something, &options()).changes.len(), 11);
}
