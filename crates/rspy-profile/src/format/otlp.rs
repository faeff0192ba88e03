//! OpenTelemetry's profiles: `ProfilesData` of the Protocol Buffers at
//! <https://github.com/open-telemetry/opentelemetry-proto/blob/main/opentelemetry/proto/profiles/v1development/profiles.proto>,
//! binary. That is version 1.10 of a format in development, so that later ones may not be read by the same tools.
//! A request of the collector's service has the same fields, so that a file can be sent to one as it is.
//!
//! Each process is a resource with one profile: how often each stack was seen (`samples`, `count`), and what a sample stands for,
//! where a rate was asked for (the period). Names of attributes are those of the
//! [semantic conventions](https://opentelemetry.io/docs/specs/semconv/registry/attributes/). A sample that was lost has
//! no thread, and is counted with the process that was recorded.

mod dictionary;

use std::collections::BTreeMap;
use std::io;

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::profiles::v1development::{
    Profile as Samples, ProfilesData, ResourceProfiles, Sample, ScopeProfiles, ValueType,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message;

use self::dictionary::Dictionary;
use super::{About, Format, FormatError};
use crate::counted::{Counted, Stack};
use crate::options::Options;
use crate::process::ProcessId;
use crate::profile::Profile;

/// A file of OpenTelemetry's profiles.
#[derive(Clone, Copy, Debug)]
pub struct Otlp;

impl Format for Otlp {
    fn about(&self) -> About {
        About {
            name: "otlp",
            extension: "otlp",
            description: "stacks of each thread as OpenTelemetry profiles, in development as these are",
            content: "OpenTelemetry profile",
            how_to_open: Some(
                "Send it to a collector: curl -H 'Content-Type: application/x-protobuf' --data-binary @FILE \
             http://localhost:4318/v1development/profiles",
            ),
            ..About::default()
        }
    }

    fn write(
        &self,
        profile: &Profile,
        options: &Options,
        writer: &mut dyn io::Write,
    ) -> Result<(), FormatError> {
        let counted = Counted::new(profile, options);
        let mut dictionary = Dictionary::new(&counted.places);
        let resource_profiles = processes(profile, &counted.stacks)
            .into_iter()
            .map(|(process, stacks)| ResourceProfiles {
                resource: Some(resource(profile, process)),
                scope_profiles: vec![ScopeProfiles {
                    scope: Some(InstrumentationScope {
                        name: "rspy".to_owned(),
                        version: profile.metadata.rspy_version.clone(),
                        ..InstrumentationScope::default()
                    }),
                    profiles: vec![samples(profile, options, &stacks, &mut dictionary)],
                    schema_url: String::new(),
                }],
                schema_url: String::new(),
            })
            .collect();
        let data = ProfilesData { resource_profiles, dictionary: Some(dictionary.into_tables()) };
        writer.write_all(&data.encode_to_vec())?;
        writer.flush()?;
        Ok(())
    }
}

/// The processes that have samples, each with its stacks: first the one that was recorded, `None` if it is in no
/// table, with what was lost.
fn processes<'a>(profile: &Profile, stacks: &'a [Stack]) -> Vec<(Option<ProcessId>, Vec<&'a Stack>)> {
    let recorded =
        profile.processes.iter().find(|(_, process)| process.pid == profile.metadata.pid).map(|(id, _)| id);
    let mut processes: BTreeMap<(bool, Option<ProcessId>), Vec<&Stack>> = BTreeMap::new();
    processes.insert((false, recorded), Vec::new());
    for stack in stacks {
        let process = stack.thread.map_or(recorded, |thread| Some(profile.threads[thread].process));
        processes.entry((process != recorded, process)).or_default().push(stack);
    }
    processes.into_iter().map(|((_, process), stacks)| (process, stacks)).collect()
}

/// What is known of a process.
fn resource(profile: &Profile, process: Option<ProcessId>) -> Resource {
    let metadata = &profile.metadata;
    let process = process.map(|process| &profile.processes[process]);
    let pid = process.map_or(metadata.pid, |process| process.pid);
    let is_recorded = pid == metadata.pid;
    let command_line = process.map_or("", |process| &profile.strings[process.command_line]);
    let command_line = if command_line.is_empty() && is_recorded { &metadata.program } else { command_line };
    let text = |value: &str| Value::StringValue(value.to_owned());
    let mut attributes =
        vec![("process.pid", Value::IntValue(i64::from(pid))), ("process.runtime.name", text("cpython"))];
    if !command_line.is_empty() {
        attributes.push(("process.command_line", text(command_line)));
    }
    // Of the others the version is not known.
    if let Some(version) = metadata.python_version.as_ref().filter(|_| is_recorded) {
        attributes.push(("process.runtime.version", text(version)));
    }
    attributes.extend(metadata.host.as_ref().map(|host| ("host.name", text(host))));
    let attributes = attributes.into_iter().map(|(key, value)| KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue { value: Some(value) }),
        ..KeyValue::default()
    });
    Resource { attributes: attributes.collect(), ..Resource::default() }
}

/// The stacks of a process.
fn samples(profile: &Profile, options: &Options, stacks: &[&Stack], dictionary: &mut Dictionary) -> Samples {
    let metadata = &profile.metadata;
    let sample_type =
        ValueType { type_strindex: dictionary.string("samples"), unit_strindex: dictionary.string("count") };
    let period = i64::try_from(metadata.period()).unwrap_or(i64::MAX);
    let period_type = (period > 0).then(|| ValueType {
        type_strindex: dictionary.string(options.measured()),
        unit_strindex: dictionary.string("nanoseconds"),
    });
    let samples = stacks.iter().map(|stack| {
        let mut attribute_indices = Vec::new();
        if let Some(thread) = stack.thread.map(|thread| &profile.threads[thread]) {
            let id = thread.os_id.map(|id| Value::IntValue(i64::from(id)));
            let name = thread.name.map(|name| Value::StringValue(profile.strings[name].to_owned()));
            let known = [("thread.id", id), ("thread.name", name)];
            let known = known.into_iter().filter_map(|(key, value)| Some((key, value?)));
            attribute_indices.extend(known.map(|(key, value)| dictionary.attribute(key, value)));
        }
        Sample {
            stack_index: dictionary.stack(&stack.places),
            attribute_indices,
            values: vec![i64::try_from(stack.weight).unwrap_or(i64::MAX)],
            ..Sample::default()
        }
    });
    Samples {
        sample_type: Some(sample_type),
        samples: samples.collect(),
        time_unix_nano: u64::try_from(metadata.start_nanoseconds()).unwrap_or(0),
        duration_nano: u64::try_from(metadata.duration.as_nanos()).unwrap_or(u64::MAX),
        period_type,
        period,
        ..Samples::default()
    }
}
