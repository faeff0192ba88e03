//! What memory that means harm can cost: structures that lead to one another without an end, each of them within
//! its own bounds.

use std::cell::Cell;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rspy_cpython::frames::{ChainEnd, FrameChain, MAX_FRAMES};
use rspy_cpython::interpreter::{ThreadState, threads_of};
use rspy_cpython::layout::{CurrentFrame, Frames, Layout};
use rspy_cpython::sampling::{Unwinder, Watch};
use rspy_cpython::{Abi, Attached, Version};
use rspy_process::elf::{Image, Region};
use rspy_process::maps::{LoadedFile, Mapping};
use rspy_process::{Address, Batch, Memory, ReadError};

/// A memory whose words are what a function says, mapped but for the first page; counts what is read.
struct Computed<F> {
    word: F,
    reads: Cell<u64>,
    bytes: Cell<u64>,
}

impl<F: Fn(u64) -> u64> Computed<F> {
    fn new(word: F) -> Self {
        Computed { word, reads: Cell::new(0), bytes: Cell::new(0) }
    }
}

impl<F: Fn(u64) -> u64> Memory for Computed<F> {
    fn read(&self, at: Address, into: &mut [u8]) -> Result<(), ReadError> {
        self.reads.set(self.reads.get() + 1);
        let end = at.0.checked_add(into.len() as u64).filter(|_| at.0 >= 4096);
        let end = end.ok_or(ReadError::Fault { at, len: into.len() })?;
        self.bytes.set(self.bytes.get() + into.len() as u64);
        let mut next = at.0;
        while next < end {
            let (start, word) = (next & !7, (self.word)(next & !7).to_le_bytes());
            let last = (start + 8).min(end);
            let to = (next - at.0) as usize..(last - at.0) as usize;
            into[to].copy_from_slice(&word[(next - start) as usize..(last - start) as usize]);
            next = last;
        }
        Ok(())
    }
}

fn layout(minor: u8) -> Layout {
    let version = Version { major: 3, minor, patch: 0 };
    Layout::of(version, Abi::default()).expect("a table for this version")
}

/// A thread state whose next one is itself.
#[test]
fn a_cycle_of_thread_states_is_noticed() {
    for minor in [8, 11, 13, 15] {
        let layout = layout(minor);
        let (interpreter, thread) = (Address(0x10_0000), Address(0x20_0000));
        let memory = Computed::new(|at| match at {
            at if at == layout.interpreter.threads_head.of(interpreter).0 => thread.0,
            at if at == layout.thread.next.of(thread).0 => thread.0,
            at if at == layout.thread.interp.of(thread).0 => interpreter.0,
            _ => 0,
        });
        let mut threads = Vec::new();
        assert!(threads_of(&memory, &layout, interpreter, 0, &mut threads).is_err());
        assert!(memory.reads.get() < 10, "{} reads", memory.reads.get());
    }
}

/// Chunks of 16 MiB that begin 16 bytes from each other, and frames that stand on their ends: no copy ever holds
/// the next frame.
#[test]
fn copies_of_the_data_stack_are_bounded() {
    const THREAD: u64 = 0x10_0000;
    const CHUNKS: u64 = 0x7f00_0000_0000;
    const SIZE: u64 = 16 << 20;
    let layout = layout(13);
    let Frames::Interpreter(frame) = &layout.frames else { panic!("3.13 has such frames") };
    let CurrentFrame::Thread(current) = layout.thread.current_frame else { panic!("3.13 has no cframes") };
    assert_eq!((frame.previous.offset, frame.chunk.previous.offset, frame.chunk.size.offset), (8, 0, 8));
    let chunk_member = layout.thread.datastack_chunk.expect("3.13 has chunks");
    let memory = Computed::new(|at| match at {
        at if at == THREAD + u64::from(current.offset) => CHUNKS + SIZE - 8,
        at if at == THREAD + u64::from(chunk_member.offset) => CHUNKS,
        // The head of a chunk: the chunk below, and the size.
        CHUNKS.. if at < CHUNKS + SIZE / 2 => {
            if at % 16 == 0 {
                at + 16
            } else {
                SIZE
            }
        }
        // A frame's `previous` is its second word: the frame 16 bytes further.
        CHUNKS.. => at + 8,
        _ => 0,
    });
    let thread = ThreadState {
        address: Address(THREAD),
        interpreter: Address::NULL,
        interpreter_index: 0,
        thread_id: 0,
        native_thread_id: None,
        attached: None,
    };
    let mut chain = FrameChain::default();
    assert_eq!(chain.read(&memory, &layout, &thread), ChainEnd::TooLong);
    assert_eq!(chain.frames.len(), MAX_FRAMES);
    assert!(memory.bytes.get() < 256 << 20, "{} bytes", memory.bytes.get());
}

