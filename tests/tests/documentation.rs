//! The commands of the documentation, run as they are written.
//!
//! They name process 12345, `python` and `program.py`: each runs in a pid namespace of its own in which a Python has
//! that id, and in a folder that has the rest. Of indented lines those that begin with `rspy` are commands; what
//! follows two blanks or more is no part of them; what reads recordings finds them there. In the help they stand below `Examples:`.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};

use rspy_tests::interpreters::{self, Interpreter, workspace};
use rspy_tests::process;
use rspy_tests::rspy::{Run, binary};
use rspy_tests::target::clean_command;
use rspy_tests::{Outcome, run, test};
use rustix::process::Signal;

/// Pages with commands for users.
const PAGES: &[&str] = &[
    "README.md",
    "docs/errors.md",
    "docs/heap.md",
    "docs/lines.md",
    "docs/memory.md",
    "docs/py-spy.md",
    "docs/stats.md",
    "docs/time.md",
    "docs/recording.md",
    "docs/comparison.md",
    "docs/top.md",
];

/// Subcommands with help of their own.
const COMMANDS: &[&str] =
    &["record", "report", "dump", "top", "lines", "stats", "memory", "heap", "time", "completions"];

/// Starts the process that the documentation speaks of, then the command given as `$1`.
const SCRIPT: &str = r#"
    mkfifo ready
    echo 12344 > /proc/sys/kernel/ns_last_pid
    PYTHONTRACEMALLOC=3 python spin.py > ready &
    [ $! = 12345 ] || { echo "the process has the id $!" >&2; exit 99; }
    read -r _ < ready
    eval "$1"
"#;

/// What runs as process 12345.
const SPIN: &str = "\
import sys
def spin(count):
    while True:
        count += 1
sys.stdout.write('ready\\n')
sys.stdout.flush()
class Session:
    pass
sessions = [Session() for _ in range(10)]
spin(0)
";

/// What `record -- COMMAND` starts.
const PROGRAM: &str = "\
def work():
    total = 0
    for number in range(10000000):
        total += number
    return total
work()
";

/// The commands of a text: of its indented lines those that begin with `rspy`.
fn commands(text: &str) -> Vec<String> {
    let indented = text.lines().filter(|line| line.starts_with("  "));
    let command = |line: &str| {
        let line = line.trim();
        line.starts_with("rspy ")
            .then(|| line.split_once("   ").map_or(line, |(command, _)| command).to_owned())
    };
    indented.filter_map(command).collect()
}

/// All commands, each with where it stands.
fn documented() -> Outcome<Vec<(String, String)>> {
    let mut found = Vec::new();
    for page in PAGES {
        let text = fs::read_to_string(workspace().join(page))?;
        found.extend(commands(&text).into_iter().map(|command| ((*page).to_owned(), command)));
    }
    for command in COMMANDS {
        let help = Run::start([command, "--help"])?.output()?.success()?.stdout;
        let examples = help.split_once("Examples:\n").map_or("", |(_, rest)| rest);
        let examples = examples.split("\n\n").next().unwrap_or_default();
        found.extend(commands(examples).into_iter().map(|example| (format!("{command} --help"), example)));
    }
    found.sort_by(|one, other| one.1.cmp(&other.1));
    found.dedup_by(|one, other| one.1 == other.1);
    Ok(found)
}

/// Runs a command where everything it names exists. What records for long is interrupted as a user would.
fn works(command: &str, interpreter: &Interpreter) -> Outcome {
    let folder = tempfile::tempdir()?;
    let path = folder.path();
    let bin = path.join("bin");
    fs::create_dir_all(&bin)?;
    for completions in [".local/share/bash-completion/completions", ".config/fish/completions", "zsh"] {
        fs::create_dir_all(path.join(completions))?;
    }
    symlink(&interpreter.path, bin.join("python"))?;
    symlink(binary(), bin.join("rspy"))?;
    fs::write(path.join("spin.py"), SPIN)?;
    fs::write(path.join("program.py"), PROGRAM)?;

    // As long as the latest time that a command asks for.
    let recorded = |file: &str, seconds: u32| {
        format!("rspy record --memory -d {seconds} -o {file} -p 12345 > /dev/null 2>&1; ")
    };
    let reads = ["rspy report", "rspy lines", "rspy stats", "rspy memory"]
        .iter()
        .any(|reader| command.starts_with(reader));
    let recordings: String = match reads {
        true => {
            let seconds = if command.contains("--from") { 12 } else { 1 };
            let files = command.split_whitespace().filter(|word| word.ends_with(".rspy"));
            files.map(|file| recorded(file, seconds)).collect()
        }
        false => String::new(),
    };
    let heaps: String = match command.starts_with("rspy heap") && !command.contains(" save ") {
        true => {
            let files = command.split_whitespace().filter(|word| word.ends_with(".heap"));
            files.map(|file| format!("rspy heap save {file} -p 12345 2> /dev/null; ")).collect()
        }
        false => String::new(),
    };
    let shell = if command.contains("fpath") { "zsh" } else { "sh" };
    let prelude = if shell == "zsh" { "fpath=(~/zsh $fpath); " } else { "" };
    let log = path.join("log");
    let mut child = clean_command(Path::new("unshare"))
        .args(["--pid", "--fork", "--mount-proc", "--kill-child", shell, "-c", SCRIPT, shell])
        .arg(format!("{prelude}{recordings}{heaps}{command}"))
        .current_dir(path)
        .env("HOME", path)
        .env("PATH", format!("{}:{}", bin.display(), std::env::var("PATH")?))
        .stdin(Stdio::null())
        .stdout(fs::File::create(&log)?)
        .stderr(fs::File::options().append(true).create(true).open(path.join("errors"))?)
        .spawn()?;
    let is_live = command.starts_with("rspy top") && !command.contains("--once");
    if is_live {
        let has_written = || fs::metadata(&log).is_ok_and(|log| log.len() > 0);
        process::wait_until("rspy has shown something", has_written)?;
    }
    let is_long = command.starts_with("rspy record")
        || (command.starts_with("rspy memory")
            && command.contains("--pid")
            && !command.contains("--tracemalloc"));
    if is_live || (is_long && !command.contains(" -- ")) {
        let rspy = || {
            let is_rspy = |name: String| name.trim() == "rspy";
            process::descendants(child.id())
                .into_iter()
                .find(|pid| fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(is_rspy))
        };
        // It sleeps from one sample to the next.
        let samples = |pid: u32| process::sleeps(pid).unwrap_or(0);
        process::wait_until("rspy has taken samples", || rspy().is_some_and(|pid| samples(pid) > 50))?;
        process::send(rspy().ok_or("there is no rspy")?, Signal::INT)?;
    }
    let status = process::wait_for_end(&mut child)?;
    let (text, errors) = (fs::read_to_string(&log)?, fs::read_to_string(path.join("errors"))?);
    if !status.success() {
        return Err(format!("{command}: {status}\n{text}{errors}").into());
    }
    // Its stdout is the command's.
    let result = if command.starts_with("rspy time") { &errors } else { &text };
    has_result(command, path, result).map_err(|error| format!("{command}: {error}\n{text}{errors}").into())
}

