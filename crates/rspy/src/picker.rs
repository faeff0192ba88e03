//! Which process: the Python processes of this machine to choose from, where none was given and there is a terminal.

use std::collections::HashMap;
use std::fs;
use std::io::{self, IsTerminal, stdin, stdout};
use std::path::Path;
use std::time::{Duration, Instant};

use ratatui::Frame;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers, MouseEventKind};
use ratatui::style::Style;
use rspy_process::Process;

use crate::failure::Failure;
use crate::figures::percent;
use crate::look::Look;
use crate::names::without_directory;
use crate::terminal::Taken;

/// How often the processes are looked at, and how soon again after the first time.
const REFRESH: Duration = Duration::from_secs(1);
const FIRST: Duration = Duration::from_millis(200);

/// The rows above the list.
const HEADER: u16 = 2;

/// A Python process.
#[derive(Clone, Debug, Default, PartialEq)]
struct Row {
    pid: u32,
    cpu: Option<f64>,
    rss: Option<u64>,
    command: String,
}

/// What is seen.
#[derive(Debug, Default)]
struct Picker {
    rows: Vec<Row>,
    filter: String,
    at: usize,
}

/// What came of a key.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    Nothing,
    Chosen(u32),
    Left,
}

/// Whether there is somebody to ask.
pub fn can_ask() -> bool {
    stdin().is_terminal() && stdout().is_terminal() && std::env::var("TERM").is_ok_and(|term| term != "dumb")
}

/// The process that the user chooses; `None` if there is none, or none that the user wants.
pub fn pick() -> Result<Option<u32>, Failure> {
    let mut machine = Machine::default();
    let mut picker = Picker::default();
    machine.look(&mut picker);
    let mut next = Instant::now() + FIRST;
    let look = Look::of_environment();
    let mut taken = Taken::take()?;
    let gone = |error: io::Error| Failure::no_terminal(&error);
    loop {
        taken.draw(|frame| picker.draw(frame, look)).map_err(gone)?;
        if event::poll(next.saturating_duration_since(Instant::now())).map_err(gone)? {
            match picker.serve(&event::read().map_err(gone)?) {
                Outcome::Nothing => {}
                Outcome::Chosen(pid) => return Ok(Some(pid)),
                Outcome::Left => return Ok(None),
            }
        } else {
            machine.look(&mut picker);
            next = Instant::now() + REFRESH;
        }
    }
}

impl Picker {
    /// The processes that match the filter.
    fn shown(&self) -> Vec<&Row> {
        let wanted = self.filter.to_lowercase();
        let matches = |row: &&Row| {
            row.command.to_lowercase().contains(&wanted) || row.pid.to_string().contains(&wanted)
        };
        self.rows.iter().filter(matches).collect()
    }

    fn serve(&mut self, event: &Event) -> Outcome {
        match event {
            Event::Key(key) if key.kind != KeyEventKind::Release => return self.press(*key),
            Event::Mouse(mouse) => match mouse.kind {
                MouseEventKind::ScrollDown => self.step(1),
                MouseEventKind::ScrollUp => self.step(-1),
                _ => {}
            },
            _ => {}
        }
        Outcome::Nothing
    }

    fn press(&mut self, key: KeyEvent) -> Outcome {
        let has_control = key.modifiers.contains(KeyModifiers::CONTROL);
        match key.code {
            KeyCode::Char('c' | 'd') if has_control => return Outcome::Left,
            KeyCode::Esc if self.filter.is_empty() => return Outcome::Left,
            KeyCode::Esc => self.filter.clear(),
            KeyCode::Backspace => drop(self.filter.pop()),
            KeyCode::Enter => {
                if let Some(row) = self.shown().get(self.at) {
                    return Outcome::Chosen(row.pid);
                }
            }
            KeyCode::Up => self.step(-1),
            KeyCode::Down => self.step(1),
            KeyCode::PageUp => self.step(-10),
            KeyCode::PageDown => self.step(10),
            KeyCode::Char(character) if !has_control => {
                self.filter.push(character);
                self.at = 0;
            }
            _ => {}
        }
        Outcome::Nothing
    }

    fn step(&mut self, by: isize) {
        self.at = self.at.saturating_add_signed(by).min(self.shown().len().saturating_sub(1));
    }

    /// Takes what the machine has; what was chosen stays so.
    fn learn(&mut self, rows: Vec<Row>) {
        let chosen = self.shown().get(self.at).map(|row| row.pid);
        self.rows = rows;
        let at = self.shown().iter().position(|row| Some(row.pid) == chosen);
        self.at = at.unwrap_or(self.at).min(self.shown().len().saturating_sub(1));
    }

