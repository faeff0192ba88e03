//! Samples of all threads of a process, as cheap and as true as can be.
//!
//! A sample is a pass over the threads: who may be running (`roster`), whether this one is taken
//! with a stop (`budget`), one read for all of them, and what it shows
//! (`rspy_cpython::sampling`). Nothing is taken again because of what it showed, but for
//! two instants that a stop can land in: the GIL changed hands meanwhile, so that the wrong
//! thread stands; or the frames form no chain. Those are passed by letting go and stopping
//! once more, a few microseconds later.

mod collect;
mod naps;

use std::collections::HashMap;
use std::time::{Duration, Instant};

use rspy_cpython::Attached;
use rspy_cpython::activity::WordsAsked;
use rspy_cpython::code::CodeInfo;
use rspy_cpython::frames::ChainEnd;
use rspy_cpython::interpreter::GilState;
use rspy_cpython::layout::Frames;
use rspy_cpython::layout::Layout;
use rspy_cpython::sampling::{Asked, Heads, HeadsAsked, Node, NodeId, Sampled, StackEnd, Unwinder, Work};
use rspy_process::stop::{StopError, StopStats, Tracer};
use rspy_process::{Batch, Memory, Process, ReadError};

use crate::budget::Budget;
use crate::figures::Counted;
use crate::filter::{Match, StackFilter, ThreadFilter};
use crate::preempted::Usual;
use crate::roster::{Member, Met, Roster};
use crate::stats::Counts;
use crate::target::{Pausing, Target};
use collect::plan;
use naps::Naps;

/// How long a stop waits for a thread. One that has a CPU stops within microseconds; one that
/// waits for a CPU loses nothing until it gets one, but then stands still until rspy looks.
const STOP_LIMIT: Duration = Duration::from_millis(1);
/// The same where each sample is to be a stop.
const PATIENT_STOP_LIMIT: Duration = Duration::from_millis(250);
/// How often a stop is made again because it landed in an instant of which nothing can be said.
/// 2.7 hands the GIL on every hundred instructions: there, every second stop comes too late.
const ROUNDS: usize = 24;
/// How old what is known of threads and the scheduler may be where samples follow each other faster.
const FRESH: Duration = Duration::from_micros(200);
/// How long samples are preliminary: until their code objects are looked at again.
const SETTLE: Duration = Duration::from_millis(2);
/// How long one that sleeps waits to be looked at, on average, where only some are.
pub const TURN: Duration = Duration::from_millis(100);
/// How many samples can be preliminary.
const PENDING: usize = 4096;

/// What is known of the stack of a sample.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub enum Known {
    /// All of it.
    Whole,
    /// The innermost frames are missing.
    Cut,
    /// The outermost frames are missing: there are too many, or they could not be read.
    Truncated,
    /// They could not be read.
    Unreadable,
    /// Nothing: it is no chain of frames.
    Lost,
}

/// One thread at one moment.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    /// When, in nanoseconds since the recording began.
    pub at: u64,
    /// Which process, by its number in the recording.
    pub process: u32,
    /// Which thread of it, by its number in the roster.
    pub thread: u32,
    /// Its stack.
    pub stack: NodeId,
    /// How much of that is known.
    pub known: Known,
    /// The thread stood still while it was read.
    pub stood: bool,
    /// On a CPU or waiting for one; `None` if it could not be known.
    pub active: Option<bool>,
    /// Holds the GIL of its interpreter; `None` where that was not asked for or is not known.
    pub owns_gil: Option<bool>,
    /// Waits for the GIL; `None` as in `owns_gil`.
    pub waits_for_gil: Option<bool>,
    /// Was in the kernel; `None` if it was not stopped, or that was not asked for.
    pub in_kernel: Option<bool>,
    /// Collects garbage; `None` as in `owns_gil`.
    pub collects: Option<bool>,
    /// It collects garbage, which is to be shown.
    pub is_collecting: bool,
    /// For whom it waits, if that is to be shown.
    pub waits_for: Option<Holder>,
    /// How many samples it stands for.
    pub weight: u32,
}

impl Taken {
    /// Whether both differ in nothing but when they were taken, and for how many they stand.
    fn is_like(&self, other: &Taken) -> bool {
        *self == Taken { at: self.at, weight: self.weight, ..*other }
    }
}

