//! From an instruction to its source line, in every encoding CPython has used.
//!
//! Source: `Objects/lnotab_notes.txt` (up to 3.10), `Objects/locations.md` (3.11)
//! and `InternalDocs/code_objects.md` (3.14). All arithmetic is checked: a table
//! from a torn read gives no line, never a panic.

use crate::layout::LineEncoding;

/// Where an instruction stands in the source. What the table does not tell is `None`.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Location {
    /// First line, from 1.
    pub line: Option<u32>,
    /// Last line.
    pub end_line: Option<u32>,
    /// First column in UTF-8 bytes, from 0.
    pub column: Option<u32>,
    /// One past the last column.
    pub end_column: Option<u32>,
}

/// The place of the instruction that begins at byte `offset` of the bytecode.
///
/// A negative offset is a frame that has not begun: it is on its first line.
pub fn location(encoding: LineEncoding, table: &[u8], first_line: i32, offset: i64) -> Location {
    if offset < 0 {
        return Location { line: positive(i64::from(first_line)), ..Location::default() };
    }
    let first_line = i64::from(first_line);
    match encoding {
        LineEncoding::LnotabUnsigned => at_line(lnotab(table, first_line, offset, i64::from)),
        LineEncoding::LnotabSigned => {
            at_line(lnotab(table, first_line, offset, |step| i64::from(step as i8)))
        }
        LineEncoding::Linetable => at_line(linetable(table, first_line, offset)),
        LineEncoding::Locations => locations(table, first_line, offset).unwrap_or_default(),
    }
}

fn at_line(line: Option<i64>) -> Location {
    Location { line: line.and_then(positive), ..Location::default() }
}

fn positive(line: i64) -> Option<u32> {
    u32::try_from(line).ok().filter(|line| *line > 0)
}

/// Pairs (bytecode step, line step); an instruction's line is the sum of the
/// steps up to it.
fn lnotab(table: &[u8], first_line: i64, offset: i64, step: fn(u8) -> i64) -> Option<i64> {
    let (mut at, mut line) = (0, first_line);
    for pair in table.chunks_exact(2) {
        at += i64::from(pair[0]);
        if at > offset {
            break;
        }
        line += step(pair[1]);
    }
    Some(line)
}

/// Pairs (length of the range, line step); −128 is a range without a line.
fn linetable(table: &[u8], first_line: i64, offset: i64) -> Option<i64> {
    let (mut end, mut line) = (0, first_line);
    for pair in table.chunks_exact(2) {
        end += i64::from(pair[0]);
        let step = pair[1] as i8;
        if step != -128 {
            line += i64::from(step);
        }
        if offset < end {
            return (step != -128).then_some(line);
        }
    }
    None
}

/// Entries of a first byte (1, kind: 4 bits, length − 1 in code units: 3 bits)
/// and what the kind asks for.
fn locations(table: &[u8], first_line: i64, offset: i64) -> Option<Location> {
    let mut bytes = table.iter().copied();
    let (mut end, mut line) = (0i64, first_line);
    while let Some(first) = bytes.next() {
        if first & 0x80 == 0 {
            return None;
        }
        end += (i64::from(first & 7) + 1) * 2;
        let kind = first >> 3 & 15;
        let location = match kind {
            15 => Location::default(),
            14 => {
                line = line.checked_add(signed(&mut bytes)?)?;
                let end_line = line.checked_add(i64::try_from(unsigned(&mut bytes)?).ok()?)?;
                let (column, end_column) = (unsigned(&mut bytes)?, unsigned(&mut bytes)?);
                // Columns are stored plus one: zero is "not known".
                let column_of = |stored: u64| u32::try_from(stored.checked_sub(1)?).ok();
                Location {
                    line: positive(line),
                    end_line: positive(end_line),
                    column: column_of(column),
                    end_column: column_of(end_column),
                }
            }
            13 => {
                line = line.checked_add(signed(&mut bytes)?)?;
                Location { line: positive(line), end_line: positive(line), column: None, end_column: None }
            }
            10..=12 => {
                line = line.checked_add(i64::from(kind - 10))?;
                let (column, end_column) = (bytes.next()?, bytes.next()?);
                on_line(line, column.into(), end_column.into())
            }
            _ => {
                let packed = bytes.next()?;
                let column = u32::from(kind) << 3 | u32::from(packed >> 4);
                on_line(line, column, column + u32::from(packed & 15))
            }
        };
        if offset < end {
            return Some(location);
        }
    }
    None
}