    fn draw(&self, frame: &mut Frame, look: Look) {
        let area = frame.area();
        let width = usize::from(area.width);
        let mut line = |row: u16, text: &str, style: Style| {
            if row < area.height {
                frame.buffer_mut().set_string(0, row, look.fit(text, width), style);
            }
        };
        let shown = self.shown();
        let title = match self.filter.as_str() {
            "" => "Which process? Type to filter, Enter chooses, Esc leaves.".to_owned(),
            filter => format!("Which process? /{filter}"),
        };
        line(0, &title, look.notice());
        line(1, &format!("{:>8} {:>6} {:>9}  Command", "Pid", "CPU %", "Memory"), look.heading());
        let height = usize::from(area.height.saturating_sub(HEADER)).max(1);
        let first = (self.at + 1).saturating_sub(height);
        for (place, (index, row)) in shown.iter().enumerate().skip(first).take(height).enumerate() {
            let cpu = row.cpu.map_or_else(|| "-".to_owned(), |cpu| format!("{cpu:.1}"));
            let memory =
                row.rss.map_or_else(|| "-".to_owned(), |bytes| format!("{:.1} MB", bytes as f64 / 1e6));
            let command = without_directory(&row.command);
            let text = format!("{:>8} {cpu:>6} {memory:>9}  {command}", row.pid);
            let style = if index == self.at { look.selected() } else { Style::new() };
            line(HEADER + place as u16, &format!("{text:width$}"), style);
        }
        if shown.is_empty() {
            line(
                HEADER,
                "  No Python process that you may see. Start one: rspy top -- COMMAND",
                look.quiet(),
            );
        }
    }
}

/// The machine's processes, as they were looked at last.
#[derive(Default)]
struct Machine {
    /// The time of each on CPUs, and when that was.
    cpu: HashMap<u32, (Duration, Instant)>,
}

impl Machine {
    fn look(&mut self, picker: &mut Picker) {
        let Ok(folder) = fs::read_dir("/proc") else { return };
        let pids = folder.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
        let mut cpu = HashMap::new();
        let mut rows: Vec<Row> = Vec::new();
        for pid in pids.filter(|pid| *pid != std::process::id()) {
            let Some(process) = Process::open(pid).ok().filter(is_python) else { continue };
            let used = process.cpu_time().map(|used| (used, Instant::now()));
            let share = used.zip(self.cpu.get(&pid)).map(|((used, now), (before, then))| {
                percent(used.saturating_sub(*before).as_secs_f64(), (now - *then).as_secs_f64())
            });
            cpu.extend(used.map(|used| (pid, used)));
            rows.push(Row { pid, cpu: share, rss: process.rss(), command: process.command_line().join(" ") });
        }
        self.cpu = cpu;
        // The latest is most often the one.
        rows.sort_by_key(|row| std::cmp::Reverse((row.cpu.unwrap_or(0.0).round() as u64, row.pid)));
        picker.learn(rows);
    }
}

/// Whether it runs Python: by what it executes, else by its command line, else by a library that it has mapped.
fn is_python(process: &Process) -> bool {
    let names_python = |path: &str| {
        Path::new(path)
            .file_name()
            .is_some_and(|name| name.to_string_lossy().to_lowercase().contains("python"))
    };
    let executable = fs::read_link(process.proc_path("exe"));
    if executable.is_ok_and(|path| names_python(&path.to_string_lossy())) {
        return true;
    }
    let command = process.command_line();
    if command.is_empty() {
        return false;
    }
    let maps = fs::read_to_string(process.proc_path("maps")).unwrap_or_default();
    let mapped = maps.lines().filter_map(|line| line.split_whitespace().nth(5));
    mapped.into_iter().any(|path| names_python(path) && path.contains("libpython"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(pid: u32, command: &str) -> Row {
        Row { pid, command: command.to_owned(), ..Row::default() }
    }

    fn type_text(picker: &mut Picker, text: &str) {
        for character in text.chars() {
            assert_eq!(picker.press(KeyCode::Char(character).into()), Outcome::Nothing);
        }
    }

    #[test]
    fn what_is_typed_filters_and_enter_chooses() {
        let mut picker = Picker::default();
        picker.learn(vec![row(12, "python a.py"), row(13, "python b.py"), row(14, "python bb.py")]);
        type_text(&mut picker, "B");
        picker.press(KeyCode::Down.into());
        // A process that comes or goes does not change what is chosen.
        picker.learn(vec![row(14, "python bb.py"), row(13, "python b.py")]);
        assert_eq!(picker.press(KeyCode::Enter.into()), Outcome::Chosen(14));
        type_text(&mut picker, "x");
        assert_eq!(picker.press(KeyCode::Enter.into()), Outcome::Nothing);
        assert_eq!(picker.press(KeyCode::Esc.into()), Outcome::Nothing);
        assert_eq!(picker.press(KeyCode::Esc.into()), Outcome::Left);
    }
}
