//! What reads alone cost: the floor under every profiler that looks from outside.
//!
//!     cargo run --release -p rspy-process --example read_cost -- PID READS SIZE…
//!
//! Makes READS `process_vm_readv` calls, each of one range for every SIZE (in bytes), all of them out of
//! the target's own stack, and prints the best and the median of what a call took. How the sampler's time for
//! a sample compares with that, in the same minute on the same machine, is its overhead:
//! `docs/performance.md`.

use std::error::Error;
use std::path::Path;
use std::time::{Duration, Instant};

use rspy_process::{Address, Batch, Memory, Process};

/// So many calls are timed together: a call is not much longer than asking for the time.
const TOGETHER: u32 = 64;

fn main() -> Result<(), Box<dyn Error>> {
    let numbers: Vec<u64> = std::env::args().skip(1).map(|text| text.parse()).collect::<Result<_, _>>()?;
    let [pid, reads, sizes @ ..] = numbers.as_slice() else {
        return Err("give PID READS SIZE…".into());
    };
    let pid = u32::try_from(*pid)?;
    let process = Process::open(pid)?;
    let is_stack = |path: &Path| path == Path::new("[stack]");
    let mut maps = process.maps()?.into_iter();
    let stack = maps.find(|map| map.path.as_deref().is_some_and(is_stack)).ok_or("it has no stack")?;
    let memory = process.memory();
    let mut batch = Batch::new();
    // The end of a stack is in use, hence in memory.
    let mut at = stack.end;
    for size in sizes {
        let len = usize::try_from(*size)?;
        at = Address(at.0.checked_sub(*size).ok_or("SIZE is larger than any stack")?);
        batch.push(at, len);
    }
    let mut times = Vec::new();
    for _ in 0..reads.div_ceil(u64::from(TOGETHER)) {
        let start = Instant::now();
        for _ in 0..TOGETHER {
            memory.read_many(&mut batch);
        }
        times.push(start.elapsed() / TOGETHER);
    }
    for range in 0..batch.len() {
        batch.get(range)?;
    }
    times.sort_unstable();
    let of = |at: usize| times.get(at).copied().unwrap_or(Duration::ZERO).as_nanos();
    println!(
        "{} ranges, {} bytes: {} ns at best, {} ns in the median",
        sizes.len(),
        sizes.iter().sum::<u64>(),
        of(0),
        of(times.len() / 2)
    );
    Ok(())
}
