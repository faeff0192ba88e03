//! The threads of a process, and what the scheduler says of each, kept from one sample to
//! the next.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use rspy_cpython::Attached;
use rspy_cpython::interpreter::{GilState, ThreadState};
use rspy_cpython::layout::Layout;
use rspy_cpython::sampling::{Heads, HeadsAsked, Sampled, Watch};
use rspy_process::threads::{Ran, RunState, SchedStat, ThreadStat, Waits};
use rspy_process::{Batch, Memory, Process, ReadError, word};

use crate::figures::{Counted, Doing, Span};
use crate::filter::{Candidate, Match, ThreadFilter};
use crate::turns::{Limits, Turns};

/// A thread that was found asleep so often in a row sleeps on if it has not run.
const LONG_ASLEEP: u32 = 8;
/// Of how many sleeping threads each is looked at.
const LIMITS: Limits = Limits { few: 64, cost: 3e-6, share: 0.01, most_seldom: 32, longest: Duration::MAX };

/// One thread state, and the kernel's thread that it belongs to.
pub struct Member {
    /// Where its stack is.
    pub watch: Watch,
    /// The kernel's id of the thread, if it could be found.
    pub os_id: Option<u32>,
    /// Its number in the recording.
    pub number: u32,
    /// Whether the kernel's thread is surely its own: a thread state that is just being made bears
    /// the id of the thread that makes it.
    pub is_sure: bool,
    /// The member, in an older interpreter, that has the same kernel thread.
    pub below: Option<usize>,
    /// Whether there is one above it.
    pub has_above: bool,
    /// What the scheduler said last.
    pub run_state: Option<RunState>,
    /// The stack it has been asleep with, and the scheduler's figures from before it was read.
    pub resting: Option<(Ran, Sampled)>,
    /// What it did when it was looked at.
    pub doing: Doing,
    /// Whether samples of it are wanted.
    pub is_wanted: Match,
    /// A sample of it was taken without a stop since code was looked at again.
    pub is_in_doubt: bool,
    /// For how many samples one that is taken now stands.
    pub weight: u32,
    /// It counts as asleep without being asked about.
    pub is_passed_over: bool,
    /// What was counted since it was met.
    counted: Counted,
    span: Option<Span>,
    /// How often in a row it was found asleep.
    slept: u32,
    /// What it sleeps on was looked at since it fell asleep.
    is_futex_known: bool,
    waits: Option<Waits>,
    stat: Option<ThreadStat>,
    sched: Option<SchedStat>,
    ran: Option<Ran>,
}

impl Member {
    fn new(process: &Process, state: ThreadState, os_id: Option<u32>, number: u32) -> Member {
        let pid = process.pid();
        Member {
            watch: Watch::new(state),
            os_id,
            number,
            is_sure: true,
            below: None,
            has_above: false,
            run_state: None,
            resting: None,
            doing: Doing::default(),
            is_wanted: Match::Yes,
            is_in_doubt: false,
            weight: 1,
            counted: Counted::default(),
            span: None,
            is_passed_over: false,
            slept: 0,
            is_futex_known: false,
            waits: os_id.and_then(|tid| Waits::open(pid, tid).ok()),
            stat: os_id.and_then(|tid| ThreadStat::open(pid, tid).ok()),
            sched: os_id.and_then(|tid| SchedStat::open(pid, tid).ok()),
            ran: None,
        }
    }

    /// Asks the scheduler. Threads that have slept for long are known to sleep still by figures that cost
    /// a third of asking.
    fn refresh(&mut self, now: Instant) {
        let Some(stat) = &self.stat else { return };
        // First: if it changes right after, that shows next time.
        let ran = self.sched.as_ref().and_then(SchedStat::ran);
        let cpu = ran.map(|ran| ran.time());
        self.span.get_or_insert_with(|| Span::new(now, cpu)).extend(now, cpu);
        let has_not_run = self.sleeps() && ran.is_some() && ran == self.ran;
        // One that was woken and waits for a CPU has not run yet either: who sleeps and wakes all the time is
        // asked what it does.
        let state = match has_not_run && self.slept >= LONG_ASLEEP {
            true => RunState::Sleeping,
            false => stat.run_state(),
        };
        let sleeps_on = has_not_run && state == RunState::Sleeping;
        self.slept = if sleeps_on { self.slept.saturating_add(1) } else { 0 };
        if !sleeps_on {
            self.run_state = Some(state);
            self.ran = ran;
            self.resting = None;
            self.is_futex_known = false;
        }
    }

