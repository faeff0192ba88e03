//! What tracemalloc has recorded in a process that runs with it, read from outside: which lines
//! have allocated the memory that is in use now.
//!
//! The target goes on while its tables are read. Whether what was read is of one moment is told
//! by the tables themselves: they count their entries, and tracemalloc their bytes.

mod hashtable;
mod offsets;
mod scattered;
mod search;
mod tracebacks;

use std::cmp::Reverse;
use std::sync::Arc;

use rspy_process::maps::Mapping;
use rspy_process::{Address, Batch, Limited, Memory, ReadError, word};
use rustc_hash::FxHashMap;

use crate::find::Attached;
use crate::layout::Layout;
use crate::version::Version;
use hashtable::Hashtable;
use offsets::{Figures, Offsets, Places, Tables};
use search::Search;
use tracebacks::Traceback;

/// How often the tables are read until they hold still.
const ATTEMPTS: usize = 3;
/// More is not read of a process, in bytes: fifty million traces take less.
const MAX_READ: u64 = 32 << 30;
/// More domains than anybody traces.
const MAX_DOMAINS: u64 = 1 << 16;
/// `{size_t size; traceback_t *traceback}`, in every version.
const TRACE: usize = 16;

/// What tracemalloc has recorded.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Tracemalloc {
    /// How many frames of a traceback are kept at most (`tracemalloc.get_traceback_limit()`).
    pub max_nframe: u32,
    /// Bytes in use now that were traced (`tracemalloc.get_traced_memory()`).
    pub current: u64,
    /// The most there ever were; `None` where it is not known: of a Python whose symbols were stripped (up to 3.11) sometimes.
    pub peak: Option<u64>,
    /// Whether all traces are of one moment and none is missing. Else the target went on allocating
    /// whenever they were read.
    pub is_consistent: bool,
    /// The blocks in use, those of one domain and traceback together; the largest sum first.
    pub traces: Vec<Allocations>,
}

/// Blocks in use that were allocated in one place.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Allocations {
    /// 0 for Python's own memory; extensions trace theirs under other numbers.
    pub domain: u32,
    /// How many blocks.
    pub count: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Where they were allocated, the innermost frame first.
    pub frames: Arc<[TracedLine]>,
    /// How many frames there were, the ones not kept included (3.9 and later).
    pub total_nframe: Option<u32>,
}

/// One frame of a traceback.
#[derive(Clone, Debug, PartialEq, Eq, Hash, serde::Serialize)]
pub struct TracedLine {
    /// `co_filename`, or `<unknown>`.
    pub filename: Arc<str>,
    /// The line, 0 where it is not known.
    pub line: u32,
}

/// Why there are no traces.
#[derive(Debug, thiserror::Error)]
pub enum TracemallocError {
    /// Nobody has started it.
    #[error("tracemalloc is not tracing")]
    NotTracing,
    /// The version or build does not tell where the tables are.
    #[error("where CPython {version} keeps tracemalloc's tables is not known")]
    Unknown {
        /// What the target runs.
        version: Version,
    },
    /// It could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
}

/// What tells whether anything has changed: tracemalloc's figures, and its tables.
#[derive(PartialEq)]
struct State {
    /// `None` where it is not known where that is.
    current: Option<u64>,
    tables: Vec<(u32, Hashtable)>,
}

