//! What made memory grow: changes of a process's resident memory, charged to the stacks that ran meanwhile.
//!
//! With each sample it is known how much memory is resident, so a change lies between two samples. Where both show the
//! same stack, and such changes are frequent there, it is that stack's. Else there are several that may have made it: both
//! stacks, if they ran; and where a stack that seldom changes anything is seen twice, those that were seen between two
//! samples of it elsewhere, as of a loop that waits most of the time. What is known of them decides:
//!
//! - a stack that was in several neighbouring samples without a change of that size has not made it;
//! - of what is left, each is charged in proportion to how fast it is seen to grow elsewhere (expectation
//!   maximisation: charge, see what rates follow, charge by these), and, of stacks that alternate faster than samples are
//!   taken, to how often it was seen to run: more of them than are seen lie between two samples;
//! - where no stack is left, something made it that no sample shows: growth goes to the function that both samples are
//!   in, what is given back to the one that ran before, at a line that is not known.
//!
//! Of several threads those count that held the GIL or, where nobody did, that ran; where none ran, and there are
//! several, nobody knows. What changes when no thread is seen any more is the end of the process, and nobody's.
//!
//! What this cannot see: what is taken from memory that the allocator kept, and what is given back to it; who frees what
//! another one took; changes that undo each other between two samples.

use rustc_hash::FxHashMap;

use crate::frame::{Frame, FrameId, FrameKind};
use crate::options::Options;
use crate::process::ProcessId;
use crate::profile::Profile;
use crate::sample::{Activity, Sample, ThreadState};
use crate::samples::Run;
use crate::stack::StackId;
use crate::thread::ThreadId;
use crate::timeline::timelines;

/// A change of a process's resident memory, and who is held to have made it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Growth {
    /// When it was seen, in nanoseconds since the start.
    pub at: u64,
    /// The thread; any one of its process where that is not known.
    pub thread: ThreadId,
    /// The stack; [`StackId::EMPTY`] if that is not known.
    pub stack: StackId,
    /// In bytes; below 0 what was given back.
    pub bytes: f64,
}

impl Growth {
    /// What asks of samples whether they are wanted can ask this.
    pub(crate) fn as_run(&self) -> Run {
        let Growth { at, thread, stack, .. } = *self;
        let sample = Sample { at, thread, stack, weight: 1, state: ThreadState::default() };
        Run { sample, until: at, count: 1 }
    }
}

/// So many neighbouring samples of a stack tell how fast it grows.
const TELLING: u64 = 3;
/// A change of more than so many times what a stack has ever grown by between two samples is not its own.
const UNLIKE: f64 = 3.0;
/// Changes below this size say nothing, in bytes: the kernel counts pages of several threads in batches.
const NOISE: f64 = 128.0 * 1024.0;
/// Changes below this size are no sign of a stack that changes memory, in bytes.
const WORTH: f64 = 16.0 * 1024.0;
/// Who has less than this part of what the first of the suspects has is not charged.
const NEGLIGIBLE: f64 = 1e-3;
/// How often charges are made anew by the rates that follow from them.
const ROUNDS: usize = 12;

/// Of a stack that is seen to run so many times as often as what is seen between two samples of it, changes are not only
/// theirs, though it was asleep in both samples.
const SELDOM: u64 = 4;

/// Where the changes of a stack are this part of its pauses at least, they are its own.
const STEADY: f64 = 0.3;
/// How many samples after a stack it is looked for what leads back to it, and how much of that is kept.
const AHEAD: usize = 4;
const MOST_BETWEEN: usize = 16;

/// Somebody who may have made a change.
type Suspect = (ThreadId, StackId);

/// A change between two samples.
struct Change {
    at: u64,
    bytes: f64,
    /// Those that were seen before and after, and whether they ran then.
    seen: Vec<(Suspect, bool)>,
    /// A thread of the process: for what nobody is suspected of.
    thread: ThreadId,
}

impl Change {
    /// The stack that was seen before and after, if it is one.
    fn held(&self) -> Option<(Suspect, bool)> {
        let &(first, runs) = self.seen.first()?;
        let is_same = self.seen.iter().all(|(suspect, _)| *suspect == first);
        is_same.then(|| (first, runs || self.seen.iter().any(|(_, runs)| *runs)))
    }
}

/// A change of which several may have made a part.
struct Suspected {
    change: Change,
    suspects: Vec<Suspect>,
    /// How likely each was to run meanwhile, in proportion.
    weights: Vec<f64>,
    /// The part that each is charged with.
    shares: Vec<f64>,
}