/// What of it is text.
fn text_of(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Whether the command has done what it is there for.
fn has_result(command: &str, folder: &Path, text: &str) -> Outcome {
    let words: Vec<&str> = command.split_whitespace().collect();
    let after = |option: &str| words.iter().position(|word| *word == option).and_then(|at| words.get(at + 1));
    if let Some(file) = after("-o") {
        let file_path = folder.join(file);
        let recording = match file.ends_with(".rspy") {
            true => Run::start([OsStr::new("report"), file_path.as_os_str()])?.output()?.success()?.stdout,
            false if file.ends_with(".gz") => {
                text_of(&Command::new("gzip").arg("-dc").arg(file_path).output()?.stdout)
            }
            false => text_of(&fs::read(file_path)?),
        };
        let function = match command.contains("program.py") {
            // A picture of memory has the program alone.
            true if words[1] == "memory" => "program",
            false if words[1] == "heap" => "module",
            true => "work",
            false => "spin",
        };
        return if recording.contains(function) {
            Ok(())
        } else {
            Err(format!("no {function} in {file}").into())
        };
    }
    if let Some((_, file)) = command.split_once(" > ") {
        let file = file.replace("~/", "").replace("\"${fpath[1]}", "zsh").replace('"', "");
        let completions = fs::read_to_string(folder.join(&file))?;
        return if completions.contains("rspy") { Ok(()) } else { Err(format!("nothing in {file}").into()) };
    }
    let expected = match words[1] {
        "top" | "lines" | "stats" if command.contains("program.py") => "work",
        "time" => "program",
        "memory" if command.contains("program.py") => "program",
        // These have no names of functions.
        "memory" if command.contains("--tracemalloc") || command.contains("-f csv") => "12345",
        "heap" if words[2] == "save" => {
            let is_there = words.get(3).is_some_and(|file| folder.join(file).exists());
            return if is_there { Ok(()) } else { Err("no heap was saved".into()) };
        }
        "heap" if command.contains("--growth") => "What has changed",
        "heap" if command.contains("--why") => "module __main__",
        "heap" => "MB",
        "dump" | "report" | "top" | "lines" | "stats" | "memory" => "spin",
        _ => "rspy",
    };
    if text.contains(expected) { Ok(()) } else { Err(format!("it does not say {expected}").into()) }
}

/// The command that the README tries rspy with.
fn readme_records_a_real_program() -> Outcome {
    let readme = fs::read_to_string(workspace().join("README.md"))?;
    let command = readme.lines().map(str::trim).find(|line| line.starts_with("cargo run "));
    let command = command.ok_or("the README has no `cargo run`")?;
    let picture = workspace().join("profile.svg");
    let output = clean_command(Path::new("sh")).args(["-c", command]).current_dir(workspace()).output()?;
    let svg = fs::read_to_string(&picture).unwrap_or_default();
    // It is no part of the repository.
    let _ = fs::remove_file(&picture);
    if output.status.success() && svg.starts_with("<?xml") && svg.contains("pydoc") {
        return Ok(());
    }
    Err(format!("{command}: {}", String::from_utf8_lossy(&output.stderr)).into())
}

fn main() {
    let mut tests = vec![test("readme-records-a-real-program", readme_records_a_real_program)];
    let commands = documented().expect("the documentation and the help can be read");
    assert!(commands.len() >= 10, "the documentation has lost its commands: {commands:?}");
    let made = Command::new("unshare").args(["--pid", "--fork", "--mount-proc", "true"]).output();
    if !made.is_ok_and(|output| output.status.success()) {
        eprintln!(
            "skipped: namespaces: this process may not make any; run it as root, outside of a container"
        );
        run(tests);
    }
    let interpreters = interpreters::all();
    let interpreter =
        interpreters.iter().find(|interpreter| interpreter.label == "3.13").or(interpreters.last());
    let interpreter = interpreter.expect("there is an interpreter").clone();
    for (place, command) in commands {
        let interpreter = interpreter.clone();
        tests.push(test(format!("{place}: {command}"), move || works(&command, &interpreter)));
    }
    run(tests);
}
