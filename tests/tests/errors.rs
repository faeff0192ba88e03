//! What rspy says when it fails: each message that `docs/errors.md` promises, brought about for real.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use rspy_tests::documented::{MADE_UP, is_documented, messages};
use rspy_tests::interpreters::{self, Interpreter};
use rspy_tests::process::{self, DEADLINE};
use rspy_tests::rspy::binary;
use rspy_tests::stacks::{DumpThread, compare_dump};
use rspy_tests::target::{self, Target, clean_command, scripts};
use rspy_tests::{Outcome, run, test};
use tempfile::TempDir;

/// A user that owns nothing, by Debian's number.
const NOBODY: &str = "65534";

/// Says that it is there, and stays until its stdin is closed.
const WAIT: &str = "import sys; sys.stdout.write('ready\\n'); sys.stdout.flush(); sys.stdin.read()";

/// A row of the page, what brings it about, and what that takes.
type Case = (&'static str, fn() -> Outcome, Need);

/// What a test cannot do without.
#[derive(Copy, Clone)]
enum Need {
    Nothing,
    /// To be root.
    Root,
    /// To be root, and to see the threads of the kernel.
    Host,
    /// A kernel that runs 32-bit programs.
    ThirtyTwoBits,
    /// To be root on a kernel that has Yama.
    Yama,
}

impl Need {
    /// What is missing.
    fn missing(self) -> Option<&'static str> {
        let is_user = !rustix::process::geteuid().is_root();
        let (is_missing, why) = match self {
            Need::Nothing => return None,
            Need::Root => (is_user, "it takes root"),
            Need::Host => (is_user || !sees_kernel(), "it takes root outside of containers"),
            Need::ThirtyTwoBits => (start_32_bits().is_err(), "the kernel runs no 32-bit programs"),
            Need::Yama => {
                (is_user || !Path::new(Yama::FILE).exists(), "it takes root and a kernel with Yama")
            }
        };
        is_missing.then_some(why)
    }
}

fn sees_kernel() -> bool {
    fs::read_to_string("/proc/2/comm").is_ok_and(|name| name.trim() == "kthreadd")
}

const CASES: &[Case] = &[
    ("no-such-process", no_such_process, Need::Nothing),
    ("elsewhere", elsewhere, Need::Root),
    ("from-outside", from_outside, Need::Root),
    ("hidden", hidden, Need::Root),
    ("zombie", zombie, Need::Nothing),
    ("kernel-thread", kernel_thread, Need::Host),
    ("namesake", namesake, Need::Host),
    ("not-python", not_python, Need::Nothing),
    ("child", child, Need::Nothing),
    ("children", children, Need::Nothing),
    ("pypy", pypy, Need::Nothing),
    ("foreign", foreign, Need::ThirtyTwoBits),
    ("not-ready", not_ready, Need::Nothing),
    ("version", version, Need::Nothing),
    ("user", user, Need::Root),
    ("group", group, Need::Root),
    ("no-capability", no_capability, Need::Root),
    ("not-dumpable", not_dumpable, Need::Root),
    ("more-capabilities", more_capabilities, Need::Root),
    ("user-namespace", user_namespace, Need::Root),
    ("yama-1", yama_1, Need::Yama),
    ("yama-2", yama_2, Need::Yama),
    ("traced", traced, Need::Nothing),
    ("ptrace-refused", ptrace_refused, Need::Nothing),
    ("output-folder", output_folder, Need::Nothing),
    ("output-no-folder", output_no_folder, Need::Nothing),
    ("output-is-folder", output_is_folder, Need::Nothing),
    ("output-permission", output_permission, Need::Root),
    ("output-read-only", output_read_only, Need::Root),
    ("output-full", output_full, Need::Root),
    ("output-other", output_other, Need::Nothing),
    ("disk-full", disk_full, Need::Root),
    ("stdout-full", stdout_full, Need::Nothing),
    ("no-program", no_program, Need::Nothing),
    ("no-file", no_file, Need::Nothing),
    ("not-executable", not_executable, Need::Nothing),
    ("no-format", no_format, Need::Nothing),
    ("ended", ended, Need::Nothing),
];

