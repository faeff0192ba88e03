//! `--thread`, `--main-thread`, `--include`, `--exclude`: what is left out is not recorded.

use rspy_tests::family::Family;
use rspy_tests::interpreters::Interpreter;
use rspy_tests::rspy::{Recording, dump};
use rspy_tests::target::command;
use rspy_tests::{Body, Outcome, on_each, run};

/// Functions of `named.py` that each are in one thread only.
const THREADS: [&str; 4] = ["alpha", "beta", "late", "main"];

/// Which threads a recording with `options` is of.
fn recorded(family: &Family, options: &[&str]) -> Outcome<Vec<&'static str>> {
    let common = ["--duration", "1", "--rate", "200", "--idle"];
    let (profile, output) = Recording::of(family.root, &[&common, options].concat())?.finish()?;
    // Lost ones are in the recording alone.
    if output.summary()?.samples > profile.samples() {
        return Err(format!("{} samples in the recording: {}", profile.samples(), output.stderr).into());
    }
    let is_in =
        |name: &&str| profile.stacks.iter().any(|(stack, _)| stack.iter().any(|frame| frame.name == *name));
    let seen: Vec<&str> = THREADS.iter().copied().filter(is_in).collect();
    // What watches the target's stdin has its own function, and none of these; of a stack of which frames are
    // missing the others may be unknown.
    let is_other = |stack: &[rspy_tests::stacks::Seen]| {
        !stack.iter().any(|frame| THREADS.contains(&frame.name.as_str()) || frame.name.starts_with('['))
    };
    let others = profile.stacks.iter().any(|(stack, _)| is_other(stack));
    let watches = options.is_empty() || seen.len() == 3;
    if others && !watches { Err(format!("{options:?}: {:?}", profile.stacks).into()) } else { Ok(seen) }
}

fn filters(interpreter: &Interpreter) -> Outcome {
    let family = Family::start(command(interpreter, "named.py", &[]))?;
    let threads = dump(family.root)?;
    let beta = threads.iter().find(|thread| thread.frames.iter().any(|frame| frame.name == "beta"));
    let beta = beta.ok_or("no beta")?;
    let ident = beta.thread_id.to_string();
    let tid = beta.os_thread_id.ok_or("no kernel id")?.to_string();
    let cases: [(&[&str], &[&str]); 12] = [
        (&[], &["alpha", "beta", "late", "main"]),
        (&["--thread", "alpha"], &["alpha"]),
        (&["--thread", "beta*"], &["beta"]),
        (&["--thread", "named late"], &["late"]),
        (&["--thread", &tid], &["beta"]),
        (&["--thread", &ident], &["beta"]),
        (&["--thread", "alpha", "--thread", "beta-1"], &["alpha", "beta"]),
        (&["--main-thread"], &["main"]),
        (&["--main-thread", "--thread", "alpha"], &["alpha", "main"]),
        (&["--exclude", "threading"], &["main"]),
        (&["--include", "threading.py"], &["alpha", "beta", "late"]),
        (&["--include", "*/named.py", "--thread", "alpha"], &["alpha"]),
    ];
    for (options, expected) in cases {
        let seen = recorded(&family, options)?;
        if seen != expected {
            return Err(format!("{options:?}: {seen:?}").into());
        }
    }
    Ok(())
}

fn nothing_left(interpreter: &Interpreter) -> Outcome {
    let family = Family::start(command(interpreter, "named.py", &[]))?;
    let options = ["--duration", "0.5", "--exclude", "named"];
    let (profile, output) = Recording::of(family.root, &options)?.finish()?;
    match profile.samples() == 0 && output.stderr.contains("No sample was of the threads and the code") {
        true => Ok(()),
        false => Err(output.stderr.into()),
    }
}

fn main() {
    let tests: &[(&str, Body)] = &[("what-is-asked-for", filters), ("nothing-left", nothing_left)];
    run(on_each(&["2.7", "3.6", "3.8", "3.11", "3.13", "3.13t", "3.15"], tests));
}
