//! What each format writes, to the byte. To bless changes: `INSTA_UPDATE=always cargo test`.

mod decoded;
mod fixture;

use fixture::{Recorder, bytes, metadata, shop, written};
use insta::assert_snapshot;
use rspy_profile::format::{Chrometrace, Flamegraph, Raw, Speedscope};
use rspy_profile::{Activity, By, FORMATS, Metadata, Options, Profile, StackId, View};
use serde_json::{Value, json};

/// An SVG with a line per element and without inferno's script, which is not ours.
fn legible(svg: &str) -> String {
    let (head, rest) = svg.split_once("\"use strict\"").expect("inferno's script");
    let (_, tail) = rest.split_once("]]>").expect("the end of inferno's script");
    format!("{head}…]]>{tail}").replace("><", ">\n<")
}

#[test]
fn every_format_has_a_golden_file() {
    // A recording is compressed: tests/recording.rs holds what is in it against its documentation.
    for format in FORMATS.iter().filter(|format| !format.about().is_written_as_taken) {
        let options = Options { by_thread: true, ..Options::default() };
        let mut text = decoded::legible(format.about().name, &bytes(*format, &shop(), &options));
        if format.about().extension == "svg" {
            text = legible(&text);
        }
        if format.about().extension == "json" {
            text = text.replace("},{", "},\n{").replace("],[", "],\n[");
        }
        assert_snapshot!(format.about().name, text);
    }
}

#[test]
fn formats_can_be_told_apart() {
    for (index, format) in FORMATS.iter().enumerate() {
        assert!(FORMATS[..index].iter().all(|other| other.about().name != format.about().name));
        assert_eq!(
            rspy_profile::format::by_name(format.about().name).map(|format| format.about().extension),
            Some(format.about().extension)
        );
        assert!(!format.about().description.ends_with('.'));
    }
    assert!(rspy_profile::format::by_name("unheard-of").is_none());
}

#[test]
fn raw_follows_the_options() {
    let default = Options::default();
    for (name, options) in [
        ("raw-default", default.clone()),
        ("raw-by-function", Options { by: By::Function, ..default.clone() }),
        ("raw-without-lines", Options { line_numbers: false, ..default.clone() }),
        ("raw-full-filenames", Options { full_filenames: true, ..default.clone() }),
        ("raw-idle", Options { idle: true, ..default.clone() }),
        ("raw-gil", Options { gil: true, ..default }),
    ] {
        assert_snapshot!(name, written(&Raw, &shop(), &options));
    }
}

/// As py-spy 0.4.3 wrote it.
#[test]
fn raw_is_the_text_of_py_spy() {
    let mut recorder = Recorder { profile: Profile::new(metadata()), ..Recorder::default() };
    let main = recorder.thread(8306, "MainThread");
    let thread = recorder.thread(8309, "Thread-1 (<lambda>)");
    let stack = recorder.stack(
        StackId::EMPTY,
        &[
            ("<module>", "/srv/shop/target.py", 22, 1),
            ("Local.method.<locals>.<lambda>", "/srv/shop/target.py", 8, 8),
            ("busy", "/srv/shop/pkg/work.py", 5, 2),
        ],
    );
    recorder.active(main, stack, 44);
    recorder.active(thread, stack, 7);
    let lines = |options| written(&Raw, &recorder.profile, &options);
    assert_eq!(
        lines(Options::default()),
        "<module> (target.py:22);Local.method.<locals>.<lambda> (target.py:8);busy (pkg/work.py:5) 51\n"
    );
    assert_eq!(
        lines(Options { by: By::Function, ..Options::default() }),
        "<module> (target.py:1);Local.method.<locals>.<lambda> (target.py:8);busy (pkg/work.py:2) 51\n"
    );
    assert_eq!(
        lines(Options { line_numbers: false, ..Options::default() }),
        "<module> (target.py);Local.method.<locals>.<lambda> (target.py);busy (pkg/work.py) 51\n"
    );
    assert_eq!(
        lines(Options { by_thread: true, line_numbers: false, ..Options::default() }),
        "thread (8306): MainThread;<module> (target.py);Local.method.<locals>.<lambda> (target.py);busy \
         (pkg/work.py) 44\n\
         thread (8309): Thread-1 (<lambda>);<module> (target.py);Local.method.<locals>.<lambda> (target.py);busy \
         (pkg/work.py) 7\n"
    );
}

