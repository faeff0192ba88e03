//! What happens between two steps of a stop. Seen from outside these moments last
//! microseconds; here each is waited for.

use std::sync::mpsc::channel;
use std::thread;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use self::targets::{PATIENCE, Target, state, tracer_of, until};
use super::*;

#[path = "../../tests/targets/mod.rs"]
mod targets;

/// Stops a thread for which `signal` comes between SEIZE and INTERRUPT.
fn stop_after(signal: Signal, target: &Target, tracer: &mut Tracer) {
    let tid = target.pid();
    tracer.seize(tid, &[tid]);
    target.send(signal);
    until("the signal stops it", || state(tid) == Some('t'));
    let stop = finish(tracer);
    assert_eq!(stop.outcome(tid), Ok(()));
    assert_eq!(state(tid), Some('t'));
}

/// The part of [`Tracer::stop`] that follows SEIZE.
fn finish(tracer: &mut Tracer) -> Stop<'_> {
    tracer.interrupt();
    Stop { tracer, stopped_at: Instant::now() }
}

/// Serves late threads until there are none.
fn settle(tracer: &mut Tracer) {
    until("late threads are served", || {
        tracer.serve_late();
        !tracer.has_late()
    });
}

#[test]
fn a_signal_that_comes_before_the_interrupt_is_delivered_once() {
    let target = Target::start("alone", 0);
    let mut tracer = Tracer::new(PATIENCE);
    let mut sent = 0;
    for _ in 0..50 {
        for signal in [Signal::SIGUSR1, Signal::SIGUSR2, Signal::SIGTRAP] {
            stop_after(signal, &target, &mut tracer);
            sent += 1;
            until("it is handled", || target.handled() >= sent);
        }
        target.assert_runs(0);
        assert_eq!(target.handled(), sent);
    }
}

#[test]
fn a_sigstop_that_comes_before_the_interrupt_stops_the_target() {
    let target = Target::start("alone", 0);
    let mut tracer = Tracer::new(PATIENCE);
    for _ in 0..20 {
        stop_after(Signal::SIGSTOP, &target, &mut tracer);
        until("it is stopped", || state(target.pid()) == Some('T'));
        assert_eq!(tracer_of(target.pid()), Some(0));
        target.send(Signal::SIGCONT);
        target.assert_runs(0);
    }
}

#[test]
fn an_exec_of_a_seized_thread_is_followed() {
    for with_leader in [false, true] {
        for mut target in [Target::start("become", 0), Target::start_elsewhere("become", 0)] {
            let (pid, tid) = (target.pid(), target.workers()[0]);
            let mut tracer = Tracer::new(PATIENCE);
            let both = [pid, tid];
            tracer.seize(pid, if with_leader { &both } else { &both[1..] });
            target.tell('e');
            until("it becomes the leader", || state(tid).is_none());
            assert_ne!(tracer_of(pid), Some(0));
            assert_eq!(finish(&mut tracer).outcome(tid), Err(StopError::Gone));
            settle(&mut tracer);
            assert_eq!(tracer_of(pid), Some(0));
            assert!(target.hear().starts_with("ready"));
        }
    }
}

#[test]
fn a_leader_that_an_exec_replaced_is_let_go_of() {
    for mut target in [Target::start("become", 0), Target::start_elsewhere("become", 0)] {
        let (pid, tid) = (target.pid(), target.workers()[0]);
        let mut tracer = Tracer::new(Duration::from_millis(20));
        tracer.seize(pid, &[pid]);
        target.tell('e');
        until("the other becomes the leader", || state(tid).is_none());
        assert_eq!(tracer_of(pid), Some(0));
        drop(finish(&mut tracer));
        tracer.serve_late();
        assert!(!tracer.has_late());
        assert!(target.hear().starts_with("ready"));
    }
}

#[test]
fn an_exec_between_two_seizes_does_not_hang() {
    let mut target = Target::start("become", 1);
    let (pid, sleeper) = (target.pid(), target.workers()[0]);
    let (done, over) = channel();
    let watchdog = thread::spawn(move || {
        // Nothing but this frees a tracer that hangs in a seize.
        if over.recv_timeout(PATIENCE).is_err() {
            let _ = kill(Pid::from_raw(pid as i32), Signal::SIGKILL);
        }
    });
    let mut tracer = Tracer::new(PATIENCE);
    let mut outcomes = Vec::new();
    together::seize(pid, &[sleeper, pid], |tid, outcome| {
        if tid == sleeper {
            target.tell('e');
            // Gone it is if we are so slow that the helper comes first.
            until("the exec has killed it", || matches!(state(tid), Some('Z') | None));
        }
        outcomes.push(outcome);
    });
    assert_eq!(outcomes[0], Ok(Tracee { process: pid, tid: sleeper }));
    // The second seize waited for the exec, and so got the thread that had called it.
    let leader = Tracee { process: pid, tid: pid };
    assert_eq!(outcomes[1], Ok(leader));
    tracer.late.push(Late { tracee: leader, seen_running: Instant::now() });
    settle(&mut tracer);
    assert!(target.hear().starts_with("ready"), "the exec never ended");
    let _ = done.send(());
    assert!(watchdog.join().is_ok());
}
