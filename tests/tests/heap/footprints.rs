//! What allocators spend on objects, compared with what `tracemalloc` writes down while they are made.

use std::fs;
use std::process::Command;

use rspy_heap::types::Known;

use rspy_tests::Outcome;
use rspy_tests::interpreters::Interpreter;
use rspy_tests::program::{Program, command};
use rspy_tests::target::scripts;

use super::references::Copied;

/// How many objects there are of each kind: what is found for one may not differ by a byte.
const COUNT: u64 = 1000;
/// The C library gives more than it must where what would be left over is too small for anybody.
const MOST_BEYOND: u64 = 32;
/// At least so many kinds must have been compared.
const KINDS: usize = 30;

/// Of the allocators that are usual.
pub fn footprints(interpreter: &Interpreter) -> Outcome {
    compare(interpreter, command(&interpreter.path), 0)
}

/// Of others.
pub fn allocated(interpreter: &Interpreter) -> Outcome {
    for allocator in ["malloc", "debug", "malloc_debug"] {
        let mut command = command(&interpreter.path);
        command.env("PYTHONMALLOC", allocator);
        compare(interpreter, command, MOST_BEYOND).map_err(|error| format!("{allocator}:\n{error}"))?;
    }
    Ok(())
}

/// Of mimalloc, where it is not the usual one.
pub fn mimalloc(interpreter: &Interpreter) -> Outcome {
    for allocator in ["mimalloc", "mimalloc_debug"] {
        let mut command = command(&interpreter.path);
        command.env("PYTHONMALLOC", allocator);
        compare(interpreter, command, MOST_BEYOND).map_err(|error| format!("{allocator}:\n{error}"))?;
    }
    Ok(())
}

/// `beyond` is how much more may be found, in bytes an object.
fn compare(interpreter: &Interpreter, mut command: Command, beyond: u64) -> Outcome {
    command.arg(scripts().join("heap_footprints.py")).arg("footprints");
    let mut program = Program::start(command)?;
    program.says(" kinds")?;
    let truth = fs::read_to_string(program.file("footprints"))?;

    let copied = Copied::of(program.pid())?;
    let heap = copied.heap()?;
    let (types, reader) = (heap.types(), heap.reader());
    let mut known = Known::default();
    let mut wrong = Vec::new();
    for line in truth.lines() {
        let mut words = line.split(' ');
        let (Some(name), Some(spent)) = (words.next(), words.next()) else { continue };
        let spent: u64 = spent.parse()?;
        let mut found = 0;
        for at in words {
            let object = reader.at(&types, &mut known, at.parse()?);
            found += reader.size(&object.ok_or(format!("{name}: nothing at {at}"))?).footprint;
        }
        if found + COUNT <= spent || found >= spent + (beyond + 1) * COUNT {
            wrong.push(format!("{name}: {spent} bytes were spent, {found} are found"));
        }
    }
    let kinds = truth.lines().count();
    println!("{}: {kinds} kinds", interpreter.label);
    if kinds < KINDS {
        return Err(format!("{kinds} kinds only").into());
    }
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n").into()) }
}
