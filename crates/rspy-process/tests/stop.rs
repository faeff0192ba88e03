//! Stopping a thread, and every way in which it resumes.

use std::os::unix::process::ExitStatusExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::Command;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use nix::unistd::Pid;
use rspy_process::stop::{StopError, StopStats, Tracer};
use rustix::process::{WaitId, WaitIdOptions, waitid};

use targets::{PATIENCE, Target, state, tracer_of, until};

mod targets;

fn assert_stands_still(target: &Target, thread: u64) {
    let before = target.count(thread);
    assert!((0..1000).all(|_| target.count(thread) == before), "it counts on");
}

#[test]
fn a_busy_thread_stands_still_while_the_guard_lives() {
    let target = Target::start("spin", 1);
    let [tid] = target.workers()[..] else { panic!("one thread counts") };
    let mut tracer = Tracer::new(PATIENCE);
    for _ in 0..50 {
        let before = Instant::now();
        let stop = tracer.stop(target.pid(), &[tid]);
        assert_eq!(stop.outcome(tid), Ok(()));
        assert!(stop.all_stopped());
        assert!(stop.stopped_at() >= before && stop.stopped_at() <= Instant::now());
        assert_eq!(state(tid), Some('t'));
        assert_stands_still(&target, 0);
        drop(stop);
        assert_eq!(tracer_of(tid), Some(0));
        target.assert_runs(0);
    }
    let stats = tracer.stats();
    assert_eq!((stats.count, stats.late, stats.refused), (50, 0, 0));
    assert!(stats.max > Duration::ZERO && stats.max <= stats.total);
    assert!(!tracer.has_late());
}

#[test]
fn threads_stop_together_and_those_not_asked_run_on() {
    let target = Target::start("spin", 4);
    let workers = target.workers();
    let (asked, other) = workers.split_at(3);
    let mut tracer = Tracer::new(PATIENCE);
    // One is named twice, one has never been.
    let stop = tracer.stop(target.pid(), &[asked[0], asked[1], asked[2], asked[0], 0]);
    assert!(asked.iter().all(|&tid| stop.outcome(tid) == Ok(())));
    assert_eq!(stop.outcome(other[0]), Err(StopError::NotAsked));
    assert_eq!(stop.outcome(0), Err(StopError::Gone));
    assert!(!stop.all_stopped());
    let moving = (0..4).filter(|&at| {
        let before = target.count(at);
        (0..1000).any(|_| target.count(at) != before)
    });
    assert!(moving.count() <= 1);
    drop(stop);
    (0..4).for_each(|at| target.assert_runs(at));
    assert_eq!(tracer.stats().refused, 0);
}

#[test]
fn nothing_to_stop_is_no_stop() {
    let mut tracer = Tracer::new(PATIENCE);
    assert!(tracer.stop(std::process::id(), &[]).all_stopped());
    assert_eq!(tracer.stats(), StopStats::default());
}

#[test]
fn a_panic_under_the_guard_resumes() {
    let target = Target::start("spin", 1);
    let tid = target.workers()[0];
    let mut tracer = Tracer::new(PATIENCE);
    let panic = catch_unwind(AssertUnwindSafe(|| {
        let stop = tracer.stop(target.pid(), &[tid]);
        assert!(stop.all_stopped());
        std::panic::resume_unwind(Box::new("the reader failed"));
    }));
    assert!(panic.is_err());
    assert_eq!(tracer_of(tid), Some(0));
    target.assert_runs(0);
}

#[test]
fn a_leaked_guard_resumes_at_the_next_stop_or_with_the_tracer() {
    let target = Target::start("spin", 2);
    let [first, second] = target.workers()[..] else { panic!("two threads count") };
    let mut tracer = Tracer::new(PATIENCE);
    std::mem::forget(tracer.stop(target.pid(), &[first]));
    let stop = tracer.stop(target.pid(), &[second]);
    assert_eq!(tracer_of(first), Some(0));
    std::mem::forget(stop);
    drop(tracer);
    assert_eq!(tracer_of(second), Some(0));
    (0..2).for_each(|at| target.assert_runs(at));
}

