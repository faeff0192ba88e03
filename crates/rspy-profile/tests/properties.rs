//! What holds for every profile, on random ones.

mod decoded;
mod fixture;

use std::collections::{BTreeMap, HashSet};

use fixture::{Recorder, bytes, recording, written};
use proptest::prelude::*;
use rspy_profile::format::{Raw, Speedscope};
use rspy_profile::{
    Activity, By, FOREIGN, FORMATS, Format, Frame, FrameKind, LostReason, Options, Profile, Run, Sample,
    StackId, Strings, Totals, fold,
};

/// What a frame may be called: characters that mean something to some format come often.
fn name() -> impl Strategy<Value = String> {
    let character = prop_oneof![
        3 => prop::sample::select(vec![' ', ';', '#', '(', ')', '[', ']', '<', '&', '"', '1', '\n', '\0', 'a', 'b']),
        1 => any::<char>(),
    ];
    prop::collection::vec(character, 0..6).prop_map(String::from_iter)
}

fn kind() -> impl Strategy<Value = FrameKind> {
    prop_oneof![
        12 => Just(FrameKind::Python),
        1 => Just(FrameKind::Cut),
        1 => Just(FrameKind::Truncated),
        1 => Just(FrameKind::Lost(LostReason::Inconsistent)),
    ]
}

fn activity() -> impl Strategy<Value = Activity> {
    prop_oneof![Just(Activity::Active), Just(Activity::Idle), Just(Activity::Unknown)]
}

prop_compose! {
    fn recorder()(
        threads in prop::collection::vec(name(), 1..4),
        frames in prop::collection::vec((name(), name(), prop::option::of(0_u32..3), kind()), 1..8),
        samples in prop::collection::vec(
            (any::<prop::sample::Index>(), prop::collection::vec(any::<prop::sample::Index>(), 0..6), weight(), activity(), 1..4),
            0..30,
        ),
        lost in 0_u64..3,
    ) -> Recorder {
        let mut recorder = Recorder::default();
        let threads: Vec<_> = threads.iter().enumerate().map(|(id, name)| recorder.thread(id as u32, name)).collect();
        let frames: Vec<_> = frames
            .iter()
            .map(|(name, file, line, kind)| {
                let strings = &mut recorder.profile.strings;
                let (name, file) = (strings.intern(name), strings.intern(file));
                let frame = Frame { name, file, short_file: file, line: *line, columns: None, first_line: Some(1), kind: *kind };
                // What stands for other frames has no name of its own.
                let frame = if *kind == FrameKind::Python { frame } else { Frame::unknown(*kind) };
                recorder.profile.frames.intern(frame)
            })
            .collect();
        for (thread, stack, weight, activity, repeats) in samples {
            let stack = stack.iter().fold(StackId::EMPTY, |stack, frame| {
                recorder.profile.stacks.intern(stack, *frame.get(&frames))
            });
            for _ in 0..repeats {
                recorder.sample(*thread.get(&threads), stack, weight, activity);
            }
        }
        recorder.profile.lost.add(LostReason::Exited, lost);
        recorder
    }
}

/// Most samples weigh 1, so that there are runs of equal ones; some are followed by a pause.
fn weight() -> impl Strategy<Value = u64> {
    prop_oneof![4 => Just(1), 1 => 0_u64..100]
}

fn profile() -> impl Strategy<Value = Profile> {
    recorder().prop_map(|recorder| recorder.profile)
}

prop_compose! {
    fn options()(flags in any::<[bool; 7]>(), by in 0..3_usize) -> Options {
        let [line_numbers, full_filenames, by_process, by_thread, idle, gil, inverted] = flags;
        let by = [By::Line, By::Function, By::Module][by];
        Options { line_numbers, by, full_filenames, by_process, by_thread, idle, gil, inverted, ..Options::default() }
    }
}

