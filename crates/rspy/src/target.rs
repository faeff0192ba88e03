//! A live Python process, and one consistent look at its threads: what `rspy dump` shows.
//!
//! The look is made in the order that `docs/architecture.md` describes: threads
//! and what the scheduler says of them, then a stop of what may run bytecode,
//! then the frames, then names and lines.

use std::collections::HashMap;
use std::time::Duration;

use rspy_cpython::frames::ChainEnd;
use rspy_cpython::interpreter::{GilState, ThreadState};
use rspy_cpython::locals::LocalsReader;
use rspy_cpython::stack::Frame;
use rspy_cpython::{Attached, FindError};
use rspy_process::stop::{StopError, StopStats, Tracer};
use rspy_process::threads::{RunState, ThreadStat, Waits};
use rspy_process::{Address, Limited, LiveMemory, Process, ReadError};

use crate::reader::{Consistency, Reader};
use crate::roster::threads_steadily;

/// How long a stop waits for a thread. A running thread stops within microseconds;
/// one that is ready to run but waits for a CPU when it gets one, and loses nothing
/// until then: only rspy waits.
const STOP_LIMIT: Duration = Duration::from_millis(250);

/// How often a look is begun again because a thread that was not stopped may have
/// run meanwhile. 2.7 hands the GIL on every hundred instructions: there, every
/// second stop comes too late.
const ROUNDS: usize = 24;

/// Most that is read for the local variables of all threads, in bytes: they may stand
/// still meanwhile. What is left then is said to be unreadable.
const MAX_LOCALS: u64 = 2 << 30;

/// Whether threads may be stopped.
#[derive(Copy, Clone, Debug, PartialEq)]
pub enum Pausing {
    /// As [`Pausing::Always`] within this share of the time, from 0 to 1; beyond it as
    /// [`Pausing::Never`]. A single look is within any.
    Budget(f64),
    /// Those that may run bytecode, for the length of a read.
    Always,
    /// None, never: the innermost frames of running threads are often not known then.
    Never,
}

/// One thread at the moment of a look.
#[derive(Clone, Debug)]
pub struct ThreadSample {
    /// The kernel's id of the thread; `None` if it could not be found.
    pub os_id: Option<u32>,
    /// What `threading.get_ident()` returns.
    pub python_id: u64,
    /// On a CPU or waiting for one; `None` if it could not be known.
    pub active: Option<bool>,
    /// Holds the GIL of its interpreter; `None` where there is none or it could
    /// not be known.
    pub owns_gil: Option<bool>,
    /// Waits for the GIL; `None` where there is none or it could not be known.
    pub waits_for_gil: Option<bool>,
    /// Collects garbage; `None` if it could not be known.
    pub collects: Option<bool>,
    /// Raises or handles an exception; `None` if it could not be known.
    pub handles_exception: Option<bool>,
    /// Innermost first.
    pub frames: Vec<Frame>,
    /// How the chain of frames ended.
    pub end: ChainEnd,
    /// Nothing of the stack is known: the thread ran while it was read, or was
    /// stopped in an instant at which its frames form no chain.
    pub lost: bool,
    /// The innermost frames are not known, and missing.
    pub cut: bool,
}

impl ThreadSample {
    /// Whether it changed while it was read, or looks like an instant at which the
    /// frames form no chain.
    fn is_broken(&self) -> bool {
        self.lost
            || self.end == ChainEnd::Broken
            || self.frames.iter().any(|frame| matches!(frame, Frame::Unknown(_)))
    }
}

/// A process with its interpreter, ready to be looked at.
pub struct Target {
    /// The process.
    pub process: Process,
    /// Its interpreter.
    pub attached: Attached,
    pausing: Pausing,
    reader: Reader,
    tracer: Tracer,
    stats: HashMap<u32, ThreadStat>,
}

/// A thread state with what is known of its kernel thread.
#[derive(Copy, Clone)]
struct Seen {
    state: ThreadState,
    os_id: Option<u32>,
    run_state: Option<RunState>,
    /// The futex that it sleeps on; `None` if that cannot be known.
    futex: Option<Option<Address>>,
}

