//! Writing a recording, block by block, while what it is of goes on.

use std::io::{self, Write};
use std::time::Duration;

use super::accounts;
use super::block::Packer;
use super::memory::Pending;
use super::section::{Tag, push as push_section};
use super::tables::Written;
use super::varint::push;
use super::{MAGIC, VERSION, samples};
use crate::account::Account;
use crate::memory::MemoryUse;
use crate::profile::Profile;
use crate::sample::Sample;

/// How many samples a block holds.
const FULL: usize = 1 << 15;

/// A recording that is being written.
///
/// The tables that its samples refer to are those of a [`Profile`], always the same one, which itself keeps no samples.
pub struct Writer<W> {
    file: W,
    packer: Packer,
    written: Written,
    pending: Vec<Sample>,
    memory: Pending,
    accounts: Vec<Account>,
    until: u64,
    /// Ticks that were missed before this file.
    missed_before: u64,
    bytes: u64,
}

impl<W: Write> Writer<W> {
    /// Begins a recording of what `profile` says it is of.
    ///
    /// # Errors
    ///
    /// Those of `file`.
    pub fn new(mut file: W, profile: &Profile) -> io::Result<Writer<W>> {
        let mut header = MAGIC.to_vec();
        header.extend(VERSION.0.to_le_bytes());
        header.extend(VERSION.1.to_le_bytes());
        file.write_all(&header)?;
        let mut writer = Writer {
            file,
            packer: Packer::new()?,
            written: Written::new(),
            pending: Vec::new(),
            memory: Pending::default(),
            accounts: Vec::new(),
            until: 0,
            missed_before: 0,
            bytes: header.len() as u64,
        };
        writer.write(&metadata(profile, 0))?;
        Ok(writer)
    }

    /// Goes on in another file, which is a recording of its own: all that samples refer to is in it again, what
    /// was lost or missed is only in the file that it would be in. Ends this one, and gives it back.
    ///
    /// # Errors
    ///
    /// Those of either file. This one then goes on.
    pub fn go_on_in(&mut self, file: W, profile: &Profile) -> io::Result<W> {
        let mut next = Writer::new(file, profile)?;
        self.flush(profile, 0)?;
        self.write(&metadata(profile, self.until))?;
        self.file.flush()?;
        next.written.go_on_from(&self.written);
        next.until = self.until;
        next.missed_before = profile.missed;
        next.memory = Pending::after(&self.memory, self.until);
        Ok(std::mem::replace(self, next).file)
    }

    /// Adds a sample. The order is that of arrival.
    ///
    /// # Errors
    ///
    /// Those of the file, where a block is full and is written.
    pub fn add(&mut self, sample: Sample, profile: &Profile) -> io::Result<()> {
        self.until = self.until.max(sample.at);
        self.pending.push(sample);
        if self.pending.len() >= FULL { self.flush(profile, 0) } else { Ok(()) }
    }

    /// Adds what memory a process had. The order is that of arrival.
    ///
    /// # Errors
    ///
    /// Those of the file, where a block is full and is written.
    pub fn add_memory(&mut self, row: MemoryUse, profile: &Profile) -> io::Result<()> {
        self.until = self.until.max(row.at);
        self.memory.add(row);
        if self.memory.len() >= FULL { self.flush(profile, 0) } else { Ok(()) }
    }

    /// Adds what is known of the memory of a process.
    pub fn add_account(&mut self, row: Account) {
        self.until = self.until.max(row.at);
        self.accounts.push(row);
    }

    /// Writes all that was added as a block. The recording goes on until `until`, in nanoseconds since its start.
    ///
    /// # Errors
    ///
    /// Those of the file. It then ends in a part of a block, which readers pass over: whole blocks are
    /// [`bytes`](Self::bytes) long together.
    pub fn flush(&mut self, profile: &Profile, until: u64) -> io::Result<()> {
        self.until = self.until.max(until);
        let mut sections = Vec::new();
        self.written.push_news(profile, &mut sections);
        let mut body = Vec::new();
        samples::encode(&self.pending, |stack| self.written.sampled(stack), &mut body);
        self.written.push_sampled(&mut sections);
        push_section(&mut sections, Tag::Samples, &body);
        body.clear();
        self.memory.take(&mut body);
        push_section(&mut sections, Tag::Memory, &body);
        body.clear();
        accounts::write(&self.accounts, &mut body);
        push_section(&mut sections, Tag::Accounts, &body);
        self.accounts.clear();
        self.written.push_lost(profile, &mut sections);
        body.clear();
        push(&mut body, self.until);
        push(&mut body, profile.missed.saturating_sub(self.missed_before));
        push_section(&mut sections, Tag::Progress, &body);
        self.pending.clear();
        self.write(&sections)
    }

    /// Ends it, with what is known of it now.
    ///
    /// # Errors
    ///
    /// Those of the file.
    pub fn finish(mut self, profile: &Profile) -> io::Result<W> {
        let until = u64::try_from(profile.metadata.duration.as_nanos()).unwrap_or(u64::MAX);
        self.flush(profile, until)?;
        self.write(&metadata(profile, self.until))?;
        self.file.flush()?;
        Ok(self.file)
    }

    /// How long the file is, in bytes, as far as whole blocks go.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The file.
    pub fn file(&self) -> &W {
        &self.file
    }

    fn write(&mut self, sections: &[u8]) -> io::Result<()> {
        let block = self.packer.pack(sections)?;
        self.file.write_all(&block)?;
        self.bytes += block.len() as u64;
        Ok(())
    }
}

/// The section that says what it is of. As long as the profile does not say how long it went on, that is `until`.
fn metadata(profile: &Profile, until: u64) -> Vec<u8> {
    let mut sections = Vec::new();
    let mut metadata = profile.metadata.clone();
    if metadata.duration.is_zero() {
        metadata.duration = Duration::from_nanos(until);
    }
    // Of text and numbers alone: nothing in it cannot be written.
    let body = serde_json::to_vec(&metadata).unwrap_or_default();
    push_section(&mut sections, Tag::Metadata, &body);
    sections
}
