use super::*;
use crate::look::Look;
use crate::top::state::Choice;
use crate::top::state::tests::{second, state_of};

fn ui() -> Ui {
    let look = Look { colour: false, unicode: false };
    Ui::new(look, Choice { window: Some(5), ..Choice::default() }, Sort::Own, false)
}

fn state() -> State {
    let mut state = state_of(&["main", "a", "b"], &[&[0, 1], &[0, 2]]);
    second(&mut state, &[60, 30]);
    state
}

fn type_keys(ui: &mut Ui, keys: &str) -> Order {
    let state = state();
    let pressed = keys.chars().map(|key| press(ui, &state, KeyCode::Char(key).into()));
    pressed.last().expect("a key")
}

#[test]
fn digits_sort_and_choose_views() {
    let mut ui = ui();
    for (key, sort) in ['1', '2', '3', '4'].into_iter().zip(Sort::ALL) {
        type_keys(&mut ui, &key.to_string());
        assert_eq!((ui.view, ui.sort), (View::Functions, sort));
    }
    for (view, key, _) in View::ALL {
        type_keys(&mut ui, &key.to_string());
        assert_eq!(ui.view, view);
    }
    type_keys(&mut ui, "?");
    assert_eq!(ui.view, View::Stack);
}

#[test]
fn tab_goes_around() {
    let mut ui = ui();
    for _ in View::ALL {
        press(&mut ui, &state(), KeyCode::Tab.into());
    }
    assert_eq!(ui.view, View::Functions);
    press(&mut ui, &state(), KeyCode::BackTab.into());
    assert_eq!(ui.view, View::Help);
}

#[test]
fn a_filter_takes_every_key_until_it_is_closed() {
    let mut ui = ui();
    type_keys(&mut ui, "/q(");
    assert!(ui.filter.is_open && ui.filter.error);
    type_keys(&mut ui, ")");
    assert!(ui.filter.matches("Queue") && !ui.filter.matches("main"));
    press(&mut ui, &state(), KeyCode::Enter.into());
    assert_eq!(type_keys(&mut ui, "q"), Order::Quit);
    press(&mut ui, &state(), KeyCode::Esc.into());
    assert!(ui.filter.matches("main"));
}

#[test]
fn what_is_to_be_done_beyond_what_is_seen_is_ordered() {
    let mut ui = ui();
    let orders = [
        ("q", Order::Quit),
        ("r", Order::Reset),
        ("R", Order::Reset),
        ("p", Order::Hold),
        ("w", Order::Write(Wish::Picture)),
        ("W", Order::Write(Wish::Recording)),
        ("+", Order::Faster(true)),
        ("-", Order::Faster(false)),
    ];
    for (key, order) in orders {
        assert_eq!(type_keys(&mut ui, key), order, "{key}");
    }
    let control = |key| KeyEvent::new(KeyCode::Char(key), KeyModifiers::CONTROL);
    assert_eq!(press(&mut ui, &state(), control('c')), Order::Quit);
    assert_eq!(press(&mut ui, &state(), control('z')), Order::Suspend);
}

#[test]
fn escape_goes_back_and_quits_what_has_ended() {
    let mut ui = ui();
    let mut ended = state();
    let escape = |ui: &mut Ui, state: &State| press(ui, state, KeyCode::Esc.into());
    assert_eq!(escape(&mut ui, &ended), Order::Nothing);
    ended.ended = Some(String::new());
    ui.detail = Some(1);
    assert_eq!((escape(&mut ui, &ended), ui.detail), (Order::Nothing, None));
    assert_eq!(escape(&mut ui, &ended), Order::Quit);
}

#[test]
fn the_window_grows_and_shrinks_within_bounds() {
    let mut ui = ui();
    type_keys(&mut ui, "[[[[");
    assert_eq!(ui.choice.window, Some(1));
    type_keys(&mut ui, &"]".repeat(20));
    assert_eq!(ui.choice.window, Some(LONGEST));
    type_keys(&mut ui, "a");
    assert_eq!(ui.choice.window, None);
    type_keys(&mut ui, "a");
    assert_eq!(ui.choice.window, Some(LONGEST));
}

#[test]
fn arrows_and_enter_zoom_the_flame_graph() {
    let mut ui = ui();
    let state = state();
    type_keys(&mut ui, "7");
    for key in [KeyCode::Down, KeyCode::Down, KeyCode::Right, KeyCode::Enter] {
        press(&mut ui, &state, key.into());
    }
    assert_eq!((&ui.zoom[..], &ui.frame[..]), (&[0, 2][..], &[0, 2][..]));
    press(&mut ui, &state, KeyCode::Esc.into());
    assert_eq!(ui.zoom, [0]);
}

#[test]
fn threads_are_picked() {
    let mut ui = ui();
    type_keys(&mut ui, "t");
    assert_eq!(ui.view, View::Threads);
    ui.shown = vec![3, 0];
    press(&mut ui, &state(), KeyCode::Down.into());
    type_keys(&mut ui, "t");
    assert_eq!(ui.choice.threads, [0]);
    press(&mut ui, &state(), KeyCode::Enter.into());
    assert_eq!((ui.view, ui.thread), (View::Stack, Some(0)));
    type_keys(&mut ui, "T");
    assert!(ui.choice.threads.is_empty());
}

#[test]
fn the_mouse_chooses_tabs_columns_and_rows() {
    let mut ui = ui();
    let state = state();
    let rect = |x, y| Rect { x, y, width: 5, height: 1 };
    let click = |column, row| MouseEvent {
        kind: MouseEventKind::Down(MouseButton::Left),
        column,
        row,
        modifiers: KeyModifiers::NONE,
    };
    ui.targets.tabs.push((rect(0, 0), View::Threads));
    ui.targets.columns.push((rect(10, 1), 1));
    ui.targets.list = Rect { x: 0, y: 2, width: 80, height: 10 };
    ui.shown = vec![0, 1, 2];
    point(&mut ui, &state, click(10, 1));
    assert_eq!(ui.sort, Sort::Total);
    point(&mut ui, &state, click(3, 3));
    assert_eq!((ui.cursor().at, ui.detail), (1, None));
    point(&mut ui, &state, click(3, 3));
    assert_eq!(ui.detail, Some(1));
    point(&mut ui, &state, click(1, 0));
    assert_eq!(ui.view, View::Threads);
}