/// A process that has said that it is there; dropping it kills it.
struct Waiting {
    child: Child,
    /// The folder of its executable, if that was made for it: kept as long.
    folder: Option<TempDir>,
}

impl Waiting {
    /// Starts `command` and waits until it has written `lines` lines.
    fn start(mut command: Command, lines: usize) -> Outcome<Waiting> {
        let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let child = child.map_err(|error| format!("{command:?}: {error}"))?;
        let mut waiting = Waiting { child, folder: None };
        let mut output = BufReader::new(waiting.child.stdout.take().ok_or("no stdout")?);
        let mut line = String::new();
        for _ in 0..lines {
            if !output.buffer().contains(&b'\n') {
                process::wait_readable(output.get_ref(), Instant::now() + DEADLINE)?;
            }
            if output.read_line(&mut line)? == 0 {
                return Err(format!("{command:?} ended: {line}").into());
            }
        }
        Ok(waiting)
    }

    fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        // It may have ended before, which is what is wanted.
        drop(self.child.stdin.take());
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The Python of the system, which every user may run.
fn system_python() -> &'static Path {
    Path::new("/usr/bin/python3")
}

/// A Python that runs `script`, which waits, started by `prefix` (a program and its options).
fn python_by(prefix: &[&str], script: &str) -> Outcome<Waiting> {
    let words: Vec<&OsStr> = prefix.iter().map(OsStr::new).chain([system_python().as_os_str()]).collect();
    let mut command = clean_command(Path::new(words[0]));
    command.args(&words[1..]).args(["-c", script]);
    Waiting::start(command, 1)
}

fn python() -> Outcome<Waiting> {
    python_by(&[], WAIT)
}

/// What runs a program as a user that owns nothing.
const AS_NOBODY: &[&str] =
    &["setpriv", "--reuid", NOBODY, "--regid", NOBODY, "--clear-groups", "--no-new-privs"];

/// The binary where everybody may execute it.
struct Public {
    folder: TempDir,
}

impl Public {
    fn new() -> Outcome<Public> {
        let folder = tempfile::tempdir()?;
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755))?;
        let public = Public { folder };
        fs::copy(binary(), public.path("rspy"))?;
        fs::set_permissions(public.path("rspy"), Permissions::from_mode(0o755))?;
        Ok(public)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The binary, started by `prefix`.
    fn by(&self, prefix: &[&str]) -> Command {
        let mut command = Command::new(prefix[0]);
        command.args(&prefix[1..]).arg(self.path("rspy"));
        command
    }
}

fn rspy() -> Command {
    Command::new(binary())
}

fn dump(mut rspy: Command, pid: u32) -> Command {
    rspy.args(["dump", "--pid", &pid.to_string()]);
    rspy
}

/// A short recording of `pid` into `file`.
fn record(mut rspy: Command, pid: u32, file: &Path) -> Command {
    rspy.args(["record", "--idle", "--duration", "0.2", "--pid", &pid.to_string(), "--output"]).arg(file);
    rspy
}

/// Runs `command`, which must fail as the row `id` says and in no other way. Gives the message.
fn fails(id: &str, mut command: Command) -> Outcome<String> {
    let output = command.stdin(Stdio::null()).output().map_err(|error| format!("{command:?}: {error}"))?;
    let message = String::from_utf8(output.stderr)?;
    if output.status.code() != Some(1) {
        return Err(format!("{command:?} ended with {}: {message}", output.status).into());
    }
    is_message(id, &message)?;
    Ok(message)
}

/// Whether `message` is all that a failure prints.
fn is_message(id: &str, message: &str) -> Outcome {
    let text = message.strip_prefix("rspy: ").ok_or_else(|| format!("not rspy's message: {message}"))?;
    is_documented(id, text)
}

/// Both commands, since both attach.
fn fails_to_attach(id: &str, pid: u32) -> Outcome {
    fails(id, dump(rspy(), pid))?;
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("profile.svg");
    fails(id, record(rspy(), pid, &file))?;
    if file.exists() { Err("a recording that never began left a file".into()) } else { Ok(()) }
}

fn no_such_process() -> Outcome {
    // One more than the largest process id that Linux gives.
    fails_to_attach("no-such-process", 4_194_305)
}

