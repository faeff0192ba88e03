//! The flame graph of what changed: as wide as the time after, red where it grew, blue where it shrank.
//!
//! What is no more there has no width; the table shows it.

use std::fmt::Write;
use std::io;

use inferno::flamegraph;
use inferno::flamegraph::color::Color;
use rustc_hash::FxHashMap;

use super::{DEPTH, NARROW, NARROWEST, picture_of};
use crate::caption;
use crate::comparison::compare;
use crate::fold::Totals;
use crate::format::FormatError;
use crate::options::Options;
use crate::profile::Profile;
use crate::tree::Tree;

/// The colours, which are inferno's, and what they say.
const LEGEND: [(Color, &str); 2] = [
    (Color { r: 255, g: 100, b: 100 }, "more of the time than before"),
    (Color { r: 100, g: 100, b: 255 }, "less"),
];

pub(super) fn write(
    base: &Profile,
    profile: &Profile,
    options: &Options,
    writer: &mut dyn io::Write,
) -> Result<(), FormatError> {
    let scale = compare(base, profile, options).scale;
    let mut before: FxHashMap<String, u64> = FxHashMap::default();
    Tree::new(base, options, Some(DEPTH)).visit(|stack, weight| {
        before.insert(stack.to_owned(), (weight as f64 * scale).round() as u64);
        Ok::<(), io::Error>(())
    })?;
    let totals = Totals::new(profile, options);
    let mut tree = Tree::new(profile, options, Some(DEPTH));
    tree.prune_by(options);
    tree.prune(tree.total().div_ceil(NARROWEST), NARROW);
    let mut lines = String::new();
    tree.visit(|stack, weight| {
        writeln!(lines, "{stack} {} {weight}", before.get(stack).copied().unwrap_or_default())
    })
    .map_err(io::Error::other)?;

    let mut picture = flamegraph::Options::default();
    picture.title = caption::title(profile, options);
    picture.subtitle = Some(format!(
        "{} · compared with {}",
        caption::subtitle(profile, options, &totals),
        caption::title(base, &Options { title: None, ..options.clone() }),
    ));
    if lines.is_empty() {
        let reason = super::empty::write(
            &picture.title,
            picture.subtitle.as_deref().unwrap_or(""),
            options,
            &totals,
            writer,
        );
        return Ok(reason?);
    }
    picture_of(picture, options.view, &lines, &LEGEND, writer)
}
