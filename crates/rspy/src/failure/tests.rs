//! Every message that no test can bring about at will on every machine, from made-up
//! circumstances: each is a row of `docs/errors.md`.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::Path;

use rspy_cpython::{FindError, Version};

use rspy_process::stop::StopStats;
use rspy_process::{Address, ReadError};
use rspy_tests::documented::{MADE_UP, is_documented};

use super::circumstances::{Calls, Circumstances, Module};
use super::permission::refused;
use super::proc_status::Status;
use super::surroundings::Place;
use super::{Failure, attaching, stops};
use crate::filter::ThreadFilter;

/// Fails unless the failure reads as the row `id` says.
#[track_caller]
fn documented(id: &str, failure: &Failure) {
    if let Err(error) = is_documented(id, &failure.to_string()) {
        panic!("{error}");
    }
}

const ALL_CAPABILITIES: u64 = 0x1ff_ffff_ffff;

/// User 1000 looks at its own process on a host without any rule that forbids it.
fn permitted() -> Circumstances {
    let user = |name: &str| Status {
        name: name.to_owned(),
        users: vec![1000; 4],
        groups: vec![1000; 4],
        bounding: ALL_CAPABILITIES,
        ..Status::default()
    };
    Circumstances {
        pid: 42,
        own: user("rspy"),
        target: Some(user("python")),
        owner: Some(1000),
        is_dumpable: true,
        is_beyond_namespace: false,
        yama: 0,
        calls: Calls::default(),
        module: None,
        place: Place::Host,
        command: "/bin/rspy dump --pid 42".to_owned(),
    }
}

fn with(change: impl FnOnce(&mut Circumstances)) -> Circumstances {
    let mut circumstances = permitted();
    change(&mut circumstances);
    circumstances
}

fn as_root(c: &mut Circumstances) {
    c.own = Status {
        users: vec![0; 4],
        groups: vec![0; 4],
        permitted: ALL_CAPABILITIES,
        effective: ALL_CAPABILITIES,
        ..c.own.clone()
    };
}

fn without_ptrace(c: &mut Circumstances) {
    as_root(c);
    for mask in [&mut c.own.permitted, &mut c.own.effective, &mut c.own.bounding] {
        *mask &= !(1 << 19);
    }
}

fn target(c: &mut Circumstances) -> &mut Status {
    c.target.as_mut().expect("the made-up target can be seen")
}

fn module(name: &'static str) -> Option<Module> {
    Some(Module { name, own: "docker-default (enforce)".to_owned(), target: "unconfined".to_owned() })
}

/// Circumstances in which permission is refused, and the row that says so.
fn refusals() -> Vec<(&'static str, Circumstances)> {
    vec![
        ("user", with(|c| target(c).users = vec![0; 4])),
        ("user", with(|c| target(c).users = vec![1000, 0, 1000, 1000])),
        ("user", with(|c| (c.target, c.owner) = (None, Some(0)))),
        // The first reason the kernel has is the one that counts.
        ("user", with(|c| (target(c).users[0], c.is_dumpable, c.yama) = (7, false, 1))),
        ("group", with(|c| target(c).groups = vec![7; 4])),
        ("no-capability", with(without_ptrace)),
        ("not-dumpable", with(|c| c.is_dumpable = false)),
        ("more-capabilities", with(|c| target(c).permitted = 0x2000)),
        ("user-namespace", with(|c| c.is_beyond_namespace = true)),
        (
            "user-namespace",
            with(|c| {
                as_root(c);
                c.is_beyond_namespace = true;
            }),
        ),
        ("yama-1", with(|c| c.yama = 1)),
        ("yama-2", with(|c| c.yama = 2)),
        ("yama-3", with(|c| c.yama = 3)),
        (
            "yama-3",
            with(|c| {
                as_root(c);
                c.yama = 3;
            }),
        ),
        ("apparmor", with(|c| c.module = module("AppArmor"))),
        (
            "selinux",
            with(|c| {
                as_root(c);
                (c.module, c.yama) = (module("SELinux"), 1);
            }),
        ),
        ("sandbox", with(as_root)),
        ("refused", permitted()),
        ("seccomp", with(|c| (c.calls.reads_refused, c.own.is_filtered) = (true, true))),
        ("no-reading", with(|c| c.calls.reads_refused = true)),
    ]
}

#[test]
fn every_refusal_is_documented_wherever_rspy_runs() {
    for (id, circumstances) in refusals() {
        for place in [Place::Host, Place::Docker, Place::Podman, Place::Kubernetes] {
            documented(id, &refused(&Circumstances { place, ..circumstances.clone() }));
        }
    }
}

#[test]
fn the_cure_is_one_for_where_rspy_runs() {
    let command = |c: &Circumstances| refused(c).command;
    assert_eq!(command(&with(|c| c.yama = 1)).as_deref(), Some("sudo /bin/rspy dump --pid 42"));
    // sudo gives no capability that was taken away for good.
    let bounded = with(|c| {
        target(c).users = vec![7; 4];
        c.own.bounding = 0;
    });
    assert_eq!(command(&bounded), None);
    assert_eq!(command(&with(without_ptrace)), None);
    for (place, tool) in [
        (Place::Docker, "docker exec "),
        (Place::Podman, "podman exec "),
        (Place::Kubernetes, "kubectl debug "),
    ] {
        let command = command(&Circumstances { place, ..with(without_ptrace) }).expect("a command mends it");
        assert!(command.starts_with(tool) && command.ends_with("/bin/rspy dump --pid 42"), "{command}");
    }
}

