//! From the sampling thread to the recording thread.
//!
//! Samples go through a ring of fixed size, which neither side ever waits for: what does not fit
//! is counted and dropped. What samples refer to (threads, code, stacks) goes ahead of them by a
//! channel, once each.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle, Thread};
use std::time::Duration;

use rspy_cpython::code::CodeInfo;
use rspy_cpython::sampling::Node;
use rspy_process::{Process, Shares};
use rspy_profile::{Collections, LostReason};
use rtrb::{Consumer, Producer, RingBuffer};

use crate::figures::{Counted, ProcessCounted};
use crate::names::is_cell;
use crate::recorder::Recorder;
use crate::sampler::{Sampler, Taken};

/// How many samples fit.
const CAPACITY: usize = 1 << 15;
/// How often the recording thread looks by itself.
const LOOK: Duration = Duration::from_millis(100);

/// What a recording learns of a process before samples that refer to it.
pub enum News {
    /// The next process; always the first to be told of it.
    Process {
        /// The process, opened for the recording thread.
        process: Process,
        /// The number of the process above it, if that is recorded too.
        parent: Option<u32>,
    },
    /// The number of the process above it, which was found after it.
    Below(u32),
    /// The next thread.
    Thread {
        /// The kernel's id.
        os_id: Option<u32>,
        /// What `threading.get_ident()` returns.
        python_id: u64,
    },
    /// The next code object.
    Code(Arc<CodeInfo>),
    /// The next stack.
    Node(Node),
    /// The cells of a notebook, by the names of their files.
    Cells(HashMap<String, u64>),
    /// Names of threads by `threading.get_ident()`.
    Names(HashMap<u64, String>),
    /// Samples that could not be taken.
    Lost(LostReason, u64),
    /// What was recorded is to be written.
    Flush,
    /// What was counted of each thread, by number, since its numbers began.
    Threads(Vec<Counted>),
    /// What was counted of the process since it was met.
    Counted(ProcessCounted),
    /// What was counted so far of each thread, by number, and of the process.
    SoFar(Vec<Counted>, ProcessCounted),
    /// The memory that the process had resident, in bytes, at so many nanoseconds since the recording began.
    Memory {
        /// When.
        at: u64,
        /// How much.
        resident: u64,
    },
    /// How it shared its memory with others, at so many nanoseconds since the recording began.
    Account {
        /// When.
        at: u64,
        /// How.
        shares: Shares,
        /// What is mapped for small objects, in bytes, if that is known.
        arenas: Option<u64>,
        /// What its garbage collectors have done so far, by generation, and how long that took, in nanoseconds.
        collections: (Vec<Collections>, Option<u64>),
    },
    /// The process runs another Python now: its numbers begin anew, behind the first so many samples.
    Renewed(u64),
}

/// What was told of a process.
pub struct Told {
    /// Its number.
    pub process: u32,
    nodes: usize,
    codes: usize,
    threads: usize,
}

/// The sampling thread's end.
pub struct Queue {
    samples: Producer<Taken>,
    news: Sender<(u32, News)>,
    recording: JoinHandle<Recorder>,
    thread: Thread,
    is_full: Arc<AtomicBool>,
    missed: Arc<AtomicU64>,
    processes: u32,
    pushed: u64,
    dropped: u64,
}

impl Queue {
    /// Starts the recording thread. `show` is called by it now and then.
    pub fn start(recorder: Recorder, show: impl Fn(&Recorder) + Send + 'static) -> std::io::Result<Queue> {
        let (samples, consumer) = RingBuffer::new(CAPACITY);
        let (news, learned) = channel();
        let is_full = Arc::new(AtomicBool::new(false));
        let says_so = is_full.clone();
        let missed = Arc::new(AtomicU64::new(0));
        let missed_so_far = missed.clone();
        let recording = thread::Builder::new()
            .name("rspy-record".to_owned())
            .spawn(move || record(consumer, &learned, recorder, (&says_so, &missed_so_far), show))?;
        let thread = recording.thread().clone();
        Ok(Queue { samples, news, recording, thread, is_full, missed, processes: 0, pushed: 0, dropped: 0 })
    }

