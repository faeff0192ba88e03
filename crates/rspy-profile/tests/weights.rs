//! What is written weighs what `raw` writes, and every function in it what the stacks weigh that hold it.

mod decoded;
mod fixture;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use fixture::{Recorder, bytes, metadata, shop, written};
use proptest::prelude::*;
use rspy_profile::format::{Callgrind, Jsonl, Pstats, Raw};
use rspy_profile::{
    Activity, By, FrameKind, LostReason, Metadata, Options, Process, Profile, StackId, Thread,
};
use serde_json::Value;

/// The own and the total weight of each function.
type Weights = BTreeMap<String, (u64, u64)>;

fn of_raw(profile: &Profile, options: &Options) -> Weights {
    let mut weights = Weights::new();
    for line in written(&Raw, profile, &Options { by: By::Function, ..options.clone() }).lines() {
        let (stack, weight) = line.rsplit_once(' ').expect("a weight");
        let weight: u64 = weight.parse().expect("a number");
        let leaf = stack.rsplit(';').next().expect("a frame");
        weights.entry(leaf.to_owned()).or_default().0 += weight;
        for function in stack.split(';').collect::<BTreeSet<_>>() {
            weights.entry(function.to_owned()).or_default().1 += weight;
        }
    }
    weights
}

/// Also holds that a function's callers account for it, but for where stacks begin with it.
fn of_pstats(profile: &Profile, options: &Options) -> Weights {
    let rate = if profile.metadata.rate > 0.0 { profile.metadata.rate } else { 1.0 };
    let ticks = |time: f64| (time * rate).round() as u64;
    let rows = decoded::pstats::rows(&bytes(&Pstats, profile, options));
    let (remarks, rows): (Vec<_>, Vec<_>) =
        rows.into_iter().partition(|((_, _, name), _)| name.starts_with("[sampled"));
    assert_eq!(remarks.len(), 1);
    let mut weights = Weights::new();
    for ((file, line, name), row) in rows {
        let label = if file == "~" { name } else { format!("{name} ({file}:{line})") };
        assert!(row.primitive_calls <= row.calls);
        let own: u64 = row.callers.values().map(|(_, _, own, _)| ticks(*own)).sum();
        assert!(own <= ticks(row.own), "{label}");
        let calls: u64 = row.callers.values().map(|(calls, ..)| *calls).sum();
        assert!(calls <= row.calls, "{label}");
        assert!(row.callers.values().all(|(_, _, _, total)| *total <= row.total));
        assert!(weights.insert(label, (ticks(row.own), ticks(row.total))).is_none());
    }
    weights
}

/// Reads the lines by the letter of the format; totals are what is called, by whomever.
fn of_callgrind(profile: &Profile, options: &Options) -> Weights {
    let text = written(&Callgrind, profile, options);
    let mut lines = text.lines();
    let value = |line: &str| line.split_once(": ").expect("a value").1.to_owned();
    let header: HashMap<String, String> = lines
        .by_ref()
        .take_while(|line| !line.is_empty())
        .filter(|line| !line.starts_with('#') && !line.starts_with("desc") && !line.starts_with("event:"))
        .map(|line| (line.split_once(':').expect("a key").0.to_owned(), value(line)))
        .collect();
    assert_eq!(header["positions"], "line");
    let events = header["events"].split(' ').count();
    let mut names: HashMap<(bool, u32), String> = HashMap::new();
    let mut name = |is_file, text: &str| {
        let (number, name) = text.strip_prefix('(').and_then(|text| text.split_once(')')).expect("a number");
        let number = number.parse().expect("a number");
        if let Some(name) = name.strip_prefix(' ') {
            assert!(names.insert((is_file, number), name.to_owned()).is_none(), "{name} is named twice");
        }
        names[&(is_file, number)].clone()
    };
    let mut weights = Weights::new();
    let (mut function, mut callee, mut is_call) = (String::new(), String::new(), false);
    for line in lines.filter(|line| !line.is_empty()) {
        match line.split_once('=') {
            Some(("fl" | "cfl", text)) => assert!(!name(true, text).is_empty()),
            Some(("fn", text)) => function = name(false, text),
            Some(("cfn", text)) => callee = name(false, text),
            Some(("calls", text)) => {
                assert_ne!(text.split(' ').next(), Some("0"), "no calls");
                is_call = true;
            }
            _ => {
                let numbers: Vec<u64> = line.split(' ').map(|word| word.parse().expect("a number")).collect();
                assert_eq!(numbers.len(), 1 + events);
                match std::mem::take(&mut is_call) {
                    true => weights.entry(callee.clone()).or_default().1 += numbers[1],
                    false => weights.entry(function.clone()).or_default().0 += numbers[1],
                }
            }
        }
    }
    assert_eq!(weights.remove("[all samples]").unwrap_or_default(), (0, 0));
    assert_eq!(header["summary"].split(' ').next(), Some(&*total(&weights).to_string()));
    weights
}

