//! How a process shares its memory with others: what the kernel has to walk all page tables for.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// The files that tell of a process's memory, kept open.
pub struct SharesFiles {
    rollup: File,
    stat: File,
}

/// What a process has of the memory of this machine. Sizes are in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shares {
    /// What is resident.
    pub resident: u64,
    /// Its share of that: of a page that so many processes have, a part as small (PSS).
    pub proportional: u64,
    /// What no other process has (USS).
    pub private: u64,
    /// What was written to and other processes have too: after a fork, what neither side has changed since.
    pub shared_dirty: u64,
    /// Its share of what is in swap space.
    pub swapped: u64,
    /// The page faults so far that needed no disk, and those that did.
    pub faults: [u64; 2],
}

impl SharesFiles {
    /// Opens `/proc/PID/smaps_rollup`, which takes the permission to trace, and `/proc/PID/stat`.
    ///
    /// # Errors
    ///
    /// Those of opening the files. Kernels before 4.14 do not have the first one.
    pub fn open(pid: u32) -> io::Result<SharesFiles> {
        Ok(SharesFiles {
            rollup: File::open(format!("/proc/{pid}/smaps_rollup"))?,
            stat: File::open(format!("/proc/{pid}/stat"))?,
        })
    }

    /// What it has now; `None` if the process is gone. Takes some milliseconds for each gigabyte that is resident, in
    /// which the process can map nothing.
    pub fn read(&self) -> Option<Shares> {
        let mut text = [0; 4096];
        let length = self.rollup.read_at(&mut text, 0).ok()?;
        let shares = parse_rollup(text.get(..length)?)?;
        let length = self.stat.read_at(&mut text, 0).ok()?;
        Some(Shares { faults: parse_faults(text.get(..length)?)?, ..shares })
    }
}

/// The lines `Name:   123 kB`.
fn parse_rollup(text: &[u8]) -> Option<Shares> {
    let text = std::str::from_utf8(text).ok()?;
    let mut shares = Shares::default();
    let mut is_any = false;
    for line in text.lines() {
        let Some((name, size)) = line.split_once(':') else { continue };
        let Some(Ok(kibibytes)) = size.trim().strip_suffix(" kB").map(|size| size.trim().parse::<u64>())
        else {
            continue;
        };
        let bytes = kibibytes.checked_mul(1024)?;
        let sum = match name {
            "Rss" => &mut shares.resident,
            "Pss" => &mut shares.proportional,
            "Private_Clean" | "Private_Dirty" | "Private_Hugetlb" => &mut shares.private,
            "Shared_Dirty" => &mut shares.shared_dirty,
            "SwapPss" => &mut shares.swapped,
            _ => continue,
        };
        *sum = sum.checked_add(bytes)?;
        is_any = true;
    }
    is_any.then_some(shares)
}

/// Fields 10 and 12 of `stat`, counted from 1; the second one, in parentheses, may hold anything.
fn parse_faults(text: &[u8]) -> Option<[u64; 2]> {
    let end = text.iter().rposition(|byte| *byte == b')')?;
    let mut fields = std::str::from_utf8(text.get(end + 1..)?).ok()?.split_ascii_whitespace();
    let minor = fields.nth(7)?.parse().ok()?;
    Some([minor, fields.nth(1)?.parse().ok()?])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rollup_is_added_up() {
        let text = b"562472c60000-7ffc2eeb3000 ---p 00000000 00:00 0      [rollup]\n\
            Rss:                1720 kB\nPss:                 481 kB\nPss_Dirty:           112 kB\n\
            Shared_Clean:       1504 kB\nShared_Dirty:          8 kB\nPrivate_Clean:       104 kB\n\
            Private_Dirty:       112 kB\nSwap:                  3 kB\nSwapPss:               2 kB\n";
        let shares = parse_rollup(text).expect("it is one");
        assert_eq!(shares.resident, 1720 << 10);
        assert_eq!(shares.proportional, 481 << 10);
        assert_eq!((shares.private, shares.shared_dirty, shares.swapped), (216 << 10, 8 << 10, 2 << 10));
        for wrong in [&b""[..], b"\xff", b"Rss: 1\n", b"Rss: 18446744073709551615 kB\n"] {
            assert_eq!(parse_rollup(wrong), None);
        }
    }

    #[test]
    fn faults_stand_behind_the_name() {
        let text = b"12 (a) b (c) S 1 12 12 0 -1 4194304 1734 5 7 9 0 0 0 0 20\n";
        assert_eq!(parse_faults(text), Some([1734, 7]));
        assert_eq!(parse_faults(b"12 (a) S 1"), None);
        assert_eq!(parse_faults(b""), None);
    }

    #[test]
    fn this_process_has_memory() {
        let shares = SharesFiles::open(std::process::id()).expect("it is there").read().expect("it runs");
        assert!(shares.private > 0 && shares.proportional >= shares.private && shares.faults[0] > 0);
        assert!(shares.resident >= shares.proportional);
    }
}
