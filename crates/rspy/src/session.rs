//! One recording, from its first sample to its last: the loop that wakes when a sample is due.

use std::io;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rspy_cpython::sampling::Work;
use rspy_process::stop::StopStats;
use rspy_process::{ReadError, Usage};
use rspy_profile::LostReason;

use crate::attach::Search;
use crate::clock::{Clock, Rate};
use crate::launch::{Launched, serve};
use crate::queue::{News, Queue};
use crate::recorder::{Recorder, lost_reason};
use crate::sampler::{Sampler, Wanted};
use crate::signals::Signals;
use crate::stats::Counts;
use crate::target::{Pausing, Target};
use crate::wait::{Pacer, Woken, exit_of};

/// How soon names of threads are looked for, and how often at most where nothing is new: a
/// thread may name itself late, or end before the recording does.
const NAME_AGAIN: Duration = Duration::from_millis(250);
const NAME_SELDOM: Duration = Duration::from_secs(8);
/// How often it is looked whether a thread that is late to stop has stopped: it stands still then.
const LATE: Duration = Duration::from_micros(200);

/// Why sampling ended.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// The time is over.
    Elapsed,
    /// The process ended.
    Exited,
    /// Somebody had it end.
    Interrupted,
}

/// How to sample.
#[derive(Copy, Clone, Debug)]
pub struct Plan {
    /// How often.
    pub rate: Rate,
    /// How long; `None` is until told otherwise.
    pub limit: Option<Duration>,
    /// What of.
    pub wanted: Wanted,
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

/// Samples `target` into `recorder`. `show` is called now and then, by another thread.
pub fn sample(
    plan: &Plan,
    target: Target,
    recorder: Recorder,
    launched: Option<&Launched>,
    signals: &mut Signals,
    show: impl Fn(Duration, &Recorder) + Send + 'static,
) -> io::Result<(Recorder, Summary)> {
    let pid = target.process.pid();
    let mut pacer = Pacer::new(plan.rate, exit_of(pid));
    // The kernel ends a wait up to 50 µs late unless told otherwise; a kernel that
    // does not know better is as precise as it is.
    let _ = nix::sys::prctl::set_timerslack(1);
    let start = Instant::now();
    let seed = SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |now| now.as_nanos() as u64);
    let mut clock = Clock::new(start, plan.rate, seed);
    let mut sampler = Sampler::new(target, plan.wanted, start, seed.rotate_left(32));
    let mut queue = Queue::start(recorder, move |recorder| show(start.elapsed(), recorder))?;
    // One too far away to be counted is none.
    let limit = plan.limit.and_then(|limit| start.checked_add(limit));
    // It may replace itself (`exec`) by another Python.
    let mut search = Search::new(pid, plan.wanted.pausing);
    let mut names = Names::new(start);
    let mut missed = 0;
    // Asking for the time costs as much as some frames: it is asked for once a sample.
    let mut now = start;
    let end = 'samples: loop {
        let tick = clock.next(now);
        let until = limit.map_or(tick.due, |limit| limit.min(tick.due));
        loop {
            let is_late = sampler.serve_late();
            let next = if is_late { until.min(Instant::now() + LATE) } else { until };
            match pacer.wait(next, &mut now, signals) {
                Woken::Due if next < until => {}
                Woken::Due => break,
                Woken::Exited => break 'samples End::Exited,
                Woken::Signalled if serve(signals, launched) => break 'samples End::Interrupted,
                Woken::Signalled => {}
            }
        }
        if limit.is_some_and(|limit| limit <= tick.due) {
            break End::Elapsed;
        }
        missed += tick.missed;
        if plan.wanted.pausing == Pausing::Always && sampler.serve_late() {
            missed += 1;
            continue;
        }
        match sampler.sample(now) {
            Ok(end) => {
                now = end;
                settle(&mut sampler, &mut queue, now, false);
            }
            // An exiting process loses its memory a little before it counts as exited.
            Err(ReadError::Gone) => break End::Exited,
            Err(error) => {
                if !sampler.process.is_same() {
                    break End::Exited;
                }
                queue.tell(News::Lost(lost_reason(error), 1));
                if let Some(Ok(found)) = search.attempt() {
                    tracing::info!(pid, version = %found.attached.version(), "found its Python again");
                    settle(&mut sampler, &mut queue, now, true);
                    sampler.renew(found);
                    queue.renew();
                }
            }
        }
        names.look(&sampler, &queue, now);
    };
    settle(&mut sampler, &mut queue, Instant::now(), true);
    queue.tell(News::Names(sampler.attached.thread_names(sampler.process.memory())));
    let dropped = queue.dropped();
    if dropped > 0 {
        queue.tell(News::Lost(LostReason::Dropped, dropped));
    }
    let summary = Summary {
        end,
        duration: start.elapsed(),
        missed: missed + sampler.counts.preempted,
        stops: sampler.stops(),
        suspensions: sampler.suspensions(),
        counts: sampler.counts,
        usage: sampler.usage(),
        work: sampler.work(),
    };
    // Not the recording's, which is in no hurry any more.
    drop(sampler);
    let recorder = queue.finish();
    tracing::info!(?summary, samples = recorder.samples(), "sampling ended");
    Ok((recorder, summary))
}

/// Hands on the samples that need not wait any longer.
fn settle(sampler: &mut Sampler, queue: &mut Queue, now: Instant, force: bool) {
    if !sampler.is_due(now) && !force {
        return;
    }
    queue.introduce(sampler);
    let mut doubtful = 0;
    sampler.settle(now, |taken, is_sound| match is_sound {
        true => queue.push(*taken),
        false => doubtful += 1,
    });
    if doubtful > 0 {
        queue.tell(News::Lost(LostReason::Inconsistent, doubtful));
    }
    queue.nudge();
}

/// When names of threads are looked for.
struct Names {
    next: Instant,
    pause: Duration,
    known: usize,
}

impl Names {
    fn new(start: Instant) -> Names {
        Names { next: start + NAME_AGAIN, pause: NAME_AGAIN, known: 0 }
    }

    fn look(&mut self, sampler: &Sampler, queue: &Queue, now: Instant) {
        let met = sampler.threads_met();
        if met != self.known && self.pause > NAME_AGAIN {
            self.pause = NAME_AGAIN;
            self.next = self.next.min(now + NAME_AGAIN);
        }
        if now < self.next {
            return;
        }
        self.known = met;
        queue.tell(News::Names(sampler.attached.thread_names(sampler.process.memory())));
        self.next = now + self.pause;
        self.pause = (self.pause * 2).min(NAME_SELDOM);
    }
}
