//! The table of what changed between two profiles.

use std::io::{self, Write};

use crate::caption;
use crate::comparison::{Change, SIGNIFICANT, compare};
use crate::fold::Totals;
use crate::options::Options;
use crate::profile::Profile;

/// A change of share below which what is uncertain has no row.
const LEAST: f64 = 0.001;

pub(super) fn write(
    base: &Profile,
    profile: &Profile,
    options: &Options,
    out: &mut dyn Write,
) -> io::Result<()> {
    for (what, shown) in [("before:", base), ("after: ", profile)] {
        let totals = Totals::new(shown, options);
        writeln!(out, "{what} {}", caption::title(shown, options))?;
        writeln!(out, "        {}", caption::subtitle(shown, options, &totals))?;
    }
    let least = options.minimum.max(LEAST);
    let comparison = compare(base, profile, options);
    let (certain, rest): (Vec<&Change>, Vec<&Change>) =
        comparison.changes.iter().partition(|change| change.is_significant());
    let (uncertain, same): (Vec<&Change>, Vec<&Change>) =
        rest.into_iter().partition(|change| change.gain().abs() >= least);
    let of_what = if profile.metadata.rate > 0.0 { "the recorded time" } else { "the samples" };
    rows(
        out,
        &format!("Changed (own share of {of_what}, {} % certain at least)", SIGNIFICANT * 100.0),
        &certain,
    )?;
    rows(out, "May be chance", &uncertain)?;
    writeln!(
        out,
        "\n{}{} {} as before, within {} %",
        if certain.is_empty() { "Nothing has changed for certain. " } else { "" },
        same.len(),
        if same.len() == 1 { "row is" } else { "rows are" },
        least * 100.0
    )
}

fn rows(out: &mut dyn Write, heading: &str, changes: &[&Change]) -> io::Result<()> {
    if changes.is_empty() {
        return Ok(());
    }
    writeln!(out, "\n{heading}")?;
    writeln!(out, "  before %  after %   change       by  certain %   total before, after")?;
    for Change { label, own: [before, after], total, confidence } in changes {
        let percent = |share: f64| share * 100.0;
        let by = match *before > 0.0 {
            true => format!("{:+.0} %", (after / before - 1.0) * 100.0),
            false => "new".to_owned(),
        };
        let certain = confidence.map_or("?".to_owned(), certainty);
        writeln!(
            out,
            "{:>10.2} {:>8.2} {:>+8.2} {by:>8} {certain:>10} {:>8.1} {:>8.1}  {label}",
            percent(*before),
            percent(*after),
            percent(after - before),
            percent(total[0]),
            percent(total[1]),
        )?;
    }
    Ok(())
}

/// Rounded down: what is not quite certain is not called so.
fn certainty(confidence: f64) -> String {
    match (confidence * 1000.0).floor() / 10.0 {
        percent if percent >= 99.9 => ">99.9".to_owned(),
        percent => format!("{percent:.1}"),
    }
}