#[test]
fn who_cannot_be_stopped_is_told_apart() {
    let mut tracer = Tracer::new(PATIENCE);
    let mut outcome = |tid| tracer.stop(tid, &[tid]).outcome(tid);

    let mut ended = Command::new("true").spawn().expect("true starts");
    ended.wait().expect("it is our child");
    assert_eq!(outcome(ended.id()), Err(StopError::Gone));
    assert_eq!(outcome(0), Err(StopError::Gone));
    assert_eq!(outcome(u32::MAX), Err(StopError::Gone));

    let mut zombie = Command::new("true").spawn().expect("true starts");
    wait_for_exit_of(zombie.id());
    assert_eq!(outcome(zombie.id()), Err(StopError::Gone));
    zombie.wait().expect("its exit was not collected");

    let target = Target::start("spin", 1);
    let tid = target.workers()[0];
    let debugger = Target::start("tracer", i64::from(tid));
    assert_eq!(outcome(tid), Err(StopError::Traced { by: debugger.pid() }));
    assert_eq!(tracer.stats().refused, 1);
    assert_eq!(tracer.stats().count, 0);
}

#[test]
fn without_permission_it_is_denied() {
    let target = Target::start("secret", 1);
    let tid = target.workers()[0];
    // An ordinary user may not trace it; root may, so stop being root in one thread.
    let outcome = std::thread::spawn(move || {
        if rustix::process::geteuid().is_root() {
            let nobody = rustix::process::Uid::from_raw(65534);
            rustix::thread::set_thread_res_uid(nobody, nobody, nobody).expect("root may");
        }
        Tracer::new(PATIENCE).stop(tid, &[tid]).outcome(tid)
    });
    assert_eq!(outcome.join().expect("it does not panic"), Err(StopError::Denied));
}

#[test]
fn a_stopped_target_stays_stopped() {
    let target = Target::start("spin", 1);
    let tid = target.workers()[0];
    let mut tracer = Tracer::new(PATIENCE);
    target.send(Signal::SIGSTOP);
    until("it stops", || state(tid) == Some('T'));

    for _ in 0..20 {
        assert!(tracer.stop(target.pid(), &target.tids()).all_stopped());
        until("it is stopped again", || target.tids().iter().all(|&tid| state(tid) == Some('T')));
        assert_stands_still(&target, 0);
    }
    target.send(Signal::SIGCONT);
    target.assert_runs(0);
}

#[test]
fn sigstop_and_sigcont_under_the_guard_are_kept() {
    let target = Target::start("spin", 1);
    let tid = target.workers()[0];
    let mut tracer = Tracer::new(PATIENCE);

    for _ in 0..20 {
        let stop = tracer.stop(target.pid(), &[tid]);
        assert!(stop.all_stopped());
        target.send(Signal::SIGSTOP);
        drop(stop);
        until("the signal stops it", || state(tid) == Some('T'));

        let stop = tracer.stop(target.pid(), &[tid]);
        assert!(stop.all_stopped());
        target.send(Signal::SIGCONT);
        assert_stands_still(&target, 0);
        drop(stop);
        target.assert_runs(0);
    }
}

#[test]
fn sigstop_while_being_stopped_is_kept() {
    let target = Target::start("spin", 1);
    let tid = target.workers()[0];
    // The signal comes at some moment of a stop, at times between SEIZE and INTERRUPT.
    for _ in 0..200 {
        let mut tracer = Tracer::new(PATIENCE);
        std::thread::scope(|scope| {
            scope.spawn(|| target.send(Signal::SIGSTOP));
            while state(tid) != Some('T') {
                assert!(tracer.stop(target.pid(), &[tid]).all_stopped());
            }
        });
        drop(tracer);
        until("it stays stopped", || state(tid) == Some('T'));
        target.send(Signal::SIGCONT);
        target.assert_runs(0);
    }
}

#[test]
fn exits_of_other_children_are_left_alone() {
    let target = Target::start("spin", 2);
    let mut other = Command::new("sh").args(["-c", "exit 7"]).spawn().expect("sh starts");
    wait_for_exit_of(other.id());
    let mut tracer = Tracer::new(PATIENCE);
    for _ in 0..100 {
        assert!(tracer.stop(target.pid(), &target.workers()).all_stopped());
    }
    let status = other.wait().expect("its exit was not collected");
    assert_eq!((status.code(), status.signal()), (Some(7), None));
}

/// Waits for the exit of a child and leaves it to be collected.
fn wait_for_exit_of(child: u32) {
    let pid = rustix::process::Pid::from_raw(Pid::from_raw(child as i32).as_raw()).expect("a pid");
    waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT).expect("it is our child");
}
