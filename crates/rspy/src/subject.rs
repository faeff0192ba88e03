//! One process that is recorded: its sampler, and what has been told of it.

use std::time::{Duration, Instant};

use nix::sys::time::TimeSpec;
use nix::time::{clock_getcpuclockid, clock_gettime};
use nix::unistd::Pid;
use rspy_process::ReadError;
use rspy_profile::LostReason;

use crate::attach::Search;
use crate::figures::Span;
use crate::queue::{News, Queue, Told};
use crate::recorder::lost_reason;
use crate::sampler::{Sampler, Wanted};
use crate::target::Target;

/// How soon names of threads are looked for, and how often at most where nothing is new: a
/// thread may name itself late, or end before the recording does.
const LOOK_AGAIN: Duration = Duration::from_millis(250);
const LOOK_SELDOM: Duration = Duration::from_secs(8);

/// A process that is recorded.
pub struct Subject {
    /// What samples it.
    pub sampler: Sampler,
    /// What was told of it.
    pub told: Told,
    search: Search,
    span: Span,
    max_rss: Option<u64>,
    looks: Looks,
}

/// The process has ended.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Ended;

/// When names of threads are looked for, and memory.
struct Looks {
    next: Instant,
    pause: Duration,
    known: usize,
}

impl Subject {
    /// Samples `target` from now on, into a recording that was `begun` some time ago.
    pub fn new(target: Target, wanted: &Wanted, told: Told, begun: Instant, seed: u64) -> Subject {
        let pid = target.process.pid();
        let now = Instant::now();
        Subject {
            // It may replace itself (`exec`) by another Python.
            search: Search::new(pid, wanted.pausing),
            sampler: Sampler::new(target, told.process, wanted.clone(), begun, seed),
            told,
            span: Span::new(now, cpu_time(pid)),
            max_rss: None,
            looks: Looks { next: now + LOOK_AGAIN, pause: LOOK_AGAIN, known: 0 },
        }
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.sampler.process.pid()
    }

    /// Takes a sample at `now`. Answers about what time it is then.
    pub fn sample(&mut self, now: Instant, queue: &mut Queue) -> Result<Instant, Ended> {
        let mut end = now;
        match self.sampler.sample(now) {
            Ok(over) => {
                end = over;
                self.settle(queue, end, false);
            }
            // An exiting process loses its memory a little before it counts as exited.
            Err(ReadError::Gone) => return Err(Ended),
            Err(error) => {
                if !self.sampler.process.is_same() {
                    return Err(Ended);
                }
                queue.tell(self.told.process, News::Lost(lost_reason(error), 1));
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
        let Sampler { attached, process, .. } = &self.sampler;
        queue.tell(self.told.process, News::Names(attached.thread_names(process.memory())));
        self.span.extend(now, cpu_time(process.pid()));
        self.max_rss = process.max_rss().max(self.max_rss);
    }

    fn tell_figures(&mut self, queue: &mut Queue) {
        queue.introduce(&mut self.told, &self.sampler);
        let news = News::Figures {
            seen: self.span.seen(),
            cpu: self.span.cpu(),
            max_rss: self.max_rss,
            threads: self.sampler.counted(),
        };
        queue.tell(self.told.process, news);
    }

    /// Hands on the samples that need not wait any longer.
    fn settle(&mut self, queue: &mut Queue, now: Instant, force: bool) {
        if !self.sampler.is_due(now) && !force {
            return;
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
        if met != looks.known && looks.pause > LOOK_AGAIN {
            looks.pause = LOOK_AGAIN;
            looks.next = looks.next.min(now + LOOK_AGAIN);
        }
        if now < looks.next {
            return;
        }
        looks.known = met;
        looks.next = now + looks.pause;
        looks.pause = (looks.pause * 2).min(LOOK_SELDOM);
        self.look(queue, now);
    }
}

/// The time that all threads of process `pid` have spent on a CPU; `None` if it is gone.
fn cpu_time(pid: u32) -> Option<Duration> {
    let clock = clock_getcpuclockid(Pid::from_raw(i32::try_from(pid).ok()?)).ok()?;
    clock_gettime(clock).ok().map(|time: TimeSpec| time.into())
}
