//! What is known of the memory of processes now and then, while they are sampled: by a thread of its own, since the kernel
//! needs milliseconds for each gigabyte.

use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rspy_cpython::Attached;
use rspy_heap::mapped::MappedArenas;
use rspy_process::{Process, SharesFiles};
use rspy_profile::Collections;

use crate::costs::thread_cpu_time;
use crate::queue::News;

/// How often it is looked, at most.
const PERIOD: Duration = Duration::from_secs(1);

/// How much longer than what a look costs it is from one to the next: the process can map nothing meanwhile.
const REST: u32 = 200;

/// How long after a process was met all are looked at, if that is not too often.
const SETTLING: Duration = Duration::from_millis(100);

/// The thread.
pub struct Accountant {
    processes: Sender<Met>,
    thread: JoinHandle<()>,
}

/// A process that was met: its number, its id, and its interpreter.
type Met = (u32, u32, Attached);

/// A process that is looked at.
struct Client {
    number: u32,
    process: Process,
    attached: Attached,
    files: SharesFiles,
    arenas: MappedArenas,
}

impl Accountant {
    /// Starts it. What it finds it tells to `teller`; times are since `begun`.
    pub fn start(teller: Sender<(u32, News)>, begun: Instant) -> io::Result<Accountant> {
        let (processes, met) = channel();
        let work = move || work(&met, &teller, begun);
        let thread = thread::Builder::new().name("rspy-account".to_owned()).spawn(work)?;
        Ok(Accountant { processes, thread })
    }

    /// Looks at process `pid`, whose number is `number`, from now on.
    pub fn add(&self, number: u32, pid: u32, attached: Attached) {
        // It listens until it is told that nothing more comes.
        let _ = self.processes.send((number, pid, attached));
    }

    /// Looks at those that are left once more, if that is not too often.
    pub fn finish(self) {
        drop(self.processes);
        // It has nothing that could be lost with it.
        let _ = self.thread.join();
    }
}

fn work(met: &Receiver<Met>, teller: &Sender<(u32, News)>, begun: Instant) {
    let mut clients: Vec<Client> = Vec::new();
    let mut earliest = Instant::now();
    let mut next = earliest + PERIOD;
    loop {
        let outcome = met.recv_timeout(next.saturating_duration_since(Instant::now()));
        match outcome {
            Ok((number, pid, attached)) => {
                if let (Ok(process), Ok(files)) = (Process::open(pid), SharesFiles::open(pid)) {
                    // That is looked for once, and keeps the process from nothing.
                    let arenas = arenas_of(&process, &attached, &clients);
                    let client = Client { number, process, attached, files, arenas };
                    let before = thread_cpu_time();
                    // What it begins with.
                    if look(&client, teller, begun) {
                        clients.push(client);
                    }
                    earliest = earliest.max(rested(before));
                }
                // What it has of its parent is the parent's alone no more.
                next = earliest.max(next.min(Instant::now() + SETTLING));
                continue;
            }
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
        }
        let is_over = matches!(outcome, Err(RecvTimeoutError::Disconnected));
        if is_over && Instant::now() < earliest {
            return;
        }
        let before = thread_cpu_time();
        clients.retain(|client| look(client, teller, begun));
        if is_over {
            return;
        }
        earliest = rested(before);
        next = earliest.max(Instant::now() + PERIOD);
    }
}

/// When it may be looked again after a look that was begun when this thread had spent so much: by what that has cost, and
/// not by how long others have kept it from the processor.
fn rested(before: Duration) -> Instant {
    Instant::now() + thread_cpu_time().saturating_sub(before) * REST
}

/// Tells what a process has. Answers whether it is still there.
fn look(client: &Client, teller: &Sender<(u32, News)>, begun: Instant) -> bool {
    let at = begun.elapsed().as_nanos() as u64;
    let Some(shares) = client.files.read() else { return false };
    let collections = collections(client);
    let arenas = client.arenas.bytes(client.process.memory());
    teller.send((client.number, News::Account { at, shares, arenas, collections })).is_ok()
}

/// Where the arenas of a process are: of a fork, where those of its parent are.
fn arenas_of(process: &Process, attached: &Attached, known: &[Client]) -> MappedArenas {
    let memory = process.memory();
    let is_same = |arenas: &&MappedArenas| arenas.bytes(memory).is_some_and(|bytes| bytes > 0);
    match known.iter().map(|client| &client.arenas).find(is_same) {
        Some(arenas) => arenas.clone(),
        None => MappedArenas::find(memory, attached, &process.maps().unwrap_or_default()),
    }
}

/// What the collectors of a process have done so far; nothing where that is not known.
fn collections(client: &Client) -> (Vec<Collections>, Option<u64>) {
    let Ok(statistics) = client.attached.gc_statistics(client.process.memory()) else {
        return (Vec::new(), None);
    };
    let mut all: Vec<Collections> = Vec::new();
    let mut duration = None;
    for collector in &statistics.interpreters {
        let is_main = all.is_empty();
        all.resize_with(collector.generations.len(), Collections::default);
        for (sum, generation) in all.iter_mut().zip(&collector.generations) {
            let Some(totals) = generation.totals else { return (Vec::new(), None) };
            let count = |count: i64| u64::try_from(count).unwrap_or(0);
            sum.collections = sum.collections.saturating_add(count(totals.collections));
            sum.collected = sum.collected.saturating_add(count(totals.collected));
            sum.uncollectable = sum.uncollectable.saturating_add(count(totals.uncollectable));
            if is_main {
                sum.threshold = u64::try_from(generation.threshold).unwrap_or(0);
            }
            if let Some(seconds) = totals.duration {
                duration = Some(duration.unwrap_or(0) + (seconds.max(0.0) * 1e9) as u64);
            }
        }
    }
    (all, duration)
}
