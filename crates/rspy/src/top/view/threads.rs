//! What each thread does.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};

use super::list::{self, Column, figure, text};
use super::rows::label;
use super::text::percent;
use crate::top::state::{Doing, State, ThreadRow, place, thread_rows};
use crate::top::ui::Ui;

const COLUMNS: [Column; 8] = [
    text("State", 8),
    figure("CPU %", 6),
    figure("GIL %", 6),
    figure("Wait %", 6),
    figure("Pid", 8),
    figure("Thread", 8),
    text("Name", 16),
    text("Function (file:line)", 0),
];

fn shown(width: u16) -> &'static [usize] {
    match width {
        0..36 => &[0, 1, 7],
        36..60 => &[0, 1, 2, 7],
        60..100 => &[0, 1, 2, 5, 6, 7],
        _ => &[0, 1, 2, 3, 4, 5, 6, 7],
    }
}

pub fn draw(frame: &mut Frame, area: Rect, state: &State, ui: &mut Ui) {
    let full = ui.full_filenames;
    let here = |row: &ThreadRow| {
        let (name, file, line) = row.line.map_or(("", "", None), |line| place(state, true, line, full));
        label(name, file, line)
    };
    let mut rows: Vec<ThreadRow> = thread_rows(state);
    rows.retain(|row| ui.filter.matches(&row.name) || ui.filter.matches(&here(row)));
    if let Some(by) = ui.columns[0] {
        sort(&mut rows, by, &here);
    }
    let shown = shown(area.width);
    let columns: Vec<Column> = shown.iter().map(|column| COLUMNS[*column]).collect();
    let sorted = ui.columns[0].and_then(|by| shown.iter().position(|column| *column == by));
    let look = ui.look;
    let picked = ui.choice.threads.clone();
    let cells = |row: &ThreadRow| {
        let is_picked = picked.contains(&row.index);
        let name = if is_picked { Style::new().add_modifier(Modifier::BOLD) } else { Style::new() };
        let number = |number: Option<u32>| number.map_or_else(|| "-".to_owned(), |number| number.to_string());
        let all = [
            (row.doing.name().to_owned(), style(look, row.doing)),
            (percent(row.shares.cpu), look.share(row.shares.cpu.unwrap_or(0.0))),
            (percent(row.shares.gil), look.share(row.shares.gil.unwrap_or(0.0))),
            (percent(row.shares.wait), look.share(row.shares.wait.unwrap_or(0.0))),
            (row.pid.to_string(), Style::new()),
            (number(row.os_id), Style::new()),
            (format!("{}{}", if is_picked { "*" } else { "" }, row.name), name),
            (here(row), Style::new()),
        ];
        shown.iter().map(|column| all[*column].clone()).collect()
    };
    let drawn: Vec<usize> = rows.iter().map(|row| row.index).collect();
    list::draw(frame, area, ui, (&columns, sorted.map(|by| (by, false))), rows.len(), |index| {
        cells(&rows[index])
    });
    for (_, column) in &mut ui.targets.columns {
        *column = shown[*column];
    }
    ui.shown = drawn;
    if rows.is_empty() {
        list::nothing(frame, area, ui, "No thread was seen in the last second.");
    }
}

fn sort(rows: &mut [ThreadRow], by: usize, here: &impl Fn(&ThreadRow) -> String) {
    let most = |share: Option<f64>| (-share.unwrap_or(-1.0) * 10.0).round() as i64;
    match by {
        0 => rows.sort_by_key(|row| row.doing),
        1 => rows.sort_by_key(|row| most(row.shares.cpu)),
        2 => rows.sort_by_key(|row| most(row.shares.gil)),
        3 => rows.sort_by_key(|row| most(row.shares.wait)),
        4 => rows.sort_by_key(|row| row.pid),
        5 => rows.sort_by_key(|row| row.os_id),
        6 => rows.sort_by(|one, other| one.name.cmp(&other.name)),
        _ => rows.sort_by_cached_key(here),
    }
}

/// How a state is shown.
pub fn style(look: crate::look::Look, doing: Doing) -> Style {
    match doing {
        Doing::HoldsGil | Doing::Runs => look.share(1.0),
        Doing::WaitsForGil | Doing::Collects => look.share(50.0),
        Doing::Idle | Doing::Unknown | Doing::Ended => look.quiet(),
    }
}
