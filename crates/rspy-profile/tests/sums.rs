//! How samples are kept: what shares an entry, and that no sum overflows.

mod decoded;
mod fixture;

use fixture::{Recorder, bytes, metadata, written};
use rspy_profile::format::{Chrometrace, Flamegraph, Raw, Speedscope};
use rspy_profile::{
    Activity, FORMATS, Format, LostReason, Metadata, Options, Profile, Run, StackId, ThreadState, Totals,
};

/// A second of two threads, one of them with two stacks in turn, at 300,000 samples a second.
fn busy(format: &dyn Format) -> Recorder {
    let rate = 300_000.0;
    let profile = Profile::for_format(Metadata { rate, ..metadata() }, format);
    let mut recorder = Recorder { profile, ..Recorder::default() };
    let threads = [recorder.thread(1, ""), recorder.thread(2, "")];
    let one = recorder.stack(StackId::EMPTY, &[("one", "a.py", 1, 1)]);
    let other = recorder.stack(StackId::EMPTY, &[("other", "a.py", 2, 2)]);
    for tick in 0..300_000_u64 {
        let at = tick * 1_000_000_000 / 300_000;
        // Half of the time one stack, then the other.
        let stack = if tick < 150_000 { one } else { other };
        for (thread, stack) in [(threads[0], stack), (threads[1], one)] {
            let state = ThreadState { activity: Activity::Active, ..ThreadState::default() };
            recorder.profile.add(rspy_profile::Sample { at, thread, stack, weight: 1, state });
        }
    }
    recorder
}

#[test]
fn a_profile_is_no_larger_than_what_is_distinct_in_it() {
    for format in FORMATS {
        let profile = busy(*format).profile;
        assert_eq!(profile.samples().len(), 3, "{}", format.about().name);
        assert_eq!(profile.samples().iter().map(Run::weight).sum::<u64>(), 600_000);
        let whole = Options { by_thread: true, ..Options::default() };
        assert_eq!(Totals::new(&profile, &whole).samples, 600_000);
    }
    assert_eq!(written(&Raw, &busy(&Raw).profile, &Options::default()).lines().count(), 2);
    let trace = written(&Chrometrace, &busy(&Chrometrace).profile, &Options::default());
    assert_eq!(trace.matches("\"ph\":\"B\"").count(), 3);
    let file: serde_json::Value =
        serde_json::from_str(&written(&Speedscope, &busy(&Speedscope).profile, &Options::default()))
            .expect("JSON");
    assert_eq!(file["profiles"][0]["samples"].as_array().expect("a list").len(), 300_000);
}

#[test]
fn a_pause_ends_a_run_only_where_it_shows() {
    for (format, runs) in [(&Chrometrace as &dyn Format, 2), (&Flamegraph, 1)] {
        let profile = Profile::for_format(metadata(), format);
        let mut recorder = Recorder { profile, ..Recorder::default() };
        let thread = recorder.thread(1, "");
        recorder.active(thread, StackId::EMPTY, 1);
        recorder.active(thread, StackId::EMPTY, 1);
        recorder.now += 3 * std::time::Duration::from_millis(10);
        recorder.active(thread, StackId::EMPTY, 1);
        assert_eq!(recorder.profile.samples().len(), runs);
    }
}

#[test]
fn sums_have_a_limit_and_do_not_overflow() {
    for format in FORMATS {
        let profile = Profile::for_format(metadata(), *format);
        let mut recorder = Recorder { profile, ..Recorder::default() };
        let thread = recorder.thread(1, "");
        let stack = recorder.stack(StackId::EMPTY, &[("one", "a.py", 1, 1)]);
        let state = ThreadState { activity: Activity::Active, ..ThreadState::default() };
        for (at, stack) in [(1, stack), (2, stack), (3, StackId::EMPTY)] {
            recorder.profile.add(rspy_profile::Sample { at, thread, stack, weight: u64::MAX, state });
        }
        for reason in [LostReason::Exited, LostReason::Denied, LostReason::Exited] {
            recorder.profile.lost.add(reason, u64::MAX);
        }
        let totals = Totals::new(&recorder.profile, &Options::default());
        assert_eq!((totals.samples, totals.lost), (u64::MAX / 2, u64::MAX / 2));
        assert!(!bytes(*format, &recorder.profile, &Options::default()).is_empty());
    }
}

/// Without a rate a tick is no certain time.
#[test]
fn a_profile_without_a_rate_is_written_in_samples() {
    for format in FORMATS {
        let mut recorder = Recorder {
            profile: Profile::for_format(Metadata { rate: 0.0, ..metadata() }, *format),
            ..Recorder::default()
        };
        let thread = recorder.thread(1, "");
        let stack = recorder.stack(StackId::EMPTY, &[("one", "a.py", 1, 1)]);
        recorder.active(thread, stack, 1);
        recorder.active(thread, stack, 1);
        recorder.now += std::time::Duration::from_millis(5);
        recorder.active(thread, stack, 1);
        if format.about().is_written_as_taken {
            continue;
        }
        let text =
            decoded::legible(format.about().name, &bytes(*format, &recorder.profile, &Options::default()));
        match format.about().name {
            "raw" => assert_eq!(text, "one (a.py:1) 3\n"),
            "flamegraph" => assert!(text.contains("3 samples at max over 12.3 s"), "{text}"),
            "speedscope" => {
                let file: serde_json::Value = serde_json::from_str(&text).expect("JSON");
                let thread = &file["profiles"][0];
                assert_eq!((&thread["unit"], &thread["endValue"]), (&"none".into(), &3.0.into()));
                assert_eq!(thread["weights"], serde_json::json!([1.0, 1.0, 1.0]));
            }
            // Seen every 10 ms, and once after 15: that is a pause.
            "chrometrace" => assert_eq!(text.matches("\"ph\":\"B\"").count(), 2, "{text}"),
            "table" => {
                assert!(text.contains("own samples"), "{text}");
                assert!(
                    text.ends_with("   100.0           3    100.0           3  one (a.py:1)\n"),
                    "{text}"
                );
            }
            // What the three are from the first to the last is 25 ms.
            "gecko" => {
                assert!(text.contains("interval: 12.5\n") && text.contains("\"weight\":[1,1,0,1]"), "{text}")
            }
            "pprof" => assert!(text.contains("sample types: samples/count\nperiod: 0 \n"), "{text}"),
            "otlp" => assert!(text.contains("period: 0 \n") && text.contains("[3] {"), "{text}"),
            "pstats" => {
                assert!(text.contains("(\"a.py\", 1, \"one\"): 1 1 3 3\n"), "{text}");
                assert!(text.contains("times are numbers of samples"), "{text}");
            }
            "callgrind" => {
                assert!(text.contains("\nevents: Samples\nsummary: 3\n"), "{text}");
                assert!(text.contains("\ndesc: Rate: none") && text.ends_with("\n1 3\n"), "{text}");
            }
            "jsonl" => {
                assert!(text.contains("\"rate\":null"), "{text}");
                assert!(
                    text.contains("\"count\":2,\"weight\":2,") && text.contains("\"weight\":1,"),
                    "{text}"
                );
            }
            other => panic!("{other} is not covered"),
        }
    }
}
