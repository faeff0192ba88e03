//! What objects refer to, compared with what `gc.get_referents()` says of each object that the collector tracks.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::path::Path;

use rspy_cpython::Attached;
use rspy_heap::heap::Heap;
use rspy_heap::image::{Image, Plan};
use rspy_heap::objects::Objects;
use rspy_heap::references::Edge;
use rspy_process::maps::Mapping;
use rspy_process::{LiveMemory, Process, ReadError};

use rspy_tests::Outcome;
use rspy_tests::environment::Environment;
use rspy_tests::interpreters::Interpreter;
use rspy_tests::program::{Program, command};
use rspy_tests::target::scripts;

/// As much must be found of what there is, and be there of what is found: of builtin types whose members are known, and of all.
const KNOWN: f64 = 0.999;
const OVERALL: f64 = 0.99;

/// Objects that the program may have had only while it wrote.
const GONE: u64 = 5;

/// What an application loads.
const APPLICATION: [&str; 5] =
    ["django.db.models", "django.forms", "django.template.engine", "django.views.generic", "pandas"];

/// Types whose members are known one by one.
const EXACT: &[&str] = &[
    "list",
    "tuple",
    "dict",
    "set",
    "frozenset",
    "cell",
    "method",
    "instancemethod",
    "code",
    "weakref",
    "memoryview",
    "Plain",
    "Slots",
    "Mixed",
    "List",
    "Dict",
    "Tuple",
    "Int",
    "Named",
    "deque",
    "defaultdict",
];

/// What the collector does not go to, since no cycle can be there; and what it does not count though it is referred to.
const LEAVES: [&str; 4] = ["str", "int", "bytes", "unicode"];

/// References of a type.
#[derive(Default)]
struct Found {
    expected: u64,
    lacking: u64,
    beyond: u64,
    missing: u64,
    example: String,
}

impl Found {
    fn recall(&self) -> f64 {
        1.0 - self.lacking as f64 / self.expected.max(1) as f64
    }

    fn precision(&self) -> f64 {
        let found = self.expected - self.lacking;
        found as f64 / (found + self.beyond).max(1) as f64
    }
}

/// A copy of a heap.
pub struct Copied {
    pid: u32,
    attached: Attached,
    maps: Vec<Mapping>,
    image: Image,
}

impl Copied {
    /// That of a process.
    pub fn of(pid: u32) -> Outcome<Copied> {
        let process = Process::open(pid)?;
        let attached = Attached::find(&process)?;
        let maps = process.maps()?;
        let plan = Plan::new(pid, &maps, u64::MAX)?;
        let image = plan.copy(|| LiveMemory::new(pid).map_err(|_| ReadError::Gone))?;
        Ok(Copied { pid, attached, maps, image })
    }

    /// The copy itself.
    pub fn image(&self) -> &Image {
        &self.image
    }

    /// What is in it.
    pub fn heap(&self) -> Outcome<Heap<'_>> {
        self.heap_of(&self.image)
    }

    /// What is in another copy of the same process.
    pub fn heap_of<'i>(&'i self, image: &'i Image) -> Outcome<Heap<'i>> {
        Ok(Heap::new(image, &self.attached, &self.maps, LiveMemory::new(self.pid)?)?)
    }
}

/// Of a program with the standard library.
pub fn references(interpreter: &Interpreter) -> Outcome {
    of_program(interpreter, &interpreter.path, &[])
}

/// Of one that has loaded Django, pandas and numpy: whatever types they have written in C.
pub fn references_of_an_application(interpreter: &Interpreter) -> Outcome {
    of_program(interpreter, &Environment::of(interpreter)?.executable("python"), &APPLICATION)
}

