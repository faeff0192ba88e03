//! `rspy heap`: what it counts, compared with what the program counts itself.

use std::collections::BTreeMap;
use std::fs;

use serde::Deserialize;

use rspy_tests::Outcome;
use rspy_tests::interpreters::Interpreter;
use rspy_tests::program::{Program, command};
use rspy_tests::rspy::Run;
use rspy_tests::target::scripts;

/// How many objects of most types the program makes.
pub const COUNT: &str = "150000";

/// How far the number of blocks in use may be off, as a part of it: the program counts those that are too large for a pool as
/// well.
const BLOCKS: f64 = 0.001;

/// How many objects of a builtin type the program's own counting may have left, or taken away.
const OWN: u64 = 3;

/// Types whose instances the collector always tracks: so that those that it tracks are all there are.
const TRACKED: [&str; 7] = ["function", "module", "set", "list", "property", "cell", "staticmethod"];

/// What the program counted.
#[derive(Deserialize)]
pub struct Truth {
    made: BTreeMap<String, u64>,
    tracked: BTreeMap<String, u64>,
    blocks: Option<u64>,
}

/// What `rspy heap --json` says.
#[derive(Debug, Deserialize)]
struct Heap {
    rss: u64,
    paused: Option<Paused>,
    blocks: u64,
    misfits: u64,
    lost: u64,
    objects_outside: u64,
    count: u64,
    size: u64,
    footprint: u64,
    pymalloc: Fill,
    mimalloc: Option<Fill>,
    types: Vec<Row>,
}

#[derive(Debug, Deserialize)]
struct Paused {
    seconds: f64,
    ran: u64,
}

/// How full arenas or segments are.
#[derive(Debug, Deserialize)]
struct Fill {
    arenas: u64,
    bytes: u64,
    resident: u64,
    used: u64,
    free_blocks: u64,
    free_pools: u64,
    overhead: u64,
    classes: Vec<Class>,
}

#[derive(Debug, Deserialize)]
struct Class {
    size: u64,
    used: u64,
}

#[derive(Clone, Debug, Deserialize)]
struct Row {
    r#type: String,
    count: u64,
    size: u64,
    footprint: u64,
}

impl Heap {
    fn of(pid: u32, options: &[&str]) -> Outcome<Heap> {
        let pid = pid.to_string();
        let words = [&["heap", "--json", "--pid", &pid], options].concat();
        Ok(serde_json::from_str(&Run::start(words)?.output()?.success()?.stdout)?)
    }