/// Also holds that everything is named before it is used, and that the last line is what the others come to.
fn of_jsonl(profile: &Profile, options: &Options) -> Weights {
    let text = written(&Jsonl, profile, options);
    let records: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let number = |record: &Value, key: &str| record[key].as_u64();
    let (mut processes, mut threads, mut last) = (0, 0, 0.0);
    let mut frames: Vec<String> = Vec::new();
    let mut stacks: Vec<Vec<String>> = Vec::new();
    let (mut weights, mut cut, mut lost) = (Weights::new(), 0, 0);
    let is_new = |record: &Value, known: usize| assert_eq!(number(record, "id"), Some(known as u64));
    for (position, record) in records.iter().enumerate() {
        let kind = record["type"].as_str().expect("a type");
        assert_eq!(kind == "recording", position == 0);
        assert_eq!(kind == "totals", position + 1 == records.len());
        match kind {
            "process" => {
                is_new(record, processes);
                assert!(number(record, "parent").is_none_or(|parent| parent < processes as u64));
                processes += 1;
            }
            "thread" => {
                is_new(record, threads);
                assert!(number(record, "process").is_some_and(|process| process < processes as u64));
                threads += 1;
            }
            "frame" => {
                is_new(record, frames.len());
                let name = record["name"].as_str().expect("a name");
                frames.push(match record["file"].as_str() {
                    Some(file) => format!("{name} ({file}:{})", record["first_line"]),
                    None => name.to_owned(),
                });
            }
            "stack" => {
                is_new(record, stacks.len());
                let mut stack =
                    number(record, "parent").map_or(Vec::new(), |parent| stacks[parent as usize].clone());
                stack.push(frames[number(record, "frame").expect("a frame") as usize].clone());
                stacks.push(stack);
            }
            "sample" => {
                let weight = number(record, "weight").expect("a weight");
                assert!(number(record, "thread").is_some_and(|thread| thread < threads as u64));
                let time = record["time"].as_f64().expect("a time");
                assert!(time >= last && record["until"].as_f64().expect("a time") >= time);
                last = time;
                let stack = number(record, "stack")
                    .map_or(vec!["[no frames]".to_owned()], |stack| stacks[stack as usize].clone());
                let leaf = stack.last().expect("a frame");
                cut += if leaf == "[cut]" { weight } else { 0 };
                lost += if leaf.starts_with("[lost: ") { weight } else { 0 };
                add(&mut weights, &stack, weight);
            }
            "lost" => {
                let weight = number(record, "weight").expect("a weight");
                lost += weight;
                add(
                    &mut weights,
                    &[format!("[lost: {}]", record["reason"].as_str().expect("a reason"))],
                    weight,
                );
            }
            "memory" => {
                assert!(number(record, "resident").is_some_and(|bytes| bytes > 0));
                assert!(record["time"].as_f64().is_some() && number(record, "process") == Some(0));
            }
            "recording" | "totals" => {}
            other => panic!("{other} is not documented"),
        }
    }
    let totals = records.last().expect("totals");
    assert_eq!(number(totals, "lost"), Some(lost));
    assert_eq!(number(totals, "cut"), Some(cut));
    assert_eq!(number(totals, "samples").map(|samples| samples + lost), Some(total(&weights)));
    weights
}

fn add(weights: &mut Weights, stack: &[String], weight: u64) {
    weights.entry(stack.last().expect("a frame").clone()).or_default().0 += weight;
    for function in stack.iter().collect::<BTreeSet<_>>() {
        weights.entry(function.clone()).or_default().1 += weight;
    }
}

fn total(weights: &Weights) -> u64 {
    weights.values().map(|(own, _)| own).sum()
}

/// What all formats write of the same; `by_name` where names are such that all write them alike.
fn agree(profile: &Profile, options: &Options, by_name: bool) {
    let short = of_raw(profile, options);
    let full = of_raw(profile, &Options { full_filenames: true, ..options.clone() });
    let plain = Options { by_thread: false, by_process: false, full_filenames: true, ..options.clone() };
    for (format, weights, raw) in [
        ("pstats", of_pstats(profile, options), &full),
        ("callgrind", of_callgrind(profile, options), &short),
        ("jsonl", of_jsonl(profile, options), &of_raw(profile, &plain)),
    ] {
        assert_eq!(total(&weights), total(raw), "{format}");
        if by_name {
            let some = weights.into_iter().filter(|(_, weights)| *weights != (0, 0)).collect::<Weights>();
            assert_eq!(some, *raw, "{format}");
        }
    }
}

fn every_choice() -> impl Iterator<Item = Options> {
    (0..32).map(|bits| Options {
        by_thread: bits & 1 > 0,
        by_process: bits & 2 > 0,
        idle: bits & 4 > 0,
        gil: bits & 8 > 0,
        by: if bits & 16 > 0 { By::Function } else { By::Line },
        ..Options::default()
    })
}

#[test]
fn a_shop() {
    for options in every_choice() {
        agree(&shop(), &options, true);
    }
    assert_eq!(total(&of_pstats(&shop(), &Options::default())), 975);
    assert_eq!(total(&of_pstats(&shop(), &Options { idle: true, ..Options::default() })), 1185);
}