proptest! {
    #[test]
    fn folding_keeps_every_sample(profile in profile(), options in options()) {
        let shown: u64 =
            profile.samples().iter().filter(|run| options.include(&run.sample)).map(Run::weight).sum();
        let folded = fold(&profile, &options);
        prop_assert_eq!(folded.iter().map(|folded| folded.weight).sum::<u64>(), shown);
        prop_assert!(folded.is_sorted_by(|one, next| (one.thread, one.stack) < (next.thread, next.stack)));

        let totals = Totals::new(&profile, &options);
        prop_assert_eq!(totals.samples + totals.lost, shown + profile.lost.total());
        let taken: u64 = profile.samples().iter().map(Run::weight).sum();
        prop_assert_eq!(totals.samples + totals.lost + totals.left_out, taken + profile.lost.total());
    }

    #[test]
    fn raw_lines_parse_back(profile in profile(), options in options()) {
        let totals = Totals::new(&profile, &options);
        let text = written(&Raw, &profile, &options);
        let mut stacks = BTreeMap::new();
        for line in text.lines() {
            prop_assert!(!line.starts_with("# "), "taken for a comment: {line:?}");
            let (stack, count) = line.rsplit_once(' ').expect("a count");
            prop_assert!(stack.split(';').all(|frame| !frame.trim().is_empty()), "a frame without name: {line:?}");
            let (_, last_word) = stack.rsplit_once(' ').unwrap_or(("", stack));
            prop_assert!(!stack.contains(' ') || last_word.parse::<u64>().is_err(), "two counts: {line:?}");
            prop_assert!(!stack.chars().any(char::is_control));
            let count: u64 = count.parse().expect("a number");
            prop_assert!(count > 0);
            prop_assert!(stacks.insert(stack, count).is_none(), "twice: {stack:?}");
        }
        prop_assert_eq!(stacks.values().sum::<u64>(), totals.samples + totals.lost);
    }

    #[test]
    fn every_format_weighs_what_raw_does(profile in profile(), options in options()) {
        let raw = written(&Raw, &profile, &options);
        let count = |line: &str| line.rsplit_once(' ').and_then(|(_, count)| count.parse::<u128>().ok());
        let total: u128 = raw.lines().map(|line| count(line).expect("a count")).sum();
        for format in FORMATS {
            if let Some(weights) = decoded::weights(format.about().name, &bytes(*format, &profile, &options)) {
                prop_assert_eq!(weights.values().sum::<u128>(), total, "{}", format.about().name);
            }
        }
    }

    #[test]
    fn every_format_takes_every_profile_and_is_deterministic(profile in profile(), options in options()) {
        for format in FORMATS {
            prop_assert_eq!(bytes(*format, &profile, &options), bytes(*format, &profile, &options));
        }
    }

    #[test]
    fn the_order_of_samples_does_not_matter(recorder in recorder(), options in options()) {
        let profile = recorder.profile;
        // No two of them are in one run, and the same samples recorded the other way round intern everything in another order.
        let mut reversed = Recorder::default();
        for (_, thread) in profile.threads.iter() {
            let name = thread.name.map_or("", |name| &profile.strings[name]);
            reversed.thread(thread.os_id.expect("given"), name);
        }
        let mut threads: Vec<_> = reversed.profile.threads.iter().map(|(id, _)| id).collect();
        threads.reverse();
        for sample in recorder.taken.iter().rev() {
            let mut buffer = Vec::new();
            let mut stack = StackId::EMPTY;
            for &frame in profile.stacks.root_first(sample.stack, &mut buffer) {
                let mut frame = profile.frames[frame];
                for text in [&mut frame.short_file, &mut frame.file, &mut frame.name] {
                    *text = reversed.profile.strings.intern(&profile.strings[*text]);
                }
                let frame = reversed.profile.frames.intern(frame);
                stack = reversed.profile.stacks.intern(stack, frame);
            }
            let thread = threads[threads.len() - 1 - sample.thread.index()];
            reversed.profile.add(Sample { thread, stack, ..*sample });
        }
        reversed.profile.lost = profile.lost.clone();
        for format in FORMATS.iter().filter(|format| !format.about().is_written_as_taken) {
            prop_assert_eq!(bytes(*format, &profile, &options), bytes(*format, &reversed.profile, &options));
        }
    }

    #[test]
    fn a_profile_for_a_format_is_written_as_one_of_every_sample(recorder in recorder(), options in options()) {
        for format in FORMATS {
            let mut profile = Profile::for_format(recorder.profile.metadata.clone(), *format);
            profile.strings = recorder.profile.strings.clone();
            profile.frames = recorder.profile.frames.clone();
            profile.stacks = recorder.profile.stacks.clone();
            profile.processes = recorder.profile.processes.clone();
            profile.threads = recorder.profile.threads.clone();
            profile.lost = recorder.profile.lost.clone();
            for sample in &recorder.taken {
                profile.add(*sample);
            }
            if !format.about().needs_timeline {
                let state = |run: &Run| (run.sample.thread, run.sample.stack, run.sample.state);
                let distinct: HashSet<_> = profile.samples().iter().map(state).collect();
                prop_assert_eq!(distinct.len(), profile.samples().len());
            }
            prop_assert_eq!(bytes(*format, &profile, &options), bytes(*format, &recorder.profile, &options));
        }
    }

    #[test]
    fn interning_gives_back_what_went_in(texts in prop::collection::vec(name(), 0..50)) {
        let mut strings = Strings::new();
        let ids: Vec<_> = texts.iter().map(|text| strings.intern(text)).collect();
        for (text, id) in texts.iter().zip(ids) {
            prop_assert_eq!(&strings[id], text);
            prop_assert_eq!(strings.intern(text), id);
        }
    }

    #[test]
    fn stacks_give_back_their_frames(profile in profile()) {
        let mut buffer = Vec::new();
        for Run { sample, .. } in profile.samples() {
            let leaf_first: Vec<_> = profile.stacks.leaf_first(sample.stack).collect();
            prop_assert_eq!(leaf_first.len(), profile.stacks.depth(sample.stack) as usize);
            let root_first = profile.stacks.root_first(sample.stack, &mut buffer);
            prop_assert!(leaf_first.iter().rev().eq(root_first));
        }
    }
}