impl Target {
    /// Finds the interpreter in process `pid`.
    pub fn attach(pid: u32, pausing: Pausing) -> Result<Target, FindError> {
        let process = Process::open(pid)?;
        let attached = Attached::find(&process)?;
        Ok(Target::new(process, attached, pausing))
    }

    /// A process with its interpreter that was found. On the thread that is to look at it.
    pub fn new(process: Process, attached: Attached, pausing: Pausing) -> Target {
        Target {
            process,
            attached,
            pausing,
            reader: Reader::default(),
            tracer: Tracer::new(STOP_LIMIT),
            stats: HashMap::new(),
        }
    }

    /// From now on looks read local variables as well, while the threads stand still.
    /// The text of each has about `limit` bytes.
    pub fn read_locals(&mut self, limit: usize) {
        self.reader.locals = Some(limit);
    }

    /// From now on methods have the names of their classes, where code does not know its
    /// qualified name (up to 3.10).
    pub fn read_class_names(&mut self) {
        self.reader.class_names = true;
    }

    /// What the stops made so far amount to.
    pub fn stops(&self) -> StopStats {
        self.tracer.stats()
    }

    /// Names of the threads by `threading.get_ident()`.
    pub fn thread_names(&self) -> HashMap<u64, String> {
        self.attached.thread_names(self.process.memory())
    }

    /// Looks at the threads once. Those of one interpreter that share a kernel
    /// thread with others (subinterpreters) are one thread here, with the frames
    /// of all of them.
    pub fn look(&mut self) -> Result<Vec<ThreadSample>, ReadError> {
        if self.pausing == Pausing::Never {
            return self.look_without_stopping();
        }
        self.tracer.serve_late();
        let Target { process, attached, reader, tracer, stats, .. } = self;
        let memory = process.memory();
        for round in 1.. {
            let before = see(attached, process, stats)?;
            let gil = attached.gil_state(memory)?;
            let to_stop = may_run(&before, &gil);
            // Nothing to stop: everything stands still by itself, as far as is known.
            let stop = if to_stop.is_empty() { None } else { Some(tracer.stop(process.pid(), &to_stop)) };

            let seen = see_again(attached, process, &before)?;
            let has_stopped = |tid| stop.as_ref().is_some_and(|stop| stop.outcome(tid).is_ok());
            let is_stopped = |thread: &Seen| thread.os_id.is_some_and(has_stopped) && is_sure(&seen, thread);
            let gil = attached.gil_state(memory)?;
            let all_stand = stands_still(&seen, &gil, is_stopped);
            let consistency = |thread: &Seen| match all_stand || is_stopped(thread) {
                true => Consistency::Stopped,
                false => Consistency::ReadTwice,
            };
            let mut samples = read(reader, attached, memory, &seen, &gil, consistency);

            // Who may run now without having been stopped may have run meanwhile: the
            // GIL changed hands, or a sleeper woke. That is rare; the next round stops it.
            let gil = attached.gil_state(memory)?;
            let unstopped: Vec<Seen> = seen
                .iter()
                // Where all stood still, only who has the GIL now is in doubt.
                .filter(|thread| !all_stand || gil.may_run(&thread.state))
                .filter(|thread| !is_stopped(thread))
                .map(|thread| Seen {
                    // One that has ended since ran until then.
                    run_state: thread.os_id.map(|tid| match run_state(process.pid(), tid, stats) {
                        None | Some(RunState::Dead) => RunState::Running,
                        Some(state) => state,
                    }),
                    ..*thread
                })
                .collect();
            let ran = may_run(&unstopped, &gil);
            let refused = stop.as_ref().is_some_and(|stop| {
                to_stop.iter().any(|tid| !matches!(stop.outcome(*tid), Ok(()) | Err(StopError::Gone)))
            });
            let broken = samples.iter().any(|(_, sample)| sample.is_broken());
            if (ran.is_empty() && !broken) || refused || round == ROUNDS {
                for (_, sample) in &mut samples {
                    sample.lost |= sample.os_id.is_some_and(|tid| ran.contains(&tid));
                }
                return Ok(merge_by_kernel_thread(samples));
            }
        }
        Ok(Vec::new())
    }

