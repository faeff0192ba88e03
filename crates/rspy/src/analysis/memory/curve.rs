//! The curve of memory over time, of characters.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::symbols::Marker;
use ratatui::text::Span;
use ratatui::widgets::{Axis, Chart, Dataset, GraphType, Widget};
use rspy_profile::analysis::Moment;

use crate::look::Look;

/// How many lines it takes, with its axis.
const HEIGHT: u16 = 12;

/// What all processes had together, as lines of `width` columns.
pub fn curve(moments: &[Moment], width: usize, look: Look) -> Vec<String> {
    let points: Vec<(f64, f64)> =
        moments.iter().map(|moment| (moment.at, moment.total() as f64 / 1e6)).collect();
    let most = points.iter().map(|(_, size)| *size).fold(0.0, f64::max);
    let end = points.last().map_or(0.0, |(at, _)| *at);
    let top = round_up(most);
    let marker = if look.unicode { Marker::Braille } else { Marker::Dot };
    let data = Dataset::default().marker(marker).graph_type(GraphType::Line).data(&points);
    let labels = [0.0, 0.5, 1.0];
    let sizes = labels.map(|part| Span::raw(format!("{:.0} MB", part * top)));
    let times = labels.map(|part| Span::raw(format!("{:.1} s", part * end)));
    let chart = Chart::new(vec![data])
        .x_axis(Axis::default().bounds([0.0, end.max(1e-3)]).labels(times))
        .y_axis(Axis::default().bounds([0.0, top]).labels(sizes));
    let width = u16::try_from(width).unwrap_or(u16::MAX).min(200);
    let area = Rect::new(0, 0, width, HEIGHT);
    let mut buffer = Buffer::empty(area);
    chart.render(area, &mut buffer);
    let line = |row: u16| {
        let cells = (0..width).map(|column| buffer[(column, row)].symbol().to_owned());
        cells.collect::<String>().trim_end().to_owned()
    };
    (0..HEIGHT).map(line).map(|line| if look.unicode { line } else { ascii(&line) }).collect()
}

/// The next number with one digit that is not zero, or one and a half.
fn round_up(size: f64) -> f64 {
    let unit = 10_f64.powf(size.max(1.0).log10().floor());
    [1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0]
        .into_iter()
        .map(|step| step * unit)
        .find(|round| *round >= size)
        .unwrap_or(size)
}

/// What terminals without more characters have for lines and points.
fn ascii(line: &str) -> String {
    let ascii = |character| match character {
        '│' => '|',
        '─' => '-',
        '└' | '┴' => '+',
        '•' => '*',
        character if character.is_ascii() => character,
        _ => '?',
    };
    line.chars().map(ascii).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_top_is_a_round_number() {
        let tops = [0.0, 1.0, 9.1, 101.0, 1999.0, 2001.0].map(round_up);
        assert_eq!(tops, [1.0, 1.0, 10.0, 150.0, 2000.0, 3000.0]);
    }

    #[test]
    fn a_step_is_seen() {
        let moments: Vec<Moment> = (0..100_u32)
            .map(|at| Moment {
                at: f64::from(at) / 10.0,
                bytes: vec![if at < 50 { 10 } else { 90 } * 1_000_000],
            })
            .collect();
        let lines = curve(&moments, 60, Look { colour: false, unicode: false });
        assert_eq!(lines.len(), usize::from(HEIGHT));
        assert!(lines[0].starts_with("100 MB|"), "{lines:#?}");
        assert!(lines.iter().all(|line| line.is_ascii() && line.len() <= 60));
        let high = lines.iter().take(3).map(|line| line.find('*')).max().flatten();
        assert!(high.is_some_and(|column| column > 25), "{lines:#?}");
    }

    #[test]
    fn nothing_and_no_room_are_shown_as_well() {
        assert_eq!(curve(&[], 5, Look { colour: false, unicode: true }).len(), usize::from(HEIGHT));
        assert_eq!(curve(&[], 0, Look { colour: false, unicode: true })[0], "");
    }
}