    fn count(&self, name: &str) -> u64 {
        self.types.iter().filter(|row| row.r#type == name).map(|row| row.count).sum()
    }
}

/// The program, when all is in place.
pub fn known(interpreter: &Interpreter, count: &str) -> Outcome<(Program, Truth)> {
    started(interpreter, None, "heap_known.py", count)
}

/// A program of which there is so much, with an allocator of its own or the one that is usual.
fn started(
    interpreter: &Interpreter,
    allocator: Option<&str>,
    script: &str,
    count: &str,
) -> Outcome<(Program, Truth)> {
    let mut command = command(&interpreter.path);
    command.envs(allocator.map(|allocator| ("PYTHONMALLOC", allocator)));
    command.arg(scripts().join(script)).args([count, "truth"]);
    let mut program = Program::start(command)?;
    program.says("ready")?;
    let truth = serde_json::from_slice(&fs::read(program.file("truth"))?)?;
    Ok((program, truth))
}

/// Every instance that was made; every object that is tracked, of types that always are; blocks in use.
pub fn exact(interpreter: &Interpreter) -> Outcome {
    let (program, truth) = known(interpreter, COUNT)?;
    for options in [&[][..], &["--pause"]] {
        let heap = Heap::of(program.pid(), options)?;
        let mut wrong = Vec::new();
        for (name, made) in &truth.made {
            let found = heap.count(name);
            if found != *made {
                wrong.push(format!("{found} {name}, {made} were made"));
            }
        }
        for name in TRACKED {
            let tracked = truth.tracked.get(name).copied().unwrap_or(0);
            let found = heap.count(name);
            if found.abs_diff(tracked) > OWN {
                wrong.push(format!("{found} {name}, the collector tracks {tracked}"));
            }
        }
        if let Some(blocks) = truth.blocks
            && heap.blocks.abs_diff(blocks) as f64 > BLOCKS * blocks as f64
        {
            wrong.push(format!("{} blocks in use, by its own count {blocks}", heap.blocks));
        }
        if heap.misfits + heap.lost > 0 {
            wrong.push(format!("{} pools made no sense, {} bytes were lost", heap.misfits, heap.lost));
        }
        println!(
            "{} {options:?}: {} objects, {} of them outside of {} blocks (by its own count {:?})",
            interpreter.label, heap.count, heap.objects_outside, heap.blocks, truth.blocks
        );
        if !wrong.is_empty() {
            return Err(wrong.join("; ").into());
        }
        match (options, heap.paused) {
            ([], None) => {}
            (["--pause"], Some(paused)) if paused.ran == 0 && paused.seconds == 0.0 => {}
            (_, paused) => return Err(format!("{options:?}: {paused:?}").into()),
        }
    }
    Ok(())
}

/// Sums are those of the rows, arenas are full of what is said, and RSS is what the kernel says and stays what it was.
pub fn sums(interpreter: &Interpreter) -> Outcome {
    let (program, _) = known(interpreter, COUNT)?;
    let resident = |pid: u32| -> Outcome<u64> {
        let statm = fs::read_to_string(format!("/proc/{pid}/statm"))?;
        Ok(statm.split(' ').nth(1).ok_or("no RSS")?.parse::<u64>()? * 4096)
    };
    let before = resident(program.pid())?;
    let heap = Heap::of(program.pid(), &[])?;
    let after = resident(program.pid())?;
    let sum = |of: fn(&Row) -> u64| heap.types.iter().map(of).sum::<u64>();
    let sums = (sum(|row| row.count), sum(|row| row.size), sum(|row| row.footprint));
    if sums != (heap.count, heap.size, heap.footprint) {
        return Err(format!("{sums:?}: {heap:?}").into());
    }
    let fill = match interpreter.is_free_threaded() {
        false => &heap.pymalloc,
        true => heap.mimalloc.as_ref().ok_or("no segments")?,
    };
    let parts = fill.used + fill.free_blocks + fill.free_pools + fill.overhead;
    let in_classes: u64 = fill.classes.iter().map(|class| class.size * class.used).sum();
    let is_resident = (fill.used..=fill.bytes.min(heap.rss)).contains(&fill.resident);
    if parts != fill.bytes || in_classes != fill.used || fill.arenas == 0 || !is_resident {
        return Err(format!("{fill:?}").into());
    }
    println!("{}: {} resident before, {after} after, {} in the report", interpreter.label, before, heap.rss);
    let is_near = |bytes: u64| bytes.abs_diff(before) as f64 <= 0.005 * before as f64;
    if !is_near(after) || !is_near(heap.rss) {
        return Err(format!("{before} bytes were resident, {after} are, the report says {}", heap.rss).into());
    }
    Ok(())
}

/// As many arenas as the allocator says itself, here and in `rspy memory`.
pub fn arenas(interpreter: &Interpreter) -> Outcome {
    let (program, _) = known(interpreter, COUNT)?;
    let log = program.log()?;
    let said = log.lines().find_map(|line| line.strip_prefix("# arenas allocated current"));
    let said: u64 =
        said.and_then(|text| text.trim().strip_prefix('=')).ok_or(log.as_str())?.trim().parse()?;
    let pymalloc = Heap::of(program.pid(), &[])?.pymalloc;
    let pid = program.pid().to_string();
    let memory = Run::start(["memory", "-f", "json", "-d", "0.5", "--pid", &pid])?.output()?.success()?;
    let memory: serde_json::Value = serde_json::from_str(&memory.stdout)?;
    let mapped = memory["processes"][0]["shares"][1]["arenas"].as_u64();
    println!("{}: {said} arenas, rspy heap {pymalloc:?}, rspy memory {mapped:?}", interpreter.label);
    if pymalloc.arenas != said || mapped != Some(pymalloc.bytes) {
        return Err("they differ".into());
    }
    Ok(())
}

/// What people see.
pub fn shown(interpreter: &Interpreter) -> Outcome {
    let (program, _) = known(interpreter, "1000")?;
    let pid = program.pid().to_string();
    let text = |options: &[&str]| -> Outcome<String> {
        let words = [&["heap", "--pid", &pid], options].concat();
        Ok(Run::start(words)?.output()?.success()?.stdout)
    };
    for (options, expected) in [
        (&[][..], &["__main__.Point", "arenas", "In memory", "more types"][..]),
        (&["--rows", "0", "--sort", "type"], &["__main__.Slots", "wrapper_descriptor"]),
        (&["--pause", "--sort", "count"], &["nothing ran while"]),
    ] {
        let text = text(options)?;
        if let Some(lacking) = expected.iter().find(|part| !text.contains(**part)) {
            return Err(format!("{options:?} lacks {lacking:?}: {text}").into());
        }
    }
    let refused = Run::start(["heap", "--pid", &pid, "--limit", "1MB"])?.output()?;
    if refused.status.success() || !refused.stderr.contains("--limit") {
        return Err(format!("{refused:?}").into());
    }
    Ok(())
}

/// How often a program that goes on is counted.
const LOOKS: usize = 100;

/// A program that makes and drops objects all the time, looked at again and again without being stopped: each look succeeds,
/// and nearly all of them see what is always there, within a hundredth.
pub fn busy(interpreter: &Interpreter) -> Outcome {
    let mut command = command(&interpreter.path);
    command.arg(scripts().join("heap_busy.py")).arg("20000");
    let mut program = Program::start(command)?;
    program.says("ready")?;
    let mut off = Vec::new();
    for _ in 0..LOOKS {
        let heap = Heap::of(program.pid(), &[])?;
        let kept = heap.count("__main__.Kept");
        if kept.abs_diff(20_000) > 200 {
            off.push(kept);
        }
    }
    println!("{}: {} of {LOOKS} looks were off: {off:?}", interpreter.label, off.len());
    if off.is_empty() { Ok(()) } else { Err(format!("of 20000 there were {off:?}").into()) }
}

/// The C library's allocator instead of Python's, and debugging ones: every instance is found.
pub fn allocators(interpreter: &Interpreter) -> Outcome {
    for allocator in ["malloc", "debug", "malloc_debug"] {
        let (program, truth) = started(interpreter, Some(allocator), "heap_known.py", "20000")?;
        compare(&Heap::of(program.pid(), &[])?, &truth).map_err(|error| format!("{allocator}: {error}"))?;
    }
    Ok(())
}

/// mimalloc, with and without what debugs it: every instance and every block is found.
pub fn mimalloc(interpreter: &Interpreter) -> Outcome {
    for allocator in ["mimalloc", "mimalloc_debug"] {
        let (program, truth) = started(interpreter, Some(allocator), "heap_known.py", "50000")?;
        let heap = Heap::of(program.pid(), &[])?;
        compare(&heap, &truth).map_err(|error| format!("{allocator}: {error}"))?;
        let blocks = truth.blocks.ok_or("it does not count blocks")?;
        println!("{} {allocator}: {} blocks, by its own count {blocks}", interpreter.label, heap.blocks);
        if heap.blocks.abs_diff(blocks) as f64 > BLOCKS * blocks as f64 || heap.misfits > 0 {
            return Err(format!("{allocator}: {} blocks and {} misfits", heap.blocks, heap.misfits).into());
        }
    }
    Ok(())
}

/// What many threads have made, of which some have ended, and what others have freed: each has memory of its own.
pub fn threads(interpreter: &Interpreter) -> Outcome {
    let (program, truth) = started(interpreter, Some("mimalloc"), "heap_threads.py", "5000")?;
    let heap = Heap::of(program.pid(), &[])?;
    println!("{}: {} blocks, {:?}", interpreter.label, heap.blocks, truth.made);
    if heap.mimalloc.as_ref().is_none_or(|fill| fill.arenas < 2) || heap.misfits > 0 {
        return Err(format!("{} misfits, {:?}", heap.misfits, heap.mimalloc).into());
    }
    compare(&heap, &truth)
}

/// There is each instance that was made, and no other.
fn compare(heap: &Heap, truth: &Truth) -> Outcome {
    for (name, made) in &truth.made {
        let found = heap.count(name);
        if found != *made {
            return Err(format!("{found} {name}, {made} were made").into());
        }
    }
    Ok(())
}

/// Objects of all interpreters of a process, and nothing that only looks like one: each interpreter has a class of its own.
pub fn subinterpreters(interpreter: &Interpreter) -> Outcome {
    let mut command = command(&interpreter.path);
    command.arg("-Wignore").arg(scripts().join("heap_subinterpreters.py"));
    let mut program = Program::start(command)?;
    program.says("3 interpreters")?;
    let heap = Heap::of(program.pid(), &[])?;
    let points = heap.types.iter().filter(|row| row.r#type == "__main__.Point");
    let counts: Vec<u64> = points.map(|row| row.count).collect();
    match counts == [1000; 3] {
        true => Ok(()),
        false => Err(format!("of the three classes there are {counts:?}").into()),
    }
}
