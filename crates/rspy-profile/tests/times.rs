//! Where time went, and the spans of a function; memory over time, of several processes.

mod fixture;

use fixture::{Recorder, metadata};
use rspy_profile::analysis::{Memory, Split, Times, moments, spans};
use rspy_profile::{
    Account, Activity, MemoryUse, Options, Process, ProcessId, Profile, Sample, StackId, Thread, ThreadId,
    ThreadState,
};

fn wall() -> Options {
    Options { idle: true, ..Options::default() }
}

fn recorder() -> Recorder {
    Recorder { profile: Profile::new(metadata()), ..Recorder::default() }
}

const PERIOD: u64 = 10_000_000;

/// Adds `count` samples from tick `from` on.
fn add(
    recorder: &mut Recorder,
    (thread, stack): (ThreadId, StackId),
    ticks: std::ops::Range<u64>,
    state: ThreadState,
) {
    for tick in ticks {
        recorder.profile.add(Sample { at: tick * PERIOD, thread, stack, weight: 1, state });
    }
}

fn running(in_kernel: Option<bool>) -> ThreadState {
    ThreadState { activity: Activity::Active, in_kernel, ..ThreadState::default() }
}

fn sleeping() -> ThreadState {
    ThreadState { activity: Activity::Idle, ..ThreadState::default() }
}

fn is_near(split: Split, expected: [f64; 5]) {
    let found = [split.all, split.user, split.kernel, split.unknown, split.waiting];
    assert!(found.iter().zip(expected).all(|(found, expected)| (found - expected).abs() < 1e-9), "{split:?}");
}

#[test]
fn time_is_user_kernel_or_waiting() {
    let mut recorder = recorder();
    let thread = recorder.thread(1, "");
    let main = recorder.stack(StackId::EMPTY, &[("main", "/a.py", 1, 1)]);
    let read = recorder.stack(main, &[("read", "/a.py", 9, 8)]);
    let wait = recorder.stack(main, &[("wait", "/a.py", 19, 18)]);
    add(&mut recorder, (thread, main), 0..100, running(Some(false)));
    add(&mut recorder, (thread, read), 100..130, running(Some(true)));
    add(&mut recorder, (thread, read), 130..140, running(Some(false)));
    // What is not known is as what is.
    add(&mut recorder, (thread, read), 140..180, running(None));
    add(&mut recorder, (thread, wait), 180..200, sleeping());
    let blurred = recorder.stack(main, &[("blurred", "/a.py", 29, 28)]);
    add(&mut recorder, (thread, blurred), 200..220, running(None));
    let again = recorder.stack(main, &[("again", "/a.py", 39, 38), ("main", "/a.py", 1, 1)]);
    add(&mut recorder, (thread, again), 220..230, running(None));
    let times = Times::new(&recorder.profile, &wall());
    let of = |name: &str| {
        times.functions.iter().find(|function| function.name.starts_with(name)).expect("it was seen")
    };
    assert_eq!(times.known, 140);
    is_near(of("read").own, [0.8, 0.2, 0.6, 0.0, 0.0]);
    is_near(of("wait").own, [0.2, 0.0, 0.0, 0.0, 0.2]);
    is_near(of("main").own, [1.1, 1.1, 0.0, 0.0, 0.0]);
    is_near(of("main").total, [2.3, 1.3, 0.6, 0.2, 0.2]);
    is_near(of("blurred").own, [0.2, 0.0, 0.0, 0.2, 0.0]);
    // By another way to the same line.
    is_near(of("again").total, [0.1, 0.1, 0.0, 0.0, 0.0]);
}

#[test]
fn a_recursion_takes_no_more_time_than_its_outermost_call() {
    let mut recorder = recorder();
    let thread = recorder.thread(1, "");
    let deep =
        recorder.stack(StackId::EMPTY, &[("f", "/a.py", 2, 1), ("f", "/a.py", 2, 1), ("f", "/a.py", 3, 1)]);
    add(&mut recorder, (thread, deep), 0..50, running(None));
    let times = Times::new(&recorder.profile, &wall());
    assert_eq!(times.functions.len(), 1);
    is_near(times.functions[0].total, [0.5, 0.0, 0.0, 0.5, 0.0]);
}

#[test]
fn spans_are_samples_in_a_row() {
    let mut recorder = recorder();
    let (one, other) = (recorder.thread(1, ""), recorder.thread(2, ""));
    let main = recorder.stack(StackId::EMPTY, &[("main", "/a.py", 1, 1)]);
    let work = recorder.stack(main, &[("C.work", "/a.py", 9, 8)]);
    let inner = recorder.stack(work, &[("inner", "/a.py", 19, 18)]);
    add(&mut recorder, (one, main), 0..10, running(None));
    add(&mut recorder, (one, work), 10..20, running(None));
    // It goes on while it calls something.
    add(&mut recorder, (one, inner), 20..30, running(None));
    add(&mut recorder, (one, main), 30..40, running(None));
    add(&mut recorder, (one, work), 40..80, running(None));
    add(&mut recorder, (other, work), 0..60, running(None));
    let spans = spans(&recorder.profile, &wall(), |name| name == "C.work");
    let [span] = spans.as_slice() else { panic!("{spans:?}") };
    assert_eq!((span.count, span.range), (3, [0.2, 0.6]));
    assert!((span.total - 1.2).abs() < 1e-9 && (span.mean - 0.4).abs() < 1e-9, "{span:?}");
    // The standard deviation of 0.2, 0.4 and 0.6 is 0.2.
    assert!((span.mean_error - 0.2 / 3_f64.sqrt()).abs() < 1e-9, "{span:?}");
}