    /// The same with no thread stopped, in one round: nothing is read again because
    /// of what it showed, which would favour the moments that stand still.
    fn look_without_stopping(&mut self) -> Result<Vec<ThreadSample>, ReadError> {
        let Target { process, attached, reader, stats, .. } = self;
        let memory = process.memory();
        let seen = see(attached, process, stats)?;
        let gil = attached.gil_state(memory)?;
        let samples = read(reader, attached, memory, &seen, &gil, |thread| match thread.run_state {
            Some(RunState::Sleeping) => Consistency::ReadTwice,
            _ => Consistency::Common,
        });
        Ok(merge_by_kernel_thread(samples))
    }
}

/// The kernel threads that may be running bytecode. Sleeping ones never are
/// stopped: an interrupted sleep can end early, and they stand still as it is.
fn may_run(seen: &[Seen], gil: &GilState) -> Vec<u32> {
    let mut running: Vec<u32> = seen
        .iter()
        .filter(|thread| thread.run_state == Some(RunState::Running) && gil.may_run(&thread.state))
        .filter_map(|thread| thread.os_id)
        .collect();
    running.dedup();
    running
}

/// Whether no thread can run bytecode: a frame changes only under a GIL, and each
/// GIL is held by a thread that is stopped.
fn stands_still(seen: &[Seen], gil: &GilState, is_stopped: impl Fn(&Seen) -> bool) -> bool {
    let GilState::Held { holders, free: 0 } = gil else { return false };
    holders
        .iter()
        .all(|holder| seen.iter().any(|thread| thread.state.address == *holder && is_stopped(thread)))
}

/// Whether the kernel thread of `thread` is surely its own: the state of a thread
/// that is just starting bears the id of the one that starts it.
fn is_sure(seen: &[Seen], thread: &Seen) -> bool {
    let bears_it = |other: &&Seen| {
        other.os_id == thread.os_id && other.state.interpreter_index == thread.state.interpreter_index
    };
    seen.iter().filter(bears_it).nth(1).is_none()
}

/// All threads, with what the scheduler says of them.
fn see(
    attached: &Attached,
    process: &Process,
    stats: &mut HashMap<u32, ThreadStat>,
) -> Result<Vec<Seen>, ReadError> {
    let states = threads_steadily(attached, process)?;
    let ids = attached.kernel_ids(process, process.memory(), &states);
    stats.retain(|tid, _| ids.contains(&Some(*tid)));
    let seen = states.into_iter().zip(ids).map(|(state, os_id)| {
        let run_state = os_id.and_then(|tid| run_state(process.pid(), tid, stats));
        // A thread that runs sleeps on none.
        let futex = match run_state {
            Some(RunState::Sleeping) => {
                os_id.and_then(|tid| Waits::open(process.pid(), tid).ok()?.futex().ok())
            }
            _ => Some(None),
        };
        Seen { state, os_id, run_state, futex }
    });
    Ok(seen.collect())
}

/// The same while threads are stopped, when the scheduler would say only that:
/// what it said before counts.
fn see_again(attached: &Attached, process: &Process, before: &[Seen]) -> Result<Vec<Seen>, ReadError> {
    let states = threads_steadily(attached, process)?;
    let ids = attached.kernel_ids(process, process.memory(), &states);
    let seen = states.into_iter().zip(ids).map(|(state, os_id)| {
        let known = before.iter().find(|seen| seen.os_id == os_id && seen.state.address == state.address);
        // What is new since then was running just now.
        let run_state = known.map_or(Some(RunState::Running), |known| known.run_state);
        Seen { state, os_id, run_state, futex: known.map_or(Some(None), |known| known.futex) }
    });
    Ok(seen.collect())
}

