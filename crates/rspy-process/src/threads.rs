//! Threads of a target: whether they run, and what they are called in their own pid namespace.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::time::Duration;

use crate::Address;

/// What the scheduler says of a thread.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum RunState {
    /// On a CPU or ready for one (`R`).
    Running,
    /// Asleep (`S`), in an uninterruptible wait (`D`) or idle.
    Sleeping,
    /// Stopped by a signal (`T`) or a tracer (`t`).
    Stopped,
    /// Exited (`Z`, `X`).
    Dead,
}

/// The state of one thread, read from its kept-open `stat` file.
pub struct ThreadStat {
    file: File,
}

impl ThreadStat {
    /// Opens `/proc/PID/task/TID/stat`.
    pub fn open(pid: u32, tid: u32) -> std::io::Result<ThreadStat> {
        Ok(ThreadStat { file: File::open(format!("/proc/{pid}/task/{tid}/stat"))? })
    }

    /// What the thread is doing now. [`RunState::Dead`] once it is gone.
    pub fn run_state(&self) -> RunState {
        let mut text = [0; 512];
        let len = self.file.read_at(&mut text, 0).unwrap_or(0);
        parse_run_state(&text[..len])
    }
}

/// The state letter of a `stat` line. It follows the last `)`: a thread's name
/// may hold blanks and parentheses itself.
fn parse_run_state(text: &[u8]) -> RunState {
    let after_name = text.iter().rposition(|byte| *byte == b')').and_then(|at| text.get(at + 2));
    match after_name {
        Some(b'R') => RunState::Running,
        Some(b'S' | b'D' | b'I' | b'W' | b'K' | b'P') => RunState::Sleeping,
        Some(b'T' | b't') => RunState::Stopped,
        _ => RunState::Dead,
    }
}

/// How often a thread was given a CPU and how long it has run, read from its kept-open
/// `schedstat` file: a third of what its `stat` costs.
///
/// The kernel keeps the time up to date when the thread leaves its CPU and at every tick of
/// the scheduler; the number of times counts up as soon as the thread gets one. So a
/// thread that was seen asleep and whose figures are the same has been asleep since.
pub struct SchedStat {
    file: File,
}

/// Figures of [`SchedStat`] that differ once the thread has run.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Ran([u64; 2]);

impl Ran {
    /// Its time on a CPU, up to when it left one or the scheduler last ticked.
    pub fn time(&self) -> Duration {
        Duration::from_nanos(self.0[0])
    }
}

impl SchedStat {
    /// Opens `/proc/PID/task/TID/schedstat`.
    pub fn open(pid: u32, tid: u32) -> std::io::Result<SchedStat> {
        Ok(SchedStat { file: File::open(format!("/proc/{pid}/task/{tid}/schedstat"))? })
    }

    /// The figures now; `None` if the thread is gone, or the kernel keeps none.
    pub fn ran(&self) -> Option<Ran> {
        let mut text = [0; 96];
        let len = self.file.read_at(&mut text, 0).ok()?;
        parse_ran(&text[..len])
    }
}

/// Time on a CPU in nanoseconds, time waiting for one, number of times on one. A kernel
/// without CONFIG_SCHED_INFO says zero to all.
fn parse_ran(text: &[u8]) -> Option<Ran> {
    let mut words = text.split(|byte| byte.is_ascii_whitespace()).map(|word| {
        word.iter().try_fold(0u64, |value, digit| {
            let digit = digit.checked_sub(b'0').filter(|digit| *digit < 10)?;
            value.checked_mul(10)?.checked_add(digit.into())
        })
    });
    let time = words.next()??;
    words.next()??;
    let times = words.next()??;
    (times != 0).then_some(Ran([time, times]))
}

/// The futex a thread sleeps on, read from its kept-open `syscall` file.
///
/// The kernel asks for the permission to trace the process at every read, and for none to open the file.
pub struct Waits {
    file: File,
}

impl Waits {
    /// Opens `/proc/PID/task/TID/syscall`, which not every kernel has.
    pub fn open(pid: u32, tid: u32) -> io::Result<Waits> {
        Ok(Waits { file: File::open(format!("/proc/{pid}/task/{tid}/syscall"))? })
    }

    /// The futex it sleeps on now; `None` while it runs, is ready to run or waits for something else.
    /// An error says that this cannot be known: no permission, or the thread is gone.
    pub fn futex(&self) -> io::Result<Option<Address>> {
        let mut text = [0; 256];
        let len = self.file.read_at(&mut text, 0)?;
        Ok(text.get(..len).and_then(parse_futex))
    }
}

