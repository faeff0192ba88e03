//! The terminal while it is rspy's: taken, and given back as it was, however rspy ends.

use std::io::{self, IsTerminal, Stdout, stdin, stdout};
use std::panic;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::cursor::Show;
use ratatui::crossterm::event::{self, DisableMouseCapture, EnableMouseCapture};
use ratatui::crossterm::execute;
use ratatui::crossterm::terminal::{
    EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use crate::failure::Failure;
use crate::signals::Screen;

/// Whose the terminal is. Drawing holds it, so that nothing is drawn after the terminal was given back.
static STATE: Mutex<Whose> = Mutex::new(Whose::Shell);

/// Whose the terminal is.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum Whose {
    /// As it was found.
    Shell,
    /// rspy's.
    Ours { is_new: bool },
    /// Given back while rspy is suspended.
    Lent,
}

/// The terminal as rspy's.
pub struct Taken {
    /// What draws on it.
    pub terminal: Terminal<CrosstermBackend<Stdout>>,
    /// What is typed comes by stdin; else it is read from the terminal by another way.
    is_stdin: bool,
}

/// How the terminal is lent while rspy is suspended.
pub const SCREEN: Screen = Screen { leave: lend, enter: take_again };

impl Taken {
    /// Takes the terminal. It is given back when this is dropped, or before a panic is told.
    pub fn take() -> Result<Taken, Failure> {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            give_back(&mut state());
            before(info);
        }));
        let taken = enter(&mut state()).and_then(|()| Terminal::new(CrosstermBackend::new(stdout())));
        match taken {
            Ok(terminal) => Ok(Taken { terminal, is_stdin: stdin().is_terminal() }),
            Err(error) => {
                give_back(&mut state());
                Err(Failure::no_terminal(&error))
            }
        }
    }

    /// Draws, unless the terminal is lent.
    pub fn draw(&mut self, draw: impl FnOnce(&mut ratatui::Frame)) -> io::Result<()> {
        let mut state = state();
        if let Whose::Ours { is_new } = &mut *state {
            if std::mem::take(is_new) {
                self.terminal.clear()?;
            }
            self.terminal.draw(draw)?;
        }
        Ok(())
    }

    /// Waits until something has been typed, `limit` at most; an error is that the terminal is gone. Crossterm would read the end of
    /// its input for ever.
    pub fn wait(&self, limit: Duration) -> io::Result<()> {
        if !self.is_stdin {
            return event::poll(limit).map(drop);
        }
        let input = stdin();
        let mut input = [PollFd::new(&input, PollFlags::IN)];
        let limit = Timespec::try_from(limit).ok();
        match poll(&mut input, limit.as_ref()) {
            Ok(_) if input[0].revents().intersects(PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL) => {
                Err(io::ErrorKind::NotConnected.into())
            }
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Draws everything anew next time.
    pub fn forget(&self) {
        if let Whose::Ours { is_new } = &mut *state() {
            *is_new = true;
        }
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        give_back(&mut state());
    }
}

fn state() -> MutexGuard<'static, Whose> {
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn enter(state: &mut Whose) -> io::Result<()> {
    // Said first: what fails half way is given back as well.
    *state = Whose::Ours { is_new: true };
    enable_raw_mode()?;
    execute!(stdout(), EnterAlternateScreen, EnableMouseCapture)
}

fn leave() {
    // Of a terminal that is gone nothing can be given back.
    let _ = execute!(stdout(), DisableMouseCapture, LeaveAlternateScreen, Show);
    let _ = disable_raw_mode();
}

fn give_back(state: &mut Whose) {
    if matches!(std::mem::replace(state, Whose::Shell), Whose::Ours { .. }) {
        leave();
    }
}

fn lend() {
    let mut state = state();
    if matches!(*state, Whose::Ours { .. }) {
        *state = Whose::Lent;
        leave();
    }
}

fn take_again() {
    let mut state = state();
    if *state == Whose::Lent {
        // One that cannot be drawn on any more shows at the next drawing.
        let _ = enter(&mut state);
    }
}

#[cfg(test)]
mod tests {
    use ratatui::style::Style;
    use rspy_tests::terminal;

    use super::*;

    #[test]
    #[ignore = "the next test runs it, in a terminal of its own"]
    fn panics() {
        let mut taken = Taken::take().expect("a terminal");
        let drawn = taken.draw(|frame| frame.buffer_mut().set_string(0, 0, "drawn", Style::new()));
        drawn.expect("a terminal");
        panic!("with the terminal taken");
    }

    #[test]
    fn a_panic_is_told_on_the_terminal_as_it_was() {
        let terminal = terminal::Terminal::start((100, 24), &[]).expect("tmux");
        let this = std::env::current_exe().expect("this test");
        // What is typed does not say itself what is waited for.
        let line = format!(
            "stty -g > before; {} --exact terminal::tests::panics --ignored --nocapture; stty -g > after; cmp before after && echo left-as-''it-was",
            this.display()
        );
        terminal.run(&line).expect("tmux");
        let screen = terminal.wait_for("left-as-it-was").expect("the terminal as it was");
        assert!(screen.contains("with the terminal taken") && !screen.contains("drawn"), "{screen}");
    }
}
