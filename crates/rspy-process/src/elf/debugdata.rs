//! Unpacking `.gnu_debugdata`: an xz file.
//!
//! Its container is taken apart here, only the LZMA2 data in it by a library: readers
//! of whole xz files allocate as large a dictionary as the file asks for, which can be
//! 4 GB. Source: the .xz file format, version 1.2.1 (tukaani.org/xz/xz-file-format.txt).

use std::io::Read;

use super::ElfError;

/// Largest file that is unpacked, in bytes: it holds nothing but a symbol table.
const MAX_UNPACKED: u64 = 64 << 20;
/// Largest dictionary, as the format writes it: 64 MiB, what `xz -9` uses.
const MAX_DICTIONARY: u8 = 28;
/// Bytes of the stream's header.
const STREAM_HEADER: usize = 12;
/// The only filter that symbol tables are packed with.
const LZMA2: u8 = 0x21;

/// The content of the first block, which is all there is unless more than 24 MB were
/// packed by several threads.
pub(super) fn unpack(packed: &[u8]) -> Result<Vec<u8>, ElfError> {
    let (dictionary, data) = first_block(packed).ok_or(ElfError::Malformed(".gnu_debugdata is damaged"))?;
    if dictionary > MAX_DICTIONARY {
        return Err(ElfError::Malformed(".gnu_debugdata asks for a dictionary of absurd size"));
    }
    let dictionary = (2 | u32::from(dictionary) & 1) << (dictionary / 2 + 11);
    let mut unpacked = Vec::new();
    lzma_rust2::Lzma2Reader::new(data, dictionary, None).take(MAX_UNPACKED).read_to_end(&mut unpacked)?;
    Ok(unpacked)
}

/// The size of the first block's dictionary, as it is written, and what follows its header.
fn first_block(packed: &[u8]) -> Option<(u8, &[u8])> {
    if !packed.starts_with(b"\xfd7zXZ\0") {
        return None;
    }
    let block = packed.get(STREAM_HEADER..)?;
    let header_len = (usize::from(*block.first()?) + 1) * 4;
    let (header, data) = block.split_at_checked(header_len)?;
    let mut fields = header.iter().skip(1);
    let flags = *fields.next()?;
    // Its sizes, each optional, in groups of seven bits.
    for is_there in [flags & 0x40 != 0, flags & 0x80 != 0] {
        while is_there && fields.next()? & 0x80 != 0 {}
    }
    let (filters, filter, properties_len) = ((flags & 3) + 1, *fields.next()?, *fields.next()?);
    let dictionary = *fields.next()?;
    ((filters, filter, properties_len) == (1, LZMA2, 1)).then_some((dictionary, data))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An xz file of "abc", stored, with both sizes and this size of its dictionary.
    fn stored(dictionary: u8) -> Vec<u8> {
        let mut file = b"\xfd7zXZ\0\0\0\xff\x12\xd9\x41\x02\xc0\x07\x03\x21\x01".to_vec();
        file.extend([dictionary, 0, 0, 0, 0, 0]);
        file.extend(b"\x01\0\x02abc\0");
        file
    }

    #[test]
    fn sizes_in_the_header_are_passed_over() {
        assert_eq!(unpack(&stored(8)).unwrap(), b"abc");
    }

    #[test]
    fn no_file_says_how_much_is_allocated() {
        assert!(unpack(&stored(MAX_DICTIONARY)).is_ok());
        for dictionary in MAX_DICTIONARY + 1..=u8::MAX {
            assert!(unpack(&stored(dictionary)).is_err());
        }
    }

    #[test]
    fn a_file_that_ends_early_is_an_error() {
        let file = stored(8);
        for len in 0..file.len() {
            assert!(unpack(&file[..len]).is_err(), "{len}");
        }
    }
}
