//! What is shown, on terminals and elsewhere.

use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use rspy_tests::Outcome;
use rspy_tests::analysis::{Lines, json, json_and_output};
use rspy_tests::interpreters::Interpreter;
use rspy_tests::recording::unwrapped;
use rspy_tests::rspy::{Run, binary};
use rspy_tests::target::scripts;
use rspy_tests::terminal::Terminal;

/// A recording of functions of every kind, and its file.
fn recorded(interpreter: &Interpreter) -> Outcome<(TempDir, String)> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("app.rspy").display().to_string();
    let python = interpreter.path.display().to_string();
    let script = scripts().join("line_kinds.py").display().to_string();
    Run::start(["record", "-r", "500", "-o", &file, "--", &python, &script, "1"])?.output()?.success()?;
    Ok((folder, file))
}

/// Which functions are shown.
pub fn chosen(interpreter: &Interpreter) -> Outcome {
    let (_folder, file) = recorded(interpreter)?;
    let names = |options: &[&str]| -> Outcome<Vec<String>> {
        let lines: Lines = json("lines", &[&[file.as_str()], options].concat())?;
        Ok(lines.functions.into_iter().map(|function| function.name).collect())
    };
    let usual: Lines = json("lines", &[&file])?;
    let most = usual.functions.iter().map(|function| function.own).sum::<f64>();
    if usual.functions.len() > 10 || !usual.functions.is_sorted_by(|one, next| one.own >= next.own) {
        return Err(format!("not the hottest: {usual:?}").into());
    }
    if usual.functions.len() < 10 && most < 0.8 * usual.time {
        return Err(format!("{most} of {}: {usual:?}", usual.time).into());
    }
    for (options, expected) in [
        (&["--function", "Class.*"][..], &["Class.attribute", "Class.method"][..]),
        (&["--function", "inner"], &["outer.<locals>.inner"]),
        (&["--function", "meth?d", "--function", "outer"], &["Class.method", "outer"]),
        (&["--file", "nothing.py"], &[]),
        (&["--file", "line_kinds.py", "--function", "spin"], &["spin"]),
    ] {
        let mut names = names(options)?;
        names.sort();
        if names != expected {
            return Err(format!("{options:?}: {names:?}, not {expected:?}").into());
        }
    }
    if names(&["--limit", "3"])?.len() != 3 || names(&["--limit", "0"])?.len() < 12 {
        return Err("--limit shows another number".into());
    }
    // A mode leaves out what sleeps.
    let cpu: Lines = json("lines", &[&file, "--mode", "cpu", "--function", "wait"])?;
    if cpu.of("wait")?.waiting > 0.0 || cpu.samples >= usual.samples {
        return Err(format!("it waits on a CPU: {cpu:?}").into());
    }
    let (nothing, output): (Lines, _) = json_and_output("lines", &[&file, "--function", "nothing"])?;
    let said = unwrapped(&output.stderr);
    if !nothing.functions.is_empty() || !said.contains("No function that was seen is of that name or file.") {
        return Err(format!("{nothing:?}: {said}").into());
    }
    Ok(())
}

/// A terminal on which `rspy lines` has written a page and ended.
fn terminal(size: (u16, u16), environment: &[(&str, &str)], file: &str) -> Outcome<Terminal> {
    let terminal = Terminal::start(size, environment)?;
    // In a file of its own, so that the command line is short.
    let script = Path::new(file).with_file_name("l");
    let line = format!("clear; {} lines {file} --function recurse; echo done\n", binary().display());
    std::fs::write(&script, line)?;
    terminal.run(&format!(". {}", script.display()))?;
    terminal.wait_for("done")?;
    Ok(terminal)
}

pub fn colours(interpreter: &Interpreter) -> Outcome {
    let (_folder, file) = recorded(interpreter)?;
    // Bold red, as tmux writes what rspy has written.
    let has_red =
        |text: &str| text.lines().any(|line| line.contains("31m") && line.contains("# in each call"));
    let coloured = terminal((100, 40), &[("LC_ALL", "C.UTF-8")], &file)?.coloured()?;
    if !has_red(&coloured) {
        return Err(format!("nothing is red: {coloured:?}").into());
    }
    let plain = terminal((100, 40), &[("LC_ALL", "C.UTF-8"), ("NO_COLOR", "1")], &file)?.coloured()?;
    if plain.contains('\x1b') || !plain.contains("# in each call") {
        return Err(format!("it has colours: {plain:?}").into());
    }
    let output = Run::start(["lines", &file])?.output()?.success()?;
    if output.stdout.contains('\x1b') { Err("a pipe has colours".into()) } else { Ok(()) }
}

pub fn widths(interpreter: &Interpreter) -> Outcome {
    let (_folder, file) = recorded(interpreter)?;
    for (width, has, has_not) in [
        (20, &["Line   Time s"][..], &["Samples", "# in each call"][..]),
        (40, &["Line   Time s      %", "spin("], &["Samples"]),
        (80, &["Line  Samples   Time s      %    CPU s   Wait s", "spin("], &[]),
        (200, &["spin(seconds)  # in each call"], &[]),
    ] {
        let screen = terminal((width, 40), &[("LC_ALL", "C.UTF-8")], &file)?.screen()?;
        println!("{screen}");
        if let Some(missing) = has.iter().find(|text| !screen.contains(*text)) {
            return Err(format!("no {missing:?} on {width} columns:\n{screen}").into());
        }
        if let Some(text) = has_not.iter().find(|text| screen.contains(*text)) {
            return Err(format!("{text:?} on {width} columns:\n{screen}").into());
        }
        // A line is a line of the screen: nothing is broken.
        let numbers =
            screen.lines().filter(|line| line.trim_start().starts_with(|first: char| first.is_ascii_digit()));
        let function: Lines = json("lines", &[&file, "--function", "recurse"])?;
        let expected = function.of("recurse")?.lines.len() + 1;
        if numbers.count() < expected {
            return Err(format!("fewer lines than {expected}:\n{screen}").into());
        }
    }
    // Elsewhere lines are whole.
    let output = Run::start(["lines", &file, "--function", "recurse"])?.output()?.success()?;
    if output.stdout.contains("spin(seconds)  # in each call") { Ok(()) } else { Err(output.stdout.into()) }
}

/// A reader that goes away ends it without a word.
pub fn closed_pipe(interpreter: &Interpreter) -> Outcome {
    let (_folder, file) = recorded(interpreter)?;
    for command in ["lines", "stats", "lines --json", "stats --json"] {
        let script =
            format!("{} {command} --limit 0 {file} | true; echo ${{PIPESTATUS[0]}}", binary().display());
        let output = Command::new("bash").args(["-c", &script]).output()?;
        let (code, said) = (String::from_utf8(output.stdout)?, String::from_utf8(output.stderr)?);
        if !said.is_empty() || !["0", "1", "141"].contains(&code.trim()) {
            return Err(format!("rspy {command}: {code}: {said}").into());
        }
    }
    Ok(())
}

/// rspy ends as the program did.
pub fn exit_code(interpreter: &Interpreter) -> Outcome {
    let python = interpreter.path.display().to_string();
    for command in ["lines", "stats"] {
        let script = "import time, sys; time.sleep(0.3); sys.exit(3)";
        let output = Run::start([command, "--", &python, "-c", script])?.output()?;
        if output.status.code() != Some(3) || !output.stdout.contains("<module>") {
            return Err(format!("{command}: {output:?}").into());
        }
    }
    Ok(())
}