/// What runs a program in a pid namespace of its own.
const OWN_PIDS: &[&str] = &["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"];

/// Runs the rest of its arguments as its child, with its own stdin.
const AS_CHILD: &str = "exec 3<&0; \"$@\" <&3 & wait";

fn elsewhere() -> Outcome {
    // The namespace goes on counting from here, where no process outside is.
    const INSIDE: u32 = 4_000_000;
    let script = format!("echo {} >/proc/sys/kernel/ns_last_pid; {AS_CHILD}", INSIDE - 1);
    let _inside = python_by(&[OWN_PIDS, &["sh", "-c", &script, "sh"]].concat(), WAIT)?;
    if Path::new("/proc").join(INSIDE.to_string()).exists() {
        return Err("that many processes are here".into());
    }
    fails_to_attach("elsewhere", INSIDE)
}

fn from_outside() -> Outcome {
    let mut command = Command::new(OWN_PIDS[0]);
    command.args(&OWN_PIDS[1..]).arg(binary());
    fails("from-outside", dump(command, 4_194_304)).map(drop)
}

fn hidden() -> Outcome {
    let (public, target) = (Public::new()?, python()?);
    let script = "mount -t proc -o hidepid=2 proc /proc && exec \"$@\"";
    let hiding = ["unshare", "--mount", "sh", "-c", script, "sh"];
    fails("hidden", dump(public.by(&[&hiding, AS_NOBODY].concat()), target.pid())).map(drop)
}

fn zombie() -> Outcome {
    let mut child = Command::new("true").spawn()?;
    process::wait_until("it is a zombie", || process::state(child.id(), child.id()) == Some('Z'))?;
    let outcome = fails_to_attach("zombie", child.id());
    child.wait()?;
    outcome
}

