//! Every stack of every format has the weight that it has in `raw`, for the same profile and the same options.

mod decoded;
mod fixture;

use std::collections::BTreeMap;

use fixture::{Recorder, bytes, metadata, shop, written};
use rspy_profile::format::Raw;
use rspy_profile::{
    Activity, By, FORMATS, FrameKind, LostReason, Metadata, Options, Process, Profile, StackId, Thread,
};

/// What all lines of `raw` come to.
fn raw_total(profile: &Profile, options: &Options) -> u128 {
    let text = written(&Raw, profile, options);
    text.lines()
        .map(|line| line.rsplit_once(' ').expect("a count").1.parse::<u128>().expect("a number"))
        .sum()
}

/// The weights in each format, of which the sums are equal to that of `raw`.
fn weights(profile: &Profile, options: &Options) -> BTreeMap<&'static str, BTreeMap<Vec<String>, u128>> {
    let mut all = BTreeMap::new();
    for format in FORMATS {
        if let Some(weights) = decoded::weights(format.about().name, &bytes(*format, profile, options)) {
            assert_eq!(
                weights.values().sum::<u128>(),
                raw_total(profile, options),
                "{}, {options:?}",
                format.about().name
            );
            all.insert(format.about().name, weights);
        }
    }
    assert_eq!(all.len(), 3);
    all
}

/// All of them, which are the same in all formats.
fn agreed(profile: &Profile, options: &Options) -> BTreeMap<Vec<String>, u128> {
    let mut weights = weights(profile, options).into_values();
    let first = weights.next().expect("a format");
    assert!(weights.all(|other| other == first), "{options:?}");
    first
}

fn every_option() -> Vec<Options> {
    let default = Options::default();
    vec![
        default.clone(),
        Options { idle: true, ..default.clone() },
        Options { gil: true, ..default.clone() },
        Options { by_thread: true, by_process: true, ..default.clone() },
        Options { by: By::Function, ..default.clone() },
        Options { by: By::Module, ..default.clone() },
        Options { line_numbers: false, ..default },
    ]
}

#[test]
fn the_shop_weighs_the_same_everywhere() {
    for options in every_option() {
        let weights = agreed(&shop(), &options);
        let of = |name: &str| -> u128 {
            weights
                .iter()
                .filter(|(stack, _)| stack.iter().any(|frame| frame == name))
                .map(|(_, weight)| weight)
                .sum()
        };
        assert_eq!(of("[cut]"), 3);
        assert_eq!(of("[no frames]"), 5);
        assert_eq!(of("[lost: memory unreadable]"), 2);
        assert_eq!(of("[lost: exited while read]"), 1);
    }
    assert_eq!(raw_total(&shop(), &Options { idle: true, ..Options::default() }), 1185);
}

#[test]
fn a_profile_without_samples_weighs_nothing() {
    for options in every_option() {
        assert!(agreed(&Profile::new(metadata()), &options).is_empty());
        assert!(agreed(&Profile::default(), &options).is_empty());
    }
}

#[test]
fn without_a_rate_samples_are_counted() {
    let mut profile = shop();
    profile.metadata.rate = 0.0;
    for options in every_option() {
        agreed(&profile, &options);
    }
}

#[test]
fn samples_of_two_processes_are_told_apart() {
    let mut recorder = Recorder { profile: Profile::new(metadata()), ..Recorder::default() };
    let main = recorder.thread(8306, "MainThread");
    let command_line = recorder.profile.strings.intern("python worker.py");
    let parent = Some(recorder.profile.threads[main].process);
    // The same id as another process had before, and the same of a thread.
    let processes =
        [8307, 8307].map(|pid| recorder.profile.processes.add(Process { pid, parent, command_line }));
    let threads = processes.map(|process| {
        recorder.profile.threads.add(Thread { process, os_id: Some(8307), python_id: None, name: None })
    });
    let stack = recorder.stack(StackId::EMPTY, &[("main", "a.py", 1, 1)]);
    for (thread, weight) in [(main, 1), (threads[0], 20), (threads[1], 300)] {
        recorder.active(thread, stack, weight);
    }
    for options in every_option() {
        assert_eq!(agreed(&recorder.profile, &options).values().sum::<u128>(), 321);
    }
    let by_process = Options { by_process: true, ..Options::default() };
    assert_eq!(agreed(&recorder.profile, &by_process).len(), 2, "equal labels are one in raw as well");
    let file =
        decoded::gecko::read(&bytes(&rspy_profile::format::Gecko, &recorder.profile, &Options::default()));
    let threads = file["threads"].as_array().expect("a list");
    let ids: Vec<_> = threads.iter().map(|thread| (thread["pid"].as_str(), thread["tid"].as_str())).collect();
    let expected = [("8306", "8306"), ("8307", "8307"), ("8307.1", "8307.1")];
    assert_eq!(ids, expected.map(|(pid, tid)| (Some(pid), Some(tid))));
    assert!(threads.iter().all(|thread| thread["isMainThread"] == true));
}

#[test]
fn hostile_names_are_kept_as_they_are() {
    let names = [
        "a;b\nc\0d",
        "]]>\u{feff}\u{202e}",
        "\u{fffe}\u{ffff}\u{10ffff}",
        " ",
        "\u{1}\u{1b}[31m",
        "\"\\\"",
        "ｅ\u{301}",
    ];
    let mut recorder = Recorder::default();
    let thread = recorder.thread(1, "na\nme\0");
    recorder.profile.metadata.program = "python \0\n\u{ffff}".into();
    for name in names {
        let stack = recorder.stack(StackId::EMPTY, &[(name, "x\ny;\0.py", 1, 1)]);
        recorder.active(thread, stack, 1);
    }
    let weights = agreed(&recorder.profile, &Options::default());
    for name in names {
        assert_eq!(weights.get(&vec![name.to_owned()]), Some(&1), "{name:?}");
    }
    // A function that is called as what is not known is not the same.
    let cut = recorder.unknown(FrameKind::Cut);
    let cut = recorder.profile.stacks.intern(StackId::EMPTY, cut);
    let called_cut = recorder.stack(StackId::EMPTY, &[("[cut]", "", 0, 0)]);
    recorder.active(thread, cut, 10);
    recorder.active(thread, called_cut, 100);
    agreed(&recorder.profile, &Options::default());
}

#[test]
fn the_largest_weights_are_kept() {
    for rate in [0.0, 100.0] {
        let mut recorder =
            Recorder { profile: Profile::new(Metadata { rate, ..metadata() }), ..Recorder::default() };
        let thread = recorder.thread(1, "");
        let stack = recorder.stack(StackId::EMPTY, &[("one", "a.py", 1, 1)]);
        recorder.profile.add(rspy_profile::Sample {
            at: 1,
            thread,
            stack,
            weight: u64::MAX,
            state: rspy_profile::ThreadState { activity: Activity::Active, ..Default::default() },
        });
        recorder.profile.lost.add(LostReason::Denied, u64::MAX);
        let expected = u128::from(u64::MAX / 2);
        assert_eq!(
            agreed(&recorder.profile, &Options::default()).into_values().collect::<Vec<_>>(),
            [expected; 2]
        );
    }
}
