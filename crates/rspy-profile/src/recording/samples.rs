//! Samples: a column for each of their parts, since each compresses best beside its like.

use super::error::Malformed;
use super::tables::Read;
use super::varint::{Bytes, push, push_signed};
use crate::sample::{Activity, Sample, ThreadState};

/// The columns, in the order in which they are written.
const COLUMNS: usize = 5;

/// The body of a section of samples.
pub(super) fn encode(samples: &[Sample], into: &mut Vec<u8>) {
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
        // A stack is not empty but by its first sample; 0 is the one that its thread had before.
        let stack = sample.stack.index() as u32;
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

/// Gives every sample of a section to `take`, with its time moved by `shift` nanoseconds.
pub(super) fn decode(
    mut body: Bytes,
    tables: &Read,
    last: &mut Vec<u64>,
    shift: i64,
    mut take: impl FnMut(Sample),
) -> Result<(), Malformed> {
    let count = body.count()?;
    let mut column = || {
        let length = body.number()?;
        Ok(Bytes::new(body.take(length)?))
    };
    let (mut times, mut threads, mut stacks) = (column()?, column()?, column()?);
    let (mut states, mut weights) = (column()?, column()?);
    last.clear();
    last.resize(tables.threads.len(), 0);
    let (mut at, mut thread) = (0_u64, 0_i64);
    for _ in 0..count {
        at = at.wrapping_add(times.signed()? as u64);
        thread = thread.checked_add(threads.signed()?).ok_or(Malformed::TooLarge)?;
        let index = usize::try_from(thread).map_err(|_| Malformed::Dangling)?;
        let (Some(id), Some(stack)) = (tables.threads.get(index), last.get_mut(index)) else {
            return Err(Malformed::Dangling);
        };
        match stacks.number()? {
            0 => {}
            new => *stack = new,
        }
        let stack = stack.checked_sub(1).and_then(|stack| usize::try_from(stack).ok());
        let stack = stack.and_then(|stack| tables.stacks.get(stack)).copied().ok_or(Malformed::Dangling)?;
        take(Sample {
            at: at.saturating_add_signed(shift),
            thread: *id,
            stack,
            weight: weights.number()?,
            state: state(states.byte()?)?,
        });
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

fn state(byte: u8) -> Result<ThreadState, Malformed> {
    let known = |shift: u8| match byte >> shift & 3 {
        0 => Ok(None),
        1 => Ok(Some(false)),
        2 => Ok(Some(true)),
        _ => Err(Malformed::Meaningless),
    };
    Ok(ThreadState {
        activity: match known(0)? {
            None => Activity::Unknown,
            Some(false) => Activity::Idle,
            Some(true) => Activity::Active,
        },
        owns_gil: known(2)?,
        waits_for_gil: known(4)?,
        collects: known(6)?,
    })
}
