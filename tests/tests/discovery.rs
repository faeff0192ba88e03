//! Finding the interpreter in a process, however it got there: copied, stripped, embedded, deleted, elsewhere.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use rspy_tests::interpreters::{self, Interpreter};
use rspy_tests::rspy::{self, Recording};
use rspy_tests::stacks::{compare_dump, compare_profile};
use rspy_tests::target::{Target, clean_command, scripts};
use rspy_tests::{Outcome, process, run, test};

/// A way to start a target, in a folder of its own.
struct Way {
    name: &'static str,
    start: fn(&Interpreter, &Path) -> Outcome<Target>,
    applies: fn(&Interpreter) -> bool,
}

const WAYS: &[Way] = &[
    Way { name: "module", start: module, applies: everywhere },
    Way { name: "forked", start: forked, applies: everywhere },
    Way { name: "symlink", start: symbolic_link, applies: everywhere },
    Way { name: "venv", start: venv, applies: has_venv },
    Way { name: "other-name", start: other_name, applies: everywhere },
    Way { name: "stripped", start: stripped, applies: can_move },
    Way { name: "no-sections", start: no_sections, applies: everywhere },
    Way { name: "deleted", start: deleted, applies: everywhere },
    Way { name: "replaced", start: replaced, applies: everywhere },
    Way { name: "loader", start: loader, applies: everywhere },
    Way { name: "embedded", start: embedded, applies: is_shared },
    Way { name: "embedded-in-thread", start: embedded_in_thread, applies: is_shared },
    Way { name: "namespaces", start: namespaces, applies: can_move },
];

fn everywhere(_: &Interpreter) -> bool {
    true
}

fn has_venv(interpreter: &Interpreter) -> bool {
    interpreter.minor() >= (3, 6)
}

fn is_shared(interpreter: &Interpreter) -> bool {
    interpreter.shared_library().is_some()
}

/// Debian's newest interpreters are unpacked beside the system, with a loader at a fixed path; and they are stripped.
fn can_move(interpreter: &Interpreter) -> bool {
    interpreter.source != "debian"
}

fn target_script() -> PathBuf {
    scripts().join("threads.py")
}

