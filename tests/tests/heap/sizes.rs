//! How large objects are, compared with what `sys.getsizeof()` says of each.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::Command;

use rspy_heap::objects::Objects;
use rspy_heap::types::Known;

use rspy_tests::Outcome;
use rspy_tests::interpreters::Interpreter;
use rspy_tests::program::{Program, command};
use rspy_tests::target::scripts;

use super::references::Copied;

/// At least so many types must be among what is compared.
const TYPES: usize = 60;
/// Objects that the program may have had only while it wrote.
const GONE: usize = 5;

/// Types of which the size may differ, since they count what is not read: what `ctypes` keeps for each of its classes, as the text
/// of a format.
const DIFFERING: [&str; 4] =
    ["_ctypes.Py", "_ctypes.UnionType", "ctypes._endian._swapped_", "builtins.StgDict"];

/// Objects of usual types in all sizes.
pub fn sizes(interpreter: &Interpreter) -> Outcome {
    compare(interpreter, command(&interpreter.path), "heap_sizes.py")
}

/// Objects of classes that are laid out in unusual ways, and of types that are written in C.
pub fn layouts(interpreter: &Interpreter) -> Outcome {
    compare(interpreter, command(&interpreter.path), "heap_layouts.py")
}

/// The same, of heaps that other allocators made.
pub fn allocated(interpreter: &Interpreter) -> Outcome {
    for allocator in ["malloc", "debug", "malloc_debug"] {
        let mut command = command(&interpreter.path);
        command.env("PYTHONMALLOC", allocator);
        compare(interpreter, command, "heap_layouts.py").map_err(|error| format!("{allocator}: {error}"))?;
    }
    Ok(())
}

/// Each object that the `script` tells of is among those that are found, and is as large as it says.
fn compare(interpreter: &Interpreter, mut command: Command, script: &str) -> Outcome {
    command.arg(scripts().join(script)).arg("sizes");
    let mut program = Program::start(command)?;
    program.says(" objects")?;
    let truth = fs::read_to_string(program.file("sizes"))?;

    let copied = Copied::of(program.pid())?;
    let heap = copied.heap()?;
    let (types, reader, objects) = (heap.types(), heap.reader(), Objects::of(&heap));
    let (mut known, mut gone) = (Known::default(), 0);
    let mut names: BTreeSet<&str> = BTreeSet::new();
    let mut wrong: BTreeMap<&str, String> = BTreeMap::new();
    for line in truth.lines() {
        let mut words = line.split(' ');
        let (Some(at), Some(size), Some(name)) = (words.next(), words.next(), words.next()) else { continue };
        let (at, size): (u64, u64) = (at.parse()?, size.parse()?);
        let Some(object) = reader.at(&types, &mut known, at) else {
            gone += 1;
            continue;
        };
        names.insert(name);
        let found = reader.size(&object);
        let is_met = objects.number(at).is_some();
        let is_exact = found.reported == size || DIFFERING.iter().any(|prefix| name.starts_with(prefix));
        if !is_exact || !is_met {
            let told = format!("{name} at {at:#x} takes {size}, found {found:?} of {}", object.of.name);
            wrong.insert(name, if is_met { told } else { format!("{told}, not among all") });
        }
    }
    let count = truth.lines().count();
    println!("{}: {count} objects of {} types", interpreter.label, names.len());
    if names.len() < TYPES || gone > GONE {
        return Err(format!("{} types only; {gone} objects were not found", names.len()).into());
    }
    if wrong.is_empty() { Ok(()) } else { Err(wrong.into_values().collect::<Vec<_>>().join("\n").into()) }
}
