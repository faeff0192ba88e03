//! What each thread and process has done, counted while it is sampled: shares of its time on a CPU, with
//! the GIL, waiting for it, and collecting garbage.

use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::names::without_directory;
use crate::progress::grouped;

/// What was counted of one thread.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// How often it was looked at.
    pub looks: u64,
    /// How often it held the GIL; `None` where there is none, or it is not known who holds it.
    pub holds_gil: Option<u64>,
    /// How often it waited for the GIL; `None` where that is not known.
    pub waits_for_gil: Option<u64>,
    /// How often it was collecting garbage; `None` where that is not known.
    pub collects: Option<u64>,
    /// Its time on a CPU since it was first seen, as the scheduler counts it; `None` if it does not.
    pub cpu: Option<Duration>,
    /// From when it was first seen to when it was last seen.
    pub seen: Duration,
}

/// What was counted of one process.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct ProcessCounted {
    /// How long it was recorded.
    pub seen: Duration,
    /// The time of all its threads on CPUs since then; `None` if the kernel does not tell.
    pub cpu: Option<Duration>,
    /// Most memory that was resident at any time of its life, in bytes.
    pub max_rss: Option<u64>,
}

/// What a thread does at one look.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Doing {
    /// It holds the GIL; `None` as in [`Counted`].
    pub holds_gil: Option<bool>,
    /// It waits for the GIL.
    pub waits_for_gil: Option<bool>,
    /// It collects garbage.
    pub collects: Option<bool>,
}

impl Counted {
    /// Counts a look that stands for so many `passes`. Who waits for the GIL is asked thread by thread: it stands for
    /// `weight` looks, none of them where the thread was passed over.
    pub fn look(&mut self, doing: Doing, passes: u32, weight: u32) {
        self.looks += u64::from(passes);
        let add = |count: &mut Option<u64>, is_so: Option<bool>, weight: u32| {
            if let Some(is_so) = is_so {
                *count.get_or_insert(0) += u64::from(is_so) * u64::from(weight);
            }
        };
        add(&mut self.holds_gil, doing.holds_gil, passes);
        add(&mut self.waits_for_gil, doing.waits_for_gil, weight);
        add(&mut self.collects, doing.collects, passes);
    }

    /// Adds what was counted of the same thread at another time.
    pub fn add(&mut self, other: &Counted) {
        let sum = |one: Option<u64>, other: Option<u64>| match (one, other) {
            (Some(one), Some(other)) => Some(one + other),
            (one, other) => one.or(other),
        };
        *self = Counted {
            looks: self.looks + other.looks,
            holds_gil: sum(self.holds_gil, other.holds_gil),
            waits_for_gil: sum(self.waits_for_gil, other.waits_for_gil),
            collects: sum(self.collects, other.collects),
            cpu: match (self.cpu, other.cpu) {
                (Some(one), Some(other)) => Some(one + other),
                (one, other) => one.or(other),
            },
            seen: self.seen + other.seen,
        };
    }
}

/// When something was first and last seen, and the time on a CPU at both.
#[derive(Copy, Clone, Debug)]
pub struct Span {
    first: (Instant, Option<Duration>),
    last: (Instant, Option<Duration>),
}

impl Span {
    /// Seen at `now` for the first time, with this much time on a CPU.
    pub fn new(now: Instant, cpu: Option<Duration>) -> Span {
        Span { first: (now, cpu), last: (now, cpu) }
    }

    /// Seen again.
    pub fn extend(&mut self, now: Instant, cpu: Option<Duration>) {
        self.last = (now, cpu.or(self.last.1));
    }

    /// How long it was seen.
    pub fn seen(&self) -> Duration {
        self.last.0.saturating_duration_since(self.first.0)
    }

    /// Its time on a CPU in between.
    pub fn cpu(&self) -> Option<Duration> {
        Some(self.last.1?.saturating_sub(self.first.1?))
    }
}

/// The figures of a recording: of each process, and of each thread in it.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Figures {
    /// The processes, in the order they were met.
    pub processes: Vec<ProcessFigures>,
}

/// The figures of one process.
#[derive(Clone, Debug, Serialize)]
pub struct ProcessFigures {
    /// Its id.
    pub pid: u32,
    /// The id of the Python process above it, if that is recorded too.
    pub parent: Option<u32>,
    /// Its command line; the last one if it has replaced itself by other programs (`exec`).
    pub command_line: String,
    /// How long it was recorded, in seconds.
    pub seconds: f64,
    /// Time on CPUs while it was recorded, in per cent of one CPU.
    pub cpu_percent: Option<f64>,
    /// Most memory that was resident at any time of its life, in bytes.
    pub max_rss: Option<u64>,
    /// The samples of it in the recording.
    pub samples: u64,
    /// The samples of it that could not be taken, by reason, beside those that show it in their stack.
    pub lost: BTreeMap<String, u64>,
    /// Its threads, in the order they were met.
    pub threads: Vec<ThreadFigures>,
}