fn kernel_thread() -> Outcome {
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

fn namesake() -> Outcome {
    // Inside it is the second process; outside a thread of the kernel is.
    let _inside = python_by(&[OWN_PIDS, &["sh", "-c", AS_CHILD, "sh"]].concat(), WAIT)?;
    fails_to_attach("namesake", 2)
}

fn not_python() -> Outcome {
    let cat = running(Path::new("/bin/cat"))?;
    fails_to_attach("not-python", cat.pid())
}

/// A process that runs `executable`, which waits for input.
fn running(executable: &Path) -> Outcome<Waiting> {
    let executable = executable.canonicalize()?;
    let waiting = Waiting::start(Command::new(&executable), 0)?;
    let link = format!("/proc/{}/exe", waiting.pid());
    process::wait_until("it is there", || fs::read_link(&link).is_ok_and(|path| path == executable))?;
    Ok(waiting)
}

/// A shell with `count` children that run Python.
fn family(count: usize) -> Outcome<Waiting> {
    let script = format!("exec 3<&0; {} wait", "\"$@\" <&3 & ".repeat(count));
    let mut command = clean_command(Path::new("sh"));
    command.args(["-c", &script, "sh"]).arg(system_python()).args(["-c", WAIT]);
    Waiting::start(command, count)
}

fn child() -> Outcome {
    let shell = family(1)?;
    fails_to_attach("child", shell.pid())?;
    let child = process::children(shell.pid()).first().copied().ok_or("no child")?;
    let message = fails("child", dump(rspy(), shell.pid()))?;
    if message.trim_end().ends_with(&format!("--pid {child}")) { Ok(()) } else { Err(message.into()) }
}

fn children() -> Outcome {
    fails_to_attach("children", family(2)?.pid())
}

/// PyPy is known by its names.
fn pypy() -> Outcome {
    let folder = tempfile::tempdir()?;
    let executable = folder.path().join("pypy3.11");
    fs::copy("/bin/cat", &executable)?;
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

fn start_32_bits() -> Outcome<Waiting> {
    let folder = tempfile::tempdir()?;
    let executable = folder.path().join("python");
    fs::write(&executable, program_of_32_bits())?;
    fs::set_permissions(&executable, Permissions::from_mode(0o755))?;
    let mut waiting = running(&executable)?;
    waiting.folder = Some(folder);
    Ok(waiting)
}

fn foreign() -> Outcome {
    fails_to_attach("foreign", start_32_bits()?.pid())
}

fn interpreter(label: &str) -> Outcome<Interpreter> {
    let found = interpreters::all().into_iter().find(|interpreter| interpreter.label == label);
    found.ok_or_else(|| format!("CPython {label} is not here; tools/pythons {label} provides it").into())
}

/// Python has been loaded, but its `main` not called.
fn not_ready() -> Outcome {
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
fn version() -> Outcome {
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
        fs::write(&copy, bytes)?;
        fs::set_permissions(&copy, Permissions::from_mode(0o755))?;
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

fn user() -> Outcome {
    let (public, target) = (Public::new()?, python()?);
    fails("user", dump(public.by(AS_NOBODY), target.pid()))?;
    fails("user", record(public.by(AS_NOBODY), target.pid(), &public.path("profile.svg"))).map(drop)
}

fn group() -> Outcome {
    let target = python_by(&["setpriv", "--reuid", NOBODY, "--regid", "1", "--clear-groups"], WAIT)?;
    fails("group", dump(Public::new()?.by(AS_NOBODY), target.pid())).map(drop)
}

/// Root as it is in a container.
const WITHOUT_PTRACE: &[&str] = &["capsh", "--drop=cap_sys_ptrace", "--", "-c", "exec \"$@\"", "sh"];

fn no_capability() -> Outcome {
    let (public, target) = (Public::new()?, python_by(AS_NOBODY, WAIT)?);
    fails("no-capability", dump(public.by(WITHOUT_PTRACE), target.pid()))?;
    // Some engines are known by a mark that a test can set; what to do is said for them.
    for (name, value, cure) in
        [("KUBERNETES_SERVICE_HOST", "10.0.0.1", "kubectl debug "), ("container", "podman", "podman exec ")]
    {
        let mut command = dump(public.by(WITHOUT_PTRACE), target.pid());
        command.env_remove("KUBERNETES_SERVICE_HOST").env(name, value);
        let message = fails("no-capability", command)?;
        if !message.contains(cure) {
            return Err(format!("no {cure} in {message}").into());
        }
    }
    Ok(())
}

fn not_dumpable() -> Outcome {
    const PR_SET_DUMPABLE: u32 = 4;
    let script = format!("import ctypes; ctypes.CDLL(None).prctl({PR_SET_DUMPABLE}, 0, 0, 0, 0)\n{WAIT}");
    let target = python_by(AS_NOBODY, &script)?;
    fails("not-dumpable", dump(Public::new()?.by(AS_NOBODY), target.pid())).map(drop)
}

fn more_capabilities() -> Outcome {
    let capability = ["--inh-caps", "+net_raw", "--ambient-caps", "+net_raw"];
    let target = python_by(&[AS_NOBODY, &capability].concat(), WAIT)?;
    fails("more-capabilities", dump(Public::new()?.by(AS_NOBODY), target.pid())).map(drop)
}

fn user_namespace() -> Outcome {
    let (public, target) = (Public::new()?, python()?);
    fails("user-namespace", dump(public.by(&["unshare", "--user", "--map-root-user"]), target.pid()))
        .map(drop)
}

/// `kernel.yama.ptrace_scope`, set for one test and set back at its end.
struct Yama {
    before: String,
}

impl Yama {
    const FILE: &str = "/proc/sys/kernel/yama/ptrace_scope";

    fn set(scope: &str) -> Outcome<Yama> {
        let before = fs::read_to_string(Self::FILE)?;
        fs::write(Self::FILE, scope)?;
        Ok(Yama { before })
    }
}

impl Drop for Yama {
    fn drop(&mut self) {
        fs::write(Self::FILE, self.before.trim()).expect("what was set can be set back");
    }
}

fn yama_1() -> Outcome {
    yama("1", "yama-1")
}

fn yama_2() -> Outcome {
    yama("2", "yama-2")
}

fn yama(scope: &str, id: &str) -> Outcome {
    let (public, target) = (Public::new()?, python_by(AS_NOBODY, WAIT)?);
    // There is one value for the whole system: whoever else wants to set it waits.
    let lock = fs::File::create(std::env::temp_dir().join("rspy-tests-yama"))?;
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive)?;
    let _scope = Yama::set(scope)?;
    fails(id, dump(public.by(AS_NOBODY), target.pid())).map(drop)
}

const PTRACE: &str = "101";
const PROCESS_VM_READV: &str = "310";

/// The binary under a filter that refuses the system call `number`.
fn without_call(number: &str) -> Command {
    let mut command = Command::new(system_python());
    command.arg(scripts().join("filtered.py")).arg(number).arg(binary());
    command
}

/// A target with a thread that never sleeps, so that it has to be stopped.
fn busy() -> Outcome<Target> {
    Target::start(target::command(&interpreter("3.13")?, "states.py", &["computing-in-python"]))
}

/// Runs `command`, which must succeed, and say what the row `id` says.
fn goes_on(id: &str, mut command: Command) -> Outcome {
    let output = command.stdin(Stdio::null()).output()?;
    let (shown, message) = (String::from_utf8(output.stdout)?, String::from_utf8(output.stderr)?);
    if !output.status.success() || !shown.contains("Thread ") {
        return Err(format!("{command:?} ended with {}: {shown}{message}", output.status).into());
    }
    is_message(id, &message)
}

fn traced() -> Outcome {
    let target = busy()?;
    let mut command = clean_command(system_python());
    command.arg(scripts().join("tracer.py")).args(process::threads(target.pid).iter().map(u32::to_string));
    let _tracer = Waiting::start(command, 1)?;
    goes_on("traced", dump(rspy(), target.pid))
}

fn ptrace_refused() -> Outcome {
    let target = busy()?;
    goes_on("ptrace-refused", dump(without_call(PTRACE), target.pid))
}

fn output_folder() -> Outcome {
    fails("output-folder", record(rspy(), python()?.pid(), Path::new("/nowhere/at/all"))).map(drop)
}

fn output_no_folder() -> Outcome {
    let file = tempfile::NamedTempFile::new()?;
    fails("output-no-folder", record(rspy(), python()?.pid(), &file.path().join("profile.svg"))).map(drop)
}

fn output_is_folder() -> Outcome {
    let folder = tempfile::tempdir()?;
    fails("output-is-folder", record(rspy(), python()?.pid(), folder.path())).map(drop)
}

fn output_permission() -> Outcome {
    let (public, target) = (Public::new()?, python_by(AS_NOBODY, WAIT)?);
    let file = public.path("profile.svg");
    fails("output-permission", record(public.by(AS_NOBODY), target.pid(), &file)).map(drop)
}

/// The binary with a file system of its own on `folder`.
fn mounted(options: &str, folder: &Path) -> Command {
    let mut command = Command::new("unshare");
    let script = "mount -t tmpfs -o \"$1\" none \"$2\" && shift 2 && exec \"$@\"";
    command.args(["--mount", "sh", "-c", script, "sh", options]).arg(folder).arg(binary());
    command
}

fn output_read_only() -> Outcome {
    let (folder, target) = (tempfile::tempdir()?, python()?);
    let file = folder.path().join("profile.svg");
    fails("output-read-only", record(mounted("ro", folder.path()), target.pid(), &file)).map(drop)
}

fn output_full() -> Outcome {
    let (folder, target) = (tempfile::tempdir()?, python()?);
    let file = folder.path().join("profile.svg");
    // The folder itself takes the only file there can be.
    fails("output-full", record(mounted("nr_inodes=1", folder.path()), target.pid(), &file)).map(drop)
}

fn output_other() -> Outcome {
    let folder = tempfile::tempdir()?;
    let link = folder.path().join("loop");
    symlink(&link, &link)?;
    fails("output-other", record(rspy(), python()?.pid(), &link)).map(drop)
}

fn disk_full() -> Outcome {
    let (folder, target) = (tempfile::tempdir()?, python()?);
    fails("disk-full", record(rspy(), target.pid(), Path::new("/dev/full")))?;
    let file = folder.path().join("profile.svg");
    fails("disk-full", record(mounted("size=4k", folder.path()), target.pid(), &file)).map(drop)
}

/// The binary, its descriptors as `redirection` says.
fn redirected(redirection: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", &format!("exec \"$@\" {redirection}"), "sh"]).arg(binary());
    command
}

