//! Heaps in files: the same answers without the process, what has grown, and what is no heap.

use std::fs;
use std::os::unix::process::ExitStatusExt;

use rustix::process::Signal;
use serde_json::Value;

use rspy_tests::Outcome;
use rspy_tests::interpreters::Interpreter;
use rspy_tests::process::send;
use rspy_tests::rspy::Run;

use super::census;
use super::held::{json, program, text};

/// What is asked of both.
const QUESTIONS: [&[&str]; 6] = [
    &["--why", "Session"],
    &["--why", "Marker"],
    &["--retained"],
    &["--type", "Slots", "--values"],
    &["--duplicates", "--values"],
    &["--advise"],
];

/// Everything that can be asked of a process can be asked of its saved heap when it is gone.
pub fn saved(interpreter: &Interpreter) -> Outcome {
    let (mut program, _) = program(interpreter)?;
    let pid = program.pid().to_string();
    let file = program.file("app.heap").display().to_string();
    text(&["save", &file, "--pid", &pid])?;
    let live: Vec<String> = QUESTIONS
        .iter()
        .map(|question| text(&[&["--pid", &pid], *question].concat()))
        .collect::<Outcome<_>>()?;
    let types = |of: &[&str]| -> Outcome<Value> { Ok(json::<Value>(of)?["types"].take()) };
    let census = types(&["--pid", &pid])?;
    program.end(Signal::KILL)?;
    if types(&[&file])? != census {
        return Err(format!("other types than {census}").into());
    }
    for (question, live) in QUESTIONS.iter().zip(live) {
        let saved = text(&[&[file.as_str()], *question].concat())?;
        if saved != live {
            return Err(format!("{question:?}: {live}\nsaved: {saved}").into());
        }
    }
    Ok(())
}

/// Three heaps of a program that leaks: the type stands first, grows each time, and what holds the new ones is named.
pub fn leak(interpreter: &Interpreter) -> Outcome {
    let (mut program, _) = program(interpreter)?;
    let pid = program.pid().to_string();
    let files = ["first", "second", "third"].map(|name| program.file(name).display().to_string());
    for (index, file) in files.iter().enumerate() {
        if index > 0 {
            send(program.pid(), Signal::USR1)?;
            program.says(&format!("{} sessions", 1000 * (index + 1)))?;
        }
        text(&["save", file, "--pid", &pid])?;
    }
    let report: Value = json(&[&["diff"], &files.each_ref().map(String::as_str)[..]].concat())?;
    let types = report["types"].as_array().ok_or("no types")?;
    let session = types.iter().find(|change| change["type"] == "__main__.Session").ok_or("no sessions")?;
    if session["counts"] != serde_json::json!([1000, 2000, 3000]) || session["keeps_growing"] != true {
        return Err(format!("{session}").into());
    }
    let told = text(&[&["diff"], &files.each_ref().map(String::as_str)[..]].concat())?;
    let way = "module __main__.cache -> dict[\"sessions\"] -> list[";
    if !told.contains("__main__.Session: 1,000 -> 2,000 -> 3,000  (more each time)") || !told.contains(way) {
        return Err(told.into());
    }
    // What holds more is told from what does not.
    let holders = report["holders"].as_array().ok_or("no holders")?;
    let within = |holder: &Value| holder["within"].as_u64().and_then(|place| holders.get(place as usize));
    let list = holders.iter().find(|holder| holder["what"] == "[\"sessions\"] list").ok_or("no list")?;
    let above = [Some(list), within(list), within(list).and_then(within)];
    let grows = |holder: Option<&Value>| {
        let retained = holder.and_then(|holder| holder["retained"].as_array()).cloned().unwrap_or_default();
        let bytes: Vec<u64> = retained.iter().filter_map(Value::as_u64).collect();
        bytes.len() == 3 && bytes.windows(2).all(|pair| pair[0] + 1000 * 450 < pair[1])
    };
    if !above.iter().all(|holder| grows(*holder))
        || above[2].is_none_or(|holder| holder["what"] != "module __main__")
    {
        return Err(format!("holders: {holders:?}").into());
    }
    // What holds the new lists, of which there is one for each session, is told as well, and how many have come and stayed.
    let new = report["new"].as_array().into_iter().flatten().find(|new| new["type"] == "list");
    if new.is_none_or(|new| {
        new["count"].as_u64().unwrap_or(0) < 1000 || new["survivors"].as_u64().unwrap_or(0) < 1000
    }) {
        return Err(format!("new: {}", report["new"]).into());
    }
    Ok(())
}

/// Whoever interrupts while the file is written finds nothing of it, and the heap that was there before.
pub fn interrupted(interpreter: &Interpreter) -> Outcome {
    let (program, _) = census::known(interpreter, census::COUNT)?;
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("app.heap");
    fs::write(&file, "what was there")?;
    let count = || -> Outcome<usize> { Ok(fs::read_dir(folder.path())?.count()) };
    let pid = program.pid().to_string();
    let mut run = Run::start(["heap", "save", &file.to_string_lossy(), "--pid", &pid])?;
    // It is written under another name.
    while count()? == 1 && !run.has_ended() {
        std::thread::yield_now();
    }
    run.send(Signal::INT)?;
    let output = run.output()?;
    let is_as_before = count()? == 1 && fs::read(&file)? == b"what was there";
    match output.status.signal() == Some(Signal::INT.as_raw()) && is_as_before {
        true => Ok(()),
        false => Err(format!("{} files, {output:?}", count()?).into()),
    }
}

/// What is no heap, or not all of one, is refused with what to do.
pub fn damaged(interpreter: &Interpreter) -> Outcome {
    let (program, _) = program(interpreter)?;
    let pid = program.pid().to_string();
    let file = program.file("app.heap");
    text(&["save", &file.to_string_lossy(), "--pid", &pid])?;
    let whole = fs::read(&file)?;
    let refused = |bytes: &[u8], expected: &str| -> Outcome {
        let file = program.file("broken.heap");
        fs::write(&file, bytes)?;
        let output = Run::start(["heap", &file.to_string_lossy()])?.output()?;
        match !output.status.success() && output.stderr.contains(expected) {
            true => Ok(()),
            false => Err(format!("{} bytes: {output:?}", bytes.len()).into()),
        }
    };
    refused(b"", "rspy heap save")?;
    refused(b"a text", "rspy heap save")?;
    for part in [9, 10, 40, 1000, whole.len() / 2, whole.len() - 1] {
        refused(&whole[..part], "save the heap again")?;
    }
    let missing = Run::start(["heap", "/nowhere/app.heap"])?.output()?;
    if missing.status.success() || !missing.stderr.contains("rspy heap save") {
        return Err(format!("{missing:?}").into());
    }
    let nowhere = Run::start(["heap", "save", "/nowhere/app.heap", "--pid", &pid])?.output()?;
    if nowhere.status.success() || !nowhere.stderr.contains("Choose a file in a folder") {
        return Err(format!("{nowhere:?}").into());
    }
    Ok(())
}
