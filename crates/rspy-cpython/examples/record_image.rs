//! Records the memory image that the benches of this crate decode.
//!
//!     cargo run --release -p rspy-cpython --example record_image -- PYTHON3.13 benches/images/3.13.image
//!
//! Starts that Python with a program of a few stacks, and keeps all that is read of it to sample its thread
//! while it waits in each.

use std::cell::RefCell;
use std::error::Error;
use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};

use rspy_cpython::Attached;
use rspy_cpython::interpreter::{ThreadState, threads_of};
use rspy_cpython::sampling::{NodeId, StackEnd, Unwinder, Watch};
use rspy_process::{Address, Batch, Memory, Process, ReadError};

#[path = "../benches/image/mod.rs"]
mod image;

use image::{BLOCK, Blocks, DEPTHS, Image, MOMENTS};

/// Waits in the stacks of [`MOMENTS`], each until a byte comes.
const PROGRAM: &str = "
import os

def first():
    os.write(1, b'.')
    return os.read(0, 1)

def second():
    os.write(1, b'.')
    return os.read(0, 1)

for n in range(9, -1, -1):
    callee = 'step%d(leaf)' % (n + 1) if n < 9 else 'leaf()'
    exec('def step%d(leaf):\\n    value = %s\\n    return value' % (n, callee))

def recurse(depth):
    return recurse(depth - 1) if depth else first()

for leaf in (first, second):
    step0(leaf)
recurse(202)
";

/// Keeps what is read.
struct Keeping<'m, M> {
    memory: &'m M,
    blocks: RefCell<Blocks>,
}

impl<M: Memory> Memory for Keeping<'_, M> {
    fn read(&self, at: Address, into: &mut [u8]) -> Result<(), ReadError> {
        self.memory.read(at, into)?;
        let mut blocks = self.blocks.borrow_mut();
        let first = at.0 / BLOCK;
        let last = (at.0 + into.len() as u64) / BLOCK;
        for block in (first..=last).map(|block| block * BLOCK) {
            let mut bytes = vec![0; BLOCK as usize];
            if !blocks.contains_key(&block) && self.memory.read(Address(block), &mut bytes).is_ok() {
                blocks.insert(block, bytes);
            }
        }
        Ok(())
    }
}

/// Samples `thread` in every way, with a watch that knows it from before, and anew.
fn sample(memory: &impl Memory, attached: &Attached, thread: ThreadState, known: &mut (Unwinder, Watch)) {
    let layout = &attached.layout;
    let mut anew = (Unwinder::new(false), Watch::new(thread));
    for (unwinder, watch) in [known, &mut anew] {
        for round in 0..200 {
            let is_running = round % 2 == 0;
            let mut batch = Batch::new();
            let asked = unwinder.ask(memory, layout, watch, &mut batch, is_running);
            memory.read_many(&mut batch);
            let sampled = if is_running {
                unwinder.running(memory, layout, watch, asked, &batch, NodeId::ROOT)
            } else {
                unwinder.standing(memory, layout, watch, asked, &batch, NodeId::ROOT)
            };
            if round > 100 {
                assert_eq!(sampled.end, StackEnd::Whole);
            }
            unwinder.verify(memory, layout, [sampled.stack].into_iter());
        }
    }
}

/// Waits until it waits for its stdin.
fn wait_for(child: &mut Child) -> Result<(), Box<dyn Error>> {
    child.stdout.as_mut().ok_or("no stdout")?.read_exact(&mut [0])?;
    let path = format!("/proc/{}/syscall", child.id());
    // The system call `read` of file 0.
    while !std::fs::read_to_string(&path)?.starts_with("0 0x0 ") {
        std::thread::yield_now();
    }
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [python, output] = arguments.as_slice() else { return Err("give PYTHON OUTPUT".into()) };
    let mut command = Command::new(python);
    command.args(["-I", "-S", "-c", PROGRAM]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn()?;
    wait_for(&mut child)?;
    let process = Process::open(child.id())?;
    let attached = Attached::find(&process)?;
    let version = attached.version();
    if (version.major, version.minor) != (3, 13) || attached.abi() != Default::default() {
        return Err(format!("this is {version}{}: give an ordinary 3.13", attached.abi()).into());
    }
    let interpreter = *attached.interpreters(process.memory())?.first().ok_or("no interpreter")?;
    let mut image = Image { patch: version.patch.into(), interpreter: interpreter.0, moments: Vec::new() };
    let mut known = None;
    for (moment, depth) in MOMENTS.iter().zip(DEPTHS) {
        let memory = Keeping { memory: process.memory(), blocks: RefCell::default() };
        let mut threads = Vec::new();
        threads_of(&memory, &attached.layout, interpreter, 0, &mut threads)?;
        let [thread] = threads.as_slice() else { return Err("it has several threads".into()) };
        let known = known.get_or_insert_with(|| (Unwinder::new(false), Watch::new(*thread)));
        sample(&memory, &attached, *thread, known);
        let blocks = memory.blocks.into_inner();
        println!("{moment}: {depth} frames, {} blocks of {BLOCK} bytes", blocks.len());
        image.moments.push(blocks);
        child.stdin.as_mut().ok_or("no stdin")?.write_all(b"x")?;
        if image.moments.len() < MOMENTS.len() {
            wait_for(&mut child)?;
        }
    }
    child.wait()?;
    let bytes = image.to_bytes();
    println!("{} bytes", bytes.len());
    Ok(std::fs::write(output, bytes)?)
}
