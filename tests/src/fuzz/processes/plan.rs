//! From a plan to a process: what runs in it is known, since it was made so.

use arbitrary::Arbitrary;
use rspy_process::Address;

use super::image::{Image, Kind};
use super::objects::{Function, Objects, UNITS, VARIABLES};
use super::shape::{Bytecode, Current, SHAPES, Shape, cframe, chunk, gil};

/// Most threads of a process, and most frames of a thread: a process stays small enough to be made often.
const MAX_THREADS: usize = 4;
const MAX_FRAMES: usize = 24;
/// Size of a chunk of the data stack, in bytes: a few frames.
const CHUNK: usize = 512;
/// Bytes of the interpreter's variables: `_PyRuntime` as far as it is used, then these two.
pub const DATA: usize = 4096;
/// Where `Py_Version` lies in them.
pub const VERSION: u64 = 2048;
const VERSION_TEXT: u64 = 3072;
/// Where the first thread's `pthread_t` would be; the others' follow.
const FIRST_IDENT: u64 = 0x7f00_1234_5000;

/// What runs in a process.
#[derive(Arbitrary, Debug)]
pub struct Plan {
    shape: u8,
    holder: u8,
    has_second_interpreter: bool,
    threads: Vec<ThreadPlan>,
}

#[derive(Arbitrary, Debug)]
struct ThreadPlan {
    has_name: bool,
    frames: Vec<FramePlan>,
}

#[derive(Arbitrary, Debug)]
struct FramePlan {
    function: u8,
    unit: u8,
    call: Call,
}

/// How a function was called.
#[derive(Arbitrary, Copy, Clone, Debug, PartialEq)]
enum Call {
    FromPython,
    FromC,
    Generator,
}

/// What should be seen of a frame.
#[derive(Debug, PartialEq)]
pub struct Line {
    pub name: String,
    pub filename: String,
    pub line: Option<u32>,
    /// Names and values of variables, and which are arguments.
    pub variables: Vec<(String, String, bool)>,
}

/// What should be seen of a thread.
#[derive(Debug, PartialEq)]
pub struct Stack {
    pub thread_id: u64,
    pub address: Address,
    /// Innermost first.
    pub lines: Vec<Line>,
}

/// A process, and what should be seen of it.
pub struct Process {
    pub shape: &'static Shape,
    pub image: Image,
    /// The main interpreter's threads first, of each interpreter the newest first.
    pub stacks: Vec<Stack>,
    /// By thread id.
    pub names: Vec<(u64, String)>,
    /// Who holds the GIL.
    pub holder: Option<Address>,
    /// The GIL, where it is the interpreter's.
    gil: Option<Address>,
}

impl Process {
    /// Gives the GIL to another thread, or to nobody.
    pub fn hold(&mut self, holder: Option<Address>) {
        self.holder = holder;
        tell_holder(&mut self.image, self.shape, self.gil, holder);
    }
}

const FUNCTIONS: [Function; 8] = [
    Function { name: "<module>", qualname: "<module>", filename: "/app/main.py", first_line: 1 },
    Function { name: "run", qualname: "Task.run", filename: "/app/main.py", first_line: 20 },
    Function { name: "größer", qualname: "Maß.größer", filename: "/app/maß.py", first_line: 300 },
    Function { name: "计算", qualname: "数.计算", filename: "/app/计.py", first_line: 70_000 },
    Function { name: "𝐟", qualname: "<locals>.𝐟", filename: "/app/\u{1f40d}.py", first_line: 5 },
    Function { name: "f", qualname: "f", filename: "<string>", first_line: 1 },
    Function { name: "<listcomp>", qualname: "g.<listcomp>", filename: "/app/main.py", first_line: 7 },
    // The interpreter's own, which is never shown.
    Function { name: "__init__", qualname: "__init__", filename: "__init__", first_line: 1 },
];

impl Plan {
    /// A process of one thread that runs nothing, in this version.
    pub fn of_shape(shape: u8) -> Plan {
        Plan { shape, holder: 0, has_second_interpreter: false, threads: Vec::new() }
    }

