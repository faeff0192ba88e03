//! A memory image: what a sampler reads of one real thread at a few moments, kept in a file, so that
//! decoding can be measured without a process, a system call or a moment's luck.
//!
//! Written by `examples/record_image.rs`. The file, all numbers 64-bit little-endian: the patch release of
//! 3.13, the address of the interpreter, and the number of moments; then for each moment the number of its
//! blocks, and each block as its address and [`BLOCK`] bytes. A block that is what it was at the first moment is
//! not repeated.

#![allow(dead_code, reason = "the recorder writes it, the benches read it")]

use std::collections::BTreeMap;

use rspy_cpython::{Abi, Version};
use rspy_process::{Address, Memory, ReadError};

/// Memory is kept in blocks of so many bytes, which lie in one page each: what a later rspy
/// asks for beside what was asked for at the time is mostly there too.
pub const BLOCK: u64 = 512;

/// The moments of an image, in this order.
pub const MOMENTS: &[&str] = &["first", "second", "deep"];
/// How many frames the stack has at each: `first` and `second` differ in the innermost one.
pub const DEPTHS: &[usize] = &[12, 12, 205];

/// What was in memory at one moment, by address of the block.
pub type Blocks = BTreeMap<u64, Vec<u8>>;

/// Memory as it was at several moments.
#[derive(Debug, Default)]
pub struct Image {
    /// The patch release of the 3.13 that was read.
    pub patch: u64,
    /// Where its main interpreter is.
    pub interpreter: u64,
    /// The moments.
    pub moments: Vec<Blocks>,
}

impl Image {
    /// The version that was read: an ordinary build of 3.13.
    pub fn version(&self) -> (Version, Abi) {
        let patch = u8::try_from(self.patch).expect("a patch release");
        (Version { major: 3, minor: 13, patch }, Abi::default())
    }

    /// The file's content.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let add = |bytes: &mut Vec<u8>, number: u64| bytes.extend_from_slice(&number.to_le_bytes());
        add(&mut bytes, self.patch);
        add(&mut bytes, self.interpreter);
        add(&mut bytes, self.moments.len() as u64);
        for (index, blocks) in self.moments.iter().enumerate() {
            let is_known = |at: &u64, block: &Vec<u8>| index > 0 && self.moments[0].get(at) == Some(block);
            let news: Vec<_> = blocks.iter().filter(|(at, block)| !is_known(at, block)).collect();
            add(&mut bytes, news.len() as u64);
            for (at, block) in news {
                add(&mut bytes, *at);
                bytes.extend_from_slice(block);
            }
        }
        bytes
    }

    /// An image out of its file.
    ///
    /// # Panics
    /// If the file is not whole.
    pub fn from_bytes(mut bytes: &[u8]) -> Image {
        let (patch, interpreter, count) = (number(&mut bytes), number(&mut bytes), number(&mut bytes));
        let mut moments: Vec<Blocks> = Vec::new();
        for _ in 0..count {
            let mut blocks = moments.first().cloned().unwrap_or_default();
            for _ in 0..number(&mut bytes) {
                let at = number(&mut bytes);
                blocks.insert(at, take(&mut bytes, BLOCK as usize).to_vec());
            }
            moments.push(blocks);
        }
        Image { patch, interpreter, moments }
    }

    /// The memory at a moment.
    pub fn memory(&self, moment: usize) -> Still {
        let mut regions: Vec<(u64, Vec<u8>)> = Vec::new();
        for (at, block) in &self.moments[moment] {
            match regions.last_mut() {
                Some((start, bytes)) if *start + bytes.len() as u64 == *at => bytes.extend_from_slice(block),
                _ => regions.push((*at, block.clone())),
            }
        }
        Still { regions }
    }
}

fn take<'b>(bytes: &mut &'b [u8], len: usize) -> &'b [u8] {
    let (head, rest) = bytes.split_at_checked(len).expect("the image is whole");
    *bytes = rest;
    head
}

fn number(bytes: &mut &[u8]) -> u64 {
    u64::from_le_bytes(take(bytes, 8).try_into().expect("eight bytes"))
}

/// Memory that stands still: regions by address, none of which touch.
pub struct Still {
    regions: Vec<(u64, Vec<u8>)>,
}

impl Memory for Still {
    fn read(&self, at: Address, into: &mut [u8]) -> Result<(), ReadError> {
        let fault = ReadError::Fault { at, len: into.len() };
        let behind = self.regions.partition_point(|(start, _)| *start <= at.0);
        let (start, bytes) = behind.checked_sub(1).and_then(|index| self.regions.get(index)).ok_or(fault)?;
        let offset = usize::try_from(at.0 - start).map_err(|_| fault)?;
        let end = offset.checked_add(into.len()).ok_or(fault)?;
        into.copy_from_slice(bytes.get(offset..end).ok_or(fault)?);
        Ok(())
    }
}