/// Who holds the GIL that a thread waits for.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub struct Holder {
    /// What it does; `None` if it is not known.
    pub stack: Option<(NodeId, Known)>,
    /// It collects garbage, which is to be shown.
    pub is_collecting: bool,
}

/// Which threads samples are of.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Which {
    /// Those on a CPU or waiting for one.
    Active,
    /// All.
    All,
}

/// Which of those threads.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Only {
    /// All of them.
    Any,
    /// Those that hold a GIL.
    GilHolders,
    /// Those that wait for one.
    GilWaiters,
    /// Those that raise or handle an exception.
    Exceptions,
}

/// What samples are to be of.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Which threads.
    pub which: Which,
    /// Which of those.
    pub only: Only,
    /// Whether what collects garbage is marked.
    pub gc: bool,
    /// Whether each sample says what its thread does: samples that differ in it are kept apart.
    pub states: bool,
    /// Whether only sums of samples matter, not when each was: those of a thread that sleeps on are then one, and not
    /// all that sleep are looked at in each pass.
    pub sums: bool,
    /// Whether methods have the names of their classes, where code does not know them.
    pub class_names: bool,
    /// Whether it is asked of threads that are stopped whether they were in the kernel.
    pub kernel: bool,
    /// Whether it is told how much memory the process has resident.
    pub memory: bool,
    /// Whether threads may be stopped.
    pub pausing: Pausing,
    /// Threads to be left out.
    pub threads: Option<ThreadFilter>,
    /// Stacks to be left out.
    pub stacks: Option<StackFilter>,
}

impl Wanted {
    /// Samples of every thread, with what it does: what is shown of them can be chosen later.
    pub fn all(pausing: Pausing) -> Wanted {
        Wanted {
            which: Which::All,
            only: Only::Any,
            gc: false,
            states: true,
            sums: false,
            class_names: false,
            kernel: false,
            memory: false,
            pausing,
            threads: None,
            stacks: None,
        }
    }
}

/// A process that is sampled. Bound to the OS thread that made it, which does all tracing.
pub struct Sampler {
    /// The process.
    pub process: Process,
    number: u32,
    /// Its interpreter.
    pub attached: Attached,
    wanted: Wanted,
    /// `wanted.stacks`, with what it knows of this process.
    stacks: Option<StackFilter>,
    unwinder: Unwinder,
    roster: Roster,
    heads: Heads,
    tracer: Tracer,
    budget: Budget,
    /// Who held the GIL before a pass; and at the beginning and end of its read, while
    /// threads are stopped.
    gil: GilState,
    first_gil: GilState,
    last_gil: GilState,
    begun: Instant,
    refreshed: Option<Instant>,
    settled: Instant,
    is_stale: bool,
    usual: Usual,
    batch: Batch,
    asked: Vec<Ask>,
    results: Vec<Option<Sampled>>,
    tids: Vec<u32>,
    /// Where the words that all threads have in common are in the batch of a pass, at its begin and its end.
    ends: Option<(HeadsAsked, HeadsAsked)>,
    /// What tells who handles an exception, where that matters.
    words: Vec<WordsAsked>,
    /// Whether each thread was in the kernel when it was stopped in this pass, if that is asked for.
    in_kernel: Vec<Option<bool>>,
    pending: Vec<Taken>,
    /// Samples of threads that sleep on, where they are gathered.
    naps: Option<Naps>,
    /// Names of threads by `threading.get_ident()`, where it depends on them which are wanted.
    names: HashMap<u64, String>,
    /// For how many passes the next one stands.
    pub passes: u32,
    /// And for how many before it that showed nothing, where only sums matter.
    carried: u32,
    /// What it has cost and come to.
    pub counts: Counts,
}

/// What is to be done about a member of the roster in a pass.
#[derive(Copy, Clone)]
enum Ask {
    /// Nothing.
    Leave,
    /// It sleeps with the stack it had.
    Rest(Sampled),
    /// It stands still.
    Standing(Asked),
    /// It may run.
    Running(Asked),
}

