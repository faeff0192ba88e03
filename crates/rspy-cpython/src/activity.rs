//! What a thread is doing, beyond where it stands: whether it handles an exception, whether it waits
//! for the GIL, whether garbage is being collected. What cannot be known is `None`.
//!
//! For one look these ask the memory themselves. For many threads again and again
//! [`ThreadState::ask_words`] and [`Heads`](crate::sampling::Heads) put it all into one batch.

use std::ops::Range;

use rspy_process::{Address, Batch, Memory, ReadError};

use crate::find::Attached;
use crate::interpreter::ThreadState;
use crate::layout::activity::{Collecting, GilWaits, Handled};
use crate::layout::{Field, Gil, Layout, Word};

/// More generators than call one another, for whom it is looked up whether they handle an exception.
const MAX_ITEMS: usize = 256;

/// Longest stretch of a thread state that is read for its words, in bytes: the largest known takes 256.
const MAX_WORDS: usize = 1024;

/// `sem_t` of the GNU C library, 2.7's GIL, in bytes.
const SEMAPHORE: u64 = 32;
/// The larger of `pthread_cond_t` and `pthread_mutex_t` of the GNU C library is 48, the smaller 40.
const CONDITION: u64 = 48;
const MUTEX: u64 = 40;
/// What each of 3.6's static variables is.
const STATIC_SIZES: [u64; 4] = [CONDITION, MUTEX, CONDITION, MUTEX];

/// Where the words of a thread state are in a batch that tell what its thread is doing.
#[derive(Copy, Clone, Debug)]
pub struct WordsAsked {
    thread: Address,
    handle: Option<usize>,
}

impl ThreadState {
    /// Adds to `batch` what tells what the thread is doing: one range, of some hundred bytes.
    pub fn ask_words(&self, layout: &Layout, batch: &mut Batch) -> WordsAsked {
        let words = words(layout);
        let handle = (!words.is_empty())
            .then(|| batch.push(self.address.offset(words.start as u64), words.end - words.start));
        WordsAsked { thread: self.address, handle }
    }

    /// Whether the thread is raising or handling an exception.
    pub fn exception(&self, memory: &impl Memory, attached: &Attached) -> Option<bool> {
        let mut batch = Batch::new();
        let asked = self.ask_words(&attached.layout, &mut batch);
        memory.read_many(&mut batch);
        asked.exception(memory, attached, &batch)
    }

    /// Whether the thread waits for the GIL, where its thread state says so (3.15).
    pub fn gil_requested(&self, memory: &impl Memory, layout: &Layout) -> Option<bool> {
        flag(layout.activity.gil_requested?.read(memory, self.address).ok()?)
    }
}

impl WordsAsked {
    fn word<T: Word>(self, layout: &Layout, batch: &Batch, field: Field<T>) -> Option<T> {
        let offset = field.offset.checked_sub(u32::try_from(words(layout).start).ok()?)?;
        Field::new(offset).get(batch.get(self.handle?).ok()?)
    }

    /// Whether the thread waits for the GIL, where its thread state says so (3.15).
    pub fn gil_requested(self, layout: &Layout, batch: &Batch) -> Option<bool> {
        flag(self.word(layout, batch, layout.activity.gil_requested?)?)
    }

    /// Whether the thread is raising or handling an exception, what `sys.exception()` would not be `None` for
    /// (2.7: what `sys.exc_info()` would be for, which is until the function that handled it returns).
    /// Reads more only for generators that run, and where the address of `None` is not known.
    pub fn exception(self, memory: &impl Memory, attached: &Attached, batch: &Batch) -> Option<bool> {
        let layout = &attached.layout;
        let exceptions = layout.activity.exceptions?;
        if !self.word(layout, batch, exceptions.raised)?.is_null() {
            return Some(true);
        }
        let (innermost, outermost, value, previous) = match exceptions.handled {
            Handled::Thread(field) => {
                return is_exception(memory, attached, self.word(layout, batch, field)?);
            }
            Handled::Items { innermost, outermost, value, previous } => {
                (innermost, outermost, value, previous)
            }
        };
        let mut item = self.word(layout, batch, innermost)?;
        for _ in 0..MAX_ITEMS {
            if item == outermost.of(self.thread) {
                let value = Field::new(outermost.offset.checked_add(value.offset)?);
                return is_exception(memory, attached, self.word(layout, batch, value)?);
            }
            if !item.is_plausible() {
                return None;
            }
            if is_exception(memory, attached, value.read(memory, item).ok()?)? {
                return Some(true);
            }
            item = previous.read(memory, item).ok()?;
        }
        None
    }
}

