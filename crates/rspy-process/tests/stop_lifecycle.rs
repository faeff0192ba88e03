//! Threads and processes that end, are born, or become another while being stopped.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use rspy_process::stop::{StopError, Tracer};

use targets::{PATIENCE, Target, state, tracer_of, until};

mod targets;

/// Serves late threads until there are none.
fn settle(tracer: &mut Tracer) {
    until("late threads are served", || {
        tracer.serve_late();
        !tracer.has_late()
    });
}

#[test]
fn a_storm_of_threads_goes_on() {
    let mut target = Target::start("threads", 4000);
    let mut tracer = Tracer::new(PATIENCE);
    while !target.has_spoken() {
        let tids = target.tids();
        let stop = tracer.stop(target.pid(), &tids);
        for tid in tids {
            let outcome = stop.outcome(tid);
            assert!(matches!(outcome, Ok(()) | Err(StopError::Gone | StopError::Late)), "{outcome:?}");
        }
    }
    assert_eq!(target.hear(), "done 4000");
    settle(&mut tracer);
}

#[test]
fn an_exit_under_the_guard_keeps_its_status() {
    for _ in 0..20 {
        // Our own child: its status is left for us to collect.
        let mut target = Target::start("spin", 2);
        exit_under_the_guard(&mut target);
        assert_eq!(target.end(), 5);
        // Another's child: its status must get through to its parent.
        let mut target = Target::start_elsewhere("spin", 2);
        exit_under_the_guard(&mut target);
        assert_eq!(target.hear(), "ended 5");
    }
}

fn exit_under_the_guard(target: &mut Target) {
    let mut tracer = Tracer::new(PATIENCE);
    let stop = tracer.stop(target.pid(), &target.workers());
    assert!(stop.all_stopped());
    target.tell('x'); // the main thread hears it, and ends the others
    until("its main thread ends", || state(target.pid()) == Some('Z'));
    drop(stop);
    settle(&mut tracer);
}

#[test]
fn a_kill_under_the_guard_is_seen_by_the_parent() {
    for _ in 0..20 {
        let mut target = Target::start("spin", 2);
        kill_under_the_guard(&target);
        assert_eq!(target.end(), -9);
        let mut target = Target::start_elsewhere("spin", 2);
        kill_under_the_guard(&target);
        assert_eq!(target.hear(), "ended -9");
    }
}

fn kill_under_the_guard(target: &Target) {
    let mut tracer = Tracer::new(PATIENCE);
    let stop = tracer.stop(target.pid(), &target.tids());
    assert!(stop.all_stopped());
    target.send(Signal::SIGKILL);
    drop(stop);
    settle(&mut tracer);
}

#[test]
fn a_main_thread_that_ended_is_gone_and_the_others_stop() {
    let mut target = Target::start("spin", 1);
    let worker = target.workers()[0];
    target.tell('e');
    until("its main thread ends", || state(target.pid()) == Some('Z'));
    let mut tracer = Tracer::new(PATIENCE);
    let stop = tracer.stop(target.pid(), &[target.pid(), worker]);
    assert_eq!(stop.outcome(target.pid()), Err(StopError::Gone));
    assert_eq!(stop.outcome(worker), Ok(()));
    drop(stop);
    target.assert_runs(0);
}

#[test]
fn an_exec_by_another_thread_goes_on() {
    exec_while_stopping(Target::start("exec", 100));
}

#[test]
fn an_exec_in_a_process_that_is_not_our_child_goes_on() {
    exec_while_stopping(Target::start_elsewhere("exec", 100));
}

/// All threads but one are killed, and that one takes over the id of the first, and
/// our tracing with it. A wrong order of waits would hang both for ever.
fn exec_while_stopping(mut target: Target) {
    let mut tracer = Tracer::new(Duration::from_millis(10));
    let mut turn = 0;
    while !target.has_spoken() {
        turn += 1;
        let tids = target.tids();
        let some = if turn % 2 == 0 { &tids[..] } else { &tids[tids.len().saturating_sub(1)..] };
        drop(tracer.stop(target.pid(), some));
        tracer.serve_late();
    }
    assert_eq!(target.hear(), "done");
    settle(&mut tracer);
    assert_eq!(tracer_of(target.pid()), Some(0));
}

#[test]
fn a_parent_in_vfork_is_late_and_then_served() {
    let mut target = Target::start("vfork", 0);
    let pid = target.pid();
    let limit = Duration::from_millis(5);
    let mut tracer = Tracer::new(limit);

    let start = Instant::now();
    let stop = tracer.stop(pid, &[pid]);
    assert_eq!(stop.outcome(pid), Err(StopError::Late));
    assert!(start.elapsed() >= limit && start.elapsed() < PATIENCE / 3);
    drop(stop);
    tracer.serve_late();
    assert!(tracer.has_late());
    // As long as it is not served, nothing of its process can be stopped.
    assert_eq!(tracer.stop(pid, &[pid]).outcome(pid), Err(StopError::Late));

    target.send(Signal::SIGUSR1);
    target.send(Signal::SIGUSR2);
    target.tell('q'); // to the child, that holds its parent up
    until("it stops, late", || state(pid) == Some('t'));
    assert!(!target.has_spoken());
    settle(&mut tracer);
    assert_eq!(target.hear(), "left 2");
    assert_eq!(tracer_of(pid), Some(0));

    let stats = tracer.stats();
    assert_eq!((stats.count, stats.late, stats.refused), (1, 1, 1));
    assert!(stats.max <= stats.total);
}

#[test]
fn the_end_of_the_tracing_thread_frees_the_late() {
    let mut target = Target::start("vfork", 0);
    let pid = target.pid();
    let traced = std::thread::spawn(move || {
        let mut tracer = Tracer::new(Duration::from_millis(1));
        assert_eq!(tracer.stop(pid, &[pid]).outcome(pid), Err(StopError::Late));
        assert_ne!(tracer_of(pid), Some(0));
        drop(tracer);
        tracer_of(pid)
    });
    assert_ne!(traced.join().expect("it does not panic"), Some(0));
    assert_eq!(tracer_of(pid), Some(0));
    target.send(Signal::SIGUSR1);
    target.tell('q');
    assert_eq!(target.hear(), "left 1");
    target.assert_runs(0);
}