impl Sampler {
    /// Samples of `target`, process number `number`, from `begun` on. `seed` decides what is left to chance.
    pub fn new(target: Target, number: u32, mut wanted: Wanted, begun: Instant, seed: u64) -> Sampler {
        // Which class a method is of is told by what it is bound to: only while that stands still.
        let has_frame_objects = matches!(target.attached.layout.frames, Frames::Object(_));
        if wanted.class_names && has_frame_objects && matches!(wanted.pausing, Pausing::Budget(_)) {
            wanted.pausing = Pausing::Always;
        }
        let limit = if wanted.pausing == Pausing::Always { PATIENT_STOP_LIMIT } else { STOP_LIMIT };
        let longest = if wanted.sums { TURN } else { Duration::MAX };
        let Target { process, attached, .. } = target;
        Sampler {
            process,
            number,
            attached,
            stacks: wanted.stacks.clone(),
            naps: wanted.sums.then(|| Naps::new(begun)),
            passes: 1,
            carried: 0,
            unwinder: Unwinder::new(wanted.class_names),
            roster: Roster::new(longest, seed.rotate_left(16)),
            heads: Heads::default(),
            tracer: Tracer::new(limit),
            // It may have begun after the recording.
            budget: Budget::new(wanted.pausing, Instant::now(), seed),
            wanted,
            gil: GilState::Unknown,
            first_gil: GilState::Unknown,
            last_gil: GilState::Unknown,
            begun,
            refreshed: None,
            settled: begun,
            is_stale: true,
            usual: Usual::default(),
            batch: Batch::new(),
            asked: Vec::new(),
            results: Vec::new(),
            tids: Vec::new(),
            ends: None,
            words: Vec::new(),
            in_kernel: Vec::new(),
            pending: Vec::with_capacity(PENDING),
            names: HashMap::new(),
            counts: Counts::default(),
        }
    }

    /// What the stops made so far amount to.
    pub fn stops(&self) -> StopStats {
        self.tracer.stats()
    }

    /// How often stopping was suspended because a stop took long.
    pub fn suspensions(&self) -> u64 {
        self.budget.suspensions()
    }

    /// Lets go of threads that stopped later than they were waited for. Answers whether
    /// there are some that still have not.
    pub fn serve_late(&mut self) -> bool {
        self.tracer.serve_late();
        self.tracer.has_late()
    }

    /// The threads met after the first `count`, in the order of their numbers.
    pub fn threads_since(&self, count: usize) -> &[Met] {
        self.roster.met_since(count)
    }

    /// What was counted of each thread that was met, by number.
    pub fn counted(&self) -> Vec<Counted> {
        self.roster.counted()
    }

    /// How many threads were met.
    pub fn threads_met(&self) -> usize {
        self.roster.numbered()
    }

    /// The stacks met after the first `count`.
    pub fn nodes_since(&self, count: usize) -> &[Node] {
        self.unwinder.nodes_since(count)
    }

    /// The code objects met after the first `count`.
    pub fn codes_since(&self, count: usize) -> impl Iterator<Item = &std::sync::Arc<CodeInfo>> {
        self.unwinder.codes().since(count).map(|(_, info)| info)
    }

    /// Takes a sample of each wanted thread, at the time `now`. Samples are preliminary until they
    /// are [`settle`](Sampler::settle)d. Answers about what time it is then.
    pub fn sample(&mut self, now: Instant) -> Result<Instant, ReadError> {
        self.counts.passes += 1;
        let is_late = self.serve_late();
        let stops = self.budget.decide(now) && !is_late;
        if stops || self.refreshed.is_none_or(|refreshed| now - refreshed >= FRESH) {
            self.refresh(now, true)?;
        }
        let stopped = if stops { self.stopped(now)? } else { None };
        Ok(stopped.unwrap_or_else(|| self.unstopped(now)))
    }

