//! How many calls a time line shows: no more than there can have been.

mod decoded;
mod fixture;

use std::time::Duration;

use fixture::{Recorder, bytes};
use rspy_profile::format::Pstats;
use rspy_profile::{FrameKind, LostReason, Options, StackId};

/// What a thread was seen in: functions by letters, each with the line that is executed, and stand-ins for frames.
fn stack(recorder: &mut Recorder, text: &str) -> StackId {
    text.split_whitespace().fold(StackId::EMPTY, |stack, word| {
        let frame = match word {
            "cut" => recorder.unknown(FrameKind::Cut),
            "truncated" => recorder.unknown(FrameKind::Truncated),
            "waits" => recorder.unknown(FrameKind::WaitsForGil),
            "gc" => recorder.unknown(FrameKind::Collecting),
            "lost" => recorder.unknown(FrameKind::Lost(LostReason::Inconsistent)),
            call => {
                let line = call[1..].parse().expect("a line");
                let name = ["a", "b", "c", "f"].into_iter().find(|name| call.starts_with(name));
                recorder.call((name.expect("a function"), "x.py", line, 1))
            }
        };
        recorder.profile.stacks.intern(stack, frame)
    })
}

/// The calls of each function that samples of one thread show, as `calls` or, of recursions, `calls/primitive calls`.
fn calls(samples: &[&str]) -> Vec<String> {
    let mut recorder = Recorder::default();
    let thread = recorder.thread(1, "");
    for sample in samples {
        let stack = stack(&mut recorder, sample);
        recorder.active(thread, stack, 1);
    }
    calls_in(&recorder, &Options::default())
}

fn calls_in(recorder: &Recorder, options: &Options) -> Vec<String> {
    let rows = decoded::pstats::rows(&bytes(&Pstats, &recorder.profile, options));
    let functions = rows.iter().filter(|((_, _, name), _)| !name.starts_with("[sampled"));
    let calls = |row: &decoded::pstats::Row| match row.calls == row.primitive_calls {
        true => row.calls.to_string(),
        false => format!("{}/{}", row.calls, row.primitive_calls),
    };
    functions.map(|((_, _, name), row)| format!("{name} {}", calls(row))).collect()
}

#[test]
fn a_call_in_neighbouring_samples_is_one() {
    assert_eq!(calls(&["a1 b1", "a1 b1"]), ["a 1", "b 1"]);
    assert_eq!(calls(&["a1 b1", "a1", "a1 b1"]), ["a 1", "b 2"]);
    assert_eq!(calls(&["a1 b1", "a1 c1", "a1 b1"]), ["a 1", "b 2", "c 1"]);
}

#[test]
fn a_call_goes_on_in_another_line_and_what_it_calls_there_is_new() {
    assert_eq!(calls(&["a1 b1", "a1 b2", "a1 b3 c1"]), ["a 1", "b 1", "c 1"]);
    assert_eq!(calls(&["a1 b1", "a2 b1", "a2 b1"]), ["a 1", "b 2"]);
    assert_eq!(calls(&["a1 b1 c1", "a2 b1 c1"]), ["a 1", "b 2", "c 2"]);
}

#[test]
fn a_recursion_has_one_primitive_call() {
    assert_eq!(calls(&["f1 f1 f1"]), ["f 3/1"]);
    assert_eq!(calls(&["a1 f1 f1", "a1 f1 f2", "a2 f1"]), ["a 1", "f 3/2"]);
    assert_eq!(calls(&["f1 b1 f1", "f1 b1"]), ["b 1", "f 2/1"]);
}

#[test]
fn what_is_hidden_may_go_on() {
    assert_eq!(calls(&["a1 b1 c1", "a1 cut", "a1 b1 c1"]), ["a 1", "b 1", "c 1", "[cut] 0"]);
    assert_eq!(calls(&["a1 b1", "cut", "a1 b1"]), ["a 1", "b 1", "[cut] 0"]);
    assert_eq!(calls(&["a1 b1", "a2 cut", "a2 b1"]), ["a 1", "b 2", "[cut] 0"]);
    assert_eq!(calls(&["a1 b1", "a1 c1 cut", "a1 b1"]), ["a 1", "b 2", "c 1", "[cut] 0"]);
    assert_eq!(calls(&["a1 b1", "lost", "a1 b1"]), ["a 1", "b 1", "[lost: inconsistent stack] 0"]);
    // Which of its frames are the same is not known: the places it was seen in count.
    let truncated = calls(&["truncated b1 c1", "truncated c1 b1", "truncated b1 c1"]);
    assert_eq!(truncated, ["b 2", "c 2", "[truncated] 0"]);
    // No Python code is executed, so that nothing is open.
    assert_eq!(calls(&["a1", "", "a1"]), ["a 2", "[no frames] 0"]);
}

#[test]
fn a_pause_ends_no_call() {
    let mut recorder = Recorder::default();
    let thread = recorder.thread(1, "");
    for sample in ["a1 b1", "a1"] {
        let stack = stack(&mut recorder, sample);
        recorder.active(thread, stack, 1);
        recorder.now += Duration::from_secs(60);
        recorder.active(thread, stack, 1);
    }
    assert_eq!(calls_in(&recorder, &Options::default()), ["a 1", "b 1"]);
}

#[test]
fn threads_call_for_themselves() {
    let mut recorder = Recorder::default();
    let threads = [recorder.thread(1, ""), recorder.thread(2, "")];
    for _ in 0..3 {
        for thread in threads {
            let stack = stack(&mut recorder, "a1 b1");
            recorder.active(thread, stack, 1);
        }
    }
    assert_eq!(calls_in(&recorder, &Options::default()), ["a 2", "b 2"]);
    let by_thread = Options { by_thread: true, ..Options::default() };
    assert_eq!(calls_in(&recorder, &by_thread), ["a 2", "b 2", "thread (1) 1", "thread (2) 1"]);
    let by_process = Options { by_process: true, ..by_thread };
    let process = "process 8306:\"python app.py\" 1";
    assert_eq!(calls_in(&recorder, &by_process), ["a 2", "b 2", process, "thread (1) 1", "thread (2) 1"]);
}

/// They are those of the thread that holds the GIL, and count there.
#[test]
fn frames_of_the_holder_of_the_gil_are_no_calls_of_who_waits() {
    let samples = ["a1 waits b1 c1", "a1 waits b2 c1", "a1", "a1 waits b1"];
    assert_eq!(calls(&samples), ["a 1", "b 0", "c 0", "<waits for the GIL> 2"]);
    assert_eq!(calls(&["a1 gc", "a1", "a1 gc b1", "a1 gc b2"]), ["a 1", "b 1", "<gc> 2"]);
}
