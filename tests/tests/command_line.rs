//! Every command line of py-spy 0.4.3 means the same to rspy: both are given the same arguments, and what they make
//! of them is compared. Skipped outside of CI where py-spy cannot be had.

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Stdio};

use rspy_tests::interpreters::Interpreter;
use rspy_tests::target::{self, Target};
use rspy_tests::{Body, Outcome, on_each, packages, process, rspy, run, test};
use rustix::process::Signal;

/// More than the largest process id that Linux gives.
const NOBODY: &str = "4194305";

/// Arguments that both are given, separated by blanks; `''` is an empty one, NOBODY the id of no process.
const COMMAND_LINES: &[&str] = &[
    "",
    "-h",
    "--help",
    "-V",
    "--version",
    "--version record",
    "--help record",
    "help",
    "hel",
    "help record",
    "help dump",
    "help top",
    "help completions",
    "help dum",
    "help foo",
    "help record extra",
    "foo",
    "Record -p NOBODY",
    "recordx -p NOBODY",
    "-p NOBODY",
    "r --help",
    "rec --help",
    "d --help",
    "dum --help",
    "t --help",
    "c --help",
    "completions",
    "completions bash",
    "completions elvish",
    "completions fish",
    "completions powershell",
    "completions zsh",
    "compl zsh",
    "completions BASH",
    "completions bash zsh",
    "completions --shell bash",
    "record",
    "record -h",
    "record --help -p x",
    "record -h --bad",
    "record -V",
    "record --version",
    "record --",
    "record -p",
    "record -p NOBODY",
    "r -p NOBODY",
    "record -pNOBODY",
    "record -p=NOBODY",
    "record --pid NOBODY",
    "record --pid=NOBODY",
    "record --pi NOBODY",
    "record -p 0x400001",
    "record -p 0X400001",
    "record -p +4194305",
    "record -p 400001h",
    "record -p ''",
    "record -p 0",
    "record -p -1",
    "record -p 4_194_305",
    "record -p 2147483648",
    "record -p 99999999999",
    "record -p NOBODY -p NOBODY",
    "record -p NOBODY -f raw",
    "record -p NOBODY -f RAW",
    "record -p NOBODY -f Raw",
    "record -p NOBODY -f flamegraph",
    "record -p NOBODY -f speedscope",
    "record -p NOBODY -f Chrometrace",
    "record -p NOBODY -f svg",
    "record -p NOBODY -f ''",
    "record -p NOBODY -f raw -f raw",
    "record -p NOBODY -o -",
    "record -p NOBODY -o ''",
    "record -p NOBODY -o a -o b",
    "record -p NOBODY -d 0",
    "record -p NOBODY -d 10",
    "record -p NOBODY -d +1",
    "record -p NOBODY -d unlimited",
    "record -p NOBODY -d Unlimited",
    "record -p NOBODY -d 99999999999999",
    "record -p NOBODY -d 10s",
    "record -p NOBODY -d -1",
    "record -p NOBODY -d ''",
    "record -p NOBODY -r 1",
    "record -p NOBODY -r 1000000",
    "record -p NOBODY -r 18446744073709551615",
    "record -p NOBODY -r 0x10",
    "record -p NOBODY -r -1",
    "record -p NOBODY -r 100001",
    "record -p NOBODY -r +100",
    "record -p NOBODY -r 1e",
    "record -p NOBODY -r nan",
    "record -p NOBODY -r ''",
    "record -p NOBODY -tgi",
    "record -p NOBODY -tt",
    "record -p NOBODY -F -F",
    "record -p NOBODY -F --nolineno",
    "record -p NOBODY -n --nonblocking",
    "record -p NOBODY --nonblocking",
    "record -p NOBODY -s",
    "record -p NOBODY -sn",
    "record -p NOBODY --subprocesses --native",
    "record -p NOBODY --function --threads --gil --idle --full-filenames",
    "record -p NOBODY --function=true",
    "record -p NOBODY --format=raw --output=x --duration=1 --rate=1",
    "record -p NOBODY --capture",
    "record -p NOBODY --capture raw",
    "record -p NOBODY --hideprogress",
    "record -p NOBODY --hideprogres",
    "record -p NOBODY --GIL",
    "record -p NOBODY --no-lineno",
    "record -p NOBODY --core x",
    "record -p NOBODY -c x",
    "record -p NOBODY -l",
    "record -p NOBODY -j",
    "record -p NOBODY --delay 1",
    "record -p NOBODY /nowhere/x",
    "record -p NOBODY -- /nowhere/x",
    "record -p NOBODY --",
    "record /nowhere/x -p NOBODY",
    "record /nowhere/x",
    "record /nowhere/x y z",
    "record /nowhere/x -d 1",
    "record -d 1 /nowhere/x --badoption",
    "record -d 1 -- /nowhere/x --badoption",
    "record -d 1 -- /nowhere/x -- y",
    "record -d 1 /nowhere/x -- y -d",
    "record -- -x",
    "record -- ''",
    "record ''",
    "record -",
    "top",
    "top -h",
    "top -p NOBODY",
    "top -p NOBODY --delay 0",
    "top -p NOBODY --delay 1e3",
    "top -p NOBODY --delay inf",
    "top -p NOBODY --delay x",
    "top -p NOBODY --delay -1",
    "top -p NOBODY --delay ''",
    "top -p NOBODY --delay 1 --delay 2",
    "top -p NOBODY -r 10",
    "top -p NOBODY -sgin",
    "top -p NOBODY --full-filenames",
    "top -p NOBODY --nonblocking",
    "top -p NOBODY --nonblocking -n",
    "top -p NOBODY -d 1",
    "top -p NOBODY -o x",
    "top -p NOBODY -t",
    "top -p NOBODY -F",
    "top -p NOBODY -f raw",
    "top -p NOBODY --hideprogress",
    "top -p NOBODY -- x",
    "top /nowhere/x",
    "top -- /nowhere/x -y",
    "dump",
    "dump -h",
    "dump -p NOBODY",
    "dump -p 0x400001",
    "dump NOBODY",
    "dump -p NOBODY extra",
    "dump -p NOBODY -- extra",
    "dump -p NOBODY -p NOBODY",
    "dump -l",
    "dump -p NOBODY -lll",
    "dump -p NOBODY -l -l --locals",
    "dump -p NOBODY -l 2",
    "dump -p NOBODY --locals=2",
    "dump -p NOBODY -j",
    "dump -p NOBODY -j -j",
    "dump -p NOBODY -ljsn",
    "dump -p NOBODY --json --full-filenames --nonblocking",
    "dump -p NOBODY -n --nonblocking",
    "dump -p NOBODY -t",
    "dump -p NOBODY -i",
    "dump -p NOBODY -r 10",
    "dump -p NOBODY -o x",
    "dump -p NOBODY -f raw",
    "dump -c /nowhere/core",
    "dump --core /nowhere/core",
    "dump -p NOBODY -c /nowhere/core",
    "dump -c a -c b",
];