    /// Finds out which threads there are and what they do.
    fn refresh(&mut self, now: Instant, is_first: bool) -> Result<(), ReadError> {
        let memory = self.process.memory();
        for look in 0..2 {
            if self.is_stale {
                self.is_stale = false;
                self.roster.renew(&self.attached, &self.process)?;
                self.roster.choose_wanted(self.process.pid(), self.wanted.threads.as_ref(), &self.names);
                let Sampler { roster, heads, attached, .. } = self;
                heads.learn(memory, attached, roster.members.iter().map(|member| &member.watch.state))?;
            }
            self.batch.clear();
            let asked = self.heads.ask(&mut self.batch);
            memory.read_many(&mut self.batch);
            self.heads.gil_state(&self.attached, &self.batch, asked, &mut self.gil);
            // Who is passed over counts as asleep: that is no news where each sample of those who sleep is wanted.
            if is_first && look == 0 {
                let fairly = self.wanted.which == Which::Active || self.wanted.sums;
                self.roster.choose(now, &self.gil, fairly, self.passes);
            }
            self.roster.refresh(now);
            self.roster.see(&self.attached, &self.heads, &self.gil, (&self.batch, asked));
            self.is_stale = !self.heads.are_same(&self.attached, &self.batch, asked)
                || self.roster.has_ended()
                || self.roster.may_have_begun();
            if !self.is_stale {
                break;
            }
        }
        if self.gil == GilState::Disabled {
            self.roster.see_attached(memory, &self.attached.layout, &mut self.batch);
        }
        if is_first {
            self.roster.count();
        }
        self.refreshed = Some(now);
        Ok(())
    }

    /// A pass in which all that may run bytecode stands still, and when it was over; none if there
    /// is nothing to stop.
    fn stopped(&mut self, now: Instant) -> Result<Option<Instant>, ReadError> {
        let mut ended = now;
        for round in 1..=ROUNDS {
            self.tids.clear();
            self.roster.may_run(&self.gil, &mut self.tids);
            if self.tids.is_empty() {
                return Ok(None);
            }
            let before = self.tracer.stats();
            let is_sound = self.stopped_once(round == ROUNDS);
            let after = self.tracer.stats();
            ended = Instant::now();
            self.budget.spend(after.total - before.total, ended);
            if after.refused > before.refused {
                self.budget.refused(ended);
            }
            if is_sound || round == ROUNDS {
                break;
            }
            self.counts.rounds += 1;
            self.refresh(ended, false)?;
        }
        self.collect(now);
        Ok(Some(ended))
    }

    /// Stops, reads, lets go. Answers whether everything stood still and made sense.
    fn stopped_once(&mut self, is_last: bool) -> bool {
        let Sampler { process, attached, unwinder, roster, heads, tracer, batch, asked, results, .. } = self;
        let memory = process.memory();
        let layout = &attached.layout;
        let stop = tracer.stop(process.pid(), &self.tids);
        let stands =
            |member: &Member| member.is_sure && member.os_id.is_some_and(|tid| stop.outcome(tid).is_ok());
        let all_stand = roster.stands_still(&self.gil, stands);
        let late = self.tids.iter().any(|tid| stop.outcome(*tid) == Err(StopError::Late));
        batch.clear();
        let first = heads.ask(batch);
        asked.clear();
        for index in 0..roster.members.len() {
            let may_run = !all_stand && !stands(&roster.members[index]);
            let member = &mut roster.members[index];
            asked.push(match plan(member, &self.wanted, &self.gil) {
                Some(plan) => plan,
                None => match unwinder.ask(memory, layout, &mut member.watch, batch, may_run) {
                    asked if may_run => Ask::Running(asked),
                    asked => Ask::Standing(asked),
                },
            });
        }
        if self.wanted.only == Only::Exceptions {
            self.words.clear();
            self.words
                .extend(roster.members.iter().map(|member| member.watch.state.ask_words(layout, batch)));
        }
        let last = heads.ask(batch);
        self.ends = Some((first, last));
        memory.read_many(batch);
        // Whether the GIL, or a thread, came or went between the choice and the read.
        heads.gil_state(attached, batch, first, &mut self.first_gil);
        heads.gil_state(attached, batch, last, &mut self.last_gil);
        let has_moved = self.gil != self.first_gil || self.first_gil != self.last_gil;
        let mut is_sound = !has_moved && heads.are_same(attached, batch, last);
        results.clear();
        for (index, ask) in asked.iter().enumerate() {
            let base = base_of(&roster.members, results, index);
            let member = &mut roster.members[index];
            let sampled = match (*ask, base) {
                (Ask::Leave, _) => None,
                (Ask::Rest(sampled), _) => Some(sampled),
                (_, Err(below)) => Some(below),
                (Ask::Standing(asked), Ok(base)) => {
                    Some(unwinder.standing(memory, layout, &mut member.watch, asked, batch, base))
                }
                (Ask::Running(asked), Ok(base)) => {
                    Some(unstopped(unwinder, memory, layout, member, (asked, batch), base))
                }
            };
            let is_broken = matches!(sampled, Some(Sampled { end: StackEnd::Base(ChainEnd::Broken), .. }));
            is_sound &= !is_broken;
            results.push(sampled);
        }
        if self.wanted.kernel {
            let in_kernel = |member: &Member| member.os_id.and_then(|tid| stop.was_in_kernel(tid));
            self.in_kernel.clear();
            self.in_kernel.extend(roster.members.iter().map(in_kernel));
        }
        drop(stop);
        if has_moved && is_last {
            // Who stood by the GIL alone may have run.
            for (ask, result) in asked.iter().zip(results.iter_mut()) {
                if let (Ask::Standing(_), Some(sampled)) = (ask, result) {
                    sampled.end = StackEnd::Base(ChainEnd::Broken);
                }
            }
        }
        // A thread that did not stop in time was read while it may have run: that is how it is.
        is_sound || late
    }

