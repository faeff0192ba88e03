//! Every view, in sizes from the smallest terminal to a large one: `INSTA_UPDATE=always` blesses what they look like.

use std::time::Duration;

use ratatui::Terminal;
use ratatui::backend::TestBackend;

use super::draw;
use crate::look::Look;
use crate::top::state::tests::{second, state_of};
use crate::top::state::{Choice, Kept, Moment, Shares, Sort, State};
use crate::top::ui::{Ui, View};

const COLOURED: Look = Look { colour: true, unicode: true };
const PLAIN: Look = Look { colour: false, unicode: false };

fn state() -> State {
    let functions = ["main", "Server.handle", "parse", "größe"];
    let mut state = state_of(&functions, &[&[0, 1], &[0, 1, 2], &[0, 1, 2, 3], &[0]]);
    state.rate = 100.0;
    state.uptime = Some(Duration::from_secs(3723));
    state.own_cpu = Some(0.8);
    state.kept = Kept { samples: 12_345, cut: 3, lost: 0, missed: 0 };
    let shares = Shares { cpu: Some(98.7), gil: Some(80.1), wait: Some(4.0), gc: None };
    state.threads[0].shares = shares;
    state.threads[0].latest = Some(2);
    state.processes[0].shares = shares;
    state.processes[0].rss = Some(12_300_000);
    for told in [1, 2, 3] {
        second(&mut state, &[10 * told, 30 * told, 45 * told, 5 * told]);
        let cpu = Some(33.0 * told as f64);
        state.history.add(Moment { shares: Shares { cpu, ..shares }, rss: Some(12_300_000) });
    }
    state
}

fn ui(look: Look) -> Ui {
    Ui::new(look, Choice { window: Some(5), ..Choice::default() }, Sort::Own, false)
}

fn screen(state: &State, ui: &mut Ui, (width, height): (u16, u16)) -> Terminal<TestBackend> {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("a buffer");
    terminal.draw(|frame| draw(frame, state, ui)).expect("a buffer");
    terminal
}

fn picture(view: View, look: Look, size: (u16, u16)) -> String {
    let mut ui = ui(look);
    ui.show(view);
    screen(&state(), &mut ui, size).backend().to_string()
}

#[test]
fn views_are_what_they_were() {
    for (view, _, name) in View::ALL {
        insta::assert_snapshot!(name, picture(view, COLOURED, (80, 24)));
    }
}

#[test]
fn small_and_large_terminals_have_what_matters() {
    for (width, height) in [(20, 6), (40, 12), (200, 50)] {
        let name = format!("functions_{width}x{height}");
        insta::assert_snapshot!(name, picture(View::Functions, COLOURED, (width, height)));
    }
}

#[test]
fn what_has_ended_is_said_at_the_bottom_as_far_as_there_is_room() {
    let mut state = state();
    state.ended = Some(" with exit code 7".to_owned());
    let said = [(80, 24), (40, 12), (20, 6)].map(|size| {
        let screen = screen(&state, &mut ui(COLOURED), size).backend().to_string();
        screen.lines().last().unwrap_or_default().trim_matches('"').trim_end().to_owned()
    });
    assert_eq!(
        said,
        [
            "Process 42 has ended with exit code 7. q, Esc or Ctrl-C quits.",
            "Ended with exit code 7. q quits.",
            "Ended. q quits.",
        ]
    );
}

#[test]
fn without_utf_8_only_ascii_is_drawn() {
    for (view, _, name) in View::ALL {
        let drawn = picture(view, PLAIN, (80, 24));
        assert!(drawn.is_ascii(), "{name}: {drawn}");
    }
    insta::assert_snapshot!("flame_ascii", picture(View::Flame, PLAIN, (80, 24)));
}

#[test]
fn without_colours_none_is_used() {
    use ratatui::style::Color;
    for (view, ..) in View::ALL {
        let mut ui = ui(PLAIN);
        ui.show(view);
        let terminal = screen(&state(), &mut ui, (80, 24));
        let cells = &terminal.backend().buffer().content;
        assert!(cells.iter().all(|cell| cell.fg == Color::Reset && cell.bg == Color::Reset));
    }
}

#[test]
fn every_size_can_be_drawn() {
    let state = state();
    let empty = State::default();
    for (view, ..) in View::ALL {
        for width in [1, 11, 12, 13, 20, 29, 30, 36, 56, 72, 110, 400] {
            for height in [1, 2, 3, 4, 5, 7, 8, 15, 16, 100] {
                for state in [&state, &empty] {
                    let mut ui = ui(COLOURED);
                    ui.show(view);
                    screen(state, &mut ui, (width, height));
                    ui.detail = Some(1);
                    screen(state, &mut ui, (width, height));
                }
            }
        }
    }
}

#[test]
fn a_function_shows_what_is_around_it() {
    let mut ui = ui(COLOURED);
    ui.detail = Some(2);
    insta::assert_snapshot!("function", screen(&state(), &mut ui, (80, 24)).backend());
}
