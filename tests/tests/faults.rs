//! Memory whose n-th read fails, for every n, on every interpreter: no panic, no hang, and nothing that is shown is
//! wrong.

use std::collections::HashMap;

use rspy_cpython::code::CodeCache;
use rspy_cpython::frames::{ChainEnd, FrameChain};
use rspy_cpython::locals::{Local, LocalsReader};
use rspy_cpython::stack::{self, resolve};
use rspy_cpython::{Attached, Version};
use rspy_process::{FaultInjector, Memory, Process};
use rspy_tests::interpreters::{self, Interpreter};
use rspy_tests::target::{self, Frame, Target, Thread, Variable};
use rspy_tests::{Body, Outcome, on_each, run};

/// Fails read number `n` once, then all from it on, for every `n` that `work` comes to.
fn for_every_fault(
    process: &Process,
    mut work: impl FnMut(&FaultInjector<&rspy_process::LiveMemory>) -> Outcome,
) -> Outcome {
    for forever in [false, true] {
        for n in 0.. {
            let memory = FaultInjector::new(process.memory(), n, forever);
            work(&memory).map_err(|error| format!("with read {n} failing (forever: {forever}): {error}"))?;
            if memory.reads() <= n {
                // The fault was not reached: there are no more reads to fail.
                break;
            }
        }
    }
    Ok(())
}

/// What cannot be found is not found; it is never found wrong.
fn finding(interpreter: &Interpreter) -> Outcome {
    let target = Target::start(target::command(interpreter, "generators.py", &[]))?;
    let process = Process::open(target.pid)?;
    let version = Version::from_text(&format!("{} ", interpreter.version)).ok_or("a version")?;
    for_every_fault(&process, |memory| match Attached::find_in(&process, memory) {
        Ok(attached) if attached.version() == version => Ok(()),
        Ok(attached) => Err(format!("{} was found, which is {version}", attached.version()).into()),
        Err(_) => Ok(()),
    })
}

/// Frames that are shown are the target's, in their places; what is missing is said to be missing.
fn walking(interpreter: &Interpreter) -> Outcome {
    for script in ["generators.py", "threads.py", "calls.py"] {
        let target = Target::start(target::command(interpreter, script, &[]))?;
        let process = Process::open(target.pid)?;
        let attached = Attached::find(&process)?;
        for_every_fault(&process, |memory| look(&process, &attached, memory, &target))
            .map_err(|error| format!("{script}: {error}"))?;
    }
    Ok(())
}

fn look(process: &Process, attached: &Attached, memory: &impl Memory, target: &Target) -> Outcome {
    let _ = attached.gil_state(memory);
    let Ok(threads) = attached.threads(memory) else { return Ok(()) };
    let ids = attached.kernel_ids(process, memory, &threads);
    let mut codes = CodeCache::default();
    let mut chain = FrameChain::default();
    for (thread, id) in threads.iter().zip(ids) {
        let expected = target.testimony.threads.iter().find(|known| known.thread_id == thread.thread_id);
        let expected = expected.ok_or_else(|| format!("there is no thread {:#x}", thread.thread_id))?;
        if id.is_some() && id != target.kernel_thread(expected) {
            return Err(format!("thread {:#x} is not {id:?}", thread.thread_id).into());
        }
        let end = chain.read(memory, &attached.layout, thread);
        let frames = resolve(memory, &attached.layout, &mut codes, &chain.frames);
        compare(expected, &frames, end, chain.is_cut)?;
    }
    Ok(())
}

/// Variables that are shown are the frame's, as they are, or are said to be unreadable.
fn reading_values(interpreter: &Interpreter) -> Outcome {
    let target = Target::start(target::command(interpreter, "values.py", &["128", "mixed"]))?;
    let process = Process::open(target.pid)?;
    let attached = Attached::find(&process)?;
    let thread = *attached.threads(process.memory())?.first().ok_or("no thread")?;
    let mut chain = FrameChain::default();
    chain.read(process.memory(), &attached.layout, &thread);
    let frames = resolve(process.memory(), &attached.layout, &mut CodeCache::default(), &chain.frames);
    let told = &target.testimony.threads[0].stacks[0];
    for_every_fault(&process, |memory| {
        let mut frames = frames.clone();
        LocalsReader::new(memory, &attached.layout, 128).read(&mut frames);
        for (told, frame) in told.iter().zip(&frames) {
            let stack::Frame::Python { locals: Some(seen), .. } = frame else {
                return Err("a frame has no variables".into());
            };
            let expected = told.locals.as_deref().unwrap_or_default();
            for local in seen {
                compare_variable(expected, local).map_err(|error| format!("{}: {error}", told.name))?;
            }
            let is_whole = !seen.iter().any(|local| local.name == "?");
            if is_whole && seen.len() != expected.len() {
                return Err(format!("{}: {} of {} variables", told.name, seen.len(), expected.len()).into());
            }
        }
        Ok(())
    })
}