fn stdout_full() -> Outcome {
    fails("stdout-full", dump(redirected(">/dev/full"), python()?.pid())).map(drop)
}

/// A recording of the command `program`.
fn record_command(program: &str) -> Command {
    let mut command = rspy();
    command.args(["record", "--output", "/dev/null", "--", program]);
    command
}

fn no_program() -> Outcome {
    fails("no-program", record_command("no-such-program-anywhere")).map(drop)
}

fn no_file() -> Outcome {
    fails("no-file", record_command("/nowhere/at/all")).map(drop)
}

/// A script that does not say what it is for.
fn script(mode: u32) -> Outcome<tempfile::TempPath> {
    let file = tempfile::NamedTempFile::new()?.into_temp_path();
    fs::write(&file, "print('a script')\n")?;
    fs::set_permissions(&file, Permissions::from_mode(mode))?;
    Ok(file)
}

fn not_executable() -> Outcome {
    fails("not-executable", record_command(&script(0o644)?.display().to_string())).map(drop)
}

fn no_format() -> Outcome {
    fails("no-format", record_command(&script(0o755)?.display().to_string())).map(drop)
}

fn ended() -> Outcome {
    fails("ended", record_command("true")).map(drop)
}

/// Every row of the page comes from a test, and what tests expect is on the page.
fn every_row_is_tested() -> Outcome {
    let rows: BTreeSet<String> = messages()?.into_keys().collect();
    let tested = CASES.iter().map(|(id, _, _)| *id).chain(MADE_UP.iter().copied());
    let tested: BTreeSet<String> = tested.map(str::to_owned).collect();
    if rows == tested {
        return Ok(());
    }
    Err(format!("untested: {:?}, not on the page: {:?}", &rows - &tested, &tested - &rows).into())
}

