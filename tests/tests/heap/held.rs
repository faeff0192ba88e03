//! Who holds what: paths, what is retained, single objects, advice.

use std::collections::BTreeMap;
use std::fs;

use serde::de::DeserializeOwned;
use serde_json::Value;

use rspy_tests::Outcome;
use rspy_tests::interpreters::Interpreter;
use rspy_tests::program::{Program, command};
use rspy_tests::rspy::Run;
use rspy_tests::target::scripts;

/// The program, and where it has what.
pub fn program(interpreter: &Interpreter) -> Outcome<(Program, BTreeMap<String, u64>)> {
    let mut command = command(&interpreter.path);
    command.arg(scripts().join("heap_held.py")).arg("addresses");
    let mut program = Program::start(command)?;
    program.says("ready")?;
    let addresses = serde_json::from_slice(&fs::read(program.file("addresses"))?)?;
    Ok((program, addresses))
}

/// What `rspy heap` prints.
pub fn text(options: &[&str]) -> Outcome<String> {
    Ok(Run::start([&["heap"], options].concat())?.output()?.success()?.stdout)
}

/// What `rspy heap --json` prints.
pub fn json<T: DeserializeOwned>(options: &[&str]) -> Outcome<T> {
    Ok(serde_json::from_str(&text(&[options, &["--json"]].concat())?)?)
}

/// Where each object is said to be held, without the addresses.
const WAYS: [(&str, &str); 10] = [
    ("session", "module __main__.cache -> dict[\"sessions\"] -> list[123] -> __main__.Session"),
    ("secret", "module __main__.secrets -> dict[str] -> __main__.Marker"),
    ("private", "module __main__.private -> dict[bytes] -> __main__.Marker"),
    ("queued", "module __main__.queue -> collections.deque[150] -> __main__.Marker"),
    ("slot", "module __main__.slots -> list[77] -> __main__.Slots.second -> __main__.Marker"),
    ("number", "module __main__.numbers -> dict[tuple] -> __main__.Marker"),
    (
        "inside",
        "module __main__.inner -> function closure.<locals>.inner.func_closure -> tuple[0] -> cell.ob_ref -> __main__.Marker",
    ),
    ("kept", "module __main__.Keeper -> class __main__.Keeper.kept -> __main__.Marker"),
    ("within", "module __main__.generator -> generator"),
    ("local", "thread worker).local -> __main__.Marker"),
];

/// The shortest paths, in names; what is weakly referred to is not held by that; garbage by nothing.
pub fn why(interpreter: &Interpreter) -> Outcome {
    let (program, addresses) = program(interpreter)?;
    let pid = program.pid().to_string();
    let mut wrong = Vec::new();
    for (name, expected) in WAYS {
        let address = format!("{:#x}", addresses.get(name).ok_or(name)?);
        let found = text(&["--pid", &pid, "--why", &address])?;
        // The names of nested functions, and of the types of 2.7.
        let expected = match interpreter.version.starts_with('2') {
            true => expected.replace("closure.<locals>.inner", "inner").replace("dict[bytes]", "dict[str]"),
            false => expected.to_owned(),
        };
        if !found.contains(&expected) {
            wrong.push(format!("{name} is not held by {expected}: {found}"));
        }
    }
    let sessions = text(&["--pid", &pid, "--why", "Session"])?;
    if !sessions.contains("1,000 of Session") || !sessions.contains("1,000 like this one:") {
        wrong.push(sessions);
    }
    let garbage = text(&["--pid", &pid, "--why", "__main__.Node"])?;
    if !garbage.contains("200: nothing leads there but") {
        wrong.push(garbage);
    }
    let secret = text(&["--pid", &pid, "--values", "--why", &format!("{:#x}", addresses["secret"])])?;
    if !secret.contains("dict[\"password1\"]") {
        wrong.push(secret);
    }
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n").into()) }
}