/// The figures of one thread; shares are of the time from when it was first seen to when it was last seen.
#[derive(Clone, Debug, Serialize)]
pub struct ThreadFigures {
    /// The kernel's id.
    pub os_thread_id: Option<u32>,
    /// What `threading.get_ident()` returns.
    pub thread_id: Option<u64>,
    /// Its name.
    pub name: Option<String>,
    /// How long it was seen, in seconds.
    pub seconds: f64,
    /// On a CPU.
    pub cpu_percent: Option<f64>,
    /// Held the GIL; `null` where there is none, or it is not known who holds it.
    pub gil_percent: Option<f64>,
    /// Waited for the GIL.
    pub gil_wait_percent: Option<f64>,
    /// Collected garbage.
    pub gc_percent: Option<f64>,
    /// The samples of it in the recording.
    pub samples: u64,
}

impl ThreadFigures {
    /// What was `counted` of a thread.
    pub fn new(
        (os_thread_id, thread_id): (Option<u32>, Option<u64>),
        name: Option<String>,
        counted: &Counted,
        samples: u64,
    ) -> ThreadFigures {
        // What stands for several looks can come to more than there were.
        let share = |count: Option<u64>| {
            count.map(|count| percent(count.min(counted.looks) as f64, counted.looks as f64))
        };
        ThreadFigures {
            os_thread_id,
            thread_id,
            name,
            seconds: counted.seen.as_secs_f64(),
            cpu_percent: counted.cpu.map(|cpu| percent(cpu.as_secs_f64(), counted.seen.as_secs_f64())),
            gil_percent: share(counted.holds_gil),
            gil_wait_percent: share(counted.waits_for_gil),
            gc_percent: share(counted.collects),
            samples,
        }
    }

    /// What is to be called busiest.
    fn weight(&self) -> f64 {
        let most = [self.cpu_percent, self.gil_percent, self.gil_wait_percent].into_iter().flatten();
        most.fold(0.0, f64::max) * self.seconds
    }
}

/// `part` of `whole`, in per cent.
pub fn percent(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { part / whole * 100.0 } else { 0.0 }
}

/// Most rows of a table in a summary: who wants all of them asks for the JSON.
const MOST_ROWS: usize = 10;

/// The widest that a name may be in a table.
const WIDEST_NAME: usize = 24;

impl ProcessFigures {
    /// What was `counted` of a process.
    pub fn new(
        (pid, parent): (u32, Option<u32>),
        command_line: String,
        counted: &ProcessCounted,
        lost: BTreeMap<String, u64>,
        threads: Vec<ThreadFigures>,
    ) -> ProcessFigures {
        let seconds = counted.seen.as_secs_f64();
        ProcessFigures {
            pid,
            parent,
            command_line,
            seconds,
            cpu_percent: counted.cpu.map(|cpu| percent(cpu.as_secs_f64(), seconds)),
            max_rss: counted.max_rss,
            samples: threads.iter().map(|thread| thread.samples).sum(),
            lost,
            threads,
        }
    }
}

impl ProcessFigures {
    /// Adds what was counted after the process had replaced itself by another program. That has threads of its own,
    /// though the first may have the id of the one before.
    pub fn go_on_as(&mut self, next: ProcessFigures) {
        let seconds = self.seconds + next.seconds;
        let cpu = |process: &ProcessFigures| Some(process.cpu_percent? * process.seconds);
        self.cpu_percent = match (cpu(self), cpu(&next)) {
            (Some(before), Some(after)) => Some((before + after) / seconds.max(f64::MIN_POSITIVE)),
            (before, after) => before.and(self.cpu_percent).or(after.and(next.cpu_percent)),
        };
        self.seconds = seconds;
        self.command_line = next.command_line;
        self.parent = self.parent.or(next.parent);
        self.max_rss = self.max_rss.max(next.max_rss);
        self.samples += next.samples;
        for (reason, count) in next.lost {
            *self.lost.entry(reason).or_default() += count;
        }
        self.threads.extend(next.threads);
    }
}

impl Figures {
    /// Whether it is known of a thread whether it held the GIL.
    pub fn know_the_gil(&self) -> bool {
        let mut threads = self.processes.iter().flat_map(|process| &process.threads);
        threads.any(|thread| thread.gil_percent.is_some())
    }

