//! The sampling thread allocates for what it has not met before: a new stack, a new thread, a stack that is
//! deeper or lies elsewhere than all before. Once there is nothing of that kind any more it allocates nothing.
//!
//! The counting allocator counts all threads, so the sampler is alone in this process: no recording
//! thread takes its samples, and there is one test.
//!
//! Where threads may be stopped there is one that runs: a stop of several starts a thread that
//! collects the dead (`rspy_process::stop`), and allocates for it.

use std::alloc::System;
use std::time::Instant;

use rspy::sampling::{Only, Pausing, Sampler, Target, Wanted, Which};
use rspy_tests::interpreters::{self, Interpreter};
use rspy_tests::target;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Each has another way to read stacks.
const INTERPRETERS: &[&str] = &["2.7", "3.8", "3.10", "3.11", "3.12", "3.13", "3.13t", "3.14", "3.15"];
/// So many passes in a row must allocate nothing: settling, refreshing and forgetting fall among them often.
const IN_A_ROW: u32 = 2_000;
/// After at most so many: with `--gil` one in ten shows who holds it.
const PASSES: u32 = 200_000;

/// What a recording asks for.
#[derive(Copy, Clone, Debug)]
struct Way {
    options: &'static str,
    which: Which,
    gil: bool,
    pausing: Pausing,
    /// How many threads run.
    busy: &'static str,
}

const WAYS: &[Way] = &[
    Way { options: "--nonblocking", which: Which::Active, gil: false, pausing: Pausing::Never, busy: "2" },
    Way {
        options: "--nonblocking --idle --gil",
        which: Which::All,
        gil: true,
        pausing: Pausing::Never,
        busy: "2",
    },
    Way { options: "--blocking", which: Which::Active, gil: false, pausing: Pausing::Always, busy: "1" },
    Way {
        options: "--stop-budget 10 --idle",
        which: Which::All,
        gil: false,
        pausing: Pausing::Budget(0.1),
        busy: "1",
    },
];

/// Samples until it allocates nothing. The error says how often it did.
fn come_to_rest(interpreter: &Interpreter, way: Way) -> Result<String, String> {
    let target = target::Target::start(target::command(interpreter, "few_stacks.py", &[way.busy])).unwrap();
    let attached = Target::attach(target.pid, way.pausing).unwrap();
    // Without a GIL nobody holds it.
    let only = if way.gil && !interpreter.is_free_threaded() { Only::GilHolders } else { Only::Any };
    let wanted = Wanted {
        which: way.which,
        only,
        gc: true,
        states: false,
        sums: false,
        class_names: false,
        kernel: false,
        memory: false,
        pausing: way.pausing,
        threads: None,
        stacks: None,
    };
    let mut sampler = Sampler::new(attached, 0, wanted, Instant::now(), 1);
    let (mut samples, mut samples_in_a_row, mut in_a_row) = (0_u32, 0, 0);
    // Passes that allocated: all, and those in which no new stack was met.
    let (mut all, mut unexplained) = (0, 0);
    for pass in 1..=PASSES {
        let stacks = sampler.nodes_since(0).len();
        let region = Region::new(ALLOCATOR);
        let now = Instant::now();
        sampler.sample(now).unwrap();
        if sampler.is_due(now) {
            sampler.settle(now, |_, _| samples += 1);
        }
        let change = region.change();
        in_a_row += 1;
        if change.allocations + change.reallocations > 0 {
            all += 1;
            unexplained += u32::from(sampler.nodes_since(0).len() == stacks);
            (in_a_row, samples_in_a_row) = (0, samples);
        }
        // A pass may find that no thread runs, or be interrupted.
        if in_a_row >= IN_A_ROW && samples - samples_in_a_row >= IN_A_ROW / 2 {
            assert_eq!(way.pausing == Pausing::Never, sampler.stops().count == 0);
            return Ok(format!("{all} of {pass} passes allocated, {unexplained} of them for no new stack"));
        }
    }
    Err(format!("{all} of {PASSES} passes allocated, {unexplained} of them for no new stack"))
}

#[test]
fn sampling_comes_to_allocate_nothing() {
    let mut restless = Vec::new();
    for interpreter in interpreters::all().iter().filter(|it| INTERPRETERS.contains(&it.label.as_str())) {
        for way in WAYS {
            let outcome = come_to_rest(interpreter, *way);
            println!("{} {}: {outcome:?}", interpreter.label, way.options);
            if let Err(outcome) = outcome {
                restless.push(format!("{} {}: {outcome}", interpreter.label, way.options));
            }
        }
    }
    assert!(restless.is_empty(), "{}", restless.join("\n"));
}