proptest! {
    #[test]
    fn a_recording_gives_every_format_what_the_profile_does(recorder in recorder(), options in options()) {
        let mut recorder = recorder;
        // A recording is at least as long as its samples say.
        recorder.profile.metadata.duration = recorder.now;
        let read = recording::read(&recording::of(&recorder));
        for format in FORMATS.iter().filter(|format| !format.about().is_written_as_taken) {
            prop_assert_eq!(bytes(*format, &read, &options), bytes(*format, &recorder.profile, &options));
        }
    }
}

/// What `format` writes of a file of its own that was read.
fn again(format: &dyn Format, text: &str, line_numbers: bool) -> Result<String, TestCaseError> {
    let foreign = FOREIGN.iter().find(|foreign| match format.about().name {
        "raw" => foreign.name() == "collapsed",
        name => foreign.name() == name,
    });
    let foreign = foreign.expect("a reader");
    let import =
        foreign.read(text.as_bytes(), &mut |_| ()).map_err(|error| TestCaseError::fail(error.to_string()))?;
    prop_assert_eq!(&import.notices, &Vec::<String>::new());
    let options = Options { line_numbers, ..import.options() };
    Ok(written(format, &import.profile, &options))
}

proptest! {
    #[test]
    fn raw_that_is_read_is_written_again_to_the_byte(profile in profile(), options in options()) {
        let text = written(&Raw, &profile, &options);
        if !text.is_empty() {
            prop_assert_eq!(again(&Raw, &text, true)?, text);
        }
    }

    #[test]
    fn speedscope_that_is_read_is_written_again_to_the_byte(profile in profile(), options in options()) {
        let text = written(&Speedscope, &profile, &options);
        prop_assert_eq!(again(&Speedscope, &text, options.line_numbers)?, text);
    }
}
