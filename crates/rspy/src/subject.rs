//! One process that is recorded: its sampler, and what has been told of it.

use std::time::{Duration, Instant};

use nix::sys::time::TimeSpec;
use nix::time::{ClockId, clock_getcpuclockid, clock_gettime};
use nix::unistd::Pid;
use rspy_process::{Process, ReadError, Statm};
use rspy_profile::LostReason;

use crate::attach::Search;
use crate::figures::{ProcessCounted, Span};
use crate::queue::{News, Queue, Told};
use crate::recorder::lost_reason;
use crate::sampler::{Sampler, Wanted};
use crate::target::Target;

/// How soon names of threads are looked for, and how often at most where nothing is new: a
/// thread may name itself late, or end before the recording does.
const LOOK_AGAIN: Duration = Duration::from_millis(250);
/// How many times as long as a look took there is none, at least.
const REST: u32 = 100;
/// How soon where it depends on their names which threads are recorded.
const NAMES: Duration = Duration::from_millis(20);
const LOOK_SELDOM: Duration = Duration::from_secs(8);

/// How often at most its time on CPUs is asked for, and its memory: of a process that has ended nothing is known but
/// what was asked before.
const CPU: Duration = Duration::from_millis(20);
const MEMORY: Duration = Duration::from_secs(1);
/// How often at most the kernel is asked for the most memory that it ever had, where that changes.
const MOST: Duration = Duration::from_millis(10);
/// How much memory that was given back may have been more before, unseen, in bytes.
const RELEASED: u64 = 1 << 20;
/// How often it is told what was counted, where somebody looks on.
const LIVE: Duration = Duration::from_millis(250);

/// A process that is recorded.
pub struct Subject {
    /// What samples it.
    pub sampler: Sampler,
    /// What was told of it.
    pub told: Told,
    /// Whether somebody else looks for what it runs if it replaces itself.
    is_in_tree: bool,
    search: Search,
    span: Span,
    max_rss: Option<u64>,
    resident: Option<Resident>,
    cpu_clock: Option<ClockId>,
    /// When its time on CPUs and its memory are asked for next.
    next_cpu: Instant,
    next_memory: Instant,
    next_live: Instant,
    looks: Looks,
}

/// What is asked with every sample where memory is recorded.
struct Resident {
    statm: Statm,
    begun: Instant,
    /// What was told of it last, in bytes.
    told: u64,
    /// The most that there ever was, as the kernel said when it was asked last.
    most: u64,
    asked: Instant,
}

impl Resident {
    /// What there is now; and before it what there was at most since it was asked last, if that was given back unseen.
    fn changes(&mut self, process: &Process, now: Instant) -> [Option<u64>; 2] {
        let Some(bytes) = self.statm.resident() else { return [None, None] };
        let has_changed = bytes != self.told;
        let is_released = self.told.saturating_sub(bytes) >= RELEASED;
        let mut unseen = None;
        // What was unseen longer ago than that is not taken for what was given back now.
        if is_released
            || now.saturating_duration_since(self.asked) >= if has_changed { MOST } else { 10 * MOST }
        {
            self.asked = now;
            let most = process.max_rss().unwrap_or(0);
            unseen = Some(most).filter(|most| is_released && *most > self.most.max(self.told));
            self.most = self.most.max(most);
        }
        self.told = bytes;
        [unseen, Some(bytes).filter(|_| has_changed)]
    }
}

/// Why a process cannot be sampled any more.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It is gone.
    Gone,
    /// It may run another program.
    Replaced,
}

/// When names of threads are looked for, and memory.
struct Looks {
    /// What the last one took.
    cost: Duration,
    last: Instant,
    next: Instant,
    pause: Duration,
    known: usize,
}

impl Subject {
    /// Samples `target` from now on, into a recording that was `begun` some time ago.
    /// `is_in_tree`: somebody else looks for what it runs if it replaces itself.
    pub fn new(
        target: Target,
        wanted: &Wanted,
        told: Told,
        is_in_tree: bool,
        (begun, seed): (Instant, u64),
    ) -> Subject {
        let pid = target.process.pid();
        let most = target.process.max_rss().unwrap_or(u64::MAX);
        let now = Instant::now();
        let cpu_clock = cpu_clock_of(pid);
        let statm = wanted.memory.then(|| Statm::open(pid).ok()).flatten();
        Subject {
            // It may replace itself (`exec`) by another Python.
            search: Search::new(pid, wanted.pausing),
            sampler: Sampler::new(target, told.process, wanted.clone(), begun, seed),
            told,
            is_in_tree,
            span: Span::new(now, cpu_clock.and_then(time_of)),
            max_rss: None,
            resident: statm.map(|statm| Resident { statm, begun, told: 0, most, asked: now }),
            cpu_clock,
            next_cpu: now + CPU,
            next_memory: now + MEMORY,
            next_live: now,
            looks: Looks {
                cost: Duration::ZERO,
                last: now,
                next: now + LOOK_AGAIN,
                pause: LOOK_AGAIN,
                known: 0,
            },
        }
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.sampler.process.pid()
    }

