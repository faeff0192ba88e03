//! What a recording costs rspy itself: `--stats`.

use std::fmt;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

/// What rspy has used so far.
pub struct Costs {
    start: Instant,
    cpu: Duration,
}

impl Costs {
    /// From now on.
    pub fn start() -> Costs {
        Costs { start: Instant::now(), cpu: cpu_time() }
    }

    /// What it has come to.
    pub fn so_far(&self) -> Spent {
        Spent {
            elapsed: self.start.elapsed(),
            cpu: cpu_time().saturating_sub(self.cpu),
            memory: max_rss().map(|bytes| bytes / 1024),
        }
    }
}

/// What a part of rspy's life took.
pub struct Spent {
    /// How long it was.
    pub elapsed: Duration,
    /// What all of rspy's threads spent on a CPU; waiting for a deadline that is close counts.
    pub cpu: Duration,
    /// Most memory at any time, in kilobytes, if the kernel tells.
    pub memory: Option<u64>,
}

impl fmt::Display for Spent {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let share = self.cpu.as_secs_f64() / self.elapsed.as_secs_f64().max(1e-9) * 100.0;
        write!(formatter, "{:.2} s of CPU, {share:.1} % of one", self.cpu.as_secs_f64())?;
        match self.memory {
            Some(kilobytes) => write!(formatter, "; {:.1} MB of memory at most", kilobytes as f64 * 1.024e-3),
            None => Ok(()),
        }
    }
}

/// The most memory that rspy had resident at any time, in bytes, if the kernel tells.
pub fn max_rss() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    most_memory(&status)?.checked_mul(1024)
}

/// The time that all of rspy's threads have spent on a CPU.
pub fn cpu_time() -> Duration {
    time_of(ClockId::ProcessCPUTime)
}

/// The time that the calling thread has spent on a CPU.
pub fn thread_cpu_time() -> Duration {
    time_of(ClockId::ThreadCPUTime)
}

fn time_of(clock: ClockId) -> Duration {
    let time = clock_gettime(clock);
    Duration::new(time.tv_sec.cast_unsigned(), u32::try_from(time.tv_nsec).unwrap_or(0))
}

fn most_memory(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn costs_are_said_in_one_line() {
        let (elapsed, cpu) = (Duration::from_secs(5), Duration::from_millis(500));
        let memory = most_memory("Name:\trspy\nVmHWM:\t   10000 kB\nVmRSS:\t 1 kB\n");
        assert_eq!(memory, Some(10_000));
        assert_eq!(
            Spent { elapsed, cpu, memory }.to_string(),
            "0.50 s of CPU, 10.0 % of one; 10.2 MB of memory at most"
        );
        assert_eq!(Spent { elapsed, cpu, memory: None }.to_string(), "0.50 s of CPU, 10.0 % of one");
    }

    #[test]
    fn work_takes_cpu_time() {
        let costs = Costs::start();
        while costs.so_far().cpu.is_zero() {}
        assert!(costs.so_far().memory.is_some());
    }
}