/// Without stdin, stdout or stderr nothing goes wrong, but that what would be said there is lost; above all, a
/// recording does not take their numbers and end up with messages in it.
fn closed_descriptors() -> Outcome {
    let (folder, target) = (tempfile::tempdir()?, python()?);
    let file = folder.path().join("profile.raw");
    for closed in ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"] {
        let mut recording = record(redirected(closed), target.pid(), &file);
        recording.args(["--format", "raw"]);
        for mut command in [dump(redirected(closed), target.pid()), recording] {
            let output = command.output()?;
            if !output.status.success() || String::from_utf8_lossy(&output.stderr).contains("panicked") {
                return Err(format!("with {closed}: {output:?}").into());
            }
        }
        let written = fs::read_to_string(&file)?;
        if written.is_empty() || written.contains("rspy") {
            return Err(format!("with {closed} the recording is {written:?}").into());
        }
        fs::remove_file(&file)?;
    }
    Ok(())
}

/// A filter that refuses the system call for reading costs time, but no stacks.
fn reading_refused() -> Outcome {
    let target = Target::start(target::command(&interpreter("3.13")?, "threads.py", &[]))?;
    let mut command = dump(without_call(PROCESS_VM_READV), target.pid);
    let output = command.arg("--json").output()?;
    let threads: Vec<DumpThread> =
        serde_json::from_slice(&output.stdout).map_err(|error| format!("{error}: {output:?}"))?;
    compare_dump(&target, &threads)
}

/// What cannot be understood is told apart from what failed.
fn usage() -> Outcome {
    for arguments in [&["dump"][..], &["record"], &["dump", "--pid", "0"], &["dance"]] {
        let status = rspy().args(arguments).output()?.status;
        if status.code() != Some(2) {
            return Err(format!("rspy {arguments:?} ended with {status}").into());
        }
    }
    Ok(())
}

fn main() {
    let mut tests = vec![
        test("every-row-is-tested", every_row_is_tested),
        test("closed-descriptors", closed_descriptors),
        test("reading-refused", reading_refused),
        test("usage", usage),
    ];
    for (id, body, need) in CASES {
        match need.missing() {
            None => tests.push(test(*id, body)),
            Some(why) => eprintln!("skipped: {id}: {why}"),
        }
    }
    run(tests);
}