    /// Takes a sample at `now`, which stands for so many `passes`. Answers about what time it is then.
    pub fn sample(&mut self, now: Instant, passes: u32, queue: &mut Queue) -> Result<Instant, Ended> {
        let mut end = now;
        self.sampler.passes = passes;
        match self.sampler.sample(now) {
            Ok(over) => {
                end = over;
                self.tell_memory(queue, now);
                self.settle(queue, end, false);
                self.measure(end);
            }
            // An exiting process loses its memory a little before it counts as exited.
            Err(ReadError::Gone) => return Err(Ended::Gone),
            Err(error) => {
                if !self.sampler.process.is_same() {
                    return Err(Ended::Gone);
                }
                // A fork that had become another program before it was looked at has lost nothing.
                if !self.is_in_tree || self.sampler.threads_met() > 0 {
                    queue.tell(self.told.process, News::Lost(lost_reason(error), 1));
                }
                if self.is_in_tree {
                    return Err(Ended::Replaced);
                }
                if let Some(Ok(found)) = self.search.attempt() {
                    let pid = self.pid();
                    tracing::info!(pid, version = %found.attached.version(), "found its Python again");
                    self.settle(queue, now, true);
                    self.tell_figures(queue);
                    self.sampler.renew(found);
                    queue.renew(&mut self.told);
                }
            }
        }
        self.look_again(queue, end);
        Ok(end)
    }

    /// Tells all that there is to tell. It may have ended.
    pub fn finish(&mut self, queue: &mut Queue) {
        self.settle(queue, Instant::now(), true);
        self.look(queue, Instant::now());
        self.tell_figures(queue);
    }

    /// Looks for names of threads and at its memory, as far as it is there still.
    pub fn look(&mut self, queue: &Queue, now: Instant) {
        let begun = Instant::now();
        let Sampler { attached, process, .. } = &self.sampler;
        let names = attached.thread_names(process.memory());
        self.sampler.learn_names(&names);
        queue.tell(self.told.process, News::Names(names));
        self.span.extend(now, self.cpu_clock.and_then(time_of));
        self.max_rss = self.sampler.process.max_rss().max(self.max_rss);
        self.looks.cost = begun.elapsed();
    }

    /// Asks for its time on CPUs and its memory, if it is time to.
    fn measure(&mut self, now: Instant) {
        if now >= self.next_cpu {
            self.next_cpu = now + CPU;
            self.span.extend(now, self.cpu_clock.and_then(time_of));
        }
        if now >= self.next_memory {
            self.next_memory = now + MEMORY;
            self.max_rss = self.sampler.process.max_rss().max(self.max_rss);
        }
    }

    /// Tells what memory it has since the sample of `now` was taken, if that is recorded and has changed.
    fn tell_memory(&mut self, queue: &Queue, now: Instant) {
        let Some(resident) = &mut self.resident else { return };
        let at = now.saturating_duration_since(resident.begun).as_nanos() as u64;
        for bytes in resident.changes(&self.sampler.process, now).into_iter().flatten() {
            queue.tell(self.told.process, News::Memory { at, resident: bytes });
        }
    }

    fn tell_figures(&mut self, queue: &mut Queue) {
        queue.introduce(&mut self.told, &self.sampler);
        queue.tell(self.told.process, News::Threads(self.sampler.counted()));
        queue.tell(self.told.process, News::Counted(self.counted()));
    }

    /// Tells what was counted so far, if it is time to.
    pub fn tell_so_far(&mut self, queue: &mut Queue, now: Instant) {
        if now >= self.next_live {
            self.next_live = now + LIVE;
            queue.introduce(&mut self.told, &self.sampler);
            queue.tell(self.told.process, News::SoFar(self.sampler.counted(), self.counted()));
        }
    }

    fn counted(&self) -> ProcessCounted {
        ProcessCounted { seen: self.span.seen(), cpu: self.span.cpu(), max_rss: self.max_rss }
    }

    /// Hands on the samples that need not wait any longer.
    fn settle(&mut self, queue: &mut Queue, now: Instant, force: bool) {
        if !self.sampler.is_due(now) && !force {
            return;
        }
        if force {
            self.sampler.gather();
        }
        queue.introduce(&mut self.told, &self.sampler);
        let mut doubtful = 0;
        self.sampler.settle(now, |taken, is_sound| match is_sound {
            true => queue.push(*taken),
            false => doubtful += 1,
        });
        if doubtful > 0 {
            queue.tell(self.told.process, News::Lost(LostReason::Inconsistent, doubtful));
        }
        queue.nudge();
    }

    fn look_again(&mut self, queue: &Queue, now: Instant) {
        let met = self.sampler.threads_met();
        let looks = &mut self.looks;
        // Thousands of threads have thousands of names.
        let rest = looks.cost * REST;
        let again = LOOK_AGAIN.max(rest);
        if met != looks.known && looks.pause > again {
            looks.pause = again;
            looks.next = looks.next.min(now + again);
        }
        let waits_for_names =
            self.sampler.waits_for_names() && now.saturating_duration_since(looks.last) >= NAMES.max(rest);
        if now < looks.next && !waits_for_names {
            return;
        }
        looks.known = met;
        looks.last = now;
        looks.next = now + looks.pause;
        looks.pause = (looks.pause * 4).min(LOOK_SELDOM).max(rest);
        self.look(queue, now);
    }
}

/// The clock of the time that all threads of process `pid` spend on CPUs; `None` if it is gone.
fn cpu_clock_of(pid: u32) -> Option<ClockId> {
    clock_getcpuclockid(Pid::from_raw(i32::try_from(pid).ok()?)).ok()
}

/// What it shows; `None` if its process is gone.
fn time_of(clock: ClockId) -> Option<Duration> {
    clock_gettime(clock).ok().map(|time: TimeSpec| time.into())
}
