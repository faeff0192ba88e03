//! How a run of rspy ends: whatever ends it, what was gathered is written, and a failure says why.

use std::process::Stdio;

use rustix::process::Signal;

use rspy_tests::interpreters::Interpreter;
use rspy_tests::rspy::{Recording, Run};
use rspy_tests::stacks::{LOST, Profile, Seen, compare_profile};
use rspy_tests::target::{self, Target};
use rspy_tests::{Body, Outcome, on_each, process, rspy, run};

fn busy(interpreter: &Interpreter) -> Outcome<Target> {
    Target::start(target::command(interpreter, "states.py", &["computing-in-python"]))
}

/// A recording of `target` that has taken samples: it has used more processor time than its start costs.
fn started_recording(target: &Target) -> Outcome<Recording> {
    let recording = Recording::of(target.pid, &["--rate", "1000"])?;
    wait_for_work(&recording)?;
    Ok(recording)
}

/// Nothing tells from outside that sampling has begun, but the recorder is asleep between samples again and again.
fn wait_for_work(recording: &Recording) -> Outcome {
    let pid = recording.run.pid();
    let mut slept = 0;
    process::wait_until("the recorder is at work", || {
        slept += u32::from(process::state(pid, pid) == Some('S'));
        slept >= 200
    })
}

fn is_written(target: &Target, profile: &Profile) -> Outcome {
    if profile.samples() == 0 {
        return Err("the recording is empty".into());
    }
    compare_profile(target, profile, false)
}

/// Like [`is_written`], but the end itself may have been seen: some samples are lost, the thread that reads stdin
/// wakes.
fn is_written_at_end(target: &Target, profile: Profile) -> Outcome {
    let is_of_the_end = |stack: &[Seen]| stack[0].name.starts_with(LOST) || stack[0].name == "watch";
    let (end, before): (Vec<_>, Vec<_>) =
        profile.stacks.into_iter().partition(|(stack, _)| is_of_the_end(stack));
    let (end, before) = (Profile { stacks: end }, Profile { stacks: before });
    if end.samples() * 5 > before.samples() + 50 {
        return Err(format!("{} of {} samples are lost", end.samples(), before.samples()).into());
    }
    is_written(target, &before)
}

fn ends_with_signal(interpreter: &Interpreter, signal: Signal) -> Outcome {
    let mut target = busy(interpreter)?;
    let recording = started_recording(&target)?;
    recording.run.send(signal)?;
    let (profile, _) = recording.finish()?;
    is_written(&target, &profile)?;
    let status = target.end()?;
    if status.success() { Ok(()) } else { Err(format!("the target ended with {status}").into()) }
}

fn interrupted(interpreter: &Interpreter) -> Outcome {
    ends_with_signal(interpreter, Signal::INT)
}

fn terminated(interpreter: &Interpreter) -> Outcome {
    ends_with_signal(interpreter, Signal::TERM)
}

/// The target ends by itself while it is sampled.
fn target_exits(interpreter: &Interpreter) -> Outcome {
    let mut target = busy(interpreter)?;
    let recording = started_recording(&target)?;
    target.close();
    let (profile, _) = recording.finish()?;
    is_written_at_end(&target, profile)
}

/// The target is killed while it is sampled.
fn target_killed(interpreter: &Interpreter) -> Outcome {
    let target = busy(interpreter)?;
    let recording = started_recording(&target)?;
    process::send(target.pid, Signal::KILL)?;
    let (profile, _) = recording.finish()?;
    is_written_at_end(&target, profile)
}

/// The target has ended, but its parent has not fetched its status: there is nothing to read any more.
fn target_is_a_zombie(interpreter: &Interpreter) -> Outcome {
    let mut target = busy(interpreter)?;
    target.close();
    process::wait_until("the target is a zombie", || process::state(target.pid, target.pid) == Some('Z'))?;
    for command in ["dump", "record"] {
        Run::start([command, "--pid", &target.pid.to_string()])?.output()?.graceful_failure()?;
    }
    Ok(())
}

fn duration(interpreter: &Interpreter) -> Outcome {
    let target = busy(interpreter)?;
    let (profile, _) = Recording::of(target.pid, &["--duration", "1", "--rate", "100"])?.finish()?;
    is_written(&target, &profile)?;
    // On a loaded machine some ticks come late, but none comes twice.
    match profile.samples() {
        20..=110 => Ok(()),
        other => Err(format!("{other} samples in a second at 100 Hz").into()),
    }
}

/// `record -- COMMAND`: the command runs to its end, with its own arguments, and is recorded from its start.
fn command(interpreter: &Interpreter) -> Outcome {
    let folder = tempfile::tempdir()?;
    let proof = folder.path().join("proof");
    let script = "import sys, time\n\
                  def spin(end):\n    while time.time() < end: pass\n\
                  spin(time.time() + 0.5)\n\
                  open(sys.argv[1], 'w').write(' '.join(sys.argv[2:]))\n";
    let python = interpreter.path.display().to_string();
    let proof_path = proof.display().to_string();
    let arguments = ["--", &python, "-c", script, &proof_path, "-d", "--rate", "x y"];
    let (profile, _) = Recording::start(&arguments)?.finish()?;
    let has_spin = profile.stacks.iter().any(|(stack, _)| stack.iter().any(|frame| frame.name == "spin"));
    if !has_spin {
        return Err(format!("the command's function was not seen: {profile:?}").into());
    }
    match std::fs::read_to_string(&proof)?.as_str() {
        "-d --rate x y" => Ok(()),
        other => Err(format!("the command was given {other:?}").into()),
    }
}

