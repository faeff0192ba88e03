//! Finding the interpreter in a process, without asking it.
//!
//! Among the files mapped into the process those that look like Python come
//! first. In each: the symbols, then the section `.PyRuntime`, then the writable
//! memory itself, searched for what the runtime says of itself. Whatever is found
//! is believed only if the chain from it to `sys.modules` and a code object holds.

mod again;
mod saved;
mod scan;
mod validate;

pub use saved::Saved;

use std::collections::HashMap;
use std::path::PathBuf;

use rspy_process::elf::{ElfError, Image};
use rspy_process::maps::{LoadedFile, Mapping, loaded_files};
use rspy_process::{Address, Limited, Memory, Process, ProcessError, ReadError};

use crate::cells::notebook_cells;
use crate::interpreter::{self, GilState, ThreadState};
use crate::layout::{Gil, Layout, LayoutError, Roots};
use crate::linecache::cached_lines;
use crate::thread_id::ThreadIds;
use crate::thread_names::thread_names;
use crate::version::{Abi, Version};

/// Symbols that lead to an interpreter.
const WANTED: &[&str] = &[
    RUNTIME,
    VERSION,
    INTERPRETERS,
    HOLDER,
    DEBUG_ONLY,
    NONE,
    COLLECTING,
    LOCK,
    GIL_WAITS[0],
    GIL_WAITS[1],
    GIL_WAITS[2],
    GIL_WAITS[3],
    GC[0],
    GC[1],
    GC[2],
    TRACEMALLOC[0],
    TRACEMALLOC[1],
    TRACEMALLOC[2],
    TRACEMALLOC[3],
    TRACEMALLOC[4],
    TRACEMALLOC[5],
];
/// 3.7 and later; exported.
const RUNTIME: &str = "_PyRuntime";
/// `unsigned long`, 3.11 and later; exported.
const VERSION: &str = "Py_Version";
/// 2.7 and 3.6; static.
const INTERPRETERS: &str = "interp_head";
/// 2.7 and 3.6; exported.
const HOLDER: &str = "_PyThreadState_Current";
/// Only in builds with `Py_REF_DEBUG`, which `--with-pydebug` sets.
const DEBUG_ONLY: &str = "_Py_NegativeRefcount";

/// `None`; exported.
const NONE: &str = "_Py_NoneStruct";
/// Whether garbage is being collected: `int`; 2.7 and 3.6; static.
const COLLECTING: &str = "collecting";
/// Points to the GIL, a semaphore; 2.7; static.
const LOCK: &str = "interpreter_lock";
/// The condition variables and mutexes of the GIL; 3.6; static.
const GIL_WAITS: [&str; 4] = ["gil_cond", "gil_mutex", "switch_cond", "switch_mutex"];
/// What `gc.isenabled()` tells, the generations, their statistics; 2.7 (without the last) and 3.6; static.
const GC: [&str; 3] = ["enabled", "generations", "generation_stats"];
/// What tracemalloc is set to (3.8–3.11, exported; before, static), how much it has traced now and
/// at most, the traces, those of other domains (3.9 and later); up to 3.11; static.
const TRACEMALLOC: [&str; 6] = [
    "_Py_tracemalloc_config",
    "tracemalloc_config",
    "tracemalloc_traced_memory",
    "tracemalloc_peak_traced_memory",
    "tracemalloc_traces",
    "tracemalloc_domains",
];

/// What `_Py_DebugOffsets` begins with (3.13 and later).
const COOKIE: &[u8; 8] = b"xdebugpy";

/// Most that is read for the names of threads, in bytes: a thread takes some thousands.
const MAX_NAMES: u64 = 512 << 20;

