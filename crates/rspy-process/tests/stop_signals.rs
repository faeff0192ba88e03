//! Signals that arrive while a thread is being stopped: none is lost, none comes twice.

use rspy_process::stop::Tracer;

use targets::{PATIENCE, Target, tracer_of};

mod targets;

#[test]
fn every_signal_is_delivered_once() {
    // Real-time signals and SIGUSR1, counted, under timers that fire every 100 µs.
    let mut target = Target::start("work", 400);
    let (all, workers) = (target.tids(), target.workers());
    let mut tracer = Tracer::new(PATIENCE);
    let mut turn = 0;
    while !target.has_spoken() {
        turn += 1;
        let tids = match turn % 3 {
            0 => &all[..],
            1 => &workers[..1],
            _ => &workers[1..],
        };
        drop(tracer.stop(target.pid(), tids));
    }
    assert_eq!(target.hear(), "done lost 0 realtime 20000 of 20000 sum 0 usr1 400 of 400 errors 0 busy 1");
    let stats = tracer.stats();
    assert!(stats.count >= 100, "{stats:?}");
    assert_eq!((stats.late, stats.refused), (0, 0));
}

#[test]
fn sigchld_reaches_a_parent_that_is_being_stopped() {
    let mut target = Target::start("forks", 500);
    let tid = target.pid();
    let mut tracer = Tracer::new(PATIENCE);
    while !target.has_spoken() {
        assert!(tracer.stop(target.pid(), &[tid]).all_stopped());
    }
    assert_eq!(target.hear(), "done 500 wrong 0");
    assert_eq!(tracer_of(tid), Some(0));
}
