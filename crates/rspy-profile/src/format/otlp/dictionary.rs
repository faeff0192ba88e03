//! The tables that all profiles of a file share. In each the first item is empty, so that 0 is "none".

use std::hash::Hash;

use indexmap::IndexSet;
use opentelemetry_proto::tonic::common::v1::AnyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::profiles::v1development::{
    Function, KeyValueAndUnit, Line, Link, Location, Mapping, ProfilesDictionary, Stack,
};
use rustc_hash::{FxBuildHasher, FxHashMap};

use crate::frame::FrameKind;
use crate::place::Place;

/// The tables.
#[derive(Debug)]
pub(super) struct Dictionary {
    strings: IndexSet<String, FxBuildHasher>,
    functions: IndexSet<Function, FxBuildHasher>,
    /// One for each place, numbered from 1 as the places are from 0.
    locations: Vec<Location>,
    stacks: IndexSet<Stack, FxBuildHasher>,
    attributes: Vec<KeyValueAndUnit>,
    /// Where each attribute is, by its key and its value as text.
    known: FxHashMap<(i32, String), i32>,
}

/// The place of an item in a table.
fn index(index: usize) -> i32 {
    i32::try_from(index).expect("a profile is shown with fewer than 2^31 entries per table")
}

fn intern<T: Hash + Eq>(table: &mut IndexSet<T, FxBuildHasher>, item: T) -> i32 {
    index(table.insert_full(item).0)
}

impl Dictionary {
    /// Tables with a location for each place.
    pub(super) fn new(places: &[Place]) -> Self {
        let mut dictionary = Self {
            strings: IndexSet::from_iter([String::new()]),
            functions: IndexSet::from_iter([Function::default()]),
            locations: vec![Location::default()],
            stacks: IndexSet::from_iter([Stack::default()]),
            attributes: vec![KeyValueAndUnit::default()],
            known: FxHashMap::default(),
        };
        for place in places {
            let location = dictionary.location(place);
            dictionary.locations.push(location);
        }
        dictionary
    }

    /// The index of `text`.
    pub(super) fn string(&mut self, text: &str) -> i32 {
        let known = self.strings.get_index_of(text);
        known.map_or_else(|| intern(&mut self.strings, text.to_owned()), index)
    }

    /// The index of an attribute.
    pub(super) fn attribute(&mut self, key: &str, value: Value) -> i32 {
        let key_strindex = self.string(key);
        let text = format!("{value:?}");
        let next = index(self.attributes.len());
        let known = *self.known.entry((key_strindex, text)).or_insert(next);
        if known == next {
            let value = Some(AnyValue { value: Some(value) });
            self.attributes.push(KeyValueAndUnit { key_strindex, value, unit_strindex: 0 });
        }
        known
    }

    /// The index of a stack, whose places are given from the outermost on.
    pub(super) fn stack(&mut self, places: &[usize]) -> i32 {
        let location_indices = places.iter().rev().map(|place| index(*place + 1)).collect();
        intern(&mut self.stacks, Stack { location_indices })
    }

    /// The tables as they are written.
    pub(super) fn into_tables(self) -> ProfilesDictionary {
        ProfilesDictionary {
            mapping_table: vec![Mapping::default()],
            location_table: self.locations,
            function_table: self.functions.into_iter().collect(),
            link_table: vec![Link::default()],
            string_table: self.strings.into_iter().collect(),
            attribute_table: self.attributes,
            stack_table: self.stacks.into_iter().collect(),
        }
    }

    fn location(&mut self, place: &Place) -> Location {
        let name_strindex = self.string(&place.name);
        let function = Function {
            name_strindex,
            system_name_strindex: name_strindex,
            filename_strindex: self.string(&place.file),
            start_line: i64::from(place.first_line.unwrap_or_default()),
        };
        let line = Line {
            function_index: intern(&mut self.functions, function),
            line: i64::from(place.line.unwrap_or_default()),
            column: place.columns.map_or(0, |columns| i64::from(columns.first)),
        };
        let is_python = place.kind == Some(FrameKind::Python);
        let kind =
            is_python.then(|| self.attribute("profile.frame.type", Value::StringValue("cpython".into())));
        Location { lines: vec![line], attribute_indices: kind.into_iter().collect(), ..Location::default() }
    }
}