    /// Begins a process. `process` is for the recording thread, which looks for files by itself.
    pub fn begin(&mut self, process: Process, parent: Option<u32>) -> Told {
        let told = Told { process: self.processes, nodes: 0, codes: 0, threads: 0 };
        self.processes += 1;
        self.tell(told.process, News::Process { process, parent });
        told
    }

    /// Tells what the samples of `sampler` refer to that was not `told` yet. Before them.
    pub fn introduce(&self, told: &mut Told, sampler: &Sampler) {
        let process = told.process;
        for thread in sampler.threads_since(told.threads) {
            self.tell(process, News::Thread { os_id: thread.os_id, python_id: thread.python_id });
        }
        told.threads = sampler.threads_met();
        let nodes = sampler.nodes_since(told.nodes);
        if nodes.is_empty() {
            return;
        }
        if sampler.codes_since(told.codes).any(|code| is_cell(&code.filename)) {
            self.tell(process, News::Cells(sampler.notebook_cells()));
        }
        let mut codes = 0;
        for code in sampler.codes_since(told.codes) {
            self.tell(process, News::Code(code.clone()));
            codes += 1;
        }
        told.codes += codes;
        for node in nodes {
            self.tell(process, News::Node(node.clone()));
        }
        told.nodes += nodes.len();
    }

    /// Tells something of process number `process`.
    pub fn tell(&self, process: u32, news: News) {
        // Nobody listens once the recording thread has failed, which shows at the end.
        let _ = self.news.send((process, news));
    }

    /// What another thread can tell news by.
    pub fn teller(&self) -> Sender<(u32, News)> {
        self.news.clone()
    }

    /// Samples of another Python in the same process follow.
    pub fn renew(&self, told: &mut Told) {
        self.tell(told.process, News::Renewed(self.pushed));
        *told = Told { process: told.process, nodes: 0, codes: 0, threads: 0 };
    }

    /// Adds a sample.
    pub fn push(&mut self, taken: Taken) {
        match self.samples.push(taken) {
            Ok(()) => self.pushed += 1,
            Err(_) => self.dropped += 1,
        }
    }

    /// Has the recording thread look if there is much to do.
    pub fn nudge(&self) {
        if self.samples.slots() < CAPACITY / 2 {
            self.thread.unpark();
        }
    }

    /// Has what was recorded so far written, where it is written as it is taken.
    pub fn flush(&self) {
        self.tell(0, News::Flush);
        self.thread.unpark();
    }

    /// Tells how many ticks were missed so far.
    pub fn miss(&self, missed: u64) {
        self.missed.store(missed, Ordering::Relaxed);
    }

    /// Whether the recording takes no more.
    pub fn is_full(&self) -> bool {
        self.is_full.load(Ordering::Relaxed)
    }

    /// Samples that did not fit.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Ends the recording thread, when it has taken all.
    pub fn finish(self) -> Recorder {
        let Queue { samples, news, recording, thread, .. } = self;
        drop(news);
        drop(samples);
        thread.unpark();
        match recording.join() {
            Ok(recorder) => recorder,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }
}

fn record(
    mut samples: Consumer<Taken>,
    news: &Receiver<(u32, News)>,
    mut recorder: Recorder,
    (is_full, missed): (&AtomicBool, &AtomicU64),
    show: impl Fn(&Recorder),
) -> Recorder {
    let mut taken = 0;
    loop {
        // In this order: there may be more when the ring is looked at, but nothing then comes after.
        let is_over = samples.is_abandoned();
        let count = samples.slots();
        let all = taken + count as u64;
        // What those samples refer to was told before they were pushed.
        for (process, news) in news.try_iter() {
            if let News::Renewed(before) = news {
                // They still refer to what is forgotten now.
                taken += take(&mut samples, before.saturating_sub(taken), &mut recorder);
            }
            recorder.learn(process, news);
        }
        taken += take(&mut samples, all.saturating_sub(taken), &mut recorder);
        if !recorder.flush(missed.load(Ordering::Relaxed)) {
            is_full.store(true, Ordering::Relaxed);
        }
        show(&recorder);
        if is_over && count == 0 {
            return recorder;
        }
        if !is_over && count < CAPACITY / 4 {
            thread::park_timeout(LOOK);
        }
    }
}

/// Records the next `count` samples. Answers how many there were.
fn take(samples: &mut Consumer<Taken>, count: u64, recorder: &mut Recorder) -> u64 {
    let count = samples.slots().min(usize::try_from(count).unwrap_or(usize::MAX));
    if let Ok(chunk) = samples.read_chunk(count) {
        chunk.into_iter().for_each(|taken| recorder.add(&taken));
    }
    count as u64
}

#[cfg(test)]
mod tests {
    use rspy_cpython::sampling::NodeId;
    use rspy_process::Process;
    use rspy_profile::Profile;