    /// A process that has all there can be.
    #[cfg(test)]
    pub fn of_everything(shape: u8) -> Plan {
        let frames = |thread: u8| {
            let frame = |index: u8| FramePlan {
                function: index,
                unit: index / 3 + thread,
                call: [Call::FromPython, Call::FromC, Call::Generator][usize::from(index + thread) % 3],
            };
            (0..MAX_FRAMES as u8 - thread).map(frame).collect()
        };
        let threads =
            (0..MAX_THREADS as u8).map(|thread| ThreadPlan { has_name: true, frames: frames(thread) });
        Plan { shape, holder: 1, has_second_interpreter: true, threads: threads.collect() }
    }

    /// The process that runs so.
    pub fn build(&self) -> Process {
        let shape = &SHAPES[usize::from(self.shape) % SHAPES.len()];
        let mut objects = Objects::new(shape, DATA);
        let codes = FUNCTIONS.each_ref().map(|function| objects.code(function));
        let runtime = super::RUNTIME;

        let planned: Vec<&ThreadPlan> = self.threads.iter().take(MAX_THREADS).collect();
        let main_only = [&ThreadPlan { has_name: false, frames: Vec::new() }];
        let planned = if planned.is_empty() { &main_only[..] } else { &planned };
        let of_second = usize::from(self.has_second_interpreter && planned.len() > 1);

        let main = objects.image.reserve(Kind::Heap, shape.interpreter.size);
        let mut stacks = Vec::new();
        let mut names = Vec::new();
        let mut thread_objects = Vec::new();
        let (of_main, of_second) = planned.split_at(planned.len() - of_second);
        self.interpreter(&mut objects, main, of_main, &codes, 0, &mut stacks);
        for (index, _) in of_main.iter().enumerate().filter(|(_, thread)| thread.has_name) {
            let (id, name) = (ident(index), format!("Thread-{index} (ß)"));
            thread_objects.push((objects.int(id), objects.thread(&name)));
            names.push((id, name));
        }
        let active = objects.dict(&thread_objects);
        let active = [(objects.str("_limbo"), active), (objects.str("_active"), active)];
        let threading = objects.module(&active);
        let sys = objects.module(&[]);
        let modules = [(objects.str("sys"), sys), (objects.str("threading"), threading)];
        let modules = objects.dict_of_names(&modules);
        objects.image.word(main.offset(shape.interpreter.modules), modules.0);

        let mut newest = main;
        if !of_second.is_empty() {
            newest = objects.image.reserve(Kind::Heap, shape.interpreter.size);
            self.interpreter(&mut objects, newest, of_second, &codes, of_main.len(), &mut stacks);
            let modules = objects.dict(&[]);
            objects.image.word(newest.offset(shape.interpreter.modules), modules.0);
            objects.image.word(newest.offset(shape.interpreter.next), main.0);
            objects.image.word(newest.offset(shape.interpreter.id), 1);
        }
        objects.image.word(runtime.offset(shape.runtime.interpreters_head), newest.0);
        objects.image.word(runtime.offset(shape.runtime.interpreters_head + 8), main.0);
        let holder = stacks.get(usize::from(self.holder)).map(|stack| stack.address);
        let gil = hold(&mut objects, &[main, newest], holder);
        tell_version(&mut objects);
        Process { shape, image: objects.image, stacks, names, holder, gil }
    }

    /// An interpreter at `at` with these threads.
    fn interpreter(
        &self,
        objects: &mut Objects,
        at: Address,
        threads: &[&ThreadPlan],
        codes: &[Address; 8],
        first: usize,
        stacks: &mut Vec<Stack>,
    ) {
        let shape = &objects.shape.thread;
        let mut newest = Address::NULL;
        let mut found = Vec::new();
        for (index, plan) in threads.iter().enumerate() {
            let thread = objects.image.reserve(Kind::Heap, shape.size);
            let id = ident(first + index);
            objects.image.word(thread.offset(shape.next), newest.0);
            objects.image.word(thread.offset(shape.interp), at.0);
            objects.image.word(thread.offset(shape.thread_id), id);
            if let Some(field) = shape.native_thread_id {
                objects.image.word(thread.offset(field), 1000 + (first + index) as u64);
            }
            if let Some(field) = shape.state {
                objects.image.put(thread.offset(field), 4, u64::from(index == 0));
            }
            let lines = frames(objects, thread, plan, codes);
            found.push(Stack { thread_id: id, address: thread, lines });
            newest = thread;
        }
        objects.image.word(at.offset(objects.shape.interpreter.threads_head), newest.0);
        stacks.extend(found.into_iter().rev());
    }
}