#[test]
fn nothing() {
    for options in every_choice() {
        agree(&Profile::new(metadata()), &options, true);
        let mut recorder = Recorder::default();
        let thread = recorder.thread(1, "");
        recorder.sample(thread, StackId::EMPTY, 1234, Activity::Idle);
        agree(&recorder.profile, &options, true);
    }
}

#[test]
fn no_rate() {
    let mut profile = shop();
    for rate in [0.0, f64::NAN, f64::INFINITY] {
        profile.metadata.rate = rate;
        assert_eq!(written(&Jsonl, &profile, &Options::default()).matches("\"rate\":null").count(), 1);
        assert!(written(&Callgrind, &profile, &Options::default()).contains("events: Samples\n"));
    }
    profile.metadata.rate = 0.0;
    for options in every_choice() {
        agree(&profile, &options, true);
    }
}

#[test]
fn two_processes() {
    let mut recorder = Recorder { profile: Profile::new(metadata()), ..Recorder::default() };
    let main = recorder.thread(8306, "MainThread");
    let profile = &mut recorder.profile;
    let command_line = profile.strings.intern("python worker.py");
    let parent = Some(profile.threads[main].process);
    let process = profile.processes.add(Process { pid: 8400, parent, command_line });
    let os_id = Some(8400);
    let worker = profile.threads.add(Thread { process, os_id, python_id: Some(1 << 46), name: None });
    let stack = recorder.stack(StackId::EMPTY, &[("main", "/a.py", 3, 1), ("work", "/a.py", 9, 8)]);
    recorder.active(main, stack, 5);
    recorder.active(worker, stack, 7);
    for options in every_choice() {
        agree(&recorder.profile, &options, true);
    }
    let by_process = Options { by_process: true, ..Options::default() };
    for weights in [of_pstats(&recorder.profile, &by_process), of_callgrind(&recorder.profile, &by_process)] {
        assert_eq!(weights["process 8306:\"python app.py\""], (0, 12));
        assert_eq!(weights["process 8400:\"python worker.py\""], (0, 7));
    }
}

#[test]
fn hostile_names() {
    let mut recorder = Recorder { profile: Profile::new(metadata()), ..Recorder::default() };
    recorder.profile.metadata.program = "python\nevents: Ir\n\nfn=(1) x".into();
    let thread = recorder.thread(1, "\n");
    let stack = recorder.stack(
        StackId::EMPTY,
        &[
            ("a\nfn=(1) b\0\r\n\u{85}\u{2028}\"'\\", "/x;y\n.py", 3, 1),
            ("(1)", "(2) z", 7, 0),
            ("", "", 0, 0),
            ("calls=1 2", "\t", 0, 0),
            ("[cut]", "~", 0, 0),
        ],
    );
    recorder.active(thread, stack, 5);
    let cut = recorder.unknown(FrameKind::Cut);
    let stack = recorder.profile.stacks.intern(stack, cut);
    recorder.active(thread, stack, 7);
    recorder.profile.lost.add(LostReason::Denied, 2);
    for options in every_choice() {
        agree(&recorder.profile, &options, false);
    }
    let text = written(&Callgrind, &recorder.profile, &Options::default());
    assert!(text.contains("\ncmd: python events: Ir  fn=(1) x\n"), "{text}");
    assert!(text.contains(" (1) ((2) z:0)\n"), "{text}");
    assert!(!text.contains(|character: char| character.is_control() && character != '\n'));
}

prop_compose! {
    /// Few functions, so that there are recursions of all kinds.
    fn recursive()(
        samples in prop::collection::vec((0_usize..3, prop::collection::vec((0_usize..5, 1_u32..3), 0..7), 1_u64..5, 0_usize..3), 0..40),
        rate in prop::sample::select(vec![0.0, 1.0, 100.0, 997.0, 2_500_000.0]),
        lost in 0_u64..3,
    ) -> Profile {
        let mut recorder = Recorder { profile: Profile::new(Metadata { rate, ..metadata() }), ..Recorder::default() };
        let threads = [recorder.thread(1, "one"), recorder.thread(2, "two"), recorder.thread(3, "")];
        for (thread, calls, weight, activity) in samples {
            let stack = calls.iter().fold(StackId::EMPTY, |stack, &(function, line)| {
                let frame = match function {
                    0..4 => {
                        let name = ["a", "b", "c", "d"][function];
                        recorder.call((name, ["/x.py", "/y.py"][function % 2], line, 1))
                    }
                    _ => recorder.unknown([FrameKind::Cut, FrameKind::Truncated][line as usize - 1]),
                };
                recorder.profile.stacks.intern(stack, frame)
            });
            let activity = [Activity::Active, Activity::Idle, Activity::Unknown][activity];
            recorder.sample(threads[thread], stack, weight, activity);
        }
        recorder.profile.lost.add(LostReason::Exited, lost);
        recorder.profile
    }
}

proptest! {
    #[test]
    fn small_profiles(profile in recursive(), bits in 0_usize..32) {
        agree(&profile, &every_choice().nth(bits).expect("one of 32"), true);
    }
}
