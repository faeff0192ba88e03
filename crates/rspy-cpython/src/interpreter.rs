//! Interpreters and their thread states, and who holds the GIL.

use rspy_process::{Address, Memory, ReadError};

use crate::frames::Loops;
use crate::layout::{CurrentFrame, Gil, Layout};

/// More interpreters than any process has.
const MAX_INTERPRETERS: usize = 4096;
/// More thread states than any process has.
const MAX_THREADS: usize = 1 << 16;

/// One thread state. A thread of the operating system has one for each
/// interpreter it works for.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct ThreadState {
    /// Where it lies.
    pub address: Address,
    /// Its interpreter.
    pub interpreter: Address,
    /// Number of its interpreter, counted from the oldest, which is the main one.
    pub interpreter_index: usize,
    /// What `threading.get_ident()` returns.
    pub thread_id: u64,
    /// The kernel's id of the thread in the target's own pid namespace, where
    /// the interpreter keeps it (3.11 and later).
    pub native_thread_id: Option<u32>,
    /// Whether it may run bytecode now, where the interpreter says (3.13 and later).
    pub attached: Option<bool>,
}

impl ThreadState {
    /// Where its innermost frame is found now.
    pub(crate) fn start(&self, memory: &impl Memory, layout: &Layout) -> Result<Start, ReadError> {
        match layout.thread.current_frame {
            CurrentFrame::Thread(field) => {
                Ok(Start { frame: field.read(memory, self.address)?, cframe: Address::NULL })
            }
            CurrentFrame::Cframe { cframe, .. } => {
                Start::of_cframe(memory, layout, cframe.read(memory, self.address)?)
            }
        }
    }

    /// Whether `cframe` is the one below all evaluation loops, which is part of the
    /// thread state (3.11, 3.12).
    pub(crate) fn is_root_cframe(&self, layout: &Layout, cframe: Address) -> bool {
        cframe.since(self.address).is_some_and(|offset| offset < layout.thread.size)
    }

    /// One past the innermost frame on its data stack; null where there is none.
    pub(crate) fn datastack_top(&self, memory: &impl Memory, layout: &Layout) -> Result<Address, ReadError> {
        match layout.thread.datastack_top {
            Some(field) => field.read(memory, self.address),
            None => Ok(Address::NULL),
        }
    }

    /// The newest chunk of its data stack; null where there is none.
    pub fn datastack_chunk(&self, memory: &impl Memory, layout: &Layout) -> Result<Address, ReadError> {
        match layout.thread.datastack_chunk {
            Some(field) => field.read(memory, self.address),
            None => Ok(Address::NULL),
        }
    }
}

/// Where a chain of frames begins.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Start {
    /// The innermost frame; null while the thread runs no Python.
    pub(crate) frame: Address,
    /// The evaluation loop that says so, on the C stack (3.11, 3.12); else null.
    pub(crate) cframe: Address,
}

impl Start {
    fn of_cframe(memory: &impl Memory, layout: &Layout, cframe: Address) -> Result<Start, ReadError> {
        let frame = match layout.thread.current_frame {
            CurrentFrame::Cframe { current_frame, .. } if !cframe.is_null() => {
                current_frame.read(memory, cframe)?
            }
            _ => Address::NULL,
        };
        Ok(Start { frame, cframe })
    }

    /// The same of the evaluation loop below; `None` where there are no such loops
    /// to be followed.
    pub(crate) fn below(&self, memory: &impl Memory, layout: &Layout) -> Result<Option<Start>, ReadError> {
        match layout.thread.current_frame {
            CurrentFrame::Cframe { previous, .. } if !self.cframe.is_null() => {
                let below = previous.read(memory, self.cframe)?;
                Start::of_cframe(memory, layout, below).map(Some)
            }
            _ => Ok(None),
        }
    }
}

/// Whether Python code can run in a process at this moment, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GilState {
    /// There are GILs: one, or one for each interpreter that has its own.
    Held {
        /// The thread states that hold one.
        holders: Vec<Address>,
        /// How many GILs nobody holds.
        free: usize,
    },
    /// There is no GIL: every attached thread may run.
    Disabled,
    /// It cannot be known for this build.
    Unknown,
}

