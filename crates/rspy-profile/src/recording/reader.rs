//! Reading a recording, up to its last whole block.

use std::io::{BufReader, Read};
use std::ops::RangeInclusive;

use super::block::{Next, Unpacker};
use super::error::{Malformed, RecordingError};
use super::samples::{self, Encoded};
use super::section::{self, Tag};
use super::sums::Sums;
use super::tables::Read as Tables;
use super::varint::Bytes;
use super::{HEADER, MAGIC, VERSION};
use super::{accounts, memory};
use crate::metadata::Metadata;
use crate::profile::Profile;
use crate::sample::Sample;

/// A recording that is being read.
pub struct Reader<R> {
    file: BufReader<R>,
    unpacker: Unpacker,
    metadata: Metadata,
    /// Where the next block begins.
    at: u64,
    /// How long the block is that was unpacked and not read yet.
    ahead: Option<u64>,
}

/// How a recording ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// As its writer ended it.
    Whole,
    /// After a whole block, but its writer had no time to end it.
    Unfinished,
    /// In a part of a block, or in something else, from this byte on, which is left out.
    Broken(u64),
}

impl<R: Read> Reader<R> {
    /// Begins to read.
    ///
    /// # Errors
    ///
    /// [`RecordingError`] if it is no recording, one of another version, or without a whole block.
    pub fn new(file: R) -> Result<Reader<R>, RecordingError> {
        let mut file = BufReader::with_capacity(1 << 18, file);
        let mut header = Vec::with_capacity(HEADER);
        file.by_ref().take(HEADER as u64).read_to_end(&mut header)?;
        if !header.starts_with(&MAGIC) {
            let is_begun = !header.is_empty() && MAGIC.starts_with(&header);
            return Err(if is_begun { RecordingError::Empty } else { RecordingError::Foreign });
        }
        let [.., a, b, c, d] = header[..] else { return Err(RecordingError::Empty) };
        if header.len() < HEADER {
            return Err(RecordingError::Empty);
        }
        let (major, minor) = (u16::from_le_bytes([a, b]), u16::from_le_bytes([c, d]));
        if major != VERSION.0 {
            return Err(RecordingError::Version { major, minor });
        }
        let mut unpacker = Unpacker::new()?;
        let Next::Block(length) = unpacker.next(&mut file)? else { return Err(RecordingError::Empty) };
        let at = HEADER as u64;
        let malformed = |why| RecordingError::Malformed { at, why };
        let mut metadata = None;
        let mut sections = Bytes::new(&unpacker.sections);
        while let Some((tag, body)) = section::next(&mut sections).map_err(malformed)? {
            if tag == Some(Tag::Metadata) {
                metadata = Some(read_metadata(body).map_err(malformed)?);
            }
        }
        let metadata = metadata.ok_or(malformed(Malformed::Metadata))?;
        Ok(Reader { file, unpacker, metadata, at, ahead: Some(length) })
    }

    /// What it is of, as far as was known when it began.
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// Reads the rest: what samples refer to goes into the tables of `profile`, and each sample to `take`, with that
    /// profile, if its time, counted in nanoseconds from the profile's start, is among `times`. `progress` is told of every block at which byte it ends.
    ///
    /// Processes and threads that the profile knows from another recording of the same machine are the same ones.
    ///
    /// # Errors
    ///
    /// [`RecordingError`] if it cannot be read, or is malformed although its checksums are right. `profile` holds what came
    /// before.
    pub fn read_into(
        &mut self,
        profile: &mut Profile,
        times: RangeInclusive<u64>,
        mut take: impl FnMut(&mut Profile, Sample),
        progress: impl FnMut(u64),
    ) -> Result<Ending, RecordingError> {
        let shift = shift(&self.metadata, &profile.metadata);
        let mut tables = Tables::new(profile, self.metadata.host.as_deref());
        let add = |profile: &mut Profile, tables: &Tables, encoded: Encoded| {
            if times.contains(&encoded.at.saturating_add_signed(shift)) {
                take(profile, sample(tables, &encoded, shift));
            }
        };
        self.read(profile, &mut tables, (&times, shift), add, progress)
    }

