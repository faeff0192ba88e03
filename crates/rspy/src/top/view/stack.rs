//! The stack of one thread, now.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::list::{self, text};
use super::rows::at;
use crate::top::state::{State, place, stack_of, thread_rows};
use crate::top::ui::Ui;

pub fn draw(frame: &mut Frame, area: Rect, state: &State, ui: &mut Ui) {
    let threads = thread_rows(state);
    let chosen = ui.thread.and_then(|index| threads.iter().find(|row| row.index == index));
    // Without a choice, the busiest.
    let Some(thread) = chosen.or(threads.first()) else {
        list::nothing(frame, area, ui, "No thread was seen in the last second.");
        return;
    };
    ui.thread = Some(thread.index);
    let id = thread.os_id.map_or_else(String::new, |id| format!(" {id}"));
    let title = format!("Thread{id} ({}) of process {}: {}", thread.name, thread.pid, thread.doing.name());
    let title = ui.look.fit(&title, usize::from(area.width));
    frame.buffer_mut().set_string(area.x, area.y, title, Style::new());
    let area = Rect { y: area.y + 1, height: area.height.saturating_sub(1), ..area };
    let lines = stack_of(state, thread.index);
    let full = ui.full_filenames;
    let columns = [text("Function, the innermost first", 0), text("File:Line", 0)];
    let quiet = ui.look.quiet();
    ui.shown = lines.iter().filter_map(|line| Some(state.lines.get_index(*line)?.function)).collect();
    let cells = |index: usize| {
        let (name, file, line) = place(state, true, lines[index], full);
        vec![(name.to_owned(), Style::new()), (at(file, line), quiet)]
    };
    list::draw(frame, area, ui, (&columns, None), lines.len(), cells);
    ui.targets.columns.clear();
}