fn compare_variable(expected: &[Variable], local: &Local) -> Outcome {
    const UNREADABLE: &str = "<unreadable at 0x";
    let text = local.value.to_string();
    if local.name == "?" || text.starts_with(UNREADABLE) {
        return Ok(());
    }
    let expected = expected.iter().find(|variable| variable.name == local.name);
    let expected = expected.ok_or_else(|| format!("there is no {}", local.name))?;
    // An object may lose its name, a container some of its items.
    let may_be = |seen: &str| {
        let (start, end) = (expected.repr.split(' ').next(), expected.repr.rsplit(' ').next());
        let is_unnamed = expected.repr.starts_with('<')
            && seen.split(' ').eq([start.unwrap_or(""), "at", end.unwrap_or("")]);
        seen == expected.repr || is_unnamed || seen.contains(UNREADABLE)
    };
    if may_be(&text) {
        Ok(())
    } else {
        Err(format!("{} is {text}, not {}", local.name, expected.repr).into())
    }
}

/// A name that is given is the thread's own.
fn naming(interpreter: &Interpreter) -> Outcome {
    let target = Target::start(target::command(interpreter, "threads.py", &[]))?;
    let process = Process::open(target.pid)?;
    let attached = Attached::find(&process)?;
    for_every_fault(&process, |memory| {
        for (id, name) in attached.thread_names(memory) {
            let expected = target.testimony.threads.iter().find(|thread| thread.thread_id == id);
            if expected.is_some_and(|thread| thread.name.as_deref() != Some(name.as_str())) {
                return Err(format!("thread {id:#x} is called {name}").into());
            }
        }
        Ok(())
    })
}

/// A number that is given to a cell of a notebook is the cell's own.
fn numbering(interpreter: &Interpreter) -> Outcome {
    let target = Target::start(target::command(interpreter, "cells.py", &[]))?;
    let process = Process::open(target.pid)?;
    let attached = Attached::find(&process)?;
    let told: HashMap<String, u64> = (1..=30)
        .map(|number| (format!("/tmp/ipykernel_4711/{number}000.py"), if number == 7 { 31 } else { number }))
        .collect();
    let cells = attached.notebook_cells(process.memory());
    if cells != told {
        return Err(format!("the cells are {cells:?}").into());
    }
    let source = attached.cached_lines(process.memory(), "/tmp/ipykernel_4711/7000.py");
    let lines = Some(vec!["def cell():".to_owned(), "    return 7".to_owned()]);
    if source != lines || attached.cached_lines(process.memory(), "lazy").is_some() {
        return Err(format!("the source of a cell is {source:?}").into());
    }
    for_every_fault(&process, |memory| {
        let seen = attached.cached_lines(memory, "/tmp/ipykernel_4711/7000.py");
        if seen.is_some() && seen != lines {
            return Err(format!("the source of a cell is {seen:?}").into());
        }
        for (file, number) in attached.notebook_cells(memory) {
            if told.get(&file) != Some(&number) {
                return Err(format!("{file} is {number}").into());
            }
        }
        Ok(())
    })
}

fn compare(expected: &Thread, frames: &[stack::Frame], end: ChainEnd, is_cut: bool) -> Outcome {
    let mut rest = expected.stacks[0].iter();
    let has_gaps = is_cut || frames.iter().any(|frame| matches!(frame, stack::Frame::Unknown(_)));
    for frame in frames {
        let stack::Frame::Python { code, .. } = frame else { continue };
        let line = frame.location().line;
        let mut is_this = |expected: &Frame| {
            *code.name == *expected.name && *code.filename == *expected.filename && expected.allows(line)
        };
        // Where a frame is unknown, one of the thread's may be missing, and with a cut the innermost; or none, since the interpreter's own frames
        // are hidden only if they can be told.
        let found = if has_gaps { rest.any(&mut is_this) } else { rest.next().is_some_and(&mut is_this) };
        if !found {
            return Err(
                format!("{} ({}:{line:?}) is shown in the wrong place", code.name, code.filename).into()
            );
        }
    }
    match rest.count() {
        missing @ 1.. if end == ChainEnd::Root && !has_gaps => {
            Err(format!("{missing} frames are missing, and nothing says so").into())
        }
        _ => Ok(()),
    }
}

fn main() {
    let tests: [(&str, Body); 5] = [
        ("finding", finding),
        ("walking", walking),
        ("naming", naming),
        ("numbering", numbering),
        ("reading-values", reading_values),
    ];
    let all = interpreters::all();
    let labels: Vec<&str> = all.iter().map(|interpreter| interpreter.label.as_str()).collect();
    run(on_each(&labels, &tests))
}