/// The command ends at once, maybe before Python is there to be read.
fn short_command(interpreter: &Interpreter) -> Outcome {
    let python = interpreter.path.display().to_string();
    for _ in 0..5 {
        let output = Recording::start(&["--", &python, "-c", "pass"])?.run.output()?;
        if output.stderr.contains("panicked") || output.status.code().is_none() {
            return Err(format!("{output:?}").into());
        }
    }
    Ok(())
}

/// Ctrl-C in a terminal reaches the command too, which ends of it; what was recorded is written.
fn interrupted_command(interpreter: &Interpreter) -> Outcome {
    let folder = tempfile::tempdir()?;
    let proof = folder.path().join("proof");
    let script = "import sys\n\
                  def spin():\n    while True: pass\n\
                  open(sys.argv[1], 'w').close(); spin()\n";
    let (python, proof_path) = (interpreter.path.display().to_string(), proof.display().to_string());
    let recording = Recording::start(&["--rate", "1000", "--", &python, "-c", script, &proof_path])?;
    process::wait_until("the command runs", || proof.exists())?;
    wait_for_work(&recording)?;
    // A terminal sends it to both at once; a command that had ended by itself before would be another case.
    let children = process::children(recording.run.pid());
    recording.run.send(Signal::INT)?;
    for child in children {
        process::send(child, Signal::INT)?;
    }
    let (profile, _) = recording.finish()?;
    let has_spin = profile.stacks.iter().any(|(stack, _)| stack.iter().any(|frame| frame.name == "spin"));
    if has_spin { Ok(()) } else { Err("the command's function was not seen".into()) }
}

/// The reader of the dump closes its end: no panic, as with any other tool.
fn output_closed(interpreter: &Interpreter) -> Outcome {
    let target = busy(interpreter)?;
    let mut child = std::process::Command::new(rspy::binary())
        .args(["dump", "--pid", &target.pid.to_string()])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    drop(child.stdout.take());
    let status = process::wait_for_end(&mut child)?;
    let message = std::io::read_to_string(child.stderr.take().ok_or("no stderr")?)?;
    if status.code() == Some(101) || message.contains("panicked") {
        return Err(format!("{status}: {message}").into());
    }
    Ok(())
}

/// The device of the output is full: that is an error, not silence.
fn output_full(interpreter: &Interpreter) -> Outcome {
    let target = busy(interpreter)?;
    let arguments = ["record", "--format", "raw", "--duration", "1", "--output", "/dev/full", "--pid"];
    let pid = target.pid.to_string();
    Run::start(arguments.into_iter().chain([pid.as_str()]))?.output()?.graceful_failure()?;
    Ok(())
}

/// The folder of the output does not exist.
fn output_nowhere(interpreter: &Interpreter) -> Outcome {
    let target = busy(interpreter)?;
    let arguments = ["record", "--format", "raw", "--duration", "1", "--output", "/nowhere/at/all", "--pid"];
    let pid = target.pid.to_string();
    let output = Run::start(arguments.into_iter().chain([pid.as_str()]))?.output()?.graceful_failure()?;
    if output.stderr.contains("/nowhere/at/all") { Ok(()) } else { Err(output.stderr.into()) }
}

fn no_such_process(_: &Interpreter) -> Outcome {
    // One more than the largest process id that Linux gives.
    for command in ["dump", "record"] {
        Run::start([command, "--pid", "4194305"])?.output()?.graceful_failure()?;
    }
    Ok(())
}

fn not_python(_: &Interpreter) -> Outcome {
    let mut child = std::process::Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::null()).spawn()?;
    let outcome = ["dump", "record"].into_iter().try_for_each(|command| {
        Run::start([command, "--pid", &child.id().to_string()])?.output()?.graceful_failure()?;
        Ok(())
    });
    drop(child.stdin.take());
    child.wait()?;
    outcome
}

fn no_such_command(_: &Interpreter) -> Outcome {
    Recording::start(&["--", "/nowhere/at/all"])?.run.output()?.graceful_failure()?;
    Ok(())
}

/// The summary: the only line on stderr that tools may rely on.
fn summary(interpreter: &Interpreter) -> Outcome {
    let target = busy(interpreter)?;
    let (profile, output) = Recording::of(target.pid, &["--duration", "1"])?.finish()?;
    let line = output.stderr.lines().find(|line| line.contains(" samples, ") && line.contains(" lost"));
    let line = line.ok_or_else(|| format!("no summary in {:?}", output.stderr))?;
    let count: String =
        line.split(" samples").next().unwrap_or("").chars().filter(char::is_ascii_digit).collect();
    if count == profile.samples().to_string() {
        return Ok(());
    }
    Err(format!("{} samples are in the recording, the summary is: {line}", profile.samples()).into())
}

fn main() {
    let tests: &[(&str, Body)] = &[
        ("interrupted", interrupted),
        ("terminated", terminated),
        ("target-exits", target_exits),
        ("target-killed", target_killed),
        ("target-is-a-zombie", target_is_a_zombie),
        ("duration", duration),
        ("command", command),
        ("short-command", short_command),
        ("interrupted-command", interrupted_command),
        ("output-closed", output_closed),
        ("output-full", output_full),
        ("output-nowhere", output_nowhere),
        ("no-such-process", no_such_process),
        ("not-python", not_python),
        ("no-such-command", no_such_command),
        ("summary", summary),
    ];
    // How rspy ends does not depend on the version as such; these differ most in how they are read.
    run(on_each(&["2.7", "3.10", "3.13", "3.15"], tests));
}
