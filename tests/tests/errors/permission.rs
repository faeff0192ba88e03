//! Rules of the kernel that keep rspy from reading a process, or from stopping it.

use std::fs;
use std::process::{Command, Stdio};

use rspy_tests::rspy::binary;
use rspy_tests::stacks::{DumpThread, compare_dump};
use rspy_tests::target::{self, Target, clean_command, scripts};
use rspy_tests::{Outcome, process};

use crate::attaching::hidden_by;
use crate::scene::{
    AS_NOBODY, NOBODY, Public, WAIT, Waiting, dump, fails, interpreter, is_message, python, python_by,
    record, rspy, system_python,
};

pub fn user() -> Outcome {
    let (public, target) = (Public::new()?, python()?);
    fails("user", dump(public.by(AS_NOBODY), target.pid()))?;
    fails("user", record(public.by(AS_NOBODY), target.pid(), &public.path("profile.svg")))?;
    // Here nothing but its folder in /proc is to be seen.
    hidden_by("hidepid=1", "user")
}

pub fn group() -> Outcome {
    let target = python_by(&["setpriv", "--reuid", NOBODY, "--regid", "1", "--clear-groups"], WAIT)?;
    fails("group", dump(Public::new()?.by(AS_NOBODY), target.pid())).map(drop)
}

/// Root as it is in a container.
const WITHOUT_PTRACE: &[&str] = &["capsh", "--drop=cap_sys_ptrace", "--", "-c", "exec \"$@\"", "sh"];

pub fn no_capability() -> Outcome {
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

pub fn not_dumpable() -> Outcome {
    const PR_SET_DUMPABLE: u32 = 4;
    let script = format!("import ctypes; ctypes.CDLL(None).prctl({PR_SET_DUMPABLE}, 0, 0, 0, 0)\n{WAIT}");
    let target = python_by(AS_NOBODY, &script)?;
    fails("not-dumpable", dump(Public::new()?.by(AS_NOBODY), target.pid())).map(drop)
}

pub fn more_capabilities() -> Outcome {
    let capability = ["--inh-caps", "+net_raw", "--ambient-caps", "+net_raw"];
    let target = python_by(&[AS_NOBODY, &capability].concat(), WAIT)?;
    fails("more-capabilities", dump(Public::new()?.by(AS_NOBODY), target.pid())).map(drop)
}

pub fn user_namespace() -> Outcome {
    let (public, target) = (Public::new()?, python()?);
    fails("user-namespace", dump(public.by(&["unshare", "--user", "--map-root-user"]), target.pid()))
        .map(drop)
}

/// `kernel.yama.ptrace_scope`, set for one test and set back at its end.
pub struct Yama {
    before: String,
}

impl Yama {
    pub const FILE: &str = "/proc/sys/kernel/yama/ptrace_scope";

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

pub fn yama_1() -> Outcome {
    yama("1", "yama-1")
}

pub fn yama_2() -> Outcome {
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

pub fn traced() -> Outcome {
    let target = busy()?;
    let mut command = clean_command(system_python());
    command.arg(scripts().join("tracer.py")).args(process::threads(target.pid).iter().map(u32::to_string));
    let _tracer = Waiting::start(command, 1)?;
    goes_on("traced", dump(rspy(), target.pid))
}

pub fn ptrace_refused() -> Outcome {
    let target = busy()?;
    goes_on("ptrace-refused", dump(without_call(PTRACE), target.pid))
}

/// A filter that refuses the system call for reading costs time, but no stacks.
pub fn reading_refused() -> Outcome {
    let target = Target::start(target::command(&interpreter("3.13")?, "threads.py", &[]))?;
    let mut command = dump(without_call(PROCESS_VM_READV), target.pid);
    let output = command.arg("--json").output()?;
    let threads: Vec<DumpThread> =
        serde_json::from_slice(&output.stdout).map_err(|error| format!("{error}: {output:?}"))?;
    compare_dump(&target, &threads)
}
