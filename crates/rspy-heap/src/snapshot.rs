//! A heap in a file, to be asked later and elsewhere.
//!
//! The file begins with [`MAGIC`]; all else is compressed by Zstandard: the length of a header (eight bytes, the lowest first),
//! the header as JSON, the pages of the copy in the order in which the header has them, and those pages that were read beside
//! the copy.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use rspy_cpython::Attached;
use rspy_cpython::find::Saved;
use rspy_cpython::layout::LayoutError;
use rspy_process::maps::Mapping;
use rspy_process::pagemap::PAGE;
use rspy_process::{Address, Memory, ReadError};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::image::Image;

/// What a file begins with; the last byte is the version of the format.
pub const MAGIC: [u8; 9] = *b"rspyheap\x01";
/// The version of the format.
const VERSION: u8 = MAGIC[MAGIC.len() - 1];

/// How well it is compressed: as fast as can be, which is as fast as disks are.
const LEVEL: i32 = 1;
/// Longer than any header, in bytes.
const MAX_HEADER: u64 = 1 << 28;

/// Why a file could not be read.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// It is no heap of rspy's.
    #[error("it is no heap that rspy has saved")]
    Foreign,
    /// It is one of a version that this rspy does not know.
    #[error("it is a heap of format {0}, and this rspy reads format {VERSION}")]
    Version(u8),
    /// It ends too early, or cannot be read.
    #[error("it cannot be read to its end: {0}")]
    Read(#[from] io::Error),
    /// Its header makes no sense.
    #[error("its header is damaged: {0}")]
    Header(#[from] serde_json::Error),
    /// What it says of the interpreter makes no sense.
    #[error("what it says of the interpreter is damaged: {0}")]
    Layout(#[from] LayoutError),
}

/// What is at the beginning of a file.
#[derive(Serialize, Deserialize)]
struct Header<A> {
    about: A,
    interpreter: Saved,
    maps: Vec<Mapping>,
    /// Parts of the address space, and the pages of them that follow.
    ranges: Vec<Range<u64>>,
    runs: Vec<Range<u64>>,
    /// Bytes that were in swap space, and that were gone when they were to be read.
    swapped: u64,
    lost: u64,
    /// Pages that were read beside those.
    pages: Vec<u64>,
}

/// A heap from a file. `A` is what else was written of it.
pub struct Snapshot<A> {
    /// What else was written.
    pub about: A,
    /// The interpreter.
    pub attached: Attached,
    /// What was mapped.
    pub maps: Vec<Mapping>,
    /// The copy.
    pub image: Image,
    /// What was read beside the copy.
    pub pages: Pages,
}

/// Writes a heap. `pages` are those that questions were asked of beside the `image`.
///
/// # Errors
///
/// If it cannot be written.
pub fn write<A: Serialize>(
    mut out: impl Write,
    about: A,
    attached: &Attached,
    maps: &[Mapping],
    image: &Image,
    pages: &Pages,
) -> io::Result<()> {
    out.write_all(&MAGIC)?;
    let mut out = zstd::Encoder::new(out, LEVEL)?;
    let pages = pages.0.lock().unwrap_or_else(PoisonError::into_inner);
    let header = Header {
        about,
        interpreter: attached.saved(),
        maps: maps.to_vec(),
        ranges: image.ranges().collect(),
        runs: image.runs().map(|(run, _)| run).collect(),
        swapped: image.swapped,
        lost: image.lost,
        pages: pages.keys().copied().collect(),
    };
    let header = serde_json::to_vec(&header)?;
    out.write_all(&(header.len() as u64).to_le_bytes())?;
    out.write_all(&header)?;
    for (_, bytes) in image.runs() {
        out.write_all(bytes)?;
    }
    for page in pages.values() {
        out.write_all(page)?;
    }
    out.finish()?.flush()
}

/// Reads a heap.
///
/// # Errors
///
/// If it is none, is damaged, or there is no room for it.
pub fn read<A: DeserializeOwned>(mut from: impl Read) -> Result<Snapshot<A>, SnapshotError> {
    let mut magic = [0; MAGIC.len()];
    from.read_exact(&mut magic).map_err(|_| SnapshotError::Foreign)?;
    match (magic == MAGIC, magic.split_last(), MAGIC.split_last()) {
        (true, ..) => {}
        (_, Some((version, name)), Some((_, own))) if name == own => {
            return Err(SnapshotError::Version(*version));
        }
        _ => return Err(SnapshotError::Foreign),
    }
    let mut from = zstd::Decoder::new(from)?;
    let mut length = [0; 8];
    from.read_exact(&mut length)?;
    let length = u64::from_le_bytes(length).min(MAX_HEADER);
    let header: Header<A> = serde_json::from_reader(from.by_ref().take(length))?;
    let mut image = Image::restored(header.ranges, &header.runs, |into| from.read_exact(into))?;
    image.swapped = header.swapped;
    image.lost = header.lost;
    let pages = Pages::default();
    for at in header.pages {
        let mut page = vec![0; PAGE as usize];
        from.read_exact(&mut page)?;
        pages.insert(at, page);
    }
    Ok(Snapshot {
        about: header.about,
        attached: header.interpreter.try_into()?,
        maps: header.maps,
        image,
        pages,
    })
}

/// Single pages, by where they begin.
#[derive(Clone, Default)]
pub struct Pages(Arc<Mutex<BTreeMap<u64, Vec<u8>>>>);

impl Pages {
    fn insert(&self, at: u64, page: Vec<u8>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(at, page);
    }
}

impl Memory for Pages {
    fn read(&self, at: Address, into: &mut [u8]) -> Result<(), ReadError> {
        let fault = ReadError::Fault { at, len: into.len() };
        let pages = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut done = 0;
        while done < into.len() {
            let at = at.0.checked_add(done as u64).ok_or(fault)?;
            let page = pages.get(&(at & !(PAGE - 1))).ok_or(fault)?;
            let bytes = page.get((at % PAGE) as usize..).filter(|bytes| !bytes.is_empty()).ok_or(fault)?;
            let count = bytes.len().min(into.len() - done);
            into[done..done + count].copy_from_slice(&bytes[..count]);
            done += count;
        }
        Ok(())
    }
}

/// Remembers whole pages of all that is read.
pub struct Remembering<M> {
    memory: M,
    pages: Pages,
}

impl<M: Memory> Remembering<M> {
    /// Reads `memory`, and keeps what it has read in `pages`.
    pub fn new(memory: M, pages: Pages) -> Remembering<M> {
        Remembering { memory, pages }
    }
}

impl<M: Memory> Memory for Remembering<M> {
    fn read(&self, at: Address, into: &mut [u8]) -> Result<(), ReadError> {
        self.memory.read(at, into)?;
        let end = at.0.saturating_add(into.len() as u64);
        let mut next = at.0 & !(PAGE - 1);
        while next < end {
            let mut page = vec![0; PAGE as usize];
            if self.memory.read(Address(next), &mut page).is_ok() {
                self.pages.insert(next, page);
            }
            next = next.saturating_add(PAGE);
        }
        Ok(())
    }
}
