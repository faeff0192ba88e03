//! Line tables, in every encoding.

use arbitrary::{Arbitrary, Unstructured};
use rspy_cpython::layout::LineEncoding;
use rspy_cpython::lines::{location, ranges};

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    encoding: u8,
    first_line: i32,
    offset: i64,
    table: &'a [u8],
}

/// Looks up lines in a table of any bytes.
pub fn run(data: &[u8]) {
    let Ok(input) = Input::arbitrary_take_rest(Unstructured::new(data)) else { return };
    let encoding = match input.encoding % 4 {
        0 => LineEncoding::LnotabUnsigned,
        1 => LineEncoding::LnotabSigned,
        2 => LineEncoding::Linetable,
        _ => LineEncoding::Locations,
    };
    let mut end = 0;
    for (index, range) in ranges(encoding, input.table, input.first_line).enumerate() {
        // A byte or more of the table tells of each, and an lnotab has one for the rest.
        assert!(range.end >= end && index <= input.table.len(), "{range:?} is number {index}");
        end = range.end;
    }
    let near = (-4..40).chain([i64::from(u16::MAX), i64::MIN, i64::MAX, input.offset]);
    for offset in near {
        let found = location(encoding, input.table, input.first_line, offset);
        // Lines are counted from 1; a column belongs to a line.
        assert!(found.line != Some(0) && found.end_line != Some(0), "{found:?}");
        if encoding != LineEncoding::Locations || offset < 0 {
            assert_eq!((found.end_line, found.column, found.end_column), (None, None, None));
        }
        if offset < 0 {
            assert_eq!(found.line.map(i64::from), Some(i64::from(input.first_line)).filter(|line| *line > 0));
        }
    }
}
