//! `rspy dump --subprocesses`, on processes that start others; and a program that hangs.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use rspy_tests::documented::is_documented;
use rspy_tests::family::Family;
use rspy_tests::interpreters::Interpreter;
use rspy_tests::rspy::{Run, binary};
use rspy_tests::target::{self, clean_command, scripts};
use rspy_tests::{Body, Outcome, on_each, process, run};
use rustix::process::Signal;
use serde_json::Value;

/// Each has another way to be found.
const INTERPRETERS: &[&str] = &["2.7", "3.6", "3.8", "3.11", "3.11-debian", "3.13", "3.13t", "3.14"];

const FAMILIES: &[(&str, Body)] = &[
    ("a_tree_is_dumped", tree),
    ("json_says_whose_children_they_are", json),
    ("a_zombie_is_no_trouble", zombie),
    ("a_late_start_is_waited_for", late),
    ("one_that_ends_meanwhile_is_left_out", left_out),
];

const THREES: &[&str] = &[
    "3.6",
    "3.7",
    "3.8",
    "3.9",
    "3.10",
    "3.11",
    "3.11-debian",
    "3.12",
    "3.13",
    "3.13t",
    "3.13d",
    "3.14",
    "3.15",
];

fn dump(pid: u32, options: &[&str]) -> Outcome<String> {
    Ok(Run::start(arguments(pid, options).iter())?.output()?.success()?.stdout)
}

fn arguments(pid: u32, options: &[&str]) -> Vec<String> {
    let pid = pid.to_string();
    [&["dump", "--pid", &pid], options].concat().into_iter().map(str::to_owned).collect()
}

/// `family.py` behind a shell that waits for it.
fn behind_shell(interpreter: &Interpreter, script: &str, words: &str) -> Outcome<Family> {
    let mut command = clean_command(Path::new("sh"));
    command.args(["-c", script]).arg(&interpreter.path).arg(scripts().join("family.py")).arg(words);
    Family::start(command)
}

struct Generations {
    family: Family,
    shell: u32,
    child: u32,
    grandchild: u32,
    by_thread: u32,
}

