//! What tells, in one read, whether threads came or went, who holds the GIL and whether garbage is
//! being collected.

use std::ops::Range;

use rspy_process::{Address, Batch, Memory, ReadError};

use super::ranges::{Ranges, Reading};
use crate::activity::flag;
use crate::find::Attached;
use crate::interpreter::{GilState, ThreadState};
use crate::layout::activity::Collecting;
use crate::layout::{Field, Gil, Layout, Word};

/// The words that all threads of a process have in common.
#[derive(Default)]
pub struct Heads {
    ranges: Ranges,
    /// Each interpreter with its newest thread state and its GIL.
    interpreters: Vec<Head>,
    /// The variable that points to the newest interpreter.
    newest_at: Address,
    newest: Address,
}

struct Head {
    interpreter: Address,
    newest_thread: Address,
    gil: Address,
    /// The variable that tells whether its garbage is being collected, where that is known.
    collecting: Option<Address>,
    /// Where threads sleep that wait for its GIL, where that is known.
    gil_words: Option<Vec<Range<Address>>>,
}

/// Where in a batch the answer to [`Heads::ask`] is.
#[derive(Copy, Clone, Debug)]
pub struct HeadsAsked(Reading);

/// An answer to [`Heads::ask`].
#[derive(Copy, Clone)]
struct Answer<'a> {
    ranges: &'a Ranges,
    batch: &'a Batch,
    reading: Reading,
}

impl Answer<'_> {
    fn word<T: Word>(&self, field: Field<T>, base: Address) -> Option<T> {
        Field::new(0).get(self.ranges.at(field.of(base), self.batch, self.reading, T::WIDTH)?)
    }
}