/// What a program makes of its arguments.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum Verdict {
    Done,
    Failed,
    Rejected,
}

fn verdict(program: &Path, arguments: &[&str], folder: &Path) -> Outcome<(Verdict, String)> {
    let output = Command::new(program).args(arguments).current_dir(folder).stdin(Stdio::null()).output()?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    match output.status.code() {
        Some(0) => Ok((Verdict::Done, said)),
        Some(1) => Ok((Verdict::Failed, said)),
        // py-spy panics at some wrong values.
        Some(2) => Ok((Verdict::Rejected, said)),
        Some(101) if program != rspy::binary() => Ok((Verdict::Rejected, said)),
        _ => Err(format!("{program:?} {arguments:?}: {output:?}").into()),
    }
}

/// Both take or refuse the same, with the same exit code.
fn same_verdicts() -> Outcome {
    let Some(py_spy) = packages::py_spy()? else { return Ok(()) };
    let folder = tempfile::tempdir()?;
    let mut wrong = Vec::new();
    for line in COMMAND_LINES {
        let line = line.replace("NOBODY", NOBODY);
        let arguments: Vec<&str> =
            line.split_whitespace().map(|word| if word == "''" { "" } else { word }).collect();
        let (theirs, _) = verdict(&py_spy, &arguments, folder.path())?;
        let (ours, said) = verdict(rspy::binary(), &arguments, folder.path())?;
        if theirs != ours {
            wrong.push(format!("{line}: py-spy {theirs:?}, rspy {ours:?}: {said}"));
        }
        if ours != Verdict::Done && said.trim().is_empty() {
            wrong.push(format!("{line}: nothing is said"));
        }
    }
    let left = std::fs::read_dir(folder.path())?.count();
    if left > 0 {
        wrong.push(format!("{left} files are left behind"));
    }
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n").into()) }
}