#[test]
fn a_message_has_short_lines_and_whole_commands() {
    for (_, circumstances) in refusals() {
        let failure = refused(&circumstances);
        let text = format!("rspy: {failure}");
        for line in text.lines().filter(|line| !line.starts_with("          ")) {
            assert!(line.chars().count() <= 80, "{line}");
        }
        assert!(failure.command.is_none_or(|command| text.ends_with(&format!("\n\n          {command}"))));
    }
}

/// A system of files, as rspy reads them.
struct System {
    root: tempfile::TempDir,
}

impl System {
    /// rspy with the ids and namespaces of a user, in a root of its own.
    fn new() -> System {
        let system = System { root: tempfile::tempdir().expect("a folder can be made") };
        system.file("proc/self/status", "Uid: 1000 1000 1000 1000\nGid: 1 1 1 1\nSeccomp: 0\n");
        system.file("proc/42/status", "Uid: 0 0 0 0\nGid: 0 0 0 0\nNSpid: 42 7\n");
        system.namespace("self/ns/user", "user:[4026531837]");
        system
    }

    fn file(&self, path: &str, content: &str) {
        let path = self.root.path().join(path);
        fs::create_dir_all(path.parent().expect("a file is in a folder")).expect("a folder can be made");
        fs::write(path, content).expect("a file can be written");
    }

    fn namespace(&self, path: &str, name: &str) {
        let path = self.root.path().join("proc").join(path);
        fs::create_dir_all(path.parent().expect("a link is in a folder")).expect("a folder can be made");
        let _ = fs::remove_file(&path);
        symlink(name, path).expect("a link can be made");
    }

    fn circumstances(&self) -> Circumstances {
        Circumstances::read(self.root.path(), 42)
    }

    fn place(&self, variable: &str) -> Place {
        Place::read(self.root.path(), |name| (name == variable).then(|| "podman".to_owned()))
    }
}

#[test]
fn circumstances_are_read_from_the_system() {
    let system = System::new();
    let read = system.circumstances();
    assert_eq!((read.own.user(), read.target.as_ref().and_then(Status::user)), (Some(1000), Some(0)));
    assert_eq!((read.yama, read.is_beyond_namespace, read.is_dumpable), (0, false, true));
    assert_eq!((read.module, read.calls), (None, Calls::default()));

    system.file("proc/sys/kernel/yama/ptrace_scope", "2\n");
    assert_eq!(system.circumstances().yama, 2);
    fs::remove_file(system.root.path().join("proc/42/status")).unwrap();
    assert_eq!(system.circumstances().target, None);
}

#[test]
fn user_namespaces_are_told_apart_by_name_or_by_their_ids() {
    let system = System::new();
    // What descends from the initial namespace is within reach, whatever it is.
    system.namespace("42/ns/user", "user:[4026532000]");
    assert!(!system.circumstances().is_beyond_namespace);
    system.namespace("self/ns/user", "user:[4026532000]");
    assert!(!system.circumstances().is_beyond_namespace);
    system.namespace("self/ns/user", "user:[4026532111]");
    assert!(system.circumstances().is_beyond_namespace);
    // The target's link is not to be read.
    fs::remove_file(system.root.path().join("proc/42/ns/user")).unwrap();
    system.file("proc/self/uid_map", "0 1000 1\n");
    system.file("proc/42/uid_map", "0 1000 1\n");
    assert!(!system.circumstances().is_beyond_namespace);
    system.file("proc/42/uid_map", "0 0 4294967295\n");
    assert!(system.circumstances().is_beyond_namespace);
}

#[test]
fn security_modules_are_known_by_their_labels() {
    let system = System::new();
    let labelled = |own: &str, target: &str| {
        system.file("proc/self/attr/current", own);
        system.file("proc/42/attr/current", target);
        system.circumstances().module.map(|module| module.name)
    };
    assert_eq!(labelled("unconfined\n", "unconfined\n"), None);
    assert_eq!(labelled("docker-default (enforce)\n", "unconfined\n"), Some("AppArmor"));
    assert_eq!(labelled("unconfined\n", "snap.x (complain)\n"), None);
    assert_eq!(labelled("_", "User"), Some("a security module"));
    let (own, target) = ("a_u:a_r:container_t:s0\0", "a_u:a_r:spc_t:s0\0");
    system.file("sys/fs/selinux/enforce", "0");
    assert_eq!(labelled(own, target), None);
    system.file("sys/fs/selinux/enforce", "1");
    assert_eq!(labelled(own, target), Some("SELinux"));
}