    /// A pass that stops nothing. Answers about what time it is then.
    fn unstopped(&mut self, now: Instant) -> Instant {
        let mut end = now;
        let Sampler { process, attached, unwinder, roster, heads, batch, asked, results, .. } = self;
        let memory = process.memory();
        let layout = &attached.layout;
        batch.clear();
        let needs_words = self.wanted.only != Only::Any || self.wanted.gc;
        let words = needs_words.then(|| heads.ask(batch));
        asked.clear();
        for member in &mut roster.members {
            asked.push(match plan(member, &self.wanted, &self.gil) {
                Some(plan) => plan,
                None => Ask::Running(unwinder.ask(memory, layout, &mut member.watch, batch, true)),
            });
        }
        if self.wanted.only == Only::Exceptions {
            self.words.clear();
            self.words
                .extend(roster.members.iter().map(|member| member.watch.state.ask_words(layout, batch)));
        }
        self.ends = words.map(|first| (first, heads.ask(batch)));
        if !batch.is_empty() {
            let start = Instant::now();
            memory.read_many(batch);
            end = Instant::now();
            if !self.usual.is_usual(end - start, batch.len(), batch.size()) {
                // rspy lost its CPU in the middle of it: the copies are too far apart.
                self.counts.preempted += 1;
                self.carried += if self.wanted.sums { self.passes } else { 0 };
                return end;
            }
        }
        if let Some(words) = words {
            heads.gil_state(attached, batch, words, &mut self.gil);
        }
        results.clear();
        for (index, ask) in asked.iter().enumerate() {
            let base = base_of(&roster.members, results, index);
            let member = &mut roster.members[index];
            results.push(match (*ask, base) {
                (Ask::Leave, _) => None,
                (Ask::Rest(sampled), _) => Some(sampled),
                (_, Err(below)) => Some(below),
                (Ask::Standing(asked) | Ask::Running(asked), Ok(base)) => {
                    Some(unstopped(unwinder, memory, layout, member, (asked, batch), base))
                }
            });
        }
        self.collect(now);
        end
    }

    /// The cells of the notebook that it runs, if it does.
    pub fn notebook_cells(&self) -> HashMap<String, u64> {
        self.attached.notebook_cells(self.process.memory())
    }

    /// Takes note of names of threads by `threading.get_ident()`.
    pub fn learn_names(&mut self, names: &HashMap<u64, String>) {
        if let Some(filter) = &self.wanted.threads {
            self.names.clone_from(names);
            self.roster.choose_wanted(self.process.pid(), Some(filter), &self.names);
        }
    }

    /// Whether there are threads that may be wanted, once their names are known.
    pub fn waits_for_names(&self) -> bool {
        self.wanted.threads.is_some()
            && self.roster.members.iter().any(|member| member.is_wanted == Match::NotYet)
    }

    /// Whether it is time to [`settle`](Sampler::settle).
    pub fn is_due(&self, now: Instant) -> bool {
        let room = PENDING.saturating_sub(self.pending.len());
        now.saturating_duration_since(self.settled) >= SETTLE || room < self.roster.members.len()
    }