    /// What was counted since it was met.
    fn counted(&self) -> Counted {
        let span = self.span;
        let seen = span.map_or(Duration::ZERO, |span| span.seen());
        Counted { cpu: span.and_then(|span| span.cpu()), seen, ..self.counted }
    }

    /// Whether it sleeps where those sleep that wait for the GIL. Asked for again only if it has woken since.
    fn waits_for_gil(&mut self, heads: &Heads) -> Option<bool> {
        if !self.sleeps() {
            return self.run_state.map(|_| false);
        }
        if self.is_futex_known {
            return self.doing.waits_for_gil;
        }
        self.is_futex_known = self.ran.is_some();
        let futex = self.waits.as_ref()?.futex().ok()?;
        futex.map_or(Some(false), |futex| heads.is_gil_futex(futex, self.watch.state.interpreter_index))
    }

    /// Whether its thread is there still.
    pub fn is_alive(&self) -> bool {
        self.stat.as_ref().is_some_and(|stat| stat.run_state() != RunState::Dead)
    }

    /// Whether it slept when the scheduler was asked.
    pub fn sleeps(&self) -> bool {
        self.run_state == Some(RunState::Sleeping)
    }

    /// Whether it has surely slept on since the scheduler was asked: what was read since has stood still.
    pub fn has_slept(&self) -> bool {
        let ran = || self.sched.as_ref().and_then(SchedStat::ran);
        self.sleeps() && self.ran.is_some_and(|before| ran() == Some(before))
    }

    /// Keeps what was read since the scheduler was asked, if it slept then: as long as its figures
    /// are the same, it is the same.
    pub fn rest(&mut self, sampled: Sampled) {
        self.resting = self.ran.filter(|_| self.sleeps()).map(|ran| (ran, sampled));
    }
}

/// All threads of a process that Python knows.
pub struct Roster {
    /// Those of the oldest interpreter first.
    pub members: Vec<Member>,
    /// All that were ever in it, by number.
    met: Vec<Met>,
    turns: Turns,
    /// For how many passes this one stands.
    passes: u32,
}

/// A thread that was met.
#[derive(Copy, Clone, Debug, Default)]
pub struct Met {
    /// The kernel's id.
    pub os_id: Option<u32>,
    /// What `threading.get_ident()` returns.
    pub python_id: u64,
    /// What was counted, if it has ended.
    pub counted: Counted,
}

impl Roster {
    /// Something to be the seed of another one.
    pub fn chance(&self) -> u64 {
        self.turns.chance()
    }

    /// Of no threads yet. One that sleeps waits `longest` for a look, on average, where only some are looked at. `seed`
    /// decides what is left to chance.
    pub fn new(longest: Duration, seed: u64) -> Roster {
        let turns = Turns::new(Limits { longest, ..LIMITS }, seed);
        Roster { members: Vec::new(), met: Vec::new(), turns, passes: 1 }
    }

    /// Reads the list of threads anew; those that are in it already stay what they are.
    /// Answers whether there are new ones.
    pub fn renew(&mut self, attached: &Attached, process: &Process) -> Result<bool, ReadError> {
        let states = threads_steadily(attached, process)?;
        let ids = attached.kernel_ids(process, process.memory(), &states);
        let mut known: Vec<Option<Member>> = self.members.drain(..).map(Some).collect();
        let before = self.met.len();
        for (state, os_id) in states.into_iter().zip(ids) {
            let same = known.iter_mut().find(|member| {
                member
                    .as_ref()
                    .is_some_and(|member| is_same(&member.watch.state, &state) && member.os_id == os_id)
            });
            let member = match same.and_then(Option::take) {
                Some(mut member) => {
                    member.watch.state = state;
                    member
                }
                None => {
                    self.met.push(Met { os_id, python_id: state.thread_id, counted: Counted::default() });
                    Member::new(process, state, os_id, self.met.len() as u32 - 1)
                }
            };
            self.members.push(member);
        }
        for member in known.into_iter().flatten() {
            if let Some(met) = self.met.get_mut(member.number as usize) {
                met.counted.add(&member.counted());
            }
        }
        self.relate();
        Ok(self.met.len() != before)
    }

