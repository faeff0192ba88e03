//! From the sampling thread to the recording thread.
//!
//! Samples go through a ring of fixed size, which neither side ever waits for: what does not fit
//! is counted and dropped. What samples refer to (threads, code, stacks) goes ahead of them by a
//! channel, once each.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle, Thread};
use std::time::Duration;

use rspy_cpython::code::CodeInfo;
use rspy_cpython::sampling::Node;
use rspy_profile::LostReason;
use rtrb::{Consumer, Producer, RingBuffer};

use crate::recorder::Recorder;
use crate::sampler::{Sampler, Taken};

/// How many samples fit.
const CAPACITY: usize = 1 << 15;
/// How often the recording thread looks by itself.
const LOOK: Duration = Duration::from_millis(100);

/// What a recording learns before samples that refer to it.
pub enum News {
    /// The next thread.
    Thread {
        /// Its number.
        number: u32,
        /// The kernel's id.
        os_id: Option<u32>,
        /// What `threading.get_ident()` returns.
        python_id: u64,
    },
    /// The next code object.
    Code(Arc<CodeInfo>),
    /// The next stack.
    Node(Node),
    /// Names of threads by `threading.get_ident()`.
    Names(HashMap<u64, String>),
    /// Samples that could not be taken.
    Lost(LostReason, u64),
    /// The process runs another Python now: all numbers begin anew.
    Renewed,
}

/// The sampling thread's end.
pub struct Queue {
    samples: Producer<Taken>,
    news: Sender<News>,
    recording: JoinHandle<Recorder>,
    thread: Thread,
    nodes: usize,
    codes: usize,
    threads: u32,
    dropped: u64,
}

impl Queue {
    /// Starts the recording thread. `show` is called by it now and then.
    pub fn start(
        recorder: Recorder,
        show: impl Fn(&Recorder) + Send + 'static,
    ) -> std::io::Result<Queue> {
        let (samples, consumer) = RingBuffer::new(CAPACITY);
        let (news, learned) = channel();
        let recording = thread::Builder::new()
            .name("rspy-record".to_owned())
            .spawn(move || record(consumer, &learned, recorder, show))?;
        let thread = recording.thread().clone();
        Ok(Queue { samples, news, recording, thread, nodes: 0, codes: 0, threads: 0, dropped: 0 })
    }

    /// Tells what the samples of `sampler` refer to that was not told yet. Before them.
    pub fn introduce(&mut self, sampler: &Sampler) {
        if sampler.threads_met() != self.threads {
            for (number, os_id, python_id) in sampler.threads() {
                if number >= self.threads {
                    self.tell(News::Thread { number, os_id, python_id });
                }
            }
            self.threads = sampler.threads_met();
        }
        let nodes = sampler.nodes_since(self.nodes);
        if nodes.is_empty() {
            return;
        }
        let mut codes = 0;
        for code in sampler.codes_since(self.codes) {
            self.tell(News::Code(code.clone()));
            codes += 1;
        }
        self.codes += codes;
        for node in nodes {
            self.tell(News::Node(node.clone()));
        }
        self.nodes += nodes.len();
    }

    /// Tells something.
    pub fn tell(&self, news: News) {
        // Nobody listens once the recording thread has failed, which shows at the end.
        let _ = self.news.send(news);
    }

    /// Samples of another Python follow.
    pub fn renew(&mut self) {
        self.tell(News::Renewed);
        (self.nodes, self.codes, self.threads) = (0, 0, 0);
    }

    /// Adds a sample.
    pub fn push(&mut self, taken: Taken) {
        self.dropped += u64::from(self.samples.push(taken).is_err());
    }

    /// Has the recording thread look if there is much to do.
    pub fn nudge(&self) {
        if self.samples.slots() < CAPACITY / 2 {
            self.thread.unpark();
        }
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
    news: &Receiver<News>,
    mut recorder: Recorder,
    show: impl Fn(&Recorder),
) -> Recorder {
    loop {
        // In this order: there may be more when the ring is looked at, but nothing then comes after.
        let is_over = samples.is_abandoned();
        let count = samples.slots();
        // What those samples refer to was told before they were pushed.
        for news in news.try_iter() {
            recorder.learn(news);
        }
        if let Ok(chunk) = samples.read_chunk(count) {
            chunk.into_iter().for_each(|taken| recorder.add(&taken));
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
