//! Our binary files as others read them: pprof's by npm's `pprof-format`, OpenTelemetry's by PyPI's `opentelemetry-proto`, both
//! made from the formats' own definitions. `tests/viewers.rs` has a viewer of pprof's files.
//!
//! They are installed into the user's cache when they are not there. Without npm or Python this fails where `CI` is `true`,
//! and elsewhere says that it was skipped.

mod decoded;
mod fixture;
mod packages;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use fixture::{Recorder, bytes, metadata, shop};
use rspy_profile::format::{Otlp, Pprof};
use rspy_profile::{Format, Options, Process, Profile, StackId, Thread};
use serde_json::{Value, json};

const PPROF_FORMAT: &str = "pprof-format@2.3.2";

/// Its definitions are those of our library.
const OPENTELEMETRY: &str = "opentelemetry-proto==1.45.2";

/// What `command` says of `profile` as `format` writes it.
fn read(mut command: Command, test: &str, format: &dyn Format, profile: &Profile) -> Value {
    let name = format!("{test}-{}.{}", std::process::id(), format.about().extension);
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::write(&file, bytes(format, profile, &Options::default())).expect("a writable target directory");
    let answer = packages::run(command.arg(&file));
    fs::remove_file(&file).expect("a file of our own");
    serde_json::from_str(&answer).expect("JSON")
}

fn by_pprof_format(test: &str, profile: &Profile) -> Option<Value> {
    let folder = packages::npm(test, PPROF_FORMAT)?;
    let mut command = Command::new("node");
    command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/decoders/pprof.cjs")).arg(folder);
    Some(read(command, test, &Pprof, profile))
}

fn by_opentelemetry(test: &str, profile: &Profile) -> Option<Value> {
    let mut command = Command::new(packages::python(test, OPENTELEMETRY)?);
    command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/decoders/otlp.py"));
    Some(read(command, test, &Otlp, profile))
}

/// The weight of each stack, as `decoded` gives it.
fn weights(samples: &Value) -> BTreeMap<Vec<String>, u128> {
    let mut weights = BTreeMap::new();
    for sample in samples.as_array().expect("a list") {
        let frames = sample["frames"].as_array().expect("a list").iter();
        let names = frames.map(|frame| frame[0].as_str().expect("text").to_owned()).collect();
        *weights.entry(names).or_default() += u128::from(sample["values"][0].as_u64().expect("a count"));
    }
    weights
}

/// The sum of the values of each thread, by its label.
fn threads(samples: &Value, label: &str) -> BTreeMap<String, u64> {
    let mut threads = BTreeMap::new();
    for sample in samples.as_array().expect("a list") {
        *threads.entry(sample["labels"][label].to_string()).or_default() +=
            sample["values"][0].as_u64().expect("a count");
    }
    threads
}

fn expected<const COUNT: usize>(threads: [(&str, u64); COUNT]) -> BTreeMap<String, u64> {
    threads.map(|(name, weight)| (name.to_owned(), weight)).into()
}

#[test]
fn pprof_format_reads_pprof() {
    let Some(file) = by_pprof_format("pprof-format", &shop()) else { return };
    assert_eq!(file["types"], json!(["samples/count", "cpu/nanoseconds"]));
    assert_eq!((&file["period"], &file["duration"]), (&json!(10_000_000), &json!(12_340_000_000_u64)));
    let samples = &file["samples"];
    let ours =
        decoded::weights("pprof", &bytes(&Pprof, &shop(), &Options::default())).expect("it is read here");
    assert_eq!(weights(samples), ours);
    assert_eq!(ours.values().sum::<u128>(), 975);
    assert_eq!(
        threads(samples, "thread id"),
        expected([("8306", 822), ("8308", 145), ("8309", 7), ("null", 1)])
    );
    assert_eq!(
        threads(samples, "thread name"),
        expected([("\"MainThread\"", 822), ("\"worker 1\"", 145), ("null", 8)])
    );
    assert_eq!(threads(samples, "process id"), expected([("8306", 974), ("null", 1)]));
    let tax = json!(["tax", "/srv/shop/shop/money.py", 8, 14]);
    let of_tax = samples.as_array().expect("a list").iter().find(|sample| sample["frames"][7] == tax);
    assert_eq!(of_tax.expect("a sample")["values"], json!([72, 720_000_000]));
    assert!(file["comments"].as_array().expect("a list").contains(&json!("[lost: exited while read] 1")));
}