fn generations(interpreter: &Interpreter) -> Outcome<Generations> {
    let mut family = behind_shell(interpreter, r#""$0" "$1" "$2"; true"#, "generations")?;
    let (mut grandchild, mut by_thread) = (0, 0);
    for (name, pid) in [family.line()?, family.line()?] {
        if name == "grandchild" { grandchild = pid } else { by_thread = pid }
    }
    let children = process::descendants(family.root);
    let is_child = |pid: &&u32| process::descendants(**pid).contains(&grandchild);
    let child = *children.iter().find(is_child).ok_or("no child")?;
    Ok(Generations { shell: family.started(), child, grandchild, by_thread, family })
}

fn tree(interpreter: &Interpreter) -> Outcome {
    let Generations { family, shell, child, grandchild, by_thread } = generations(interpreter)?;
    let text = dump(shell, &["-s"])?;
    let (tree, stacks) = text.split_once("\n\n").ok_or("no tree")?;
    let lines: Vec<&str> = tree.lines().collect();
    let at = |pid: u32| lines.iter().position(|line| line.trim_start().starts_with(&format!("{pid}: ")));
    let depth = |pid: u32| at(pid).map(|at| (lines[at].len() - lines[at].trim_start().len()) / 4);
    let depths = [shell, family.root, child, grandchild, by_thread].map(depth);
    if depths != [0, 1, 2, 3, 2].map(Some) || lines.len() != 5 || at(grandchild) != at(child).map(|at| at + 1)
    {
        return Err(format!("{depths:?} in {text}").into());
    }
    let is_right = lines[0].ends_with("(not Python)") && lines.iter().all(|line| line.chars().count() <= 100);
    let seen = headings(stacks);
    let pids = [family.root, child, grandchild, by_thread];
    if !is_right || seen.len() != 4 || seen[0] != family.root || !pids.iter().all(|pid| seen.contains(pid)) {
        return Err(text.into());
    }
    // Each as it is by itself.
    let alone = dump(grandchild, &[])?;
    let blocks: Vec<&str> = stacks.split("\n\nProcess ").collect();
    let shown = blocks
        .iter()
        .any(|block| alone.trim_end().ends_with(block.trim_end().trim_start_matches("Process ")));
    if shown && alone.contains("wait_until_closed") {
        Ok(())
    } else {
        Err(format!("{alone}\nin\n{text}").into())
    }
}

/// The processes that a text shows the stacks of.
fn headings(text: &str) -> Vec<u32> {
    text.lines().filter_map(|line| line.strip_prefix("Process ")?.split_once(": ")?.0.parse().ok()).collect()
}

fn json(interpreter: &Interpreter) -> Outcome {
    let Generations { family, shell, child, grandchild, by_thread } = generations(interpreter)?;
    let threads: Vec<Value> = serde_json::from_str(&dump(shell, &["-s", "--json"])?)?;
    let pids: BTreeSet<u64> = threads.iter().filter_map(|thread| thread["pid"].as_u64()).collect();
    if pids != [family.root, child, grandchild, by_thread].map(u64::from).into() {
        return Err(format!("{pids:?}").into());
    }
    let thread = threads.iter().find(|thread| thread["pid"] == grandchild).ok_or("no grandchild")?;
    let mut process = &thread["process_info"];
    for (pid, parent) in [(grandchild, child), (child, family.root), (family.root, shell)] {
        let keys: Vec<&String> = process.as_object().ok_or("no process")?.keys().collect();
        let is_right = process["pid"] == pid
            && process["ppid"] == parent
            && process["command_line"].as_str().is_some_and(|line| line.ends_with("family.py generations"));
        if !is_right || keys != ["command_line", "parent", "pid", "ppid"] {
            return Err(format!("{pid}: {thread}").into());
        }
        process = &process["parent"];
    }
    if process["pid"] != shell || !process["parent"].is_null() {
        return Err(format!("{thread}").into());
    }
    // Without -s, it is as py-spy's.
    let threads: Vec<Value> = serde_json::from_str(&dump(family.root, &["--json"])?)?;
    let is_alone =
        threads.iter().all(|thread| thread["pid"] == family.root && thread["process_info"].is_null());
    if is_alone { Ok(()) } else { Err(format!("{threads:?}").into()) }
}

fn zombie(interpreter: &Interpreter) -> Outcome {
    let mut family = Family::of(interpreter, &["zombie"])?;
    family.said("zombie")?;
    let output = Run::start(arguments(family.root, &["-s"]).iter())?.output()?.success()?;
    let is_right = headings(&output.stdout) == [family.root] && output.stderr.is_empty();
    if is_right { Ok(()) } else { Err(format!("{output:?}").into()) }
}

/// The shell starts it when it has read a line, while rspy waits. On a machine that takes more than the
/// second that rspy waits, it says that there is none, and is asked again.
fn late(interpreter: &Interpreter) -> Outcome {
    let mut command = clean_command(Path::new("sh"));
    command.args(["-c", r#"echo root $$; read line; "$0" "$1" sleep; true"#]);
    command.arg(&interpreter.path).arg(scripts().join("family.py"));
    let mut family = Family::start(command)?;
    let mut dump = Run::start(arguments(family.root, &["-s"]).iter())?;
    family.go_on()?;
    let python = family.said("root")?;
    loop {
        let output = dump.output()?;
        if output.status.success() {
            let is_right = headings(&output.stdout) == [python] && output.stderr.is_empty();
            return if is_right { Ok(()) } else { Err(format!("{output:?}").into()) };
        }
        if !output.stderr.contains("no Python interpreter in it or in any process below it") {
            return Err(output.stderr.into());
        }
        dump = Run::start(arguments(family.root, &["-s"]).iter())?;
    }
}

/// rspy cannot write the tree before its pipe is emptied; meanwhile the child ends.
fn left_out(interpreter: &Interpreter) -> Outcome {
    let Generations { family, grandchild, .. } = generations(interpreter)?;
    let (reader, mut writer) = std::io::pipe()?;
    rustix::fs::fcntl_setfl(&writer, rustix::fs::OFlags::NONBLOCK)?;
    while writer.write(&[b'x'; 4096]).is_ok() {}
    while writer.write(b"x").is_ok() {}
    rustix::fs::fcntl_setfl(&writer, rustix::fs::OFlags::empty())?;
    let mut rspy = Command::new(binary())
        .args(arguments(family.root, &["-s"]))
        .stdin(Stdio::null())
        .stdout(writer)
        .stderr(Stdio::piped())
        .spawn()?;
    const WRITE: u32 = 1;
    process::wait_until("rspy wants to write", || {
        process::system_call(rspy.id(), rspy.id()) == Some((WRITE, 1))
    })?;
    process::send(grandchild, Signal::KILL)?;
    process::wait_until("the grandchild has ended", || {
        process::state(grandchild, grandchild).is_none_or(|state| state == 'Z')
    })?;
    let mut text = Vec::new();
    { reader }.read_to_end(&mut text)?;
    let text = String::from_utf8(text)?;
    let (mut said, mut stderr) = (String::new(), rspy.stderr.take().ok_or("no stderr")?);
    stderr.read_to_string(&mut said)?;
    let status = rspy.wait()?;
    let seen = headings(&text);
    let is_right = status.success()
        && seen.len() == 3
        && !seen.contains(&grandchild)
        && said.starts_with(&format!("rspy: Process {grandchild} "));
    is_documented("left-out", said.trim_start_matches("rspy: "))?;
    if is_right { Ok(()) } else { Err(format!("{status}: {said}\n{}", text.trim_start_matches('x')).into()) }
}

/// What each thread holds and waits for is to be seen.
fn deadlock(interpreter: &Interpreter) -> Outcome {
    let source = std::fs::read_to_string(scripts().join("deadlock.py"))?;
    let line = |mark: &str| source.lines().position(|line| line.ends_with(mark)).map(|index| index + 1);
    let frame = |function: &str, mark: &str| match line(mark) {
        Some(line) => format!("    {function} (deadlock.py:{line})"),
        None => mark.to_owned(),
    };
    let expected = [
        ("transfer", [frame("write_journal", "# transfer waits"), frame("transfer", "# transfer holds")]),
        ("audit", [frame("sum_up", "# audit waits"), frame("audit", "# audit holds")]),
    ];
    let family = Family::start(target::command(interpreter, "deadlock.py", &[]))?;
    let mut text = String::new();
    // They have started, and may not have come to their locks yet.
    let is_shown = process::wait_until("both threads wait, and it is shown where", || {
        text = dump(family.root, &[]).unwrap_or_default();
        expected.iter().all(|(name, frames)| {
            let mut lines = text.lines().skip_while(|line| !line.ends_with(&format!("(idle): \"{name}\"")));
            lines.next().is_some() && frames.iter().all(|frame| lines.next() == Some(frame.as_str()))
        })
    });
    is_shown.map_err(|error| format!("{error}\n{text}").into())
}

fn main() {
    let mut tests = on_each(INTERPRETERS, FAMILIES);
    tests.extend(on_each(THREES, &[("a_deadlock_is_shown", deadlock)]));
    run(tests)
}
