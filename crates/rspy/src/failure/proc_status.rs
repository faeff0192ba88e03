//! `/proc/PID/status` and `/proc/PID/stat`, as far as messages need them.
//!
//! Read leniently, line by line: sandboxes such as gVisor leave lines out, and a
//! message must come about where nothing else works.

use std::fs;
use std::path::Path;

/// `CAP_SYS_PTRACE` of `linux/capability.h`.
const CAP_SYS_PTRACE: u64 = 1 << 19;

/// `PF_KTHREAD` of the kernel's `sched.h`, in the ninth field of `stat`.
const PF_KTHREAD: u64 = 0x0020_0000;

/// What `/proc/PID/status` says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// The first 15 bytes of its name.
    pub name: String,
    /// Its parent; 0 if that is outside of rspy's pid namespace.
    pub parent: u32,
    /// Real, effective, saved and file-system user id, in rspy's user namespace.
    pub users: Vec<u32>,
    /// The same of its group.
    pub groups: Vec<u32>,
    /// Capabilities it may make use of.
    pub permitted: u64,
    /// Capabilities it makes use of.
    pub effective: u64,
    /// Capabilities it can ever have.
    pub bounding: u64,
    /// Whether a seccomp filter decides on its system calls.
    pub is_filtered: bool,
    /// Who traces it; 0 if nobody, or somebody outside of rspy's pid namespace.
    pub tracer: u32,
    /// Its ids, from rspy's pid namespace inwards to its own.
    pub ids: Vec<u32>,
}

impl Status {
    /// Reads `/proc/PROCESS/status`; `proc` is where the proc file system is. `None`
    /// if it is not there or may not be read.
    pub fn read(proc: &Path, process: &str) -> Option<Status> {
        let text = fs::read(proc.join(process).join("status")).ok()?;
        Some(Status::parse(&String::from_utf8_lossy(&text)))
    }

    fn parse(text: &str) -> Status {
        let field = |name: &str| {
            let mut values = text.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            values.next().unwrap_or_default().trim()
        };
        let numbers = |name| field(name).split_whitespace().map_while(|word| word.parse().ok()).collect();
        let number = |name| field(name).parse().unwrap_or(0);
        let mask = |name| u64::from_str_radix(field(name), 16).unwrap_or(0);
        Status {
            name: field("Name").to_owned(),
            parent: number("PPid"),
            users: numbers("Uid"),
            groups: numbers("Gid"),
            permitted: mask("CapPrm"),
            effective: mask("CapEff"),
            bounding: mask("CapBnd"),
            // 1 is the strict mode, in which rspy could not have started.
            is_filtered: number("Seccomp") == 2,
            tracer: number("TracerPid"),
            ids: numbers("NSpid"),
        }
    }

    /// The user whose rights it acts with.
    pub fn user(&self) -> Option<u32> {
        self.users.get(1).copied()
    }

    /// Whether it has `CAP_SYS_PTRACE` in its user namespace.
    pub fn can_trace(&self) -> bool {
        self.effective & CAP_SYS_PTRACE != 0
    }

    /// Whether root could have `CAP_SYS_PTRACE` where this process is.
    pub fn root_can_trace(&self) -> bool {
        self.bounding & CAP_SYS_PTRACE != 0
    }

    /// Whether `other` has the same users and groups: real, effective and saved ones
    /// of it have to be rspy's effective ones (`__ptrace_may_access` of the kernel).
    pub fn is_same_user(&self, other: &Status) -> bool {
        let same = |ours: &[u32], theirs: &[u32]| match (ours.get(1), theirs.get(..3)) {
            (Some(ours), Some(theirs)) => theirs.iter().all(|id| id == ours),
            _ => false,
        };
        same(&self.users, &other.users) && same(&self.groups, &other.groups)
    }
}

/// Whether `pid` is a thread of the kernel.
pub fn is_kernel_thread(proc: &Path, pid: u32) -> bool {
    let text = fs::read(proc.join(pid.to_string()).join("stat")).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    // A name may hold blanks and parentheses itself; after it comes the third field.
    let flags = text.rsplit_once(") ").and_then(|(_, fields)| fields.split_whitespace().nth(6)?.parse().ok());
    flags.is_some_and(|flags: u64| flags & PF_KTHREAD != 0)
}

/// The command line of `pid` on one line, or its name where it has none.
pub fn command_line(proc: &Path, pid: u32) -> String {
    let bytes = fs::read(proc.join(pid.to_string()).join("cmdline")).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let line = text.trim_end_matches('\0').replace(|c: char| c == '\0' || c.is_control(), " ");
    if line.is_empty() {
        return Status::read(proc, &pid.to_string()).map(|status| status.name).unwrap_or_default();
    }
    // Enough to know it by.
    match line.char_indices().nth(60) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_read_as_far_as_it_goes() {
        let status = Status::parse(
            "Name:\tpython\nPPid:\t7\nTracerPid:\t9\nUid:\t1\t2\t3\t4\nGid:\t5\t6\t7\t8\nNSpid:\t300\t1\n\
             CapPrm:\t0000000000080000\nCapEff:\t0000000000080001\nCapBnd:\t0000000000000001\nSeccomp:\t2\n\
             Seccomp_filters:\t1\n",
        );
        assert_eq!((status.name.as_str(), status.parent, status.tracer), ("python", 7, 9));
        assert_eq!((status.user(), status.ids.as_slice()), (Some(2), &[300, 1][..]));
        assert!(status.can_trace() && !status.root_can_trace() && status.is_filtered);
        assert_eq!(Status::parse("Uid: x\ngarbage"), Status::default());
    }

    #[test]
    fn a_set_user_id_program_is_not_the_same_user() {
        let ids = |users: [u32; 4], groups: [u32; 4]| Status {
            users: users.into(),
            groups: groups.into(),
            ..Status::default()
        };
        let own = ids([10; 4], [20; 4]);
        assert!(own.is_same_user(&own));
        assert!(!own.is_same_user(&ids([10, 0, 10, 10], [20; 4])));
        assert!(!own.is_same_user(&ids([10; 4], [20, 21, 20, 20])));
        assert!(!own.is_same_user(&Status::default()));
    }

    #[test]
    fn rspy_itself_is_no_kernel_thread() {
        let proc = Path::new("/proc");
        assert!(!is_kernel_thread(proc, std::process::id()));
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("2")).unwrap();
        std::fs::write(folder.path().join("2/stat"), "2 (k) S 3) S 0 0 0 0 -1 2129984 0 0").unwrap();
        assert!(is_kernel_thread(folder.path(), 2));
    }
}
