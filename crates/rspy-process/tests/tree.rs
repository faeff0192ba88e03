//! A tree that is looked at again has each process once, also where an id is given to another one.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use rspy_process::tree::{Member, ROUND, Tree};

/// A shell that does what it is told, a line at a time.
struct Shell {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
}

impl Shell {
    fn start() -> Shell {
        let mut child = Command::new("sh").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (stdin, stdout) = (child.stdin.take(), BufReader::new(child.stdout.take().unwrap()));
        Shell { child, stdin, stdout }
    }

    /// Runs `command`; gives the number that it says.
    fn run(&mut self, command: &str) -> u32 {
        writeln!(self.stdin.as_mut().unwrap(), "{command}").unwrap();
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        line.trim().parse().unwrap_or_else(|_| panic!("{command} says {line:?}"))
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        let _ = writeln!(self.stdin.as_mut().unwrap(), "kill $all 2> /dev/null");
        self.stdin = None;
        let _ = self.child.wait();
    }
}

/// A child that waits, and its id.
const START: &str = "sleep 1000 > /dev/null 2>&1 & all=\"$all $!\"; echo $!";

fn with_pid(tree: &Tree, pid: u32) -> Vec<&Member> {
    tree.members().iter().filter(|member| member.pid == pid).collect()
}

#[test]
fn who_ends_leaves_and_who_stays_is_there_once() {
    let mut shell = Shell::start();
    let root = shell.child.id();
    let mut tree = Tree::new(root).unwrap();
    let mut pids: Vec<u32> = (0..20).map(|_| shell.run(START)).collect();
    for _ in 0..3 {
        tree.look();
        assert_eq!(tree.members().len(), 21);
        assert!(pids.iter().all(|pid| matches!(with_pid(&tree, *pid)[..], [one] if one.parent == root)));
        assert!(tree.members().iter().all(|member| member.lives));
    }
    for gone in pids.split_off(7) {
        shell.run(&format!("kill {gone}; wait {gone} 2> /dev/null; echo 0"));
    }
    // Who is no child any more is seen to be gone at once.
    tree.look();
    assert_eq!(tree.members().len(), 8);
}

/// So many looks check every process.
fn look_at_all(tree: &mut Tree) {
    (0..ROUND).for_each(|_| tree.look());
}

#[test]
fn an_id_that_is_used_again_is_another_process() {
    let mut shell = Shell::start();
    let mut tree = Tree::new(shell.child.id()).unwrap();
    let first = shell.run(START);
    tree.look();
    let start_time = with_pid(&tree, first)[0].start_time;
    shell.run(&format!("kill {first}; wait {first} 2> /dev/null; echo 0"));
    // Others may take the id first, or the clock may not have ticked.
    for _ in 0..1000 {
        if std::fs::write("/proc/sys/kernel/ns_last_pid", (first - 1).to_string()).is_err() {
            return println!("not permitted to choose ids");
        }
        let pid = shell.run(START);
        let mut now = Tree::new(pid).unwrap();
        now.look();
        if pid == first && now.members()[0].start_time != start_time {
            // Its parent lists it again: only its start time tells.
            look_at_all(&mut tree);
            assert!(
                matches!(with_pid(&tree, pid)[..], [one] if one.start_time == now.members()[0].start_time)
            );
            return;
        }
        shell.run(&format!("kill {pid}; wait {pid} 2> /dev/null; echo 0"));
    }
    panic!("the id was never given again");
}

#[test]
fn a_zombie_does_not_live() {
    let shell = Shell::start();
    let mut child = Command::new("true").spawn().unwrap();
    let mut tree = Tree::new(child.id()).unwrap();
    rustix::process::waitid(
        rustix::process::WaitId::Pid(rustix::process::Pid::from_child(&child)),
        rustix::process::WaitIdOptions::EXITED | rustix::process::WaitIdOptions::NOWAIT,
    )
    .unwrap();
    look_at_all(&mut tree);
    assert!(!tree.lives() && tree.members().len() == 1);
    child.wait().unwrap();
    look_at_all(&mut tree);
    assert!(!tree.lives() && tree.members().is_empty());
    assert!(Tree::new(shell.child.id()).unwrap().lives());
    assert!(Tree::new(u32::MAX).is_err());
}
