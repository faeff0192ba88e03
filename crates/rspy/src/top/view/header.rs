//! What stands above and below every view: what is watched, how much it does, and the tabs.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::text::{duration, megabytes, percent};
use crate::look::{Look, columns};
use crate::names::without_directory;
use crate::progress::grouped;
use crate::top::state::{Moment, State};
use crate::top::ui::{Ui, View};

/// One figure of a second.
type Figure = fn(&Moment) -> Option<f64>;

/// The figures of the whole tree, by name; the last one is no share.
const FIGURES: [(&str, Figure); 5] = [
    ("CPU", |moment| moment.shares.cpu),
    ("GIL", |moment| moment.shares.gil),
    ("wait", |moment| moment.shares.wait),
    ("GC", |moment| moment.shares.gc),
    ("RSS", |moment| moment.rss.map(|bytes| bytes as f64)),
];

/// The fewest columns of a command that say something.
const LEAST_COMMAND: usize = 8;

/// From this width on all graphs are in one row.
const WIDE: u16 = 110;

/// How many rows it takes of a screen.
pub fn height(screen: Rect) -> u16 {
    match screen.height {
        0..8 => 1,
        8..16 => 3,
        _ => 2 + graphs(screen.width),
    }
}

/// In how many rows the graphs are.
fn graphs(width: u16) -> u16 {
    if width >= WIDE { 1 } else { 2 }
}

/// What is watched.
pub fn title(state: &State) -> String {
    format!("{}{}", command(state), whose(state))
}

fn command(state: &State) -> &str {
    without_directory(&state.about.command)
}

fn whose(state: &State) -> String {
    let about = &state.about;
    let uptime = state.uptime.map_or_else(String::new, |uptime| format!("  up {}", duration(uptime)));
    format!("  pid {}  Python {}{uptime}", about.pid, about.python)
}

/// What matters most, where there is one row only: as many figures as have room, and what is left for the command.
fn in_a_row(state: &State, look: Look, width: usize) -> String {
    let latest = state.history.latest().copied().unwrap_or_default();
    let mut row = state.about.pid.to_string();
    for (name, figure) in FIGURES {
        let next = format!("{row} {name} {}", value(name, figure(&latest)));
        if columns(&next) > width {
            break;
        }
        row = next;
    }
    match width.saturating_sub(columns(&row) + 1) {
        room if room < LEAST_COMMAND => row,
        room => format!("{} {row}", look.fit(command(state), room)),
    }
}

/// How much is sampled, and what it takes.
pub fn figures(state: &State) -> String {
    parts(state).join("  ")
}

/// The same without what is not to be worried about.
fn few_figures(state: &State) -> String {
    parts(state).into_iter().filter(|part| !part.starts_with("0 ")).collect::<Vec<_>>().join("  ")
}

fn parts(state: &State) -> Vec<String> {
    let (threads, processes) = state.alive();
    let rate = if state.rate > 0.0 { format!("{} Hz", Short(state.rate)) } else { "max Hz".to_owned() };
    let kept = state.kept;
    let many =
        |count: usize, one: &str, more: &str| format!("{count} {}", if count == 1 { one } else { more });
    let mut parts = vec![many(processes, "process", "processes"), many(threads, "thread", "threads"), rate];
    parts.extend(state.own_cpu.map(|cpu| format!("rspy {cpu:.1} %")));
    parts.push(format!("{} kept", grouped(kept.samples)));
    parts.push(format!("{} cut", grouped(kept.cut)));
    parts.push(format!("{} lost", grouped(kept.lost)));
    if kept.missed > 0 {
        parts.push(format!("{} missed", grouped(kept.missed)));
    }
    parts
}

/// A figure without needless zeros.
struct Short(f64);

impl std::fmt::Display for Short {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let rounded = (self.0 * 100.0).round() / 100.0;
        write!(formatter, "{rounded}")
    }
}

/// The figures of the whole tree in one line, without graphs.
pub fn shares(state: &State) -> String {
    let latest = state.history.latest().copied().unwrap_or_default();
    let text = |(name, figure): &(&str, Figure)| format!("{name} {}", value(name, figure(&latest)));
    FIGURES.iter().map(text).collect::<Vec<_>>().join("  ")
}

fn value(name: &str, figure: Option<f64>) -> String {
    match name {
        "RSS" => megabytes(figure.map(|bytes| bytes as u64)),
        _ => format!("{} %", percent(figure)),
    }
}

pub fn draw(frame: &mut Frame, area: Rect, state: &State, ui: &Ui) {
    let look = ui.look;
    let mut line = |row: u16, text: &str, style: Style| {
        let text = look.fit(text, usize::from(area.width));
        if row < area.height {
            frame.buffer_mut().set_string(area.x, area.y + row, text, style);
        }
    };
    let width = usize::from(area.width);
    if area.height == 1 {
        line(0, &in_a_row(state, look, width), look.heading());
        return;
    }
    // A command that leaves no room for the rest is what is cut.
    let whose = whose(state);
    let room = width.saturating_sub(columns(&whose)).max(width / 3);
    let title = format!("{}{whose}", look.fit(command(state), room));
    line(0, &title, look.heading());
    let all = figures(state);
    line(1, &if columns(&all) <= width { all } else { few_figures(state) }, Style::new());
    if area.height == 3 && area.width < WIDE {
        line(2, &shares(state), Style::new());
    }
    if area.height > 3 || (area.height == 3 && area.width >= WIDE) {
        let graphs = Rect { y: area.y + 2, height: graphs(area.width).min(area.height - 2), ..area };
        draw_graphs(frame, graphs, state, ui);
    }
}