#[test]
fn a_profile_without_samples_says_why() {
    let empty = Profile::new(Metadata { program: "cat <&>".into(), ..metadata() });
    assert_eq!(written(&Raw, &empty, &Options::default()), "");
    assert_snapshot!(
        "flamegraph-empty",
        written(&Flamegraph, &empty, &Options::default()).replace("><", ">\n<")
    );

    let mut recorder = Recorder::default();
    let thread = recorder.thread(1, "");
    recorder.sample(thread, StackId::EMPTY, 1234, Activity::Idle);
    let svg = written(&Flamegraph, &recorder.profile, &Options::default());
    assert!(svg.contains("1,234 samples taken, of idle threads only"), "{svg}");
}

/// What py-spy 0.4.3 writes of two threads, key by key.
#[test]
fn speedscope_has_the_shape_of_py_spy() {
    let mut recorder = Recorder { profile: Profile::new(metadata()), ..Recorder::default() };
    let main = recorder.thread(8306, "MainThread");
    let nameless = recorder.thread(8309, "");
    let stack = recorder.stack(
        StackId::EMPTY,
        &[("<module>", "/srv/shop/target.py", 22, 1), ("busy;", "/srv/shop/pkg/work.py", 5, 2)],
    );
    recorder.active(main, stack, 1);
    recorder.active(nameless, stack, 1);
    recorder.active(main, stack, 2);
    let shown = |options| {
        serde_json::from_str::<Value>(&written(&Speedscope, &recorder.profile, &options)).expect("JSON")
    };
    let expected = json!({
        "$schema": "https://www.speedscope.app/file-format-schema.json",
        "profiles": [
            { "type": "sampled", "name": "Thread 8306 \"MainThread\"", "unit": "seconds", "startValue": 0.0,
              "endValue": 0.03, "samples": [[1, 0], [1, 0]], "weights": [0.01, 0.02] },
            { "type": "sampled", "name": "Thread 8309", "unit": "seconds", "startValue": 0.0,
              "endValue": 0.01, "samples": [[1, 0]], "weights": [0.01] },
        ],
        "shared": { "frames": [
            { "name": "busy;", "file": "/srv/shop/pkg/work.py", "line": 5, "col": null },
            { "name": "<module>", "file": "/srv/shop/target.py", "line": 22, "col": null },
        ] },
        "activeProfileIndex": 0,
        "exporter": "rspy@0.1.0",
        "name": "python -m shop serve --port 8080",
    });
    assert_eq!(shown(Options::default()), expected);
    let lines = |options| {
        let frames = &shown(options)["shared"]["frames"];
        let frames: Vec<_> = frames.as_array().expect("a list").iter().collect();
        frames.iter().map(|frame| (frame["name"].clone(), frame["line"].clone())).collect::<Vec<_>>()
    };
    let by_thread = Options { by_thread: true, ..Options::default() };
    assert_eq!(lines(by_thread.clone())[2], (json!("thread (8306): MainThread"), json!(0)));
    assert_eq!(lines(Options { line_numbers: false, ..by_thread })[2].1, json!(null));
    assert_eq!(lines(Options { by: By::Function, ..Options::default() })[0].1, json!(2));
}

