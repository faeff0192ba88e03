//! What a recording was made of, and what it cost: counted as it goes, told by `--stats`.

use std::fmt::{self, Display, Formatter};

use rspy_process::stop::StopStats;
use rspy_profile::Lost;

use crate::costs::Spent;
use crate::progress::grouped;
use crate::session::{Summary, Sums};

/// Counts of one recording.
#[derive(Copy, Clone, Debug, Default)]
pub struct Counts {
    /// Passes over the threads.
    pub passes: u64,
    /// Stops that were made again, since they landed in an instant of which nothing can be said.
    pub rounds: u64,
    /// Passes given up because rspy lost its CPU in the middle of the read.
    pub preempted: u64,
    /// Code objects that turned out to be others by now.
    pub refuted: u64,
}

impl Counts {
    /// Adds those of another process.
    pub fn add(&mut self, other: &Counts) {
        self.passes += other.passes;
        self.rounds += other.rounds;
        self.preempted += other.preempted;
        self.refuted += other.refuted;
    }
}

/// What `--stats` tells of a recording: a few lines, each of which begins with what it is about.
pub struct Stats<'r> {
    /// What the sampling loop counted.
    pub summary: &'r Summary,
    /// What rspy has used.
    pub spent: Spent,
    /// Samples that were recorded.
    pub samples: u64,
    /// Those of them whose innermost frames are unknown.
    pub cut: u64,
    /// Those that could not be taken.
    pub lost: &'r Lost,
}

/// How wide the column of subjects is.
const SUBJECT: usize = 10;

impl Display for Stats<'_> {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        let Sums { stops, counts, usage, work, suspensions } = self.summary.sums;
        line(out, "itself", &self.spent)?;
        if self.samples > 0 {
            let per_sample = |all: f64| all / self.samples as f64;
            let cpu = per_sample(self.spent.cpu.as_secs_f64() * 1e6);
            let calls = per_sample(usage.calls as f64);
            let bytes = grouped(per_sample(usage.bytes as f64) as u64);
            line(
                out,
                "a sample",
                format_args!("{cpu:.1} µs of CPU; {calls:.2} system calls to read {bytes} bytes"),
            )?;
        }
        let (samples, passes) = (grouped(self.samples), grouped(counts.passes));
        line(out, "samples", format_args!("{samples} in {passes} passes over the threads"))?;
        let (again, unknown) = (grouped(work.surprises), grouped(work.unknown));
        line(out, "", format_args!("{again} took a second read, {unknown} with nothing known"))?;
        let frames = work.kept + work.decoded;
        let kept = work.kept as f64 / frames.max(1) as f64 * 100.0;
        let (old, new) = (grouped(work.kept), grouped(work.decoded));
        line(out, "frames", format_args!("{old} kept, {new} decoded: {kept:.1} % kept"))?;
        let (total, longest) = (stops.total.as_secs_f64() * 1e3, stops.max.as_secs_f64() * 1e3);
        let number = grouped(stops.count);
        line(out, "stops", format_args!("{number}, {total:.1} ms in all, {longest:.2} ms at most"))?;
        let (again, late) = (grouped(counts.rounds), grouped(stops.late));
        let suspended = grouped(suspensions);
        line(out, "", format_args!("{again} made again, {late} late, suspended: {suspended}"))?;
        line(out, "cut", format_args!("{}", grouped(self.cut)))?;
        line(out, "lost", format_args!("{}", grouped(self.lost.total())))?;
        for (reason, count) in self.lost.iter() {
            line(out, "", format_args!("{} {reason}", grouped(count)))?;
        }
        let passed = grouped(self.summary.missed.saturating_sub(counts.preempted));
        let interrupted = grouped(counts.preempted);
        line(out, "missed", format_args!("{passed} deadlines passed, {interrupted} reads interrupted"))?;
        let refuted = grouped(counts.refuted);
        write!(out, "{:SUBJECT$}{refuted} refuted: the object had become another", "code")
    }
}

fn line(out: &mut Formatter<'_>, subject: &str, text: impl Display) -> fmt::Result {
    writeln!(out, "{subject:SUBJECT$}{text}")
}