/// What is known of a stack.
#[derive(Clone, Debug, Default)]
struct Known {
    /// How often it was seen to run.
    ran: u64,
    /// How often it was in two neighbouring samples.
    held: u64,
    /// How often there was a change between these, worth mentioning.
    changed: u64,
    /// The largest growth, and the largest shrinkage, that is its own for certain.
    most: [f64; 2],
    /// How often it was seen before or after memory was given back.
    releases: u64,
    /// How many changes it is suspected of.
    suspected: u64,
    /// What it is charged with at the moment, grown and shrunk.
    charged: [f64; 2],
    /// What was seen to run between two samples of it.
    between: Vec<StackId>,
}

/// Which of two, growth and shrinkage, a change is.
fn direction(bytes: f64) -> usize {
    usize::from(bytes < 0.0)
}

impl Known {
    /// Whether a change of that size cannot be its own.
    fn excludes(&self, bytes: f64) -> bool {
        let most = self.most[direction(bytes)].max(NOISE);
        self.held >= TELLING && bytes.abs() > UNLIKE * most
    }

    /// Whether there is more that speaks for it than that it was seen before or after one change. Memory is given back
    /// at once, mostly by what no sample shows.
    fn is_seen_to_release(&self) -> bool {
        self.most[1] > NOISE || self.releases > 1
    }

    /// Whether it changes memory most of the time.
    fn is_steady(&self) -> bool {
        self.changed as f64 >= STEADY * self.held as f64
    }

    /// How much it changes by in a pause between two samples.
    fn rate(&self, direction: usize) -> f64 {
        self.charged[direction] / (self.held + self.suspected).max(1) as f64
    }
}

impl Profile {
    /// Charges each change of [`memory`](Profile::memory) to who made it, in [`growth`](Profile::growth). Needs a
    /// profile with a time line, and all its samples.
    pub fn charge_memory(&mut self) {
        let changes = changes(self);
        let mut known = known(self, &changes);
        let mut growth = Vec::with_capacity(changes.len());
        let mut open: Vec<Suspected> = Vec::new();
        for change in changes {
            let suspects = suspects(&change, &known);
            if suspects.is_empty() {
                let thread = change.seen.first().map_or(change.thread, |((thread, _), _)| *thread);
                let stack = self.between(&change);
                growth.push(Growth { at: change.at, thread, stack, bytes: change.bytes });
                continue;
            }
            for (_, stack) in &suspects {
                known.entry(*stack).or_default().suspected += 1;
            }
            let weights = weights(&suspects, &known);
            let shares = parts(&weights).unwrap_or_default();
            open.push(Suspected { change, suspects, weights, shares });
        }
        for _ in 0..ROUNDS {
            for known in known.values_mut() {
                known.charged = [0.0; 2];
            }
            for Suspected { change, suspects, shares, .. } in &open {
                for ((_, stack), share) in suspects.iter().zip(shares) {
                    let known = known.entry(*stack).or_default();
                    known.charged[direction(change.bytes)] += change.bytes.abs() * share;
                }
            }
            for Suspected { change, suspects, weights, shares } in
                open.iter_mut().filter(|open| open.suspects.len() > 1)
            {
                let rate = |((_, stack), weight): (&Suspect, &f64)| {
                    weight * known.get(stack).map_or(0.0, |known| known.rate(direction(change.bytes)))
                };
                let rates: Vec<f64> = suspects.iter().zip(&*weights).map(rate).collect();
                if let Some(parts) = parts(&rates) {
                    *shares = parts;
                }
            }
        }
        for Suspected { change, suspects, shares, .. } in open {
            let least = NEGLIGIBLE * shares.iter().copied().fold(0.0, f64::max);
            let charged = suspects.iter().zip(&shares).filter(|(_, share)| **share > least);
            // What is left out is the others', so that all of the change is charged.
            let all: f64 = shares.iter().filter(|share| **share > least).sum();
            growth.extend(charged.map(|((thread, stack), share)| Growth {
                at: change.at,
                thread: *thread,
                stack: *stack,
                bytes: change.bytes * share / all,
            }));
        }
        growth.sort_by_key(|growth| growth.at);
        self.growth = growth;
    }

    /// The innermost function that was seen before and after, at no line that is known.
    fn between(&mut self, change: &Change) -> StackId {
        let stacks =
            change.seen.iter().map(|(suspect, _)| suspect).filter(|(_, stack)| *stack != StackId::EMPTY);
        // Of a stack that is the same both times it is another line of its function.
        let is_held = change.held().is_some();
        let mut frames: Vec<Vec<FrameId>> = Vec::new();
        for (_, stack) in stacks {
            let mut buffer = Vec::new();
            self.stacks.root_first(*stack, &mut buffer);
            frames.push(buffer);
        }
        let Some((first, others)) = frames.split_first() else { return StackId::EMPTY };
        let mut common = StackId::EMPTY;
        // What is given back is what the function had that ran before.
        let others = if change.bytes < 0.0 { &others[..0] } else { others };
        let is_held = is_held || change.bytes < 0.0;
        for (depth, frame) in first.iter().enumerate() {
            let is_last = is_held && depth + 1 == first.len();
            if !is_last && others.iter().all(|other| other.get(depth) == Some(frame)) {
                common = self.stacks.intern(common, *frame);
                continue;
            }
            let function = |frame: FrameId| Frame { line: None, columns: None, ..self.frames[frame] };
            let own = function(*frame);
            let is_same =
                |other: &Vec<FrameId>| other.get(depth).is_some_and(|frame| function(*frame) == own);
            if own.kind == FrameKind::Python && others.iter().all(is_same) {
                let own = self.frames.intern(own);
                common = self.stacks.intern(common, own);
            }
            break;
        }
        common
    }
}

