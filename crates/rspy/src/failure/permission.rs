//! Which rule of the kernel stands in the way: its rules, in its order
//! (`__ptrace_may_access`, then the security modules), over what was read from the
//! system.

use nix::unistd::{Uid, User};

use super::Failure;
use super::circumstances::{Circumstances, Module};

/// Why rspy may not read the process.
pub fn refused(c: &Circumstances) -> Failure {
    let pid = c.pid;
    if c.calls.reads_refused {
        return without_reading(c);
    }
    let cause = |why: &str| format!("No permission to read process {pid}: {why}");
    let needs_capability =
        |why: &str, preface: &str| c.place.needs_capability(cause(why), preface, &c.own, &c.command);
    let is_capable = c.own.can_trace() && !c.is_beyond_namespace;
    if !is_capable {
        if c.is_beyond_namespace {
            return Failure::new(
                cause("it is not in rspy's user namespace, and what rspy may do counts only there."),
                "Run rspy on the host as root, outside of the rootless container or sandbox that it runs in.",
            );
        }
        if let Some(why) = other_rights(c) {
            return needs_capability(&why, "");
        }
        match c.yama {
            1 => {
                return needs_capability(
                    "kernel.yama.ptrace_scope is 1, so that only its ancestors and root may read it.",
                    "What rspy starts itself it may read (rspy record -- COMMAND). ",
                );
            }
            2 => {
                return needs_capability(
                    "kernel.yama.ptrace_scope is 2, so that only CAP_SYS_PTRACE gives the right to it.",
                    "",
                );
            }
            _ => {}
        }
    }
    if c.yama >= 3 {
        return Failure::new(
            cause("kernel.yama.ptrace_scope is 3, so that nobody may until the system is booted again."),
            "Have it set to 1 or 0 at boot (/etc/sysctl.d), and reboot.",
        );
    }
    match &c.module {
        Some(module) => confined(&cause, module),
        None if is_capable => Failure::new(
            cause("rspy has all rights that the kernel asks for, so that a sandbox must refuse it."),
            "Run rspy on the host, outside of containers and sandboxes.",
        ),
        None => needs_capability(
            "the kernel refuses it, though users, capabilities and Yama would permit it.",
            "",
        ),
    }
}

/// rspy may not even read itself.
fn without_reading(c: &Circumstances) -> Failure {
    if c.own.is_filtered {
        return c.place.needs_no_filter(
            "A seccomp filter that rspy runs under keeps it from reading memory, even its own.".to_owned(),
        );
    }
    Failure::new(
        "The system lets rspy read no memory, not even its own: neither by process_vm_readv nor by \
         /proc/self/mem.",
        "Run rspy on the host, outside of the sandbox (as gVisor).",
    )
}

/// What makes the process another's than rspy's.
fn other_rights(c: &Circumstances) -> Option<String> {
    let own = c.own.user()?;
    let Some(target) = &c.target else {
        let owner = c.owner.filter(|owner| *owner != own)?;
        return Some(of_user(c, owner, own));
    };
    if !c.own.is_same_user(target) {
        let users = || target.users.iter().take(3);
        if let Some(other) = users().find(|user| **user != own) {
            return Some(of_user(c, *other, own));
        }
        return Some("it runs with other groups than rspy.".to_owned());
    }
    if !c.is_dumpable {
        return Some(
            "it is protected from its own user (not dumpable), by prctl or because its program may not be \
             read."
                .to_owned(),
        );
    }
    let more = target.permitted & !c.own.permitted;
    (more != 0).then(|| format!("it has capabilities that rspy lacks (mask {more:#x})."))
}

fn of_user(c: &Circumstances, other: u32, own: u32) -> String {
    // Root may read others only because it has the capability.
    let lack = if own == 0 && !c.own.can_trace() { " without the capability CAP_SYS_PTRACE" } else { "" };
    format!("it belongs to user {}, rspy runs as {}{lack}.", named(other), named(own))
}

fn named(user: u32) -> String {
    match User::from_uid(Uid::from_raw(user)) {
        Ok(Some(known)) => format!("{} ({user})", known.name),
        _ => user.to_string(),
    }
}

fn confined(cause: &impl Fn(&str) -> String, module: &Module) -> Failure {
    let Module { name, own, target } = module;
    let option = match *name {
        "SELinux" => "label=disable",
        _ => "apparmor=unconfined",
    };
    Failure::new(
        cause(&format!(
            "{name} refuses what the kernel's other rules permit; rspy is labelled {own}, the process {target}."
        )),
        format!(
            "Run rspy where that policy does not confine it: on the host, or in a container started with \
             --security-opt {option}."
        ),
    )
}