#[test]
fn pprof_format_reads_no_samples_and_no_rate() {
    let Some(file) = by_pprof_format("pprof-empty", &Profile::new(metadata())) else { return };
    assert_eq!(file["samples"], json!([]));
    let mut profile = shop();
    profile.metadata.rate = 0.0;
    let Some(file) = by_pprof_format("pprof-max", &profile) else { return };
    assert_eq!((&file["types"], &file["period"]), (&json!(["samples/count"]), &json!(0)));
    assert_eq!(weights(&file["samples"]).values().sum::<u128>(), 975);
}

#[test]
fn opentelemetry_reads_otlp() {
    let Some(file) = by_opentelemetry("otlp", &shop()) else { return };
    assert_eq!(file.as_array().map(Vec::len), Some(1));
    let profile = &file[0];
    assert_eq!(
        profile["resource"],
        json!({
            "process.pid": 8306,
            "process.command_line": "python app.py",
            "process.runtime.name": "cpython",
            "process.runtime.version": "3.13.0",
            "host.name": "web-1",
        })
    );
    assert_eq!(profile["scope"], json!(["rspy", "0.1.0"]));
    assert_eq!(profile["type"], "samples/count");
    assert_eq!(profile["period"], json!([10_000_000, "cpu/nanoseconds"]));
    assert_eq!(profile["duration"], 12_340_000_000_u64);
    let samples = &profile["samples"];
    let ours =
        decoded::weights("otlp", &bytes(&Otlp, &shop(), &Options::default())).expect("it is read here");
    assert_eq!(weights(samples), ours);
    assert_eq!(ours.values().sum::<u128>(), 975);
    assert_eq!(
        threads(samples, "thread.id"),
        expected([("8306", 822), ("8308", 145), ("8309", 7), ("null", 1)])
    );
    assert_eq!(
        threads(samples, "thread.name"),
        expected([("\"MainThread\"", 822), ("\"worker 1\"", 145), ("null", 8)])
    );
    let tax = json!(["tax", "/srv/shop/shop/money.py", 8, 14, { "profile.frame.type": "cpython" }]);
    let frames = |sample: &Value| sample["frames"].as_array().expect("a list").clone();
    let samples = samples.as_array().expect("a list");
    let of_tax = samples.iter().find(|sample| frames(sample).last() == Some(&tax));
    assert_eq!(of_tax.expect("a sample")["values"], json!([72]));
    let cut = json!(["[cut]", "", 0, 0, {}]);
    let cut = samples.iter().find(|sample| frames(sample).last() == Some(&cut));
    assert_eq!(cut.expect("a sample")["values"], json!([3]));
}

#[test]
fn opentelemetry_reads_each_process_as_a_resource() {
    let mut recorder = Recorder { profile: Profile::new(metadata()), ..Recorder::default() };
    recorder.profile.metadata.rate = 0.0;
    // It was found before the one that started it, and has done nothing.
    let command_line = recorder.profile.strings.intern("sh -c python");
    recorder.profile.processes.add(Process { pid: 1, parent: None, command_line });
    let command_line = recorder.profile.strings.intern("python\0\n;\u{ffff} worker.py");
    let child = recorder.profile.processes.add(Process { pid: 8400, parent: None, command_line });
    let command_line = recorder.profile.strings.intern("python app.py");
    let parent = recorder.profile.processes.add(Process { pid: 8306, parent: None, command_line });
    let stack = recorder.stack(StackId::EMPTY, &[("ma\nin\0;", "a.py", 1, 1)]);
    for (process, weight) in [(child, 20), (parent, 3)] {
        let thread = Thread { process, os_id: None, python_id: Some(7), name: None };
        let thread = recorder.profile.threads.add(thread);
        recorder.active(thread, stack, weight);
    }
    recorder.profile.lost.add(rspy_profile::LostReason::Denied, 100);
    let Some(file) = by_opentelemetry("otlp-processes", &recorder.profile) else { return };
    let resources: Vec<Value> = file
        .as_array()
        .expect("a list")
        .iter()
        .map(|profile| {
            let of = |key: &str| profile["resource"][key].clone();
            let weight = weights(&profile["samples"]).values().sum::<u128>() as u64;
            json!([of("process.pid"), of("process.command_line"), of("process.runtime.version"), weight])
        })
        .collect();
    assert_eq!(
        resources,
        [
            json!([8306, "python app.py", "3.13.0", 103]),
            json!([8400, "python\0\n;\u{ffff} worker.py", null, 20]),
        ]
    );
    assert_eq!(file[0]["period"], json!([0, "/"]));
    assert!(weights(&file[1]["samples"]).contains_key(&vec!["ma\nin\0;".to_owned()]));
}

#[test]
fn opentelemetry_reads_no_samples() {
    let Some(file) = by_opentelemetry("otlp-empty", &Profile::new(metadata())) else { return };
    assert_eq!(file[0]["samples"], json!([]));
    assert_eq!(file[0]["resource"]["process.pid"], 8306);
}