/// The part that each is of all; `None` if all are nothing.
fn parts(amounts: &[f64]) -> Option<Vec<f64>> {
    let all: f64 = amounts.iter().sum();
    (all > 0.0).then(|| amounts.iter().map(|amount| amount / all).collect())
}

/// How likely each was to run between two samples, in proportion. Of stacks that alternate all were, by how often they
/// are seen to run; of others no more is known than that they were seen.
fn weights(suspects: &[Suspect], known: &FxHashMap<StackId, Known>) -> Vec<f64> {
    let leads_to =
        |from: &Suspect, to: &Suspect| known.get(&from.1).is_some_and(|known| known.between.contains(&to.1));
    let alternate = suspects.iter().enumerate().any(|(index, one)| {
        suspects.iter().skip(index + 1).any(|other| leads_to(one, other) || leads_to(other, one))
    });
    let ran = |(_, stack): &Suspect| known.get(stack).map_or(1, |known| known.ran.max(1)) as f64;
    suspects.iter().map(|suspect| if alternate { ran(suspect) } else { 1.0 }).collect()
}

/// Who may have made a change: of those that were seen before and after, or elsewhere between two samples of them.
fn suspects(change: &Change, known: &FxHashMap<StackId, Known>) -> Vec<Suspect> {
    // What a thread gives back that has left all Python code is the end of its interpreter's.
    let has_left = |(suspect, runs): &&(Suspect, bool)| *runs && suspect.1 == StackId::EMPTY;
    if let Some((suspect, _)) = change.seen.iter().find(has_left).filter(|_| change.bytes < 0.0) {
        return vec![*suspect];
    }
    let of = |stack: &StackId| known.get(stack);
    let is_possible = |(_, stack): &Suspect| of(stack).is_none_or(|known| !known.excludes(change.bytes));
    let mut suspects: Vec<Suspect> = match change.held() {
        Some(((thread, stack), runs)) => {
            let between = of(&stack).map(|known| known.between.as_slice()).unwrap_or_default();
            // One that sleeps takes nothing, unless it waits for the pages themselves.
            if of(&stack).is_some_and(Known::is_steady) && (runs || between.is_empty()) {
                return vec![(thread, stack)];
            }
            let ran = |stack: &StackId| of(stack).map_or(0, |known| known.ran);
            let is_seldom = ran(&stack) > SELDOM * between.iter().map(ran).sum::<u64>();
            (runs || is_seldom)
                .then_some((thread, stack))
                .into_iter()
                .chain(between.iter().map(|stack| (thread, *stack)))
                .collect()
        }
        None => change.seen.iter().filter(|(_, runs)| *runs).map(|(suspect, _)| *suspect).collect(),
    };
    suspects.retain(is_possible);
    if change.bytes <= -NOISE && change.held().is_none() {
        suspects.retain(|(_, stack)| of(stack).is_some_and(Known::is_seen_to_release));
    }
    if suspects.is_empty() && change.held().is_none() {
        // Something that is seen at times between what is seen.
        for ((thread, stack), _) in &change.seen {
            let between = of(stack).map(|known| known.between.as_slice()).unwrap_or_default();
            suspects.extend(between.iter().map(|stack| (*thread, *stack)).filter(is_possible));
        }
    }
    suspects.sort_unstable();
    suspects.dedup();
    suspects
}