#[test]
fn containers_are_known_by_their_marks() {
    assert_eq!(System::new().place(""), Place::Host);
    assert_eq!(System::new().place("KUBERNETES_SERVICE_HOST"), Place::Kubernetes);
    assert_eq!(System::new().place("container"), Place::Podman);
    for (file, content, place) in [
        (".dockerenv", "", Place::Docker),
        ("proc/self/cgroup", "0::/system.slice/docker-12ab.scope\n", Place::Docker),
        ("proc/self/cgroup", "0::/machine.slice/libpod-12ab.scope\n", Place::Podman),
        ("proc/self/cgroup", "0::/kubepods.slice/x\n", Place::Kubernetes),
        ("proc/self/cgroup", "0::/user.slice/user-1000.slice\n", Place::Host),
        ("run/.containerenv", "", Place::Podman),
        ("var/run/secrets/kubernetes.io/token", "", Place::Kubernetes),
    ] {
        let system = System::new();
        system.file(file, content);
        assert_eq!(system.place(""), place, "{file} {content}");
    }
}

/// What is no matter of permission.
fn others() -> Vec<(&'static str, Failure)> {
    let version = Version { major: 3, minor: 99, patch: 0 };
    let at = Address(4096);
    let system = System::new();
    let proc = system.root.path().join("proc");
    let attaching = |error: FindError| Failure::attaching(42, &error);
    let quota = io::Error::from_raw_os_error(nix::errno::Errno::EDQUOT as i32);
    let in_container = System::new();
    in_container.namespace("self/ns/pid", "pid:[4026532000]");
    vec![
        ("exited", attaching(ReadError::Gone.into())),
        ("left-out", Failure::left_out(7, &ReadError::Gone.into())),
        ("unreadable", attaching(ReadError::Fault { at, len: 8 }.into())),
        ("disagreeing", attaching(FindError::Inconsistent { version, why: "no thread points back" })),
        ("elsewhere", attaching::missing(&proc, 7)),
        ("from-outside", attaching::missing(&in_container.root.path().join("proc"), i32::MAX as u32)),
        ("hidden", attaching::hidden(42)),
        ("no-thread-to-record", Failure::no_thread_to_record(&io::ErrorKind::OutOfMemory.into())),
        ("no-terminal", Failure::no_terminal(&io::ErrorKind::NotConnected.into())),
        ("output-quota", Failure::writing("profile.svg", &quota)),
        ("samples-kept", Failure::keeping_samples(&io::ErrorKind::StorageFull.into())),
        ("memory-gone", Failure::no_memory_seen()),
        ("tracemalloc-unknown", Failure::no_tracemalloc(7, version)),
        ("endless-command", Failure::endless_command()),
        ("traced", stops::described(7, 8, "strace -p 7", Calls::default())),
        ("ptrace-refused", stops::described(7, 0, "", Calls { traces_refused: true, ..Calls::default() })),
        ("stops-refused", stops::described(7, 0, "", Calls::default())),
    ]
}

#[test]
fn every_other_failure_is_documented() {
    for (id, failure) in others() {
        documented(id, &failure);
    }
    let own = std::process::id();
    let stops = |count, refused| StopStats { count, refused, ..StopStats::default() };
    assert_eq!(stops::refused_stops(own, &stops(0, 0)), None);
    assert_eq!(stops::refused_stops(own, &stops(9, 1)), None);
    documented("stops-refused", &stops::refused_stops(own, &stops(0, 1)).expect("no stop was permitted"));
}

#[test]
fn what_is_said_to_be_made_up_is() {
    let here: BTreeSet<&str> =
        refusals().iter().map(|(id, _)| *id).chain(others().iter().map(|(id, _)| *id)).collect();
    let missing: Vec<_> = MADE_UP.iter().filter(|id| !here.contains(*id)).collect();
    assert!(missing.is_empty(), "no test makes up {missing:?}");
}

#[test]
fn a_closed_pipe_is_no_failure() {
    let error = io::Error::from_raw_os_error(nix::errno::Errno::EPIPE as i32);
    assert!(Failure::printing(&error).is_broken_pipe() && Failure::writing("x", &error).is_broken_pipe());
    assert!(!Failure::opening(Path::new("x"), &error).is_broken_pipe());
}

#[test]
fn threads_that_are_there_are_listed_as_far_as_a_reader_goes() {
    let asked = ThreadFilter::new(vec!["nosuch".parse().unwrap()], false).unwrap();
    let one = Failure::no_thread(&[42], &asked, &[(42, Some("MainThread".into())), (43, None)]);
    documented("no-thread", &one);
    assert!(one.cause.ends_with("These are there: 42 (MainThread) and 43 (without a name)."), "{one}");
    let many: Vec<_> = (0..1000).map(|id| (id, Some("worker".to_owned()))).collect();
    let many = Failure::no_thread(&[42, 43, 44], &asked, &many);
    documented("no-thread", &many);
    assert!(
        many.cause.starts_with("No thread of the processes 42, 43 and 44 has the name or the id nosuch.")
    );
    assert!(many.cause.ends_with("19 (worker) and 980 more."), "{many}");
    documented("no-thread", &Failure::no_thread(&[42], &asked, &[]));
}
