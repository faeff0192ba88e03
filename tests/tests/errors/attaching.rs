//! Processes that are not there, not to be seen, or not what rspy reads.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use rspy_tests::rspy::binary;
use rspy_tests::target::{clean_command, scripts};
use rspy_tests::{Outcome, process};

use crate::scene::{
    AS_NOBODY, Public, WAIT, Waiting, dump, fails, fails_to_attach, install, interpreter, python, python_by,
    rspy, running, system_python,
};

pub fn no_such_process() -> Outcome {
    // One more than the largest process id that Linux gives.
    fails_to_attach("no-such-process", 4_194_305)
}

/// What runs a program in a pid namespace of its own.
const OWN_PIDS: &[&str] = &["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"];

/// Runs the rest of its arguments as its child, with its own stdin.
const AS_CHILD: &str = "exec 3<&0; \"$@\" <&3 & wait";

pub fn elsewhere() -> Outcome {
    // The namespace goes on counting from here, where no process outside is.
    const INSIDE: u32 = 4_000_000;
    let script = format!("echo {} >/proc/sys/kernel/ns_last_pid; {AS_CHILD}", INSIDE - 1);
    let _inside = python_by(&[OWN_PIDS, &["sh", "-c", &script, "sh"]].concat(), WAIT)?;
    if Path::new("/proc").join(INSIDE.to_string()).exists() {
        return Err("that many processes are here".into());
    }
    fails_to_attach("elsewhere", INSIDE)
}

pub fn from_outside() -> Outcome {
    let mut command = Command::new(OWN_PIDS[0]);
    command.args(&OWN_PIDS[1..]).arg(binary());
    fails("from-outside", dump(command, 4_194_304)).map(drop)
}

pub fn hidden() -> Outcome {
    hidden_by("hidepid=2", "hidden")
}

/// What the mount option hides from a user that owns nothing.
pub fn hidden_by(option: &str, id: &str) -> Outcome {
    let (public, target) = (Public::new()?, python()?);
    let script = format!("mount -t proc -o {option} proc /proc && exec \"$@\"");
    let hiding = ["unshare", "--mount", "sh", "-c", &script, "sh"];
    fails(id, dump(public.by(&[&hiding, AS_NOBODY].concat()), target.pid())).map(drop)
}

pub fn zombie() -> Outcome {
    let mut child = Command::new("true").spawn()?;
    process::wait_until("it is a zombie", || process::state(child.id(), child.id()) == Some('Z'))?;
    let outcome = fails_to_attach("zombie", child.id());
    // With all that is below it, which is nothing.
    let mut memory = rspy();
    memory.args(["memory", "--pid", &child.id().to_string()]);
    let with_tree = fails("zombie", memory).map(drop);
    child.wait()?;
    outcome.and(with_tree)
}

pub fn kernel_thread() -> Outcome {
    // Small ids are taken in containers, too, which rspy would say.
    let pids = fs::read_dir("/proc")?.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let pid = pids.filter(|pid| is_kernel_thread(*pid)).max().ok_or("no thread of the kernel is here")?;
    fails_to_attach("kernel-thread", pid)?;
    fails("kernel-thread", dump(Public::new()?.by(AS_NOBODY), pid)).map(drop)
}

/// All of them are children of the second process.
fn is_kernel_thread(pid: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    status.lines().any(|line| line == "PPid:\t2")
}

pub fn namesake() -> Outcome {
    // Inside it is the second process; outside a thread of the kernel is.
    let _inside = python_by(&[OWN_PIDS, &["sh", "-c", AS_CHILD, "sh"]].concat(), WAIT)?;
    fails_to_attach("namesake", 2)
}

pub fn not_python() -> Outcome {
    let cat = running(Path::new("/bin/cat"))?;
    fails_to_attach("not-python", cat.pid())
}

/// A shell with `count` children that run Python.
fn family(count: usize) -> Outcome<Waiting> {
    let script = format!("exec 3<&0; {} wait", "\"$@\" <&3 & ".repeat(count));
    let mut command = clean_command(Path::new("sh"));
    command.args(["-c", &script, "sh"]).arg(system_python()).args(["-c", WAIT]);
    Waiting::start(command, count)
}

pub fn child() -> Outcome {
    let shell = family(1)?;
    fails_to_attach("child", shell.pid())?;
    let child = process::children(shell.pid()).first().copied().ok_or("no child")?;
    let message = fails("child", dump(rspy(), shell.pid()))?;
    if message.trim_end().ends_with(&format!("--pid {child}")) { Ok(()) } else { Err(message.into()) }
}

pub fn children() -> Outcome {
    fails_to_attach("children", family(2)?.pid())
}

pub fn no_python_below() -> Outcome {
    let cat = running(Path::new("/bin/cat"))?;
    let mut command = dump(rspy(), cat.pid());
    command.arg("--subprocesses");
    fails("no-python-below", command).map(drop)
}

