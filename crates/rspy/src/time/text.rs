//! What is known of times, for people.

use std::io::{self, Write};

use rspy_profile::analysis::{FunctionTime, Spans};

use super::statistics::{Ratio, Summary};
use super::{Command, Sampled, Several, Single};
use crate::cli::Time;
use crate::progress::grouped;

/// Writes what one run used.
pub fn single(options: &Time, single: &Single, out: &mut impl Write) -> io::Result<()> {
    let Single { command, used, sampled } = single;
    let end = match (used.exit_code, used.signal) {
        (Some(0), _) => String::new(),
        (Some(code), _) => format!(" (exit code {code})"),
        (None, Some(signal)) => format!(" (ended by signal {signal})"),
        (None, None) => String::new(),
    };
    writeln!(out, "{command}{end}")?;
    writeln!(out)?;
    writeln!(out, "  real       {:>10.3} s", used.real)?;
    writeln!(out, "  user       {:>10.3} s", used.user)?;
    writeln!(out, "  system     {:>10.3} s", used.system)?;
    writeln!(out, "  CPU        {:>10.1} %", used.cpu_percent)?;
    let at_most = if used.max_rss_is_bound { "or less, " } else { "" };
    writeln!(out, "  peak RSS   {:>10.1} MB {at_most}of one process", used.max_rss as f64 / 1e6)?;
    if let (Some(rss), Some(processes)) = (used.max_tree_rss, used.processes.filter(|count| *count > 1)) {
        let rss = rss as f64 / 1e6;
        writeln!(out, "             {rss:>10.1} MB of {processes} at once, shared pages counted in each")?;
    }
    writeln!(
        out,
        "  faults     {:>10} without a disk, {} with one",
        grouped(used.minor_faults),
        grouped(used.major_faults)
    )?;
    writeln!(
        out,
        "  switches   {:>10} to wait, {} forced",
        grouped(used.voluntary_switches),
        grouped(used.involuntary_switches)
    )?;
    match sampled {
        Some(sampled) => self::sampled(options, used.real, sampled, out),
        None if options.no_sampling => Ok(()),
        None => writeln!(out, "\nNo Python in it was sampled: nothing is known of functions."),
    }
}

fn sampled(options: &Time, real: f64, sampled: &Sampled, out: &mut impl Write) -> io::Result<()> {
    if let (Some(held), Some(waited)) = (sampled.gil_percent, sampled.gil_wait_percent) {
        writeln!(out, "  GIL        {held:>10.1} % held, {waited:.1} % waited for")?;
    }
    if let Some(gc) = sampled.gc_percent {
        writeln!(out, "  GC         {gc:>10.1} %")?;
    }
    let share = sampled.stopped / real.max(1e-9) * 100.0;
    writeln!(
        out,
        "  sampling   {:>10.1} ms in which a thread was stopped, {share:.2} %",
        sampled.stopped * 1e3
    )?;
    let times = &sampled.times;
    writeln!(out, "\n{}", times.basis.subtitle)?;
    if times.functions.is_empty() {
        return Ok(());
    }
    let limit = if options.limit == 0 { usize::MAX } else { options.limit };
    let shown = times.functions.get(..limit).unwrap_or(&times.functions);
    let has_unknown = shown.iter().any(|function| function.own.unknown >= SHOWN);
    let unknown = if has_unknown { "  either s" } else { "" };
    let last = if has_unknown { "four" } else { "three" };
    writeln!(
        out,
        "\n    own s  total s   user s  kernel s{unknown}  waiting s  function (the last {last} are of own s)"
    )?;
    for FunctionTime { name, own, total } in shown {
        let (user, kernel, waiting) = (own.user, own.kernel, own.waiting);
        let unknown = if has_unknown { format!(" {:>9.3}", own.unknown) } else { String::new() };
        writeln!(
            out,
            "{:>9.3} {:>8.3} {user:>8.3} {kernel:>9.3}{unknown} {waiting:>10.3}  {name}",
            own.all, total.all
        )?;
    }
    if times.functions.len() > limit {
        writeln!(out, "          {} more (--limit 0 shows all)", times.functions.len() - limit)?;
    }
    if !options.function.is_empty() {
        writeln!(out)?;
        spans(&sampled.spans, out)?;
    }
    Ok(())
}