/// The stretch of a thread state that tells what its thread is doing.
fn words(layout: &Layout) -> Range<usize> {
    let activity = &layout.activity;
    let mut fields = [None; 4];
    fields[0] = activity.gil_requested.map(|field| (field.offset as usize, field.end()));
    if let Some(exceptions) = activity.exceptions {
        let part = |field: Field<Address>| Some((field.offset as usize, field.end()));
        fields[1] = part(exceptions.raised);
        match exceptions.handled {
            Handled::Thread(field) => fields[2] = part(field),
            Handled::Items { innermost, outermost, value, .. } => {
                fields[2] = part(innermost);
                let start = outermost.offset as usize;
                fields[3] = Some((start, start.saturating_add(value.end())));
            }
        }
    }
    let fields = fields.iter().flatten();
    let (start, end) =
        fields.fold((usize::MAX, 0), |(start, end), field| (start.min(field.0), end.max(field.1)));
    // A layout whose members lie that far apart is none.
    if end.saturating_sub(start) > MAX_WORDS { 0..0 } else { start.min(end)..end }
}

/// Whether `object`, which is what is kept of an exception, is one: there may be null or `None` instead.
fn is_exception(memory: &impl Memory, attached: &Attached, object: Address) -> Option<bool> {
    if object.is_null() || attached.none == Some(object) {
        return Some(false);
    }
    if attached.none.is_some() {
        return Some(true);
    }
    let layout = &attached.layout.object;
    let kind = layout.ob_type.read(memory, object).ok()?;
    let name = layout.tp_name.read(memory, kind).ok()?;
    Some(memory.c_string(name, 16).ok()? != b"NoneType")
}

/// A flag that an interpreter keeps as `int`.
pub(crate) fn flag(value: i32) -> Option<bool> {
    match value {
        0 => Some(false),
        1 => Some(true),
        _ => None,
    }
}

impl Attached {
    /// Whether garbage of `interpreter` is being collected now. Up to 3.8 it is of all of them.
    pub fn collecting(&self, memory: &impl Memory, interpreter: Address) -> Option<bool> {
        flag(Field::new(0).read(memory, self.collecting_at(interpreter)?).ok()?)
    }

    /// The variable that says so.
    pub(crate) fn collecting_at(&self, interpreter: Address) -> Option<Address> {
        match self.layout.activity.collecting? {
            Collecting::Static => self.roots.statics.collecting,
            Collecting::Runtime(field) => Some(field.of(self.roots.runtime?)),
            Collecting::Interpreter { collecting, .. } => Some(collecting.of(interpreter)),
        }
    }

    /// Where threads sleep, on a futex, that wait for the GIL of `interpreter`; nobody sleeps there for anything
    /// else. `None` where that cannot be known: without symbols in 2.7 and 3.6, and with a C library
    /// other than GNU's, whose condition variables are not slept on themselves.
    pub fn gil_words(
        &self,
        memory: &impl Memory,
        interpreter: Address,
    ) -> Result<Option<Vec<Range<Address>>>, ReadError> {
        if !self.is_glibc {
            return Ok(None);
        }
        let of = |start: Address, size| start..start.offset(size);
        let statics = &self.roots.statics;
        match (self.layout.activity.gil_waits, &self.layout.gil) {
            (Some(GilWaits::Statics), _) => {
                if let Some(lock) = statics.interpreter_lock {
                    // Without threads there is none.
                    let lock = memory.address(lock)?;
                    return Ok(Some((!lock.is_null()).then(|| of(lock, SEMAPHORE)).into_iter().collect()));
                }
                let parts = statics.gil_waits.iter().zip(STATIC_SIZES);
                Ok(parts.map(|(start, size)| Some(of((*start)?, size))).collect())
            }
            (Some(GilWaits::Runtime(gil, size)), _) => {
                Ok(self.roots.runtime.map(|runtime| vec![of(gil.of(runtime), size)]))
            }
            (Some(GilWaits::Interpreter(size)), Gil::Interpreter { gil, .. }) => {
                let gil = gil.read(memory, interpreter)?;
                Ok((!gil.is_null()).then(|| vec![of(gil, size)]))
            }
            _ => Ok(None),
        }
    }
}
