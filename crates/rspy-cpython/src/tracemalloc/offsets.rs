//! Where a version keeps tracemalloc's state, and how its tables are laid out.

use std::ops::Range;

use rspy_process::{Address, Memory, ReadError};

use crate::find::Attached;
use crate::layout::{Field, Layout};

/// Members of `_PyTraceMalloc_Config`, which begins with the same three integers in every version.
const TRACING: Field<i32> = Field::new(4);
const MAX_NFRAME: Field<i32> = Field::new(8);

/// Longest entry of a table that is read, in bytes: the largest known takes 44.
const MAX_ENTRY: usize = 256;

/// Where tracemalloc's state is in one process.
pub(super) struct Places {
    pub config: Address,
    /// `None` where only the configuration was found: up to 3.11 the rest has no exported name.
    pub tables: Option<Tables>,
}

/// Where its figures are, and what points to its tables.
pub(super) struct Tables {
    pub figures: Figures,
    pub traces: Address,
    /// The tables of the other domains (3.9 and later).
    pub domains: Option<Address>,
}

/// Where it is said how much is traced.
pub(super) enum Figures {
    At {
        current: Address,
        peak: Address,
    },
    /// Somewhere there.
    Near(Range<Address>),
}

impl Places {
    pub fn of(attached: &Attached) -> Option<Places> {
        let [config, old_config, current, peak, traces, domains] = attached.roots.statics.tracemalloc;
        let within = |name| {
            let offset = attached.layout.table.number("runtime", name)?;
            Some(attached.roots.runtime?.offset(offset))
        };
        let Some(config_within) = within("tracemalloc.config") else {
            let figures = current.zip(peak).map(|(current, peak)| Figures::At { current, peak });
            let tables = figures.zip(traces).map(|(figures, traces)| Tables { figures, traces, domains });
            return Some(Places { config: config.or(old_config)?, tables });
        };
        let tables = Tables {
            figures: Figures::At {
                current: within("tracemalloc.traced_memory")?,
                peak: within("tracemalloc.peak_traced_memory")?,
            },
            traces: within("tracemalloc.traces")?,
            domains: within("tracemalloc.domains"),
        };
        Some(Places { config: config_within, tables: Some(tables) })
    }

    pub fn is_tracing(&self, memory: &impl Memory) -> Result<bool, ReadError> {
        Ok(TRACING.read(memory, self.config)? == 1)
    }

    pub fn max_nframe(&self, memory: &impl Memory) -> Result<u32, ReadError> {
        let max_nframe = MAX_NFRAME.read(memory, self.config)?;
        // No traceback has room for more.
        Ok(max_nframe.clamp(1, u16::MAX.into()).unsigned_abs())
    }
}

/// How the tables of a version are laid out.
pub(super) struct Offsets {
    pub nentries: Field<u64>,
    pub nbuckets: Field<u64>,
    pub buckets: Field<Address>,
    /// Up to 3.8 an entry ends with its key and its trace, whose sizes the table tells.
    pub inline_sizes: Option<(Field<u64>, Field<u64>)>,
    pub next: Field<Address>,
    /// From 3.9 on an entry has two words.
    pub key_and_value: Option<(Field<u64>, Field<Address>)>,
    /// Of an entry without what is inline.
    pub entry_size: usize,
    /// Of a traceback. An `int` up to 3.8, whose upper half is 0.
    pub nframe: Field<u16>,
    pub total_nframe: Option<Field<u16>>,
    pub frames: u64,
    pub filename: Field<Address>,
    /// A file's name is a C string, no `str` (3.15).
    pub filename_is_text: bool,
    pub line: Field<u32>,
    pub frame_size: usize,
}

impl Offsets {
    pub fn of(layout: &Layout) -> Option<Offsets> {
        let t = &layout.table;
        let key_and_value = t.optional("hashtable_entry", "key").zip(t.optional("hashtable_entry", "value"));
        let inline_sizes = t.optional("hashtable", "key_size").zip(t.optional("hashtable", "data_size"));
        if key_and_value.is_none() && inline_sizes.is_none() {
            return None;
        }
        let size = |section, name| {
            t.number(section, name).map(|size| size as usize).filter(|size| (1..=MAX_ENTRY).contains(size))
        };
        Some(Offsets {
            nentries: t.optional("hashtable", "nentries")?,
            nbuckets: t.optional("hashtable", "nbuckets")?,
            buckets: t.optional("hashtable", "buckets")?,
            inline_sizes,
            next: t.optional("hashtable_entry", "next")?,
            key_and_value,
            entry_size: size("hashtable_entry", "size")?,
            nframe: t.optional("traceback", "nframe")?,
            total_nframe: t.optional("traceback", "total_nframe"),
            frames: t.number("traceback", "frames").filter(|frames| *frames <= MAX_ENTRY as u64)?,
            filename: t.optional("traceback_frame", "filename")?,
            filename_is_text: t.number("traceback_frame", "filename_is_text") == Some(1),
            line: t.optional("traceback_frame", "lineno")?,
            frame_size: size("traceback_frame", "size")?,
        })
    }

    /// How much of a table tells what it is, in bytes.
    pub fn head_size(&self) -> usize {
        let sizes = self.inline_sizes.map_or(0, |(key, data)| key.end().max(data.end()));
        self.nentries.end().max(self.nbuckets.end()).max(self.buckets.end()).max(sizes)
    }

    /// How long an entry is whose key and data have these sizes; `None` if none is that long.
    pub fn entry_len(&self, key_size: u64, data_size: u64) -> Option<usize> {
        let inline = usize::try_from(key_size.checked_add(data_size)?).ok()?;
        self.entry_size.checked_add(inline).filter(|len| *len <= MAX_ENTRY)
    }
}