impl Summary {
    /// What it came to, in a line.
    pub fn in_a_line(&self, samples: u64, lost: u64, cut: u64) -> String {
        format!(
            "{} samples, {} lost, {} cut, {} missed in {:.1} s; {}",
            grouped(samples),
            grouped(lost),
            grouped(cut),
            grouped(self.missed),
            self.duration.as_secs_f64(),
            describe(&self.sums.stops, self.sums.suspensions),
        )
    }
}

fn describe(stops: &StopStats, suspensions: u64) -> String {
    if stops.count == 0 {
        return "the target was never stopped".to_owned();
    }
    let late = if stops.late == 0 { String::new() } else { format!(", {} late", grouped(stops.late)) };
    let suspended = match suspensions {
        0 => "",
        1 => "; stopping was suspended once",
        _ => "; stopping was suspended now and then",
    };
    format!(
        "{} stops of {:.1} ms in all, {:.2} ms at most{late}{suspended}",
        grouped(stops.count),
        stops.total.as_secs_f64() * 1e3,
        stops.max.as_secs_f64() * 1e3,
    )
}

#[cfg(test)]
mod tests {
    use rspy_profile::LostReason;

    use std::time::Duration;

    use rspy_cpython::sampling::Work;
    use rspy_process::Usage;
    use rspy_process::stop::StopStats;

    use super::*;
    use crate::session::End;

    fn summary(scale: u64) -> Summary {
        Summary {
            end: End::Elapsed,
            duration: Duration::from_secs(5),
            missed: 12 * scale,
            sums: Sums {
                stops: StopStats {
                    count: 4_997 * scale,
                    total: Duration::from_micros(330_900 * scale),
                    max: Duration::from_micros(130 * scale),
                    late: 2 * scale,
                    refused: 0,
                },
                suspensions: scale,
                counts: Counts {
                    passes: 5_000 * scale,
                    rounds: 3 * scale,
                    preempted: 2 * scale,
                    refuted: scale,
                },
                usage: Usage { calls: 6_000 * scale, bytes: 4_000_000 * scale },
                work: Work {
                    kept: 59_000 * scale,
                    decoded: 1_000 * scale,
                    surprises: 40 * scale,
                    unknown: scale,
                },
            },
        }
    }

    fn spent(scale: u32) -> Spent {
        Spent {
            elapsed: Duration::from_secs(5),
            cpu: Duration::from_millis(50) * scale,
            memory: Some(10_000 * u64::from(scale)),
        }
    }

    #[test]
    fn every_figure_has_its_place() {
        let mut lost = Lost::default();
        lost.add(LostReason::Inconsistent, 3);
        lost.add(LostReason::Unreadable, 1);
        lost.add(LostReason::Dropped, 1);
        let stats = Stats { summary: &summary(1), spent: spent(1), samples: 5_000, cut: 7, lost: &lost };
        let expected = "\
itself    0.05 s of CPU, 1.0 % of one; 10.2 MB of memory at most
a sample  10.0 µs of CPU; 1.20 system calls to read 800 bytes
samples   5,000 in 5,000 passes over the threads
          40 took a second read, 1 with nothing known
frames    59,000 kept, 1,000 decoded: 98.3 % kept
stops     4,997, 330.9 ms in all, 0.13 ms at most
          3 made again, 2 late, suspended: 1
cut       7
lost      5
          1 memory unreadable
          3 inconsistent stack
          1 recorded too slowly
missed    10 deadlines passed, 2 reads interrupted
code      1 refuted: the object had become another";
        assert_eq!(stats.to_string(), expected);
    }

    #[test]
    fn large_figures_fit_eighty_columns() {
        let mut lost = Lost::default();
        lost.add(LostReason::Unreadable, 1_000_000_000);
        // More than a week at 100 kHz.
        let (scale, samples) = (10_000_000, 50_000_000_000);
        let stats =
            Stats { summary: &summary(scale), spent: spent(1_000_000), samples, cut: samples, lost: &lost };
        for line in stats.to_string().lines() {
            assert!(line.chars().count() <= 80, "{line}");
        }
    }

    #[test]
    fn a_recording_without_samples_has_no_figures_of_one() {
        let nothing = Summary { missed: 0, sums: Sums::default(), ..summary(0) };
        let stats = Stats { summary: &nothing, spent: spent(0), samples: 0, cut: 0, lost: &Lost::default() };
        let text = stats.to_string();
        assert!(!text.contains("a sample") && !text.contains("NaN"), "{text}");
    }
}