fn run_state(pid: u32, tid: u32, stats: &mut HashMap<u32, ThreadStat>) -> Option<RunState> {
    if let std::collections::hash_map::Entry::Vacant(entry) = stats.entry(tid) {
        entry.insert(ThreadStat::open(pid, tid).ok()?);
    }
    stats.get(&tid).map(ThreadStat::run_state)
}

/// Reads the stacks of all that were `seen`, each with the number of its interpreter.
fn read(
    reader: &mut Reader,
    attached: &Attached,
    memory: &LiveMemory,
    seen: &[Seen],
    gil: &GilState,
    consistency: impl Fn(&Seen) -> Consistency,
) -> Vec<(usize, ThreadSample)> {
    let mut samples = Vec::new();
    let limited = Limited::new(memory, MAX_LOCALS);
    let mut locals = reader.locals.map(|limit| LocalsReader::new(&limited, &attached.layout, limit));
    for thread in seen {
        let active = thread.run_state.map(|state| state == RunState::Running);
        let owns_gil = match gil {
            GilState::Held { holders, .. } => Some(holders.contains(&thread.state.address)),
            GilState::Disabled | GilState::Unknown => None,
        };
        let interpreter = thread.state.interpreter;
        let waits_for_gil = match (owns_gil, thread.futex) {
            (None, _) => None,
            (Some(true), _) | (_, Some(None)) => Some(false),
            (_, Some(Some(futex))) => {
                let words = attached.gil_words(memory, interpreter).ok().flatten();
                words.map(|words| words.iter().any(|range| range.contains(&futex)))
            }
            (_, None) => None,
        };
        let runs = match gil {
            GilState::Disabled => thread.state.attached == Some(true),
            _ => owns_gil == Some(true),
        };
        let collects = attached.collecting(memory, interpreter).map(|collects| collects && runs);
        let handles_exception = thread.state.exception(memory, attached);
        let stack = reader.stack(attached, memory, &thread.state, consistency(thread), locals.as_mut());
        let sample = ThreadSample {
            os_id: thread.os_id,
            python_id: thread.state.thread_id,
            active,
            owns_gil,
            waits_for_gil,
            collects,
            handles_exception,
            frames: stack.frames,
            end: stack.end,
            lost: stack.lost,
            cut: stack.cut,
        };
        samples.push((thread.state.interpreter_index, sample));
    }
    samples
}

/// Whether one of two is so, as far as it is known.
fn either(one: Option<bool>, other: Option<bool>) -> Option<bool> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one || other),
        (one, other) => one.or(other),
    }
}

/// One entry for each kernel thread. A thread that works for several interpreters
/// has a thread state in each; the main interpreter's frames are the outermost.
fn merge_by_kernel_thread(samples: Vec<(usize, ThreadSample)>) -> Vec<ThreadSample> {
    let mut merged: Vec<(usize, ThreadSample)> = Vec::with_capacity(samples.len());
    for (interpreter, sample) in samples {
        let same = merged.iter_mut().find(|(other, known)| {
            *other != interpreter && known.os_id.is_some() && known.os_id == sample.os_id
        });
        let Some((_, known)) = same else {
            merged.push((interpreter, sample));
            continue;
        };
        // Interpreters come oldest first, and the frames innermost first.
        let mut frames = sample.frames;
        frames.append(&mut known.frames);
        known.frames = frames;
        known.cut |= sample.cut;
        known.lost |= sample.lost;
        known.owns_gil = either(known.owns_gil, sample.owns_gil);
        known.waits_for_gil = either(known.waits_for_gil, sample.waits_for_gil);
        known.collects = either(known.collects, sample.collects);
        known.handles_exception = either(known.handles_exception, sample.handles_exception);
        if sample.end != ChainEnd::Root {
            known.end = sample.end;
        }
    }
    merged.into_iter().map(|(_, sample)| sample).collect()
}
