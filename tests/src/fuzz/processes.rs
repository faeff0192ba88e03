//! Whole processes: made by plan, with structures written by hand, and damaged by the rest of the input.
//!
//! Undamaged, a process must be seen exactly as it was planned. Damaged, nothing may panic, and the work must be
//! bounded: a damage can make cycles and huge numbers, but there are only so many places to go to.

pub(super) mod image;
mod objects;
pub(super) mod plan;
pub(super) mod shape;

use std::cell::OnceCell;
use std::path::PathBuf;

use arbitrary::{Arbitrary, Unstructured};
use rspy_cpython::code::CodeCache;
use rspy_cpython::frames::{ChainEnd, FrameChain};
use rspy_cpython::interpreter::GilState;
use rspy_cpython::locals::LocalsReader;
use rspy_cpython::stack::{Frame, resolve};
use rspy_cpython::{Attached, FindError, Version, class_names};
use rspy_process::Address;
use rspy_process::elf::{Image, Region, Symbol};
use rspy_process::maps::LoadedFile;

use crate::fuzz::memory::{Limits, Synthetic};
use image::Damage;
use plan::{DATA, Line, Plan, Process, VERSION};
use shape::SHAPES;

/// Where `_PyRuntime` lies: at the beginning of the interpreter's variables.
const RUNTIME: Address = Address(0x5555_5555_0000);
/// A process is some 30 KB, in which a few thousand different words lie; of four threads, each could lead through
/// all of them.
const LIMITS: Limits = Limits { reads: 1 << 20, bytes: 1 << 30 };

/// How long the text of a variable's value may be.
const TEXT: usize = 100;

#[derive(Arbitrary, Debug)]
struct Input {
    /// Attaching costs as much as everything else: it is tried one time in four.
    route: u8,
    plan: Plan,
    damages: Vec<Damage>,
}

/// What leads to the interpreter.
#[derive(Copy, Clone, Debug)]
enum Route {
    Symbols,
    Section,
    Search,
}

/// Looks at a process, then at what is left of it.
pub fn run(data: &[u8]) {
    thread_local!(static ATTACHED: OnceCell<[Attached; 4]> = const { OnceCell::new() });
    let Ok(input) = Input::arbitrary_take_rest(Unstructured::new(data)) else { return };
    let mut process = input.plan.build();
    ATTACHED.with(|attached| {
        // Where things are found is the same for all processes of a version: it is found once.
        let attached = attached_to(attached.get_or_init(of_each_shape), &process);
        compare(attached, &process);
        for damage in &input.damages {
            process.image.damage(damage);
        }
        let memory = || process.image.memory(LIMITS);
        look(attached, &memory());
        let route = match input.route {
            0..192 => return,
            192..214 => Route::Symbols,
            214..236 => Route::Section,
            236.. => Route::Search,
        };
        match find(&process.image, &memory(), route) {
            Ok(found) if input.damages.is_empty() => compare(&found, &process),
            Ok(found) => look(&found, &memory()),
            Err(error) => assert!(!input.damages.is_empty(), "{route:?}: {error}"),
        }
    });
}

/// Processes of each shape, attached to.
pub(super) fn of_each_shape() -> [Attached; 4] {
    SHAPES.each_ref().map(attach_to_plain)
}

/// The one that is of the shape of `process`.
pub(super) fn attached_to<'a>(attached: &'a [Attached; 4], process: &Process) -> &'a Attached {
    let attached = attached.iter().zip(&SHAPES).find(|(_, shape)| shape.version == process.shape.version);
    attached.expect("one for each shape").0
}

/// What leads to the interpreter in the smallest process of this shape.
fn attach_to_plain(shape: &shape::Shape) -> Attached {
    let index = SHAPES.iter().position(|other| other.version == shape.version).unwrap_or(0);
    let process = Plan::of_shape(index as u8).build();
    let found = find(&process.image, &process.image.memory(LIMITS), Route::Symbols);
    let attached = found.unwrap_or_else(|error| panic!("{:?}: {error}", shape.version));
    let [major, minor, patch] = shape.version;
    assert_eq!(attached.version(), Version { major, minor, patch });
    attached
}

fn find(process: &image::Image, memory: &Synthetic, route: Route) -> Result<Attached, FindError> {
    let data = Region { start: RUNTIME, len: DATA as u64 };
    let mut image = Image { writable: vec![data], ..Image::default() };
    let symbol = |name: &str, address| Symbol { name: name.to_owned(), address, size: 8 };
    match route {
        Route::Symbols => {
            image.symbols =
                vec![symbol("_PyRuntime", RUNTIME), symbol("Py_Version", RUNTIME.offset(VERSION))];
        }
        Route::Section => image.py_runtime = Some(Region { start: RUNTIME, len: VERSION }),
        Route::Search => {}
    }
    let file = LoadedFile {
        path: PathBuf::from("/usr/bin/python3"),
        deleted: false,
        base: RUNTIME,
        mappings: Vec::new(),
    };
    Attached::find_in_image(memory, &process.maps(), &file, image)
}