    /// Finds out who shares a kernel thread with whom.
    fn relate(&mut self) {
        let of = |member: &Member| (member.os_id, member.watch.state.interpreter_index);
        for index in 0..self.members.len() {
            let (os_id, interpreter) = of(&self.members[index]);
            let shares = |other: &Member| os_id.is_some() && other.os_id == os_id;
            let is_sure = !self.members.iter().enumerate().any(|(at, other)| {
                at != index && shares(other) && other.watch.state.interpreter_index == interpreter
            });
            let below = self.members[..index]
                .iter()
                .rposition(|other| shares(other) && other.watch.state.interpreter_index != interpreter);
            self.members[index].is_sure = is_sure;
            self.members[index].below = below;
            self.members[index].has_above = false;
        }
        for index in 0..self.members.len() {
            if let Some(below) = self.members[index].below {
                self.members[below].has_above = true;
            }
        }
    }

    /// Finds out which threads of process `pid` are wanted; all without a filter.
    pub fn choose_wanted(&mut self, pid: u32, filter: Option<&ThreadFilter>, names: &HashMap<u64, String>) {
        let Some(filter) = filter else { return };
        for member in &mut self.members {
            let python_id = member.watch.state.thread_id;
            member.is_wanted = filter.matches(&Candidate {
                os_id: member.os_id,
                python_id,
                is_main: member.os_id == Some(pid),
                name: names.get(&python_id).map(String::as_str),
            });
        }
    }

    /// How many threads were met.
    pub fn numbered(&self) -> usize {
        self.met.len()
    }

    /// The threads met after the first `count`, those that have ended since as well.
    pub fn met_since(&self, count: usize) -> &[Met] {
        self.met.get(count..).unwrap_or_default()
    }

    /// Finds out which of the threads on a CPU may run bytecode, where there is no GIL.
    pub fn see_attached(&mut self, memory: &impl Memory, layout: &Layout, batch: &mut Batch) {
        let Some(state) = layout.thread.state else { return };
        batch.clear();
        let runs = |member: &Member| member.run_state == Some(RunState::Running);
        for member in self.members.iter().filter(|member| runs(member)) {
            batch.push(state.of(member.watch.state.address), 4);
        }
        memory.read_many(batch);
        for (index, member) in self.members.iter_mut().filter(|member| runs(member)).enumerate() {
            let word = batch.get(index).ok().and_then(|bytes| word(bytes, 0, 4));
            member.watch.state.attached = word.map(|word| word == 1);
        }
    }

    /// What was counted of each thread that was met, by number.
    pub fn counted(&self) -> Vec<Counted> {
        let mut all: Vec<Counted> = self.met.iter().map(|met| met.counted).collect();
        for member in &self.members {
            if let Some(counted) = all.get_mut(member.number as usize) {
                counted.add(&member.counted());
            }
        }
        all
    }

    /// Chooses whom to ask the scheduler about in a pass that stands for `passes`: with `fairly`, of those that were last
    /// seen asleep, where they are many, only some, by chance. What these are found to do counts as often as they were
    /// passed over. Who holds a GIL is always asked about.
    pub fn choose(&mut self, now: Instant, gil: &GilState, fairly: bool, passes: u32) {
        self.passes = passes;
        self.turns.begin(now);
        let asleep = self.members.iter().filter(|member| member.sleeps()).count();
        let seldom = if fairly { self.turns.seldom(asleep) } else { 1 };
        for member in &mut self.members {
            member.weight = passes;
            member.is_passed_over = false;
            // Of a stack that stands on another one both have to be known.
            let is_alone = member.below.is_none() && !member.has_above;
            if seldom > 1 && is_alone && member.sleeps() && !gil.holds(&member.watch.state) {
                member.is_passed_over = self.turns.passes_over(seldom);
                member.weight = passes * seldom;
            }
        }
    }

