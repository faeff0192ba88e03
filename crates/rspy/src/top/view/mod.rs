//! What is seen, drawn from what is known and what was chosen: each view a file. Draws, and does nothing else.

mod flame;
mod function;
mod header;
mod help;
mod list;
mod processes;
mod rows;
mod stack;
mod text;
mod threads;

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout};

use super::state::State;
use super::ui::{Targets, Ui, View};
pub use header::{figures, shares, title};
pub use rows::label;
pub use text::{percent, seconds};

/// The narrowest and the lowest that anything is drawn in.
const LEAST: (u16, u16) = (12, 3);

/// Draws everything.
pub fn draw(frame: &mut Frame, state: &State, ui: &mut Ui) {
    let area = frame.area();
    ui.targets = Targets::default();
    if area.width < LEAST.0 || area.height < LEAST.1 {
        return;
    }
    let [header, tabs, body, foot] = Layout::vertical([
        Constraint::Length(header::height(area)),
        Constraint::Length(1),
        Constraint::Fill(1),
        Constraint::Length(u16::from(area.height > 3)),
    ])
    .areas(area);
    header::draw(frame, header, state, ui);
    header::draw_tabs(frame, tabs, ui);
    match (ui.view, ui.detail) {
        (View::Functions | View::Lines, Some(detail)) => function::draw(frame, body, state, ui, detail),
        (View::Functions | View::Lines, None) => rows::draw(frame, body, state, ui),
        (View::Flame, _) => flame::draw(frame, body, state, ui),
        (View::Threads, _) => threads::draw(frame, body, state, ui),
        (View::Processes, _) => processes::draw(frame, body, state, ui),
        (View::Stack, _) => stack::draw(frame, body, state, ui),
        (View::Help, _) => help::draw(frame, body, ui),
    }
    if !foot.is_empty() {
        header::draw_foot(frame, foot, state, ui);
    }
}

#[cfg(test)]
mod tests;
