//! What `--advise` says that instances would take, compared with what they do take.

use std::collections::BTreeMap;
use std::fs;

use rspy_heap::types::Known;
use serde::Deserialize;

use rspy_tests::Outcome;
use rspy_tests::interpreters::Interpreter;
use rspy_tests::program::{Program, command};
use rspy_tests::target::scripts;

use super::held::json;
use super::references::Copied;

/// How many instances there are of each.
const COUNT: u64 = 1000;
/// Of how many numbers of attributes, by ways that are always there.
const LEAST: usize = 3 * 10;

#[derive(Debug, Deserialize)]
struct Advice {
    what: String,
    subject: String,
    count: u64,
    before: u64,
    after: u64,
    attributes: Option<u64>,
    dataclass: Option<String>,
    own_keys: Option<u64>,
    #[serde(default)]
    alternatives: Vec<Alternative>,
}

#[derive(Debug, Deserialize)]
struct Alternative {
    way: String,
    each: u64,
}

/// Each way, with each number of attributes; what a dict costs that was made beside the values of an instance; dataclasses.
pub fn alternatives(interpreter: &Interpreter) -> Outcome {
    let mut command = command(&interpreter.path);
    command.arg(scripts().join("heap_alternatives.py")).arg("instances");
    let mut program = Program::start(command)?;
    program.says("ready")?;
    let truth = fs::read_to_string(program.file("instances"))?;
    let advice: Vec<Advice> = json(&["--pid", &program.pid().to_string(), "--advise", "--rows", "0"])?;

    let copied = Copied::of(program.pid())?;
    let heap = copied.heap()?;
    let (types, reader) = (heap.types(), heap.reader());
    let mut known = Known::default();
    let mut real: BTreeMap<(&str, u64), u64> = BTreeMap::new();
    for line in truth.lines() {
        let mut words = line.split(' ');
        let (Some(way), Some(attributes)) = (words.next(), words.next()) else { continue };
        let mut bytes = 0;
        for at in words {
            let object = reader.at(&types, &mut known, at.parse()?);
            bytes += reader.size(&object.ok_or(format!("{way}: nothing at {at}"))?).footprint;
        }
        real.insert((way, attributes.parse()?), bytes);
    }
    let mut wrong = Vec::new();
    let mut compared = 0;
    for one in advice.iter().filter(|one| one.subject.starts_with("__main__.Plain")) {
        let attributes = one.attributes.unwrap_or(0);
        if one.what != "slots" || one.subject != format!("__main__.Plain{attributes}") || one.count != COUNT {
            continue;
        }
        for Alternative { way, each } in &one.alternatives {
            let Some(bytes) = real.get(&(way.as_str(), attributes)) else { continue };
            compared += 1;
            if each * COUNT != *bytes {
                wrong.push(format!("{COUNT} {way} of {attributes} take {bytes}, not {each} each"));
            }
        }
    }
    println!("{}: {compared} alternatives", interpreter.label);
    if compared < LEAST {
        wrong.push(format!("{compared} alternatives only: {advice:?}"));
    }
    let bytes = |way: &str| real.get(&(way, 3)).copied().unwrap_or(0);
    if interpreter.minor() >= (3, 11) {
        let made =
            advice.iter().find(|one| one.what == "materialised_dicts" && one.subject == "__main__.Touched");
        let made = made.ok_or("no dict was made for __main__.Touched")?;
        let without = bytes("touched") + bytes("dict-of-touched") - (made.before - made.after);
        if made.count != COUNT || made.own_keys != Some(0) || without != bytes("plain") {
            wrong.push(format!("{COUNT} untouched take {}, not {without}: {made:?}", bytes("plain")));
        }
    }
    if interpreter.minor() >= (3, 7) {
        let expected = if interpreter.minor() >= (3, 10) { "by_slots_true" } else { "by_hand" };
        let data = advice.iter().find(|one| one.what == "slots" && one.subject == "__main__.Data");
        if data.and_then(|data| data.dataclass.as_deref()) != Some(expected) {
            wrong.push(format!("{data:?}"));
        }
    }
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n").into()) }
}
