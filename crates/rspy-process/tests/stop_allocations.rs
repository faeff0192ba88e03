//! Stopping one thread allocates nothing once the tracer has warmed up.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use rspy_process::stop::Tracer;

use targets::{PATIENCE, Target};

mod targets;

/// Counts the allocations of each thread.
struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: passes everything on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller's promises are those that `System` asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn a_stop_of_one_thread_allocates_nothing() {
    let target = Target::start("spin", 1);
    let tid = target.workers()[0];
    let mut tracer = Tracer::new(PATIENCE);
    drop(tracer.stop(target.pid(), &[tid]));
    let before = ALLOCATIONS.get();
    for _ in 0..100 {
        drop(tracer.stop(target.pid(), &[tid]));
        tracer.serve_late();
    }
    assert_eq!(ALLOCATIONS.get(), before);
    assert_eq!(tracer.stats().count, 101);
}