    /// Whether all of its threads slept when they were last looked at, and nobody holds a GIL.
    pub fn sleeps(&self, gil: &GilState) -> bool {
        let sleeps = |member: &Member| member.sleeps() && !gil.holds(&member.watch.state);
        !self.members.is_empty() && self.members.iter().all(sleeps)
    }

    /// Asks the scheduler of those that were chosen.
    pub fn refresh(&mut self, now: Instant) {
        self.members
            .iter_mut()
            .filter(|member| !member.is_passed_over)
            .for_each(|member| member.refresh(now));
    }

    /// Finds out what all threads do, by `words`, which were read with `heads`.
    pub fn see(
        &mut self,
        attached: &Attached,
        heads: &Heads,
        gil: &GilState,
        (words, asked): (&Batch, HeadsAsked),
    ) {
        // The same for all threads of an interpreter.
        let mut collection = None;
        for member in &mut self.members {
            let state = &member.watch.state;
            let interpreter = state.interpreter_index;
            if collection.is_none_or(|(of, _, _)| of != interpreter) {
                let is_on = heads.collecting(words, asked, interpreter);
                let by = heads.collector(attached, words, asked, interpreter);
                collection = Some((interpreter, is_on, by));
            }
            let (_, is_on, by) = collection.unwrap_or((interpreter, None, None));
            let collects = is_on.map(|is_on| is_on && by == Some(state.address));
            let holds_gil = match gil {
                GilState::Held { .. } => Some(gil.holds(state)),
                GilState::Disabled | GilState::Unknown => None,
            };
            let waits_for_gil = match (gil, holds_gil) {
                (GilState::Disabled, _) => None,
                (_, Some(true)) => Some(false),
                _ => member.waits_for_gil(heads),
            };
            member.doing = Doing { holds_gil, waits_for_gil, collects };
        }
    }

    /// Counts what all threads do.
    pub fn count(&mut self) {
        for member in &mut self.members {
            let weight = if member.is_passed_over { 0 } else { member.weight };
            member.counted.look(member.doing, self.passes, weight);
        }
    }

    /// Whether a thread has ended since the list was read.
    pub fn has_ended(&self) -> bool {
        self.members.iter().any(|member| member.run_state == Some(RunState::Dead))
    }

    /// Whether it is time to look again who a thread is that was not known: it was met before it had begun. Less and
    /// less often, since nobody may ever run in it.
    pub fn may_have_begun(&self) -> bool {
        self.members.iter().any(|member| member.os_id.is_none() && member.counted.looks.is_power_of_two())
    }

    /// Adds the kernel threads that may be running bytecode to `tids`. Sleeping ones never are
    /// stopped: an interrupted sleep can end early, and they stand still as it is.
    pub fn may_run(&self, gil: &GilState, tids: &mut Vec<u32>) {
        for member in &self.members {
            if member.run_state == Some(RunState::Running)
                && gil.may_run(&member.watch.state)
                && let Some(tid) = member.os_id
                && !tids.contains(&tid)
            {
                tids.push(tid);
            }
        }
    }

    /// Whether no thread can run bytecode: a frame changes only under a GIL, and each GIL
    /// is held by a thread that is stopped.
    pub fn stands_still(&self, gil: &GilState, is_stopped: impl Fn(&Member) -> bool) -> bool {
        let GilState::Held { holders, free: 0 } = gil else { return false };
        let stands = |holder| self.members.iter().any(|m| m.watch.state.address == holder && is_stopped(m));
        holders.iter().copied().all(stands)
    }
}

/// Whether both are one thread state at different times.
fn is_same(one: &ThreadState, other: &ThreadState) -> bool {
    let what = |state: &ThreadState| {
        (state.address, state.interpreter, state.interpreter_index, state.thread_id, state.native_thread_id)
    };
    what(one) == what(other)
}

/// All thread states. A list that changes while it is read shows as a fault: it is read again.
pub fn threads_steadily(attached: &Attached, process: &Process) -> Result<Vec<ThreadState>, ReadError> {
    let mut outcome = attached.threads(process.memory());
    for _ in 0..8 {
        match outcome {
            Err(ReadError::Fault { .. }) => outcome = attached.threads(process.memory()),
            _ => break,
        }
    }
    outcome
}

#[cfg(test)]
mod tests {
    use rspy_process::Address;

