//! Where an interpreter keeps what tells what its threads are doing. A version lacks some of it:
//! that cannot be known of it then.

use rspy_process::Address;

use super::{Field, Table};

/// What tells what threads are doing, as far as the version has it.
#[derive(Copy, Clone, Debug)]
pub struct Activity {
    /// Whether garbage is being collected.
    pub collecting: Option<Collecting>,
    /// Whether all threads of an interpreter but one are held up (free-threaded builds).
    pub stopped_world: Option<StoppedWorld>,
    /// The structure of a GIL, in which threads sleep that wait for it.
    pub gil_waits: Option<GilWaits>,
    /// Not 0 while a thread waits for the GIL: member of its thread state (3.15).
    pub gil_requested: Option<Field<i32>>,
    /// The exceptions of a thread.
    pub exceptions: Option<Exceptions>,
}

/// Where the flag `collecting` is, which is 1 from the beginning of a collection to the end of its callbacks.
#[derive(Copy, Clone, Debug)]
pub enum Collecting {
    /// A static variable of `gcmodule.c` (2.7, 3.6).
    Static,
    /// A member of the runtime (3.7, 3.8).
    Runtime(Field<i32>),
    /// A member of the interpreter (3.9 and later).
    Interpreter {
        /// The flag.
        collecting: Field<i32>,
        /// The frame that collects, null if the thread runs no Python; what it was last
        /// when nobody collects (3.15).
        frame: Option<Field<Address>>,
    },
}

/// Members of `PyInterpreterState.stoptheworld`.
#[derive(Copy, Clone, Debug)]
pub struct StoppedWorld {
    /// 1 while all threads but one are held up.
    pub world_stopped: Field<u8>,
    /// The thread state that has asked for it.
    pub requester: Field<Address>,
}

/// Where the mutexes and condition variables of a GIL are. Nothing else in its structure is ever slept on.
#[derive(Copy, Clone, Debug)]
pub enum GilWaits {
    /// Static variables of `ceval_gil.h` (3.6), or a lock that the static `interpreter_lock` points to (2.7).
    Statics,
    /// A member of the runtime, of so many bytes (3.7–3.11).
    Runtime(Field<Address>, u64),
    /// What the interpreter points to as its GIL, of so many bytes (3.12 and later).
    Interpreter(u64),
}

/// Where a thread state leads to the exceptions of its thread.
#[derive(Copy, Clone, Debug)]
pub struct Exceptions {
    /// The exception that is being raised, in 3.11 and before its type.
    pub raised: Field<Address>,
    /// Those that are being handled.
    pub handled: Handled,
}

/// Where the exceptions are that are being handled.
#[derive(Copy, Clone, Debug)]
pub enum Handled {
    /// The type of the one there can be is a member of the thread state (2.7, 3.6).
    Thread(Field<Address>),
    /// In a chain of items: one of each generator that runs, the last one in the thread state (3.7 and later).
    Items {
        /// Points to the innermost item: member of the thread state.
        innermost: Field<Address>,
        /// The outermost item, the same.
        outermost: Field<Address>,
        /// The exception: member of an item.
        value: Field<Address>,
        /// The next outer item, null in the outermost one: the same.
        previous: Field<Address>,
    },
}

impl Activity {
    pub(super) fn from_table(t: &Table, free_threaded: bool) -> Activity {
        let is_static = t.rule("roots") == Some("statics");
        Activity {
            collecting: if is_static { Some(Collecting::Static) } else { collecting(t) },
            stopped_world: free_threaded.then(|| stopped_world(t)).flatten(),
            gil_waits: if is_static { Some(GilWaits::Statics) } else { gil_waits(t) },
            gil_requested: t.optional("thread", "gil_requested"),
            exceptions: exceptions(t),
        }
    }
}

fn collecting(t: &Table) -> Option<Collecting> {
    let within = |section, name| {
        let offset = t.number(section, "gc")?.checked_add(t.number("gc", name)?)?;
        u32::try_from(offset).ok()
    };
    match within("interpreter", "collecting") {
        Some(collecting) => Some(Collecting::Interpreter {
            collecting: Field::new(collecting),
            frame: within("interpreter", "frame").map(Field::new),
        }),
        None => Some(Collecting::Runtime(Field::new(within("runtime", "collecting")?))),
    }
}

fn stopped_world(t: &Table) -> Option<StoppedWorld> {
    Some(StoppedWorld {
        world_stopped: t.optional("interpreter", "stoptheworld.world_stopped")?,
        requester: t.optional("interpreter", "stoptheworld.requester")?,
    })
}

fn gil_waits(t: &Table) -> Option<GilWaits> {
    let size = t.number("gil", "size")?;
    match t.rule("gil") {
        Some("runtime") => Some(GilWaits::Runtime(t.optional("runtime", "ceval.gil")?, size)),
        _ => Some(GilWaits::Interpreter(size)),
    }
}

fn exceptions(t: &Table) -> Option<Exceptions> {
    let raised = t.optional("thread", "current_exception").or(t.optional("thread", "curexc_type"))?;
    let handled = match t.optional("thread", "exc_info") {
        Some(innermost) => Handled::Items {
            innermost,
            outermost: t.optional("thread", "exc_state")?,
            value: t.optional("err_stackitem", "exc_value")?,
            previous: t.optional("err_stackitem", "previous_item")?,
        },
        None => Handled::Thread(t.optional("thread", "exc_type")?),
    };
    Some(Exceptions { raised, handled })
}
