//! What keys and the mouse do to what is seen.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers, MouseButton, MouseEvent, MouseEventKind};
use ratatui::layout::{Position, Rect};

use super::feed::Wish;
use super::state::{Flame, ROOT, Sort, State};
use super::ui::{Ui, View};

/// What is to be done beyond what is seen.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// Nothing.
    Nothing,
    /// End.
    Quit,
    /// Suspend rspy.
    Suspend,
    /// Draw everything anew.
    Redraw,
    /// Forget the samples so far.
    Reset,
    /// Hold what is seen, or go on.
    Hold,
    /// Write what was gathered.
    Write(Wish),
    /// Sample twice as often, or half as often.
    Faster(bool),
}

/// The longest window, in seconds.
const LONGEST: u64 = 600;

/// How far the wheel goes.
const WHEEL: isize = 3;

/// How many columns threads and processes have to be sorted by.
const THREAD_COLUMNS: usize = 8;
const PROCESS_COLUMNS: usize = 7;

/// A key was pressed.
pub fn press(ui: &mut Ui, state: &State, key: KeyEvent) -> Order {
    ui.message = None;
    if key.modifiers.contains(KeyModifiers::CONTROL) {
        return match key.code {
            KeyCode::Char('c') => Order::Quit,
            KeyCode::Char('z') => Order::Suspend,
            KeyCode::Char('l') => Order::Redraw,
            _ => Order::Nothing,
        };
    }
    if ui.filter.is_open {
        type_filter(ui, key.code);
        return Order::Nothing;
    }
    match key.code {
        KeyCode::Char('q') => return Order::Quit,
        KeyCode::Char('r' | 'R') => return Order::Reset,
        KeyCode::Char('p' | ' ') => return Order::Hold,
        KeyCode::Char('w') => return Order::Write(Wish::Picture),
        KeyCode::Char('W') => return Order::Write(Wish::Recording),
        KeyCode::Char('+' | '=') => return Order::Faster(true),
        KeyCode::Char('-') => return Order::Faster(false),
        KeyCode::Tab => turn(ui, 1),
        KeyCode::BackTab => turn(ui, View::ALL.len() - 1),
        KeyCode::Char('?' | 'h') | KeyCode::F(1) if ui.view == View::Help => ui.show(ui.before),
        KeyCode::Char('h') | KeyCode::F(1) => ui.show(View::Help),
        KeyCode::Char(digit @ '1'..='4') => {
            if matches!(ui.view, View::Functions | View::Lines) {
                ui.sort = Sort::ALL[digit as usize - '1' as usize];
            }
        }
        KeyCode::Char('s') => sort_next(ui, 1),
        KeyCode::Char('S') => sort_next(ui, -1),
        KeyCode::Char('I') => ui.is_reversed = !ui.is_reversed,
        KeyCode::Char('/') => ui.filter.is_open = true,
        KeyCode::Char('L' | 'l') => match ui.view {
            View::Functions => ui.show(View::Lines),
            View::Lines => ui.show(View::Functions),
            _ => ui.set_by_line(!ui.choice.by_line),
        },
        KeyCode::Char('t') => pick(ui),
        KeyCode::Char('T') => ui.choice.threads.clear(),
        KeyCode::Char('i') => ui.choice.idle = !ui.choice.idle,
        KeyCode::Char('g') => ui.choice.gil = !ui.choice.gil,
        KeyCode::Char('a') => match ui.choice.window.take() {
            Some(window) => ui.other_window = window,
            None => ui.choice.window = Some(ui.other_window),
        },
        KeyCode::Char('[') => ui.choice.window = ui.choice.window.map(|window| (window / 2).max(1)),
        KeyCode::Char(']') => ui.choice.window = ui.choice.window.map(|window| (window * 2).min(LONGEST)),
        KeyCode::Char('F') => ui.full_filenames = !ui.full_filenames,
        KeyCode::Enter => enter(ui, state),
        KeyCode::Esc if !back(ui) && state.ended.is_some() => return Order::Quit,
        KeyCode::Esc => {}
        KeyCode::Backspace => {
            back(ui);
        }
        KeyCode::Char(key) => match View::ALL.iter().find(|(_, digit, _)| *digit == key) {
            Some((view, ..)) => ui.show(*view),
            None => travel(ui, state, KeyCode::Char(key)),
        },
        code => travel(ui, state, code),
    }
    Order::Nothing
}