    use super::*;

    /// Members with these kernel threads, in interpreters of these numbers.
    fn roster(threads: &[(Option<u32>, usize)]) -> Roster {
        let process = Process::open(std::process::id()).expect("this process");
        let member = |(number, (os_id, interpreter_index)): (usize, &(Option<u32>, usize))| {
            let state = ThreadState {
                address: Address(4096 * (number as u64 + 1)),
                interpreter: Address(*interpreter_index as u64),
                interpreter_index: *interpreter_index,
                thread_id: 0,
                native_thread_id: *os_id,
                attached: None,
            };
            Member::new(&process, state, *os_id, number as u32)
        };
        let mut roster = Roster {
            members: threads.iter().enumerate().map(member).collect(),
            ..Roster::new(Duration::MAX, 1)
        };
        roster.relate();
        roster
    }

    fn below(roster: &Roster) -> Vec<Option<usize>> {
        roster.members.iter().map(|member| member.below).collect()
    }

    #[test]
    fn thread_states_of_one_kernel_thread_stand_on_each_other() {
        let roster = roster(&[(Some(1), 0), (Some(2), 0), (Some(1), 1), (Some(1), 2)]);
        assert_eq!(below(&roster), [None, None, Some(0), Some(2)]);
        let has_above: Vec<bool> = roster.members.iter().map(|member| member.has_above).collect();
        assert_eq!(has_above, [true, false, true, false]);
        assert!(roster.members.iter().all(|member| member.is_sure));
    }

    #[test]
    fn threads_that_are_not_known_are_not_one() {
        let roster = roster(&[(None, 0), (None, 1)]);
        assert_eq!(below(&roster), [None, None]);
        assert!(roster.members.iter().all(|member| member.is_sure && !member.has_above));
    }

    #[test]
    fn two_thread_states_of_one_interpreter_do_not_share_a_kernel_thread() {
        let roster = roster(&[(Some(1), 0), (Some(1), 0), (Some(2), 0)]);
        assert_eq!(below(&roster), [None, None, None]);
        let is_sure: Vec<bool> = roster.members.iter().map(|member| member.is_sure).collect();
        assert_eq!(is_sure, [false, false, true]);
    }

    #[test]
    fn who_may_run_is_stopped_once() {
        let mut roster = roster(&[(Some(1), 0), (Some(2), 0), (Some(1), 1), (Some(3), 0), (None, 0)]);
        for (member, state) in roster.members.iter_mut().zip([RunState::Running; 3]) {
            member.run_state = Some(state);
        }
        roster.members[3].run_state = Some(RunState::Sleeping);
        let tids = |gil: &GilState| {
            let mut tids = Vec::new();
            roster.may_run(gil, &mut tids);
            tids
        };
        let holder = roster.members[1].watch.state.address;
        assert_eq!(tids(&GilState::Held { holders: vec![holder], free: 0 }), [2]);
        assert_eq!(tids(&GilState::Held { holders: vec![holder], free: 1 }), [1, 2]);
        assert_eq!(tids(&GilState::Unknown), [1, 2]);
    }

    #[test]
    fn all_stand_still_if_each_holder_of_a_gil_does() {
        let roster = roster(&[(Some(1), 0), (Some(2), 0), (Some(3), 1)]);
        let address = |index: usize| roster.members[index].watch.state.address;
        let stands = |holders: &[Address], free, stopped: &[u32]| {
            let gil = GilState::Held { holders: holders.to_vec(), free };
            roster.stands_still(&gil, |member| member.os_id.is_some_and(|tid| stopped.contains(&tid)))
        };
        assert!(stands(&[address(0)], 0, &[1]));
        assert!(!stands(&[address(0)], 0, &[2]));
        assert!(!stands(&[address(0)], 1, &[1]), "whoever takes the free one may run");
        assert!(!stands(&[address(0), address(2)], 0, &[1]));
        assert!(stands(&[address(0), address(2)], 0, &[1, 3]));
        // A holder that is in no list.
        assert!(!stands(&[Address(1)], 0, &[1, 2, 3]));
        assert!(!roster.stands_still(&GilState::Disabled, |_| true));
        assert!(!roster.stands_still(&GilState::Unknown, |_| true));
    }
}
