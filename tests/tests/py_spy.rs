//! The JSON of `rspy dump`, field by field against py-spy 0.4.3's, on the same sleeping process.
//!
//! They may differ only in what docs/py-spy.md names; there, rspy must say what the interpreter says.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use rspy_tests::interpreters::{self, Interpreter};
use rspy_tests::rspy::Run;
use rspy_tests::target::{self, Target};
use rspy_tests::{Body, Outcome, packages, run, test};

/// What rspy's threads have besides.
const OURS: [&str; 5] = ["cut", "complete", "waits_for_gil", "collects_garbage", "handles_exception"];

/// Interpreters that py-spy 0.4.3 cannot read.
const UNREADABLE: [&str; 1] = ["3.13t"];

/// A section of the document, the versions it is about, the variables.
type Difference = (&'static str, fn((u32, u32)) -> bool, &'static [&'static str]);

/// Why variables of `values.py` differ, as docs/py-spy.md says, on which versions, and which do.
const DIFFERENCES: [Difference; 11] = [
    ("integers", always, &["word", "minus_word", "more", "hundred", "long_int", "minus_long", "huge"]),
    ("floats", always, &["whole", "tiny", "large", "negative_zero", "none", "items", "complexes"]),
    ("types by name alone", always, &["fake", "fake_scalar"]),
    ("strings", always, &["quotes", "lines", "controls", "nul", "turned", "lone", "wide_long", "latin1"]),
    ("strings", in_2, &["latin", "wide", "astral"]),
    ("bytes", always, &["data", "long_data", "array", "no_array", "moved"]),
    ("bytes", in_3, &["empty_data", "utf8"]),
    (
        "containers",
        always,
        &[
            "empties",
            "nested",
            "single",
            "mapping",
            "some",
            "frozen",
            "many",
            "removed",
            "my_tuple",
            "in_itself",
        ],
    ),
    ("containers", always, &["map_of_itself", "tuple_of_itself"]),
    ("dicts", in_2, &["numbered", "emptied", "my_dict", "ordered", "counted", "default", "named"]),
    (
        "names",
        always,
        &[
            "function",
            "unnamed",
            "builtin",
            "method",
            "kind",
            "builtin_kind",
            "module",
            "code",
            "generator",
            "cls",
            "keep",
            "inner",
        ],
    ),
];

/// The same, on some versions only: dicts of objects (2.7, 3.13 and later), and `frozendict` (3.15).
const SOMETIMES: [&str; 2] = ["of_object", "frozen_mapping"];

fn always(_: (u32, u32)) -> bool {
    true
}

fn in_2(minor: (u32, u32)) -> bool {
    minor < (3, 0)
}

fn in_3(minor: (u32, u32)) -> bool {
    minor > (3, 0)
}

/// Variables that py-spy leaves out, or shows as a cell: those of class bodies, and those that two functions share.
const MISSING: [&str; 9] = [
    "attribute",
    "other",
    "count",
    "__module__",
    "__qualname__",
    "__firstlineno__",
    "argument",
    "kept",
    "counted",
];

fn dump_of_py_spy(py_spy: &Path, arguments: &[&str]) -> Outcome<Option<Value>> {
    let output = Command::new(py_spy).args(arguments).output()?;
    if output.status.success() {
        return Ok(Some(serde_json::from_slice(&output.stdout)?));
    }
    Ok(None)
}

fn compare(interpreter: &Interpreter, target: &Target, options: &[&str]) -> Outcome {
    let Some(py_spy) = packages::py_spy()? else { return Ok(()) };
    let pid = target.pid.to_string();
    let arguments = [&["dump", "--json", "--pid", &pid], options].concat();
    // py-spy second: it stops sleeping threads too, which then run for a moment.
    let ours: Value = serde_json::from_str(&Run::start(&arguments)?.output()?.success()?.stdout)?;
    let theirs = dump_of_py_spy(&py_spy, &arguments)?;
    let Some(theirs) = theirs else {
        let is_known = UNREADABLE.contains(&interpreter.label.as_str());
        return if is_known { Ok(()) } else { Err("py-spy failed".into()) };
    };
    let listed = DIFFERENCES.iter().filter(|(_, holds, _)| holds(interpreter.minor()));
    let listed: BTreeSet<&str> = listed.flat_map(|(_, _, names)| *names).copied().collect();
    let is_2 = in_2(interpreter.minor());
    let mut differences = Differences { target, is_2, listed, met: BTreeSet::new(), found: Vec::new() };
    differences.threads(&ours, &theirs);
    // What does not differ is to be listed no longer.
    let Differences { listed, met, .. } = &differences;
    let stale: Vec<String> =
        listed.iter().filter(|name| !met.contains(**name)).map(ToString::to_string).collect();
    if !options.is_empty() && !stale.is_empty() {
        differences.found.push(format!("the same in both, though listed: {stale:?}"));
    }
    if differences.found.is_empty() { Ok(()) } else { Err(differences.found.join("\n").into()) }
}

struct Differences<'t> {
    target: &'t Target,
    is_2: bool,
    /// Variables that differ for a reason that is known, and those met.
    listed: BTreeSet<&'static str>,
    met: BTreeSet<String>,
    found: Vec<String>,
}

impl Differences<'_> {
    fn threads(&mut self, ours: &Value, theirs: &Value) {
        let (ours, theirs) = (array(ours), array(theirs));
        if ours.len() != theirs.len() {
            self.found.push(format!("{} threads, py-spy has {}", ours.len(), theirs.len()));
        }
        for (ours, theirs) in ours.iter().zip(theirs) {
            let place = format!("thread {}", theirs["os_thread_id"]);
            let keys: Vec<&String> = ours.as_object().into_iter().flatten().map(|(key, _)| key).collect();
            let their_keys: Vec<&String> =
                theirs.as_object().into_iter().flatten().map(|(key, _)| key).collect();
            let keys: Vec<&String> = keys.into_iter().filter(|key| !OURS.contains(&key.as_str())).collect();
            self.equal(&place, "keys", &format!("{keys:?}").into(), &format!("{their_keys:?}").into());
            for key in their_keys.into_iter().filter(|key| *key != "frames") {
                // 2.7 mangles the attribute that holds the name; py-spy shows none.
                if self.is_2 && key == "thread_name" && theirs[key].is_null() {
                    continue;
                }
                self.equal(&place, key, &ours[key], &theirs[key]);
            }
            // py-spy shows the code that calls `__init__` after `__new__` (3.13 and later) as if it were a
            // function; the interpreter's own frames do not have it.
            let is_shown = |frame: &&Value| frame["name"] != "__init__" || frame["filename"] != "__init__";
            let theirs: Vec<&Value> = array(&theirs["frames"]).iter().filter(is_shown).collect();
            let ours = array(&ours["frames"]);
            self.equal(&place, "number of frames", &ours.len().into(), &theirs.len().into());
            for (index, (ours, theirs)) in ours.iter().zip(theirs).enumerate() {
                self.frame(&format!("{place}, frame {index}, {}", theirs["name"]), ours, theirs);
            }
        }
    }

    fn frame(&mut self, place: &str, ours: &Value, theirs: &Value) {
        let keys =
            |frame: &Value| frame.as_object().into_iter().flatten().map(|(key, _)| key.clone()).collect();
        let (our_keys, their_keys): (Vec<String>, Vec<String>) = (keys(ours), keys(theirs));
        self.equal(place, "keys", &our_keys.into(), &their_keys.clone().into());
        for key in their_keys.iter().filter(|key| *key != "locals") {
            self.equal(place, key, &ours[key], &theirs[key]);
        }
        if theirs["locals"].is_null() {
            self.equal(place, "locals", &ours["locals"], &theirs["locals"]);
            return;
        }
        let (ours, theirs) = (array(&ours["locals"]), array(&theirs["locals"]));
        let named =
            |locals: &[Value], name: &Value| locals.iter().find(|local| local["name"] == *name).cloned();
        for theirs in theirs {
            match named(ours, &theirs["name"]) {
                Some(ours) => self.variable(place, &ours, Some(theirs)),
                None => self.found.push(format!("{place}: {theirs} is missing")),
            }
        }
        for ours in ours.iter().filter(|ours| named(theirs, &ours["name"]).is_none()) {
            self.variable(place, ours, None);
        }
        // The order in which both have those that both have.
        let order = |locals: &[Value], others: &[Value]| -> Vec<Value> {
            let both = locals.iter().filter(|local| named(others, &local["name"]).is_some());
            both.map(|local| local["name"].clone()).collect()
        };
        self.equal(place, "order of variables", &order(ours, theirs).into(), &order(theirs, ours).into());
    }

    fn variable(&mut self, place: &str, ours: &Value, theirs: Option<&Value>) {
        if Some(ours) == theirs {
            return;
        }
        let name = ours["name"].as_str().unwrap_or_default();
        let is_cell =
            theirs.is_none_or(|theirs| theirs["repr"].as_str().unwrap_or("").starts_with("<cell at"));
        let is_known = match is_cell {
            true => MISSING.contains(&name),
            false => {
                let same = |key: &str| theirs.is_some_and(|theirs| theirs[key] == ours[key]);
                self.met.insert(name.to_owned());
                let is_listed = self.listed.contains(name) || SOMETIMES.contains(&name);
                is_listed && same("addr") && same("arg")
            }
        };
        let told = self.target.testimony.threads.iter().flat_map(|thread| thread.stacks.iter().flatten());
        let told = told.flat_map(|frame| frame.locals.iter().flatten()).any(|variable| {
            variable.name == name && ours["repr"] == *variable.repr && ours["addr"] == variable.addr
        });
        if !is_known || !told {
            let theirs = theirs.map_or("nothing".to_owned(), Value::to_string);
            let verdict = if told { "the interpreter agrees with rspy" } else { "the interpreter does not" };
            self.found.push(format!("{place}: {ours}, py-spy has {theirs}; {verdict}"));
        }
    }

    fn equal(&mut self, place: &str, what: &str, ours: &Value, theirs: &Value) {
        if ours != theirs {
            self.found.push(format!("{place}: {what} is {ours}, py-spy has {theirs}"));
        }
    }
}

fn array(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn stacks(interpreter: &Interpreter) -> Outcome {
    for script in ["calls.py", "generators.py", "callbacks.py", "names.py"] {
        let target = Target::start(target::command(interpreter, script, &[]))?;
        compare(interpreter, &target, &[]).map_err(|error| format!("{script}: {error}"))?;
    }
    Ok(())
}

fn locals(interpreter: &Interpreter) -> Outcome {
    let target = Target::start(target::command(interpreter, "values.py", &["128", "all"]))?;
    compare(interpreter, &target, &["--locals"])
}

fn more_locals(interpreter: &Interpreter) -> Outcome {
    let target = Target::start(target::command(interpreter, "values.py", &["256", "all"]))?;
    compare(interpreter, &target, &["-ll"])
}

fn main() {
    let tests: [(&str, Body); 3] = [("stacks", stacks), ("locals", locals), ("more-locals", more_locals)];
    let mut trials = Vec::new();
    for interpreter in interpreters::all() {
        for (name, body) in tests {
            let interpreter = interpreter.clone();
            trials.push(test(format!("{name}::{}", interpreter.label), move || body(&interpreter)));
        }
    }
    run(trials);
}