/// The mouse did something.
pub fn point(ui: &mut Ui, state: &State, mouse: MouseEvent) -> Order {
    let at = Position { x: mouse.column, y: mouse.row };
    let is_at = |area: &Rect| area.contains(at);
    match mouse.kind {
        MouseEventKind::ScrollDown => step(ui, WHEEL),
        MouseEventKind::ScrollUp => step(ui, -WHEEL),
        MouseEventKind::Down(MouseButton::Left) => {
            ui.message = None;
            let targets = ui.targets.clone();
            if let Some((_, view)) = targets.tabs.iter().find(|(area, _)| is_at(area)) {
                ui.show(*view);
            } else if let Some((_, column)) = targets.columns.iter().find(|(area, _)| is_at(area)) {
                sort_by(ui, *column);
            } else if let Some((_, path)) = targets.frames.iter().find(|(area, _)| is_at(area)) {
                // What is chosen already is zoomed into.
                if ui.frame == *path {
                    enter(ui, state);
                } else {
                    ui.frame.clone_from(path);
                }
            } else if is_at(&targets.list) {
                let cursor = ui.cursor();
                let row = cursor.first + usize::from(at.y - targets.list.y);
                if cursor.at == row {
                    enter(ui, state);
                } else {
                    cursor.at = row;
                }
            }
        }
        _ => {}
    }
    Order::Nothing
}

fn type_filter(ui: &mut Ui, code: KeyCode) {
    let mut text = ui.filter.text.clone();
    match code {
        KeyCode::Enter => ui.filter.is_open = false,
        KeyCode::Esc => {
            ui.filter.is_open = false;
            text.clear();
        }
        KeyCode::Backspace => drop(text.pop()),
        KeyCode::Char(character) => text.push(character),
        _ => {}
    }
    if text != ui.filter.text {
        ui.filter.set(text);
        ui.cursor().at = 0;
    }
}

/// The view so many tabs further.
fn turn(ui: &mut Ui, by: usize) {
    let at = View::ALL.iter().position(|(view, ..)| *view == ui.view).unwrap_or(0);
    ui.show(View::ALL[(at + by) % View::ALL.len()].0);
}

fn sort_by(ui: &mut Ui, column: usize) {
    match ui.view {
        View::Functions | View::Lines => match Sort::ALL.get(column) {
            Some(sort) if *sort == ui.sort => ui.is_reversed = !ui.is_reversed,
            Some(sort) => ui.sort = *sort,
            None => {}
        },
        View::Threads => ui.columns[0] = Some(column),
        View::Processes => ui.columns[1] = Some(column),
        View::Flame | View::Stack | View::Help => {}
    }
}

fn sort_next(ui: &mut Ui, by: isize) {
    // Threads and processes have an order of their own beside those of their columns.
    let next = |now: Option<usize>, count: usize| {
        let at = now.map_or(0, |now| now + 1) as isize;
        ((at + by).rem_euclid(count as isize + 1) as usize).checked_sub(1)
    };
    match ui.view {
        View::Functions | View::Lines => {
            let at = Sort::ALL.iter().position(|sort| *sort == ui.sort).unwrap_or(0) as isize;
            ui.sort = Sort::ALL[(at + by).rem_euclid(Sort::ALL.len() as isize) as usize];
        }
        View::Threads => ui.columns[0] = next(ui.columns[0], THREAD_COLUMNS),
        View::Processes => ui.columns[1] = next(ui.columns[1], PROCESS_COLUMNS),
        View::Flame | View::Stack | View::Help => {}
    }
}

/// Shows the threads, or there, picks the one that is chosen or lets go of it.
fn pick(ui: &mut Ui) {
    if ui.view != View::Threads {
        ui.show(View::Threads);
        return;
    }
    let at = ui.cursor().at;
    let Some(thread) = ui.shown.get(at).copied() else { return };
    match ui.choice.threads.iter().position(|picked| *picked == thread) {
        Some(known) => drop(ui.choice.threads.remove(known)),
        None => ui.choice.threads.push(thread),
    }
}