fn ident(index: usize) -> u64 {
    FIRST_IDENT + index as u64 * 0x1000
}

/// A thread's frames. Answers what should be seen of them, innermost first.
fn frames(objects: &mut Objects, thread: Address, plan: &ThreadPlan, codes: &[Address; 8]) -> Vec<Line> {
    let shape = objects.shape;
    let mut lines = Vec::new();
    let (mut previous, mut evaluation, mut chunk) = (Address::NULL, Address::NULL, None);
    if let Current::Cframe { root, .. } = shape.thread.current {
        evaluation = thread.offset(root);
        objects.image.word(evaluation.offset(cframe::CURRENT_FRAME), 0);
        objects.image.word(evaluation.offset(cframe::PREVIOUS), 0);
    }
    for (index, frame) in plan.frames.iter().take(MAX_FRAMES).enumerate() {
        // Threads begin in C, and generators have a caller.
        let call = if index == 0 { Call::FromC } else { frame.call };
        let index = usize::from(frame.function) % FUNCTIONS.len();
        let (function, code) = (&FUNCTIONS[index], codes[index]);
        let unit = u64::from(frame.unit) % UNITS;

        if let (Some(shim), Some(owner), Call::FromC) = (shape.frame.shim, shape.frame.owner, call) {
            let at = objects.image.reserve(Kind::CStack, shape.frame.size);
            objects.image.word(at.offset(shape.frame.previous), previous.0);
            objects.image.put(at.offset(owner), 1, shim.into());
            previous = at;
        }
        let at = match (call, shape.thread.datastack_chunk) {
            (Call::Generator, _) | (_, None) => objects.image.reserve(Kind::Heap, shape.frame.size),
            (_, Some(_)) => on_data_stack(objects, &mut chunk),
        };
        // A generator that runs is an evaluation of its own in 3.11.
        let is_entry = call == Call::FromC || (call == Call::Generator && shape.frame.shim.is_none());
        if let (Current::Cframe { .. }, true) = (&shape.thread.current, is_entry) {
            let below = evaluation;
            evaluation = objects.image.reserve(Kind::CStack, cframe::SIZE);
            objects.image.word(evaluation.offset(cframe::PREVIOUS), below.0);
        }
        if let Current::Cframe { .. } = shape.thread.current {
            objects.image.word(evaluation.offset(cframe::CURRENT_FRAME), at.0);
        }
        objects.image.word(at.offset(shape.frame.previous), previous.0);
        objects.image.word(at.offset(shape.frame.code), code.0 | shape.frame.tag);
        match shape.code.bytecode {
            Bytecode::Object { .. } => objects.image.put(at.offset(shape.frame.position), 4, unit * 2),
            Bytecode::Inline { start, .. } => {
                objects.image.word(at.offset(shape.frame.position), code.0 + start + unit * 2);
            }
        }
        if let Some(owner) = shape.frame.owner {
            objects.image.put(at.offset(owner), 1, u64::from(call == Call::Generator));
        }
        if let Some(field) = shape.frame.is_entry {
            objects.image.put(at.offset(field), 1, u64::from(is_entry));
        }
        let number = 1_000_000_007 * u64::from(frame.unit);
        let values = [objects.str("𝐱\n"), objects.int(number)];
        for (index, value) in values.into_iter().enumerate() {
            objects.image.word(at.offset(shape.frame.variables + index as u64 * 8), value.0);
        }
        previous = at;

        // A frame that has not come to its first traceable unit is not shown, nor are the interpreter's own.
        let has_begun = unit > 0 || call == Call::Generator || shape.frame.owner.is_none();
        if has_begun && function.filename != "__init__" {
            // Without qualified names, the class is the type of `self`.
            let name = match shape.code.qualname {
                Some(_) => function.qualname.to_owned(),
                None => format!("str.{}", function.name),
            };
            lines.push(Line {
                name,
                filename: function.filename.to_owned(),
                line: Some(function.first_line + unit as u32),
                variables: vec![
                    (VARIABLES[0].to_owned(), "\"𝐱\\n\"".to_owned(), true),
                    (VARIABLES[1].to_owned(), number.to_string(), false),
                ],
            });
        }
    }
    match shape.thread.current {
        Current::Frame(field) => objects.image.word(thread.offset(field), previous.0),
        Current::Cframe { cframe, .. } => objects.image.word(thread.offset(cframe), evaluation.0),
    }
    if let (Some(field), Some((at, used))) = (shape.thread.datastack_chunk, chunk) {
        objects.image.word(thread.offset(field), at.0);
        objects.image.word(thread.offset(field + 8), at.0 + used as u64);
    }
    lines.reverse();
    lines
}

