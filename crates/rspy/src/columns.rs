//! From CPython's columns to those that people count.

use rspy_cpython::lines::Location;
use rspy_profile::Columns;

/// The columns of `location`, where it has all of them: CPython counts from 0 and names the first
/// column that no longer belongs to it.
pub fn columns_of(location: &Location) -> Option<Columns> {
    Some(Columns {
        first: location.column?.checked_add(1)?,
        end_line: location.end_line.filter(|end_line| Some(*end_line) != location.line),
        last: location.end_column?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_from_one_and_include_the_last() {
        let location = Location { line: Some(12), end_line: Some(12), column: Some(4), end_column: Some(18) };
        assert_eq!(columns_of(&location).map(|columns| columns.to_string()).as_deref(), Some("5-18"));
        let longer = Location { end_line: Some(14), end_column: Some(3), ..location };
        assert_eq!(columns_of(&longer).map(|columns| columns.to_string()).as_deref(), Some("5-14:3"));
        assert_eq!(columns_of(&Location { end_column: None, ..location }), None);
    }
}
