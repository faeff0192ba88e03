//! A file for pprof.

use std::collections::BTreeMap;

use prost::Message;

use self::proto::{Location, Profile, Sample, ValueType};
use super::gunzipped;

#[path = "../../src/format/pprof/proto.rs"]
mod proto;

/// The file, with what pprof demands of one.
fn read(bytes: &[u8]) -> Profile {
    let profile = Profile::decode(gunzipped(bytes).as_slice()).expect("a whole message");
    assert_eq!(profile.string_table.first().map(String::as_str), Some(""));
    let ids = |ids: Vec<u64>| assert!(ids.iter().eq(&(1..=ids.len() as u64).collect::<Vec<_>>()), "{ids:?}");
    ids(profile.location.iter().map(|location| location.id).collect());
    ids(profile.function.iter().map(|function| function.id).collect());
    for sample in &profile.sample {
        assert_eq!(sample.value.len(), profile.sample_type.len());
        let labels: Vec<i64> = sample.label.iter().map(|label| label.key).collect();
        assert!(
            (1..labels.len()).all(|index| !labels[..index].contains(&labels[index])),
            "a label comes once"
        );
    }
    profile
}

fn text(profile: &Profile, index: i64) -> &str {
    &profile.string_table[usize::try_from(index).expect("an index")]
}

fn locations<'a>(profile: &'a Profile, sample: &'a Sample) -> impl Iterator<Item = &'a Location> {
    sample.location_id.iter().rev().map(|id| &profile.location[*id as usize - 1])
}

pub fn weights(bytes: &[u8]) -> BTreeMap<Vec<String>, u128> {
    let profile = read(bytes);
    let mut weights = BTreeMap::new();
    for sample in &profile.sample {
        let name = |location: &Location| {
            let function = &profile.function[location.line[0].function_id as usize - 1];
            text(&profile, function.name).to_owned()
        };
        let names = locations(&profile, sample).map(name).collect();
        let weight = u128::try_from(sample.value[0]).expect("a count");
        let period = u128::try_from(profile.period).expect("a time");
        if let Some(time) = sample.value.get(1) {
            assert_eq!(*time as u128, (weight * period).min(i64::MAX as u128));
        }
        *weights.entry(names).or_default() += weight;
    }
    weights
}

/// A line for each sample.
pub fn legible(bytes: &[u8]) -> String {
    let profile = read(bytes);
    let of = |value: &ValueType| format!("{}/{}", text(&profile, value.r#type), text(&profile, value.unit));
    let mut lines = vec![
        format!("sample types: {}", profile.sample_type.iter().map(of).collect::<Vec<_>>().join(" ")),
        format!("period: {} {}", profile.period, profile.period_type.as_ref().map(of).unwrap_or_default()),
        format!("time: {}, duration: {}", profile.time_nanos, profile.duration_nanos),
    ];
    lines.extend(profile.comment.iter().map(|comment| format!("comment: {}", text(&profile, *comment))));
    for function in &profile.function {
        assert_eq!(function.name, function.system_name);
        let (name, file) = (text(&profile, function.name), text(&profile, function.filename));
        lines.push(format!("function {}: {name} {file}:{}", function.id, function.start_line));
    }
    for sample in &profile.sample {
        let frame = |location: &Location| {
            let line = location.line[0];
            let function = &profile.function[line.function_id as usize - 1];
            format!("{}#{}:{}:{}", text(&profile, function.name), function.id, line.line, line.column)
        };
        let frames: Vec<String> = locations(&profile, sample).map(frame).collect();
        let label = |label: &proto::Label| match text(&profile, label.str) {
            "" => format!("{}={}", text(&profile, label.key), label.num),
            value => format!("{}={value}", text(&profile, label.key)),
        };
        let labels: Vec<String> = sample.label.iter().map(label).collect();
        lines.push(format!("{:?} {{{}}} {}", sample.value, labels.join(", "), frames.join(";")));
    }
    lines.join("\n")
}