/// What is ours alone.
fn own_options() -> Outcome {
    let folder = tempfile::tempdir()?;
    for line in [
        "record -p NOBODY -d 1.5",
        "record -p NOBODY -r 1.5",
        "record -p NOBODY -r 18446744073709551616",
        "record -p NOBODY -r 10kHz",
        "record -p NOBODY -r MAX",
        "record -p NOBODY --blocking --stop-budget 0.5 --stats",
        "top -p NOBODY -r 1.5 --blocking --stop-budget 100%",
        "record -p NOBODY --columns",
        "dump -p NOBODY --columns",
        "record -- /nowhere/x",
    ] {
        let line = line.replace("NOBODY", NOBODY);
        let arguments: Vec<&str> = line.split_whitespace().collect();
        let (ours, said) = verdict(rspy::binary(), &arguments, folder.path())?;
        if ours != Verdict::Failed {
            return Err(format!("{line}: {ours:?}: {said}").into());
        }
    }
    Ok(())
}

/// Wrong values of what is ours alone, and what has no place in a command.
fn own_mistakes() -> Outcome {
    let folder = tempfile::tempdir()?;
    for line in [
        "record -p NOBODY -r 0k",
        "record -p NOBODY -r 10x",
        "record -p NOBODY --stop-budget 0",
        "record -p NOBODY --stop-budget 101",
        "record -p NOBODY --blocking --nonblocking",
        "top -p NOBODY --blocking --nonblocking",
        "top -p NOBODY --stats",
        "dump -p NOBODY --blocking",
        "dump -p NOBODY --stop-budget 1",
        "dump -p NOBODY --stats",
    ] {
        let line = line.replace("NOBODY", NOBODY);
        let arguments: Vec<&str> = line.split_whitespace().collect();
        let (ours, said) = verdict(rspy::binary(), &arguments, folder.path())?;
        if ours != Verdict::Rejected {
            return Err(format!("{line}: {ours:?}: {said}").into());
        }
    }
    Ok(())
}

/// What this release cannot do is refused in plain words, never left out.
fn not_yet() -> Outcome {
    let folder = tempfile::tempdir()?;
    let me = std::process::id().to_string();
    for arguments in [
        &["record", "-n", "-p", &me][..],
        &["dump", "-n", "-p", &me],
        &["dump", "-c", "core"],
        &["top", "-n", "-p", &me],
    ] {
        let (ours, said) = verdict(rspy::binary(), arguments, folder.path())?;
        if ours != Verdict::Failed || !said.contains("This release") {
            return Err(format!("{arguments:?}: {ours:?}: {said}").into());
        }
    }
    Ok(())
}

/// A run's stdout, each number as `N` and each name as rspy's.
fn words(stdout: &[u8]) -> String {
    let text = String::from_utf8_lossy(stdout).replace("py-spy>", "rspy>");
    let mut words = String::new();
    for letter in text.chars() {
        if !letter.is_ascii_digit() {
            words.push(letter);
        } else if !words.ends_with('N') {
            words.push('N');
        }
    }
    words
}

/// Both say the same of a recording, and name its file alike.
fn same_words(interpreter: &Interpreter) -> Outcome {
    let Some(py_spy) = packages::py_spy()? else { return Ok(()) };
    let target = Target::start(target::command(interpreter, "states.py", &["computing-in-python"]))?;
    let pid = target.pid.to_string();
    for arguments in [
        &["-d", "1", "-f", "raw", "-o", "a file"][..],
        &["-d", "1", "-o", "a file"],
        &["-d", "1", "-f", "raw"],
        &["-d", "1"],
        &["-d", "1", "-f", "speedscope"],
        &["-d", "1", "-f", "chrometrace"],
        &["-d", "0", "-f", "raw"],
        &["-d", "1", "--capture", "-o", "a file"],
        &["-d", "1", "--capture", "--hideprogress", "-o", "a file"],
        // With both, it is the process; the program is not started.
        &["-d", "1", "-o", "a file", "--", "touch", "started"],
        // Ended by Control-C.
        &["-o", "a file"],
    ] {
        let run = |program: &Path| -> Outcome<(String, Vec<String>)> {
            let folder = tempfile::tempdir()?;
            let child = Command::new(program)
                .args(["record", "-p", &pid])
                .args(arguments)
                .current_dir(folder.path())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()?;
            if !arguments.contains(&"-d") {
                works(child.id())?;
                process::send(child.id(), Signal::INT)?;
            }
            let output = child.wait_with_output()?;
            if !output.status.success() {
                return Err(format!("{program:?} {arguments:?}: {output:?}").into());
            }
            let mut files = Vec::new();
            for entry in std::fs::read_dir(folder.path())? {
                files.push(words(entry?.file_name().as_encoded_bytes()));
            }
            files.sort();
            Ok((words(&output.stdout), files))
        };
        let (theirs, ours) = (run(&py_spy)?, run(rspy::binary())?);
        if theirs != ours {
            return Err(format!("{arguments:?}:\npy-spy {theirs:#?}\nrspy {ours:#?}").into());
        }
    }
    Ok(())
}

