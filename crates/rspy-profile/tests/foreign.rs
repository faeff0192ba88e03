//! Files that other profilers wrote (`tests/foreign`, made by `tools/foreign-samples`), compared with what those
//! profilers' own tools say is in them.

mod fixture;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use fixture::{shop, written};
use rspy_profile::foreign::{Import, START, Unit, recognize};
use rspy_profile::format::{Raw, Speedscope};
use rspy_profile::{Activity, FOREIGN, FORMATS, ForeignError, FrameKind, Options, Profile, Run, Thread};
use serde_json::Value;

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/foreign").join(name)
}

fn bytes(name: &str) -> Vec<u8> {
    fs::read(path(name)).unwrap_or_else(|error| panic!("{name}: {error}; run tools/foreign-samples"))
}

/// Reads a file as what it is taken for.
fn read_bytes(bytes: &[u8]) -> Result<Import, ForeignError> {
    let foreign = recognize(&bytes[..bytes.len().min(START)]).expect("it is recognized");
    let mut last = 0;
    let import = foreign.read(bytes, &mut |position| {
        assert!((last..=bytes.len() as u64).contains(&position), "progress goes on, and not beyond the end");
        last = position;
    });
    assert!(import.is_err() || last == bytes.len() as u64, "all of it was read");
    import
}

