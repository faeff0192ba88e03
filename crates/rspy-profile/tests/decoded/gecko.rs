//! A file for the Firefox Profiler.

use std::collections::BTreeMap;

use serde_json::Value;

use super::gunzipped;

/// The file, with the shape that version 60 of the format has.
pub fn read(bytes: &[u8]) -> Value {
    let file: Value = serde_json::from_slice(&gunzipped(bytes)).expect("JSON");
    assert_eq!(file["meta"]["preprocessedProfileVersion"], 60);
    assert_eq!(file["meta"]["categories"][0]["color"], "grey", "the default category");
    for table in ["stackTable", "frameTable", "funcTable", "sources", "resourceTable", "nativeSymbols"] {
        assert_columns(&file["shared"][table], table);
    }
    let shared = &file["shared"];
    let strings = list(&shared["stringArray"]).len();
    let rows = |table: &str| shared[table]["length"].as_u64().expect("a length") as usize;
    assert_below(&shared["stackTable"]["frame"], rows("frameTable"));
    assert_below(&shared["frameTable"]["func"], rows("funcTable"));
    assert_below(&shared["frameTable"]["category"], list(&file["meta"]["categories"]).len());
    assert_below(&shared["funcTable"]["name"], strings);
    assert_below(&shared["funcTable"]["source"], rows("sources"));
    assert_below(&shared["sources"]["filename"], strings);
    for (index, prefix) in list(&shared["stackTable"]["prefix"]).iter().enumerate() {
        assert!(
            prefix.as_u64().is_none_or(|prefix| prefix < index as u64),
            "callers come before what they call"
        );
    }
    let threads = list(&file["threads"]);
    assert!(!threads.is_empty(), "the Profiler wants one");
    let mut ids = Vec::new();
    for thread in threads {
        assert_columns(&thread["samples"], "samples");
        assert_columns(&thread["markers"], "markers");
        assert_below(&thread["samples"]["stack"], rows("stackTable"));
        assert!(list(&thread["samples"]["timeDeltas"]).iter().all(|delta| delta.as_f64() >= Some(0.0)));
        ids.push(&thread["tid"]);
    }
    assert!((1..ids.len()).all(|index| !ids[..index].contains(&ids[index])), "a thread's id is its own");
    for index in list(&file["meta"]["initialVisibleThreads"]) {
        assert!(index.as_u64().is_some_and(|index| index < threads.len() as u64));
    }
    file
}

pub fn weights(bytes: &[u8]) -> BTreeMap<Vec<String>, u128> {
    let file = read(bytes);
    let mut weights = BTreeMap::new();
    for thread in list(&file["threads"]) {
        let samples = &thread["samples"];
        for (stack, weight) in list(&samples["stack"]).iter().zip(list(&samples["weight"])) {
            let weight = weight.as_u64().expect("a number of ticks");
            if stack.is_null() {
                assert_eq!(weight, 0, "what was not seen has no weight");
                continue;
            }
            *weights.entry(frames(&file, stack)).or_default() += u128::from(weight);
        }
    }
    weights.retain(|_, weight| *weight > 0);
    weights
}

/// The names of a stack's frames, outermost first.
fn frames(file: &Value, stack: &Value) -> Vec<String> {
    let shared = &file["shared"];
    let mut names = Vec::new();
    let mut rest = stack.as_u64();
    while let Some(stack) = rest {
        let frame = at(&shared["stackTable"]["frame"], stack);
        let function = at(&shared["frameTable"]["func"], frame.as_u64().expect("an index"));
        let name = at(&shared["funcTable"]["name"], function.as_u64().expect("an index"));
        let name = at(&shared["stringArray"], name.as_u64().expect("an index"));
        names.push(name.as_str().expect("a text").to_owned());
        rest = at(&shared["stackTable"]["prefix"], stack).as_u64();
    }
    names.reverse();
    names
}

/// The JSON, with a line for each thread and column.
pub fn legible(bytes: &[u8]) -> String {
    let file = read(bytes);
    let mut text = String::new();
    let mut section = |name: &str, section: &Value| {
        text += &format!("{name}\n");
        for (key, value) in section.as_object().into_iter().flatten() {
            text += &format!("  {key}: {value}\n");
        }
    };
    section("meta", &file["meta"]);
    for thread in list(&file["threads"]) {
        section("thread", thread);
    }
    for (name, table) in
        file["shared"].as_object().into_iter().flatten().filter(|(_, table)| table.is_object())
    {
        section(name, table);
    }
    text + &format!("stringArray: {}\n", file["shared"]["stringArray"])
}

fn list(value: &Value) -> &Vec<Value> {
    value.as_array().expect("a list")
}

fn at(column: &Value, index: u64) -> &Value {
    &list(column)[index as usize]
}

/// All columns of a table have as many items as it says.
fn assert_columns(table: &Value, name: &str) {
    let length = table["length"].as_u64().expect("a length") as usize;
    for (column, items) in table.as_object().expect("a table") {
        assert!(items.as_array().is_none_or(|items| items.len() == length), "{name}.{column}");
    }
}

/// All items of a column are indices of a table with so many rows, or none.
fn assert_below(column: &Value, rows: usize) {
    assert!(
        list(column)
            .iter()
            .all(|index| index.is_null() || index.as_u64().is_some_and(|index| index < rows as u64))
    );
}
