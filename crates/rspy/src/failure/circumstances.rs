//! Everything that decides on whether rspy may read a process, read from the system
//! in one place.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::errno::Errno;
use rspy_process::{Address, LiveMemory, Memory};

use super::proc_status::Status;
use super::surroundings::{self, Place};

/// The initial user namespace (`PROC_USER_INIT_INO` of the kernel).
const INITIAL_USER_NAMESPACE: &str = "user:[4026531837]";

/// The initial pid namespace (`PROC_PID_INIT_INO`).
const INITIAL_PID_NAMESPACE: &str = "pid:[4026531836]";

/// What stands between rspy and a process it may not read, and around both.
#[derive(Clone, Debug)]
pub struct Circumstances {
    /// The process.
    pub pid: u32,
    /// What rspy is.
    pub own: Status,
    /// What the process is; `None` if `/proc` does not tell.
    pub target: Option<Status>,
    /// Who owns `/proc/PID`, which is its effective user.
    pub owner: Option<u32>,
    /// Whether the kernel lets the process's own user look into it.
    pub is_dumpable: bool,
    /// Whether it is in a user namespace in which rspy's rights do not count.
    pub is_beyond_namespace: bool,
    /// `kernel.yama.ptrace_scope`; 0 where there is no Yama.
    pub yama: u32,
    /// What is refused to rspy whatever it is for.
    pub calls: Calls,
    /// The security module that has a say.
    pub module: Option<Module>,
    /// Where rspy runs.
    pub place: Place,
    /// rspy's own command line.
    pub command: String,
}

/// What is refused to rspy, whatever it is for: tried on rspy itself and on nobody.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Calls {
    /// Reading memory, by any way.
    pub reads_refused: bool,
    /// The system call `ptrace`.
    pub traces_refused: bool,
}

/// A security module that confines rspy or the process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Module {
    /// What it is called.
    pub name: &'static str,
    /// How it labels rspy.
    pub own: String,
    /// How it labels the process.
    pub target: String,
}

impl Circumstances {
    /// Reads them for process `pid`, from the files below `root`, which is `/` but in tests.
    pub fn read(root: &Path, pid: u32) -> Circumstances {
        let proc = root.join("proc");
        let target = Status::read(&proc, &pid.to_string());
        let owner = |file: &str| fs::metadata(proc.join(pid.to_string()).join(file)).ok().map(|at| at.uid());
        // The folder belongs to the effective user always; the files in it to root if
        // the process is not dumpable (`task_dump_owner` of the kernel).
        let is_dumpable = owner("status") == owner("");
        let yama = fs::read_to_string(proc.join("sys/kernel/yama/ptrace_scope")).unwrap_or_default();
        Circumstances {
            pid,
            own: Status::read(&proc, "self").unwrap_or_default(),
            target,
            owner: owner(""),
            is_dumpable,
            is_beyond_namespace: is_beyond_namespace(&proc, pid),
            yama: yama.trim().parse().unwrap_or(0),
            calls: Calls::probe(),
            module: Module::read(root, pid),
            place: Place::read(root, |name| std::env::var(name).ok()),
            command: surroundings::own_command(),
        }
    }
}

/// Whether `pid` is in a user namespace in which rspy has no rights: all namespaces
/// descend from the initial one, others count for themselves and their descendants.
fn is_beyond_namespace(proc: &Path, pid: u32) -> bool {
    let link = |process: &str| fs::read_link(proc.join(process).join("ns/user")).ok();
    let own = link("self");
    if own.as_deref().is_none_or(|own| own == Path::new(INITIAL_USER_NAMESPACE)) {
        return false;
    }
    if let Some(theirs) = link(&pid.to_string()) {
        return own != Some(theirs);
    }
    // Reading the link takes the right that is missing; the table of ids does not.
    let map = |process: &str| fs::read_to_string(proc.join(process).join("uid_map")).ok();
    map("self") != map(&pid.to_string())
}

/// Whether rspy counts processes otherwise than the host does.
pub fn is_in_pid_namespace(proc: &Path) -> bool {
    fs::read_link(proc.join("self/ns/pid")).is_ok_and(|own| own != Path::new(INITIAL_PID_NAMESPACE))
}

impl Calls {
    /// Tries them.
    pub fn probe() -> Calls {
        let known = [42u8; 8];
        let at = Address(known.as_ptr() as u64);
        let memory = LiveMemory::new(std::process::id());
        let own = memory.ok().and_then(|memory| memory.array(at).ok());
        // The kernel finds no such thread; only a filter finds something else to say.
        let nobody = nix::unistd::Pid::from_raw(i32::MAX);
        let traced = nix::sys::ptrace::interrupt(nobody);
        Calls { reads_refused: own != Some(known), traces_refused: traced != Err(Errno::ESRCH) }
    }
}

impl Module {
    fn read(root: &Path, pid: u32) -> Option<Module> {
        let label = |process: &str| {
            let text = fs::read_to_string(root.join("proc").join(process).join("attr/current")).ok()?;
            let text = text.trim_end_matches(['\0', '\n']);
            (!text.is_empty()).then(|| text.to_owned())
        };
        let (own, target) = (label("self")?, label(&pid.to_string()).unwrap_or_else(|| "hidden".to_owned()));
        if root.join("sys/fs/selinux/enforce").exists() {
            let enforces = fs::read_to_string(root.join("sys/fs/selinux/enforce")).ok()?.trim() == "1";
            return enforces.then_some(Module { name: "SELinux", own, target });
        }
        // AppArmor says `PROFILE (mode)` or `unconfined`; another module, as Smack, something else.
        let is_profile = |label: &str| label == "unconfined" || label.ends_with(')');
        let is_free = |label: &str| label == "unconfined" || label.ends_with("(complain)");
        if is_free(&own) && is_free(&target) {
            return None;
        }
        let name = if is_profile(&own) { "AppArmor" } else { "a security module" };
        Some(Module { name, own, target })
    }
}
