//! The memory of a made-up process, while it is written and when it is damaged.

use arbitrary::Arbitrary;
use rspy_process::Address;
use rspy_process::maps::Mapping;

use crate::fuzz::memory::{Limits, Synthetic};

/// What memory is for.
#[derive(Copy, Clone)]
pub enum Kind {
    /// The interpreter's own variables.
    Data,
    /// Objects.
    Heap,
    /// The data stacks of threads.
    DataStack,
    /// The C stacks of threads.
    CStack,
}

/// Where each kind begins.
const STARTS: [u64; 4] = [0x5555_5555_0000, 0x7f10_0000_0000, 0x7f20_0000_0000, 0x7ffd_0000_0000];

/// Regions of bytes, and where the words in them are.
pub struct Image {
    regions: [Vec<u8>; 4],
    words: Vec<(Address, usize)>,
}

/// One damage.
#[derive(Arbitrary, Debug)]
pub enum Damage {
    /// A word is what another word is, and so many more words.
    Copied { to: u16, from: u16, more: i8 },
    /// A word is a number of its own.
    Number { to: u16, number: u64 },
    /// A word is a small number.
    Small { to: u16, number: u8 },
    /// A word's bits are other ones.
    Flipped { to: u16, bits: u64 },
    /// A byte is another one.
    Byte { region: u8, at: u16, value: u8 },
    /// A region ends early.
    Cut { region: u8, at: u16 },
}

impl Image {
    /// A process without any memory.
    pub fn new() -> Image {
        Image { regions: Default::default(), words: Vec::new() }
    }

    /// Room for `size` bytes, all zero, at a multiple of 16.
    pub fn reserve(&mut self, kind: Kind, size: usize) -> Address {
        let region = &mut self.regions[kind as usize];
        let offset = region.len();
        region.resize((offset + size).next_multiple_of(16), 0);
        Address(STARTS[kind as usize] + offset as u64)
    }

    /// Writes `width` bytes.
    pub fn put(&mut self, at: Address, width: usize, value: u64) {
        self.words.push((at, width));
        self.write(at, &value.to_le_bytes()[..width]);
    }

    /// Writes a pointer or another word of eight bytes.
    pub fn word(&mut self, at: Address, value: u64) {
        self.put(at, 8, value);
    }

    /// Writes bytes that are no word.
    pub fn write(&mut self, at: Address, content: &[u8]) {
        if let Some(bytes) = self.slot(at, content.len()) {
            bytes.copy_from_slice(content);
        }
    }

    fn slot(&mut self, at: Address, len: usize) -> Option<&mut [u8]> {
        let index = STARTS.iter().rposition(|start| *start <= at.0)?;
        let offset = (at.0 - STARTS[index]) as usize;
        self.regions[index].get_mut(offset..offset.checked_add(len)?)
    }

    fn read(&mut self, at: Address, width: usize) -> u64 {
        let mut word = [0; 8];
        if let Some(bytes) = self.slot(at, width) {
            word[..width].copy_from_slice(bytes);
        }
        u64::from_le_bytes(word)
    }

    /// What lies in memory of one kind.
    pub fn bytes(&self, kind: Kind) -> &[u8] {
        &self.regions[kind as usize]
    }

    /// Does one damage.
    pub fn damage(&mut self, damage: &Damage) {
        let words = self.words.len();
        let word = |index: u16, image: &Image| image.words[usize::from(index) % words];
        match *damage {
            Damage::Copied { to, from, more } => {
                let ((to, width), (from, from_width)) = (word(to, self), word(from, self));
                let value = self.read(from, from_width).wrapping_add_signed(i64::from(more) * 8);
                self.write(to, &value.to_le_bytes()[..width]);
            }
            Damage::Number { to, number } => {
                let (to, width) = word(to, self);
                self.write(to, &number.to_le_bytes()[..width]);
            }
            Damage::Small { to, number } => {
                let (to, width) = word(to, self);
                self.write(to, &u64::from(number).to_le_bytes()[..width]);
            }
            Damage::Flipped { to, bits } => {
                let (to, width) = word(to, self);
                let value = self.read(to, width) ^ bits;
                self.write(to, &value.to_le_bytes()[..width]);
            }
            Damage::Byte { region, at, value } => {
                let region = &mut self.regions[usize::from(region) % STARTS.len()];
                let len = region.len().max(1);
                if let Some(byte) = region.get_mut(usize::from(at) % len) {
                    *byte = value;
                }
            }
            Damage::Cut { region, at } => {
                let region = &mut self.regions[usize::from(region) % STARTS.len()];
                region.truncate(usize::from(at) % region.len().max(1));
            }
        }
    }

    /// The lines that `/proc/PID/maps` would have.
    pub fn maps(&self) -> Vec<Mapping> {
        let mapping = |(start, region): (&u64, &Vec<u8>)| Mapping {
            start: Address(*start),
            end: Address(start + region.len() as u64),
            readable: true,
            writable: true,
            executable: false,
            offset: 0,
            inode: 0,
            path: None,
            deleted: false,
        };
        STARTS.iter().zip(&self.regions).filter(|(_, region)| !region.is_empty()).map(mapping).collect()
    }

    /// It as a memory that allows so much.
    pub fn memory(&self, limits: Limits) -> Synthetic {
        let regions = STARTS.iter().zip(&self.regions);
        Synthetic::new(regions.map(|(start, region)| (*start, region.clone())).collect(), limits)
    }
}