/// PyPy is known by its names.
pub fn pypy() -> Outcome {
    let folder = tempfile::tempdir()?;
    let executable = folder.path().join("pypy3.11");
    install(Path::new("/bin/cat"), &executable)?;
    fails_to_attach("pypy", running(&executable)?.pid())
}

/// The smallest 32-bit program that stays: one segment, which calls `pause` for ever.
fn program_of_32_bits() -> Vec<u8> {
    const BASE: u32 = 0x0804_8000;
    const HEADERS: u32 = 52 + 32;
    let code = [0xb8, 29, 0, 0, 0, 0xcd, 0x80, 0xeb, 0xf7]; // mov eax, 29; int 0x80; jmp to the first
    let size = HEADERS + code.len() as u32;
    let words = |numbers: &[u16]| numbers.iter().flat_map(|n| n.to_le_bytes()).collect::<Vec<u8>>();
    let longs = |numbers: &[u32]| numbers.iter().flat_map(|n| n.to_le_bytes()).collect::<Vec<u8>>();
    let mut file = b"\x7fELF\x01\x01\x01".to_vec();
    file.resize(16, 0);
    file.extend(words(&[2, 3])); // an executable for the 80386
    file.extend(longs(&[1, BASE + HEADERS, 52, 0, 0]));
    file.extend(words(&[52, 32, 1, 0, 0, 0]));
    file.extend(longs(&[1, 0, BASE, BASE, size, size, 5, 4096])); // loaded, to be read and executed
    file.extend(code);
    file
}

pub fn start_32_bits() -> Outcome<Waiting> {
    let folder = tempfile::tempdir()?;
    let (bytes, executable) = (folder.path().join("bytes"), folder.path().join("python"));
    fs::write(&bytes, program_of_32_bits())?;
    install(&bytes, &executable)?;
    let mut waiting = running(&executable)?;
    waiting.folder = Some(folder);
    Ok(waiting)
}

pub fn foreign() -> Outcome {
    fails_to_attach("foreign", start_32_bits()?.pid())
}

/// Python has been loaded, but its `main` not called.
pub fn not_ready() -> Outcome {
    let folder = tempfile::tempdir()?;
    let library = folder.path().join("hold.so");
    let mut compiler = Command::new("cc");
    compiler.args(["-shared", "-fPIC", "-o"]).arg(&library).arg(scripts().join("hold.c"));
    if !compiler.status()?.success() {
        return Err("hold.c does not build".into());
    }
    let mut command = clean_command(&interpreter("3.13")?.path);
    command.env("LD_PRELOAD", &library);
    fails_to_attach("not-ready", Waiting::start(command, 1)?.pid())
}

/// A CPython 3.6 that says it is 3.5.
pub fn version() -> Outcome {
    let interpreter = interpreter("3.6")?;
    let folder = tempfile::tempdir()?;
    let changed_copy = |original: &Path| -> Outcome<PathBuf> {
        let copy = folder.path().join(original.file_name().ok_or("a file has a name")?);
        let (from, to) = (interpreter.version.clone(), interpreter.version.replacen("3.6", "3.5", 1));
        let mut bytes = fs::read(original)?;
        for at in 0..bytes.len().saturating_sub(from.len()) {
            if bytes[at..].starts_with(from.as_bytes()) {
                bytes[at..at + to.len()].copy_from_slice(to.as_bytes());
            }
        }
        let changed = folder.path().join("changed");
        fs::write(&changed, bytes)?;
        install(&changed, &copy)?;
        Ok(copy)
    };
    let mut command = clean_command(&changed_copy(&interpreter.path)?);
    if let Some(library) = interpreter.shared_library() {
        changed_copy(&library)?;
        command.env("LD_LIBRARY_PATH", folder.path());
    }
    command.env("PYTHONHOME", &interpreter.prefix).args(["-c", WAIT]);
    fails_to_attach("version", Waiting::start(command, 1)?.pid())
}

/// With whatever a thread is asked for by, in each form of a dump, and of several processes.
pub fn no_thread() -> Outcome {
    // Only threading gives the main thread a name.
    let target = python_by(&[], &format!("import threading; {WAIT}"))?;
    let pid = target.pid();
    for options in [&["--thread", "nosuch"][..], &["--thread", "no*", "--thread", "4194304", "--json"]] {
        let mut command = dump(rspy(), pid);
        command.args(options);
        let message = fails("no-thread", command)?;
        let there = format!("{pid} (MainThread)");
        if !message.split_whitespace().collect::<Vec<_>>().join(" ").contains(&there) {
            return Err(format!("no {there} in {message}").into());
        }
    }
    let mut command = dump(rspy(), pid);
    command.args(["--subprocesses", "--thread", "nosuch"]);
    fails("no-thread", command).map(drop)
}
