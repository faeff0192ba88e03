//! From a thread state to the kernel's thread.
//!
//! From 3.11 the interpreter keeps the kernel's id (but not always renews it in
//! a forked child). Before, there is only the `pthread_t`, which on Linux points
//! to the C library's structure for the thread, and that holds the id: where, is
//! found by comparing with `/proc/PID/task`. A target in a pid namespace of its
//! own counts differently than we do: its ids are translated.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};

use rspy_process::{Address, Memory, Process, threads, word};

use crate::interpreter::ThreadState;

/// How much of the C library's thread structure is searched, in bytes (glibc's
/// is 2,304 bytes long, with the id at 720; musl's 200, with the id at 48).
const SEARCHED: usize = 2304;
/// Where glibc has the id on x86-64 (`nptl_db` calls it `pthread_tid`).
const GLIBC: usize = 720;

/// Finds kernel threads; remembers what it has learnt.
#[derive(Clone, Default)]
pub(crate) struct ThreadIds {
    state: RefCell<State>,
}

#[derive(Clone, Default)]
struct State {
    /// Ids as the target counts them → as rspy does.
    from_own: HashMap<u32, u32>,
    /// Where the id lies in the C library's structure, once known.
    offset: Option<usize>,
}

impl ThreadIds {
    /// The kernel's ids of `states`, in that order, as rspy counts them. `None`
    /// where it cannot be known or the thread has exited.
    ///
    /// `/proc/PID/task` is read only when a thread is met for the first time.
    pub(crate) fn resolve(
        &self,
        process: &Process,
        memory: &impl Memory,
        states: &[ThreadState],
    ) -> Vec<Option<u32>> {
        let state = &mut *self.state.borrow_mut();
        let resolved = state.resolve(memory, states);
        if resolved.iter().all(Option::is_some) {
            return resolved;
        }
        state.learn_threads(process);
        if state.offset.is_none() && states.iter().any(|s| state.native(s).is_none()) {
            state.offset = state.find_offset(memory, states);
        }
        state.resolve(memory, states)
    }
}

impl State {
    fn resolve(&self, memory: &impl Memory, states: &[ThreadState]) -> Vec<Option<u32>> {
        let by_pthread = |thread: &ThreadState| {
            let at = Address(thread.thread_id).offset(self.offset? as u64);
            self.from_own.get(&memory.u32(at).ok()?).copied()
        };
        states.iter().map(|thread| self.native(thread).or_else(|| by_pthread(thread))).collect()
    }

    fn learn_threads(&mut self, process: &Process) {
        let pid = process.pid();
        let ids = process.threads().unwrap_or_default();
        self.from_own.retain(|_, tid| ids.contains(tid));
        let is_own_namespace = threads::id_in_own_namespace(pid, pid) == Some(pid);
        for tid in ids {
            if self.from_own.values().any(|known| *known == tid) {
                continue;
            }
            let own = if is_own_namespace { Some(tid) } else { threads::id_in_own_namespace(pid, tid) };
            if let Some(own) = own {
                self.from_own.insert(own, tid);
            }
        }
    }

    fn native(&self, thread: &ThreadState) -> Option<u32> {
        self.from_own.get(&thread.native_thread_id?).copied()
    }

    /// The first place where every thread's structure holds the id of a thread, each
    /// another one. Where ids are small, as in a pid namespace, other numbers look
    /// like ids too: the usual place is tried first.
    fn find_offset(&self, memory: &impl Memory, states: &[ThreadState]) -> Option<usize> {
        // A thread that works for several interpreters has one structure.
        let addresses: HashSet<u64> = states.iter().map(|thread| thread.thread_id).collect();
        let structures: Vec<Vec<u8>> = addresses
            .into_iter()
            .filter_map(|address| {
                let at = Address(address);
                // The main thread's may end with its mapping.
                [SEARCHED, 1024, 256].iter().find_map(|len| memory.bytes(at, *len).ok())
            })
            .collect();
        if structures.is_empty() {
            return None;
        }
        let id = |structure: &[u8], offset: usize| {
            word(structure, offset, 4).map(|word| word as u32).filter(|id| self.from_own.contains_key(id))
        };
        let holds_ids = |offset: &usize| {
            let ids: Option<HashSet<u32>> = structures.iter().map(|s| id(s, *offset)).collect();
            ids.is_some_and(|ids| ids.len() == structures.len())
        };
        std::iter::once(GLIBC).chain((0..SEARCHED).step_by(4)).find(holds_ids)
    }
}
