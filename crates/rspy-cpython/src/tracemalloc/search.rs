//! Where tracemalloc's tables are in a Python that was stripped of the names of its variables: which of them lead to what
//! can only be those tables.

use std::ops::Range;

use rspy_process::maps::{Mapping, loaded_files};
use rspy_process::{Address, Batch, Memory, word};

use super::hashtable::Hashtable;
use super::offsets::{Figures, Offsets, Tables};
use super::{TRACE, scattered, tracebacks};
use crate::layout::Layout;

/// Most of an executable's variables that are searched, in bytes.
const MAX_SEARCHED: u64 = 64 << 20;
/// The variables of one source file lie together: not farther from each other than this, in bytes.
const NEAR: u64 = 4096;
/// What variables lead to is aligned so: `malloc` does it for memory, compilers for functions.
const ALIGNMENT: u64 = 16;
/// So many entries tell what a table is of.
const LOOKED_AT: usize = 64;
/// More than any process had, in bytes.
const MAX_PEAK: u64 = 1 << 44;
/// Of so many parts of them all but one must be traces: the process goes on.
const PARTS: usize = 8;

/// What the search reads with.
pub(super) struct Search<'a, M> {
    pub memory: &'a M,
    pub layout: &'a Layout,
    pub offsets: &'a Offsets,
    pub max_nframe: u32,
    pub maps: &'a [Mapping],
}

/// A variable that leads to a table.
#[derive(Copy, Clone)]
struct Variable {
    at: Address,
    table: Hashtable,
}

