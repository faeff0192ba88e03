//! From an instruction to its source line, in every encoding CPython has used.
//!
//! Source: `Objects/lnotab_notes.txt` (up to 3.10), `Objects/locations.md` (3.11)
//! and `InternalDocs/code_objects.md` (3.14). All arithmetic is checked: a table
//! from a torn read gives no line, never a panic.

use std::{iter, mem};

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
        return at_line(i64::from(first_line));
    }
    let mut ranges = ranges(encoding, table, first_line);
    ranges.find(|range| offset < range.end).map_or_else(Location::default, |range| range.location)
}

/// Instructions that stand in one place.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Range {
    /// The byte of the bytecode that ends it. It begins where the one before ends, the first at 0; it can be empty.
    pub end: i64,
    /// The place.
    pub location: Location,
}

/// All that a table says, in the order of the bytecode. Ends early where the table is broken.
pub fn ranges(encoding: LineEncoding, table: &[u8], first_line: i32) -> impl Iterator<Item = Range> {
    let mut decoder = Decoder { table, end: 0, line: first_line.into() };
    let mut is_last = false;
    iter::from_fn(move || {
        let step: fn(u8) -> i64 = match encoding {
            LineEncoding::Linetable => return decoder.linetable(),
            LineEncoding::Locations => return decoder.locations(),
            LineEncoding::LnotabUnsigned => i64::from,
            LineEncoding::LnotabSigned => |step| i64::from(step as i8),
        };
        let was_last = mem::replace(&mut is_last, decoder.table.len() < 2);
        (!was_last).then(|| decoder.lnotab(step).unwrap_or_else(|| decoder.rest()))
    })
}

fn at_line(line: i64) -> Location {
    Location { line: positive(line), ..Location::default() }
}

fn positive(line: i64) -> Option<u32> {
    u32::try_from(line).ok().filter(|line| *line > 0)
}

/// What is left of a table, and where in bytecode and source it goes on.
struct Decoder<'table> {
    table: &'table [u8],
    end: i64,
    line: i64,
}

impl Decoder<'_> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.table.split_first()?;
        self.table = rest;
        Some(*first)
    }

    fn pair(&mut self) -> Option<(u8, u8)> {
        let (pair, rest) = self.table.split_first_chunk::<2>()?;
        self.table = rest;
        Some((pair[0], pair[1]))
    }

    /// Pairs (bytecode step, line step): a line holds up to the next step.
    fn lnotab(&mut self, step: fn(u8) -> i64) -> Option<Range> {
        let (bytes, lines) = self.pair()?;
        self.end += i64::from(bytes);
        let range = Range { end: self.end, location: at_line(self.line) };
        self.line += step(lines);
        Some(range)
    }

    /// What comes after the last pair of an lnotab.
    fn rest(&self) -> Range {
        Range { end: i64::MAX, location: at_line(self.line) }
    }

    /// Pairs (length of the range, line step); −128 is a range without a line.
    fn linetable(&mut self) -> Option<Range> {
        let (bytes, lines) = self.pair()?;
        self.end += i64::from(bytes);
        let step = lines as i8;
        if step == i8::MIN {
            return Some(Range { end: self.end, location: Location::default() });
        }
        self.line += i64::from(step);
        Some(Range { end: self.end, location: at_line(self.line) })
    }

    /// Entries of a first byte (1, kind: 4 bits, length − 1 in code units: 3 bits)
    /// and what the kind asks for.
    fn locations(&mut self) -> Option<Range> {
        let first = self.byte()?;
        if first & 0x80 == 0 {
            return None;
        }
        self.end += (i64::from(first & 7) + 1) * 2;
        let kind = first >> 3 & 15;
        let location = match kind {
            15 => Location::default(),
            14 => {
                self.step()?;
                let end_line = self.line.checked_add(i64::try_from(self.unsigned()?).ok()?)?;
                let (column, end_column) = (self.unsigned()?, self.unsigned()?);
                // Columns are stored plus one: zero is "not known".
                let column_of = |stored: u64| u32::try_from(stored.checked_sub(1)?).ok();
                Location {
                    line: positive(self.line),
                    end_line: positive(end_line),
                    column: column_of(column),
                    end_column: column_of(end_column),
                }
            }
            13 => {
                self.step()?;
                let line = positive(self.line);
                Location { line, end_line: line, column: None, end_column: None }
            }
            10..=12 => {
                self.line = self.line.checked_add(i64::from(kind - 10))?;
                let (column, end_column) = self.pair()?;
                on_line(self.line, column.into(), end_column.into())
            }
            _ => {
                let packed = self.byte()?;
                let column = u32::from(kind) << 3 | u32::from(packed >> 4);
                on_line(self.line, column, column + u32::from(packed & 15))
            }
        };
        Some(Range { end: self.end, location })
    }

    /// Goes to the line that a signed number, its sign in the lowest bit, is away.
    fn step(&mut self) -> Option<()> {
        let number = self.unsigned()?;
        let magnitude = (number >> 1) as i64;
        self.line = self.line.checked_add(if number & 1 == 1 { -magnitude } else { magnitude })?;
        Some(())
    }

    /// A number in groups of six bits, the lowest first; bit 6 says that one more follows.
    fn unsigned(&mut self) -> Option<u64> {
        let mut number = 0u64;
        for shift in (0..64).step_by(6) {
            let byte = self.byte()?;
            number |= u64::from(byte & 63).checked_shl(shift)?;
            if byte & 64 == 0 {
                return Some(number);
            }
        }
        None
    }
}

fn on_line(line: i64, column: u32, end_column: u32) -> Location {
    Location {
        line: positive(line),
        end_line: positive(line),
        column: Some(column),
        end_column: Some(end_column),
    }
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