/// What a cache holds is freed with it; what is garbage is told; the picture is one.
pub fn retained(interpreter: &Interpreter) -> Outcome {
    let (program, _) = program(interpreter)?;
    let pid = program.pid().to_string();
    let report: Value = json(&["--pid", &pid, "--retained"])?;
    let holdings = report["holdings"].as_array().ok_or("no holdings")?;
    let find = |what: &str| holdings.iter().find(|holding| holding["what"] == what);
    let bytes = |holding: &Value| holding["retained"].as_u64().unwrap_or(0);
    let sessions = find("__main__.Session").ok_or_else(|| format!("no sessions: {holdings:?}"))?;
    // Each has a list of fifty.
    if sessions["count"] != 1000 || bytes(sessions) < 1000 * (50 * 8 + 56) {
        return Err(format!("{sessions}").into());
    }
    let within = |holding: &Value| holding["within"].as_u64().and_then(|place| holdings.get(place as usize));
    let above = [within(sessions), within(sessions).and_then(within)];
    let named = above.map(|holding| holding.map_or("", |holding| holding["what"].as_str().unwrap_or("")));
    if named != ["[\"sessions\"] list", ".cache dict"] {
        return Err(format!("they are held by {named:?}").into());
    }
    let frame =
        holdings.iter().find(|one| one["what"].as_str().is_some_and(|what| what.starts_with("frame wait (")));
    // A list of tuples of two, each with a float.
    if frame.map_or(0, bytes) < 20_000 * (8 + 56 + 24) {
        return Err(format!("the frame holds {frame:?}: {holdings:?}").into());
    }
    // The cache is the module's, and of no other.
    let modules = report["modules"].as_array().ok_or("no modules")?;
    let named = |name: &str| modules.iter().find(|package| package["name"] == name);
    let (main, encodings) =
        (named("__main__").ok_or("no __main__")?, named("encodings").ok_or("no encodings")?);
    let module = find("module __main__").map_or(0, bytes);
    if bytes(main) != module || module < bytes(sessions) || encodings["modules"].as_u64().unwrap_or(0) < 2 {
        return Err(format!("__main__ holds {module}: {modules:?}").into());
    }
    let node = |cycle: &&Value| {
        cycle["types"].as_array().is_some_and(|types| types.iter().any(|of| of[0] == "__main__.Node"))
    };
    let cycles = report["cycles"].as_array().into_iter().flatten();
    let times: Vec<u64> = cycles.filter(node).filter_map(|cycle| cycle["times"].as_u64()).collect();
    if times != [100] {
        return Err(format!("cycles: {}", report["cycles"]).into());
    }
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("held.svg");
    text(&["--pid", &pid, "--retained", "-o", &file.to_string_lossy()])?;
    let picture = fs::read_to_string(&file)?;
    if !picture.starts_with("<?xml") || !picture.contains("module __main__") || !picture.contains(" kB, ") {
        return Err(format!("the picture is {}", &picture[..picture.len().min(600)]).into());
    }
    Ok(())
}

/// Single objects: their number, their attributes, how often they are referred to.
pub fn instances(interpreter: &Interpreter) -> Outcome {
    let (program, addresses) = program(interpreter)?;
    let pid = program.pid().to_string();
    let report: Value = json(&["--pid", &pid, "--type", "Session", "--rows", "0"])?;
    let objects = report["objects"].as_array().ok_or("no objects")?;
    let is_known = objects.iter().any(|one| one["address"].as_u64() == addresses.get("session").copied());
    // Free-threaded builds have no lists by generation.
    let has_generation = !interpreter.is_free_threaded();
    let once = |one: &Value| one["references"] == 1 && one["generation"].is_u64() == has_generation;
    let once = objects.iter().all(once);
    let attributes: Vec<&str> = report["attributes"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|one| one["name"].as_str())
        .collect();
    if report["count"] != 1000 || !is_known || !once || attributes != ["data", "user"] {
        return Err(format!("{attributes:?} {report}").into());
    }
    let top = text(&["--pid", &pid, "--top", "--rows", "5"])?;
    if !top.contains("list: 20000 items") {
        return Err(top.into());
    }
    for count in [1, 7] {
        let top: Value = json(&["--pid", &pid, "--top", &count.to_string()])?;
        if top["objects"].as_array().map_or(0, Vec::len) != count {
            return Err(format!("of {count}: {top}").into());
        }
    }
    let unknown = Run::start(["heap", "--pid", &pid, "--type", "Sesion"])?.output()?;
    if unknown.status.success() || !unknown.stderr.contains("no object of a type called Sesion") {
        return Err(format!("{unknown:?}").into());
    }
    Ok(())
}