/// The futex in a line of `syscall`: the number of the call and its arguments, or `running`.
fn parse_futex(text: &[u8]) -> Option<Address> {
    /// `futex` and `futex_wait` on x86-64.
    const FUTEX: &str = "202";
    const FUTEX_WAIT: &str = "455";
    /// What a call of `futex` is for, without the flags: those that sleep (`linux/futex.h`).
    const COMMAND: u64 = 0x7f;
    const WAIT: u64 = 0;
    const LOCK_PI: u64 = 6;
    const WAIT_BITSET: u64 = 9;
    const LOCK_PI2: u64 = 13;
    let mut words = std::str::from_utf8(text).ok()?.split_ascii_whitespace();
    let number = words.next()?;
    let mut argument = || u64::from_str_radix(words.next()?.strip_prefix("0x")?, 16).ok();
    let (address, operation) = (argument()?, argument()?);
    match number {
        FUTEX if matches!(operation & COMMAND, WAIT | LOCK_PI | WAIT_BITSET | LOCK_PI2) => {
            Some(Address(address))
        }
        FUTEX_WAIT => Some(Address(address)),
        _ => None,
    }
}

/// Where the stack pointer of a thread is that sleeps. `None` while it runs; if there is no permission to trace it; if the kernel has no
/// such file.
pub fn stack_pointer(pid: u32, tid: u32) -> Option<Address> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/task/{tid}/syscall")).ok()?;
    parse_stack_pointer(&text)
}

/// The word before the last of a line of `syscall`.
fn parse_stack_pointer(text: &str) -> Option<Address> {
    let word = text.split_ascii_whitespace().rev().nth(1)?;
    u64::from_str_radix(word.strip_prefix("0x")?, 16).ok().map(Address)
}

/// What the kernel calls thread `tid` of process `pid`: at most 15 bytes. A thread has
/// the name of the one that started it until it is given its own.
pub fn kernel_name(pid: u32, tid: u32) -> Option<String> {
    let name = std::fs::read(format!("/proc/{pid}/task/{tid}/comm")).ok()?;
    Some(String::from_utf8_lossy(name.strip_suffix(b"\n").unwrap_or(&name)).into_owned())
}

