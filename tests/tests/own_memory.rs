//! What the interpreter says of its memory: the garbage collector's statistics and tracemalloc's traces, read from
//! outside and compared with what `gc` and `tracemalloc` say inside.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use rspy_cpython::Attached;
use rspy_cpython::gc_statistics::GcStatistics;
use rspy_cpython::tracemalloc::{Tracemalloc, TracemallocError};
use rspy_process::Process;
use rspy_tests::interpreters::{self, Interpreter};
use rspy_tests::target::{self, Target};
use rspy_tests::{Body, Outcome, run, test};
use serde::Deserialize;

/// What the target says.
#[derive(Deserialize)]
struct Truth {
    threshold: [i32; 3],
    count: [i32; 3],
    enabled: bool,
    stats: Option<[Statistics; 3]>,
    traced: Option<Traced>,
}

/// An entry of `gc.get_stats()`.
#[derive(Clone, Debug, Deserialize, PartialEq)]
struct Statistics {
    collections: i64,
    collected: i64,
    uncollectable: i64,
    candidates: Option<i64>,
    duration: Option<f64>,
}

/// A file and a line of it.
type Line = (String, u32);

#[derive(Deserialize)]
struct Traced {
    current: u64,
    peak: u64,
    limit: u32,
    /// (file, line, blocks, bytes) of the lines that have most.
    lines: Vec<(String, u32, u64, u64)>,
    /// ((file, line) of each frame, the innermost first; blocks, bytes).
    tracebacks: Vec<(Vec<Line>, u64, u64)>,
    /// Blocks and bytes of the other domain.
    other: (u64, u64),
}

/// In free-threaded builds each thread counts so many objects for itself before it tells the collector.
const COUNTED_APART: i32 = 1024;
/// What the target makes until it has asked for the count.
const COUNTED_SINCE: i32 = 16;

fn start(interpreter: &Interpreter, nframe: u32, blocks: u32) -> Outcome<(Target, Attached, Process)> {
    let arguments = [&*nframe.to_string(), &*blocks.to_string()];
    let target = Target::start(target::command(interpreter, "traced.py", &arguments))?;
    let process = Process::open(target.pid)?;
    let attached = Attached::find(&process)?;
    Ok((target, attached, process))
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, ours: T, theirs: T) -> Outcome {
    if ours == theirs { Ok(()) } else { Err(format!("{what} is {theirs:?}, not {ours:?}").into()) }
}

/// Seconds in whole nanoseconds: a number read from JSON may be off by its last bit.
fn nanoseconds(seconds: f64) -> f64 {
    (seconds * 1e9).round()
}

fn compare_collector(interpreter: &Interpreter, ours: &GcStatistics, truth: &Truth) -> Outcome {
    let [collector] = &ours.interpreters[..] else { return Err("not one collector".into()) };
    same("gc.isenabled()", collector.is_enabled, truth.enabled)?;
    same(
        "gc.get_threshold()",
        collector.generations.map(|generation| generation.threshold),
        truth.threshold,
    )?;
    let count = collector.generations.map(|generation| generation.count);
    same("gc.get_count()[1:]", &count[1..], &truth.count[1..])?;
    let apart = if interpreter.is_free_threaded() { COUNTED_APART } else { COUNTED_SINCE };
    if (count[0] - truth.count[0]).abs() > apart {
        return Err(format!("gc.get_count()[0] is {}, not {}", truth.count[0], count[0]).into());
    }
    let totals = collector.generations.map(|generation| {
        generation.totals.map(|totals| Statistics {
            collections: totals.collections,
            collected: totals.collected,
            uncollectable: totals.uncollectable,
            candidates: totals.candidates,
            duration: totals.duration.map(nanoseconds),
        })
    });
    let theirs = match &truth.stats {
        Some(stats) if stats[2].collected < 1000 => return Err("the target has collected too little".into()),
        Some(stats) => {
            stats.clone().map(|one| Some(Statistics { duration: one.duration.map(nanoseconds), ..one }))
        }
        None => [None, None, None],
    };
    same("gc.get_stats()", totals, theirs)
}

