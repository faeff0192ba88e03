//! A file of OpenTelemetry's profiles.

use std::collections::BTreeMap;

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::profiles::v1development::{
    Function, Location, Profile, ProfilesData, ProfilesDictionary, Sample, ValueType,
};
use prost::Message;

/// The file, with what its documentation demands of one.
fn read(bytes: &[u8]) -> (ProfilesData, ProfilesDictionary) {
    let data = ProfilesData::decode(bytes).expect("a whole message");
    let tables = data.dictionary.clone().expect("a dictionary");
    assert!(tables.mapping_table.len() == 1 && tables.link_table.len() == 1);
    assert_eq!(tables.string_table.first().map(String::as_str), Some(""));
    assert_eq!(tables.function_table.first(), Some(&Function::default()));
    assert_eq!(tables.location_table.first(), Some(&Location::default()));
    assert!(tables.stack_table.first().is_some_and(|stack| stack.location_indices.is_empty()));
    assert!(tables.attribute_table.first().is_some_and(|attribute| attribute.value.is_none()));
    let distinct = |mut table: Vec<String>| {
        table.sort();
        assert!(table.windows(2).all(|pair| pair[0] != pair[1]), "an item comes once");
    };
    distinct(tables.string_table.clone());
    distinct(tables.location_table.iter().map(|location| format!("{location:?}")).collect());
    distinct(tables.stack_table.iter().map(|stack| format!("{stack:?}")).collect());
    distinct(tables.attribute_table.iter().map(|attribute| format!("{attribute:?}")).collect());
    for profile in profiles(&data) {
        let identity = |sample: &Sample| format!("{} {:?}", sample.stack_index, sample.attribute_indices);
        let mut identities: Vec<(String, usize)> = profile.samples.iter().map(identity).zip(0..).collect();
        identities.sort();
        // Threads of which nothing is known cannot be told apart.
        let known = |pair: &[(String, usize)]| !profile.samples[pair[0].1].attribute_indices.is_empty();
        assert!(identities.windows(2).all(|pair| !known(pair) || pair[0].0 != pair[1].0), "{identities:?}");
    }
    (data, tables)
}

fn text(tables: &ProfilesDictionary, index: i32) -> &str {
    &tables.string_table[usize::try_from(index).expect("an index")]
}

fn profiles(data: &ProfilesData) -> impl Iterator<Item = &Profile> {
    data.resource_profiles
        .iter()
        .flat_map(|resource| &resource.scope_profiles)
        .flat_map(|scope| &scope.profiles)
}

/// The locations of a sample's stack, outermost first.
fn locations<'a>(tables: &'a ProfilesDictionary, sample: &Sample) -> impl Iterator<Item = &'a Location> {
    let stack = &tables.stack_table[usize::try_from(sample.stack_index).expect("an index")];
    stack.location_indices.iter().rev().map(|index| {
        assert_ne!(*index, 0);
        &tables.location_table[usize::try_from(*index).expect("an index")]
    })
}

fn function<'a>(tables: &'a ProfilesDictionary, location: &Location) -> &'a Function {
    &tables.function_table[usize::try_from(location.lines[0].function_index).expect("an index")]
}

pub fn weights(bytes: &[u8]) -> BTreeMap<Vec<String>, u128> {
    let (data, tables) = read(bytes);
    let mut weights = BTreeMap::new();
    for sample in profiles(&data).flat_map(|profile| &profile.samples) {
        let name = |location| text(&tables, function(&tables, location).name_strindex).to_owned();
        assert!(sample.values.len() == 1 && sample.timestamps_unix_nano.is_empty());
        let weight = u128::try_from(sample.values[0]).expect("a count");
        *weights.entry(locations(&tables, sample).map(name).collect()).or_default() += weight;
    }
    weights
}

/// A line for each sample.
pub fn legible(bytes: &[u8]) -> String {
    let (data, tables) = read(bytes);
    let value = |value: &Option<Value>| match value {
        Some(Value::StringValue(text)) => format!("{text:?}"),
        Some(Value::IntValue(number)) => number.to_string(),
        other => format!("{other:?}"),
    };
    let attribute = |index: &i32| {
        let attribute = &tables.attribute_table[usize::try_from(*index).expect("an index")];
        let known = attribute.value.as_ref().and_then(|value| value.value.clone());
        format!("{}={}", text(&tables, attribute.key_strindex), value(&known))
    };
    let of = |kind: &ValueType| {
        format!("{}/{}", text(&tables, kind.type_strindex), text(&tables, kind.unit_strindex))
    };
    let mut lines = Vec::new();
    for resource in &data.resource_profiles {
        for attribute in resource.resource.iter().flat_map(|resource| &resource.attributes) {
            let known = attribute.value.as_ref().and_then(|value| value.value.clone());
            lines.push(format!("{}={}", attribute.key, value(&known)));
        }
        for scope in &resource.scope_profiles {
            let by = scope.scope.as_ref().expect("a scope");
            lines.push(format!("scope {} {}", by.name, by.version));
            for profile in &scope.profiles {
                lines.push(format!(
                    "sample type: {}",
                    profile.sample_type.as_ref().map(of).unwrap_or_default()
                ));
                let period = profile.period_type.as_ref().map(of).unwrap_or_default();
                lines.push(format!("period: {} {period}", profile.period));
                lines.push(format!("time: {}, duration: {}", profile.time_unix_nano, profile.duration_nano));
                for sample in &profile.samples {
                    let frame = |location: &Location| {
                        let (line, function) = (location.lines[0], function(&tables, location));
                        let kind: Vec<String> = location.attribute_indices.iter().map(attribute).collect();
                        let (name, file) = (
                            text(&tables, function.name_strindex),
                            text(&tables, function.filename_strindex),
                        );
                        format!(
                            "  {name} {file} ({}) {}:{} {}",
                            function.start_line,
                            line.line,
                            line.column,
                            kind.join(" ")
                        )
                    };
                    let attributes: Vec<String> = sample.attribute_indices.iter().map(attribute).collect();
                    lines.push(format!("{:?} {{{}}}", sample.values, attributes.join(", ")));
                    lines.extend(locations(&tables, sample).map(frame));
                }
            }
        }
    }
    lines.join("\n")
}
