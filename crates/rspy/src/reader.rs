//! One thread's stack: its frames, with names and places, read once or twice.

use std::sync::Arc;

use rspy_cpython::Attached;
use rspy_cpython::class_names;
use rspy_cpython::code::{CodeCache, CodeInfo};
use rspy_cpython::frames::{ChainEnd, FrameChain, RawFrame};
use rspy_cpython::interpreter::ThreadState;
use rspy_cpython::locals::LocalsReader;
use rspy_cpython::stack::{Frame, codes, place};
use rspy_process::{Limited, LiveMemory};

/// How a stack was kept from changing while it was read.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Consistency {
    /// Everything that could change it was stopped: the stack is whole.
    Stopped,
    /// It was read twice, and is lost if both differ.
    ReadTwice,
    /// It was read twice, and only what both have in common is known.
    Common,
}

/// What reading stacks needs and keeps.
#[derive(Default)]
pub struct Reader {
    /// Whether local variables are read, and about how long their texts may be, in bytes.
    pub locals: Option<usize>,
    /// Whether methods are given the names of their classes.
    pub class_names: bool,
    codes: CodeCache,
    first: FrameChain,
    second: FrameChain,
}

/// What was read of one thread; see `target::ThreadSample`.
pub struct Stack {
    /// Innermost first.
    pub frames: Vec<Frame>,
    /// How the chain of frames ended.
    pub end: ChainEnd,
    /// Nothing of the stack is known.
    pub lost: bool,
    /// The innermost frames are missing.
    pub cut: bool,
}

impl Reader {
    /// Reads the stack of `thread`, and with `locals` the variables of its frames.
    pub fn stack(
        &mut self,
        attached: &Attached,
        memory: &LiveMemory,
        thread: &ThreadState,
        consistency: Consistency,
        locals: Option<&mut LocalsReader<'_, Limited<&LiveMemory>>>,
    ) -> Stack {
        let layout = &attached.layout;
        let class_names = self.class_names;
        let with_values = |mut frames: Vec<Frame>| {
            if class_names {
                class_names::add(memory, layout, &mut frames);
            }
            if let Some(locals) = locals {
                locals.read(&mut frames);
            }
            frames
        };
        let end = self.first.read(memory, layout, thread);
        // Names are read between the two readings, so that a code object that was
        // freed meanwhile shows as well.
        let mut codes = codes(memory, layout, &mut self.codes, &self.first.frames);
        let whole = Stack { frames: Vec::new(), end, lost: end == ChainEnd::Broken, cut: self.first.is_cut };
        if consistency == Consistency::Stopped {
            let frames = with_values(place(memory, layout, &self.first.frames, codes));
            return Stack { frames, ..whole };
        }
        if consistency == Consistency::ReadTwice {
            let frames = with_values(place(memory, layout, &self.first.frames, codes));
            let again = self.second.read(memory, layout, thread);
            let is_equal = again == end && self.second.frames == self.first.frames;
            return Stack { frames, lost: whole.lost || !is_equal, ..whole };
        }
        let again = self.second.read(memory, layout, thread);
        // A generator has lost its caller when it is suspended: it is no thread's root.
        let is_generator = |code: &Option<Result<Arc<CodeInfo>, _>>| {
            code.as_ref().is_some_and(|code| code.as_ref().is_ok_and(|code| code.is_generator()))
        };
        let is_whole = (end, again) == (ChainEnd::Root, ChainEnd::Root)
            && self.first.is_calling
            && self.second.is_calling
            && !codes.last().is_some_and(is_generator);
        if !is_whole {
            return Stack { lost: true, ..whole };
        }
        let known = common(&self.first.frames, &self.second.frames);
        let cut = self.second.is_cut || known.len() < self.second.frames.len();
        let codes = codes.split_off(self.first.frames.len() - known.len());
        Stack { frames: with_values(place(memory, layout, known, codes)), end, lost: false, cut }
    }
}

/// The frames that two readings of a running thread's stack, both whole, show to
/// have been there between them: from the outermost on those that are equal, and the
/// innermost of the second reading if the first had it too, wherever in its code it
/// was.
fn common<'f>(first: &[RawFrame], second: &'f [RawFrame]) -> &'f [RawFrame] {
    let pairs = || first.iter().rev().zip(second.iter().rev());
    let mut equal = pairs().take_while(|(one, other)| one == other).count();
    // What was innermost at first has gone on since to call the next one: it came back
    // to the same place, which is none that calls, or had just got there.
    if equal == first.len() && equal < second.len() {
        equal = equal.saturating_sub(1);
    }
    let is_innermost = equal + 1 == second.len()
        && pairs().nth(equal).is_some_and(|(one, other)| {
            (one.address, one.code, one.kind) == (other.address, other.code, other.kind)
        });
    &second[second.len() - equal - usize::from(is_innermost)..]
}

#[cfg(test)]
mod tests {
    use super::*;
    use rspy_cpython::frames::{FrameKind, Position};
    use rspy_process::Address;

    /// Frames, innermost first, of (address, offset) pairs.
    fn frames(pairs: &[(u64, i64)]) -> Vec<RawFrame> {
        let frame = |(address, offset): &(u64, i64)| RawFrame {
            address: Address(*address),
            code: Address(address + 1),
            position: Position::Offset(*offset),
            kind: FrameKind::Function,
            is_entry: false,
        };
        pairs.iter().map(frame).collect()
    }

    fn known(first: &[(u64, i64)], second: &[(u64, i64)]) -> usize {
        common(&frames(first), &frames(second)).len()
    }

    #[test]
    fn what_both_readings_have_is_known() {
        assert_eq!(known(&[(3, 9), (2, 5), (1, 5)], &[(3, 9), (2, 5), (1, 5)]), 3);
        // The innermost went on.
        assert_eq!(known(&[(3, 9), (2, 5), (1, 5)], &[(3, 11), (2, 5), (1, 5)]), 3);
        // It returned, and its caller went on.
        assert_eq!(known(&[(3, 9), (2, 5), (1, 5)], &[(2, 7), (1, 5)]), 2);
        // Another was called in its place: it was in neither reading, or in one.
        assert_eq!(known(&[(3, 9), (2, 5), (1, 5)], &[(4, 9), (2, 5), (1, 5)]), 2);
        // A caller went on meanwhile.
        assert_eq!(known(&[(3, 9), (2, 5), (1, 5)], &[(3, 9), (2, 7), (1, 5)]), 1);
        assert_eq!(known(&[(3, 9)], &[(4, 9)]), 0);
        assert_eq!(known(&[], &[]), 0);
    }

    #[test]
    fn an_innermost_frame_that_called_since_is_not_known_to_have_called_there() {
        assert_eq!(known(&[(2, 5), (1, 5)], &[(3, 9), (2, 5), (1, 5)]), 1);
        assert_eq!(known(&[(1, 5)], &[(3, 9), (1, 5)]), 0);
    }
}
