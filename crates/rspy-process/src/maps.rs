//! What is mapped where: `/proc/PID/maps`, and the files behind it.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::Address;

/// One line of `/proc/PID/maps`.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Mapping {
    /// First byte.
    pub start: Address,
    /// One past the last byte.
    pub end: Address,
    /// `r` in the permissions.
    pub readable: bool,
    /// `w` in the permissions.
    pub writable: bool,
    /// `x` in the permissions.
    pub executable: bool,
    /// Where in the file `start` lies, in bytes.
    pub offset: u64,
    /// Inode of the file, 0 for anonymous memory.
    pub inode: u64,
    /// The file or pseudo-file (`[heap]`), as the target sees it, without the
    /// kernel's ` (deleted)`.
    pub path: Option<PathBuf>,
    /// The file has been unlinked or replaced since it was mapped.
    pub deleted: bool,
}

impl Mapping {
    /// Length in bytes.
    pub fn len(&self) -> u64 {
        self.end.0 - self.start.0
    }

    /// Never: the kernel has no empty mappings, and [`parse`] makes none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether `at` lies inside.
    pub fn contains(&self, at: Address) -> bool {
        self.start <= at && at < self.end
    }
}

/// Parses the text of `/proc/PID/maps`. Bytes, since a path need not be UTF-8.
/// Lines that are not understood are left out.
pub fn parse(text: &[u8]) -> Vec<Mapping> {
    text.split(|byte| *byte == b'\n').filter_map(parse_line).collect()
}

fn parse_line(line: &[u8]) -> Option<Mapping> {
    // "start-end perms offset major:minor inode   path", split by single spaces
    // but for the padding before the path.
    let mut fields = line.splitn(6, |byte| *byte == b' ');
    let range = std::str::from_utf8(fields.next()?).ok()?;
    let permissions = fields.next()?;
    let offset = hex(fields.next()?)?;
    let _device = fields.next()?;
    let inode = std::str::from_utf8(fields.next()?).ok()?.parse().ok()?;
    let path = fields.next().unwrap_or_default().trim_ascii_start();

    let (start, end) = range.split_once('-')?;
    let (start, end) = (Address(hex(start.as_bytes())?), Address(hex(end.as_bytes())?));
    if start >= end {
        return None;
    }
    let (path, deleted) = match path.strip_suffix(b" (deleted)") {
        Some(path) => (path, true),
        None => (path, false),
    };
    let has = |index: usize, letter: u8| permissions.get(index) == Some(&letter);
    Some(Mapping {
        start,
        end,
        readable: has(0, b'r'),
        writable: has(1, b'w'),
        executable: has(2, b'x'),
        offset,
        inode,
        path: (!path.is_empty()).then(|| Path::new(OsStr::from_bytes(path)).to_path_buf()),
        deleted,
    })
}

fn hex(digits: &[u8]) -> Option<u64> {
    u64::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

/// A file mapped as a whole (an executable or shared library): its mappings in
/// address order, with the anonymous one that holds the end of its `.bss`.
#[derive(Clone, Debug)]
pub struct LoadedFile {
    /// As the target sees it.
    pub path: PathBuf,
    /// The file has been unlinked or replaced since it was mapped.
    pub deleted: bool,
    /// Where offset 0 of the file is mapped.
    pub base: Address,
    /// All mappings of the file, then the anonymous one right behind it, if any.
    pub mappings: Vec<Mapping>,
}

impl LoadedFile {
    /// File name without its folders, lossily as text.
    pub fn file_name(&self) -> String {
        self.path.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }
}

/// Groups mappings by file. Only files mapped from their start count: others
/// are data files or fonts.
pub fn loaded_files(maps: &[Mapping]) -> Vec<LoadedFile> {
    let mut files: Vec<LoadedFile> = Vec::new();
    let mut known: HashMap<(u64, &Path), usize> = HashMap::new();
    let mut previous_file: Option<usize> = None;
    for mapping in maps {
        let Some(path) = mapping.path.as_ref().filter(|_| mapping.inode != 0) else {
            // The loader places what .bss needs beyond the file right behind it;
            // on x86-64 the heap of a non-PIE program may follow instead.
            if let Some(file) = previous_file.take().and_then(|index| files.get_mut(index)) {
                let adjacent = file.mappings.last().is_some_and(|last| last.end == mapping.start);
                if adjacent && mapping.path.is_none() {
                    file.mappings.push(mapping.clone());
                }
            }
            continue;
        };
        match known.get(&(mapping.inode, path.as_path())).copied() {
            // A second mapping of offset 0 is somebody reading the file, unless
            // it continues the first: the loader maps a library once.
            Some(index) => {
                files[index].mappings.push(mapping.clone());
                previous_file = Some(index);
            }
            None if mapping.offset == 0 => {
                files.push(LoadedFile {
                    path: path.clone(),
                    deleted: mapping.deleted,
                    base: mapping.start,
                    mappings: vec![mapping.clone()],
                });
                known.insert((mapping.inode, path), files.len() - 1);
                previous_file = Some(files.len() - 1);
            }
            None => previous_file = None,
        }
    }
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &[u8] = b"\
55d0c0a00000-55d0c0a01000 r--p 00000000 fe:00 4711                       /usr/bin/python3.8 (deleted)
55d0c0a01000-55d0c0a02000 r-xp 00001000 fe:00 4711                       /usr/bin/python3.8 (deleted)
55d0c0a02000-55d0c0a05000 rw-p 00002000 fe:00 4711                       /usr/bin/python3.8 (deleted)
55d0c0a05000-55d0c0a09000 rw-p 00000000 00:00 0
55d0c1000000-55d0c1100000 rw-p 00000000 00:00 0                          [heap]
7f0000000000-7f0000001000 r--p 00000000 fe:00 12                         /data/na\xefve with blank
garbage
7f0000001000-7f0000000000 r--p 00000000 fe:00 12                         /backwards
";

    #[test]
    fn lines_are_taken_apart() {
        let maps = parse(TEXT);
        assert_eq!(maps.len(), 6);
        assert!(maps[0].deleted && maps[1].executable && maps[2].writable);
        assert_eq!(maps[1].offset, 0x1000);
        assert_eq!(maps[4].path.as_deref(), Some(Path::new("[heap]")));
        assert_eq!(maps[5].path.as_ref().unwrap().as_os_str().as_bytes(), b"/data/na\xefve with blank");
    }

    #[test]
    fn as_many_files_as_can_be_mapped_take_no_time() {
        let lines = (0..65_530u64).map(|n| {
            let (start, end) = (n * 8192 + 4096, n * 8192 + 8192);
            format!("{start:x}-{end:x} r--s 00000000 fe:00 {}   /data/{n}\n", n + 1)
        });
        let maps = parse(lines.collect::<String>().as_bytes());
        let began = std::time::Instant::now();
        assert_eq!(loaded_files(&maps).len(), 65_530);
        // Compared with each other they took minutes.
        assert!(began.elapsed().as_secs() < 10, "{:?}", began.elapsed());
    }

    #[test]
    fn a_file_takes_its_bss_along() {
        let files = loaded_files(&parse(TEXT));
        assert_eq!(files.len(), 2);
        assert_eq!(files[0].file_name(), "python3.8");
        assert_eq!(files[0].mappings.len(), 4);
        assert_eq!(files[1].mappings.len(), 1);
    }
}
