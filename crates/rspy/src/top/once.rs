//! What is seen as lines of text: for scripts, bug reports, and terminals that cannot be drawn on.

use std::io::{self, Write};

use super::state::{Choice, Sort, State, place, rows};
use super::view::{figures, label, percent, seconds, shares, title};
use crate::printable::printable;

/// How many rows there are at most.
const MOST_ROWS: usize = 20;

/// How rows are shown.
pub struct Rows {
    /// Of which samples.
    pub choice: Choice,
    /// By what they are sorted.
    pub sort: Sort,
    /// Whole paths.
    pub full_filenames: bool,
}

/// Writes one screen, with an empty line below if others follow.
pub fn write(out: &mut dyn Write, state: &State, shown: &Rows, is_one_of_many: bool) -> io::Result<()> {
    let Rows { choice, sort, full_filenames } = shown;
    writeln!(out, "{}", printable(&title(state)))?;
    writeln!(out, "{}", figures(state))?;
    writeln!(out, "{}", shares(state))?;
    let rows = rows(state, choice, *sort, false);
    writeln!(
        out,
        "\n{:>7} {:>7} {:>9} {:>9}  Function (file:line)",
        "%Own", "%Total", "OwnTime", "TotalTime"
    )?;
    for row in rows.iter().take(MOST_ROWS) {
        let (name, file, line) = place(state, choice.by_line, row.index, *full_filenames);
        writeln!(
            out,
            "{:>7} {:>7} {:>9} {:>9}  {}",
            percent(Some(row.own)),
            percent(Some(row.total)),
            seconds(row.own_seconds),
            seconds(row.total_seconds),
            printable(&label(name, file, line))
        )?;
    }
    if rows.is_empty() {
        writeln!(out, "  No thread ran in this time: --idle shows those that wait.")?;
    }
    if rows.len() > MOST_ROWS {
        writeln!(out, "  and {} more", rows.len() - MOST_ROWS)?;
    }
    if is_one_of_many {
        writeln!(out)?;
    }
    out.flush()
}
