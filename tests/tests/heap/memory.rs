//! What is in memory beside the types: what keeps arenas, and of what RSS is made up.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use rspy_tests::Outcome;
use rspy_tests::interpreters::Interpreter;
use rspy_tests::program::{Program, command};
use rspy_tests::target::scripts;

use super::held::{json, text};

/// What the program has written to of large objects, in bytes; how much more may be found; and its threads.
const LARGE: u64 = 50_000_000;
const BEYOND: u64 = 4_000_000;
const THREADS: u64 = 8;
/// A thread has touched two pages at least, of the eight megabytes at most that are usual.
const STACK: std::ops::Range<u64> = 8192..8 << 20;

#[derive(Deserialize)]
struct Heap {
    rss: u64,
    memory: BTreeMap<String, u64>,
    pymalloc: Value,
    mimalloc: Value,
    pins: Pins,
}

#[derive(Deserialize)]
struct Pins {
    types: Vec<Pin>,
}

#[derive(Debug, Deserialize)]
struct Pin {
    r#type: String,
    count: u64,
    arenas: u64,
    address: u64,
}

/// Arenas that a few objects keep: it is told of which type, and by one of them who holds it. And RSS adds up, with stacks and
/// large objects for themselves, of which what nobody has written to takes nothing.
pub fn memory(interpreter: &Interpreter) -> Outcome {
    let mut command = command(&interpreter.path);
    command.arg(scripts().join("heap_sparse.py"));
    let mut program = Program::start(command)?;
    program.says("ready")?;
    let pid = program.pid().to_string();
    let heap: Heap = json(&["--pid", &pid])?;
    println!("{}: {:?}", interpreter.label, heap.memory);

    let part = |name: &str| heap.memory.get(name).copied().unwrap_or(0);
    if heap.memory.values().sum::<u64>() != heap.rss {
        return Err(format!("RSS is {}, not that of {:?}", heap.rss, heap.memory).into());
    }
    // mimalloc keeps objects of any size in its segments.
    let is_mimalloc = interpreter.is_free_threaded();
    let (large, beyond) = if is_mimalloc { (0, 1) } else { (LARGE, BEYOND) };
    if !(large..large + beyond).contains(&part("large_objects")) || part("arenas") < LARGE - large {
        return Err(format!("{LARGE} bytes of large objects: {:?}", heap.memory).into());
    }
    if !STACK.contains(&(part("thread_stacks") / THREADS)) {
        return Err(format!("stacks of {THREADS} threads: {:?}", heap.memory).into());
    }

    let fill = if is_mimalloc { &heap.mimalloc } else { &heap.pymalloc };
    for (all, of_class) in [("used", "used"), ("free_blocks", "free")] {
        let number = |value: &Value, key: &str| value[key].as_u64().unwrap_or(0);
        let classes = fill["classes"].as_array().into_iter().flatten();
        let sum: u64 = classes.map(|class| number(class, "size") * number(class, of_class)).sum();
        if sum == 0 || sum != number(fill, all) {
            return Err(format!("{of_class} of all sizes is {sum}: {fill}").into());
        }
    }

    // It returns what it does not use, whatever lies beside that.
    if is_mimalloc {
        return Ok(());
    }
    let sparse = heap.pymalloc["sparse_arenas"].as_u64().unwrap_or(0);
    let pinned =
        heap.pins.types.iter().find(|pin| pin.r#type == "__main__.Pinned").ok_or("nothing pinned")?;
    println!("{}: {sparse} arenas are sparse, {pinned:?}", interpreter.label);
    // 250 are in 24 MB: several in each arena of a megabyte, and two or three in each of a quarter of one.
    if sparse < 15 || pinned.arenas * 10 < sparse * 9 || !(200..=250).contains(&pinned.count) {
        return Err(format!("{sparse} sparse arenas, kept by {:?}", heap.pins.types).into());
    }
    let why = text(&["--pid", &pid, "--why", &format!("{:#x}", pinned.address)])?;
    let told = text(&["--pid", &pid])?;
    if !why.contains("module __main__.kept -> list[")
        || !told.contains(&format!("{} __main__.Pinned", pinned.count))
    {
        return Err(format!("{why}\n{told}").into());
    }
    Ok(())
}
