//! The stacks as a picture: callers above what they call, each as wide as the time in it and below it.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Modifier;

use super::list;
use super::text::percent;
use crate::figures;
use crate::top::state::{Flame, ROOT, State, place};
use crate::top::ui::Ui;

pub fn draw(frame: &mut Frame, area: Rect, state: &State, ui: &mut Ui) {
    let flame = Flame::new(state, &ui.choice);
    if flame.nodes[ROOT].total == 0 || area.height < 2 {
        list::nothing(frame, area, ui, "No thread ran in this time: i shows the idle ones too.");
        return;
    }
    let top = flame.find(&ui.zoom);
    let chosen = flame.find(&ui.frame);
    ui.zoom = flame.path(top);
    ui.frame = flame.path(chosen);

    let line = describe(&flame, state, ui, chosen);
    let line = ui.look.fit(&line, usize::from(area.width));
    frame.buffer_mut().set_string(area.x, area.y, line, ui.look.notice());
    let picture = Rect { y: area.y + 1, height: area.height - 1, ..area };

    // The way to what is zoomed into is as wide as it.
    // Where stacks are deeper than the picture, it begins so that what is chosen is in it.
    let depth = ui.frame.len().max(ui.zoom.len());
    let skipped = (depth + 2).saturating_sub(usize::from(picture.height));
    let picture = Picture { flame: &flame, state, chosen, area: picture, skipped };
    let whole = (area.x, area.width);
    let mut at = top;
    for depth in (0..=ui.zoom.len()).rev() {
        picture.put(frame, ui, depth, whole, at);
        at = flame.nodes[at].parent;
    }
    let mut rest = vec![(top, ui.zoom.len(), area.x, area.width)];
    while let Some((node, depth, x, width)) = rest.pop() {
        let total = flame.nodes[node].total.max(1) as f64;
        let mut from = 0.0_f64;
        for child in &flame.nodes[node].children {
            let part = flame.nodes[*child].total as f64 / total * f64::from(width);
            // Ends are rounded, not widths: else the errors would add up.
            let (left, right) = (from.round() as u16, (from + part).round() as u16);
            from += part;
            if right > left {
                picture.put(frame, ui, depth + 1, (x + left, right - left), *child);
                rest.push((*child, depth + 1, x + left, right - left));
            }
        }
    }
}

/// What is said of the frame that is chosen.
fn describe(flame: &Flame, state: &State, ui: &Ui, node: usize) -> String {
    let known = &flame.nodes[node];
    let share = figures::percent(known.total as f64, flame.nodes[ROOT].total as f64);
    let own = figures::percent(known.own as f64, flame.nodes[ROOT].total as f64);
    let name = name(flame, state, ui, node);
    format!("{name}: {} % of the samples, {} % in itself", percent(Some(share)), percent(Some(own)))
}

fn name(flame: &Flame, state: &State, ui: &Ui, node: usize) -> String {
    if node == ROOT {
        return "all".to_owned();
    }
    let (name, file, line) = place(state, ui.choice.by_line, flame.nodes[node].index, ui.full_filenames);
    super::rows::label(name, file, line)
}

/// What is drawn, and where.
struct Picture<'p> {
    flame: &'p Flame,
    state: &'p State,
    chosen: usize,
    area: Rect,
    /// So many outermost frames are above what is seen.
    skipped: usize,
}

impl Picture<'_> {
    /// Draws one frame, in the row of its depth.
    fn put(&self, frame: &mut Frame, ui: &mut Ui, depth: usize, (x, width): (u16, u16), node: usize) {
        let row = depth.checked_sub(self.skipped).and_then(|row| u16::try_from(row).ok());
        let Some(row) = row.filter(|row| *row < self.area.height) else { return };
        let look = ui.look;
        let name = name(self.flame, self.state, ui, node);
        let mut style = look.frame(self.flame.nodes[node].index, node == ROOT);
        if !ui.filter.text.is_empty() && node != ROOT && ui.filter.matches(&name) {
            style = style.add_modifier(Modifier::BOLD | Modifier::UNDERLINED);
        }
        if node == self.chosen {
            style = style.patch(look.selected());
        }
        // A gap tells neighbours apart where there is room for one; without colours, an edge does.
        let edge = match (look.colour, look.unicode) {
            (true, _) => "",
            (false, true) => "▏",
            (false, false) => "|",
        };
        let inner = if look.colour && width > 2 { width - 1 } else { width };
        let text = look.fit(&name, usize::from(inner).saturating_sub(edge.chars().count()));
        let area = Rect { x, y: self.area.y + row, width: inner, height: 1 };
        let buffer = frame.buffer_mut();
        buffer.set_style(area, style);
        buffer.set_string(area.x, area.y, format!("{edge}{text}"), style);
        ui.targets.frames.push((area, self.flame.path(node)));
    }
}
