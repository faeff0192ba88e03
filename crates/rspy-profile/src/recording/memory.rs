//! The memory of processes: a row each time that it had changed.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use super::error::Malformed;
use super::varint::{Bytes, push, push_signed};
use crate::memory::MemoryUse;
use crate::process::ProcessId;

/// What a row counts, in bytes: the kernel's own unit, of which all sizes of pages are multiples.
const UNIT: u64 = 1024;

/// Rows that wait to be written, and what the last one of each process said.
#[derive(Debug, Default)]
pub(super) struct Pending {
    rows: Vec<MemoryUse>,
    latest: BTreeMap<ProcessId, u64>,
}

impl Pending {
    /// Of another file that goes on at `at`: begins with what all processes had.
    pub(super) fn after(other: &Pending, at: u64) -> Pending {
        let rows = other.latest.iter().map(|(&process, &resident)| MemoryUse { at, process, resident });
        Pending { rows: rows.collect(), latest: other.latest.clone() }
    }

    pub(super) fn add(&mut self, row: MemoryUse) {
        self.latest.insert(row.process, row.resident);
        self.rows.push(row);
    }

    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    /// The body of the section of all that waits, which then waits no more.
    pub(super) fn take(&mut self, into: &mut Vec<u8>) {
        let (mut at, mut before) = (0, BTreeMap::new());
        for row in self.rows.drain(..) {
            push_signed(into, row.at.wrapping_sub(at) as i64);
            at = row.at;
            push(into, row.process.index() as u64);
            let resident = row.resident / UNIT;
            let last = before.insert(row.process, resident).unwrap_or(0);
            push_signed(into, resident.wrapping_sub(last) as i64);
        }
    }
}

/// Appends all rows of a section, of these `processes`, to `rows`: later by `shift` nanoseconds.
pub(super) fn read(
    mut body: Bytes,
    processes: &[ProcessId],
    shift: i64,
    rows: &mut Vec<MemoryUse>,
) -> Result<(), Malformed> {
    let (mut at, mut before) = (0_u64, BTreeMap::new());
    while !body.is_empty() {
        at = at.wrapping_add(body.signed()? as u64);
        let process = usize::try_from(body.number()?).ok().and_then(|process| processes.get(process));
        let process = *process.ok_or(Malformed::Dangling)?;
        let last: &mut u64 = before.entry(process).or_default();
        *last = last.wrapping_add(body.signed()? as u64);
        let resident = last.checked_mul(UNIT).ok_or(Malformed::TooLarge)?;
        rows.push(MemoryUse { at: at.saturating_add_signed(shift), process, resident });
    }
    Ok(())
}

/// Leaves out the `rows` that do not tell of `times`: what comes after, and of what comes before all but the last one of
/// each process, which holds until the next.
pub(super) fn clip(rows: &mut Vec<MemoryUse>, times: &RangeInclusive<u64>) {
    let mut first: BTreeMap<ProcessId, usize> = BTreeMap::new();
    for (index, row) in rows.iter().enumerate().filter(|(_, row)| row.at < *times.start()) {
        first.insert(row.process, index);
    }
    let mut index = 0;
    rows.retain(|row| {
        let is_first = first.get(&row.process) == Some(&index);
        index += 1;
        is_first || times.contains(&row.at)
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(at: u64, process: usize, resident: u64) -> MemoryUse {
        MemoryUse { at, process: ProcessId::from_index(process), resident }
    }

    #[test]
    fn what_is_written_is_read() {
        let rows = [row(5, 0, 4096), row(4, 1, 1 << 40), row(9, 0, 0), row(u64::MAX, 1, 8192)];
        let mut pending = Pending::default();
        rows.iter().for_each(|row| pending.add(*row));
        let mut body = Vec::new();
        pending.take(&mut body);
        assert_eq!(pending.len(), 0);
        let processes = [0, 1].map(ProcessId::from_index);
        let mut found = Vec::new();
        read(Bytes::new(&body), &processes, 0, &mut found).expect("it is sound");
        assert_eq!(found, rows);
        assert!(read(Bytes::new(&body), &processes[..1], 0, &mut found).is_err());
        let next = Pending::after(&pending, 20);
        assert_eq!(next.rows, [row(20, 0, 0), row(20, 1, 8192)]);
    }

    #[test]
    fn what_held_before_a_time_is_known() {
        let mut rows = vec![row(1, 0, 1024), row(2, 1, 2048), row(3, 0, 3072), row(5, 0, 0), row(9, 1, 0)];
        clip(&mut rows, &(4..=8));
        assert_eq!(rows, [row(2, 1, 2048), row(3, 0, 3072), row(5, 0, 0)]);
    }
}
