//! ELF files, ELF images in memory, `.gnu_debugdata` and `/proc/PID/maps`.

use std::cell::OnceCell;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use rspy_process::Address;
use rspy_process::elf::{Image, from_file, from_memory, is_image_of};
use rspy_process::maps::{LoadedFile, loaded_files, parse};

use crate::fuzz::memory::{Limits, Synthetic};

const LIMITS: Limits = Limits { reads: 1 << 20, bytes: 8 << 30 };
const BASE: u64 = 0x5555_0000_0000;
const WANTED: &[&str] = &["_PyRuntime", "Py_Version", "interp_head"];

/// Reads any bytes as an image; the first one says as what.
pub fn run(data: &[u8]) {
    let Some((kind, data)) = data.split_first() else { return };
    match kind % 5 {
        0 => file(data),
        1 => memory(data),
        2 => file(&with_debug_data(data)),
        3 => file(&with_debug_data(&packed(data))),
        _ => maps(data),
    }
}

fn loaded() -> LoadedFile {
    LoadedFile { path: PathBuf::from("/image"), deleted: false, base: Address(BASE), mappings: Vec::new() }
}

fn file(content: &[u8]) {
    thread_local!(static FILE: OnceCell<File> = const { OnceCell::new() });
    FILE.with(|file| {
        let file = file.get_or_init(|| {
            let flags = rustix::fs::MemfdFlags::CLOEXEC;
            File::from(rustix::fs::memfd_create("image", flags).expect("Linux has anonymous files"))
        });
        file.set_len(0).and_then(|()| file.write_all_at(content, 0)).expect("room for a small file");
        if let Ok(image) = from_file(file, &loaded(), WANTED) {
            check(&image);
        }
        // A memory that is the file, as far as it goes.
        let memory = Synthetic::new(vec![(BASE, content.to_vec())], LIMITS);
        is_image_of(file, &memory, &loaded());
    });
}

fn memory(content: &[u8]) {
    let memory = Synthetic::new(vec![(BASE, content.to_vec())], LIMITS);
    if let Ok(image) = from_memory(&memory, &loaded(), WANTED) {
        check(&image);
    }
}

/// Only what was asked for, and each name once.
fn check(image: &Image) {
    for (index, symbol) in image.symbols.iter().enumerate() {
        assert!(WANTED.contains(&symbol.name.as_str()));
        assert!(image.symbols.iter().skip(index + 1).all(|other| other.name != symbol.name));
    }
}

fn maps(text: &[u8]) {
    let maps = parse(text);
    for mapping in &maps {
        assert!(!mapping.is_empty() && mapping.contains(mapping.start));
    }
    let files = loaded_files(&maps);
    let mapped: usize = files.iter().map(|file| file.mappings.len()).sum();
    assert!(mapped <= maps.len(), "a mapping belongs to one file");
    for file in files {
        file.file_name();
    }
}

/// An ELF file of three sections: none, `.gnu_debugdata` with this content, and the sections' names.
fn with_debug_data(content: &[u8]) -> Vec<u8> {
    const NAMES: &[u8] = b"\0.gnu_debugdata\0.shstrtab\0";
    let (program_at, names_at) = (64u64, 64 + 56u64);
    let content_at = names_at + NAMES.len() as u64;
    let sections_at = content_at + content.len() as u64;
    let mut file = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    // ET_DYN for x86-64.
    words(&mut file, &[(2, 3), (2, 62), (4, 1), (8, 0), (8, program_at), (8, sections_at), (4, 0), (2, 64)]);
    words(&mut file, &[(2, 56), (2, 1), (2, 64), (2, 3), (2, 2)]);
    // PT_LOAD of everything.
    words(
        &mut file,
        &[(4, 1), (4, 4), (8, 0), (8, 0), (8, 0), (8, sections_at), (8, sections_at), (8, 4096)],
    );
    file.extend(NAMES);
    file.extend(content);
    file.extend([0; 64]);
    for (name, at, len) in [(1, content_at, content.len() as u64), (16, names_at, NAMES.len() as u64)] {
        words(
            &mut file,
            &[(4, name), (4, 1), (8, 0), (8, 0), (8, at), (8, len), (4, 0), (4, 0), (8, 1), (8, 0)],
        );
    }
    file
}

