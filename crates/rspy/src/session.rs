//! One recording, from its first sample to its last: the loop that wakes when a sample is due, and
//! takes one of each process.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rspy_cpython::sampling::Work;
use rspy_process::stop::StopStats;
use rspy_process::{Process, Usage};
use rspy_profile::LostReason;

use crate::accountant::Accountant;
use crate::clock::{Clock, Rate};
use crate::failure::{Failure, refused_stops};
use crate::launch::{Launched, serve};
use crate::queue::{News, Queue};
use crate::recorder::Recorder;
use crate::sampler::{TURN, Wanted};
use crate::signals::Signals;
use crate::stats::Counts;
use crate::subject::{Ended, Subject};
use crate::target::{Pausing, Target};
use crate::tree::{Event, Finder, allow_open_files};
use crate::turns::{Limits, Turns};
use crate::wait::{Pacer, Woken, exit_of};

/// How often it is looked whether a thread that is late to stop has stopped: it stands still then.
const LATE: Duration = Duration::from_micros(200);

/// Of how many sleeping processes each is looked at: half a dozen system calls for one of a few threads.
const LIMITS: Limits = Limits { few: 16, cost: 8e-6, share: 0.03, most_seldom: 32, longest: TURN };

/// Why sampling ended.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// The time is over.
    Elapsed,
    /// The process ended, and with it all that are recorded.
    Exited,
    /// Somebody had it end.
    Interrupted,
    /// The recording takes no more: there is no room, or it cannot be written.
    Full,
}

/// How to sample.
#[derive(Clone, Debug)]
pub struct Plan {
    /// How often.
    pub rate: Rate,
    /// How long; `None` is until told otherwise.
    pub limit: Option<Duration>,
    /// What of.
    pub wanted: Wanted,
    /// The process whose descendants are recorded as well, and itself; `None` to record one only.
    pub tree: Option<u32>,
    /// What somebody who looks on shares with the sampling, if there is one.
    pub live: Option<Arc<Live>>,
}

/// What one who looks on while it is sampled shares with the sampling.
#[derive(Debug)]
pub struct Live {
    /// The rate in hertz, as the bits of an `f64`; 0 for as often as can be.
    rate: AtomicU64,
    /// How often it was looked at all threads.
    passes: AtomicU64,
}

impl Live {
    /// Sampling begins at `rate`.
    pub fn new(rate: Rate) -> Live {
        Live { rate: AtomicU64::new(rate.hertz().to_bits()), passes: AtomicU64::new(0) }
    }

    /// How often is sampled now.
    pub fn rate(&self) -> Rate {
        match f64::from_bits(self.rate.load(Ordering::Relaxed)) {
            0.0 => Rate::Max,
            rate => Rate::Hz(rate),
        }
    }

    /// Has the rate changed.
    pub fn set_rate(&self, rate: Rate) {
        self.rate.store(rate.hertz().to_bits(), Ordering::Relaxed);
    }

    /// How often it was looked so far.
    pub fn passes(&self) -> u64 {
        self.passes.load(Ordering::Relaxed)
    }
}

/// What a recording came to, beside what was recorded.
#[derive(Copy, Clone, Debug)]
pub struct Summary {
    /// Why it ended.
    pub end: End,
    /// How long it was.
    pub duration: Duration,
    /// Ticks that passed without a sample.
    pub missed: u64,
    /// What the processes' figures come to.
    pub sums: Sums,
}

/// What was sampled.
pub struct Sampled {
    /// It has all samples.
    pub recorder: Recorder,
    /// What they came to.
    pub summary: Summary,
    /// What to tell of processes that could not be stopped, and were read nevertheless.
    pub refused: Vec<Failure>,
}

/// What is counted of each process, added up.
#[derive(Copy, Clone, Debug, Default)]
pub struct Sums {
    /// What the stops amount to.
    pub stops: StopStats,
    /// How often stopping was suspended because a stop took long.
    pub suspensions: u64,
    /// What was counted.
    pub counts: Counts,
    /// What reading took.
    pub usage: Usage,
    /// How the samples came about.
    pub work: Work,
}