fn file() -> LoadedFile {
    LoadedFile { path: PathBuf::from("/python"), deleted: false, base: Address(0x1000), mappings: Vec::new() }
}

/// A writable segment that would end behind the end of all addresses, as damaged headers can have it.
#[test]
fn a_segment_at_the_end_of_all_addresses_is_searched_as_far_as_it_goes() {
    let memory = Computed::new(|_| 0);
    for start in [u64::MAX, u64::MAX - 100, u64::MAX - (1 << 20)] {
        let image =
            Image { writable: vec![Region { start: Address(start), len: u64::MAX }], ..Image::default() };
        assert!(Attached::find_in_image(&memory, &[], &file(), image).is_err());
    }
    // No more than there is, in each of the two searches of each.
    assert!(memory.bytes.get() < 8 << 20, "{} bytes", memory.bytes.get());
}

/// Data full of pointers to what looks like an interpreter until it is followed: it is followed once.
#[test]
fn one_false_interpreter_is_followed_once() {
    const DATA: u64 = 0x10_0000;
    const LEN: u64 = 64 << 10;
    const INTERPRETER: u64 = 0x30_0000;
    const THREAD: u64 = 0x40_0000;
    let layout = layout(8);
    let followed = Cell::new(0);
    let text = *b"3.8.0 (default, Oct 14 2019, 21:29:03) \n[GCC 9.2.1]\0\0\0\0\0\0";
    let memory = Computed::new(|at| match at {
        DATA.. if at < DATA + text.len() as u64 / 8 * 8 => {
            let word =
                text.chunks_exact(8).nth((at - DATA) as usize / 8).and_then(|word| word.try_into().ok());
            word.map_or(0, u64::from_le_bytes)
        }
        DATA.. if at < DATA + LEN => INTERPRETER,
        at if at == INTERPRETER + u64::from(layout.interpreter.threads_head.offset) => THREAD,
        at if at == INTERPRETER + u64::from(layout.interpreter.modules.offset) => {
            followed.set(followed.get() + 1);
            0x50_0000
        }
        at if at == THREAD + u64::from(layout.thread.interp.offset) => INTERPRETER,
        _ => 0,
    });
    let maps = [Mapping {
        start: Address(0x1000),
        end: Address(0x100_0000),
        readable: true,
        writable: true,
        executable: false,
        offset: 0,
        inode: 0,
        path: None,
        deleted: false,
    }];
    let image = Image { writable: vec![Region { start: Address(DATA), len: LEN }], ..Image::default() };
    let found = Attached::find_in_image(&memory, &maps, &file(), image);
    assert!(found.is_err());
    // Once for each of the builds that are tried.
    assert!((1..=4).contains(&followed.get()), "followed {} times", followed.get());
}

/// Frame objects one behind the other, as many as are followed, none of them where another one was: each is
/// expected from then on, and looked for among the others.
#[test]
fn very_many_frames_that_lie_apart_take_no_time() {
    const THREAD: u64 = 0x10_0000;
    const FRAMES: u64 = 0x7f00_0000_0000;
    const APART: u64 = 16 << 10;
    let layout = layout(8);
    let Frames::Object(frame) = &layout.frames else { panic!("3.8 has frame objects") };
    let CurrentFrame::Thread(current) = layout.thread.current_frame else { panic!("3.8 has no cframes") };
    let previous = u64::from(frame.f_back.offset);
    let memory = Computed::new(|at| match at {
        at if at == THREAD + u64::from(current.offset) => FRAMES,
        FRAMES.. if at % APART == previous => at - previous + APART,
        _ => 0,
    });
    let thread = ThreadState {
        address: Address(THREAD),
        interpreter: Address::NULL,
        interpreter_index: 0,
        thread_id: 0,
        native_thread_id: None,
        attached: None,
    };
    let began = Instant::now();
    let (mut unwinder, mut watch, mut batch) = (Unwinder::new(false), Watch::new(thread), Batch::new());
    unwinder.ask(&memory, &layout, &mut watch, &mut batch, false);
    assert!(batch.len() > MAX_FRAMES, "all are expected");
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
}
