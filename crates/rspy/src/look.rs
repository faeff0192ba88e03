//! What the terminal can show: colours, and letters beyond ASCII.

use ratatui::style::{Color, Modifier, Style};

/// What the terminal can show.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Look {
    /// Colours.
    pub colour: bool,
    /// Letters beyond ASCII.
    pub unicode: bool,
}

/// Bars of eight heights, and what stands for them in ASCII.
const BARS: [&str; 8] = ["▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"];
const ASCII_BARS: [&str; 8] = ["_", ".", ":", "-", "=", "+", "*", "#"];

impl Look {
    /// What the environment says.
    pub fn of_environment() -> Look {
        let set = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        let locale = set("LC_ALL").or_else(|| set("LC_CTYPE")).or_else(|| set("LANG")).unwrap_or_default();
        let locale = locale.to_ascii_lowercase();
        Look {
            colour: set("NO_COLOR").is_none() && set("TERM").is_none_or(|terminal| terminal != "dumb"),
            unicode: locale.contains("utf-8") || locale.contains("utf8"),
        }
    }

    /// A bar of this part of the whole height.
    pub fn bar(&self, part: f64) -> &'static str {
        let bars = if self.unicode { BARS } else { ASCII_BARS };
        // Out of range and no number at all is nearest the ends.
        bars[((part * 8.0) as usize).min(7)]
    }

    /// `text` in at most `width` columns, of characters that the terminal has.
    pub fn fit(&self, text: &str, width: usize) -> String {
        let text = self.text(text);
        if columns(&text) <= width {
            return text;
        }
        let ellipsis = if self.unicode { "…" } else { "~" };
        let mut fitting = String::new();
        let mut used = 0;
        for character in text.chars() {
            used += columns(character.encode_utf8(&mut [0; 4]));
            if used + 1 > width {
                break;
            }
            fitting.push(character);
        }
        if width > 0 {
            fitting.push_str(ellipsis);
        }
        fitting
    }

    /// `text` of characters that the terminal has, and that do not act on it.
    pub fn text(&self, text: &str) -> String {
        let shown = |character: char| match character {
            _ if character.is_control() => '?',
            _ if !self.unicode && !character.is_ascii() => '?',
            _ => character,
        };
        text.chars().map(shown).collect()
    }

    /// What is chosen.
    pub fn selected(&self) -> Style {
        Style::new().add_modifier(Modifier::REVERSED)
    }

    /// What columns are called.
    pub fn heading(&self) -> Style {
        self.coloured(Color::Cyan).add_modifier(Modifier::BOLD)
    }

    /// What matters less.
    pub fn quiet(&self) -> Style {
        self.coloured(Color::DarkGray)
    }

    /// What is to be noticed.
    pub fn notice(&self) -> Style {
        self.coloured(Color::Yellow).add_modifier(Modifier::BOLD)
    }

    /// A share of the time, in per cent.
    pub fn share(&self, percent: f64) -> Style {
        match percent {
            _ if percent >= 50.0 => self.coloured(Color::Red),
            _ if percent >= 10.0 => self.coloured(Color::Yellow),
            _ if percent >= 1.0 => self.coloured(Color::Green),
            _ => Style::new(),
        }
    }

    /// The colour of a frame in the flame graph: the same for the same function.
    pub fn frame(&self, index: usize, is_root: bool) -> Style {
        const WARM: [Color; 4] = [Color::Red, Color::Yellow, Color::LightRed, Color::LightYellow];
        match (self.colour, is_root) {
            (false, _) => Style::new(),
            (true, true) => Style::new().bg(Color::Gray).fg(Color::Black),
            (true, false) => Style::new().bg(WARM[index % WARM.len()]).fg(Color::Black),
        }
    }

    fn coloured(&self, colour: Color) -> Style {
        if self.colour { Style::new().fg(colour) } else { Style::new() }
    }
}

/// How many columns `text` takes on a terminal.
pub fn columns(text: &str) -> usize {
    ratatui::text::Span::raw(text).width()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_fits_by_columns() {
        let look = Look { colour: false, unicode: true };
        assert_eq!(look.fit("größer", 6), "größer");
        assert_eq!(look.fit("größer", 5), "größ…");
        assert_eq!(look.fit("文件.py", 5), "文件…");
        assert_eq!(look.fit("a\x1bb", 5), "a?b");
        assert_eq!(look.fit("ab", 0), "");
        let ascii = Look { unicode: false, ..look };
        assert_eq!(ascii.fit("größer", 5), "gr??~");
    }

    #[test]
    fn bars_are_as_high_as_their_part() {
        let look = Look { colour: false, unicode: false };
        assert_eq!([0.0, 0.5, 1.0, 7.0, f64::NAN].map(|part| look.bar(part)), ["_", "=", "#", "#", "_"]);
    }
}
