//! What is known of the memory of processes now and then.

use super::error::Malformed;
use super::tables::{optional, push_optional};
use super::varint::{Bytes, push, push_signed};
use crate::account::{Account, Collections};
use crate::process::ProcessId;

/// What a row counts sizes in, in bytes: the kernel's own unit.
const UNIT: u64 = 1024;

/// More generations than any interpreter has.
const MOST_GENERATIONS: u64 = 16;

/// The body of the section of these rows.
pub(super) fn write(rows: &[Account], into: &mut Vec<u8>) {
    let mut at = 0;
    for row in rows {
        push_signed(into, row.at.wrapping_sub(at) as i64);
        at = row.at;
        push(into, row.process.index() as u64);
        for size in [row.proportional, row.private, row.shared_dirty, row.swapped] {
            push(into, size / UNIT);
        }
        row.faults.iter().for_each(|faults| push(into, *faults));
        let generations = row.collections.iter().take(MOST_GENERATIONS as usize);
        push(into, generations.len() as u64);
        for generation in generations {
            let Collections { collections, collected, uncollectable, threshold } = *generation;
            [collections, collected, uncollectable, threshold].iter().for_each(|count| push(into, *count));
        }
        push_optional(into, row.collecting);
        push_optional(into, row.arenas.map(|bytes| bytes / UNIT));
    }
}

/// Appends all rows of a section, of these `processes`, to `rows`: later by `shift` nanoseconds.
pub(super) fn read(
    mut body: Bytes,
    processes: &[ProcessId],
    shift: i64,
    rows: &mut Vec<Account>,
) -> Result<(), Malformed> {
    let mut at = 0_u64;
    while !body.is_empty() {
        at = at.wrapping_add(body.signed()? as u64);
        let process = usize::try_from(body.number()?).ok().and_then(|process| processes.get(process));
        let process = *process.ok_or(Malformed::Dangling)?;
        let mut size = || body.number()?.checked_mul(UNIT).ok_or(Malformed::TooLarge);
        let (proportional, private, shared_dirty, swapped) = (size()?, size()?, size()?, size()?);
        let faults = [body.number()?, body.number()?];
        let generations = body.number()?;
        if generations > MOST_GENERATIONS {
            return Err(Malformed::TooLarge);
        }
        let mut collections = Vec::new();
        for _ in 0..generations {
            collections.push(Collections {
                collections: body.number()?,
                collected: body.number()?,
                uncollectable: body.number()?,
                threshold: body.number()?,
            });
        }
        let collecting = optional(&mut body)?;
        let arenas = match optional(&mut body)? {
            None => None,
            Some(size) => Some(size.checked_mul(UNIT).ok_or(Malformed::TooLarge)?),
        };
        let at = at.saturating_add_signed(shift);
        rows.push(Account {
            at,
            process,
            proportional,
            private,
            shared_dirty,
            swapped,
            faults,
            collections,
            collecting,
            arenas,
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let process = ProcessId::from_index(0);
        let counts = Collections { collections: 3, collected: u64::MAX, uncollectable: 1, threshold: 700 };
        let one = Account {
            at: 9,
            process,
            proportional: 1 << 40,
            private: 2048,
            shared_dirty: 0,
            swapped: 0,
            faults: [0; 2],
            collections: Vec::new(),
            collecting: None,
            arenas: None,
        };
        let other = Account {
            at: 4,
            shared_dirty: 1024,
            swapped: 4096,
            faults: [7, 1],
            collections: vec![counts, Collections::default()],
            collecting: Some(0),
            arenas: Some(3 << 20),
            ..one.clone()
        };
        let rows = [one, other];
        let mut body = Vec::new();
        write(&rows, &mut body);
        let mut found = Vec::new();
        read(Bytes::new(&body), &[process], 0, &mut found).expect("it is sound");
        assert_eq!(found, rows);
        assert!(read(Bytes::new(&body), &[], 0, &mut found).is_err());
        assert!(read(Bytes::new(&body[..body.len() - 1]), &[process], 0, &mut found).is_err());
    }
}
