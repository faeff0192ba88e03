//! Copies in which words are not what they were, as of a process that goes on or is broken: whatever they say, each question is
//! answered, without a panic and without an end that never comes.

use std::ops::Range;

use rspy_heap::advice::advice;
use rspy_heap::census::Census;
use rspy_heap::graph::{Dominators, garbage};
use rspy_heap::heap::Heap;
use rspy_heap::holders::Holders;
use rspy_heap::holdings::Holdings;
use rspy_heap::image::Image;
use rspy_heap::objects::Objects;
use rspy_heap::trails::Trails;
use rustix::process::Signal;

use rspy_tests::Outcome;
use rspy_tests::interpreters::Interpreter;

use super::held::program;
use super::references::Copied;

/// How many copies are damaged, each in another way.
const ROUNDS: u64 = 5;

/// A generator of numbers (xorshift64*): the same ones each time.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }
}

/// A copy of `image` in which one word of `every` is another: a bit of it, nothing, anything, or a word from elsewhere.
fn damaged(image: &Image, seed: u64, every: u64) -> Outcome<Image> {
    let mut random = Random(seed);
    let runs: Vec<(Range<u64>, &[u8])> = image.runs().collect();
    let mut left = runs.iter();
    let mut last = 0;
    let fill = |into: &mut [u8]| {
        if let Some((_, bytes)) = left.next() {
            into.copy_from_slice(bytes);
        }
        for word in into.as_chunks_mut().0 {
            let old = u64::from_le_bytes(*word);
            if random.next().is_multiple_of(every) {
                let new = match random.next() % 4 {
                    0 => old ^ (1 << (random.next() % 64)),
                    1 => 0,
                    2 => random.next(),
                    _ => last,
                };
                *word = new.to_le_bytes();
            }
            last = old;
        }
        Ok(())
    };
    let ranges = image.ranges().collect();
    let runs: Vec<Range<u64>> = runs.iter().map(|(run, _)| run.clone()).collect();
    Ok(Image::restored(ranges, &runs, fill)?)
}

/// Asks everything.
fn ask(heap: &Heap<'_>) -> (u64, usize) {
    let census = Census::of(heap);
    heap.pymalloc();
    let objects = Objects::of(heap);
    let holders = Holders::of(heap, &objects);
    let (roots, sizes) = (holders.root_nodes(), objects.footprints(heap));
    let dominators = Dominators::new(&holders.graph, &roots);
    let _ = garbage(&holders.graph, &roots, &sizes);
    let trails = Trails::new(heap, &objects, &holders, true);
    Holdings::new(&objects, &dominators, &trails, &sizes).largest(200);
    advice(heap, &objects, &trails, &sizes);
    for number in objects.numbers().step_by(97) {
        trails.summary(number);
        trails.attributes(number);
    }
    (census.types.iter().map(|of| of.count).sum(), objects.len())
}

pub fn faults(interpreter: &Interpreter) -> Outcome {
    let (program, _) = program(interpreter)?;
    let copied = Copied::of(program.pid())?;
    let (whole, _) = ask(&copied.heap()?);
    for round in 0..ROUNDS {
        // From one word in ten thousand to one in fifty.
        let every = 10_000 >> (2 * round);
        let image = damaged(copied.image(), round + 1, every.max(50))?;
        let (counted, numbered) = ask(&copied.heap_of(&image)?);
        println!(
            "{}: one word of {every}: {counted} of {whole} objects, {numbered} numbered",
            interpreter.label
        );
    }
    Ok(())
}

/// Of a process that ends after its heap was copied the names of types cannot be read: that is known, and not passed for all there is.
pub fn gone(interpreter: &Interpreter) -> Outcome {
    let (mut program, _) = program(interpreter)?;
    let copied = Copied::of(program.pid())?;
    let (there, gone) = (copied.heap()?, copied.heap()?);
    let count = |heap: &Heap<'_>| Census::of(heap).types.iter().map(|of| of.count).sum::<u64>();
    let all = count(&there);
    program.end(Signal::KILL)?;
    let left = count(&gone);
    match !there.is_process_gone() && gone.is_process_gone() && left < all {
        true => Ok(()),
        false => Err(format!("{left} objects of {all} are found, and nothing is said of it").into()),
    }
}