fn draw_graphs(frame: &mut Frame, area: Rect, state: &State, ui: &Ui) {
    let look = ui.look;
    let per_row = if area.height > 1 { 3 } else { FIGURES.len() as u16 };
    let latest = state.history.latest().copied().unwrap_or_default();
    for (index, (name, figure)) in FIGURES.iter().enumerate() {
        let (row, column) = (index as u16 / per_row, index as u16 % per_row);
        let width = area.width / per_row;
        let (x, y) = (area.x + column * width, area.y + row);
        if y >= area.bottom() {
            break;
        }
        // Figures of each column end where the one above does.
        let label = format!("{name:<4} {:>8} ", value(name, figure(&latest)));
        let label = look.fit(&label, usize::from(width));
        let room = usize::from(width).saturating_sub(columns(&label) + 1);
        frame.buffer_mut().set_string(
            x,
            y,
            format!("{label:room$}", room = usize::from(width)),
            Style::new(),
        );
        let moments = state.history.last(room, *figure);
        // Shares are of a CPU, or of all that is used where that is more.
        let most = moments.iter().flatten().copied().fold(0.0, f64::max);
        let most = if *name == "RSS" { most } else { most.max(100.0) };
        for (place, moment) in moments.iter().enumerate() {
            let Some(share) = moment else { continue };
            let at = x + columns(&label) as u16 + place as u16;
            let style = if *name == "RSS" { look.quiet() } else { look.share(*share) };
            frame.buffer_mut().set_string(at, y, look.bar(share / most.max(1.0)), style);
        }
    }
}

/// The tabs; only the one that is seen where there is no room for all.
pub fn draw_tabs(frame: &mut Frame, area: Rect, ui: &mut Ui) {
    let all: usize = View::ALL.iter().map(|(_, key, name)| columns(name) + key.len_utf8() + 3).sum();
    let fits = all <= usize::from(area.width);
    let look = ui.look;
    frame.buffer_mut().set_style(area, look.quiet());
    let mut x = area.x;
    for (view, key, name) in View::ALL {
        let is_seen = view == ui.view;
        if !fits && !is_seen {
            continue;
        }
        let label = if fits { format!(" {key} {name} ") } else { format!(" {name}  Tab: next  ?: help") };
        let label = look.fit(&label, usize::from(area.right() - x));
        let style = if is_seen { look.selected() } else { look.quiet() };
        frame.buffer_mut().set_string(x, area.y, &label, style);
        let width = columns(&label) as u16;
        ui.targets.tabs.push((Rect { x, width, ..area }, view));
        x += width;
    }
}

/// The last line: the filter while it is typed, what was said, or what is shown.
pub fn draw_foot(frame: &mut Frame, area: Rect, state: &State, ui: &Ui) {
    let look = ui.look;
    let mut style = look.quiet();
    let text = if ui.filter.is_open {
        style = look.notice();
        let wrong = if ui.filter.error { "  (no regular expression yet)" } else { "" };
        format!("/{}_{wrong}", ui.filter.text)
    } else if let Some(message) = &ui.message {
        style = look.notice();
        message.clone()
    } else if let Some(ended) = &state.ended {
        style = look.notice();
        let pid = state.about.pid;
        let texts = [
            format!("Process {pid} has ended{ended}. q, Esc or Ctrl-C quits."),
            format!("Ended{ended}. q quits."),
            "Ended. q quits.".to_owned(),
        ];
        let [.., least] = &texts;
        texts.iter().find(|text| columns(text) <= usize::from(area.width)).unwrap_or(least).clone()
    } else {
        let mut parts = Vec::new();
        if ui.is_held {
            style = look.notice();
            parts.push("held: p goes on".to_owned());
        }
        parts.push(match ui.choice.window {
            Some(seconds) => format!("last {seconds} s"),
            None => "since the beginning".to_owned(),
        });
        parts.push(if ui.choice.idle { "idle too" } else { "running" }.to_owned());
        if ui.choice.gil {
            parts.push("with the GIL".to_owned());
        }
        match ui.choice.threads.len() {
            0 => {}
            1 => parts.push("1 thread".to_owned()),
            count => parts.push(format!("{count} threads")),
        }
        if !ui.filter.text.is_empty() {
            parts.push(format!("/{}", ui.filter.text));
        }
        let keys = match ui.view {
            View::Functions | View::Lines if ui.detail.is_some() => "Enter: that function  Esc: back",
            View::Functions | View::Lines => "1-4 s: sort  Enter: callers  /: filter  p: hold  q: quit",
            View::Flame => "arrows: choose  Enter: zoom  Esc: out  q: quit",
            View::Threads => "Enter: its stack  t: only this  s: sort  q: quit",
            View::Processes => "s: sort  /: filter  q: quit",
            View::Stack => "Enter: that function  Esc: back  q: quit",
            View::Help => "Esc: back  q: quit",
        };
        format!("{}  |  {keys}", parts.join(", "))
    };
    let text = look.fit(&text, usize::from(area.width));
    frame.buffer_mut().set_string(area.x, area.y, text, style);
}