impl GilState {
    /// Whether `thread` is known to hold a GIL.
    pub fn holds(&self, thread: &ThreadState) -> bool {
        matches!(self, GilState::Held { holders, .. } if holders.contains(&thread.address))
    }

    /// Whether `thread` may be running bytecode, or begin to at any moment, as far as
    /// the GIL tells: who runs without one while it is free can take it.
    pub fn may_run(&self, thread: &ThreadState) -> bool {
        match self {
            GilState::Held { holders, free } => *free > 0 || holders.contains(&thread.address),
            GilState::Disabled => thread.attached.unwrap_or(true),
            GilState::Unknown => true,
        }
    }
}

/// All interpreters, the oldest (main) first. `head` is the address of the
/// variable that points to the newest.
pub fn interpreters(memory: &impl Memory, layout: &Layout, head: Address) -> Result<Vec<Address>, ReadError> {
    let mut found = Vec::new();
    let mut at = memory.address(head)?;
    while !at.is_null() && found.len() < MAX_INTERPRETERS {
        if found.contains(&at) {
            break;
        }
        found.push(at);
        at = layout.interpreter.next.read(memory, at)?;
    }
    found.reverse();
    Ok(found)
}

/// The thread states of one interpreter, newest first.
pub fn threads_of(
    memory: &impl Memory,
    layout: &Layout,
    interpreter: Address,
    interpreter_index: usize,
    into: &mut Vec<ThreadState>,
) -> Result<(), ReadError> {
    let thread = &layout.thread;
    let first = into.len();
    let mut bytes = vec![0; thread.len];
    let mut at = layout.interpreter.threads_head.read(memory, interpreter)?;
    let mut loops = Loops::default();
    while !at.is_null() && into.len() - first < MAX_THREADS {
        memory.read(at, &mut bytes)?;
        let fault = ReadError::Fault { at, len: thread.len };
        // A thread state that was freed while we walked may point anywhere: one
        // that does not name its interpreter ends the walk, or one that was there before.
        if loops.closes(at) || thread.interp.get(&bytes) != Some(interpreter) {
            return Err(fault);
        }
        into.push(ThreadState {
            address: at,
            interpreter,
            interpreter_index,
            thread_id: thread.thread_id.get(&bytes).ok_or(fault)?,
            native_thread_id: thread
                .native_thread_id
                .and_then(|field| u32::try_from(field.get(&bytes)?).ok())
                .filter(|tid| *tid != 0),
            attached: thread.state.and_then(|field| field.get(&bytes)).map(|state| state == 1),
        });
        at = thread.next.get(&bytes).ok_or(fault)?;
    }
    Ok(())
}

/// Who holds the GIL now. `static_holder` is the address of
/// `_PyThreadState_Current`, `runtime` that of `_PyRuntime`, where the version
/// has them and they were found.
pub fn gil_state(
    memory: &impl Memory,
    layout: &Layout,
    runtime: Option<Address>,
    static_holder: Option<Address>,
    interpreters: &[Address],
) -> Result<GilState, ReadError> {
    let held = |holder: Address| match holder {
        Address::NULL => GilState::Held { holders: Vec::new(), free: 1 },
        holder => GilState::Held { holders: vec![holder], free: 0 },
    };
    match (&layout.gil, runtime, static_holder) {
        (Gil::Statics, _, Some(holder)) => memory.address(holder).map(held),
        (Gil::Runtime { tstate_current }, Some(runtime), _) => tstate_current.read(memory, runtime).map(held),
        (Gil::Interpreter { gil, locked, last_holder, enabled }, ..) => {
            let mut gils = Vec::new();
            for interpreter in interpreters {
                let gil = gil.read(memory, *interpreter)?;
                if !gil.is_null() && !gils.contains(&gil) {
                    gils.push(gil);
                }
            }
            let mut holders = Vec::new();
            for gil in &gils {
                if let Some(enabled) = enabled
                    && enabled.read(memory, *gil)? == 0
                {
                    return Ok(GilState::Disabled);
                }
                if locked.read(memory, *gil)? == 1 {
                    holders.push(last_holder.read(memory, *gil)?);
                }
            }
            Ok(GilState::Held { free: gils.len() - holders.len(), holders })
        }
        _ => Ok(GilState::Unknown),
    }
}