/// The id that thread `tid` of process `pid` has in the innermost pid namespace
/// it belongs to, which is the one it writes into its own memory.
pub fn id_in_own_namespace(pid: u32, tid: u32) -> Option<u32> {
    let status = std::fs::read(format!("/proc/{pid}/task/{tid}/status")).ok()?;
    let line = status.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(b"NSpid:"))?;
    std::str::from_utf8(line).ok()?.split_ascii_whitespace().next_back()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stack_pointers_stand_before_the_last() {
        let call = "202 0x7f 0x189 0x0 0x0 0x0 0xffffffff 0x7ffd10 0x7f5a\n";
        assert_eq!(parse_stack_pointer(call), Some(Address(0x7ffd10)));
        assert_eq!(parse_stack_pointer("-1 0x7ffd10 0x7f5a"), Some(Address(0x7ffd10)));
        assert_eq!(parse_stack_pointer("running\n"), None);
        assert_eq!(parse_stack_pointer(""), None);
    }

    #[test]
    fn a_name_cannot_lend_its_letters_to_the_state() {
        assert_eq!(parse_run_state(b"12 (python) R 1 12"), RunState::Running);
        assert_eq!(parse_run_state(b"12 (a) R b) S 1 12"), RunState::Sleeping);
        assert_eq!(parse_run_state(b"12 (x) t 1"), RunState::Stopped);
        assert_eq!(parse_run_state(b"12 (x)"), RunState::Dead);
        assert_eq!(parse_run_state(b""), RunState::Dead);
    }

    #[test]
    fn a_thread_that_looks_at_itself_runs() {
        let pid = std::process::id();
        let tid = rustix::thread::gettid().as_raw_nonzero().get() as u32;
        assert_eq!(ThreadStat::open(pid, tid).unwrap().run_state(), RunState::Running);
        assert_eq!(id_in_own_namespace(pid, tid), Some(tid));
    }

    #[test]
    fn figures_of_the_scheduler_are_all_or_nothing() {
        assert_eq!(parse_ran(b"123 45 6\n"), Some(Ran([123, 6])));
        // Waiting for a CPU is not running.
        assert_eq!(parse_ran(b"123 99 6\n"), parse_ran(b"123 45 6\n"));
        assert_ne!(parse_ran(b"123 45 7\n"), parse_ran(b"123 45 6\n"));
        // A kernel that keeps none.
        assert_eq!(parse_ran(b"0 0 0\n"), None);
        for damaged in ["", "1", "1 2", "1 2 ", "1 2 x", "-1 2 3", "99999999999999999999 2 3"] {
            assert_eq!(parse_ran(damaged.as_bytes()), None, "{damaged}");
        }
    }

    #[test]
    fn figures_come_to_rest_and_change_once_the_thread_has_run() {
        let pid = std::process::id();
        let (tell, told) = std::sync::mpsc::channel();
        let (wake, woken) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            tell.send(rustix::thread::gettid().as_raw_nonzero().get() as u32).unwrap();
            woken.recv().unwrap();
            tell.send(0).unwrap();
            woken.recv().unwrap();
        });
        let tid = told.recv().unwrap();
        let (stat, sched) = (ThreadStat::open(pid, tid).unwrap(), SchedStat::open(pid, tid).unwrap());
        let asleep = || {
            // It says so a little before it leaves its CPU, when the time is added.
            loop {
                let ran = sched.ran();
                if stat.run_state() == RunState::Sleeping && sched.ran() == ran {
                    return ran;
                }
                std::thread::yield_now();
            }
        };
        let before = asleep();
        if before.is_none() {
            return println!("this kernel keeps no figures");
        }
        wake.send(()).unwrap();
        told.recv().unwrap();
        assert_ne!(asleep(), before);
        wake.send(()).unwrap();
        thread.join().unwrap();
        assert_eq!(sched.ran(), None);
    }

    #[test]
    fn only_who_sleeps_on_a_futex_has_one() {
        let line = |start: &str| format!("{start} 0x0 0x0 0x0 0xffffffff 0x7ffe0 0x7f00\n");
        assert_eq!(parse_futex(line("202 0x7f1000 0x189 0x0").as_bytes()), Some(Address(0x7f_1000)));
        assert_eq!(parse_futex(line("202 0x7f1000 0x80 0x2").as_bytes()), Some(Address(0x7f_1000)));
        assert_eq!(parse_futex(line("455 0x7f1000 0x0 0x0").as_bytes()), Some(Address(0x7f_1000)));
        // One that wakes others.
        assert_eq!(parse_futex(line("202 0x7f1000 0x81 0x1").as_bytes()), None);
        assert_eq!(parse_futex(line("0 0x7f1000 0x0 0x0").as_bytes()), None);
        for other in
            ["running\n", "-1 0x7ffe0 0x7f00\n", "", "202", "202 0x", "202 zero 0x0", "202 0x1", "\u{ff}"]
        {
            assert_eq!(parse_futex(other.as_bytes()), None, "{other}");
        }
    }

    #[test]
    fn a_thread_that_waits_for_a_mutex_sleeps_on_it() {
        let pid = std::process::id();
        let (tell, told) = std::sync::mpsc::channel();
        let mutex = std::sync::Arc::new(std::sync::Mutex::new(()));
        let held = mutex.lock().unwrap();
        let wanted = mutex.clone();
        let thread = std::thread::spawn(move || {
            tell.send(rustix::thread::gettid().as_raw_nonzero().get() as u32).unwrap();
            drop(wanted.lock().unwrap());
        });
        let waits = Waits::open(pid, told.recv().unwrap()).unwrap();
        let within = |futex: Address| {
            let start = std::sync::Arc::as_ptr(&mutex) as u64;
            (start..start + size_of_val(&*mutex) as u64).contains(&futex.0)
        };
        while !waits.futex().unwrap().is_some_and(within) {
            std::thread::yield_now();
        }
        drop(held);
        thread.join().unwrap();
        // Who joins is woken a little before the kernel forgets the thread.
        while waits.futex().is_ok() {
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_thread_has_the_name_it_was_given() {
        let pid = std::process::id();
        let name = std::thread::Builder::new().name("a (name) of 15".to_owned()).spawn(move || {
            let tid = rustix::thread::gettid().as_raw_nonzero().get() as u32;
            kernel_name(pid, tid)
        });
        assert_eq!(name.unwrap().join().unwrap().as_deref(), Some("a (name) of 15"));
        assert_eq!(kernel_name(pid, 0), None);
    }
}
