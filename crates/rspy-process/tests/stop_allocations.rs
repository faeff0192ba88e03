//! Stopping one thread allocates nothing once the tracer has warmed up.

use std::alloc::System;

use rspy_process::stop::Tracer;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

use targets::{PATIENCE, Target};

mod targets;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

#[test]
fn a_stop_of_one_thread_allocates_nothing() {
    let target = Target::start("spin", 1);
    let tid = target.workers()[0];
    let mut tracer = Tracer::new(PATIENCE);
    drop(tracer.stop(target.pid(), &[tid]));
    let region = Region::new(ALLOCATOR);
    for _ in 0..100 {
        drop(tracer.stop(target.pid(), &[tid]));
        tracer.serve_late();
    }
    assert_eq!(region.change().allocations, 0);
    assert_eq!(tracer.stats().count, 101);
}
