//! `rspy heap`: what it counts, compared with what programs count themselves; who holds what; saved heaps.

mod alternatives;
mod census;
mod computing;
mod faults;
mod footprints;
mod held;
mod memory;
mod references;
mod saved;
mod sizes;

use rspy_tests::{Body, in_one_of_three, on_each, run};

/// All of them; free-threaded builds have another allocator.
const ALL: &[&str] =
    &["2.7", "3.6", "3.7", "3.8", "3.9", "3.10", "3.11", "3.12", "3.13", "3.14", "3.15", "3.13t"];

/// Those that can write down what is asked of their allocators.
const WITH_TRACES: &[&str] =
    &["3.6", "3.7", "3.8", "3.9", "3.10", "3.11", "3.12", "3.13", "3.14", "3.15", "3.13t"];

/// Those that have mimalloc, or can be told to use it.
const WITH_MIMALLOC: &[&str] = &["3.13", "3.14", "3.15", "3.13t", "3.13d"];

/// Those that count arenas themselves.
const WITH_ARENAS: &[&str] = &["3.6", "3.9", "3.10", "3.11", "3.12", "3.13", "3.14", "3.15"];

fn main() {
    let on_all: &[(&str, Body)] = &[
        ("exact", census::exact),
        // A library that nobody has read from yet may lend the process pages when names of types are read.
        ("sums", |interpreter| in_one_of_three(|| census::sums(interpreter))),
        ("why", held::why),
        ("retained", held::retained),
        ("references", references::references),
        ("memory", memory::memory),
        ("computing", computing::computing),
        ("alternatives", alternatives::alternatives),
    ];
    let on_some: &[(&str, Body)] = &[
        ("shown", census::shown),
        ("instances", held::instances),
        ("advice", held::advice),
        ("sorted", held::sorted),
        ("saved", saved::saved),
        ("leak", saved::leak),
        ("damaged", saved::damaged),
        ("interrupted", saved::interrupted),
    ];
    let mut tests = on_each(ALL, on_all);
    let of_applications: &[(&str, Body)] =
        &[("references-of-an-application", references::references_of_an_application)];
    tests.extend(on_each(&["3.11", "3.13"], of_applications));
    let of_sizes: &[(&str, Body)] = &[("sizes", sizes::sizes), ("layouts", sizes::layouts)];
    tests.extend(on_each(ALL, of_sizes));
    tests.extend(on_each(&["3.13d"], of_sizes));
    let of_others: &[(&str, Body)] = &[
        ("sizes_of_other_allocators", sizes::allocated),
        ("footprints_of_other_allocators", footprints::allocated),
    ];
    tests.extend(on_each(&["3.9", "3.11", "3.14"], of_others));
    tests.extend(on_each(WITH_TRACES, &[("footprints", footprints::footprints)]));
    tests.extend(on_each(&["3.13d"], &[("exact", census::exact), ("why", held::why)]));
    let with_others = &["3.8", "3.9", "3.10", "3.11", "3.12", "3.13", "3.14", "3.15"];
    tests.extend(on_each(with_others, &[("subinterpreters", census::subinterpreters)]));
    tests.extend(on_each(&["3.8", "3.12"], &[("allocators", census::allocators)]));
    let of_mimalloc: &[(&str, Body)] = &[
        ("mimalloc", census::mimalloc),
        ("threads", census::threads),
        ("footprints_of_mimalloc", footprints::mimalloc),
    ];
    tests.extend(on_each(WITH_MIMALLOC, of_mimalloc));
    tests.extend(on_each(
        &["2.7", "3.8", "3.11", "3.13", "3.13t"],
        &[("faults", faults::faults), ("gone", faults::gone)],
    ));
    tests.extend(on_each(WITH_ARENAS, &[("arenas", census::arenas)]));
    tests.extend(on_each(&["3.8", "3.13", "3.13t"], on_some));
    tests.extend(on_each(&["3.8", "3.12", "3.14", "3.13t"], &[("busy", census::busy)]));
    run(tests);
}
