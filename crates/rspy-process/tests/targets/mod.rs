//! Starts the program in `target.c` and talks with it.

#![allow(dead_code, missing_docs)] // each test binary uses a part of it

use std::fs;
use std::io::{BufRead, BufReader, IoSliceMut, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::sys::uio::{RemoteIoVec, process_vm_readv};
use nix::unistd::Pid;
use rustix::event::{PollFd, PollFlags, poll};

/// After this a test fails that waits for something.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A running target. Killed when dropped.
pub struct Target {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    counters: u64,
    pid: u32,
}

impl Target {
    /// Starts a mode of `target.c` as our child and waits until it is ready.
    pub fn start(mode: &str, number: i64) -> Target {
        Target::run(&[mode, &number.to_string()])
    }

    /// Starts it as the child of another process, which says how it ends.
    pub fn start_elsewhere(mode: &str, number: i64) -> Target {
        Target::run(&["child", mode, &number.to_string()])
    }

    fn run(arguments: &[&str]) -> Target {
        let mut child = Command::new(executable())
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the target starts");
        let input = child.stdin.take();
        let output = BufReader::new(child.stdout.take().expect("its output is a pipe"));
        let mut target = Target { child, input, output, counters: 0, pid: 0 };
        let line = target.hear();
        let numbers = line.strip_prefix("ready ").and_then(|rest| rest.split_once(' '));
        let (counters, pid) = numbers.unwrap_or_else(|| panic!("said {line:?}"));
        target.counters = counters.parse().expect("an address");
        target.pid = pid.parse().expect("a pid");
        target
    }

    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Sends one character.
    pub fn tell(&mut self, what: char) {
        let input = self.input.as_mut().expect("its input is a pipe");
        input.write_all(&[what as u8]).expect("it listens");
    }

    /// Whether it has said something, or ended.
    pub fn has_spoken(&self) -> bool {
        !self.output.buffer().is_empty() || self.readable_within(Duration::ZERO)
    }

    /// The next line it says; fails the test when none comes.
    pub fn hear(&mut self) -> String {
        assert!(
            !self.output.buffer().is_empty() || self.readable_within(PATIENCE),
            "the target says nothing; threads: {:?}",
            self.tids().iter().map(|&tid| (tid, state(tid))).collect::<Vec<_>>()
        );
        let mut line = String::new();
        self.output.read_line(&mut line).expect("its output is text");
        line.trim_end().to_owned()
    }

    fn readable_within(&self, time: Duration) -> bool {
        let time = time.try_into().expect("a short time");
        poll(&mut [PollFd::new(self.output.get_ref(), PollFlags::IN)], Some(&time))
            .is_ok_and(|ready| ready > 0)
    }

    /// Its threads, the main thread first.
    pub fn tids(&self) -> Vec<u32> {
        let Ok(entries) = fs::read_dir(format!("/proc/{}/task", self.pid())) else { return Vec::new() };
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let mut tids: Vec<u32> = names.filter_map(|name| name.parse().ok()).collect();
        tids.sort_by_key(|&tid| (tid != self.pid(), tid));
        tids
    }

    /// Its threads but the main one, which in most modes only listens.
    pub fn workers(&self) -> Vec<u32> {
        self.tids().into_iter().filter(|&tid| tid != self.pid()).collect()
    }

    /// What its thread number `at` has counted.
    pub fn count(&self, at: u64) -> u64 {
        // Read through its last thread: a main thread that has ended has no memory.
        let reader = self.tids().last().copied().unwrap_or(self.pid);
        let mut bytes = [0; 8];
        let remote = [RemoteIoVec { base: (self.counters + 8 * at) as usize, len: bytes.len() }];
        let local = &mut [IoSliceMut::new(&mut bytes)];
        let read = process_vm_readv(Pid::from_raw(reader as i32), local, &remote).expect("it can be read");
        assert_eq!(read, 8);
        u64::from_ne_bytes(bytes)
    }

    /// How many of SIGUSR1, SIGUSR2 and SIGTRAP it has handled.
    pub fn handled(&self) -> u64 {
        self.count(63)
    }

    /// Waits until thread number `at` has counted on.
    pub fn assert_runs(&self, at: u64) {
        let before = self.count(at);
        until("it counts on", || self.count(at) != before);
    }

    pub fn send(&self, signal: Signal) {
        kill(Pid::from_raw(self.pid() as i32), signal).expect("it is there");
    }

    /// How it ended: its exit code, or minus the signal.
    pub fn end(&mut self) -> i32 {
        let status = self.child.wait().expect("it is our child");
        status.code().or(status.signal().map(|signal| -signal)).unwrap_or(i32::MIN)
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        let _ = self.child.kill();
        // A test that failed may still hold its threads, and would wait for ever.
        if !std::thread::panicking() {
            let _ = self.child.wait();
        }
    }
}

/// The state letter of a thread; `None` when it is gone.
pub fn state(tid: u32) -> Option<char> {
    let stat = fs::read_to_string(format!("/proc/{tid}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.chars().next()
}

/// The tracer of a thread, 0 when it has none; `None` when it is gone.
pub fn tracer_of(tid: u32) -> Option<u32> {
    let status = fs::read_to_string(format!("/proc/{tid}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("TracerPid:"))?.trim().parse().ok()
}

/// For conditions that the kernel announces to nobody.
pub fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < PATIENCE, "in vain: {what}");
        std::thread::yield_now();
    }
}

/// `target.c`, compiled once by each test binary, beside itself.
fn executable() -> &'static Path {
    static EXECUTABLE: OnceLock<PathBuf> = OnceLock::new();
    EXECUTABLE.get_or_init(|| {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/targets/target.c");
        let executable = std::env::current_exe().expect("we have a path").with_file_name("stop-target");
        // Others may run the one that is there: replace it in one step.
        let fresh = executable.with_extension(std::process::id().to_string());
        let compiler =
            Command::new("cc").args(["-O1", "-g", "-pthread", "-o"]).arg(&fresh).arg(source).status();
        assert!(compiler.is_ok_and(|status| status.success()), "these tests need a C compiler, `cc`");
        fs::rename(fresh, &executable).expect("the directory is ours");
        executable
    })
}