impl Heads {
    /// Learns where the words are; `threads` are all there are.
    pub fn learn<'t>(
        &mut self,
        memory: &impl Memory,
        attached: &Attached,
        threads: impl Iterator<Item = &'t ThreadState> + Clone,
    ) -> Result<(), ReadError> {
        let layout = &attached.layout;
        self.newest_at = attached.interpreters_at();
        self.interpreters.clear();
        self.ranges.clear();
        self.ranges.add(self.newest_at, 8, 0);
        for interpreter in attached.interpreters(memory)? {
            let gil = match layout.gil {
                Gil::Interpreter { gil, .. } => gil.read(memory, interpreter)?,
                _ => Address::NULL,
            };
            let newest = threads.clone().find(|thread| thread.interpreter == interpreter);
            let newest_thread = newest.map_or(Address::NULL, |thread| thread.address);
            let collecting = attached.collecting_at(interpreter);
            let gil_words = attached.gil_words(memory, interpreter)?;
            self.interpreters.push(Head { interpreter, newest_thread, gil, collecting, gil_words });
            self.newest = interpreter;
            self.ranges.add(layout.interpreter.threads_head.of(interpreter), 8, 0);
            if let Gil::Interpreter { locked, last_holder, enabled, .. } = layout.gil
                && !gil.is_null()
            {
                self.ranges.add(locked.of(gil), 4, 0);
                self.ranges.add(last_holder.of(gil), 8, 0);
                if let Some(enabled) = enabled {
                    self.ranges.add(enabled.of(gil), 4, 0);
                }
            }
            if let Some(collecting) = collecting {
                self.ranges.add(collecting, 4, 0);
            }
            if let Some(frame) = collecting_frame(layout) {
                self.ranges.add(frame.of(interpreter), 8, 0);
            }
            if let Some(world) = layout.activity.stopped_world {
                self.ranges.add(world.world_stopped.of(interpreter), 1, 0);
                self.ranges.add(world.requester.of(interpreter), 8, 0);
            }
        }
        if let Some(holder) = attached.holder_at() {
            self.ranges.add(holder, 8, 0);
        }
        self.ranges.merge();
        Ok(())
    }

    /// Asks for the words. The answer is for the two below.
    pub fn ask(&self, batch: &mut Batch) -> HeadsAsked {
        HeadsAsked(self.ranges.ask(batch, false))
    }

    /// Whether no thread and no interpreter was added since they were learnt, as far as
    /// these words tell: one that ended may not show.
    pub fn are_same(&self, attached: &Attached, batch: &Batch, asked: HeadsAsked) -> bool {
        let answer = Answer { ranges: &self.ranges, batch, reading: asked.0 };
        let head = attached.layout.interpreter.threads_head;
        answer.word(Field::new(0), self.newest_at) == Some(self.newest)
            && self
                .interpreters
                .iter()
                .all(|known| answer.word(head, known.interpreter) == Some(known.newest_thread))
    }

    /// Who holds the GIL, into `state`, whose storage is used.
    pub fn gil_state(&self, attached: &Attached, batch: &Batch, asked: HeadsAsked, state: &mut GilState) {
        let answer = Answer { ranges: &self.ranges, batch, reading: asked.0 };
        let mut holders = match state {
            GilState::Held { holders, .. } => std::mem::take(holders),
            _ => Vec::new(),
        };
        holders.clear();
        *state = self.holders(attached, answer, holders).unwrap_or(GilState::Unknown);
    }

    fn holders(
        &self,
        attached: &Attached,
        answer: Answer<'_>,
        mut holders: Vec<Address>,
    ) -> Option<GilState> {
        let Gil::Interpreter { locked, last_holder, enabled, .. } = attached.layout.gil else {
            let holder: Address = answer.word(Field::new(0), attached.holder_at()?)?;
            let free = usize::from(holder.is_null());
            holders.extend((!holder.is_null()).then_some(holder));
            return Some(GilState::Held { holders, free });
        };
        let mut free = 0;
        for (index, head) in self.interpreters.iter().enumerate() {
            let is_new =
                !head.gil.is_null() && self.interpreters[..index].iter().all(|other| other.gil != head.gil);
            if !is_new {
                continue;
            }
            if let Some(enabled) = enabled
                && answer.word(enabled, head.gil)? == 0
            {
                return Some(GilState::Disabled);
            }
            match answer.word(locked, head.gil)? == 1 {
                true => holders.push(answer.word(last_holder, head.gil)?),
                false => free += 1,
            }
        }
        Some(GilState::Held { holders, free })
    }

    /// Whether the garbage of an interpreter is being collected; `None` where that cannot be known.
    /// Up to 3.8 there is one answer for all of them.
    pub fn collecting(&self, batch: &Batch, asked: HeadsAsked, interpreter_index: usize) -> Option<bool> {
        let answer = Answer { ranges: &self.ranges, batch, reading: asked.0 };
        flag(answer.word(Field::new(0), self.interpreters.get(interpreter_index)?.collecting?)?)
    }

    /// The frame that began the collection of an interpreter, where that is told (3.15). Stale unless
    /// [`collecting`](Heads::collecting); null if the thread runs no Python.
    pub fn collecting_frame(
        &self,
        attached: &Attached,
        batch: &Batch,
        asked: HeadsAsked,
        interpreter_index: usize,
    ) -> Option<Address> {
        let answer = Answer { ranges: &self.ranges, batch, reading: asked.0 };
        let interpreter = self.interpreters.get(interpreter_index)?.interpreter;
        answer.word(collecting_frame(&attached.layout)?, interpreter)
    }

    /// The thread state that collects the garbage of an interpreter, while it is being
    /// [collected](Heads::collecting): whoever holds its GIL, or for whom all other threads are held up where there
    /// is none. `None` while a finalizer has let go of both; while it has let another thread take
    /// the GIL, this is that thread.
    pub fn collector(
        &self,
        attached: &Attached,
        batch: &Batch,
        asked: HeadsAsked,
        interpreter_index: usize,
    ) -> Option<Address> {
        let answer = Answer { ranges: &self.ranges, batch, reading: asked.0 };
        let head = self.interpreters.get(interpreter_index)?;
        let Gil::Interpreter { locked, last_holder, enabled, .. } = attached.layout.gil else {
            return answer
                .word(Field::new(0), attached.holder_at()?)
                .filter(|holder: &Address| !holder.is_null());
        };
        if let Some(enabled) = enabled
            && answer.word(enabled, head.gil)? == 0
        {
            let world = attached.layout.activity.stopped_world?;
            let is_stopped = answer.word(world.world_stopped, head.interpreter)? == 1;
            return is_stopped.then(|| answer.word(world.requester, head.interpreter))?;
        }
        (answer.word(locked, head.gil)? == 1).then(|| answer.word(last_holder, head.gil))?
    }

    /// Whether a thread that sleeps on this futex waits for the GIL of an interpreter, or is about to hand it
    /// over; `None` where that cannot be known. Does not know of the wait for another interpreter's.
    pub fn is_gil_futex(&self, futex: Address, interpreter_index: usize) -> Option<bool> {
        let words = self.interpreters.get(interpreter_index)?.gil_words.as_ref()?;
        Some(words.iter().any(|range| range.contains(&futex)))
    }
}

fn collecting_frame(layout: &Layout) -> Option<Field<Address>> {
    match layout.activity.collecting? {
        Collecting::Interpreter { frame, .. } => frame,
        _ => None,
    }
}