/// Appends numbers, each of so many bytes.
fn words(to: &mut Vec<u8>, words: &[(usize, u64)]) {
    for (width, word) in words {
        to.extend(&word.to_le_bytes()[..*width]);
    }
}

/// An xz file that unpacks to `content`, without compressing it. The first byte is the size of the dictionary,
/// as it stands in such files; if its highest bit is set, `content` is the LZMA2 data themselves.
fn packed(content: &[u8]) -> Vec<u8> {
    let (dictionary, content) = content.split_first().unwrap_or((&0, &[]));
    let mut file = b"\xfd7zXZ\0\0\0".to_vec();
    let check = crc32fast::hash(&file[6..8]);
    file.extend(check.to_le_bytes());
    // A block of one filter, LZMA2 (0x21), with one byte of properties.
    let header = [2, 0, 0x21, 1, dictionary & 0x7f, 0, 0, 0];
    file.extend(header);
    file.extend(crc32fast::hash(&header).to_le_bytes());
    if dictionary & 0x80 != 0 {
        file.extend(content);
        return file;
    }
    for chunk in content.chunks(1 << 16) {
        // Stored as it is, dictionary reset.
        file.push(1);
        file.extend(((chunk.len() - 1) as u16).to_be_bytes());
        file.extend(chunk);
    }
    // The index and the footer are left out: everything has been unpacked by then.
    file.push(0);
    file
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    const SYMTAB: u64 = 2;
    const STRTAB: u64 = 3;

    /// An ELF file with so many sections of symbols, all the same, and strings that no NUL ends.
    fn with_symbols(tables: usize, symbols: usize, strings: usize) -> Vec<u8> {
        let program_at = 64u64;
        let symbols_at = program_at + 56;
        let strings_at = symbols_at + symbols as u64 * 24;
        let sections_at = strings_at + strings as u64;
        let mut file = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
        words(
            &mut file,
            &[(2, 3), (2, 62), (4, 1), (8, 0), (8, program_at), (8, sections_at), (4, 0), (2, 64)],
        );
        words(&mut file, &[(2, 56), (2, 1), (2, 64), (2, tables as u64 + 1), (2, 0)]);
        words(&mut file, &[(4, 1), (4, 4), (8, 0), (8, 0), (8, 0), (8, 4096), (8, 4096), (8, 4096)]);
        for _ in 0..symbols {
            // st_name, st_info, st_other, st_shndx, st_value, st_size
            words(&mut file, &[(4, 0), (1, 1), (1, 0), (2, 1), (8, 4096), (8, 8)]);
        }
        file.resize(file.len() + strings, b'_');
        let mut section = |kind, at, len| {
            let start = [(4, 0), (4, kind), (8, 0), (8, 0), (8, at), (8, len)];
            words(&mut file, &start);
            // sh_link: the strings are section 0.
            words(&mut file, &[(4, 0), (4, 0), (8, 1), (8, 24)]);
        };
        section(STRTAB, strings_at, strings as u64);
        for _ in 0..tables {
            section(SYMTAB, symbols_at, symbols as u64 * 24);
        }
        file
    }

    /// Read to their ends, such names took minutes: 400,000 times 4 MB.
    #[test]
    fn names_without_an_end_take_no_time() {
        let began = Instant::now();
        file(&with_symbols(1, 400_000, 4 << 20));
        assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
    }

    /// Read every time, such tables took hours: 65,000 times 400,000 symbols.
    #[test]
    fn one_table_of_symbols_is_read() {
        let began = Instant::now();
        file(&with_symbols(65_000, 400_000, 16));
        assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
    }
}