/// What is known of each stack before anything is charged.
fn known(profile: &Profile, changes: &[Change]) -> FxHashMap<StackId, Known> {
    let mut known: FxHashMap<StackId, Known> = FxHashMap::default();
    for timeline in timelines(profile, &Options { idle: true, ..Options::default() }) {
        for (index, run) in timeline.runs.iter().enumerate() {
            let of_stack = known.entry(run.sample.stack).or_default();
            of_stack.held += run.count.saturating_sub(1);
            of_stack.ran += if run.sample.state.activity == Activity::Idle { 0 } else { run.count };
            let next = timeline.runs.get(index + 1..).unwrap_or_default();
            let is_same = |other: &&Run| other.sample.stack == run.sample.stack;
            let Some(back) = next.iter().take(AHEAD).position(is_same) else { continue };
            for other in next.iter().take(back).filter(|other| other.sample.state.activity != Activity::Idle)
            {
                let stack = other.sample.stack;
                if of_stack.between.len() < MOST_BETWEEN && !of_stack.between.contains(&stack) {
                    of_stack.between.push(stack);
                }
            }
        }
    }
    for change in changes {
        if let Some(((_, stack), runs)) = change.held() {
            let known = known.entry(stack).or_default();
            known.changed += u64::from(change.bytes.abs() >= WORTH);
            let most = &mut known.most[direction(change.bytes)];
            if runs {
                *most = most.max(change.bytes.abs());
            }
        }
    }
    for change in changes.iter().filter(|change| change.bytes <= -NOISE && change.held().is_none()) {
        for ((_, stack), runs) in &change.seen {
            known.entry(*stack).or_default().releases += u64::from(*runs);
        }
    }
    // What a stack changes seldom may be another one's.
    for known in known.values_mut().filter(|known| !known.is_steady() && !known.between.is_empty()) {
        known.most = [0.0; 2];
    }
    known
}

/// The changes of all processes, with what was seen before and after.
fn changes(profile: &Profile) -> Vec<Change> {
    let mut runs: FxHashMap<ProcessId, Vec<(ThreadId, Vec<&Run>)>> = FxHashMap::default();
    for timeline in timelines(profile, &Options { idle: true, ..Options::default() }) {
        let process = profile.threads[timeline.thread].process;
        runs.entry(process).or_default().push((timeline.thread, timeline.runs));
    }
    let mut last: FxHashMap<ProcessId, u64> = FxHashMap::default();
    let mut changes = Vec::new();
    for row in &profile.memory {
        // What a process has when it is first looked at is not grown.
        let Some(before) = last.insert(row.process, row.resident) else { continue };
        let bytes = row.resident as f64 - before as f64;
        let Some(threads) = runs.get(&row.process).filter(|_| bytes != 0.0) else { continue };
        let looks: Vec<(ThreadId, Look)> =
            threads.iter().map(|(thread, runs)| (*thread, look(runs, row.at))).collect();
        let Some(&(thread, _)) = looks.first() else { continue };
        let is_any = |of: fn(&Look) -> bool| looks.iter().any(|(_, look)| of(look));
        let is_alone = looks.iter().filter(|(_, look)| look.is_there()).count() == 1;
        let is_meant: fn(&Look) -> bool = match () {
            // The process is ending.
            () if !is_any(|look| look.stacks[1].is_some()) => |_| false,
            () if is_any(|look| look.holds_gil) => |look| look.holds_gil,
            () if is_any(|look| look.runs.contains(&true)) => |look| look.runs.contains(&true),
            () if is_alone => Look::is_there,
            () => |_| false,
        };
        let seen = |(thread, look): &(ThreadId, Look)| {
            let (thread, stacks) = (*thread, look.stacks);
            let both = stacks.into_iter().zip(look.runs);
            both.filter_map(move |(stack, runs)| Some(((thread, stack?), runs)))
        };
        let seen = looks.iter().filter(|(_, look)| is_meant(look)).flat_map(seen).collect();
        changes.push(Change { at: row.at, bytes, seen, thread });
    }
    changes
}

/// What a thread did between two samples.
#[derive(Clone, Copy, Debug, Default)]
struct Look {
    /// Where it was in the first and in the second.
    stacks: [Option<StackId>; 2],
    /// Whether it ran then.
    runs: [bool; 2],
    holds_gil: bool,
}

impl Look {
    fn is_there(&self) -> bool {
        self.stacks.iter().any(Option::is_some)
    }
}

/// What a thread with these samples did in the pause that ended at the time `at`.
fn look(runs: &[&Run], at: u64) -> Look {
    let next = runs.partition_point(|run| run.sample.at <= at);
    let mut look = Look::default();
    let mut see = |place: usize, run: Option<&&Run>| {
        let Some(run) = run else { return };
        let state = run.sample.state;
        look.stacks[place] = Some(run.sample.stack);
        look.holds_gil |= state.owns_gil == Some(true) && state.activity != Activity::Idle;
        look.runs[place] = state.activity != Activity::Idle;
    };
    let current = next.checked_sub(1).and_then(|index| runs.get(index));
    match current {
        Some(run) if run.sample.at < at && at <= run.until => {
            see(0, current);
            see(1, current);
        }
        Some(run) if run.sample.at == at => {
            see(1, current);
            see(0, next.checked_sub(2).and_then(|index| runs.get(index)));
        }
        // It was not seen at that time.
        _ => {
            see(0, current);
            see(1, runs.get(next));
        }
    }
    look
}
