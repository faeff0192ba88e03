//! Rows under columns, one of them chosen.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::look::columns as width_of;
use crate::top::ui::Ui;

/// A column.
#[derive(Copy, Clone, Debug)]
pub struct Column {
    /// What it is called.
    pub title: &'static str,
    /// How wide it is; 0 is a part of what the others leave.
    pub width: u16,
    /// Figures end at its end.
    pub is_figure: bool,
}

/// A column of figures.
pub const fn figure(title: &'static str, width: u16) -> Column {
    Column { title, width, is_figure: true }
}

/// A column of text, which takes a part of what is left if it has no width.
pub const fn text(title: &'static str, width: u16) -> Column {
    Column { title, width, is_figure: false }
}

/// A column that is sorted by, and whether in the other order.
pub type Sorted = Option<(usize, bool)>;

/// Draws the rows that have room; `row` makes the text of one.
pub fn draw(
    frame: &mut Frame,
    area: Rect,
    ui: &mut Ui,
    (columns, sorted): (&[Column], Sorted),
    count: usize,
    row: impl Fn(usize) -> Vec<(String, Style)>,
) {
    if area.height == 0 {
        return;
    }
    let places = places(area, columns);
    let look = ui.look;
    for (index, (column, place)) in columns.iter().zip(&places).enumerate() {
        let mut style = look.heading();
        if sorted.is_some_and(|(by, _)| by == index) {
            style = style.patch(look.selected());
        }
        put(frame, *place, ui, column, column.title, style);
        ui.targets.columns.push((*place, index));
    }
    let list = Rect { y: area.y + 1, height: area.height - 1, ..area };
    ui.targets.list = list;
    let cursor = ui.cursor();
    cursor.settle(count, usize::from(list.height));
    let cursor = *cursor;
    for (line, index) in (cursor.first..count).take(usize::from(list.height)).enumerate() {
        let y = list.y + line as u16;
        for ((column, place), (text, style)) in columns.iter().zip(&places).zip(row(index)) {
            put(frame, Rect { y, ..*place }, ui, column, &text, style);
        }
        if index == cursor.at {
            frame.buffer_mut().set_style(Rect { y, height: 1, ..list }, look.selected());
        }
    }
}

/// Says in the middle why there are no rows.
pub fn nothing(frame: &mut Frame, area: Rect, ui: &Ui, why: &str) {
    if area.height > 1 {
        let text = ui.look.fit(why, usize::from(area.width));
        frame.buffer_mut().set_string(area.x, area.y + 1, text, ui.look.quiet());
    }
}

/// Where each column is. One without room is left out.
fn places(area: Rect, columns: &[Column]) -> Vec<Rect> {
    let gaps = columns.len().saturating_sub(1) as u16;
    let fixed: u16 = columns.iter().map(|column| column.width).sum::<u16>() + gaps;
    let flexible = columns.iter().filter(|column| column.width == 0).count().max(1) as u16;
    let rest = area.width.saturating_sub(fixed);
    let mut x = area.x;
    let mut places = Vec::new();
    let mut parts = 0;
    for column in columns {
        let width = match column.width {
            0 => {
                parts += 1;
                // What cannot be shared evenly is the first one's.
                rest / flexible + if parts == 1 { rest % flexible } else { 0 }
            }
            width => width,
        };
        let width = width.min(area.right().saturating_sub(x));
        places.push(Rect { x, y: area.y, width, height: 1 });
        x = x.saturating_add(width + 1).min(area.right());
    }
    places
}

fn put(frame: &mut Frame, place: Rect, ui: &Ui, column: &Column, text: &str, style: Style) {
    let text = ui.look.fit(text, usize::from(place.width));
    let indent = if column.is_figure { usize::from(place.width).saturating_sub(width_of(&text)) } else { 0 };
    if place.width > 0 {
        frame.buffer_mut().set_string(place.x + indent as u16, place.y, text, style);
    }
}
