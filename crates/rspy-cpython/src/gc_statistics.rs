//! What the garbage collector says of itself: `gc.isenabled()`, `gc.get_threshold()`,
//! `gc.get_count()` and `gc.get_stats()`, read from outside.

use rspy_process::{Address, Memory, ReadError};

use crate::find::Attached;
use crate::layout::{Field, Roots, Table};
use crate::version::Version;

/// Generations of every CPython there has been.
pub const GENERATIONS: usize = 3;

/// Each interpreter's collector.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct GcStatistics {
    /// The main interpreter's first. Up to 3.8 there is one collector for all interpreters.
    pub interpreters: Vec<Collector>,
}

/// One collector.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Collector {
    /// Number of its interpreter, where interpreters have numbers of their own (3.7 and later).
    pub interpreter: Option<i64>,
    /// Whether it collects by itself.
    pub is_enabled: bool,
    /// The youngest first.
    pub generations: [Generation; GENERATIONS],
}

/// One generation.
#[derive(Copy, Clone, Debug, Default, PartialEq, serde::Serialize)]
pub struct Generation {
    /// `gc.get_threshold()`: it is collected when `count` is larger; 0 means never.
    pub threshold: i32,
    /// `gc.get_count()`: objects made and not freed since it was collected, of older generations how
    /// often the younger one was. Free-threaded builds let each thread count some hundreds for itself.
    pub count: i32,
    /// `gc.get_stats()`, where the version counts (3.6 and later).
    pub totals: Option<Totals>,
}

/// What a generation's collections have come to since the interpreter started.
#[derive(Copy, Clone, Debug, Default, PartialEq, serde::Serialize)]
pub struct Totals {
    /// How many there were.
    pub collections: i64,
    /// Objects they have freed.
    pub collected: i64,
    /// Objects they could not free.
    pub uncollectable: i64,
    /// Objects they have looked at (3.15 and later).
    pub candidates: Option<i64>,
    /// Seconds they have taken (3.15 and later).
    pub duration: Option<f64>,
    /// Objects there were when the last one began (3.15 and later, not in free-threaded builds).
    pub heap_size: Option<i64>,
}

/// Why the collector's statistics are not known.
#[derive(Debug, thiserror::Error)]
pub enum GcError {
    /// Its version or build does not tell where they are.
    #[error("where CPython {version} keeps the statistics of its garbage collector is not known")]
    Unknown {
        /// What the target runs.
        version: Version,
    },
    /// What lies there is no collector.
    #[error("the garbage collector of CPython {version} is not laid out as its table says")]
    Inconsistent {
        /// What the target runs.
        version: Version,
    },
    /// It could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
}

/// Where one collector has what.
struct Places {
    enabled: Address,
    generations: Address,
    /// An array, or what points to the buffers of 3.15.
    statistics: Option<Address>,
}

impl Attached {
    /// What the collector of each interpreter says of itself now.
    pub fn gc_statistics(&self, memory: &impl Memory) -> Result<GcStatistics, GcError> {
        let table = &self.layout.table;
        let all = self.interpreters(memory)?;
        // Up to 3.8 the interpreters share one collector.
        let is_shared = table.number("interpreter", "gc").is_none();
        let count = if is_shared { 1 } else { all.len() };
        let mut interpreters = Vec::new();
        for interpreter in all.into_iter().take(count) {
            let places = self.places(memory, interpreter)?;
            let id = self.layout.interpreter.id.map(|id| id.read(memory, interpreter)).transpose()?;
            interpreters.push(self.collector(memory, &places, id)?);
        }
        Ok(GcStatistics { interpreters })
    }

    /// Where the lists of objects that each collector tracks begin and end: heads that stand for no object. Those of what was
    /// frozen (`gc.freeze()`) are among them. Free-threaded builds keep none.
    ///
    /// # Errors
    ///
    /// If the version does not tell where they are, or they cannot be read.
    pub fn gc_lists(&self, memory: &impl Memory) -> Result<Vec<Address>, GcError> {
        let table = &self.layout.table;
        let mut lists = Vec::new();
        if self.layout.abi.free_threaded {
            return Ok(lists);
        }
        let number = |name| table.number("gc", name);
        let size = number("generation_size").ok_or_else(|| self.unknown())?;
        let is_shared = table.number("interpreter", "gc").is_none();
        let count = if is_shared { 1 } else { usize::MAX };
        for interpreter in self.interpreters(memory)?.into_iter().take(count) {
            let generations = self.places(memory, interpreter)?.generations;
            lists.extend((0..GENERATIONS as u64).map(|index| generations.offset(index * size)));
            let frozen = number("permanent_generation").zip(number("generations"));
            if let Some(behind) = frozen.and_then(|(frozen, first)| frozen.checked_sub(first)) {
                lists.push(generations.offset(behind));
            }
        }
        Ok(lists)
    }

    fn unknown(&self) -> GcError {
        GcError::Unknown { version: self.version() }
    }