    use super::*;
    use crate::sampler::Known;

    fn recorder() -> Recorder {
        Recorder::new(Profile::default(), None, false, false)
    }

    fn begin(queue: &mut Queue) -> Told {
        queue.begin(Process::open(std::process::id()).expect("this process"), None)
    }

    /// A recording thread that, each time it has taken all, says so and waits to be let go.
    fn start() -> (Queue, Receiver<()>, Sender<()>) {
        let (say, said) = channel();
        let (let_go, goes) = channel();
        let show = move |_: &Recorder| {
            // Nobody listens or lets it go any more: it runs free.
            let _ = say.send(());
            let _ = goes.recv();
        };
        (Queue::start(recorder(), show).expect("a thread"), said, let_go)
    }

    fn thread(python_id: u64) -> News {
        News::Thread { os_id: None, python_id }
    }

    fn sample(thread: u32) -> Taken {
        let known = Known::Whole;
        Taken {
            at: 0,
            process: 0,
            thread,
            stack: NodeId::ROOT,
            known,
            stood: true,
            active: Some(true),
            owns_gil: None,
            waits_for_gil: None,
            in_kernel: None,
            collects: None,
            is_collecting: false,
            waits_for: None,
            weight: 1,
        }
    }

    #[test]
    fn what_does_not_fit_is_counted_and_dropped() {
        let (mut queue, said, let_go) = start();
        said.recv().expect("it has begun");
        begin(&mut queue);
        queue.tell(0, thread(1));
        for _ in 0..CAPACITY + 10 {
            queue.push(sample(0));
        }
        assert_eq!(queue.dropped(), 10);
        drop(let_go);
        assert_eq!(queue.finish().samples(), CAPACITY as u64);
    }

    #[test]
    fn samples_find_what_they_refer_to() {
        let mut queue = Queue::start(recorder(), |_| {}).expect("a thread");
        begin(&mut queue);
        for number in 0..2_000 {
            queue.tell(0, thread(number.into()));
            queue.push(sample(number));
            queue.thread.unpark();
        }
        let profile = queue.finish().into_profile().0;
        let ids: Vec<_> =
            profile.samples().iter().map(|run| profile.threads[run.sample.thread].python_id).collect();
        assert_eq!(ids, (0..2_000).map(Some).collect::<Vec<_>>());
    }

    #[test]
    fn samples_of_one_python_are_not_taken_for_those_of_the_next() {
        let (mut queue, said, let_go) = start();
        said.recv().expect("it has begun");
        let mut told = begin(&mut queue);
        for python_id in [1, 2, 3] {
            queue.tell(0, thread(python_id));
            queue.push(sample(0));
            queue.renew(&mut told);
        }
        drop(let_go);
        let recorder = queue.finish();
        assert_eq!(recorder.samples(), 3);
        let profile = recorder.into_profile().0;
        let ids: Vec<_> =
            profile.samples().iter().map(|run| profile.threads[run.sample.thread].python_id).collect();
        assert_eq!(ids, [Some(1), Some(2), Some(3)]);
    }
}