impl Attached {
    /// What tracemalloc has recorded until now. The process goes on meanwhile. In `maps`, which must be of now, is searched what has
    /// no symbol.
    pub fn tracemalloc(
        &self,
        memory: &impl Memory,
        maps: &[Mapping],
    ) -> Result<Tracemalloc, TracemallocError> {
        let memory = &Limited::new(memory, MAX_READ);
        let unknown = || TracemallocError::Unknown { version: self.version() };
        let places = Places::of(self).ok_or_else(unknown)?;
        if !places.is_tracing(memory)? {
            return Err(TracemallocError::NotTracing);
        }
        let offsets = Offsets::of(&self.layout).ok_or_else(unknown)?;
        let max_nframe = places.max_nframe(memory)?;
        let search = Search { memory, layout: &self.layout, offsets: &offsets, max_nframe, maps };
        let tables = places.tables.or_else(|| search.tables(places.config)).ok_or_else(unknown)?;
        let mut attempt = 1;
        loop {
            let before = state(memory, &offsets, &tables)?;
            let (traces, is_whole) = traces(
                memory,
                &self.layout,
                &offsets,
                (max_nframe, peak(memory, &tables)?.unwrap_or(u64::MAX)),
                &before.tables,
            );
            let bytes = traces.iter().fold(0, |sum: u64, trace| sum.saturating_add(trace.bytes));
            let is_same = state(memory, &offsets, &tables).is_ok_and(|after| after == before);
            let (is_all, peak) = match &tables.figures {
                Figures::At { .. } => (Some(bytes) == before.current, peak(memory, &tables)?),
                Figures::Near(range) => search.figures(range, bytes),
            };
            let is_consistent = is_whole && is_same && is_all;
            if is_consistent || attempt == ATTEMPTS {
                let current = before.current.unwrap_or(bytes);
                return Ok(Tracemalloc { max_nframe, current, peak, is_consistent, traces });
            }
            attempt += 1;
        }
    }
}

/// The most that was ever traced, where that is said.
fn peak(memory: &impl Memory, tables: &Tables) -> Result<Option<u64>, ReadError> {
    match tables.figures {
        Figures::At { peak, .. } => memory.u64(peak).map(Some),
        Figures::Near(_) => Ok(None),
    }
}

/// The figures, and the table of each domain: domain 0 first.
fn state(memory: &impl Memory, offsets: &Offsets, places: &Tables) -> Result<State, TracemallocError> {
    let current = match places.figures {
        Figures::At { current, .. } => Some(memory.u64(current)?),
        Figures::Near(_) => None,
    };
    let traces = memory.address(places.traces)?;
    if traces.is_null() {
        // It has been stopped just now.
        return Err(TracemallocError::NotTracing);
    }
    let mut tables = vec![(0, Hashtable::read(memory, offsets, traces)?)];
    if let (Some(domains), Some((key, value))) = (places.domains, offsets.key_and_value) {
        let domains = memory.address(domains)?;
        if !domains.is_null() {
            let mut found = Vec::new();
            let table = Hashtable::read(memory, offsets, domains)?;
            table.walk(memory, offsets, MAX_DOMAINS, |entry| {
                found.extend(key.get(entry).map(|key| key as u32).zip(value.get(entry)));
            });
            // In the order of the table, which another reading shares.
            for (domain, at) in found {
                tables.push((domain, Hashtable::read(memory, offsets, at)?));
            }
        }
    }
    Ok(State { current, tables })
}

/// Count and bytes by domain and traceback.
struct Sums {
    by_traceback: FxHashMap<(u32, Address), (u64, u64)>,
    /// All that was ever traced at once: an allocation that is said to be larger is none.
    most: u64,
}

impl Sums {
    fn add(&mut self, domain: u32, trace: &[u8]) {
        if let (Some(size), Some(traceback)) = (word(trace, 0, 8), word(trace, 8, 8))
            && size <= self.most
        {
            let (count, bytes) = self.by_traceback.entry((domain, Address(traceback))).or_default();
            *count += 1;
            *bytes = bytes.saturating_add(size);
        }
    }
}