/// The events of a trace as (thread, phase, name, milliseconds).
fn bars(profile: &Profile, options: &Options) -> Vec<(u64, String, String, u64)> {
    let events: Vec<Value> =
        serde_json::from_str(&written(&Chrometrace, profile, options)).expect("a list of events");
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    events
        .iter()
        .filter(|event| event["ph"] != "M")
        .map(|event| {
            let time = event["ts"].as_u64().expect("a time");
            (event["tid"].as_u64().expect("an id"), text(&event["ph"]), text(&event["name"]), time / 1000)
        })
        .collect()
}

#[test]
fn chrometrace_ends_what_was_not_seen_for_a_while() {
    let mut recorder = Recorder::default();
    let thread = recorder.thread(7, "");
    let outer = recorder.stack(StackId::EMPTY, &[("outer", "a.py", 1, 1)]);
    let other_line = recorder.stack(StackId::EMPTY, &[("outer", "a.py", 2, 1)]);
    let inner = recorder.stack(other_line, &[("inner", "a.py", 9, 8)]);
    recorder.active(thread, outer, 1);
    recorder.active(thread, inner, 1);
    recorder.sample(thread, inner, 1, Activity::Idle);
    recorder.active(thread, other_line, 1);
    recorder.sample(thread, outer, 20, Activity::Idle);
    recorder.active(thread, outer, 4);
    let options = Options::default();
    let event = |phase: &str, name: &str, at| (7, phase.to_owned(), name.to_owned(), at);
    let expected = [
        event("B", "outer", 10),
        event("B", "inner", 20),
        // One tick that passed without a sample is no gap that can be told.
        event("E", "inner", 40),
        event("E", "outer", 50),
        // Of four ticks the first three were missed.
        event("B", "outer", 250),
        event("E", "outer", 290),
    ];
    assert_eq!(bars(&recorder.profile, &options), expected);
}

/// The texts of a picture's frames with where they lie, from left to right within a row.
fn boxes(svg: &str) -> Vec<(String, f64, f64)> {
    let number = |rect: &str, name: &str| -> f64 {
        let from = rect.split_once(&format!(" {name}=\"")).expect("an attribute").1;
        from.split(['"', '%']).next().and_then(|text| text.parse().ok()).expect("a number")
    };
    let frames = svg.split("<g><title>").skip(1).map(|frame| {
        let title = frame.split(" (").next().expect("a name").to_owned();
        (title, number(frame, "x"), number(frame, "y"))
    });
    frames.collect()
}

#[test]
fn flame_graphs_lie_as_asked_for() {
    let mut recorder = Recorder { profile: Profile::new(metadata()), ..Recorder::default() };
    let thread = recorder.thread(1, "");
    let last = recorder.stack(StackId::EMPTY, &[("outer", "a.py", 1, 1), ("aardvark", "a.py", 2, 2)]);
    let first = recorder.stack(StackId::EMPTY, &[("outer", "a.py", 1, 1), ("zebra", "a.py", 9, 9)]);
    recorder.active(thread, first, 1);
    recorder.sample(thread, first, 1, Activity::Idle);
    recorder.active(thread, last, 1);
    let of = |view| boxes(&written(&Flamegraph, &recorder.profile, &Options { view, ..Options::default() }));
    let place = |boxes: &[(String, f64, f64)], name: &str| {
        let (_, x, y) = boxes.iter().find(|(title, ..)| title == name).expect("a frame of that name");
        (*x, *y)
    };
    let icicle = of(View::Icicle);
    assert!(place(&icicle, "outer").1 < place(&icicle, "zebra").1);
    assert!(place(&icicle, "aardvark").0 < place(&icicle, "zebra").0, "by name");
    let flame = of(View::Flame);
    assert!(place(&flame, "outer").1 > place(&flame, "zebra").1);
    let time = of(View::Time);
    let (first, between, last) =
        (place(&time, "zebra").0, place(&time, "[idle]").0, place(&time, "aardvark").0);
    assert!(first < between && between < last, "{time:?}");
    assert_eq!(time.iter().filter(|(title, ..)| title == "outer").count(), 2, "{time:?}");
}
