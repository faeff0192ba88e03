//! Stops and resumes the threads of a process in a loop, and says what that took.
//!
//!     stop_loop PID [TIMES [PAUSE_US]]
//!
//! Without PAUSE_US, back to back. Threads that sleep are left alone.

use std::error::Error;
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use rspy_process::stop::Tracer;

fn main() -> Result<(), Box<dyn Error>> {
    let numbers = env::args().skip(1).map(|text| text.parse::<u64>()).collect::<Result<Vec<_>, _>>()?;
    let pid = u32::try_from(*numbers.first().ok_or("usage: stop_loop PID [TIMES [PAUSE_US]]")?)?;
    let times = numbers.get(1).copied().unwrap_or(10_000);
    let pause = Duration::from_micros(numbers.get(2).copied().unwrap_or(0));

    let tids = running_threads(pid)?;
    let mut tracer = Tracer::new(Duration::from_millis(10));
    let mut spent = Vec::new();
    for _ in 0..times {
        thread::sleep(pause);
        let start = Instant::now();
        drop(tracer.stop(pid, &tids));
        spent.push(start.elapsed());
        tracer.serve_late();
    }
    spent.sort();
    let at = |share: f64| spent.get((spent.len() as f64 * share) as usize).copied().unwrap_or_default();
    println!("{} threads: median {:?}, 90 % {:?}, 99 % {:?}", tids.len(), at(0.5), at(0.9), at(0.99));
    println!("{:?}", tracer.stats());
    Ok(())
}

fn running_threads(pid: u32) -> Result<Vec<u32>, Box<dyn Error>> {
    let mut running = Vec::new();
    for entry in fs::read_dir(format!("/proc/{pid}/task"))? {
        let path = entry?.path();
        let stat = fs::read_to_string(path.join("stat"))?;
        let tid = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.parse().ok());
        if let (Some(tid), true) = (tid, stat.contains(") R ")) {
            running.push(tid);
        }
    }
    Ok(running)
}