/// Runs a tool, which must succeed.
fn tool(name: &str, arguments: &[&Path]) -> Outcome<String> {
    let output = Command::new(name).args(arguments).output().map_err(|error| format!("{name}: {error}"))?;
    if !output.status.success() {
        return Err(format!("{name} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

/// A copy of an interpreter: its executable, and its library if it has one.
struct Copy {
    executable: PathBuf,
    library: Option<PathBuf>,
    home: PathBuf,
}

impl Copy {
    fn make(interpreter: &Interpreter, folder: &Path, name: &str) -> Outcome<Copy> {
        let executable = folder.join(name);
        fs::copy(&interpreter.path, &executable)?;
        let library = match interpreter.shared_library() {
            Some(library) => {
                let copy = folder.join(library.file_name().ok_or("a library has a name")?);
                fs::copy(library, &copy)?;
                Some(copy)
            }
            None => None,
        };
        Ok(Copy { executable, library, home: interpreter.prefix.clone() })
    }

    /// The files that hold code of the interpreter.
    fn files(&self) -> impl Iterator<Item = &PathBuf> {
        std::iter::once(&self.executable).chain(&self.library)
    }

    fn start(&self) -> Outcome<Target> {
        let mut command = clean_command(&self.executable);
        command.env("PYTHONHOME", &self.home).arg(target_script());
        if let Some(library) = &self.library {
            command.env("LD_LIBRARY_PATH", library.parent().unwrap_or(library));
        }
        let target = Target::start(command)?;
        let maps = fs::read_to_string(format!("/proc/{}/maps", target.pid))?;
        match self.files().find(|file| !maps.contains(&*file.to_string_lossy())) {
            None => Ok(target),
            Some(file) => Err(format!("the target does not use {}", file.display()).into()),
        }
    }
}

fn module(interpreter: &Interpreter, _: &Path) -> Outcome<Target> {
    let mut command = clean_command(&interpreter.path);
    command.args(["-m", "threads"]).current_dir(scripts());
    Target::start(command)
}

fn forked(interpreter: &Interpreter, _: &Path) -> Outcome<Target> {
    let mut command = clean_command(&interpreter.path);
    command.arg(scripts().join("forked.py"));
    Target::start_found_by(command, |pid| process::children(pid).first().copied())
}

fn symbolic_link(interpreter: &Interpreter, folder: &Path) -> Outcome<Target> {
    let link = folder.join("a link");
    symlink(&interpreter.path, &link)?;
    let mut command = clean_command(&link);
    command.env("PYTHONHOME", &interpreter.prefix).arg(target_script());
    Target::start(command)
}

fn venv(interpreter: &Interpreter, folder: &Path) -> Outcome<Target> {
    let environment = folder.join("environment");
    let made =
        clean_command(&interpreter.path).args(["-m", "venv", "--without-pip"]).arg(&environment).status()?;
    if !made.success() {
        return Err("venv failed".into());
    }
    let mut command = clean_command(&environment.join("bin/python"));
    command.arg(target_script());
    Target::start(command)
}

/// Nothing in the path says Python, and it has spaces and letters of every kind.
fn other_name(interpreter: &Interpreter, folder: &Path) -> Outcome<Target> {
    let folder = folder.join("ein Maß für 数 (deleted)");
    fs::create_dir(&folder)?;
    Copy::make(interpreter, &folder, "foo")?.start()
}

/// No symbols but those that the dynamic linker needs.
fn stripped(interpreter: &Interpreter, folder: &Path) -> Outcome<Target> {
    let copy = Copy::make(interpreter, folder, "python")?;
    for file in copy.files() {
        tool("strip", &[Path::new("--strip-all"), file])?;
    }
    copy.start()
}

/// No section headers either: what there is to know is in the dynamic segment.
fn no_sections(interpreter: &Interpreter, folder: &Path) -> Outcome<Target> {
    const OFFSET_OF_SECTIONS: std::ops::Range<usize> = 0x28..0x30;
    const NUMBERS_OF_SECTIONS: std::ops::Range<usize> = 0x3c..0x40;
    let copy = Copy::make(interpreter, folder, "python")?;
    for file in copy.files() {
        let mut bytes = fs::read(file)?;
        bytes[OFFSET_OF_SECTIONS].fill(0);
        bytes[NUMBERS_OF_SECTIONS].fill(0);
        fs::write(file, bytes)?;
    }
    copy.start()
}

fn deleted(interpreter: &Interpreter, folder: &Path) -> Outcome<Target> {
    let copy = Copy::make(interpreter, folder, "python")?;
    let target = copy.start()?;
    copy.files().try_for_each(fs::remove_file)?;
    Ok(target)
}

/// Other files have taken the names, as after an update.
fn replaced(interpreter: &Interpreter, folder: &Path) -> Outcome<Target> {
    let copy = Copy::make(interpreter, folder, "python")?;
    let target = copy.start()?;
    for file in copy.files() {
        let other = folder.join("other");
        fs::copy("/bin/true", &other)?;
        fs::rename(other, file)?;
    }
    Ok(target)
}

/// The kernel has started the dynamic linker, which has loaded Python.
fn loader(interpreter: &Interpreter, _: &Path) -> Outcome<Target> {
    let linker = tool("patchelf", &[Path::new("--print-interpreter"), &interpreter.path])?;
    let mut command = clean_command(Path::new(&linker));
    command.env("PYTHONHOME", &interpreter.prefix).arg(&interpreter.path).arg(target_script());
    Target::start(command)
}

fn embedded(interpreter: &Interpreter, folder: &Path) -> Outcome<Target> {
    Target::start(host(interpreter, folder)?)
}

/// The main thread of the process never runs Python.
fn embedded_in_thread(interpreter: &Interpreter, folder: &Path) -> Outcome<Target> {
    let mut command = host(interpreter, folder)?;
    command.arg("in a thread");
    Target::start(command)
}

fn host(interpreter: &Interpreter, folder: &Path) -> Outcome<Command> {
    let library = interpreter.shared_library().ok_or("no library to embed")?;
    let (source, host) = (scripts().join("host.c"), folder.join("host"));
    let include = format!("-I{}", interpreter.include.display());
    let run_path = format!("-Wl,-rpath,{}", library.parent().unwrap_or(&library).display());
    let options = ["-O1", "-pthread", &include, &run_path, "-o"].map(Path::new);
    tool("cc", &[&options[..], &[&host, &source, &library]].concat())?;
    let mut command = clean_command(&host);
    command
        .env("PYTHONHOME", &interpreter.prefix)
        .env("PYTHONPATH", scripts())
        .env("RSPY_TARGET", target_script());
    Ok(command)
}

/// As in a container: other process ids, other mounts, another root, in which the paths mean other files.
fn namespaces(interpreter: &Interpreter, folder: &Path) -> Outcome<Target> {
    const SCRIPT: &str = r#"
        set -e
        root=$1 prefix=$2 scripts=$3; shift 3
        for name in usr lib lib64; do
            [ ! -e /$name ] || { mkdir $root/$name; mount --rbind /$name $root/$name; }
        done
        mkdir $root/python $root/targets $root/proc $root/tmp
        mount --bind "$prefix" $root/python
        mount --bind "$scripts" $root/targets
        mount -t proc proc $root/proc
        exec chroot $root "$@"
    "#;
    let executable = interpreter.path.strip_prefix(&interpreter.prefix)?;
    let mut command = clean_command(Path::new("unshare"));
    command
        .args(["--mount", "--pid", "--fork", "--kill-child", "sh", "-c", SCRIPT, "sh"])
        .args([folder, &interpreter.prefix, &scripts()])
        .arg(Path::new("/python").join(executable))
        .arg("/targets/threads.py")
        .env("PYTHONHOME", "/python")
        .env("LD_LIBRARY_PATH", "/python/lib");
    Target::start_found_by(command, |pid| process::children(pid).first().copied())
}

/// Whether this process may make namespaces, as it may not in most containers.
fn may_unshare() -> bool {
    let made = Command::new("unshare").args(["--mount", "--pid", "--fork", "true"]).output();
    made.is_ok_and(|output| output.status.success())
}

fn is_found(way: &Way, interpreter: &Interpreter) -> Outcome {
    let folder = tempfile::tempdir()?;
    let target = (way.start)(interpreter, folder.path())?;
    compare_dump(&target, &rspy::dump(target.pid)?)?;
    let (profile, _) = Recording::of(target.pid, &["--idle", "--duration", "1"])?.finish()?;
    compare_profile(&target, &profile, true)
}

fn main() {
    let may_unshare = may_unshare();
    if !may_unshare {
        eprintln!(
            "skipped: namespaces: this process may not make any; run it as root, outside of a container"
        );
    }
    let mut tests = Vec::new();
    for interpreter in interpreters::all() {
        for way in WAYS.iter().filter(|way| (way.applies)(&interpreter)) {
            if way.name != "namespaces" || may_unshare {
                let interpreter = interpreter.clone();
                let name = format!("{}::{}", way.name, interpreter.label);
                tests.push(test(name, move || is_found(way, &interpreter)));
            }
        }
    }
    run(tests);
}