fn enter(ui: &mut Ui, state: &State) {
    let at = ui.cursor().at;
    let shown = ui.shown.get(at).copied();
    match (ui.view, shown) {
        (View::Functions, Some(function)) => look_at(ui, state, function),
        (View::Lines, Some(row)) if ui.detail.is_none() => {
            let function = state.lines.get_index(row).map(|line| line.function);
            if let Some(function) = function {
                look_at(ui, state, function);
            }
        }
        (View::Lines, Some(function)) => look_at(ui, state, function),
        (View::Stack, Some(function)) => {
            ui.show(View::Functions);
            look_at(ui, state, function);
        }
        (View::Threads, Some(thread)) => {
            ui.thread = Some(thread);
            ui.show(View::Stack);
            *ui.cursor() = Default::default();
        }
        (View::Flame, _) => ui.zoom = ui.frame.clone(),
        (View::Functions | View::Lines | View::Stack | View::Threads | View::Processes | View::Help, _) => {}
    }
}

fn look_at(ui: &mut Ui, state: &State, function: usize) {
    if state.function(function).is_some() {
        ui.detail = Some(function);
        *ui.cursor() = Default::default();
    }
}

/// Answers whether there was something to go back from.
fn back(ui: &mut Ui) -> bool {
    if !ui.filter.text.is_empty() {
        ui.filter.set(String::new());
        return true;
    }
    match ui.view {
        View::Flame if !ui.frame.is_empty() || !ui.zoom.is_empty() => {
            ui.zoom.pop();
            ui.frame = ui.zoom.clone();
        }
        View::Help | View::Stack => ui.show(ui.before),
        _ if ui.detail.is_some() => ui.detail = None,
        _ => return false,
    }
    true
}

fn travel(ui: &mut Ui, state: &State, code: KeyCode) {
    if ui.view == View::Flame {
        return climb(ui, state, code);
    }
    let page = isize::from(i16::try_from(ui.targets.list.height).unwrap_or(i16::MAX)).max(1);
    match code {
        KeyCode::Up | KeyCode::Char('k') => step(ui, -1),
        KeyCode::Down | KeyCode::Char('j') => step(ui, 1),
        KeyCode::PageUp => step(ui, -page),
        KeyCode::PageDown => step(ui, page),
        KeyCode::Home => ui.cursor().at = 0,
        // Drawing brings it back to the last one there is.
        KeyCode::End => ui.cursor().at = usize::MAX,
        _ => {}
    }
}

fn step(ui: &mut Ui, by: isize) {
    let most = ui.shown.len().saturating_sub(1);
    let most = if ui.view == View::Help { usize::MAX } else { most };
    let cursor = ui.cursor();
    cursor.at = cursor.at.saturating_add_signed(by).min(most);
}

/// Chooses another frame of the flame graph.
fn climb(ui: &mut Ui, state: &State, code: KeyCode) {
    let flame = Flame::new(state, &ui.choice);
    let at = flame.find(&ui.frame);
    let parent = flame.nodes[at].parent;
    let siblings = &flame.nodes[parent].children;
    let place = siblings.iter().position(|sibling| *sibling == at);
    let beside = |by: isize| siblings.get(place?.checked_add_signed(by)?).copied().filter(|_| at != ROOT);
    let next = match code {
        KeyCode::Up | KeyCode::Char('k') => Some(parent),
        KeyCode::Down | KeyCode::Char('j') => flame.nodes[at].children.first().copied(),
        KeyCode::Left => beside(-1),
        KeyCode::Right => beside(1),
        KeyCode::Home => Some(ROOT),
        _ => None,
    };
    if let Some(next) = next {
        ui.frame = flame.path(next);
        // What is chosen is in the picture.
        if !ui.frame.starts_with(&ui.zoom) {
            ui.zoom = ui.frame.clone();
        }
    }
}

#[cfg(test)]
mod tests;