fn read(name: &str) -> Import {
    read_bytes(&bytes(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The weight of each stack, as text that `frame` and `thread` make.
type Stacks = BTreeMap<String, u64>;

fn stacks(
    profile: &Profile,
    thread: impl Fn(&Profile, &Thread) -> String,
    frame: impl Fn(&str, &str, u32) -> String,
) -> Stacks {
    let mut stacks = Stacks::new();
    let mut buffer = Vec::new();
    for run in profile.samples() {
        let mut text = thread(profile, &profile.threads[run.sample.thread]);
        for &id in profile.stacks.root_first(run.sample.stack, &mut buffer) {
            let place = &profile.frames[id];
            let (name, file) = (&profile.strings[place.name], &profile.strings[place.file]);
            text += ";";
            text += &match place.kind {
                FrameKind::Collecting => "<GC>".to_owned(),
                _ => frame(name, file, place.line.unwrap_or(0)),
            };
        }
        *stacks.entry(text).or_default() += run.weight();
    }
    stacks
}

/// The lines of a text as its writer means them: comments left out, each stack with the sum of its counts.
fn lines<'t>(text: &'t str, stack: impl Fn(&'t str) -> String) -> Stacks {
    let mut stacks = Stacks::new();
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let (head, count) = line.rsplit_once(' ').expect("a count");
        if let Ok(count) = count.parse::<u64>() {
            *stacks.entry(stack(head)).or_default() += count;
        }
    }
    stacks
}

fn austin_thread(profile: &Profile, thread: &Thread) -> String {
    let pid = profile.processes[thread.process].pid;
    format!("P{pid};T{}", thread.os_id.expect("a thread of Linux"))
}

fn austin_frame(name: &str, file: &str, line: u32) -> String {
    format!("{file}:{name}:{line}")
}

/// What `mojo2austin` makes of a file, without the interpreter, which a profile does not have.
fn austin_lines(name: &str) -> Stacks {
    let text = String::from_utf8(bytes(name)).expect("text");
    lines(&text, |stack| stack.replacen(";T0:", ";T", 1)).into_iter().collect()
}

/// Stacks as `mojo2austin` shows them, which says nothing of the garbage collector.
fn without_collector(stacks: Stacks) -> Stacks {
    let mut sums = Stacks::new();
    for (stack, weight) in stacks {
        *sums.entry(stack.trim_end_matches(";<GC>").to_owned()).or_default() += weight;
    }
    sums
}

#[test]
fn mojo_is_what_mojo2austin_says() {
    for name in
        ["austin-3.4.1", "austin-3.5.0", "austin-3.7.0", "austin-4.0.0", "version-4", "version-4-repeat"]
    {
        let import = read(&format!("{name}.mojo"));
        assert_eq!(import.notices, Vec::<String>::new(), "{name}");
        assert_eq!((import.unit, import.profile.metadata.rate), (Unit::Time, 1e6));
        let ours = stacks(&import.profile, austin_thread, austin_frame);
        assert_eq!(ours, austin_lines(&format!("{name}.txt")), "{name}");
        assert!(ours.values().sum::<u64>() > 0);
    }
}

#[test]
fn mojo_of_memory_is_what_grew() {
    let import = read("austin-4.0.0-memory.mojo");
    assert_eq!((import.unit, import.profile.metadata.rate), (Unit::Bytes, 0.0));
    let ours = stacks(&import.profile, austin_thread, austin_frame);
    assert_eq!(ours, austin_lines("austin-4.0.0-memory.txt"));
}

/// `mojo2austin` writes the memory of such a file and not its times, so that the stacks are compared alone.
#[test]
fn mojo_in_full_has_times_idle_threads_and_collections() {
    let import = read("austin-4.0.0-full.mojo");
    assert_eq!(import.notices, ["Each sample has time and memory; the time is kept, the memory left out."]);
    let profile = &import.profile;
    let ours = stacks(profile, austin_thread, austin_frame);
    let theirs = String::from_utf8(bytes("austin-4.0.0-full.txt")).expect("text");
    let mut theirs: Vec<String> = theirs
        .lines()
        .filter(|line| line.starts_with('P'))
        .map(|line| line.rsplit_once(' ').expect("a count").0.replacen(";T0:", ";T", 1))
        .collect();
    theirs.sort();
    theirs.dedup();
    assert_eq!(without_collector(ours.clone()).into_keys().collect::<Vec<_>>(), theirs);
    assert!(ours.keys().any(|stack| stack.ends_with(";<GC>")));
    let of = |activity| profile.samples().iter().filter(|run| run.sample.state.activity == activity).count();
    assert!(of(Activity::Idle) > 0 && of(Activity::Active) > 0 && of(Activity::Unknown) == 0);
    // austin's own count of microseconds, to a twentieth: it begins before the first sample.
    let (main, _) = profile.threads.iter().next().expect("a thread");
    let runs = profile.samples().iter().filter(|run| run.sample.thread == main);
    let (took, seen) = (profile.metadata.duration.as_micros() as u64, runs.map(Run::weight).sum::<u64>());
    assert!(seen <= took && seen * 20 > took * 17, "{seen} of {took} µs");
}

#[test]
fn columns_of_mojo_are_those_of_the_source() {
    let text = written(&Raw, &read("austin-4.0.0.mojo").profile, &Options::default());
    // `        total += index * index`, and what was executed of it.
    assert!(text.contains("square (/tmp/shop/work.py:15:18-30)"), "{text}");
}

#[test]
fn text_of_austin_is_taken_apart() {
    let import = read("austin-3.7.0-full-text.txt");
    let profile = &import.profile;
    assert_eq!((import.unit, profile.metadata.python_version.is_none()), (Unit::Time, true));
    let text = String::from_utf8(bytes("austin-3.7.0-full-text.txt")).expect("text");
    let mut theirs = Stacks::new();
    for line in text.lines().filter(|line| line.starts_with('P')) {
        let (stack, numbers) = line.rsplit_once(' ').expect("numbers");
        let time: u64 = numbers.split(',').next().and_then(|time| time.parse().ok()).expect("a time");
        let stack = stack.replacen(";T0:", ";T", 1).replace(":GC:", "<GC>");
        *theirs.entry(stack).or_default() += time;
    }
    let ours = stacks(profile, austin_thread, |name, file, line| match file {
        "" => name.to_owned(),
        _ => austin_frame(name, file, line),
    });
    assert_eq!(ours, theirs);
    let idle = text.lines().filter(|line| line.contains(",1,")).count() as u64;
    let of_idle = |run: &&Run| run.sample.state.activity == Activity::Idle;
    assert_eq!(profile.samples().iter().filter(of_idle).map(|run| run.count).sum::<u64>(), idle);
    // mojo2austin's text of times.
    let import = read("austin-4.0.0.txt");
    assert_eq!(stacks(&import.profile, austin_thread, austin_frame), austin_lines("austin-4.0.0.txt"));
    assert_eq!(import.profile.metadata.python_version.as_deref(), Some("3.11.2"));
}

#[test]
fn tachyon_is_what_its_replay_says() {
    for name in ["tachyon", "tachyon-uncompressed"] {
        let import = read(&format!("{name}.bin"));
        let text = String::from_utf8(bytes(&format!("{name}.txt"))).expect("text");
        let ours = stacks(
            &import.profile,
            |_, thread| format!("tid:{}", thread.os_id.expect("a thread of Linux")),
            |name, file, line| match file {
                "" => name.to_owned(),
                _ => format!("{}:{name}:{line}", file.rsplit('/').next().unwrap_or(file)),
            },
        );
        assert_eq!(ours, lines(&text, str::to_owned), "{name}");
        let metadata = &import.profile.metadata;
        assert_eq!((import.unit, metadata.rate), (Unit::Samples, 500.0));
        assert_eq!(metadata.python_version.as_deref(), Some("3.15.2"));
        assert!((0.9..1.5).contains(&metadata.duration.as_secs_f64()), "{:?}", metadata.duration);
        let last = import.profile.samples().iter().map(|run| run.until).max().expect("samples");
        // The duration is that of the sampling alone, without what went before it.
        assert!(last.abs_diff(metadata.duration.as_nanos() as u64) < 100_000_000, "{last}");
    }
    let columns = written(&Raw, &read("tachyon.bin").profile, &Options { idle: true, ..Options::default() });
    assert!(columns.contains("square (/tmp/shop/work.py:15:18-30)"), "{columns}");
}

#[test]
fn raw_of_py_spy_is_written_again_to_the_byte() {
    let text = String::from_utf8(bytes("py-spy.txt")).expect("text");
    let import = read("py-spy.txt");
    assert!(import.by_process && import.by_thread);
    let process = import.profile.processes.iter().next().expect("a process").1;
    assert_eq!(import.profile.metadata.pid, process.pid);
    assert_eq!(import.profile.metadata.program, "/usr/bin/python3 -I -S /tmp/shop/work.py 0.5");
    assert!(import.profile.threads.iter().all(|(_, thread)| thread.os_id.is_some()));
    let again = written(&Raw, &import.profile, &import.options());
    let sorted = |text: &str| {
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    // A thread that executes no Python code is a root alone there.
    let text: String = text
        .lines()
        .map(|line| match line.rsplit_once(' ') {
            Some((stack, count)) if stack.ends_with(')') && stack.matches(';').count() == 1 => {
                format!("{stack};[no frames] {count}\n")
            }
            _ => format!("{line}\n"),
        })
        .collect();
    assert_eq!(sorted(&again), sorted(&text));
}

/// The name, the end and the samples, by frames and weight, of a profile of a speedscope file.
type Timeline = (String, f64, Vec<(Vec<String>, f64)>);

/// The profiles of a speedscope file.
fn timelines(text: &str) -> Vec<Timeline> {
    let file: Value = serde_json::from_str(text).expect("JSON");
    let frame =
        |index: &Value| file["shared"]["frames"][index.as_u64().expect("an index") as usize].to_string();
    let profiles = file["profiles"].as_array().expect("a list");
    let list = |value: &Value| value.as_array().expect("a list").clone();
    profiles
        .iter()
        .map(|profile| {
            let weights =
                list(&profile["weights"]).into_iter().map(|weight| weight.as_f64().expect("a weight"));
            let stacks =
                list(&profile["samples"]).into_iter().map(|stack| list(&stack).iter().map(frame).collect());
            let name = profile["name"].as_str().expect("a name").to_owned();
            (name, profile["endValue"].as_f64().expect("a time"), stacks.zip(weights).collect())
        })
        .collect()
}

#[test]
fn speedscope_of_py_spy_is_written_again_with_every_sample() {
    let import = read("py-spy.json");
    assert_eq!((import.unit, import.profile.metadata.rate), (Unit::Time, 200.0));
    let again = written(&Speedscope, &import.profile, &import.options());
    assert_eq!(timelines(&again), timelines(&String::from_utf8(bytes("py-spy.json")).expect("text")));
}

#[test]
fn our_own_files_are_written_again_to_the_byte() {
    for by_thread in [false, true] {
        let options = Options { idle: true, by_thread, by_process: by_thread, ..Options::default() };
        for format in [&Raw as &dyn rspy_profile::Format, &Speedscope] {
            let text = written(format, &shop(), &options);
            let import = read_bytes(text.as_bytes()).expect("it is read");
            assert_eq!(import.options(), options);
            assert_eq!(written(format, &import.profile, &options), text);
        }
    }
}

#[test]
fn evented_speedscope_is_time_between_events() {
    let text = r#"{"$schema":"https://www.speedscope.app/file-format-schema.json",
        "shared":{"frames":[{"name":"main"},{"name":"work","file":"a.rs","line":7,"col":3}]},
        "profiles":[{"type":"evented","name":"main thread","unit":"milliseconds","startValue":0,"endValue":20,"events":[
            {"type":"O","frame":0,"at":1},{"type":"O","frame":1,"at":3.5},{"type":"C","frame":1,"at":7},
            {"type":"C","frame":0,"at":8},{"type":"O","frame":0,"at":18},{"type":"C","frame":0,"at":20}]}]}"#;
    let import = read_bytes(text.as_bytes()).expect("it is read");
    let raw = written(&Raw, &import.profile, &Options { by_thread: true, ..Options::default() });
    let rate = import.profile.metadata.rate;
    let expected =
        "thread (unknown): main thread;main 11\nthread (unknown): main thread;main;work (a.rs:7:3) 7\n";
    assert_eq!((raw.as_str(), rate), (expected, 2000.0));
    // The thread had no frames for ten milliseconds.
    let times: Vec<u64> =
        import.profile.samples().iter().map(|run| run.sample.at).filter(|at| *at > 0).collect();
    assert_eq!(times, [2_500_000, 6_000_000, 7_000_000, 19_000_000]);
}

#[test]
fn files_are_recognized_by_one_reader_each() {
    let mut files = 0;
    for file in fs::read_dir(path("")).expect("the folder of samples") {
        let file = file.expect("an entry").path();
        let start = fs::read(&file).expect("a file");
        let name = file.file_name().and_then(|name| name.to_str()).expect("a name");
        let expected = match file.extension().and_then(|extension| extension.to_str()) {
            Some("mojo") => "mojo",
            Some("bin") => "tachyon",
            Some("json") => "speedscope",
            _ => "collapsed",
        };
        let by: Vec<_> = FOREIGN.iter().filter(|foreign| foreign.recognizes(&start)).collect();
        assert_eq!(by.iter().map(|foreign| foreign.name()).collect::<Vec<_>>(), [expected], "{name}");
        files += 1;
    }
    assert!(files >= 20);
    for format in FORMATS {
        let mut bytes = Vec::new();
        format.write(&shop(), &Options::default(), &mut bytes).expect("a Vec takes every byte");
        let expected = match format.about().name {
            "raw" => Some("collapsed"),
            "speedscope" => Some("speedscope"),
            _ => None,
        };
        assert_eq!(recognize(&bytes).map(|foreign| foreign.name()), expected, "{}", format.about().name);
    }
    let others: [&[u8]; 6] =
        [b"", b"\x7fELF\x02\x01\x01\0", b"import os\nprint(1)\n", b"<svg>\n", b"{\"a\": 1}", b"MOJITO"];
    for other in others {
        assert!(recognize(other).is_none(), "{other:?}");
    }
}