/// What could be done: each of what the program does on purpose, with as many objects as there are.
pub fn advice(interpreter: &Interpreter) -> Outcome {
    let (program, _) = program(interpreter)?;
    let pid = program.pid().to_string();
    let all: Vec<Value> = json(&["--pid", &pid, "--advise"])?;
    let find = |what: &str, subject: &str| {
        all.iter()
            .find(|one| one["what"] == what && one["subject"] == subject)
            .ok_or_else(|| format!("{what} {subject}: {all:?}"))
    };
    let saved = |one: &Value| one["before"].as_u64().unwrap_or(0) - one["after"].as_u64().unwrap_or(0);
    let slots = find("slots", "__main__.Record")?;
    // Two slots: 48 bytes with the head of the collector.
    if slots["count"] != 2000 || slots["after"] != 2000 * 48 || saved(slots) < 2000 * 16 {
        return Err(format!("{slots}").into());
    }
    let records = find("records", "\"id\", \"name\", \"price\"")?;
    if records["count"] != 2000 || records["after"] != 2000 * 64 {
        return Err(format!("{records}").into());
    }
    let equal = find("duplicates", "str")?;
    if equal["count"].as_u64().unwrap_or(0) < 5000 {
        return Err(format!("{equal}").into());
    }
    let duplicates = text(&["--pid", &pid, "--duplicates", "--values"])?;
    if !duplicates.contains("500") || !duplicates.contains("\"some text 1\"") {
        return Err(duplicates.into());
    }
    Ok(())
}

/// A key of `--sort`, and what its column is called in JSON.
type Key = (&'static str, &'static str);

/// Each table by each of its columns: the option, what the rows are called in JSON, and the keys.
const COLUMNS: [(&[&str], &str, &[Key]); 7] = [
    (
        &[],
        "types",
        &[
            ("footprint", "footprint"),
            ("size", "size"),
            ("count", "count"),
            ("mean", "mean"),
            ("type", "type"),
        ],
    ),
    (
        &["--top"],
        "objects",
        &[("footprint", "footprint"), ("size", "size"), ("references", "references"), ("type", "type")],
    ),
    (&["--type", "list"], "objects", &[("size", "size"), ("generation", "generation")]),
    (
        &["--duplicates"],
        "types",
        &[("footprint", "spare"), ("count", "count"), ("different", "different"), ("type", "type")],
    ),
    (&["--duplicates"], "largest", &[("footprint", "spare"), ("count", "count"), ("type", "type")]),
    (
        &["--retained"],
        "types",
        &[("retained", "retained"), ("footprint", "own"), ("count", "count"), ("type", "type")],
    ),
    (&["--advise"], "", &[("before", "before"), ("after", "after"), ("count", "count"), ("type", "subject")]),
];

/// Tables sort by any column that they have, and by no other.
pub fn sorted(interpreter: &Interpreter) -> Outcome {
    let (program, _) = program(interpreter)?;
    let pid = program.pid().to_string();
    for (question, rows, keys) in COLUMNS {
        for (key, column) in keys {
            let report: Value = json(&[&["--pid", &pid, "--sort", key], question].concat())?;
            let rows = if rows.is_empty() { report.as_array() } else { report[rows].as_array() };
            let rows = rows.filter(|rows| rows.len() > 1).ok_or("no rows")?;
            let is_sorted = rows.is_sorted_by(|one, next| match (&one[column], &next[column]) {
                (Value::String(one), Value::String(next)) => one <= next,
                // What is immortal stands first, and is referred to without a number.
                (Value::Null, _) if *key == "references" => true,
                (one, next) => one.as_f64().unwrap_or(-1.0) >= next.as_f64().unwrap_or(-1.0),
            });
            if !is_sorted {
                return Err(format!("{question:?} by {key}: {rows:?}").into());
            }
        }
    }
    Ok(())
}
