//! The tree of processes.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::list::{self, Column, figure, text};
use super::text::{megabytes, percent};
use super::threads::style;
use crate::top::state::{ProcessRow, State, process_rows, thread_rows};
use crate::top::ui::Ui;

const COLUMNS: [Column; 7] = [
    figure("Pid", 8),
    text("State", 8),
    figure("CPU %", 6),
    figure("GIL %", 6),
    figure("Memory", 9),
    figure("Threads", 7),
    text("Command", 0),
];

fn shown(width: u16) -> &'static [usize] {
    match width {
        0..36 => &[0, 2, 6],
        36..64 => &[0, 2, 4, 6],
        _ => &[0, 1, 2, 3, 4, 5, 6],
    }
}

pub fn draw(frame: &mut Frame, area: Rect, state: &State, ui: &mut Ui) {
    let mut rows = process_rows(state, &thread_rows(state));
    rows.retain(|row| ui.filter.matches(&row.command) || ui.filter.matches(&row.pid.to_string()));
    if let Some(by) = ui.columns[1] {
        sort(&mut rows, by);
    }
    let shown = shown(area.width);
    let columns: Vec<Column> = shown.iter().map(|column| COLUMNS[*column]).collect();
    let sorted = ui.columns[1].and_then(|by| shown.iter().position(|column| *column == by));
    let look = ui.look;
    let cells = |row: &ProcessRow| {
        let branch = match row.depth {
            0 => String::new(),
            depth => format!("{}{}", "  ".repeat(depth - 1), if look.unicode { "└ " } else { "`-" }),
        };
        let all = [
            (row.pid.to_string(), Style::new()),
            (row.doing.name().to_owned(), style(look, row.doing)),
            (percent(row.shares.cpu), look.share(row.shares.cpu.unwrap_or(0.0))),
            (percent(row.shares.gil), look.share(row.shares.gil.unwrap_or(0.0))),
            (megabytes(row.rss), Style::new()),
            (row.threads.to_string(), Style::new()),
            (format!("{branch}{}", row.command), Style::new()),
        ];
        shown.iter().map(|column| all[*column].clone()).collect()
    };
    list::draw(frame, area, ui, (&columns, sorted.map(|by| (by, false))), rows.len(), |index| {
        cells(&rows[index])
    });
    for (_, column) in &mut ui.targets.columns {
        *column = shown[*column];
    }
    ui.shown = rows.iter().map(|row| row.index).collect();
    if rows.is_empty() {
        list::nothing(frame, area, ui, "No process yet.");
    }
}

/// Sorted they are no tree any more, but the order of the tree breaks ties.
fn sort(rows: &mut [ProcessRow], by: usize) {
    let most = |share: Option<f64>| (-share.unwrap_or(-1.0) * 10.0).round() as i64;
    rows.iter_mut().for_each(|row| row.depth = 0);
    match by {
        0 => rows.sort_by_key(|row| row.pid),
        1 => rows.sort_by_key(|row| row.doing),
        2 => rows.sort_by_key(|row| most(row.shares.cpu)),
        3 => rows.sort_by_key(|row| most(row.shares.gil)),
        4 => rows.sort_by_key(|row| std::cmp::Reverse(row.rss)),
        5 => rows.sort_by_key(|row| std::cmp::Reverse(row.threads)),
        _ => rows.sort_by(|one, other| one.command.cmp(&other.command)),
    }
}
