//! The thread that draws and listens to keys, while another one samples.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill, raise};
use nix::unistd::Pid;
use ratatui::crossterm::event::{self, Event, KeyEventKind};

use super::feed::Shared;
use super::keys::{self, Order};
use super::state::State;
use super::ui::Ui;
use super::view;
use crate::clock::Rate;
use crate::session::Live;
use crate::terminal::Taken;

/// How soon it is seen that it is over.
const LOOK: Duration = Duration::from_millis(100);

/// The highest and lowest rate that keys lead to.
const RATES: (f64, f64) = (1.0, 20_000.0);

/// What draws.
pub struct Screen {
    /// The terminal.
    pub taken: Taken,
    /// What is seen.
    pub ui: Ui,
    /// What was known when it was held.
    pub held: Option<Box<State>>,
    /// What is known.
    pub shared: Arc<Shared>,
    /// What the sampling shares.
    pub live: Arc<Live>,
    /// How often it is drawn.
    pub delay: Duration,
    /// It is to end.
    pub is_over: Arc<AtomicBool>,
}

impl Screen {
    /// Draws until the user has seen enough, or it is over. An error is that the terminal is gone.
    pub fn run(&mut self) -> io::Result<()> {
        let mut drawn: Option<Instant> = None;
        while !self.is_over.load(Ordering::Relaxed) {
            let due = drawn.map_or(Duration::ZERO, |drawn| self.delay.saturating_sub(drawn.elapsed()));
            if due.is_zero() {
                self.draw()?;
                drawn = Some(Instant::now());
                continue;
            }
            self.taken.wait(due.min(LOOK))?;
            // What is typed at once is drawn at once.
            while event::poll(Duration::ZERO)? {
                if self.serve(&event::read()?) {
                    return Ok(());
                }
                drawn = None;
            }
        }
        Ok(())
    }

    fn draw(&mut self) -> io::Result<()> {
        if let Some(told) = self.shared.told() {
            self.ui.message = Some(told);
        }
        let Screen { taken, ui, shared, held, .. } = self;
        match held {
            Some(held) => taken.draw(|frame| view::draw(frame, held, ui)),
            None => {
                let state = shared.state();
                taken.draw(|frame| view::draw(frame, &state, ui))
            }
        }
    }

    /// Does what an event asks for. Answers whether to end.
    fn serve(&mut self, event: &Event) -> bool {
        let Screen { taken, ui, shared, live, held, .. } = self;
        let order = {
            let current;
            let state = match held {
                Some(held) => &**held,
                None => {
                    current = shared.state();
                    &*current
                }
            };
            match event {
                Event::Key(key) if key.kind != KeyEventKind::Release => keys::press(ui, state, *key),
                Event::Mouse(mouse) => keys::point(ui, state, *mouse),
                Event::Resize(..) => Order::Redraw,
                _ => Order::Nothing,
            }
        };
        match order {
            Order::Nothing => {}
            Order::Quit => {
                // As Control-C does where the terminal is not rspy's: it ends the wait for the next sample.
                let _ = raise(Signal::SIGINT);
                return true;
            }
            // As the terminal does: to all of its foreground, so a program that was started stops, too.
            Order::Suspend => drop(kill(Pid::from_raw(0), Signal::SIGTSTP)),
            Order::Redraw => taken.forget(),
            Order::Reset => shared.state().sums.reset(),
            Order::Hold => {
                *held = match held {
                    Some(_) => None,
                    None => Some(Box::new(shared.state().clone())),
                };
                ui.is_held = held.is_some();
            }
            Order::Write(wish) => shared.wish(wish),
            Order::Faster(is_faster) => {
                let now = live.rate().hertz();
                let next = if is_faster { now * 2.0 } else { now / 2.0 };
                // As often as can be stays so, and what was asked for beyond the ends is not brought back.
                if now > 0.0 && (RATES.0..=RATES.1).contains(&next) {
                    live.set_rate(Rate::Hz(next));
                }
            }
        }
        false
    }
}