impl<M: Memory> Search<'_, M> {
    /// The tables, by variables of the file that has the one at `config`. `None` if there are none, or if more than one could be.
    pub fn tables(&self, config: Address) -> Option<Tables> {
        let all = self.variables(config);
        let mut of_traces = all.iter().filter(|variable| self.is_of_traces(&variable.table));
        let traces = of_traces.next()?;
        if of_traces.next().is_some() {
            return None;
        }
        let near = Address(traces.at.0.saturating_sub(NEAR))..traces.at.offset(NEAR);
        let domains = all
            .iter()
            .filter(|variable| near.contains(&variable.at))
            .find(|variable| self.is_of_tables(&variable.table))
            .map(|variable| variable.at);
        Some(Tables { figures: Figures::Near(self.writable(near)), traces: traces.at, domains })
    }

    /// The part around `range` that is mapped: it may reach over the end of the variables.
    fn writable(&self, range: Range<Address>) -> Range<Address> {
        let mapping = self.mapping(Address(range.start.0.midpoint(range.end.0)));
        mapping.map_or(range.start..range.start, |mapping| {
            range.start.max(mapping.start)..range.end.min(mapping.end)
        })
    }

    /// Variables of the file that lead to what is like the head of a table with entries.
    fn variables(&self, config: Address) -> Vec<Variable> {
        let files = loaded_files(self.maps);
        let file = files.iter().find(|file| file.mappings.iter().any(|mapping| mapping.contains(config)));
        let mut left = MAX_SEARCHED;
        let mut found = Vec::new();
        for mapping in file.iter().flat_map(|file| &file.mappings).filter(|mapping| mapping.writable) {
            let len = mapping.len().min(left);
            left -= len;
            let Ok(bytes) = self.memory.bytes(mapping.start, len as usize) else { continue };
            let words = bytes.as_chunks().0.iter().map(|word| Address(u64::from_le_bytes(*word)));
            let places = (mapping.start.0..).step_by(8).map(Address);
            let leads = |at: &Address| at.0.is_multiple_of(ALIGNMENT) && self.is_allocated(*at..at.offset(8));
            found.extend(places.zip(words).filter(|(_, leads_to)| leads(leads_to)));
        }
        let heads = self.heads(found.iter().map(|(_, table)| *table));
        let variables = found.into_iter().zip(heads);
        variables
            .filter_map(|((at, _), table)| Some(Variable { at, table: table? }))
            .filter(|variable| {
                let buckets = variable.table.buckets();
                !variable.table.is_empty() && buckets.is_some_and(|buckets| self.is_allocated(buckets))
            })
            .collect()
    }

    fn heads(&self, tables: impl Iterator<Item = Address>) -> Vec<Option<Hashtable>> {
        let mut batch = Batch::new();
        for table in tables {
            batch.push(table, self.offsets.head_size());
        }
        self.memory.read_many(&mut batch);
        let head = |index| Hashtable::of(self.offsets, batch.get(index).ok()?);
        (0..batch.len()).map(head).collect()
    }

    /// Whether it holds traces: a size, and where a traceback is.
    fn is_of_traces(&self, table: &Hashtable) -> bool {
        let mut traces = Vec::new();
        let mut look = |trace: &[u8]| traces.extend(word(trace, 8, 8).map(Address));
        match self.offsets.key_and_value {
            Some(_) => {
                let mut values = self.values(table);
                scattered::read(self.memory, &mut Batch::new(), &mut values, TRACE, |_, trace| look(trace));
            }
            None if table.data_size(self.offsets) != Some(TRACE) => return false,
            None => {
                table.walk(self.memory, self.offsets, LOOKED_AT as u64, |entry| {
                    look(table.inline(self.offsets, entry).1);
                });
            }
        }
        let mut wanted = traces.clone();
        let (found, _) =
            tracebacks::read(self.memory, self.layout, self.offsets, self.max_nframe, &mut wanted);
        let good =
            traces.iter().filter(|at| found.get(at).is_some_and(|traceback| !traceback.frames.is_empty()));
        let good = good.count();
        good > 0 && traces.len() - good <= traces.len() / PARTS
    }

    /// Whether its values are tables themselves.
    fn is_of_tables(&self, table: &Hashtable) -> bool {
        let values = self.values(table);
        let heads = self.heads(values.iter().copied());
        !heads.is_empty() && heads.iter().all(|head| head.is_some_and(|head| head.buckets().is_some()))
    }

    /// What the first entries lead to.
    fn values(&self, table: &Hashtable) -> Vec<Address> {
        let Some((_, value)) = self.offsets.key_and_value else { return Vec::new() };
        let mut values = Vec::new();
        table.walk(self.memory, self.offsets, LOOKED_AT as u64, |entry| values.extend(value.get(entry)));
        values
    }

    /// Whether it lies in memory that was allocated while the program ran.
    fn is_allocated(&self, range: Range<Address>) -> bool {
        self.mapping(range.start)
            .is_some_and(|mapping| mapping.writable && mapping.inode == 0 && range.end <= mapping.end)
    }

    fn mapping(&self, at: Address) -> Option<&Mapping> {
        let index = self.maps.partition_point(|mapping| mapping.end <= at);
        self.maps.get(index).filter(|mapping| mapping.contains(at))
    }

    /// Whether a word of `range` is `current`, how much is traced now, and the most that ever was, which is its neighbour in an
    /// order that the compiler chose. `None` where more than one could be that: an address is none.
    pub fn figures(&self, range: &Range<Address>, current: u64) -> (bool, Option<u64>) {
        let len = usize::try_from(range.end.0.saturating_sub(range.start.0)).unwrap_or(0);
        let Ok(bytes) = self.memory.bytes(range.start, len) else { return (false, None) };
        let words: Vec<u64> = bytes.as_chunks().0.iter().map(|word| u64::from_le_bytes(*word)).collect();
        let is_address = |word: u64| word.is_multiple_of(ALIGNMENT) && self.mapping(Address(word)).is_some();
        let is_peak = |peak: u64| (current..MAX_PEAK).contains(&peak) && !is_address(peak);
        let mut peaks = words.windows(2).filter_map(|pair| match *pair {
            [one, next] if one == current && is_peak(next) => Some(next),
            [one, next] if next == current && is_peak(one) => Some(one),
            _ => None,
        });
        let peak = peaks.next().filter(|peak| peaks.all(|other| other == *peak));
        (words.contains(&current), peak)
    }
}
