//! Profiles larger than usual: every format takes them, and pictures stay of a size to look at.

mod fixture;

use std::io;

use fixture::{Recorder, written};
use rspy_profile::format::{Flamegraph, Raw};
use rspy_profile::{FORMATS, FormatError, Frame, FrameKind, Options, Profile, StackId};

/// A profile of `stacks` distinct stacks, `depth` frames each, of 1,000 functions.
fn wide(stacks: u32, depth: u32) -> Profile {
    let mut recorder = Recorder::default();
    let thread = recorder.thread(1, "");
    let frames: Vec<_> = (0..1000)
        .map(|number| {
            let name = recorder.profile.strings.intern(&format!("Package.function_{number}"));
            let file = recorder.profile.strings.intern(&format!("package/module_{}.py", number % 40));
            let place = Frame {
                name,
                file,
                short_file: file,
                line: Some(number),
                ..Frame::unknown(FrameKind::Python)
            };
            recorder.profile.frames.intern(place)
        })
        .collect();
    for number in 0..stacks {
        // The digits of the number choose the innermost frames, so that stacks share outer ones.
        let mut seed = u64::from(number).reverse_bits();
        let stack = (0..depth).fold(StackId::EMPTY, |stack, level| {
            let frame = frames[(seed >> 60) as usize * 60 + level as usize];
            seed = seed.rotate_left(1);
            recorder.profile.stacks.intern(stack, frame)
        });
        recorder.active(thread, stack, 1 + u64::from(number) % 7);
    }
    recorder.profile
}

#[test]
fn a_hundred_thousand_distinct_stacks_give_a_picture_a_browser_can_open() {
    let stacks = if cfg!(debug_assertions) { 10_000 } else { 100_000 };
    let profile = wide(stacks, 30);
    let options = Options::default();
    let raw = written(&Raw, &profile, &options);
    assert_eq!(raw.lines().count(), stacks as usize);
    let svg = written(&Flamegraph, &profile, &options);
    assert!(svg.len() < 20_000_000, "{} bytes", svg.len());
}

#[test]
fn a_stack_of_ten_thousand_frames_shows_both_its_ends() {
    let mut recorder = Recorder::default();
    let thread = recorder.thread(1, "");
    let mut stack = recorder.stack(StackId::EMPTY, &[("main", "app.py", 9, 8)]);
    for _ in 0..9_998 {
        stack = recorder.stack(stack, &[("recurse", "app.py", 3, 1)]);
    }
    stack = recorder.stack(stack, &[("leaf", "app.py", 6, 5)]);
    recorder.active(thread, stack, 10);

    let options = Options { by_thread: true, ..Options::default() };
    let raw = written(&Raw, &recorder.profile, &options);
    assert_eq!(raw.matches(';').count(), 10_000);

    let svg = written(&Flamegraph, &recorder.profile, &options);
    assert!(svg.contains("main (app.py:9) (10 samples, 100.00%)"));
    assert!(svg.contains("[middle of a deep stack: not drawn] (10 samples, 100.00%)"));
    assert!(svg.contains("leaf (app.py:6) (10 samples, 100.00%)"));
    let (_, rest) = svg.split_once("height=\"").expect("a height");
    let height: u32 = rest.split_once('"').and_then(|(digits, _)| digits.parse().ok()).expect("a number");
    assert_eq!(height, (1 + 1 + 384 + 1 + 127) * 16 + 76 + 22);
}

#[test]
fn long_names_are_whole_on_hovering_and_fit_where_they_are_drawn() {
    let mut recorder = Recorder::default();
    let thread = recorder.thread(1, "");
    let name = recorder.profile.strings.intern(&"größe.".repeat(2_000));
    let frame = Frame { name, ..Frame::unknown(FrameKind::Python) };
    let frame = recorder.profile.frames.intern(frame);
    let stack = recorder.profile.stacks.intern(StackId::EMPTY, frame);
    recorder.active(thread, stack, 1);
    let svg = written(&Flamegraph, &recorder.profile, &Options::default());
    assert!(svg.contains(&format!("<title>{} (1 samples, 100.00%)</title>", "größe.".repeat(2_000))));
    assert_eq!(svg.matches("größe.größe.größe.").count(), 2_000 / 3 + 27 / 3);
}

/// A writer whose reader goes away after some bytes.
struct Pipe {
    room: usize,
}

impl io::Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(self.room);
        self.room -= taken;
        if taken == 0 { Err(io::ErrorKind::BrokenPipe.into()) } else { Ok(taken) }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_reader_that_goes_away_can_be_told_from_other_failures() {
    let profile = fixture::shop();
    for format in FORMATS {
        for room in [0, 1, 1_000] {
            let error = format.write(&profile, &Options::default(), &mut Pipe { room }).expect_err("no room");
            assert!(error.is_broken_pipe(), "{}: {error}", format.about().name);
        }
        let empty = format.write(&Profile::default(), &Options::default(), &mut Pipe { room: 100_000 });
        assert!(empty.is_ok());
    }
    assert!(!FormatError::from(io::Error::from(io::ErrorKind::StorageFull)).is_broken_pipe());
}
