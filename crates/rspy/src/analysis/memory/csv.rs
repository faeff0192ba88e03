//! What each process had, as rows for a spreadsheet.

use std::collections::BTreeMap;
use std::io::{self, BufWriter, Write};

use rspy_profile::{Account, MemoryUse, Profile};

/// What is known at one time.
#[derive(Default)]
struct Row<'a> {
    resident: Option<&'a MemoryUse>,
    account: Option<&'a Account>,
}

/// Writes a row for each time that the resident memory of a process had changed, or that the kernel was asked for more.
pub fn write(profile: &Profile, out: impl Write) -> io::Result<()> {
    let mut rows: BTreeMap<(u64, _), Row> = BTreeMap::new();
    for resident in &profile.memory {
        rows.entry((resident.at, resident.process)).or_default().resident = Some(resident);
    }
    for account in &profile.accounts {
        rows.entry((account.at, account.process)).or_default().account = Some(account);
    }
    let mut out = BufWriter::new(out);
    writeln!(out, "seconds,pid,rss,pss,uss,shared_dirty,swap,minor_faults,major_faults,arenas")?;
    for ((at, process), row) in rows {
        let pid = profile.processes[process].pid;
        let resident = row.resident.map(|row| row.resident.to_string()).unwrap_or_default();
        write!(out, "{:.6},{pid},{resident}", at as f64 / 1e9)?;
        match row.account {
            None => writeln!(out, ",,,,,,,")?,
            Some(Account {
                proportional,
                private,
                shared_dirty,
                swapped,
                faults: [minor, major],
                arenas,
                ..
            }) => {
                let arenas = arenas.map(|bytes| bytes.to_string()).unwrap_or_default();
                writeln!(out, ",{proportional},{private},{shared_dirty},{swapped},{minor},{major},{arenas}")?;
            }
        }
    }
    out.flush()
}
