//! Which pages of a process are in memory. Whoever reads only those adds none to the process: reading a page that was never
//! touched makes the kernel give the process one.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;

/// Size of a page of x86-64, in bytes.
pub const PAGE: u64 = 4096;

/// Bits of an entry (`Documentation/admin-guide/mm/pagemap.rst`).
const PRESENT: u64 = 1 << 63;
const SWAPPED: u64 = 1 << 62;
/// It is a page of a file, or shared.
const OF_FILE: u64 = 1 << 61;

/// How many entries are read at a time.
const ENTRIES: usize = 8192;

/// `/proc/PID/pagemap`.
pub struct Pagemap {
    file: File,
}

/// What is where in a range.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Present {
    /// Addresses of pages in memory, neighbours together, in order.
    pub runs: Vec<Range<u64>>,
    /// Bytes that are in swap space.
    pub swapped: u64,
}

impl Pagemap {
    /// Opens the file, which whoever may read the process's memory may read.
    ///
    /// # Errors
    ///
    /// Those of opening it.
    pub fn open(pid: u32) -> io::Result<Pagemap> {
        Ok(Pagemap { file: File::open(format!("/proc/{pid}/pagemap"))? })
    }

    /// What of `range`, whose ends are rounded to pages outwards, is in memory now.
    ///
    /// # Errors
    ///
    /// Those of reading the file. What is no address of a process has no pages.
    pub fn present(&self, range: Range<u64>) -> io::Result<Present> {
        self.pages(range, |_| true)
    }

    /// The same of those pages only that are the process's own: written to, if only by the loader.
    ///
    /// # Errors
    ///
    /// As those of [`present`](Pagemap::present).
    pub fn own(&self, range: Range<u64>) -> io::Result<Present> {
        self.pages(range, |entry| entry & OF_FILE == 0)
    }

    fn pages(&self, range: Range<u64>, is_wanted: impl Fn(u64) -> bool) -> io::Result<Present> {
        let mut present = Present::default();
        let (mut page, end) = (range.start / PAGE, range.end.div_ceil(PAGE));
        let mut entries = vec![0; ENTRIES * 8];
        while page < end {
            let wanted = usize::try_from(end - page).unwrap_or(ENTRIES).min(ENTRIES) * 8;
            let into = entries.get_mut(..wanted).unwrap_or_default();
            let length = self.file.read_at(into, page.saturating_mul(8))?;
            for entry in into.chunks_exact(8).take(length / 8) {
                let entry = u64::from_le_bytes(entry.try_into().unwrap_or_default());
                if is_wanted(entry) {
                    present.add(page * PAGE, entry);
                }
                page += 1;
            }
            if length < 8 {
                break;
            }
        }
        Ok(present)
    }
}

impl Present {
    fn add(&mut self, at: u64, entry: u64) {
        if entry & SWAPPED != 0 {
            self.swapped += PAGE;
        } else if entry & PRESENT != 0 {
            match self.runs.last_mut() {
                Some(last) if last.end == at => last.end = at + PAGE,
                _ => self.runs.push(at..at + PAGE),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_of_neighbours_in_memory() {
        let mut present = Present::default();
        for (page, entry) in [PRESENT, PRESENT | 7, 0, SWAPPED, PRESENT].into_iter().enumerate() {
            present.add(page as u64 * PAGE, entry);
        }
        assert_eq!(present, Present { runs: vec![0..2 * PAGE, 4 * PAGE..5 * PAGE], swapped: PAGE });
    }

    #[test]
    fn pages_that_were_touched_are_there() {
        let mut memory = vec![0_u8; 64 * PAGE as usize];
        let start = (memory.as_ptr() as u64).div_ceil(PAGE) * PAGE;
        let touched = (start - memory.as_ptr() as u64 + 8 * PAGE) as usize;
        memory[touched] = 1;
        let pagemap = Pagemap::open(std::process::id()).unwrap();
        let present = pagemap.present(start..start + 62 * PAGE).unwrap();
        let at = start + 8 * PAGE;
        assert!(present.runs.iter().any(|run| run.contains(&at)), "{present:?}");
        assert_eq!(memory[touched], 1);
    }

    #[test]
    fn what_is_no_address_has_no_pages() {
        let pagemap = Pagemap::open(std::process::id()).unwrap();
        for range in [0..0, u64::MAX - PAGE..u64::MAX] {
            assert!(pagemap.present(range).is_ok_and(|present| present.runs.is_empty()));
        }
    }
}
