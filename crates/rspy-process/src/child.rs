//! Children that have ended, and what they used.

use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Duration;

use crate::sys::wait::wait4;

/// What a process used, and those below it that it has waited for: as `getrusage` counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Resources {
    /// Time on CPUs in its own code.
    pub user: Duration,
    /// Time on CPUs in the kernel.
    pub system: Duration,
    /// The most memory that one of them had resident at any time, in bytes.
    pub max_rss: u64,
    /// Page faults that needed no disk.
    pub minor_faults: u64,
    /// Page faults that did.
    pub major_faults: u64,
    /// How often it gave up a CPU, to wait for something.
    pub voluntary_switches: u64,
    /// How often it had to.
    pub involuntary_switches: u64,
    /// Blocks of 512 bytes that were read from disks.
    pub blocks_read: u64,
    /// Blocks of 512 bytes that were written.
    pub blocks_written: u64,
}

/// Collects child `pid` if it has ended: how, and what it used. `None` as long as it runs.
///
/// # Errors
///
/// If it is no child, or was collected before.
pub fn collect(pid: u32) -> io::Result<Option<(ExitStatus, Resources)>> {
    let pid = i32::try_from(pid).map_err(io::Error::other)?;
    let Some((status, usage)) = wait4(pid)? else { return Ok(None) };
    let time = |time: nix::libc::timeval| {
        let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
        Duration::from_secs(seconds) + Duration::from_micros(u64::try_from(time.tv_usec).unwrap_or(0))
    };
    let count = |count: i64| u64::try_from(count).unwrap_or(0);
    let resources = Resources {
        user: time(usage.ru_utime),
        system: time(usage.ru_stime),
        max_rss: count(usage.ru_maxrss).saturating_mul(1024),
        minor_faults: count(usage.ru_minflt),
        major_faults: count(usage.ru_majflt),
        voluntary_switches: count(usage.ru_nvcsw),
        involuntary_switches: count(usage.ru_nivcsw),
        blocks_read: count(usage.ru_inblock),
        blocks_written: count(usage.ru_oublock),
    };
    Ok(Some((ExitStatus::from_raw(status), resources)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    #[test]
    fn a_child_is_collected_once() {
        let child = Command::new("sh").args(["-c", "read line; exit 3"]).stdin(Stdio::piped()).spawn();
        let mut child = child.expect("there is a shell");
        assert_eq!(collect(child.id()).expect("it is a child"), None);
        drop(child.stdin.take());
        let (status, used) = loop {
            if let Some(ended) = collect(child.id()).expect("it is a child") {
                break ended;
            }
            std::thread::yield_now();
        };
        assert_eq!(status.code(), Some(3));
        assert!(used.max_rss > 100_000 && used.minor_faults > 0);
        assert!(collect(child.id()).is_err());
        // Nothing is left to be waited for.
        assert!(child.wait().is_err());
    }
}
