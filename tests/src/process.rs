//! Other processes: what `/proc` tells of them, and waiting for them with a deadline.

use std::fs;
use std::process::{Child, ExitStatus};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::AsFd;
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use crate::Outcome;

/// How long anything may take that has to happen. Long, since a loaded machine is no reason to fail.
pub const DEADLINE: Duration = Duration::from_secs(120);

/// `pid` as the system calls want it.
pub fn pid(pid: u32) -> Pid {
    i32::try_from(pid).ok().and_then(Pid::from_raw).expect("a process id is a positive number")
}

/// Sends `signal` to the process `target`.
pub fn send(target: u32, signal: Signal) -> Outcome {
    Ok(kill_process(pid(target), signal)?)
}

/// Waits until `readable` can be read or is closed.
pub fn wait_readable(readable: impl AsFd, deadline: Instant) -> Outcome {
    let left = deadline.saturating_duration_since(Instant::now());
    let timeout = Timespec { tv_sec: left.as_secs().cast_signed(), tv_nsec: left.subsec_nanos().into() };
    let mut descriptors = [PollFd::new(&readable, PollFlags::IN)];
    match poll(&mut descriptors, Some(&timeout)) {
        Ok(0) => Err("nothing came before the deadline".into()),
        Ok(_) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Waits until `child` ends.
pub fn wait_for_end(child: &mut Child) -> Outcome<ExitStatus> {
    if let Some(status) = child.try_wait()? {
        return Ok(status);
    }
    let descriptor = pidfd_open(pid(child.id()), PidfdFlags::empty())?;
    wait_readable(&descriptor, Instant::now() + DEADLINE)
        .map_err(|_| format!("process {} did not end within {DEADLINE:?}", child.id()))?;
    Ok(child.wait()?)
}

/// Waits until `condition` holds. Only for what nobody reports; `what` names it if it does not come.
pub fn wait_until(what: &str, mut condition: impl FnMut() -> bool) -> Outcome {
    let deadline = Instant::now() + DEADLINE;
    while !condition() {
        if Instant::now() > deadline {
            return Err(format!("waited {DEADLINE:?} in vain: {what}").into());
        }
        // Leaves the processor to the one waited for; nothing depends on how long it is.
        std::thread::park_timeout(Duration::from_millis(1));
    }
    Ok(())
}

/// The state letter of a thread (`R` running, `S` sleeping, `T` stopped, `t` stopped by a tracer …).
pub fn state(process: u32, thread: u32) -> Option<char> {
    let stat = fs::read_to_string(format!("/proc/{process}/task/{thread}/stat")).ok()?;
    stat.get(stat.rfind(')')? + 2..)?.chars().next()
}

/// The processor time a thread has used, in the kernel's clock ticks.
pub fn ticks(process: u32, thread: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{process}/task/{thread}/stat")).ok()?;
    // The state is the third field; the times in user and in system mode are the 14th and the 15th.
    let mut times = stat.get(stat.rfind(')')? + 2..)?.split_whitespace().skip(11).map(str::parse::<u64>);
    Some(times.next()?.ok()? + times.next()?.ok()?)
}

/// The number of the system call a thread sleeps in, and its first argument.
pub fn system_call(process: u32, thread: u32) -> Option<(u32, u64)> {
    let text = fs::read_to_string(format!("/proc/{process}/task/{thread}/syscall")).ok()?;
    let mut words = text.split_whitespace();
    let number = words.next()?.parse().ok()?;
    Some((number, u64::from_str_radix(words.next()?.strip_prefix("0x")?, 16).ok()?))
}

/// The threads of a process.
pub fn threads(process: u32) -> Vec<u32> {
    let Ok(entries) = fs::read_dir(format!("/proc/{process}/task")) else { return Vec::new() };
    entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// The thread of `process` that calls itself `native`: another number if it lives in its own pid namespace.
pub fn thread_called(process: u32, native: u32) -> Option<u32> {
    threads(process).into_iter().find(|thread| {
        status(process, *thread, "NSpid:").is_some_and(|ids| {
            ids.split_whitespace().next_back().and_then(|id| id.parse().ok()) == Some(native)
        })
    })
}

/// How often the main thread of a process has gone to sleep.
pub fn sleeps(process: u32) -> Option<u64> {
    status(process, process, "voluntary_ctxt_switches:")?.trim().parse().ok()
}

/// The process that traces `process`, 0 if none.
pub fn tracer(process: u32) -> Option<u32> {
    status(process, process, "TracerPid:")?.trim().parse().ok()
}

/// The process that has started `process`, or taken it over.
pub fn parent(process: u32) -> Option<u32> {
    status(process, process, "PPid:")?.trim().parse().ok()
}

/// The time that the threads of a process have spent on processors, as the scheduler counts.
pub fn processor_time(process: u32) -> Duration {
    let of = |thread| scheduled(process, thread).map(|(on, _)| on);
    threads(process).into_iter().filter_map(of).sum()
}

/// Whether `reader` keeps the scheduler's figures of a thread of `process` open, as who samples it does.
pub fn is_sampled(process: u32, reader: u32) -> bool {
    let Ok(files) = fs::read_dir(format!("/proc/{reader}/fd")) else { return false };
    let of_process = format!("/proc/{process}/task/");
    files.flatten().filter_map(|file| fs::read_link(file.path()).ok()).any(|file| {
        file.to_str().is_some_and(|path| path.starts_with(&of_process) && path.ends_with("/schedstat"))
    })
}

fn status(process: u32, thread: u32, key: &str) -> Option<String> {
    let text = fs::read_to_string(format!("/proc/{process}/task/{thread}/status")).ok()?;
    text.lines().find_map(|line| line.strip_prefix(key)).map(str::to_owned)
}

/// The children of the main thread of a process.
pub fn children(process: u32) -> Vec<u32> {
    let text = fs::read_to_string(format!("/proc/{process}/task/{process}/children")).unwrap_or_default();
    text.split_whitespace().filter_map(|child| child.parse().ok()).collect()
}

/// The children of all threads of a process, and theirs.
pub fn descendants(process: u32) -> Vec<u32> {
    let mut found = vec![process];
    let mut next = 0;
    while let Some(parent) = found.get(next).copied() {
        for thread in threads(parent) {
            let file = format!("/proc/{parent}/task/{thread}/children");
            let text = fs::read_to_string(file).unwrap_or_default();
            found.extend(text.split_whitespace().filter_map(|child| child.parse::<u32>().ok()));
        }
        next += 1;
    }
    found.split_off(1)
}

/// Binds a process that has just started to one processor (counted from 0 among those this test may use), as far
/// as there are several: on a processor of its own a target goes on while it is read.
pub fn pin(process: u32, processor: usize) -> Outcome {
    let allowed = sched_getaffinity(None)?;
    let processors: Vec<usize> = (0..CpuSet::MAX_CPU).filter(|number| allowed.is_set(*number)).collect();
    let mut set = CpuSet::new();
    set.set(processors[processor % processors.len()]);
    Ok(sched_setaffinity(Some(pid(process)), &set)?)
}

/// How long a thread was on a processor, and how long it waited for one, as the scheduler counts.
pub fn scheduled(process: u32, thread: u32) -> Option<(Duration, Duration)> {
    let text = fs::read_to_string(format!("/proc/{process}/task/{thread}/schedstat")).ok()?;
    let mut times = text.split_whitespace().map(|word| word.parse().map(Duration::from_nanos));
    Some((times.next()?.ok()?, times.next()?.ok()?))
}