    /// Whether there is more to tell than of one thread.
    pub fn are_several(&self) -> bool {
        self.processes.len() > 1 || self.processes.iter().any(|process| process.threads.len() > 1)
    }

    fn row(
        &self,
        out: &mut Formatter<'_>,
        name: &str,
        seconds: f64,
        figures: [Option<f64>; 4],
    ) -> fmt::Result {
        write!(out, "\n  {name:WIDEST_NAME$} {seconds:>8.1}")?;
        for figure in figures {
            match figure {
                Some(figure) => write!(out, " {figure:>7.1}")?,
                None => write!(out, " {:>7}", "-")?,
            }
        }
        Ok(())
    }

    fn table_of_processes(&self, out: &mut Formatter<'_>) -> fmt::Result {
        write!(
            out,
            "  {:WIDEST_NAME$} {:>8} {:>7} {:>7} {:>8}",
            "process", "seconds", "CPU %", "MB", "samples"
        )?;
        let mut processes: Vec<&ProcessFigures> = self.processes.iter().collect();
        processes.sort_by(|one, other| {
            let busy = |process: &ProcessFigures| process.cpu_percent.unwrap_or(0.0) * process.seconds;
            busy(other).total_cmp(&busy(one))
        });
        for process in processes.iter().take(MOST_ROWS) {
            let name = fitting(&format!("{} {}", process.pid, without_directory(&process.command_line)));
            write!(out, "\n  {name:WIDEST_NAME$} {:>8.1}", process.seconds)?;
            match process.cpu_percent {
                Some(cpu) => write!(out, " {cpu:>7.1}")?,
                None => write!(out, " {:>7}", "-")?,
            }
            match process.max_rss {
                Some(bytes) => write!(out, " {:>7.1}", bytes as f64 / 1e6)?,
                None => write!(out, " {:>7}", "-")?,
            }
            write!(out, " {:>8}", grouped(process.samples))?;
        }
        self.rest(out, processes.len(), "processes")?;
        self.lost_of_each(out)
    }

    /// Which processes lost samples are of, and why they are lost.
    fn lost_of_each(&self, out: &mut Formatter<'_>) -> fmt::Result {
        let lost: Vec<(u32, &str, u64)> = self
            .processes
            .iter()
            .flat_map(|process| {
                process.lost.iter().map(|(reason, count)| (process.pid, reason.as_str(), *count))
            })
            .collect();
        for (pid, reason, count) in lost.iter().take(MOST_ROWS) {
            write!(out, "\n  {} lost of process {pid}: {reason}", grouped(*count))?;
        }
        self.rest(out, lost.len(), "processes with lost samples")
    }

    fn table_of_threads(&self, out: &mut Formatter<'_>) -> fmt::Result {
        let several = self.processes.len() > 1;
        write!(
            out,
            "  {:WIDEST_NAME$} {:>8} {:>7} {:>7} {:>7} {:>7}",
            "thread", "seconds", "CPU %", "GIL %", "waits %", "GC %"
        )?;
        let mut threads: Vec<(u32, &ThreadFigures)> = self
            .processes
            .iter()
            .flat_map(|process| process.threads.iter().map(|thread| (process.pid, thread)))
            .collect();
        threads.sort_by(|(_, one), (_, other)| other.weight().total_cmp(&one.weight()));
        for (pid, thread) in threads.iter().take(MOST_ROWS) {
            let id = match (thread.os_thread_id, thread.thread_id) {
                (Some(id), _) => id.to_string(),
                (None, Some(id)) => format!("{id:#X}"),
                (None, None) => "unknown".to_owned(),
            };
            let of =
                if several && thread.os_thread_id != Some(*pid) { format!("{pid}/") } else { String::new() };
            let name = fitting(&format!("{of}{id} {}", thread.name.as_deref().unwrap_or_default()));
            let figures =
                [thread.cpu_percent, thread.gil_percent, thread.gil_wait_percent, thread.gc_percent];
            self.row(out, &name, thread.seconds, figures)?;
        }
        self.rest(out, threads.len(), "threads")
    }

    fn rest(&self, out: &mut Formatter<'_>, count: usize, what: &str) -> fmt::Result {
        if count <= MOST_ROWS {
            return Ok(());
        }
        write!(out, "\n  and {} more {what}; --summary FILE has all of them", count - MOST_ROWS)
    }
}

impl Display for Figures {
    /// Tables of 80 columns, the busiest first.
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        if self.processes.len() > 1 {
            self.table_of_processes(out)?;
            writeln!(out)?;
        }
        self.table_of_threads(out)
    }
}

