//! What each format writes, to the byte. To bless changes: `INSTA_UPDATE=always cargo test`.

mod fixture;

use fixture::{Recorder, metadata, shop, written};
use insta::assert_snapshot;
use rspy_profile::format::{Flamegraph, Raw};
use rspy_profile::{Activity, FORMATS, Format, Metadata, Options, Profile, StackId};

/// An SVG with a line per element and without inferno's script, which is not ours.
fn legible(svg: &str) -> String {
    let (head, rest) = svg.split_once("\"use strict\"").expect("inferno's script");
    let (_, tail) = rest.split_once("]]>").expect("the end of inferno's script");
    format!("{head}…]]>{tail}").replace("><", ">\n<")
}

#[test]
fn every_format_has_a_golden_file() {
    for format in FORMATS {
        let mut text = written(*format, &shop(), &Options { by_thread: true, ..Options::default() });
        if format.extension() == "svg" {
            text = legible(&text);
        }
        assert_snapshot!(format.name(), text);
    }
}

#[test]
fn formats_can_be_told_apart() {
    for (index, format) in FORMATS.iter().enumerate() {
        assert!(FORMATS[..index].iter().all(|other| other.name() != format.name()));
        assert_eq!(
            rspy_profile::format::by_name(format.name()).map(Format::extension),
            Some(format.extension())
        );
        assert!(!format.description().ends_with('.'));
    }
    assert!(rspy_profile::format::by_name("unheard-of").is_none());
}

#[test]
fn raw_follows_the_options() {
    let default = Options::default();
    for (name, options) in [
        ("raw-default", default.clone()),
        ("raw-by-function", Options { by_function: true, ..default.clone() }),
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
    let mut recorder = Recorder { profile: Profile::new(metadata()) };
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
        lines(Options { by_function: true, ..Options::default() }),
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