/// The least that three decimals show, in seconds.
const SHOWN: f64 = 0.0005;

fn spans(all: &[Spans], out: &mut impl Write) -> io::Result<()> {
    if all.is_empty() {
        return writeln!(out, "No function of that name was seen.");
    }
    for Spans { name, count, total, total_error, mean, mean_error, range: [shortest, longest] } in all {
        writeln!(out, "{name}")?;
        writeln!(
            out,
            "  seen {} times or more, {total:.3} ± {total_error:.3} s in all; {mean:.4} ± {mean_error:.4} s each, \
             {shortest:.3} to {longest:.3} s",
            grouped(*count)
        )?;
    }
    Ok(())
}

/// Writes how several runs differ.
pub fn several(several: &Several, out: &mut impl Write) -> io::Result<()> {
    for command in &several.commands {
        let Command { command, failures, real, user, system, max_rss, runs } = command;
        let failed = if *failures > 0 { format!(", {failures} failed") } else { String::new() };
        let count = match runs.len() {
            0 => "no run was whole".to_owned(),
            1 => "1 run".to_owned(),
            count => format!("{count} runs"),
        };
        writeln!(out, "{command}  ({count}{failed})")?;
        writeln!(out)?;
        if runs.is_empty() {
            continue;
        }
        writeln!(out, "                minimum     median       mean  deviation    maximum")?;
        let rows = [
            ("real", real, "s", 1.0),
            ("user", user, "s", 1.0),
            ("system", system, "s", 1.0),
            ("RSS", max_rss, "MB", 1e-6),
        ];
        for (name, summary, unit, scale) in rows {
            let Some(summary) = summary else { continue };
            let Summary { minimum, median, mean, deviation, maximum, .. } = summary;
            let figures =
                [minimum, median, mean, deviation, maximum].map(|figure| format!("{:>10.4}", figure * scale));
            writeln!(out, "  {name:<7} {unit:>2} {}", figures.join(" "))?;
        }
        if let Some(outliers) =
            real.as_ref().map(|real| &real.outliers).filter(|outliers| !outliers.is_empty())
        {
            let times: Vec<String> = outliers.iter().map(|time| format!("{time:.4} s")).collect();
            writeln!(out, "  Far from the others: {}", times.join(", "))?;
        }
        if runs.iter().any(|run| run.max_rss_is_bound) {
            writeln!(
                out,
                "  RSS was that or less: the kernel counts rspy's own for a process until it runs its program."
            )?;
        }
        writeln!(out)?;
    }
    match &several.ratio {
        Some(ratio) => writeln!(out, "{}", verdict(ratio)),
        None if several.commands.len() > 1 => writeln!(out, "Too few runs to compare them."),
        None => Ok(()),
    }
}

/// Which one is faster, as far as that is known.
fn verdict(ratio: &Ratio) -> String {
    let Ratio { ratio, interval: [low, high], is_certain } = *ratio;
    match (is_certain, ratio < 1.0) {
        (false, _) => format!(
            "No difference can be told: the first one takes {ratio:.3} times as long as the second one, {low:.3} to \
             {high:.3} with 95 % confidence."
        ),
        (true, false) => format!(
            "The second one is faster: the first one takes {ratio:.3} times as long, {low:.3} to {high:.3} with 95 % \
             confidence."
        ),
        (true, true) => format!(
            "The first one is faster: the second one takes {:.3} times as long, {:.3} to {:.3} with 95 % confidence.",
            1.0 / ratio,
            1.0 / high,
            1.0 / low
        ),
    }
}