/// The processes that are recorded.
struct Subjects<'p> {
    plan: &'p Plan,
    start: Instant,
    seed: u64,
    subjects: Vec<Subject>,
    /// The number of each process that was met, by its id: the latest that had it.
    numbers: HashMap<u32, u32>,
    sums: Sums,
    /// Which of those that sleep are looked at, where only sums of samples matter.
    turns: Turns,
    /// Who looks at their memory now and then, if that is wanted.
    accountant: Option<Accountant>,
    /// What to tell of processes that could not be stopped.
    refused: Vec<Failure>,
}

impl Subjects<'_> {
    /// Begins to sample `target`, below the process with id `parent`.
    fn add(&mut self, target: Target, parent: Option<u32>, queue: &mut Queue) {
        // For the recording thread, which looks for files by itself.
        let Ok(process) = Process::open(target.process.pid()) else { return };
        let parent = parent.and_then(|pid| self.numbers.get(&pid).copied());
        let pid = process.pid();
        let told = queue.begin(process, parent);
        self.numbers.insert(pid, told.process);
        if let Some(accountant) = &self.accountant {
            accountant.add(told.process, pid, target.attached.clone());
        }
        self.seed = self.seed.rotate_left(7).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut subject =
            Subject::new(target, &self.plan.wanted, told, self.plan.tree.is_some(), (self.start, self.seed));
        subject.look(queue, Instant::now());
        self.subjects.push(subject);
    }

    /// Tells that process `parent`, which was found after `children`, is the one above them.
    fn put_below(&self, children: &[u32], parent: u32, queue: &Queue) {
        let Some(parent) = self.numbers.get(&parent) else { return };
        for child in children.iter().filter_map(|child| self.numbers.get(child)) {
            queue.tell(*child, News::Below(*parent));
        }
    }

    /// Takes a sample of each; forgets those that have ended. Answers when it was over.
    fn sample(&mut self, mut now: Instant, queue: &mut Queue, finder: Option<&Finder>) -> Instant {
        self.turns.begin(now);
        let asleep = match self.plan.wanted.sums {
            true => self.subjects.iter().filter(|subject| subject.sampler.sleeps()).count(),
            false => 0,
        };
        let seldom = self.turns.seldom(asleep);
        let mut index = 0;
        while let Some(subject) = self.subjects.get_mut(index) {
            let passes = if seldom > 1 && subject.sampler.sleeps() { seldom } else { 1 };
            if self.turns.passes_over(passes) {
                index += 1;
                continue;
            }
            match subject.sample(now, passes, queue) {
                Ok(end) => {
                    now = end;
                    if self.plan.live.is_some() {
                        subject.tell_so_far(queue, now);
                    }
                    index += 1;
                }
                Err(ended) => {
                    let subject = self.subjects.remove(index);
                    if let (Ended::Replaced, Some(finder)) = (ended, finder) {
                        finder.look_again(subject.pid());
                    }
                    self.finish(subject, queue);
                }
            }
        }
        now
    }

    fn finish(&mut self, mut subject: Subject, queue: &mut Queue) {
        subject.finish(queue);
        let Sums { stops, suspensions, counts, usage, work } = &mut self.sums;
        let sampler = &subject.sampler;
        stops.add(&sampler.stops());
        self.refused.extend(refused_stops(sampler.process.pid(), &sampler.stops()));
        *suspensions += sampler.suspensions();
        counts.add(&sampler.counts);
        let (used, worked) = (sampler.usage(), sampler.work());
        usage.calls += used.calls;
        usage.bytes += used.bytes;
        work.kept += worked.kept;
        work.decoded += worked.decoded;
        work.surprises += worked.surprises;
        work.unknown += worked.unknown;
    }

    /// Reads that were interrupted so far, whose samples count as missed.
    fn preempted(&self) -> u64 {
        let running = self.subjects.iter().map(|subject| subject.sampler.counts.preempted);
        self.sums.counts.preempted + running.sum::<u64>()
    }

    /// Lets go of threads that stopped late. Answers whether there are some that still have not.
    fn serve_late(&mut self) -> bool {
        let late = self.subjects.iter_mut().filter_map(|subject| subject.sampler.serve_late().then_some(()));
        late.count() > 0
    }
}

