//! Names as people know them: what is shown of comprehensions, lambdas, class bodies, exec'd source and modules,
//! word for word. That it is what the interpreter says is for `matrix` to see.

use std::fs;
use std::process::Command;

use rspy_tests::interpreters::{self, Interpreter};
use rspy_tests::rspy::Run;
use rspy_tests::target::{self, Target, scripts};
use rspy_tests::{Body, Outcome, run, test};

const SCRIPT: &str = "known_names.py";

/// The line of the target that ends with this comment.
fn line(comment: &str) -> Outcome<usize> {
    let text = fs::read_to_string(scripts().join(SCRIPT))?;
    let found = text.lines().position(|line| line.ends_with(&format!("  # {comment}")));
    Ok(found.ok_or_else(|| format!("no line is marked {comment}"))? + 1)
}

/// What is shown of the target, from its module on, the outermost frame first.
fn expected(interpreter: &Interpreter) -> Outcome<Vec<String>> {
    let version = interpreter.minor();
    let own = |frames: &[(&str, &str, &str)]| -> Outcome<Vec<String>> {
        let name = |short: &str, whole: &str| if version >= (3, 11) { whole } else { short }.to_owned();
        frames
            .iter()
            .map(|(short, whole, place)| Ok(format!("{} ({SCRIPT}:{})", name(short, whole), line(place)?)))
            .collect()
    };
    let mut frames = own(&[
        ("<module>", "<module>", "module"),
        ("main", "main", "lambda"),
        ("<lambda>", "main.<locals>.<lambda>", "lambda"),
        ("listed", "listed", "list"),
    ])?;
    // 2.7 has no function for a list, 3.12 and later for none of them but a generator.
    let has_functions = version < (3, 12);
    if has_functions && version > (3, 0) {
        frames.extend(own(&[("<listcomp>", "listed.<locals>.<listcomp>", "list")])?);
    }
    frames.extend(own(&[("added", "added", "dict")])?);
    if has_functions {
        frames.extend(own(&[("<dictcomp>", "added.<locals>.<dictcomp>", "dict")])?);
    }
    frames.extend(own(&[
        ("generated", "generated", "generator"),
        ("<genexpr>", "generated.<locals>.<genexpr>", "generator"),
        ("body", "body", "class"),
        ("Body", "body.<locals>.Body", "body"),
        ("work", "Worker.work", "method"),
        ("inner", "Worker.work.<locals>.inner", "inner"),
        ("executed", "executed", "exec"),
    ])?);
    frames.push("<module> (<string>:2)".to_owned());
    frames.extend(own(&[("evaluated", "evaluated", "eval")])?);
    frames.push("<module> (<string>:1)".to_owned());
    Ok(frames)
}

/// The frames of the main thread, the outermost first.
fn dumped(target: &Target) -> Outcome<Vec<String>> {
    let text = Run::start(["dump", "--pid", &target.pid.to_string()])?.output()?.success()?.stdout;
    let threads = text.split("Thread ").skip(1).collect::<Vec<_>>();
    let [main] = threads[..] else { return Err(format!("not one thread in\n{text}").into()) };
    let mut frames: Vec<String> =
        main.lines().skip(1).map(|line| line.trim().to_owned()).filter(|line| !line.is_empty()).collect();
    frames.reverse();
    Ok(frames)
}

fn begins(frames: &[String], expected: &[String]) -> Outcome {
    match frames.starts_with(expected) {
        true => Ok(()),
        false => Err(format!(
            "the stack should begin with\n  {}\nit is\n  {}",
            expected.join("\n  "),
            frames.join("\n  ")
        )
        .into()),
    }
}

/// A program run by its file.
fn of_a_script(interpreter: &Interpreter) -> Outcome {
    let expected = expected(interpreter)?;
    let target = Target::start(target::command(interpreter, SCRIPT, &[]))?;
    begins(&dumped(&target)?, &expected)?;
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("stacks.txt");
    let mut arguments = vec!["record", "--idle", "--duration", "0.2", "--format", "raw", "--output"];
    let (pid, file) = (target.pid.to_string(), file.to_str().ok_or("a strange folder")?);
    arguments.extend([file, "--pid", &pid]);
    Run::start(arguments)?.output()?.success()?;
    let recorded = fs::read_to_string(file)?;
    if recorded.is_empty() {
        return Err("nothing was recorded".into());
    }
    for stack in recorded.lines() {
        let frames: Vec<String> = stack.split(';').map(str::to_owned).collect();
        begins(&frames, &expected)?;
    }
    Ok(())
}

fn python(interpreter: &Interpreter, arguments: &[&str]) -> Command {
    let mut command = target::clean_command(&interpreter.path);
    command.env("PYTHONPATH", scripts()).args(arguments);
    command
}

/// One that is imported from a command line: between are the frames of import, if it is written in Python.
fn of_an_import(interpreter: &Interpreter) -> Outcome {
    let target = Target::start(python(interpreter, &["-c", "import os\nimport known_names"]))?;
    let frames = dumped(&target)?;
    begins(&frames, &["<module> (<string>:2)".to_owned()])?;
    let is_import = |frame: &&String| frame.contains("importlib._bootstrap");
    let import = frames.iter().skip(1).take_while(is_import).count();
    if (import == 0) != (interpreter.minor() < (3, 0)) {
        return Err(format!("{import} frames of import in\n  {}", frames.join("\n  ")).into());
    }
    begins(&frames[1 + import..], &expected(interpreter)?)
}

/// One that is run by its module's name.
fn of_a_module(interpreter: &Interpreter) -> Outcome {
    let target = Target::start(python(interpreter, &["-m", "known_names"]))?;
    let frames = dumped(&target)?;
    let is_runpy = |frame: &&String| frame.contains("runpy");
    let runpy = frames.iter().take_while(is_runpy).count();
    if runpy == 0 {
        return Err(format!("no frames of runpy in\n  {}", frames.join("\n  ")).into());
    }
    begins(&frames[runpy..], &expected(interpreter)?)
}

fn main() {
    let tests = interpreters::all().into_iter().flat_map(|interpreter| {
        let bodies: [(&str, Body); 3] =
            [("script", of_a_script), ("import", of_an_import), ("module", of_a_module)];
        bodies.map(|(name, body)| {
            let interpreter = interpreter.clone();
            test(format!("{name}::{}", interpreter.label), move || body(&interpreter))
        })
    });
    run(tests.collect());
}