/// A parent and a child, which have 40 MB together.
fn fork() -> Profile {
    let mut profile = Profile::new(metadata());
    let command = profile.strings.intern("python pool.py");
    let parent = profile.processes.add(Process { pid: 10, parent: None, command_line: command });
    let child = profile.processes.add(Process { pid: 11, parent: Some(parent), command_line: command });
    let stack = StackId::EMPTY;
    for (process, ticks) in [(parent, 0..300), (child, 100..200)] {
        let thread = profile.threads.add(Thread { process, os_id: None, python_id: None, name: None });
        for tick in ticks {
            profile.add(Sample { at: tick * PERIOD, thread, stack, weight: 1, state: running(None) });
        }
    }
    let mega = 1_000_000;
    let use_of =
        |at: u64, process, megabytes: u64| MemoryUse { at: at * PERIOD, process, resident: megabytes * mega };
    profile.memory =
        vec![use_of(0, parent, 50), use_of(100, child, 45), use_of(150, child, 60), use_of(250, parent, 70)];
    let account = |at: u64, process: ProcessId, proportional: u64, shared: u64| Account {
        at: at * PERIOD,
        process,
        proportional: proportional * mega,
        private: 0,
        shared_dirty: shared * mega,
        swapped: 0,
        faults: [0; 2],
        collections: Vec::new(),
        collecting: None,
        arenas: None,
    };
    profile.accounts = vec![
        account(0, parent, 50, 0),
        account(101, parent, 30, 40),
        account(101, child, 25, 40),
        account(199, child, 40, 30),
    ];
    profile
}

#[test]
fn no_page_is_counted_twice() {
    let profile = fork();
    let memory = Memory::new(&profile, &wall());
    let [parent, child] = memory.processes.as_slice() else { panic!("{memory:?}") };
    assert_eq!((parent.start_method, child.start_method, child.parent), (None, Some("fork"), Some(10)));
    assert_eq!(
        (child.first, child.last, child.peak, child.peak_at),
        (45_000_000, 60_000_000, 60_000_000, 1.5)
    );
    let [first, last] = child.shares.expect("it was looked at");
    assert_eq!((first.shared_dirty, last.shared_dirty), (40_000_000, 30_000_000));
    // The parent alone: 70 of which 20 were the child's; all that there was together is more.
    let peak = memory.peak.expect("memory was recorded");
    assert_eq!((peak.bytes, peak.pid), (70_000_000, 11));
    let moments = moments(&profile, 30);
    let total = |tick: u64| {
        let at = tick as f64 / 100.0;
        moments
            .iter()
            .rev()
            .find(|moment| moment.at <= at + 1e-9)
            .map_or(0, |moment| moment.total() / 1_000_000)
    };
    assert_eq!((total(50), total(120), total(160)), (50, 55, 70));
    // The child has ended.
    assert!(moments.iter().filter(|moment| moment.at > 2.1).all(|moment| moment.bytes[1] == 0));
}

/// As long as nobody has looked at the parent again, what it shares with a fork is known from that.
#[test]
fn a_fork_tells_what_its_parent_shares() {
    let mut profile = fork();
    profile.accounts.retain(|account| account.at == 0 || account.process.index() == 1);
    profile.accounts[1].private = 5_000_000;
    let [before, after] = [90, 110].map(|tick| {
        let moments = moments(&profile, 300);
        let moment = moments.iter().rev().find(|moment| moment.at <= f64::from(tick) / 100.0 + 1e-9);
        moment.map(|moment| moment.bytes.clone()).expect("there is one")
    });
    assert_eq!((before, after), (vec![50_000_000, 0], vec![30_000_000, 25_000_000]));
    // The end of the fork gives back nothing that nobody has seen.
    assert_eq!(Memory::new(&profile, &wall()).peak.expect("memory was recorded").bytes, 70_000_000);
}

/// A program that starts itself anew has the command line of its parent, and nothing of its memory.
#[test]
fn what_shares_nothing_is_no_fork() {
    let mut profile = fork();
    for account in &mut profile.accounts {
        account.shared_dirty = 0;
    }
    let memory = Memory::new(&profile, &wall());
    let methods: Vec<_> = memory.processes.iter().map(|process| process.start_method).collect();
    assert_eq!(methods, [None, None]);
}

#[test]
fn without_rows_there_is_no_peak() {
    let profile = Profile::new(metadata());
    let memory = Memory::new(&profile, &wall());
    assert!(memory.peak.is_none() && memory.processes.is_empty() && moments(&profile, 10).is_empty());
}