/// Room for a frame in the newest chunk, (address, bytes used), or in a new one.
fn on_data_stack(objects: &mut Objects, newest: &mut Option<(Address, usize)>) -> Address {
    let size = objects.shape.frame.size;
    let (at, used) = match *newest {
        Some((at, used)) if used + size <= CHUNK => (at, used),
        full => {
            let below = full.map_or(Address::NULL, |(at, _)| at);
            if let Some((at, used)) = full {
                objects.image.word(at.offset(chunk::TOP), (used as u64 - chunk::DATA) / 8);
            }
            let at = objects.image.reserve(Kind::DataStack, CHUNK);
            objects.image.word(at.offset(chunk::PREVIOUS), below.0);
            objects.image.word(at.offset(chunk::SIZE), CHUNK as u64);
            (at, chunk::DATA as usize)
        }
    };
    *newest = Some((at, used + size));
    at.offset(used as u64)
}

/// Writes who holds the GIL. Answers where it is, if it is an interpreter's.
fn hold(objects: &mut Objects, interpreters: &[Address], holder: Option<Address>) -> Option<Address> {
    let gil = objects.shape.interpreter.gil.map(|field| {
        let at = objects.image.reserve(Kind::Heap, gil::SIZE);
        for interpreter in interpreters {
            objects.image.word(interpreter.offset(field), at.0);
        }
        at
    });
    tell_holder(&mut objects.image, objects.shape, gil, holder);
    gil
}

fn tell_holder(image: &mut Image, shape: &Shape, gil: Option<Address>, holder: Option<Address>) {
    let holder_word = holder.map_or(0, |address| address.0);
    if let Some(field) = shape.runtime.tstate_current {
        image.word(super::RUNTIME.offset(field), holder_word);
    }
    if let Some(at) = gil {
        image.word(at.offset(gil::LAST_HOLDER), holder_word);
        image.put(at.offset(gil::LOCKED), 4, u64::from(holder.is_some()));
    }
}

/// Writes every way in which an interpreter tells its version.
fn tell_version(objects: &mut Objects) {
    let runtime = super::RUNTIME;
    let [major, minor, patch] = objects.shape.version;
    let hex = u64::from(u32::from_be_bytes([major, minor, patch, 0xf0]));
    objects.image.word(runtime.offset(VERSION), hex);
    let text = format!("{major}.{minor}.{patch} (main, Nov 22 2026, 10:00:00) [GCC 12.2.0]");
    objects.image.write(runtime.offset(VERSION_TEXT), text.as_bytes());
    if !objects.shape.debug_offsets.is_empty() {
        objects.image.write(runtime, b"xdebugpy");
        objects.image.word(runtime.offset(8), hex);
    }
    for (position, value) in objects.shape.debug_offsets {
        objects.image.word(runtime.offset(*position), *value);
    }
}