/// All traces of these tables, and whether none was lost.
fn traces(
    memory: &impl Memory,
    layout: &Layout,
    offsets: &Offsets,
    (max_nframe, most): (u32, u64),
    tables: &[(u32, Hashtable)],
) -> (Vec<Allocations>, bool) {
    let mut sums = Sums { by_traceback: FxHashMap::default(), most };
    let mut is_whole = true;
    for (domain, table) in tables {
        is_whole &= match offsets.key_and_value {
            Some((_, value)) => {
                let mut blocks = Vec::new();
                let is_whole = table.walk(memory, offsets, u64::MAX, |entry| blocks.extend(value.get(entry)));
                let mut add = |_, trace: &[u8]| sums.add(*domain, trace);
                is_whole & scattered::read(memory, &mut Batch::new(), &mut blocks, TRACE, &mut add)
            }
            None => table.walk(memory, offsets, u64::MAX, |entry| {
                let (domain, trace) = table.inline(offsets, entry);
                sums.add(domain.unwrap_or(0), trace);
            }),
        };
    }
    let mut wanted: Vec<Address> = sums.by_traceback.keys().map(|(_, traceback)| *traceback).collect();
    wanted.sort_unstable();
    wanted.dedup();
    let (tracebacks, all_read) = tracebacks::read(memory, layout, offsets, max_nframe, &mut wanted);
    let mut traces: Vec<Allocations> = sums
        .by_traceback
        .into_iter()
        .filter_map(|((domain, at), (count, bytes))| {
            let Traceback { frames, total_nframe } = tracebacks.get(&at)?.clone();
            Some(Allocations { domain, count, bytes, frames, total_nframe })
        })
        .collect();
    traces.sort_by_cached_key(|trace| {
        let first = trace.frames.first().map(|frame| (frame.filename.clone(), frame.line));
        (Reverse(trace.bytes), trace.domain, first)
    });
    (traces, is_whole && all_read)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rspy_process::ReadError;

    use super::*;
    use crate::layout::known_versions;
    use crate::version::Abi;

    const BASE: u64 = 0x10_0000;

    /// One mapped range, everything else unmapped.
    struct One(Vec<u8>);

    impl Memory for One {
        fn read(&self, at: Address, into: &mut [u8]) -> Result<(), ReadError> {
            let fault = ReadError::Fault { at, len: into.len() };
            let start = at.0.checked_sub(BASE).ok_or(fault)? as usize;
            let end = start.checked_add(into.len()).ok_or(fault)?;
            into.copy_from_slice(self.0.get(start..end).ok_or(fault)?);
            Ok(())
        }
    }

    proptest! {
        /// Tables of small numbers and of pointers that lead to anything, to themselves too.
        #[test]
        fn garbage_is_read_to_an_end(
            words in prop::collection::vec(prop_oneof![0u64..64, BASE..BASE + 1600, any::<u64>()], 200),
            starts in prop::collection::vec(0u64..200, 4),
        ) {
            let memory = One(words.iter().flat_map(|word| word.to_le_bytes()).collect());
            for name in known_versions().split(", ") {
                let version = Version::from_text(&format!("{name}.0 ")).unwrap();
                let layout = Layout::of(version, Abi::default()).unwrap();
                let Some(offsets) = Offsets::of(&layout) else { continue };
                let [current, peak, traces, domains] = [0, 1, 2, 3].map(|n| Address(BASE + starts[n] * 8));
                let figures = Figures::At { current, peak };
                let places = Tables { figures, traces, domains: Some(domains) };
                let Ok(state) = state(&memory, &offsets, &places) else { continue };
                let (traces, _) = super::traces(&memory, &layout, &offsets, (25, u64::MAX), &state.tables);
                prop_assert!(traces.iter().all(|trace| trace.frames.len() <= 25 && trace.count > 0));
                // Without symbols: the first half are variables, the rest is allocated.
                let mapping = |from: u64, inode, path: Option<&str>| Mapping {
                    start: Address(BASE + from),
                    end: Address(BASE + from + 800),
                    readable: true,
                    writable: true,
                    executable: false,
                    offset: 0,
                    inode,
                    path: path.map(Into::into),
                    deleted: false,
                };
                let maps = [mapping(0, 1, Some("/python")), mapping(800, 0, None)];
                let search =
                    Search { memory: &memory, layout: &layout, offsets: &offsets, max_nframe: 25, maps: &maps };
                if let Some(Tables { figures: Figures::Near(range), .. }) = search.tables(Address(BASE)) {
                    search.figures(&range, starts[0]);
                }
            }
        }
    }
}
