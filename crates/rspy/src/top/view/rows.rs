//! The functions, or the lines.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::list::{self, Column, figure, text};
use super::text::{percent, seconds};
use crate::top::state::{Row, Sort, State, place, rows};
use crate::top::ui::Ui;

const COLUMNS: [Column; 6] = [
    figure("%Own", 6),
    figure("%Total", 6),
    figure("OwnTime", 8),
    figure("TotalTime", 9),
    text("Function", 0),
    text("File:Line", 0),
];

/// Which of them a width has room for.
fn shown(width: u16) -> &'static [usize] {
    match width {
        0..30 => &[0, 4],
        30..56 => &[0, 1, 4],
        56..72 => &[0, 1, 2, 3, 4],
        _ => &[0, 1, 2, 3, 4, 5],
    }
}

pub fn draw(frame: &mut Frame, area: Rect, state: &State, ui: &mut Ui) {
    let by_line = ui.choice.by_line;
    let all = rows(state, &ui.choice, ui.sort, ui.is_reversed);
    let is_any = !all.is_empty();
    let named = |row: &Row| place(state, by_line, row.index, ui.full_filenames);
    let matches = |row: &Row| {
        let (name, file, line) = named(row);
        ui.filter.matches(&label(name, file, line))
    };
    let rows: Vec<Row> = all.into_iter().filter(matches).collect();
    let shown = shown(area.width);
    let columns: Vec<Column> = shown.iter().map(|column| COLUMNS[*column]).collect();
    let sorted = Sort::ALL.iter().position(|sort| *sort == ui.sort);
    let sorted = sorted.and_then(|sort| shown.iter().position(|column| *column == sort));
    let look = ui.look;
    let full = ui.full_filenames;
    let cells = |row: &Row| {
        let (name, file, line) = place(state, by_line, row.index, full);
        let all = [
            (percent(Some(row.own)), look.share(row.own)),
            (percent(Some(row.total)), look.share(row.total)),
            (seconds(row.own_seconds), Style::new()),
            (seconds(row.total_seconds), Style::new()),
            (if shown.contains(&5) { name.to_owned() } else { label(name, file, line) }, Style::new()),
            (at(file, line), look.quiet()),
        ];
        shown.iter().map(|column| all[*column].clone()).collect()
    };
    list::draw(frame, area, ui, (&columns, sorted.map(|sort| (sort, false))), rows.len(), |index| {
        cells(&rows[index])
    });
    // A click on a column means the same whatever is shown.
    for (_, column) in &mut ui.targets.columns {
        *column = shown[*column];
    }
    ui.shown = rows.iter().map(|row| row.index).collect();
    if rows.is_empty() {
        let why = match (is_any, ui.choice.idle) {
            (true, _) => "Nothing matches the filter: Esc clears it.",
            (false, false) => "No thread ran yet: i shows the idle ones too.",
            (false, true) => "No sample yet.",
        };
        list::nothing(frame, area, ui, why);
    }
}

/// `name (file:line)`.
pub fn label(name: &str, file: &str, line: Option<u32>) -> String {
    if file.is_empty() { name.to_owned() } else { format!("{name} ({})", at(file, line)) }
}

/// `file:line`.
pub fn at(file: &str, line: Option<u32>) -> String {
    line.map_or_else(|| file.to_owned(), |line| format!("{file}:{line}"))
}
