//! Blocks: a few thousand samples with what they are the first to refer to, compressed, under a checksum.

use std::io::{self, Read};

/// What stands before the compressed bytes of a block: how many they are, how many they decompress to, and
/// the CRC-32 of both numbers and the compressed bytes. Each has four bytes, the lowest first.
pub(super) const HEAD: usize = 12;

/// The most that a block holds, compressed or not, in bytes. One of ours is a hundredth of that, so that a
/// reader needs no more memory than this for what a foreign file claims.
pub(super) const MOST: usize = 64 << 20;

/// How hard zstd tries: at 3, 400 MB/s and more.
const LEVEL: i32 = 3;

/// Makes blocks.
pub(super) struct Packer {
    zstd: zstd::bulk::Compressor<'static>,
}

impl Packer {
    pub(super) fn new() -> io::Result<Packer> {
        Ok(Packer { zstd: zstd::bulk::Compressor::new(LEVEL)? })
    }

    /// The block that holds `sections`.
    pub(super) fn pack(&mut self, sections: &[u8]) -> io::Result<Vec<u8>> {
        let too_large = || io::Error::new(io::ErrorKind::InvalidInput, "too much for a block");
        if sections.len() > MOST {
            return Err(too_large());
        }
        let mut block = vec![0; HEAD];
        block.extend(self.zstd.compress(sections)?);
        let length = u32::try_from(block.len() - HEAD).map_err(|_| too_large())?;
        let size = u32::try_from(sections.len()).map_err(|_| too_large())?;
        block[..4].copy_from_slice(&length.to_le_bytes());
        block[4..8].copy_from_slice(&size.to_le_bytes());
        let checksum = checksum(&block[..8], &block[HEAD..]);
        block[8..HEAD].copy_from_slice(&checksum.to_le_bytes());
        Ok(block)
    }
}

fn checksum(numbers: &[u8], compressed: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(numbers);
    hasher.update(compressed);
    hasher.finalize()
}

/// What comes next in a file.
pub(super) enum Next {
    /// A whole block, as long as this.
    Block(u64),
    /// Nothing.
    End,
    /// Something that is no whole block.
    Broken,
}

/// Takes blocks apart. Keeps its memory from block to block.
pub(super) struct Unpacker {
    zstd: zstd::bulk::Decompressor<'static>,
    compressed: Vec<u8>,
    /// What the last block holds.
    pub(super) sections: Vec<u8>,
}

impl Unpacker {
    pub(super) fn new() -> io::Result<Unpacker> {
        Ok(Unpacker { zstd: zstd::bulk::Decompressor::new()?, compressed: Vec::new(), sections: Vec::new() })
    }

    /// Reads the next block of `file` into `sections`.
    pub(super) fn next(&mut self, file: &mut impl Read) -> io::Result<Next> {
        let mut head = [0; HEAD];
        match read_fully(file, &mut head)? {
            0 => return Ok(Next::End),
            HEAD => {}
            _ => return Ok(Next::Broken),
        }
        let number = |at: usize| {
            let bytes: [u8; 4] = [head[at], head[at + 1], head[at + 2], head[at + 3]];
            u32::from_le_bytes(bytes)
        };
        let (length, size) = (number(0) as usize, number(4) as usize);
        if length > MOST || size > MOST {
            return Ok(Next::Broken);
        }
        // As long as there are bytes: what is claimed costs nothing.
        self.compressed.clear();
        file.take(length as u64).read_to_end(&mut self.compressed)?;
        if self.compressed.len() < length || checksum(&head[..8], &self.compressed) != number(8) {
            return Ok(Next::Broken);
        }
        self.sections.clear();
        self.sections.reserve(size);
        match self.zstd.decompress_to_buffer(&self.compressed, &mut self.sections) {
            Ok(length) if length == size => Ok(Next::Block((HEAD + self.compressed.len()) as u64)),
            _ => Ok(Next::Broken),
        }
    }
}

/// Reads as much as there is, up to the length of `into`.
fn read_fully(file: &mut impl Read, into: &mut [u8]) -> io::Result<usize> {
    let mut length = 0;
    while length < into.len() {
        match file.read(&mut into[length..]) {
            Ok(0) => break,
            Ok(read) => length += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(length)
}