    /// Looks at the code objects of preliminary samples again and hands the samples on. `take` is
    /// told whether the sample can be believed.
    pub fn settle(&mut self, now: Instant, mut take: impl FnMut(&Taken, bool)) {
        self.settled = now;
        if let Some(naps) = &mut self.naps {
            self.pending.extend(naps.due(now));
        }
        let Sampler { unwinder, process, attached, pending, roster, counts, .. } = self;
        let memory = process.memory();
        let refuted = unwinder.verify(memory, &attached.layout, pending.iter().map(|taken| taken.stack));
        // A process that is gone cannot be asked: what it was is what it was.
        let refuted = if refuted.is_empty() || !process.is_same() { Vec::new() } else { refuted.to_vec() };
        let mut lost_roots = Vec::new();
        for member in &mut roster.members {
            match refuted.is_empty() {
                true => unwinder.review(&mut member.watch),
                false => unwinder.forget(&mut member.watch),
            }
            // What was read of a thread that stood needs no proof; the root of one that has ended may be anything.
            let is_in_doubt = std::mem::take(&mut member.is_in_doubt);
            if is_in_doubt
                && !unwinder.check_root(memory, &attached.layout, &mut member.watch)
                && member.is_alive()
            {
                lost_roots.push(member.number);
            }
        }
        counts.refuted += refuted.len() as u64;
        for taken in pending.iter() {
            let is_doubtful = !refuted.is_empty() && unwinder.has_code(taken.stack, &refuted)
                || !taken.stood && lost_roots.contains(&taken.thread);
            take(taken, !is_doubtful);
        }
        pending.clear();
    }

    /// Has all samples handed on when they are next [`settle`](Sampler::settle)d, those too that wait for others.
    pub fn gather(&mut self) {
        self.pending.extend(self.naps.iter_mut().flat_map(Naps::all));
    }

    /// Whether it was found asleep, with nothing left to be handed on: until one of its threads wakes there is nothing new.
    pub fn sleeps(&self) -> bool {
        !self.is_stale && self.pending.is_empty() && self.roster.sleeps(&self.gil)
    }

    /// Goes on with another Python in the same process.
    pub fn renew(&mut self, target: Target) {
        let Target { process, attached, .. } = target;
        self.process = process;
        self.attached = attached;
        self.unwinder = Unwinder::new(self.wanted.class_names);
        self.stacks.clone_from(&self.wanted.stacks);
        let longest = if self.wanted.sums { TURN } else { Duration::MAX };
        self.roster = Roster::new(longest, self.roster.chance());
        self.heads = Heads::default();
        self.is_stale = true;
        self.refreshed = None;
        self.pending.clear();
    }

    /// How the samples came about.
    pub fn work(&self) -> Work {
        self.unwinder.work()
    }

    /// What reading the process's memory has cost.
    pub fn usage(&self) -> rspy_process::Usage {
        self.process.memory().usage()
    }
}

/// The stack of a thread that no stop holds: one that has slept all the time stood still by itself.
fn unstopped(
    unwinder: &mut Unwinder,
    memory: &impl Memory,
    layout: &Layout,
    member: &mut Member,
    (asked, batch): (Asked, &Batch),
    base: NodeId,
) -> Sampled {
    if !member.has_slept() {
        return unwinder.running(memory, layout, &mut member.watch, asked, batch, base);
    }
    let sampled = unwinder.standing(memory, layout, &mut member.watch, asked, batch, base);
    match member.has_slept() {
        true => sampled,
        // It woke in the last microseconds, in which more of it may have been read.
        false => {
            unwinder.forget(&mut member.watch);
            Sampled { stack: base, end: StackEnd::Cut }
        }
    }
}

/// What the stack of the member `index` stands on: the stack of the same kernel thread in an older
/// interpreter. If that is not whole, it is all there is to be said.
fn base_of(members: &[Member], results: &[Option<Sampled>], index: usize) -> Result<NodeId, Sampled> {
    let below = members.get(index).and_then(|member| member.below);
    match below.and_then(|below| results.get(below).copied().flatten()) {
        None => Ok(NodeId::ROOT),
        Some(Sampled { stack, end: StackEnd::Whole }) => Ok(stack),
        Some(Sampled { stack, end: StackEnd::Cut }) => Err(Sampled { stack, end: StackEnd::Cut }),
        Some(below) => Err(below),
    }
}
