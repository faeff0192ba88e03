//! How much memory a process has resident, often.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// The memory of a process, read from its kept-open `statm` file, which costs a seventh of what `status` does.
pub struct Statm {
    file: File,
    page: u64,
}

impl Statm {
    /// Opens `/proc/PID/statm`.
    ///
    /// # Errors
    ///
    /// Those of opening the file.
    pub fn open(pid: u32) -> io::Result<Statm> {
        Ok(Statm { file: File::open(format!("/proc/{pid}/statm"))?, page: procfs::page_size() })
    }

    /// The memory that is resident now, in bytes; `None` if the process is gone.
    pub fn resident(&self) -> Option<u64> {
        let mut text = [0; 128];
        let length = self.file.read_at(&mut text, 0).ok()?;
        parse_resident(text.get(..length)?)?.checked_mul(self.page)
    }
}

/// The second number, in pages. A process whose memory is gone already has none.
fn parse_resident(text: &[u8]) -> Option<u64> {
    let pages: u64 = std::str::from_utf8(text).ok()?.split(' ').nth(1)?.parse().ok()?;
    (pages > 0).then_some(pages)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_number_counts_resident_pages() {
        assert_eq!(parse_resident(b"78218 2954 1713 587 0 1030 0\n"), Some(2954));
        for gone in [&b""[..], b"0 0 0 0 0 0 0\n", b"1", b"1 x", b"\xff \xff"] {
            assert_eq!(parse_resident(gone), None);
        }
    }

    #[test]
    fn memory_that_is_touched_is_resident() {
        let statm = Statm::open(std::process::id()).expect("this process");
        let before = statm.resident().expect("it has memory");
        let much = vec![1_u8; 64 << 20];
        let grown = statm.resident().expect("it has memory") - before;
        assert!(grown > 60 << 20, "{grown} of {}", much.len());
    }
}
