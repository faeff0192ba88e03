//! A flame graph as an SVG file that answers clicks (zoom), hovering (name, samples, percent) and
//! Ctrl-F (search) in any browser, without further files.
//!
//! Callers are above what they call, or below ([`View`]), and each is as wide as the time spent in it and below it.
//! Colours say whose code it is (see `palette`). `inferno` draws; this module decides what:
//!
//! - a frame narrower than 0.1 % of the picture, two pixels of a wide screen, is left blank, and
//!   outermost frames that narrow are gathered in one, `[under 0.1 %]`. So 100,000 distinct stacks
//!   still give a file of a few megabytes that a browser opens at once;
//! - of a stack deeper than 512 frames the outermost 384 and the innermost 127 are drawn around
//!   one frame that says so. So a picture is at most some 8,300 pixels high, and shows both the way
//!   into a recursion and what it does at its end;
//! - a profile without samples gives a picture that says so, and why.

mod changes;
mod empty;
mod growth;
mod palette;
mod time;

use std::fmt::Write;
use std::io;

use inferno::flamegraph::color::{BackgroundColor, Color, PaletteMap};
use inferno::flamegraph::{self, Direction, TextTruncateDirection};

use super::{About, Format, FormatError};
use crate::caption;
use crate::fold::Totals;
use crate::options::{Options, View};
use crate::profile::Profile;
use crate::tree::{DepthLimit, Tree};

/// The share of the picture below which a frame is not drawn: one in so many.
const NARROWEST: u64 = 1000;

/// The label of outermost frames narrower than that.
const NARROW: &str = "[under 0.1 %]";

/// How much of a deep stack is drawn.
const DEPTH: DepthLimit = DepthLimit { outer: 384, inner: 127, label: "[middle of a deep stack: not drawn]" };

/// A flame graph in an SVG file.
#[derive(Clone, Copy, Debug)]
pub struct Flamegraph;

impl Format for Flamegraph {
    fn about(&self) -> About {
        About {
            name: "flamegraph",
            extension: "svg",
            description: "flame graph, an SVG picture to zoom and search in any browser",
            content: "flamegraph data",
            compares: true,
            ..About::default()
        }
    }

    fn write_changes(
        &self,
        base: &Profile,
        profile: &Profile,
        options: &Options,
        writer: &mut dyn io::Write,
    ) -> Result<(), FormatError> {
        changes::write(base, profile, options, writer)
    }

    fn write(
        &self,
        profile: &Profile,
        options: &Options,
        writer: &mut dyn io::Write,
    ) -> Result<(), FormatError> {
        let totals = Totals::new(profile, options);
        let title = caption::title(profile, options);
        let subtitle = caption::subtitle(profile, options, &totals);
        let mut palette = palette::of_all();
        let lines = match options.view {
            View::Time => time::lines(profile, options, &mut palette),
            View::Icicle | View::Flame => lines(profile, options, &mut palette),
        };
        if lines.is_empty() {
            return Ok(empty::write(&title, &subtitle, options, &totals, writer)?);
        }
        let mut picture = flamegraph::Options::default();
        picture.title = title;
        picture.subtitle = Some(subtitle);
        picture.palette_map = Some(&mut palette);
        picture_of(picture, options.view, &lines, &palette::legend(), writer)
    }
}

/// A flame graph of something else than samples: `stacks` from the outside in, each with how much of `unit` is its own.
///
/// # Errors
///
/// If it cannot be written.
pub fn flamegraph_of<'s>(
    title: String,
    subtitle: String,
    unit: &str,
    stacks: impl IntoIterator<Item = (&'s [String], u64)>,
    writer: &mut dyn io::Write,
) -> Result<(), FormatError> {
    // What folded stacks are separated by may be in a name.
    let clean = |name: &String| name.replace([';', '\n', '\r'], " ");
    let line = |(stack, own): (&[String], u64)| {
        format!("{} {own}\n", stack.iter().map(clean).collect::<Vec<_>>().join(";"))
    };
    let mut lines: Vec<String> = stacks.into_iter().map(line).collect();
    lines.sort_unstable();
    let mut picture = flamegraph::Options::default();
    picture.title = title;
    picture.subtitle = Some(subtitle);
    picture.count_name = unit.to_owned();
    picture.hash = true;
    picture_of(picture, View::Icicle, &lines.concat(), &[], writer)
}

/// All stacks as folded text, and the colours of what is in them.
fn lines(profile: &Profile, options: &Options, palette: &mut PaletteMap) -> String {
    let mut tree = Tree::new(profile, options, Some(DEPTH));
    tree.prune_by(options);
    tree.prune(tree.total().div_ceil(NARROWEST), NARROW);
    palette::add(palette, profile, &tree);
    let mut lines = String::new();
    tree.visit(|stack, weight| writeln!(lines, "{stack} {weight}")).expect("writing to a String");
    lines
}

/// The picture of `lines`, with the meanings of its colours below.
fn picture_of(
    mut picture: flamegraph::Options,
    view: View,
    lines: &str,
    legend: &[(Color, &str)],
    writer: &mut dyn io::Write,
) -> Result<(), FormatError> {
    picture.direction = match view {
        View::Flame => Direction::Straight,
        View::Icicle | View::Time => Direction::Inverted,
    };
    picture.text_truncate_direction = TextTruncateDirection::Right;
    picture.bgcolors = Some(BackgroundColor::Flat(palette::BACKGROUND));
    // The tree is pruned already, and in an order that keeps common callers together, which
    // sorting its lines as text would not: as a "flame chart" inferno takes the order as it is,
    // last line first.
    picture.min_width = 0.0;
    picture.flame_chart = true;
    let mut svg = Vec::new();
    flamegraph::from_lines(&mut picture, lines.lines().rev(), &mut svg)?;

    let body = svg.strip_suffix(b"</svg>").unwrap_or(&svg);
    writer.write_all(body)?;
    writer.write_all(below(legend).as_bytes())?;
    writer.write_all(b"</svg>")?;
    writer.flush()?;
    Ok(())
}

/// A line below the frames that explains the colours, and what inferno's style lacks: a search
/// button that can be seen, and a border between siblings of one colour.
fn below(legend: &[(Color, &str)]) -> String {
    let border = palette::BACKGROUND;
    let mut text = format!(
        "<style type=\"text/css\">\
         #search {{ opacity:0.6; }} \
         #legend {{ fill:rgb(110,110,110); }} \
         #frames rect {{ stroke:{border}; stroke-width:0.5; }} \
         #frames > *:hover rect {{ stroke:black; }}\
         </style><text id=\"legend\" x=\"10\" y=\"100%\" dy=\"-7\">",
    );
    for (color, meaning) in legend {
        write!(text, "<tspan fill=\"{color}\">■</tspan> {meaning}  ").expect("writing to a String");
    }
    text + "</text>"
}