/// Everything that rspy looks at, for the sake of looking.
fn look(attached: &Attached, memory: &Synthetic) {
    let _ = attached.gil_state(memory);
    for interpreter in attached.interpreters(memory).unwrap_or_default() {
        attached.collecting(memory, interpreter);
        let _ = attached.gil_words(memory, interpreter);
    }
    attached.thread_names(memory);
    attached.notebook_cells(memory);
    let threads = attached.threads(memory).unwrap_or_default();
    let mut codes = CodeCache::default();
    let mut chain = FrameChain::default();
    for thread in threads {
        let _ = thread.datastack_chunk(memory, &attached.layout);
        thread.exception(memory, attached);
        thread.gil_requested(memory, &attached.layout);
        let end = chain.read(memory, &attached.layout, &thread);
        assert!(end != ChainEnd::Broken || chain.frames.is_empty(), "a broken chain has frames");
        let mut frames = resolve(memory, &attached.layout, &mut codes, &chain.frames);
        LocalsReader::new(memory, &attached.layout, TEXT).read(&mut frames);
        class_names::add(memory, &attached.layout, &mut frames);
        for frame in frames {
            frame.location();
        }
    }
}

/// What is seen of an undamaged process is what was planned.
fn compare(attached: &Attached, process: &Process) {
    let memory = &process.image.memory(LIMITS);
    let version = process.shape.version;
    let threads = attached.threads(memory).expect("threads");
    let mut codes = CodeCache::default();
    let mut chain = FrameChain::default();
    assert_eq!(threads.len(), process.stacks.len(), "{version:?}");
    for (thread, stack) in threads.iter().zip(&process.stacks) {
        assert_eq!((thread.thread_id, thread.address), (stack.thread_id, stack.address), "{version:?}");
        let end = chain.read(memory, &attached.layout, thread);
        assert_eq!((end, chain.is_cut), (ChainEnd::Root, false), "{version:?}");
        let mut frames = resolve(memory, &attached.layout, &mut codes, &chain.frames);
        LocalsReader::new(memory, &attached.layout, TEXT).read(&mut frames);
        class_names::add(memory, &attached.layout, &mut frames);
        let lines: Vec<Line> = frames.iter().map(seen).collect();
        assert_eq!(lines, stack.lines, "{version:?}");
    }
    let mut names: Vec<(u64, String)> = attached.thread_names(memory).into_iter().collect();
    names.sort();
    assert_eq!(names, process.names, "{version:?}");
    let held = match process.holder {
        Some(holder) => GilState::Held { holders: vec![holder], free: 0 },
        None => GilState::Held { holders: Vec::new(), free: 1 },
    };
    assert_eq!(attached.gil_state(memory), Ok(held), "{version:?}");
}

fn seen(frame: &Frame) -> Line {
    match frame {
        Frame::Python { code, locals, .. } => {
            let locals = locals.iter().flatten();
            Line {
                name: frame.name().into_owned(),
                filename: code.filename.to_string(),
                line: frame.location().line,
                variables: locals
                    .map(|local| (local.name.clone(), local.value.to_string(), local.is_argument))
                    .collect(),
            }
        }
        Frame::Unknown(error) => panic!("{error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::objects::Objects;
    use super::*;

    /// Every version, every kind of frame, every function, several threads and interpreters.
    #[test]
    fn undamaged_processes_are_seen_as_they_are() {
        for shape in 0..SHAPES.len() as u8 {
            for route in [Route::Symbols, Route::Section, Route::Search] {
                let process = Plan::of_everything(shape).build();
                let shown: usize = process.stacks.iter().map(|stack| stack.lines.len()).sum();
                assert!(process.stacks.len() == 4 && shown > 40 && process.names.len() == 3, "{shown}");
                let found = find(&process.image, &process.image.memory(LIMITS), route);
                compare(&found.unwrap_or_else(|error| panic!("{route:?}: {error}")), &process);
            }
        }
    }

    /// `threading._active` with very many threads, which are one, which has very many attributes.
    #[test]
    fn names_that_lead_to_one_another_are_bounded() {
        let shape = &SHAPES[0];
        let mut objects = Objects::new(shape, DATA);
        let (attribute, thread) = (objects.str("attribute"), objects.thread("never reached"));
        let attributes = vec![(attribute, attribute); 20_000];
        let attributes = objects.dict(&attributes);
        objects.image.word(thread.offset(16), attributes.0);
        let id = objects.int(1);
        let active = objects.dict(&vec![(id, thread); 20_000]);
        let names = [(objects.str("_active"), active)];
        let modules = [(objects.str("threading"), objects.module(&names))];
        let modules = objects.dict(&modules);
        let interpreter = objects.image.reserve(image::Kind::Heap, shape.interpreter.size);
        objects.image.word(interpreter.offset(shape.interpreter.modules), modules.0);
        objects.image.word(RUNTIME.offset(shape.runtime.interpreters_head), interpreter.0);

        // 20,000 times 20,000 strings would be compared.
        let memory = objects.image.memory(Limits { reads: 1 << 22, bytes: 1 << 30 });
        assert!(attach_to_plain(shape).thread_names(&memory).is_empty());
        assert!(memory.reads() > 20_000, "the attributes were looked at");
    }
}