fn compare_traces(ours: &Tracemalloc, theirs: &Traced) -> Outcome {
    same("consistent", ours.is_consistent, true)?;
    same("tracemalloc.get_traceback_limit()", ours.max_nframe, theirs.limit)?;
    same("tracemalloc.get_traced_memory()", (ours.current, ours.peak), (theirs.current, Some(theirs.peak)))?;
    same("the sum of all traces", ours.traces.iter().map(|trace| trace.bytes).sum(), theirs.current)?;
    let mut by_line: HashMap<_, (u64, u64)> = HashMap::new();
    let mut by_traceback: HashMap<Vec<_>, (u64, u64)> = HashMap::new();
    for trace in &ours.traces {
        let frames: Vec<_> =
            trace.frames.iter().map(|frame| (frame.filename.to_string(), frame.line)).collect();
        let line = frames.first().cloned().ok_or("a traceback without frames")?;
        for sum in [by_line.entry(line).or_default(), by_traceback.entry(frames).or_default()] {
            *sum = (sum.0 + trace.count, sum.1 + trace.bytes);
        }
    }
    for (file, line, count, bytes) in &theirs.lines {
        let ours = by_line.get(&(file.clone(), *line)).copied().unwrap_or_default();
        same(&format!("{file}:{line}"), ours, (*count, *bytes))?;
    }
    for (frames, count, bytes) in &theirs.tracebacks {
        let ours = by_traceback.get(frames).copied().unwrap_or_default();
        same(&format!("{frames:?}"), ours, (*count, *bytes))?;
    }
    let other = ours.traces.iter().filter(|trace| trace.domain == 7);
    let other = other.fold((0, 0), |sum, trace| (sum.0 + trace.count, sum.1 + trace.bytes));
    same("the other domain", other, theirs.other)
}

fn is_read_with(interpreter: &Interpreter, nframe: u32) -> Outcome {
    let (mut target, attached, process) = start(interpreter, nframe, 3000)?;
    // What it reads into is among its allocations from then on.
    let pid = process.pid();
    let reads_stdin = || rspy_tests::process::system_call(pid, pid) == Some((0, 0));
    rspy_tests::process::wait_until("it waits to be asked", reads_stdin)?;
    let collector = attached.gc_statistics(process.memory())?;
    let traces = attached.tracemalloc(process.memory(), &process.maps()?);
    let truth: Truth = serde_json::from_str(&target.ask()?)?;
    compare_collector(interpreter, &collector, &truth)?;
    match (&truth.traced, traces) {
        (Some(theirs), Ok(ours)) => compare_traces(&ours, theirs),
        (_, Err(TracemallocError::Unknown { .. })) if interpreter.minor() < (3, 6) => Ok(()),
        (_, Err(error)) => Err(error.into()),
        (None, Ok(_)) => Err("traces of what does not trace".into()),
    }
}

fn one_frame(interpreter: &Interpreter) -> Outcome {
    is_read_with(interpreter, 1)
}

fn five_frames(interpreter: &Interpreter) -> Outcome {
    is_read_with(interpreter, 5)
}

fn none(interpreter: &Interpreter) -> Outcome {
    let (_target, attached, process) = start(interpreter, 0, 10)?;
    match attached.tracemalloc(process.memory(), &process.maps()?) {
        Err(TracemallocError::NotTracing) => Ok(()),
        Err(TracemallocError::Unknown { .. }) if interpreter.minor() < (3, 6) => Ok(()),
        other => Err(format!("not tracing, but {other:?}").into()),
    }
}

/// Many traces are read at once.
fn many(interpreter: &Interpreter) -> Outcome {
    let (_target, attached, process) = start(interpreter, 1, 50_000)?;
    let started = Instant::now();
    let traces = attached.tracemalloc(process.memory(), &process.maps()?)?;
    let took = started.elapsed();
    let count: u64 = traces.traces.iter().map(|trace| trace.count).sum();
    println!("{}: {count} traces in {took:?}", interpreter.label);
    if !traces.is_consistent || count < 200_000 {
        return Err(format!("{count} traces, consistent: {}", traces.is_consistent).into());
    }
    // Some tenths of a second; a loaded machine is slower.
    if took > Duration::from_secs(10) { Err(format!("{count} traces took {took:?}").into()) } else { Ok(()) }
}

fn main() {
    let each: [(&str, Body); 3] = [("1-frame", one_frame), ("5-frames", five_frames), ("not-tracing", none)];
    let mut trials = Vec::new();
    for interpreter in interpreters::all() {
        for (name, body) in each {
            let interpreter = interpreter.clone();
            trials.push(test(format!("{name}::{}", interpreter.label), move || body(&interpreter)));
        }
        if ["3.8", "3.13", "3.15"].contains(&interpreter.label.as_str()) {
            trials.push(test(format!("many::{}", interpreter.label), move || many(&interpreter)));
        }
    }
    run(trials);
}
