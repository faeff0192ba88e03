//! Rows of figures in columns as wide as what is in them; what does not fit side by side comes below.

use std::io;

use super::page::{Page, Tone};
use crate::look::columns;

/// What stands where there is nothing to say.
pub const NOTHING: &str = "-";

/// What comes before the first column and between two of them.
const GAP: usize = 2;

/// Rows of as many cells as there are headings. The first column says what a row is of.
pub struct Table {
    headings: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// One without rows.
    pub fn new(headings: &[&'static str]) -> Table {
        Table { headings: headings.to_vec(), rows: Vec::new() }
    }

    /// Adds a row.
    pub fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    /// Whether it has no rows.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Writes it: in parts, each with the first column, where the page has not got the width for all. Columns in which no
    /// row says anything are left out.
    pub fn write(&self, page: &mut Page) -> io::Result<()> {
        let cells = |index: usize| self.rows.iter().filter_map(move |row| row.get(index));
        let width = |index: usize| {
            let heading = self.headings.get(index).map_or(0, |heading| columns(heading));
            GAP + cells(index).map(|cell| columns(cell)).fold(heading, usize::max)
        };
        let is_said = |index: &usize| cells(*index).any(|cell| cell != NOTHING);
        let room = page.width.unwrap_or(usize::MAX);
        let mut parts: Vec<Vec<usize>> = Vec::new();
        let mut used = room;
        for index in (1..self.headings.len()).filter(is_said) {
            used = used.saturating_add(width(index));
            match parts.last_mut() {
                Some(part) if used <= room => part.push(index),
                _ => {
                    used = width(0) + width(index);
                    parts.push(vec![0, index]);
                }
            }
        }
        for part in parts {
            let line = |cell: &dyn Fn(usize) -> String| -> String {
                part.iter().map(|index| format!("{:>width$}", cell(*index), width = width(*index))).collect()
            };
            page.line(Tone::Quiet, &line(&|index| self.headings[index].to_owned()))?;
            for row in &self.rows {
                page.line(Tone::Plain, &line(&|index| row.get(index).cloned().unwrap_or_default()))?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn written(width: Option<usize>) -> String {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut page = Page::to(file.reopen().unwrap());
        page.width = width;
        let mut table = Table::new(&["PID", "Start", "Peak MB", "PSS MB"]);
        for (pid, size) in [("1234", "100.0"), ("5", "7.5")] {
            table.row(vec![pid.to_owned(), NOTHING.to_owned(), size.to_owned(), "?".to_owned()]);
        }
        table.write(&mut page).unwrap();
        page.finish().unwrap();
        fs::read_to_string(file.path()).unwrap()
    }

    #[test]
    fn columns_are_as_wide_as_what_is_in_them() {
        let whole = "   PID  Peak MB  PSS MB\n  1234    100.0       ?\n     5      7.5       ?\n";
        assert_eq!(written(None), whole);
        assert_eq!(written(Some(23)), whole);
    }

    #[test]
    fn what_does_not_fit_comes_below() {
        let parts = "   PID  Peak MB\n  1234    100.0\n     5      7.5\n   PID  PSS MB\n  1234       ?\n     5       ?\n";
        assert_eq!(written(Some(22)), parts);
        assert_eq!(written(Some(15)), parts);
    }
}