    /// As [`read_into`](Self::read_into), but of all samples that are of the same thread, stack and state, only one comes to `take`, at the end, with their weight and without a time.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn sums_into(
        &mut self,
        profile: &mut Profile,
        times: RangeInclusive<u64>,
        mut take: impl FnMut(&mut Profile, Sample),
        progress: impl FnMut(u64),
    ) -> Result<Ending, RecordingError> {
        let shift = shift(&self.metadata, &profile.metadata);
        let mut tables = Tables::new(profile, self.metadata.host.as_deref());
        let mut sums = Sums::default();
        let add = |profile: &mut Profile, tables: &Tables, encoded: Encoded| {
            if times.contains(&encoded.at.saturating_add_signed(shift)) && !sums.add(&encoded) {
                take(profile, Sample { at: 0, ..sample(tables, &encoded, shift) });
            }
        };
        let ending = self.read(profile, &mut tables, (&times, shift), add, progress)?;
        for sum in sums.into_all() {
            take(profile, Sample { at: 0, ..sample(&tables, &sum, 0) });
        }
        Ok(ending)
    }

    fn read(
        &mut self,
        profile: &mut Profile,
        tables: &mut Tables,
        (times, shift): (&RangeInclusive<u64>, i64),
        mut take: impl FnMut(&mut Profile, &Tables, Encoded),
        mut progress: impl FnMut(u64),
    ) -> Result<Ending, RecordingError> {
        let mut last = Vec::new();
        let mut ending = Ending::Unfinished;
        let missed = profile.missed;
        let (mut memory, mut accounts) = (Vec::new(), Vec::new());
        let ending = loop {
            let length = match self.ahead.take() {
                Some(length) => length,
                None => match self.unpacker.next(&mut self.file)? {
                    Next::Block(length) => length,
                    Next::End => break ending,
                    Next::Broken => break Ending::Broken(self.at),
                },
            };
            let at = self.at;
            let malformed = |why| RecordingError::Malformed { at, why };
            let mut sections = Bytes::new(&self.unpacker.sections);
            let is_first = at == HEADER as u64;
            while let Some((tag, mut body)) = section::next(&mut sections).map_err(malformed)? {
                match tag {
                    None => {}
                    Some(Tag::Metadata) => {
                        self.metadata = read_metadata(body).map_err(malformed)?;
                        if !is_first {
                            ending = Ending::Whole;
                        }
                    }
                    Some(Tag::Samples) => {
                        let known = (tables.threads.len(), tables.sampled.len());
                        samples::decode(body, known, &mut last, |sample| take(profile, tables, sample))
                            .map_err(malformed)?;
                    }
                    Some(Tag::Memory) => {
                        memory::read(body, &tables.processes, shift, &mut memory).map_err(malformed)?;
                    }
                    Some(Tag::Accounts) => {
                        accounts::read(body, &tables.processes, shift, &mut accounts).map_err(malformed)?;
                    }
                    Some(Tag::Progress) => {
                        let until = body.number().map_err(malformed)?;
                        self.metadata.duration = std::time::Duration::from_nanos(until);
                        profile.missed = missed.saturating_add(body.number().map_err(malformed)?);
                    }
                    Some(tag) => tables.section(tag, body, profile).map_err(malformed)?,
                }
            }
            self.at += length;
            progress(self.at);
        };
        memory::clip(&mut memory, times);
        profile.memory.append(&mut memory);
        accounts.retain(|row| times.contains(&row.at));
        profile.accounts.append(&mut accounts);
        profile.accounts.sort_by_key(|row| row.at);
        // Of several recordings each has its own.
        profile.memory.sort_by_key(|row| row.at);
        Ok(ending)
    }
}

/// The sample in the profile that the tables are of.
fn sample(tables: &Tables, encoded: &Encoded, shift: i64) -> Sample {
    Sample {
        at: encoded.at.saturating_add_signed(shift),
        // `decode` has found both to be there.
        thread: tables.threads[encoded.thread],
        stack: tables.sampled[encoded.stack],
        weight: encoded.weight,
        state: samples::state(encoded.state),
    }
}

fn read_metadata(mut body: Bytes) -> Result<Metadata, Malformed> {
    let bytes = body.take(body.len() as u64)?;
    serde_json::from_slice(bytes).map_err(|_| Malformed::Metadata)
}

/// How much later `one` began than `other`, in nanoseconds.
fn shift(one: &Metadata, other: &Metadata) -> i64 {
    let nanoseconds = |length: std::time::Duration| i64::try_from(length.as_nanos()).unwrap_or(i64::MAX);
    match one.start.duration_since(other.start) {
        Ok(later) => nanoseconds(later),
        Err(earlier) => -nanoseconds(earlier.duration()),
    }
}
