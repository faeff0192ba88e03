//! Text for people: on a terminal as wide as that is, in colours if it has some; whole lines without colours for anything
//! else.

use std::io::{self, BufWriter, IsTerminal, Write};

use anstyle::{AnsiColor, Style};
use serde::Serialize;

use crate::failure::Failure;
use crate::look::Look;

/// Below this width there is no room for more than what matters most of each row.
const NARROW: usize = 60;

/// A place for text, and what can be shown there.
pub struct Page {
    out: Box<dyn Write>,
    /// What characters there are.
    pub look: Look,
    /// How many columns a line has; `None` if it may be of any length.
    pub width: Option<usize>,
}

/// What stands out.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Tone {
    /// A title.
    Title,
    /// What matters less.
    Quiet,
    /// What matters most.
    Hot,
    /// What matters.
    Warm,
    /// All else.
    Plain,
}

impl Page {
    /// The standard output as it is.
    pub fn stdout() -> Page {
        let is_terminal = io::stdout().is_terminal();
        let look = Look::of_environment();
        let width = rustix::termios::tcgetwinsize(io::stdout()).ok().map(|size| usize::from(size.ws_col));
        Page {
            out: Box::new(BufWriter::new(io::stdout().lock())),
            look: Look { colour: look.colour && is_terminal, unicode: look.unicode || !is_terminal },
            // One that does not say how wide it is has no columns.
            width: width.filter(|width| is_terminal && *width > 0),
        }
    }

    /// Another place than the standard output.
    pub fn to(out: impl Write + 'static) -> Page {
        let look = Look { colour: false, unicode: true };
        Page { out: Box::new(BufWriter::new(out)), look, width: None }
    }

    /// Writes a line, as much of it as fits.
    pub fn line(&mut self, tone: Tone, text: &str) -> io::Result<()> {
        let text = match self.width {
            Some(width) => self.look.fit(text, width),
            None => self.look.text(text),
        };
        let style = self.style(tone);
        writeln!(self.out, "{style}{}{style:#}", text.trim_end())
    }

    fn style(&self, tone: Tone) -> Style {
        let colour = |colour: AnsiColor| Style::new().fg_color(Some(colour.into()));
        match tone {
            _ if !self.look.colour => Style::new(),
            Tone::Title => Style::new().bold(),
            Tone::Quiet => Style::new().dimmed(),
            Tone::Hot => colour(AnsiColor::Red).bold(),
            Tone::Warm => colour(AnsiColor::Yellow),
            Tone::Plain => Style::new(),
        }
    }

    /// Whether there is no room for all columns of a table.
    pub fn is_narrow(&self) -> bool {
        self.width.is_some_and(|width| width < NARROW)
    }

    /// How a share of the whole stands out.
    pub fn tone(share: f64) -> Tone {
        match share {
            _ if share >= 0.2 => Tone::Hot,
            _ if share >= 0.05 => Tone::Warm,
            _ => Tone::Plain,
        }
    }

    /// Writes what is left.
    pub fn finish(mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Writes `report` as JSON, to the standard output.
pub fn json(report: &impl Serialize) -> Result<(), Failure> {
    json_to(report, io::stdout().lock()).map_err(|error| Failure::printing(&error))
}

/// Writes `report` as JSON.
pub fn json_to(report: &impl Serialize, out: impl Write) -> io::Result<()> {
    let mut out = BufWriter::new(out);
    serde_json::to_writer_pretty(&mut out, report)?;
    writeln!(out)?;
    out.flush()
}