/// Why no interpreter was found in a process.
#[derive(Debug, thiserror::Error)]
pub enum FindError {
    /// Nothing in it looks like CPython.
    #[error("no Python interpreter was found in it")]
    NotPython {
        /// What it runs.
        executable: PathBuf,
    },
    /// There is one, which has not finished starting, or has shut down.
    #[error("its Python interpreter has not started yet, or has already shut down")]
    NotReady,
    /// There is one, of a version or build that cannot be read.
    #[error(transparent)]
    Unsupported(#[from] LayoutError),
    /// There is one, but its structures are not where they should be.
    #[error("its CPython {version} is laid out in a way this rspy does not know: {why}")]
    Inconsistent {
        /// What it says it is.
        version: Version,
        /// What did not hold.
        why: &'static str,
    },
    /// It is no 64-bit x86-64 program.
    #[error(transparent)]
    Elf(#[from] ElfError),
    /// The process could not be looked at.
    #[error(transparent)]
    Process(#[from] ProcessError),
    /// Its memory could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
}

/// The interpreter of a process, found and understood.
#[derive(Clone)]
pub struct Attached {
    /// Where its structures have what.
    pub layout: Layout,
    /// The file it was found in, as the target sees it.
    pub binary: PathBuf,
    /// Where that file is mapped, and which inode it was.
    base: Address,
    inode: u64,
    pub(crate) roots: Found,
    /// Whether it waits by means of the GNU C library, whose condition variables are slept on themselves.
    pub(crate) is_glibc: bool,
    /// `None`, if its symbol was found.
    pub(crate) none: Option<Address>,
    thread_ids: ThreadIds,
}

/// Addresses that everything else is reached from.
#[derive(Copy, Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
pub(crate) struct Found {
    /// The variable that points to the newest interpreter.
    interpreters: Address,
    /// `_PyRuntime`, where the version has it.
    pub runtime: Option<Address>,
    /// `_PyThreadState_Current`, where the version has it and its symbol was found.
    holder: Option<Address>,
    /// What some versions have as static variables, if their symbols were found.
    pub statics: Statics,
}

/// Static variables that tell what threads and memory are doing.
#[derive(Copy, Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
pub(crate) struct Statics {
    pub collecting: Option<Address>,
    pub interpreter_lock: Option<Address>,
    pub gil_waits: [Option<Address>; 4],
    /// See [`GC`].
    pub gc: [Option<Address>; 3],
    /// See [`TRACEMALLOC`].
    pub tracemalloc: [Option<Address>; 6],
}

impl Statics {
    /// The same elsewhere.
    fn map(self, moved: impl Fn(Address) -> Address) -> Statics {
        Statics {
            collecting: self.collecting.map(&moved),
            interpreter_lock: self.interpreter_lock.map(&moved),
            gil_waits: self.gil_waits.map(|address| address.map(&moved)),
            gc: self.gc.map(|address| address.map(&moved)),
            tracemalloc: self.tracemalloc.map(|address| address.map(&moved)),
        }
    }

    fn of(image: &Image) -> Statics {
        Statics {
            collecting: image.symbol(COLLECTING),
            interpreter_lock: image.symbol(LOCK),
            gil_waits: GIL_WAITS.map(|name| image.symbol(name)),
            gc: GC.map(|name| image.symbol(name)),
            tracemalloc: TRACEMALLOC.map(|name| image.symbol(name)),
        }
    }
}

/// An image that may hold an interpreter.
struct Candidate<'f> {
    file: &'f LoadedFile,
    image: Image,
}

impl Attached {
    /// Finds the interpreter in `process`.
    pub fn find(process: &Process) -> Result<Attached, FindError> {
        Attached::find_in(process, process.memory())
    }

    /// The same with the process's memory read through `memory`.
    pub fn find_in(process: &Process, memory: &impl Memory) -> Result<Attached, FindError> {
        let maps = process.maps()?;
        let files = loaded_files(&maps);
        let executable = process.executable().unwrap_or_default();
        let mapped = process.mapped_executable();
        let is_executable = |file: &LoadedFile| Some(&file.path) == mapped.as_ref();
        let (likely, others): (Vec<&LoadedFile>, Vec<&LoadedFile>) = files
            .iter()
            .filter(|file| file.mappings.iter().any(|mapping| mapping.executable))
            .partition(|file| is_executable(file) || file.file_name().contains("python"));

        let mut outcome = FindError::NotPython { executable: executable.clone() };
        for group in [likely, others] {
            let mut candidates = Vec::new();
            for file in group {
                match process.image(memory, file, WANTED) {
                    Ok(image) => candidates.push(Candidate { file, image }),
                    Err(error @ ElfError::Foreign { .. }) if is_executable(file) => {
                        return Err(error.into());
                    }
                    Err(_) => {}
                }
            }
            // What is named is sure and cheap; the search is neither.
            for by_name in [true, false] {
                for candidate in &candidates {
                    match candidate.interpreter(memory, &maps, by_name) {
                        Ok(Some(mut attached)) => {
                            attached.is_glibc = files.iter().any(|file| is_glibc(&file.file_name()));
                            // An executable that has its own copy of it gives that to its libraries.
                            attached.none =
                                candidates.iter().find_map(|candidate| candidate.image.symbol(NONE));
                            let (version, abi, binary) =
                                (attached.version(), attached.abi(), &attached.binary);
                            tracing::info!(pid = process.pid(), %version, %abi, ?binary, by_name, "found the interpreter");
                            return Ok(attached);
                        }
                        Ok(None) => {}
                        Err(error) => {
                            tracing::debug!(pid = process.pid(), file = ?candidate.file.path, %error);
                            outcome = more_telling(outcome, error);
                        }
                    }
                }
            }
        }
        // Without permission every read fails, which must not look like "not Python".
        let first = files.first().map_or(Address::NULL, |file| file.base);
        match memory.array::<4>(first) {
            Err(error @ (ReadError::Denied | ReadError::Gone)) => Err(error.into()),
            _ => Err(outcome),
        }
    }

    /// The interpreter in one image that lies in `memory`: what
    /// [`find_in`](Attached::find_in) does with every image of a live process. `maps` is
    /// all that is mapped there, `image` what is known of `file`.
    pub fn find_in_image(
        memory: &impl Memory,
        maps: &[Mapping],
        file: &LoadedFile,
        image: Image,
    ) -> Result<Attached, FindError> {
        let candidate = Candidate { file, image };
        let mut outcome = FindError::NotPython { executable: file.path.clone() };
        for by_name in [true, false] {
            match candidate.interpreter(memory, maps, by_name) {
                Ok(Some(attached)) => return Ok(attached),
                Ok(None) => {}
                Err(error) => outcome = more_telling(outcome, error),
            }
        }
        Err(outcome)
    }

    /// Its version.
    pub fn version(&self) -> Version {
        self.layout.version
    }

    /// Its build.
    pub fn abi(&self) -> Abi {
        self.layout.abi
    }

    /// All thread states of all interpreters now: the main interpreter's first,
    /// of each the newest first.
    pub fn threads(&self, memory: &impl Memory) -> Result<Vec<ThreadState>, ReadError> {
        let mut threads = Vec::new();
        for (index, interpreter) in self.interpreters(memory)?.into_iter().enumerate() {
            interpreter::threads_of(memory, &self.layout, interpreter, index, &mut threads)?;
        }
        Ok(threads)
    }

    /// All interpreters now, the main one first.
    pub fn interpreters(&self, memory: &impl Memory) -> Result<Vec<Address>, ReadError> {
        interpreter::interpreters(memory, &self.layout, self.roots.interpreters)
    }

    /// The variable that points to the newest interpreter.
    pub(crate) fn interpreters_at(&self) -> Address {
        self.roots.interpreters
    }

    /// The one variable that names the thread state that holds the GIL, in versions that
    /// have it, if it was found.
    pub(crate) fn holder_at(&self) -> Option<Address> {
        match self.layout.gil {
            Gil::Statics => self.roots.holder,
            Gil::Runtime { tstate_current } => Some(tstate_current.of(self.roots.runtime?)),
            Gil::Interpreter { .. } => None,
        }
    }

    /// Who may run bytecode now.
    pub fn gil_state(&self, memory: &impl Memory) -> Result<GilState, ReadError> {
        // Only from 3.12 on do interpreters have a GIL of their own.
        let interpreters = match self.layout.gil {
            Gil::Interpreter { .. } => self.interpreters(memory)?,
            _ => Vec::new(),
        };
        interpreter::gil_state(memory, &self.layout, self.roots.runtime, self.roots.holder, &interpreters)
    }

    /// Names of threads by id (`threading.get_ident()`), of all interpreters. What
    /// cannot be read is left out.
    pub fn thread_names(&self, memory: &impl Memory) -> HashMap<u64, String> {
        let memory = &Limited::new(memory, MAX_NAMES);
        let interpreters = self.interpreters(memory).unwrap_or_default();
        // A thread's name in the main interpreter is the one its program gave it.
        let names = interpreters
            .iter()
            .rev()
            .flat_map(|interpreter| thread_names(memory, &self.layout, *interpreter).unwrap_or_default());
        names.collect()
    }

    /// Numbers of the cells of a notebook by the names of their files, if the main interpreter runs one.
    /// What cannot be read is left out.
    pub fn notebook_cells(&self, memory: &impl Memory) -> HashMap<String, u64> {
        let memory = &Limited::new(memory, MAX_NAMES);
        let main = self.interpreters(memory).unwrap_or_default().into_iter().next();
        main.and_then(|main| notebook_cells(memory, &self.layout, main).ok()).unwrap_or_default()
    }

    /// The lines of the source file `file`, if the main interpreter has them in its `linecache`, as IPython's has the
    /// cells of a notebook, which are in no file.
    pub fn cached_lines(&self, memory: &impl Memory, file: &str) -> Option<Vec<String>> {
        let memory = &Limited::new(memory, MAX_NAMES);
        let main = self.interpreters(memory).ok()?.into_iter().next()?;
        cached_lines(memory, &self.layout, main, file).ok()?
    }

    /// The kernel's ids of these threads, in that order, as rspy counts them.
    pub fn kernel_ids(
        &self,
        process: &Process,
        memory: &impl Memory,
        threads: &[ThreadState],
    ) -> Vec<Option<u32>> {
        self.thread_ids.resolve(process, memory, threads)
    }
}

impl Candidate<'_> {
    /// The interpreter in it: the one that names lead to, or the one that a search finds.
    fn interpreter(
        &self,
        memory: &impl Memory,
        maps: &[Mapping],
        by_name: bool,
    ) -> Result<Option<Attached>, FindError> {
        let found = if by_name { named(memory, self)? } else { searched(memory, self, maps)? };
        Ok(found.map(|(layout, roots)| Attached {
            layout,
            binary: self.file.path.clone(),
            base: self.file.base,
            inode: inode(self.file),
            roots,
            is_glibc: false,
            none: None,
            thread_ids: ThreadIds::default(),
        }))
    }
}

fn inode(file: &LoadedFile) -> u64 {
    file.mappings.first().map_or(0, |mapping| mapping.inode)
}

/// Whether a file of this name is the GNU C library.
fn is_glibc(name: &str) -> bool {
    name == "libc.so.6" || name.starts_with("libc-2.")
}

/// Of two failures, the one that says more to the user.
fn more_telling(one: FindError, other: FindError) -> FindError {
    let rank = |error: &FindError| match error {
        FindError::NotPython { .. } => 0,
        FindError::Elf(_) => 1,
        FindError::NotReady => 2,
        FindError::Read(_) => 3,
        FindError::Inconsistent { .. } => 4,
        FindError::Unsupported(_) => 5,
        FindError::Process(_) => 6,
    };
    if rank(&other) >= rank(&one) { other } else { one }
}

type Search = Result<Option<(Layout, Found)>, FindError>;

/// The interpreter that symbols or the section `.PyRuntime` lead to.
fn named(memory: &impl Memory, candidate: &Candidate<'_>) -> Search {
    let image = &candidate.image;
    let runtime = image.symbol(RUNTIME).or(image.py_runtime.as_ref().map(|section| section.start));
    let interpreters = image.symbol(INTERPRETERS);
    if runtime.is_none() && interpreters.is_none() {
        return Ok(None);
    }
    let Some(version) = version(memory, candidate, runtime) else { return Err(FindError::NotReady) };
    let found = |layout: &Layout| match (layout.roots, runtime, interpreters) {
        (Roots::Runtime, Some(runtime), _) => Some(Found {
            interpreters: layout.runtime?.interpreters_head.of(runtime),
            runtime: Some(runtime),
            holder: None,
            statics: Statics::of(image),
        }),
        (Roots::Statics, _, Some(interpreters)) => Some(Found {
            interpreters,
            holder: image.symbol(HOLDER),
            statics: Statics::of(image),
            ..Found::default()
        }),
        _ => None,
    };
    first_valid(memory, candidate, version, runtime, |layout| Ok(found(layout)))
}

/// The interpreter found by searching the image's writable memory.
fn searched(memory: &impl Memory, candidate: &Candidate<'_>, maps: &[Mapping]) -> Search {
    let image = &candidate.image;
    if let Some(runtime) = scan::find_bytes(memory, &image.writable, COOKIE) {
        let Some(version) = version(memory, candidate, Some(runtime)) else { return Ok(None) };
        return first_valid(memory, candidate, version, Some(runtime), |layout| {
            let head = layout.runtime.map(|runtime| runtime.interpreters_head);
            Ok(head.map(|head| Found {
                interpreters: head.of(runtime),
                runtime: Some(runtime),
                holder: None,
                statics: Statics::of(image),
            }))
        });
    }
    let Some(version) = version(memory, candidate, None) else { return Ok(None) };
    first_valid(memory, candidate, version, None, |layout| {
        let Some(interpreters) = scan::find_interpreters(memory, layout, &image.writable, maps)? else {
            return Ok(None);
        };
        let runtime = layout.runtime.and_then(|runtime| {
            let offset = u64::from(runtime.interpreters_head.offset);
            interpreters.0.checked_sub(offset).map(Address)
        });
        Ok(Some(Found { interpreters, runtime, holder: image.symbol(HOLDER), statics: Statics::of(image) }))
    })
}

/// Tries the layouts that may fit, and gives the first whose chain holds.
fn first_valid(
    memory: &impl Memory,
    candidate: &Candidate<'_>,
    version: Version,
    runtime: Option<Address>,
    roots: impl Fn(&Layout) -> Result<Option<Found>, FindError>,
) -> Search {
    let described = runtime.filter(|at| memory.array(*at) == Ok(*COOKIE));
    let free_threaded = match described {
        // hexversion and a flag follow the cookie (`pycore_debug_offsets.h`).
        Some(at) => memory.u64(at.offset(16))? == 1,
        None => false,
    };
    let debug_first = candidate.image.symbol(DEBUG_ONLY).is_some();
    let mut outcome = None;
    for debug in [debug_first, !debug_first] {
        let abi = Abi { free_threaded, debug };
        let layout = match described {
            Some(runtime) => Layout::described(memory, runtime, version, abi),
            None => Layout::of(version, abi),
        };
        let layout = match layout {
            Ok(layout) => layout,
            Err(error) => {
                outcome.get_or_insert(FindError::Unsupported(error));
                continue;
            }
        };
        let Some(found) = roots(&layout)? else { continue };
        tracing::debug!(%version, %abi, by_debug_offsets = described.is_some(), ?found, "trying a layout");
        match validate::chain(memory, &layout, found.interpreters) {
            Ok(()) => return Ok(Some((layout, found))),
            Err(validate::Broken::NotReady) => outcome = Some(FindError::NotReady),
            Err(validate::Broken::Wrong(why)) => {
                outcome.get_or_insert(FindError::Inconsistent { version, why });
            }
        }
    }
    match outcome {
        Some(error) => Err(error),
        None => Ok(None),
    }
}

/// What version the interpreter in this image says it is: by its debug offsets,
/// by `Py_Version`, or by the text `sys.version` was made from.
fn version(memory: &impl Memory, candidate: &Candidate<'_>, runtime: Option<Address>) -> Option<Version> {
    let described = runtime.filter(|at| memory.array(*at) == Ok(*COOKIE));
    let by_offsets = || Version::from_hex(memory.u64(described?.offset(8)).ok()?);
    let by_symbol = || Version::from_hex(memory.u64(candidate.image.symbol(VERSION)?).ok()?);
    let by_text = || scan::find_version_text(memory, &candidate.image.writable);
    by_offsets().or_else(by_symbol).or_else(by_text)
}