fn of_program(interpreter: &Interpreter, python: &Path, modules: &[&str]) -> Outcome {
    let mut command = command(python);
    command.arg(scripts().join("heap_references.py")).arg("references").args(modules);
    let mut program = Program::start(command)?;
    program.says(" objects")?;
    let truth = fs::read_to_string(program.file("references"))?;

    let copied = Copied::of(program.pid())?;
    let heap = copied.heap()?;
    let objects = Objects::of(&heap);

    let mut all = Found::default();
    let mut types: BTreeMap<&str, Found> = BTreeMap::new();
    for line in truth.lines() {
        let mut words = line.split(' ');
        let (Some(at), Some(name)) = (words.next(), words.next()) else { continue };
        let expected: HashSet<u64> = words.filter_map(|word| word.parse().ok()).collect();
        let found = types.entry(name.rsplit('.').next().unwrap_or(name)).or_default();
        compare(&heap, &objects, at.parse()?, &expected, found);
    }
    for found in types.values() {
        all.expected += found.expected;
        all.lacking += found.lacking;
        all.beyond += found.beyond;
        all.missing += found.missing;
    }
    println!(
        "{}: {} objects, {} references: {:.3} % found, {:.3} % of what is found is so",
        interpreter.label,
        truth.lines().count(),
        all.expected,
        all.recall() * 100.0,
        all.precision() * 100.0
    );
    let mut wrong = Vec::new();
    if all.missing > GONE {
        wrong.push(format!("{} objects were not found", all.missing));
    }
    if all.recall() < OVERALL || all.precision() < OVERALL {
        let mut worst: Vec<_> = types.iter().collect();
        worst.sort_by_key(|(_, found)| std::cmp::Reverse(found.lacking + found.beyond));
        wrong.extend(worst.iter().take(5).map(|(name, found)| format!("{name}: {}", found.example)));
    }
    for name in EXACT {
        let Some(found) = types.get(name) else { continue };
        if found.recall() < KNOWN || found.precision() < KNOWN {
            wrong.push(format!(
                "{name}: of {} references {} lack, {} are none: {}",
                found.expected, found.lacking, found.beyond, found.example
            ));
        }
    }
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n").into()) }
}

/// Adds what is found of the object at `at`, which refers to what is `expected`.
fn compare(heap: &Heap<'_>, objects: &Objects, at: u64, expected: &HashSet<u64>, found: &mut Found) {
    let reader = heap.reader();
    let name = |at: &u64| {
        let of = objects.number(*at).and_then(|number| objects.of_type(number));
        of.map_or_else(|| "?".to_owned(), |of| of.name.clone())
    };
    // What the program needed to write this is gone.
    let Some(object) = objects.number(at).and_then(|number| objects.get(number)) else {
        found.missing += 1;
        return;
    };
    let mut seen: HashSet<u64> = HashSet::new();
    let mut edges = Vec::new();
    reader.references(&object, &mut |to, edge| {
        if objects.number(to).is_some() {
            seen.insert(to);
            edges.push((to, edge));
        }
    });
    // Where an instance has a dict, the collector goes to that, or to what is in it: by version.
    for dict in edges.iter().filter(|(_, edge)| *edge == Edge::Dict).filter_map(|(to, _)| objects.number(*to))
    {
        if let Some(dict) = objects.get(dict) {
            reader.references(&dict, &mut |to, _| {
                seen.insert(to);
            });
        }
    }
    let lacking: Vec<String> = expected.difference(&seen).map(name).collect();
    let is_beyond = |(to, edge): &&(u64, Edge)| {
        // Where code is tracked (free-threaded builds), the collector goes to its constants alone (`code_traverse`).
        let is_passed_by = object.of.name == "code" && *edge != Edge::Member("co_consts");
        !matches!(edge, Edge::Dict | Edge::Member("ht_slots"))
            && !is_passed_by
            && !expected.contains(to)
            && !LEAVES.contains(&name(to).as_str())
    };
    let beyond: Vec<String> =
        edges.iter().filter(is_beyond).map(|(to, edge)| format!("{} {edge:?}", name(to))).collect();
    // Where the values of a dict stand in its instance (3.13 and later), the collector goes to them from there.
    if object.of.name == "dict" && expected.is_empty() {
        return;
    }
    found.expected += expected.len() as u64;
    found.lacking += lacking.len() as u64;
    found.beyond += beyond.len() as u64;
    if !lacking.is_empty() || !beyond.is_empty() {
        found.example = format!("at {at:#x} lacks {lacking:?}, has {beyond:?}");
        found.example = found.example.chars().take(500).collect();
    }
}