    fn places(&self, memory: &impl Memory, interpreter: Address) -> Result<Places, GcError> {
        let table = &self.layout.table;
        if self.layout.roots == Roots::Statics {
            let [enabled, generations, statistics] = self.roots.statics.gc;
            let (Some(enabled), Some(generations)) = (enabled, generations) else {
                return Err(self.unknown());
            };
            return Ok(Places { enabled, generations, statistics });
        }
        let number = |name| table.number("gc", name).ok_or_else(|| self.unknown());
        let state = match (table.number("interpreter", "gc"), table.number("runtime", "gc")) {
            (Some(offset), _) => interpreter.offset(offset),
            (None, Some(offset)) => self.roots.runtime.ok_or_else(|| self.unknown())?.offset(offset),
            _ => return Err(self.unknown()),
        };
        Ok(Places {
            enabled: state.offset(number("enabled")?),
            generations: self.generations(memory, state, number("generations")?, number("size")?)?,
            statistics: table.number("gc", "generation_stats").map(|offset| state.offset(offset)),
        })
    }

    /// Where the generations are: what `generation0` points to, since Debian's 3.13 has them elsewhere
    /// than the release. Free-threaded builds have no such pointer, or leave it null.
    fn generations(
        &self,
        memory: &impl Memory,
        state: Address,
        offset: u64,
        size: u64,
    ) -> Result<Address, ReadError> {
        let Some(pointer) = self.layout.table.optional::<Address>("gc", "generation0") else {
            return Ok(state.offset(offset));
        };
        let first = pointer.read(memory, state)?;
        let is_inside = first.since(state).is_some_and(|offset| offset < size);
        Ok(if is_inside { first } else { state.offset(offset) })
    }

    fn collector(
        &self,
        memory: &impl Memory,
        places: &Places,
        interpreter: Option<i64>,
    ) -> Result<Collector, GcError> {
        let table = &self.layout.table;
        let (Some(threshold), Some(count), Some(size)) = (
            table.optional::<i32>("gc_generation", "threshold"),
            table.optional::<i32>("gc_generation", "count"),
            table.number("gc", "generation_size"),
        ) else {
            return Err(self.unknown());
        };
        let mut generations = [Generation::default(); GENERATIONS];
        for (index, generation) in generations.iter_mut().enumerate() {
            let at = places.generations.offset(index as u64 * size);
            // Releases of 3.6 and builds of them differ in the size of a generation, which no header tells.
            if self.layout.roots == Roots::Statics && !is_list(memory, table, at)? {
                return Err(GcError::Inconsistent { version: self.version() });
            }
            generation.threshold = threshold.read(memory, at)?;
            generation.count = count.read(memory, at)?;
            if let Some(at) = places.statistics {
                generation.totals = totals(memory, table, at, index as u64)?;
            }
        }
        let enabled = Field::<i32>::new(0).read(memory, places.enabled)?;
        Ok(Collector { interpreter, is_enabled: enabled != 0, generations })
    }
}

/// Whether what `head` points to next points back to it.
fn is_list(memory: &impl Memory, table: &Table, head: Address) -> Result<bool, ReadError> {
    let (Some(next), Some(prev)) = (table.optional("gc_head", "next"), table.optional("gc_head", "prev"))
    else {
        return Ok(false);
    };
    let next: Address = next.read(memory, head)?;
    Ok(prev.read(memory, next) == Ok(head))
}

/// The statistics of generation `index`, `None` where the version has none.
fn totals(memory: &impl Memory, table: &Table, at: Address, index: u64) -> Result<Option<Totals>, ReadError> {
    let number = |name| table.number("gc_generation_stats", name);
    let Some(size) = number("size") else { return Ok(None) };
    let at = match table.number("gc_stats", "old.size") {
        None => Some(at.offset(index * size)),
        Some(buffer) => newest(memory, table, memory.address(at)?, index, buffer, size)?,
    };
    let (Some(at), Some(collections), Some(collected), Some(uncollectable)) =
        (at, number("collections"), number("collected"), number("uncollectable"))
    else {
        return Ok(None);
    };
    let entry = memory.bytes(at, size.min(256) as usize)?;
    let word = |offset: u64| Field::<i64>::new(offset as u32).get(&entry);
    let (Some(collections), Some(collected), Some(uncollectable)) =
        (word(collections), word(collected), word(uncollectable))
    else {
        return Ok(None);
    };
    let duration = number("duration").and_then(word).map(|bits| f64::from_bits(bits.cast_unsigned()));
    Ok(Some(Totals {
        collections,
        collected,
        uncollectable,
        candidates: number("candidates").and_then(word),
        duration: duration.filter(|seconds| seconds.is_finite()),
        heap_size: number("heap_size").and_then(word),
    }))
}

/// The newest entry of a generation's buffer in `struct gc_stats` (3.15): each entry counts from the start.
fn newest(
    memory: &impl Memory,
    table: &Table,
    statistics: Address,
    index: u64,
    buffer: u64,
    size: u64,
) -> Result<Option<Address>, ReadError> {
    let number = |name| table.number("gc_stats", name);
    let place = match index.checked_sub(1) {
        None => number("young").zip(number("young.index")),
        Some(old) => number("old").zip(number("old.index")).map(|(start, position)| {
            let start = start + old * buffer;
            (start, start + position)
        }),
    };
    let Some((start, position)) = place else { return Ok(None) };
    let newest = Field::<u8>::new(position as u32).read(memory, statistics)?;
    let offset = start + u64::from(newest) * size;
    // An index beyond the buffer is none.
    Ok((offset + size <= position).then(|| statistics.offset(offset)))
}