/// `text` without what cannot be printed, in as many columns as there are.
fn fitting(text: &str) -> String {
    let text = crate::printable::printable(text);
    let text = text.trim_end();
    match text.chars().count() > WIDEST_NAME {
        true => text.chars().take(WIDEST_NAME - 1).chain(['…']).collect(),
        false => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn thread(id: u32, name: &str, cpu: f64) -> ThreadFigures {
        let counted = Counted {
            looks: 1_000,
            holds_gil: Some((cpu * 10.0) as u64),
            waits_for_gil: Some(300),
            collects: None,
            cpu: Some(Duration::from_secs_f64(cpu / 100.0 * 2.0)),
            seen: Duration::from_secs(2),
        };
        ThreadFigures::new((Some(id), None), Some(name.to_owned()), &counted, 10)
    }

    fn process(pid: u32, threads: Vec<ThreadFigures>) -> ProcessFigures {
        ProcessFigures {
            pid,
            parent: None,
            command_line: "python worker.py --and --many --arguments".to_owned(),
            seconds: 2.0,
            cpu_percent: Some(12.5),
            max_rss: Some(12_345_678),
            samples: 4_321,
            lost: BTreeMap::new(),
            threads,
        }
    }

    #[test]
    fn the_busiest_come_first() {
        let threads = vec![thread(8, "MainThread", 5.0), thread(9, "worker", 50.0)];
        let figures = Figures { processes: vec![process(8, threads)] };
        let expected = "  \\
  thread                    seconds   CPU %   GIL %  waits %    GC %
  9 worker                      2.0    50.0    50.0    30.0       -
  8 MainThread                  2.0     5.0     5.0    30.0       -";
        let text = figures.to_string();
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        let expected: Vec<&str> = expected.lines().skip(1).map(str::trim).collect();
        let words = |lines: &[&str]| -> Vec<String> {
            lines.iter().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
        };
        assert_eq!(words(&lines), words(&expected));
    }

    #[test]
    fn tables_fit_eighty_columns_and_a_screen() {
        let processes: Vec<ProcessFigures> = (0..40)
            .map(|pid| process(4_194_300 + pid, vec![thread(4_194_300, "a name that goes on and on", 100.0)]))
            .collect();
        let text = Figures { processes }.to_string();
        assert!(text.lines().count() <= 2 * (MOST_ROWS + 2));
        for line in text.lines() {
            assert!(line.chars().count() <= 80, "{line}");
        }
        assert!(text.contains("and 30 more processes"));
    }

    #[test]
    fn a_process_that_replaced_itself_is_one() {
        let mut first = process(8, vec![thread(8, "MainThread", 5.0)]);
        let mut next = process(8, vec![thread(8, "MainThread", 50.0)]);
        (next.seconds, next.cpu_percent, next.max_rss) = (6.0, Some(52.5), Some(1));
        next.command_line = "python other.py".to_owned();
        first.go_on_as(next);
        assert_eq!((first.seconds, first.cpu_percent, first.samples), (8.0, Some(42.5), 8_642));
        assert_eq!((first.max_rss, first.threads.len()), (Some(12_345_678), 2));
        assert_eq!(first.command_line, "python other.py");
        let unknown = ProcessFigures { cpu_percent: None, ..process(8, Vec::new()) };
        first.go_on_as(unknown);
        assert_eq!(first.cpu_percent, Some(42.5));
    }

    #[test]
    fn lost_samples_are_of_a_process() {
        let mut processes = vec![process(8, Vec::new()), process(9, Vec::new())];
        let text = Figures { processes: processes.clone() }.to_string();
        assert!(!text.contains("lost"), "{text}");
        processes[1].lost = BTreeMap::from([("inconsistent stack".to_owned(), 1_234)]);
        let text = Figures { processes }.to_string();
        assert!(text.contains("\n  1,234 lost of process 9: inconsistent stack\n"), "{text}");
    }

    #[test]
    fn what_is_not_known_is_not_zero() {
        let mut counted = Counted::default();
        counted.look(Doing { holds_gil: Some(true), ..Doing::default() }, 1, 1);
        counted.look(Doing { holds_gil: Some(false), ..Doing::default() }, 1, 1);
        assert_eq!((counted.looks, counted.holds_gil, counted.collects), (2, Some(1), None));
        let mut sum = counted;
        sum.add(&Counted { looks: 2, collects: Some(1), ..Counted::default() });
        assert_eq!((sum.looks, sum.holds_gil, sum.collects), (4, Some(1), Some(1)));
    }
}