fn on_line(line: i64, column: u32, end_column: u32) -> Location {
    Location {
        line: positive(line),
        end_line: positive(line),
        column: Some(column),
        end_column: Some(end_column),
    }
}

/// A number in groups of six bits, the lowest first; bit 6 says that one more follows.
fn unsigned(bytes: &mut impl Iterator<Item = u8>) -> Option<u64> {
    let mut number = 0u64;
    for shift in (0..64).step_by(6) {
        let byte = bytes.next()?;
        number |= u64::from(byte & 63).checked_shl(shift)?;
        if byte & 64 == 0 {
            return Some(number);
        }
    }
    None
}

/// The same with the sign in the lowest bit.
fn signed(bytes: &mut impl Iterator<Item = u8>) -> Option<i64> {
    let number = unsigned(bytes)?;
    let magnitude = (number >> 1) as i64;
    Some(if number & 1 == 1 { -magnitude } else { magnitude })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn line(encoding: LineEncoding, table: &[u8], first: i32, offset: i64) -> Option<u32> {
        location(encoding, table, first, offset).line
    }

    #[test]
    fn lnotab_steps_are_signed_from_3_6() {
        // A body whose second statement stands 2 lines above the first.
        let table = [0, 5, 4, 254];
        assert_eq!(line(LineEncoding::LnotabSigned, &table, 10, 0), Some(15));
        assert_eq!(line(LineEncoding::LnotabSigned, &table, 10, 4), Some(13));
        assert_eq!(line(LineEncoding::LnotabUnsigned, &table, 10, 4), Some(269));
    }

    #[test]
    fn linetable_has_ranges_without_a_line() {
        let table = [4, 1, 2, 128, 2, 3];
        assert_eq!(line(LineEncoding::Linetable, &table, 10, 0), Some(11));
        assert_eq!(line(LineEncoding::Linetable, &table, 10, 4), None);
        assert_eq!(line(LineEncoding::Linetable, &table, 10, 6), Some(14));
        assert_eq!(line(LineEncoding::Linetable, &table, 10, 8), None);
    }

    #[test]
    fn locations_of_every_kind() {
        // long: +2 lines, ends 1 further, columns 4 to 9; short; none; same line, no columns.
        let table = [0x80 | 14 << 3, 4, 1, 5, 10, 0x80 | 1 << 3, 0x23, 0x80 | 15 << 3, 0x80 | 13 << 3, 3];
        let at = |offset| location(LineEncoding::Locations, &table, 1, offset);
        let whole = Location { line: Some(3), end_line: Some(4), column: Some(4), end_column: Some(9) };
        assert_eq!(at(0), whole);
        assert_eq!(
            at(2),
            Location { line: Some(3), end_line: Some(3), column: Some(10), end_column: Some(13) }
        );
        assert_eq!(at(4), Location::default());
        assert_eq!(at(6), Location { line: Some(2), end_line: Some(2), column: None, end_column: None });
        assert_eq!(at(8), Location::default());
        assert_eq!(at(-2).line, Some(1));
    }

    proptest! {
        #[test]
        fn no_table_panics(table: Vec<u8>, first: i32, offset: i64) {
            for encoding in [
                LineEncoding::LnotabUnsigned,
                LineEncoding::LnotabSigned,
                LineEncoding::Linetable,
                LineEncoding::Locations,
            ] {
                location(encoding, &table, first, offset);
            }
        }
    }
}
