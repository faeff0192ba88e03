//! Samples: a column for each of their parts, since each compresses best beside its like.

use super::error::Malformed;
use super::varint::{Bytes, push, push_signed};
use crate::sample::{Activity, Sample, ThreadState};
use crate::stack::StackId;

/// The columns, in the order in which they are written.
const COLUMNS: usize = 5;

/// A sample as it stands in the file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Encoded {
    /// In nanoseconds since the start of the recording.
    pub(super) at: u64,
    /// The number of its thread.
    pub(super) thread: usize,
    /// The number of its stack among those that samples have.
    pub(super) stack: usize,
    /// What [`state`] knows to read.
    pub(super) state: u8,
    pub(super) weight: u64,
}

/// The body of a section of samples, whose stacks have the numbers that `number_of` gives them.
pub(super) fn encode(samples: &[Sample], mut number_of: impl FnMut(StackId) -> u32, into: &mut Vec<u8>) {
    if samples.is_empty() {
        return;
    }
    let mut columns: [Vec<u8>; COLUMNS] = Default::default();
    let [times, threads, stacks, states, weights] = &mut columns;
    let (mut at, mut thread) = (0, 0);
    let mut last: Vec<u32> = Vec::new();
    for sample in samples {
        push_signed(times, sample.at.wrapping_sub(at) as i64);
        at = sample.at;
        let index = sample.thread.index();
        push_signed(threads, index as i64 - thread);
        thread = index as i64;
        if last.len() <= index {
            last.resize(index + 1, 0);
        }
        // 0 is the one that its thread had before.
        let stack = number_of(sample.stack);
        let is_same = std::mem::replace(&mut last[index], stack + 1) == stack + 1;
        push(stacks, if is_same { 0 } else { u64::from(stack) + 1 });
        states.push(state_byte(sample.state));
        push(weights, sample.weight);
    }
    push(into, samples.len() as u64);
    for column in &columns {
        push(into, column.len() as u64);
        into.extend_from_slice(column);
    }
}

/// Gives every sample of a section to `take`, where so many `threads_known` and `stacks_known` have numbers.
pub(super) fn decode(
    mut body: Bytes,
    (threads_known, stacks_known): (usize, usize),
    last: &mut Vec<u64>,
    mut take: impl FnMut(Encoded),
) -> Result<(), Malformed> {
    let count = body.count()?;
    let mut column = || {
        let length = body.number()?;
        Ok(Bytes::new(body.take(length)?))
    };
    let (mut times, mut threads, mut stacks) = (column()?, column()?, column()?);
    let (mut states, mut weights) = (column()?, column()?);
    last.clear();
    last.resize(threads_known, 0);
    let (mut at, mut last_thread) = (0_u64, 0_i64);
    for _ in 0..count {
        at = at.wrapping_add(times.signed()? as u64);
        last_thread = last_thread.checked_add(threads.signed()?).ok_or(Malformed::TooLarge)?;
        let thread = usize::try_from(last_thread).map_err(|_| Malformed::Dangling)?;
        let stack = last.get_mut(thread).ok_or(Malformed::Dangling)?;
        match stacks.number()? {
            0 => {}
            new => *stack = new,
        }
        let stack = stack.checked_sub(1).and_then(|stack| usize::try_from(stack).ok());
        let stack = stack.filter(|stack| *stack < stacks_known).ok_or(Malformed::Dangling)?;
        let state = states.byte()?;
        if state & state >> 1 & 0b0101_0101 != 0 {
            return Err(Malformed::Meaningless);
        }
        take(Encoded { at, thread, stack, state, weight: weights.number()? });
    }
    Ok(())
}

/// Two bits for each part, the activity in the lowest ones: 0 is unknown, 1 no, 2 yes.
fn state_byte(state: ThreadState) -> u8 {
    let activity = match state.activity {
        Activity::Unknown => 0,
        Activity::Idle => 1,
        Activity::Active => 2,
    };
    let known = |value: Option<bool>| value.map_or(0, |value| 1 + u8::from(value));
    activity | known(state.owns_gil) << 2 | known(state.waits_for_gil) << 4 | known(state.collects) << 6
}

/// What the byte says that [`decode`] has found to have a meaning.
pub(super) fn state(byte: u8) -> ThreadState {
    let known = |shift: u8| match byte >> shift & 3 {
        1 => Some(false),
        2 => Some(true),
        _ => None,
    };
    ThreadState {
        activity: match known(0) {
            None => Activity::Unknown,
            Some(false) => Activity::Idle,
            Some(true) => Activity::Active,
        },
        owns_gil: known(2),
        waits_for_gil: known(4),
        in_kernel: None,
        collects: known(6),
    }
}