/// Samples `target` into `recorder`. `show` is called now and then, by another thread; `warn` with what
/// kept a process below it from being recorded.
pub fn sample(
    plan: &Plan,
    target: Target,
    recorder: Recorder,
    launched: Option<&Launched>,
    signals: &mut Signals,
    show: impl Fn(Duration, &Recorder) + Send + 'static,
    warn: impl Fn(Failure),
) -> io::Result<Sampled> {
    // Each thread takes some files; a program that was started has its own limit by now.
    allow_open_files();
    let pid = target.process.pid();
    let mut pacer = Pacer::new(plan.rate, exit_of(pid));
    // The kernel ends a wait up to 50 µs late unless told otherwise; a kernel that
    // does not know better is as precise as it is.
    let _ = nix::sys::prctl::set_timerslack(1);
    let start = Instant::now();
    let seed = SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |now| now.as_nanos() as u64);
    let mut clock = Clock::new(start, plan.rate, seed);
    let mut queue = Queue::start(recorder, move |recorder| show(start.elapsed(), recorder))?;
    let finder = match plan.tree {
        Some(root) => Some(Finder::start(root, [&target])?),
        None => None,
    };
    let seed = seed.rotate_left(32);
    let accountant = match plan.wanted.memory {
        true => Some(Accountant::start(queue.teller(), start)?),
        false => None,
    };
    let mut family = Subjects {
        plan,
        start,
        seed,
        subjects: Vec::new(),
        numbers: HashMap::new(),
        sums: Sums::default(),
        turns: Turns::new(LIMITS, seed.rotate_left(16)),
        accountant,
        refused: Vec::new(),
    };
    family.add(target, None, &mut queue);
    // One too far away to be counted is none.
    let limit = plan.limit.and_then(|limit| start.checked_add(limit));
    let mut missed = 0;
    let mut is_over = false;
    // Asking for the time costs as much as some frames: it is asked for once a sample.
    let mut now = start;
    let mut rate = plan.rate;
    let end = 'samples: loop {
        if let Some(live) = &plan.live
            && live.rate() != rate
        {
            rate = live.rate();
            clock.change(now, rate);
            pacer.change(rate);
        }
        let tick = clock.next(now);
        let until = limit.map_or(tick.due, |limit| limit.min(tick.due));
        loop {
            let is_late = family.serve_late();
            let next = if is_late { until.min(Instant::now() + LATE) } else { until };
            match pacer.wait(next, &mut now, signals) {
                Woken::Due if next < until => {}
                Woken::Due => break,
                Woken::Exited if plan.tree.is_some() => {
                    // Those that it has started may go on.
                    pacer.forget_exit();
                }
                Woken::Exited => break 'samples End::Exited,
                Woken::Signalled if serve(signals, launched, || queue.flush()) => {
                    break 'samples End::Interrupted;
                }
                Woken::Signalled => {}
            }
        }
        if limit.is_some_and(|limit| limit <= tick.due) {
            break End::Elapsed;
        }
        if queue.is_full() {
            break End::Full;
        }
        missed += tick.missed;
        if plan.wanted.pausing == Pausing::Always && family.serve_late() {
            missed += 1;
            continue;
        }
        for event in finder.iter().flat_map(Finder::events) {
            match event {
                Event::Found(found) => {
                    let (pid, parent) = (found.process.pid(), found.parent);
                    let children = found.children.clone();
                    family.add(found.into_target(plan.wanted.pausing), Some(parent), &mut queue);
                    family.put_below(&children, pid, &queue);
                }
                Event::Failed { failure, .. } => warn(failure),
                Event::Over => is_over = true,
            }
        }
        now = family.sample(now, &mut queue, finder.as_ref());
        if let Some(live) = &plan.live {
            live.passes.fetch_add(1, Ordering::Relaxed);
        }
        queue.miss(missed + family.preempted());
        if family.subjects.is_empty() && (finder.is_none() || is_over) {
            break End::Exited;
        }
    };
    drop(finder);
    if let Some(accountant) = family.accountant.take() {
        accountant.finish();
    }
    for subject in std::mem::take(&mut family.subjects) {
        family.finish(subject, &mut queue);
    }
    let dropped = queue.dropped();
    if dropped > 0 {
        queue.tell(0, News::Lost(LostReason::Dropped, dropped));
    }
    let sums = family.sums;
    let summary = Summary { end, duration: start.elapsed(), missed: missed + sums.counts.preempted, sums };
    let recorder = queue.finish();
    tracing::info!(?summary, samples = recorder.samples(), "sampling ended");
    Ok(Sampled { recorder, summary, refused: family.refused })
}
