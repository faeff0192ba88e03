//! What instructions can call: the tables are the interpreters' own, and in stacks that stand still every caller
//! stands at an instruction that can have called what is above it.

use std::collections::{BTreeMap, BTreeSet};

use rspy_cpython::Attached;
use rspy_cpython::code::CodeCache;
use rspy_cpython::frames::{ChainEnd, FrameChain};
use rspy_cpython::operations::{Callee, Operation};
use rspy_cpython::stack;
use rspy_process::Process;
use rspy_tests::interpreters::{self, Interpreter};
use rspy_tests::target::{self, Target};
use rspy_tests::{Body, Outcome, run, test};
use serde::Deserialize;

/// What an interpreter says of its instructions: numbers of all it has names for, the number of what a specialised
/// one stands for, the code units of cache behind each.
const QUESTION: &str = r#"
import dis, json, opcode
numbers = dict(getattr(dis, '_all_opmap', dis.opmap))
numbers = {name: number for name, number in numbers.items() if number < 256}
specialized = {name: numbers[base] for name, base in getattr(dis, 'deoptmap', {}).items()}
caches = getattr(opcode, '_inline_cache_entries', {})
if isinstance(caches, list):
    caches = {name: caches[number] for name, number in dis.opmap.items() if number < 256}
caches = {name: count for name, count in caches.items() if count}
print(json.dumps({'opcodes': numbers, 'specialized': specialized, 'caches': caches}))
"#;

#[derive(Deserialize)]
struct Answer {
    opcodes: BTreeMap<String, u64>,
    specialized: BTreeMap<String, u64>,
    caches: BTreeMap<String, u64>,
}

fn tables_are_the_interpreters(interpreter: &Interpreter) -> Outcome {
    let output = target::clean_command(&interpreter.path).args(["-c", QUESTION]).output()?;
    let answer: Answer = serde_json::from_slice(&output.stdout)?;
    let target = Target::start(target::command(interpreter, "calls.py", &[]))?;
    let attached = Attached::find(&Process::open(target.pid)?)?;
    let section = |name| -> BTreeMap<String, u64> {
        attached.layout.table.section(name).map(|(name, number)| (name.to_owned(), number)).collect()
    };
    let ours = section("opcodes");
    // 2.7's SLICE+1 is SLICE_1 in its header.
    let theirs: BTreeMap<String, u64> = answer
        .opcodes
        .iter()
        .map(|(name, number)| (name.replace("+0", "").replace('+', "_"), *number))
        .collect();
    for (name, number) in &theirs {
        // Names that only the interpreter's own modules know are no harm: unknown numbers are unknown operations.
        if ours.get(name).is_some_and(|ours| ours != number) {
            return Err(format!("{name} is {number}, not {:?}", ours.get(name)).into());
        }
    }
    let unknown: BTreeSet<_> = theirs.keys().filter(|name| !ours.contains_key(*name)).collect();
    let untold: BTreeSet<_> = ours.keys().filter(|name| !theirs.contains_key(*name)).collect();
    println!("{}: {unknown:?} {untold:?}", interpreter.label);
    if !unknown.is_empty() {
        return Err(format!("the table lacks {unknown:?}").into());
    }
    for (name, ours, theirs) in [
        ("specialized", section("specialized"), answer.specialized),
        ("caches", section("caches"), answer.caches),
    ] {
        if ours != theirs {
            return Err(format!("{name} are {theirs:?}, not {ours:?}").into());
        }
    }
    Ok(())
}

/// What the stacks of a target are made of.
#[derive(Default)]
struct Met {
    pairs: BTreeMap<String, usize>,
    wrong: Vec<String>,
    tracing: bool,
}

fn meet(target: &Target) -> Outcome<Met> {
    let process = Process::open(target.pid)?;
    let attached = Attached::find(&process)?;
    let (memory, layout) = (process.memory(), &attached.layout);
    let (mut cache, mut chain) = (CodeCache::default(), FrameChain::default());
    let mut met = Met::default();
    for thread in attached.threads(memory)? {
        let end = chain.read(memory, layout, &thread);
        if end != ChainEnd::Root {
            return Err(format!("the chain ended {end:?}").into());
        }
        if let Some(tracing) = layout.thread.tracing {
            met.tracing |= tracing.read(memory, thread.address)? != 0;
        }
        let codes = stack::codes(memory, layout, &mut cache, &chain.frames);
        let mut standing = Operation::Unknown;
        for (index, (frame, code)) in chain.frames.iter().zip(&codes).enumerate() {
            let Some(code) = code else { continue };
            let code = code.as_ref().map_err(|error| error.to_string())?;
            let offset = stack::offset(memory, layout, frame, code).ok_or("a frame outside its code")?;
            let operation = code.operation(offset);
            let above = index.checked_sub(1).and_then(|index| chain.frames.get(index));
            let callee = above.map(|above| Callee::of(above, standing, frame));
            standing = operation;
            let Some(callee) = callee else { continue };
            *met.pairs.entry(format!("{callee:?} {operation:?}")).or_default() += 1;
            if operation == Operation::Unknown || !operation.fits(callee) {
                met.wrong.push(format!("{} +{offset}: {callee:?} at {operation:?}", code.name));
            }
        }
    }
    println!("{:?} {:?}", met.pairs, met.wrong);
    Ok(met)
}

fn callers_can_call(interpreter: &Interpreter, script: &str) -> Outcome {
    let met = meet(&Target::start(target::command(interpreter, script, &[]))?)?;
    if !met.wrong.is_empty() || met.pairs.is_empty() {
        return Err(met.wrong.join("\n").into());
    }
    // Every kind of call the version has is among those of this target.
    let kinds = [((2, 7), "ThroughC"), ((3, 11), "Function"), ((3, 12), "Generator")];
    for (_, callee) in
        kinds.iter().filter(|(since, _)| script == "operations.py" && interpreter.minor() >= *since)
    {
        if !met.pairs.keys().any(|pair| pair.starts_with(callee)) {
            return Err(format!("no {callee} in {:?}", met.pairs).into());
        }
    }
    Ok(())
}

fn tracing_is_told(interpreter: &Interpreter) -> Outcome {
    let traced = meet(&Target::start(target::command(interpreter, "operations.py", &["traced"]))?)?;
    let untraced = meet(&Target::start(target::command(interpreter, "calls.py", &[]))?)?;
    if !traced.tracing || untraced.tracing {
        return Err(format!("tracing: {}, not tracing: {}", traced.tracing, untraced.tracing).into());
    }
    Ok(())
}

fn main() {
    let bodies: [(&str, Body); 5] = [
        ("tables", tables_are_the_interpreters),
        ("calls", |interpreter| callers_can_call(interpreter, "calls.py")),
        ("generators", |interpreter| callers_can_call(interpreter, "generators.py")),
        ("operations", |interpreter| callers_can_call(interpreter, "operations.py")),
        ("tracing", tracing_is_told),
    ];
    let interpreters = interpreters::all();
    let tests = interpreters.into_iter().flat_map(|interpreter| {
        bodies.map(|(name, body)| {
            let interpreter = interpreter.clone();
            test(format!("{name}::{}", interpreter.label), move || body(&interpreter))
        })
    });
    run(tests.collect());
}
