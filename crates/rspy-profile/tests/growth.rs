//! Who is charged with changes of memory: written cases, and what holds for all.

mod fixture;

use std::collections::BTreeMap;

use fixture::{Recorder, metadata};
use proptest::prelude::*;
use rspy_profile::{Activity, MemoryUse, Process, Profile, Sample, StackId, Thread, ThreadId, ThreadState};

const MEGABYTE: f64 = (1 << 20) as f64;

/// Where a thread is: `main` at this line, and within the function that it calls there, if there is one.
type Place = (u32, &'static str);

const NOWHERE: Place = (0, "");

/// What a thread does when it is looked at.
#[derive(Clone, Copy, Debug)]
enum Does {
    /// Runs, and holds the GIL.
    Holds,
    /// Runs, as far as the scheduler knows, without the GIL.
    Runs,
    Sleeps,
}

/// A process that is looked at every 10 ms.
#[derive(Debug, Default)]
struct Looks {
    recorder: Recorder,
    threads: Vec<ThreadId>,
    at: u64,
}

impl Looks {
    fn new(threads: u32) -> Looks {
        let mut looks = Looks::default();
        looks.recorder.profile = Profile::new(metadata());
        looks.threads = (0..threads).map(|id| looks.recorder.thread(id + 1, "")).collect();
        looks
    }

    fn stack(&mut self, (line, function): Place) -> StackId {
        if line == 0 {
            return StackId::EMPTY;
        }
        let outer = self.recorder.stack(StackId::EMPTY, &[("main", "/app.py", line, 1)]);
        match function {
            "" => outer,
            name => self.recorder.stack(outer, &[(name, "/app.py", 100, 90)]),
        }
    }

    /// What each thread does, and how many megabytes are resident then.
    fn look(&mut self, threads: &[(Place, Does)], megabytes: f64) {
        self.at += 10_000_000;
        for (index, (place, does)) in threads.iter().enumerate() {
            let stack = self.stack(*place);
            let (activity, gil) = match does {
                Does::Holds => (Activity::Active, true),
                Does::Runs => (Activity::Active, false),
                Does::Sleeps => (Activity::Idle, false),
            };
            let state = ThreadState { activity, owns_gil: Some(gil), ..ThreadState::default() };
            let thread = self.threads[index];
            self.recorder.profile.add(Sample { at: self.at, thread, stack, weight: 1, state });
        }
        let process = self.recorder.profile.threads[self.threads[0]].process;
        let resident = (megabytes * MEGABYTE) as u64;
        let memory = &mut self.recorder.profile.memory;
        // Only what has changed is recorded.
        if memory.last().is_none_or(|row| row.resident != resident) {
            memory.push(MemoryUse { at: self.at, process, resident });
        }
    }

    /// The same for one thread, which runs.
    fn one(&mut self, place: Place, megabytes: f64) {
        self.look(&[(place, Does::Holds)], megabytes);
    }

    /// No thread is seen any more when so many megabytes are resident.
    fn nobody(&mut self, megabytes: f64) {
        self.look(&[], megabytes);
    }

    /// By how many megabytes each place has grown, by its functions and lines.
    fn charged(mut self) -> BTreeMap<String, f64> {
        self.recorder.profile.charge_memory();
        let profile = &self.recorder.profile;
        let mut charged: BTreeMap<String, f64> = BTreeMap::new();
        for growth in &profile.growth {
            let frames = profile.stacks.leaf_first(growth.stack).map(|frame| {
                let frame = &profile.frames[frame];
                let line = frame.line.map_or("?".to_owned(), |line| line.to_string());
                format!("{}:{line}", &profile.strings[frame.name])
            });
            let mut frames: Vec<String> = frames.collect();
            frames.reverse();
            *charged.entry(frames.join(" ")).or_default() += growth.bytes / MEGABYTE;
        }
        // Rounded, so that what is written here is exact.
        charged.into_iter().map(|(place, megabytes)| (place, (megabytes * 100.0).round() / 100.0)).collect()
    }
}

fn expect(looks: Looks, expected: &[(&str, f64)]) {
    let expected = expected.iter().map(|(place, megabytes)| ((*place).to_owned(), *megabytes)).collect();
    assert_eq!(looks.charged(), expected);
}

const CALM: Place = (2, "calm");
const GROWS: Place = (3, "grows");

#[test]
fn what_one_stack_does_is_its_own() {
    let mut looks = Looks::new(1);
    for step in 0..10 {
        looks.one(GROWS, 100.0 + f64::from(step));
    }
    expect(looks, &[("main:3 grows:100", 9.0)]);
}

#[test]
fn what_a_process_has_at_first_has_not_grown() {
    let mut looks = Looks::new(1);
    looks.one(GROWS, 500.0);
    looks.one(GROWS, 500.0);
    expect(looks, &[]);
}

/// Between the two of them either might have been it; what is seen of each elsewhere decides.
#[test]
fn who_never_grows_is_not_charged() {
    let mut looks = Looks::new(1);
    let mut megabytes = 100.0;
    for _ in 0..5 {
        for _ in 0..5 {
            looks.one(CALM, megabytes);
        }
        for _ in 0..5 {
            megabytes += 10.0;
            looks.one(GROWS, megabytes);
        }
    }
    expect(looks, &[("main:3 grows:100", 250.0)]);
}

#[test]
fn what_is_given_back_is_charged_to_who_gives_it() {
    let mut looks = Looks::new(1);
    for megabytes in [100.0, 110.0, 120.0, 130.0] {
        looks.one(GROWS, megabytes);
    }
    for megabytes in [120.0, 110.0, 100.0, 100.0] {
        looks.one((4, "frees"), megabytes);
    }
    // Of the first step down both are suspected, and only one of them has ever given something back.
    expect(looks, &[("main:3 grows:100", 30.0), ("main:4 frees:100", -30.0)]);
}

/// Each of them is seen often enough to know that it does not grow: what did was seen in no sample.
#[test]
fn what_no_sample_shows_is_the_functions_at_no_line() {
    let mut looks = Looks::new(1);
    for _ in 0..6 {
        looks.one(CALM, 100.0);
    }
    for _ in 0..6 {
        looks.one((3, "calm as well"), 180.0);
    }
    expect(looks, &[("main:?", 80.0)]);
}

#[test]
fn the_holder_of_the_gil_is_charged() {
    let mut looks = Looks::new(2);
    for step in 0..6 {
        looks.look(&[(CALM, Does::Runs), (GROWS, Does::Holds)], 100.0 + f64::from(step));
    }
    expect(looks, &[("main:3 grows:100", 5.0)]);
}

#[test]
fn where_nobody_holds_the_gil_who_runs_is_charged() {
    let mut looks = Looks::new(2);
    for step in 0..6 {
        looks.look(&[(CALM, Does::Sleeps), (GROWS, Does::Runs)], 100.0 + f64::from(step));
    }
    expect(looks, &[("main:3 grows:100", 5.0)]);
}

#[test]
fn of_several_sleepers_nobody_is_charged() {
    let mut looks = Looks::new(2);
    for step in 0..6 {
        looks.look(&[(CALM, Does::Sleeps), (GROWS, Does::Sleeps)], 100.0 + f64::from(step));
    }
    expect(looks, &[("", 5.0)]);
}

/// It waits for pages to be read.
#[test]
fn a_sleeper_that_is_alone_is_charged() {
    let mut looks = Looks::new(1);
    for step in 0..6 {
        looks.look(&[(GROWS, Does::Sleeps)], 100.0 + f64::from(step));
    }
    expect(looks, &[("main:3 grows:100", 5.0)]);
}

#[test]
fn a_thread_without_python_code_has_the_empty_stack() {
    let mut looks = Looks::new(1);
    for step in 0..6 {
        looks.one(NOWHERE, 100.0 + f64::from(step));
    }
    expect(looks, &[("", 5.0)]);
}

#[test]
fn what_the_end_of_a_process_gives_back_is_nobodys() {
    let mut looks = Looks::new(1);
    for step in 0..6 {
        looks.one(GROWS, 100.0 + f64::from(step));
    }
    looks.one(NOWHERE, 80.0);
    looks.nobody(60.0);
    looks.nobody(10.0);
    expect(looks, &[("", -95.0), ("main:3 grows:100", 5.0)]);
}

/// A loop that is faster than samples are taken: one line takes memory and sleeps, the other one looks at the clock.
#[test]
fn a_line_that_takes_memory_and_sleeps_is_charged() {
    let mut looks = Looks::new(1);
    for step in 0..200_u32 {
        let seen = match step {
            100 => (CALM, Does::Holds),
            step if step % 10 == 0 => (GROWS, Does::Holds),
            _ => (GROWS, Does::Sleeps),
        };
        looks.look(&[seen], 100.0 + 0.1 * f64::from(step));
    }
    let charged = looks.charged();
    // All of 19.9 MB, but for what was seen to be the other line.
    assert!(charged["main:3 grows:100"] > 19.0, "{charged:?}");
}

/// One that only sleeps is seen to run at times, too: when it goes to sleep.
#[test]
fn a_line_that_only_sleeps_is_not_charged() {
    let mut looks = Looks::new(1);
    for step in 0..200_u32 {
        let seen = match step % 20 {
            0 => (GROWS, Does::Holds),
            1 => (CALM, Does::Holds),
            _ => (CALM, Does::Sleeps),
        };
        looks.look(&[seen], 100.0 + 0.1 * f64::from(step));
    }
    let charged = looks.charged();
    assert!(charged["main:3 grows:100"] > 17.0, "{charged:?}");
}

/// Lines that alternate faster than samples are taken: each of ten samples is of the line that takes memory but one.
#[test]
fn lines_that_alternate_are_charged_by_how_often_they_run() {
    let mut looks = Looks::new(1);
    for step in 0..100_u32 {
        let place = if step % 10 == 5 { CALM } else { GROWS };
        looks.one(place, 100.0 + f64::from(step));
    }
    let charged = looks.charged();
    assert!(charged["main:3 grows:100"] > 85.0, "{charged:?}");
}

prop_compose! {
    /// What two threads do, and how much is resident then: often what was, seldom much more or less.
    fn looks()(
        looks in prop::collection::vec(
            (prop::collection::vec((0..4_u32, 0..3_usize, 0..3_usize), 1..3), prop_oneof![
                4 => Just(0.0), 2 => -2.0..2.0_f64, 1 => -500.0..500.0_f64
            ]),
            1..60,
        ),
    ) -> (Looks, f64) {
        let mut all = Looks::new(2);
        let (mut first, mut megabytes) = (None, 1000.0_f64);
        for (threads, change) in looks {
            megabytes = (megabytes + change).max(1.0);
            first.get_or_insert(megabytes);
            let place = |line, function| (line, ["", "one", "other"][function]);
            let does = |does| [Does::Holds, Does::Runs, Does::Sleeps][does];
            let threads: Vec<(Place, Does)> =
                threads.into_iter().map(|(line, function, doing)| (place(line, function), does(doing))).collect();
            all.look(&threads, megabytes);
        }
        (all, megabytes - first.unwrap_or(megabytes))
    }
}

proptest! {
    #[test]
    fn every_change_is_charged_once((looks, change) in looks()) {
        let mut profile = looks.recorder.profile;
        profile.charge_memory();
        let sum: f64 = profile.growth.iter().map(|growth| growth.bytes).sum();
        prop_assert!((sum - change * MEGABYTE).abs() < 16.0, "{sum} of {}", change * MEGABYTE);
        prop_assert!(profile.growth.iter().all(|growth| growth.bytes.is_finite() && growth.bytes != 0.0));
        prop_assert!(profile.growth.is_sorted_by_key(|growth| growth.at));
    }

    /// What one process does is no concern of another one.
    #[test]
    fn processes_are_told_apart((looks, change) in looks()) {
        let mut profile = looks.recorder.profile;
        let command_line = profile.strings.intern("python other.py");
        let process = profile.processes.add(Process { pid: 9, parent: None, command_line });
        let thread = profile.threads.add(Thread { process, os_id: Some(9), python_id: None, name: None });
        let rows = profile.memory.clone();
        for MemoryUse { at, resident, .. } in rows {
            profile.add(Sample { at, thread, stack: StackId::EMPTY, weight: 1, state: ThreadState::default() });
            profile.memory.push(MemoryUse { at, process, resident: resident + 4096 });
        }
        profile.memory.sort_by_key(|row| row.at);
        profile.charge_memory();
        let of_other = |growth: &&rspy_profile::Growth| growth.thread == thread;
        let sum: f64 = profile.growth.iter().filter(of_other).map(|growth| growth.bytes).sum();
        prop_assert!((sum - change * MEGABYTE).abs() < 16.0, "{sum} of {}", change * MEGABYTE);
    }
}
