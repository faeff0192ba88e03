//! `traceback_t`: where a block was allocated.

use std::sync::Arc;

use rspy_process::{Address, Batch, Memory};
use rustc_hash::FxHashMap;

use super::offsets::Offsets;
use super::{TracedLine, scattered};
use crate::layout::Layout;
use crate::text::{MAX_TEXT, string};

/// More frames are not kept, in all tracebacks together: they would take gigabytes.
const MAX_FRAMES: usize = 1 << 26;
/// As many bytes of frames are read together, which is many tracebacks or one of the deepest.
const MAX_BATCH: usize = 1 << 20;

/// One traceback.
#[derive(Clone)]
pub(super) struct Traceback {
    pub frames: Arc<[TracedLine]>,
    pub total_nframe: Option<u32>,
}

/// Those at these addresses, and whether every one of them is a traceback.
pub(super) fn read(
    memory: &impl Memory,
    layout: &Layout,
    offsets: &Offsets,
    max_nframe: u32,
    wanted: &mut [Address],
) -> (FxHashMap<Address, Traceback>, bool) {
    let mut reader = Reader { memory, layout, offsets, filenames: FxHashMap::default(), left: MAX_FRAMES };
    let mut found = FxHashMap::default();
    let mut heads = Vec::with_capacity(wanted.len());
    let len = offsets.frames as usize;
    scattered::read(memory, &mut Batch::new(), wanted, len, |at, head| {
        let Some(nframe) = offsets.nframe.get(head) else { return };
        let total_nframe = offsets.total_nframe.and_then(|field| field.get(head)).map(u32::from);
        // What is no traceback any more has any number here.
        if u32::from(nframe) <= max_nframe {
            heads.push((at, usize::from(nframe), total_nframe));
        }
    });
    reader.frames_of(&heads, &mut found);
    let is_whole = found.len() == wanted.len();
    (found, is_whole)
}

struct Reader<'m, M> {
    memory: &'m M,
    layout: &'m Layout,
    offsets: &'m Offsets,
    /// By address; `None` where there is none.
    filenames: FxHashMap<Address, Option<Arc<str>>>,
    /// How many frames may still be kept.
    left: usize,
}

impl<M: Memory> Reader<'_, M> {
    fn frames_of(
        &mut self,
        heads: &[(Address, usize, Option<u32>)],
        found: &mut FxHashMap<Address, Traceback>,
    ) {
        let mut batch = Batch::new();
        let mut rest = heads;
        while !rest.is_empty() {
            batch.clear();
            let mut taken = 0;
            for (at, nframe, _) in rest {
                if taken > 0 && batch.size() > MAX_BATCH {
                    break;
                }
                batch.push(at.offset(self.offsets.frames), nframe * self.offsets.frame_size);
                taken += 1;
            }
            self.memory.read_many(&mut batch);
            let (read, later) = rest.split_at(taken);
            for (index, (at, nframe, total_nframe)) in read.iter().enumerate() {
                let frames = batch.get(index).ok().filter(|_| *nframe <= self.left);
                if let Some(frames) = frames.and_then(|frames| self.lines(frames)) {
                    self.left -= nframe;
                    found.insert(*at, Traceback { frames, total_nframe: *total_nframe });
                }
            }
            rest = later;
        }
    }

    fn lines(&mut self, frames: &[u8]) -> Option<Arc<[TracedLine]>> {
        let lines = frames.chunks_exact(self.offsets.frame_size).map(|frame| {
            let filename = self.filename(self.offsets.filename.get(frame)?)?;
            Some(TracedLine { filename, line: self.offsets.line.get(frame)? })
        });
        lines.collect()
    }

    fn filename(&mut self, at: Address) -> Option<Arc<str>> {
        let (memory, layout, is_text) = (self.memory, self.layout, self.offsets.filename_is_text);
        let name = self.filenames.entry(at).or_insert_with(|| {
            if is_text {
                let bytes = memory.c_string(at, MAX_TEXT).ok()?;
                return Some(String::from_utf8_lossy(&bytes).into());
            }
            string(memory, layout, at).ok().map(Arc::from)
        });
        name.clone()
    }
}