/// Waits until a recorder samples: it is asleep again and again.
fn works(pid: u32) -> Outcome {
    let mut slept = 0;
    process::wait_until("the recorder is at work", || {
        slept += u32::from(process::state(pid, pid) == Some('S'));
        slept >= 200
    })
}

/// `-o /dev/stdout`: the recording alone is there.
fn recording_on_stdout(interpreter: &Interpreter) -> Outcome {
    let target = Target::start(target::command(interpreter, "states.py", &["computing-in-python"]))?;
    let output = Command::new(rspy::binary())
        .args(["record", "-d", "1", "-f", "raw", "-o", "/dev/stdout", "-p", &target.pid.to_string()])
        .output()?;
    let text = String::from_utf8(output.stdout)?;
    let profile = rspy_tests::stacks::Profile::parse(&text)?;
    if profile.samples() > 0 && String::from_utf8_lossy(&output.stderr).contains("rspy> Wrote") {
        return Ok(());
    }
    Err(format!("{text}{}", String::from_utf8_lossy(&output.stderr)).into())
}

/// `RUST_LOG` as with py-spy, whose name means rspy.
fn log(interpreter: &Interpreter) -> Outcome {
    let target = Target::start(target::command(interpreter, "states.py", &["computing-in-python"]))?;
    let pid = target.pid.to_string();
    let dump = |filter: &str| -> Outcome<String> {
        let output =
            Command::new(rspy::binary()).args(["dump", "-p", &pid]).env("RUST_LOG", filter).output()?;
        match output.status.success() {
            true => Ok(String::from_utf8(output.stderr)?),
            false => Err(format!("{output:?}").into()),
        }
    };
    for (filter, is_logged) in [
        ("", false),
        ("info", true),
        ("py_spy=info", true),
        ("rspy_cpython=debug", true),
        ("remoteprocess=info", false),
    ] {
        let said = dump(filter)?;
        if said.contains("found the interpreter") != is_logged {
            return Err(format!("RUST_LOG={filter}: {said:?}").into());
        }
    }
    let said = dump("rspy=loud")?;
    if said.contains("rspy=loud") {
        Ok(())
    } else {
        Err(format!("a wrong filter is not named: {said:?}").into())
    }
}

/// What the completion scripts are for: bash knows the formats.
fn completions() -> Outcome {
    let script = rspy::Run::start(["completions", "bash"])?.output()?.success()?.stdout;
    let ask = format!(
        "{script}\nCOMP_WORDS=(rspy record --format ''); COMP_CWORD=3; _rspy rspy '' --format; echo \"${{COMPREPLY[@]}}\""
    );
    let output = Command::new("bash").args([OsStr::new("-c"), OsStr::new(&ask)]).output()?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    if said.split_whitespace().any(|word| word == "flamegraph") {
        Ok(())
    } else {
        Err(format!("{output:?}").into())
    }
}

fn main() {
    let mut trials = vec![
        test("same-verdicts", same_verdicts),
        test("own-options", own_options),
        test("own-mistakes", own_mistakes),
        test("not-yet", not_yet),
        test("completions", completions),
    ];
    let tests: &[(&str, Body)] =
        &[("same-words", same_words), ("recording-on-stdout", recording_on_stdout), ("log", log)];
    trials.extend(on_each(&["3.11"], tests));
    run(trials);
}
