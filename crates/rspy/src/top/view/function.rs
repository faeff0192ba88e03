//! One function: who calls it, what it calls, and its lines with their source.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::list::{self, figure, text};
use super::rows::{at, label};
use super::text::percent;
use crate::figures;
use crate::source::Sources;
use crate::top::state::{State, around};
use crate::top::ui::Ui;

/// What a row leads to.
const NOWHERE: usize = usize::MAX;

pub fn draw(frame: &mut Frame, area: Rect, state: &State, ui: &mut Ui, function: usize) {
    let Some(known) = state.function(function) else { return };
    let around = around(state, &ui.choice, function);
    let file = if ui.full_filenames { &known.file } else { &known.short_file };
    let title = format!(
        "{}: {} % of the time",
        label(&known.name, file, known.first_line),
        percent(Some(around.percent))
    );
    let title = ui.look.fit(&title, usize::from(area.width));
    frame.buffer_mut().set_string(area.x, area.y, title, ui.look.notice());
    let area = Rect { y: area.y + 1, height: area.height.saturating_sub(1), ..area };

    let look = ui.look;
    let share = |weight: u64| figures::percent(weight as f64, around.total as f64);
    let named = |index: Option<usize>, otherwise: &str| match index.and_then(|index| state.function(index)) {
        Some(function) => label(&function.name, &function.short_file, function.first_line),
        None => otherwise.to_owned(),
    };
    let mut rows: Vec<(Option<f64>, String, usize)> = Vec::new();
    let mut part = |title: &str, all: &[(Option<usize>, u64)], otherwise: &str| {
        rows.push((None, title.to_owned(), NOWHERE));
        for (index, weight) in all {
            rows.push((Some(share(*weight)), named(*index, otherwise), index.unwrap_or(NOWHERE)));
        }
    };
    part("Called by", &around.callers, "(nobody: the thread begins here)");
    part("Calls", &around.callees, "(itself)");
    rows.push((None, format!("Lines of {}", at(file, None)), NOWHERE));
    let sources = ui.sources.get_or_insert_with(|| Sources::of_process(state.about.pid));
    let source = sources.file(&known.file).ok();
    for (line, total, _) in &around.lines {
        let source = line.and_then(|line| source?.line(line));
        let number = line.map_or_else(|| "?".to_owned(), |line| line.to_string());
        rows.push((Some(share(*total)), format!("{number:>5}  {}", source.unwrap_or_default()), NOWHERE));
    }
    ui.shown = rows.iter().map(|(_, _, leads_to)| *leads_to).collect();
    let columns = [figure("%", 6), text("of the time in it", 0)];
    list::draw(frame, area, ui, (&columns, None), rows.len(), |index| {
        let (share, text, _) = &rows[index];
        match share {
            Some(share) => vec![(percent(Some(*share)), look.share(*share)), (text.clone(), Style::new())],
            None => vec![(String::new(), Style::new()), (text.clone(), look.heading())],
        }
    });
    ui.targets.columns.clear();
}
