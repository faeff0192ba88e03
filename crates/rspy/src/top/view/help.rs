//! What keys do.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::list::{self, text};
use crate::top::ui::Ui;

/// Each key with what it does.
pub const KEYS: [(&str, &str); 29] = [
    ("Tab, Shift-Tab", "the next view, the one before"),
    ("5 6 7", "functions, lines, flame graph"),
    ("8 9 0", "threads, processes, the stack of a thread"),
    ("1 2 3 4", "sort functions or lines by %Own, %Total, OwnTime, TotalTime"),
    ("s S", "sort by the next column, by the one before"),
    ("Up Down k j", "choose; also PageUp, PageDown, Home, End"),
    ("Enter", "functions: callers, callees, source lines"),
    ("", "threads: the stack of one; flame graph: zoom in"),
    ("Left Right", "flame graph: choose the caller's other callee"),
    ("Esc, Backspace", "back; in the flame graph zoom out"),
    ("/", "filter by a regular expression, as you type; Esc clears it"),
    ("L", "functions or lines"),
    ("t", "threads; there: show only samples of the chosen ones"),
    ("T", "samples of all threads again"),
    ("i", "samples of idle threads too, or not"),
    ("g", "samples of threads that hold the GIL only, or all"),
    ("a", "since the beginning, or the last seconds"),
    ("[ ]", "half as many seconds, twice as many"),
    ("+ -", "sample twice as often, half as often"),
    ("p, Space", "hold the picture; sampling goes on"),
    ("r R", "begin anew: forget all samples so far"),
    ("w", "write a flame graph (SVG) of what was gathered"),
    ("W", "write a recording of it, for rspy report"),
    ("I", "the other order"),
    ("F", "whole paths, or those within packages"),
    ("Ctrl-L", "draw anew"),
    ("Ctrl-Z", "suspend rspy; fg brings it back"),
    ("? h", "this page, and back"),
    ("q, Ctrl-C", "quit"),
];

pub fn draw(frame: &mut Frame, area: Rect, ui: &mut Ui) {
    let columns = [text("Key", 15), text("What it does", 0)];
    list::draw(frame, area, ui, (&columns, None), KEYS.len(), |index| {
        let (key, what) = KEYS[index];
        vec![(key.to_owned(), Style::new()), (what.to_owned(), Style::new())]
    });
    ui.targets.columns.clear();
}
