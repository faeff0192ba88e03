//! `rspy memory --tracemalloc`: what the process itself keeps of its allocations, where it was started with
//! `PYTHONTRACEMALLOC` or has called `tracemalloc.start()`; and what changed between two looks.

use std::collections::BTreeMap;
use std::io;
use std::time::{Duration, Instant};

use rspy_cpython::tracemalloc::{Tracemalloc, TracemallocError};
use serde::Serialize;

use crate::analysis::page::{Page, Tone};
use crate::attach::attach;
use crate::cli::{Memory, Sites};
use crate::failure::Failure;
use crate::launch::serve;
use crate::progress::report as say;
use crate::signals::Signals;
use crate::target::{Pausing, Target};
use crate::wait::{Woken, exit_of, wait};

/// How many sites are shown, unless told otherwise.
const MOST: usize = 20;

/// What the process keeps, or how that changed.
#[derive(Serialize)]
pub struct Report {
    pid: u32,
    /// How many bytes are traced now, and were at most.
    current: u64,
    peak: Option<u64>,
    /// How many frames of each allocation are kept, at most.
    max_nframe: u32,
    /// Whether what was read is of one moment: the process goes on meanwhile.
    is_consistent: bool,
    /// The time between two looks, in seconds; `None` of one.
    seconds: Option<f64>,
    /// What each site has, those with the most, or the largest change, first.
    sites: Vec<Site>,
    /// How many sites there are.
    all_sites: usize,
}

/// A place where memory was allocated.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct Site {
    /// The line, the file, or the lines of a traceback, the innermost first.
    place: Vec<String>,
    bytes: u64,
    count: u64,
    /// By how much that has changed between two looks.
    bytes_change: Option<i64>,
    count_change: Option<i64>,
}

/// Looks at a process, twice if there is a duration.
pub fn look(options: &Memory, sites: Sites) -> Result<Report, Failure> {
    let Some(pid) = options.samples.pid else {
        return Err(Failure::new(
            "--tracemalloc reads the tables of a process that runs.",
            "Give it with --pid PID.",
        ));
    };
    let target = attach(pid, Pausing::Never)?;
    let first = read(&target)?;
    let Some(pause) = options.samples.duration.0 else {
        return Ok(Report::new(pid, sites, &first, None, options));
    };
    let mut signals = Signals::collect(false)?;
    let start = Instant::now();
    let exit = exit_of(pid);
    say(format_args!("rspy: looked once; looks again in {} s, or at Control-C.", pause.as_secs_f64()));
    let until = start.checked_add(pause).unwrap_or(start + Duration::from_secs(u32::MAX.into()));
    while wait(until, exit.as_ref(), &signals) == Woken::Signalled {
        if serve(&mut signals, None, || {}) {
            break;
        }
    }
    let between = start.elapsed();
    match read(&target) {
        Ok(last) => Ok(Report::new(pid, sites, &last, Some((&first, between)), options)),
        Err(_) if !target.process.is_same() => {
            say(format_args!(
                "rspy: Process {pid} ended before it could be looked at again: this is what it had {} s before.",
                between.as_secs_f64().round()
            ));
            Ok(Report::new(pid, sites, &first, None, options))
        }
        Err(failure) => Err(failure),
    }
}

fn read(target: &Target) -> Result<Tracemalloc, Failure> {
    let pid = target.process.pid();
    let process = &target.process;
    let maps = process.maps().map_err(|error| Failure::attaching(pid, &error.into()))?;
    target.attached.tracemalloc(process.memory(), &maps).map_err(|error| match error {
        TracemallocError::NotTracing => Failure::new(
            format!("Process {pid} does not trace its allocations."),
            "Start it with PYTHONTRACEMALLOC=1 (or as many frames as are to be kept), or call tracemalloc.start() in \
             it. Without that, rspy memory tells what made it grow.",
        ),
        TracemallocError::Unknown { version } => Failure::no_tracemalloc(pid, version),
        TracemallocError::Read(error) => Failure::attaching(pid, &error.into()),
    })
}

/// By place: bytes and number of allocations.
type Sums = BTreeMap<Vec<String>, (u64, u64)>;

fn sums(tables: &Tracemalloc, sites: Sites) -> Sums {
    let mut sums = Sums::new();
    for allocations in &tables.traces {
        let place = match sites {
            Sites::Traceback => {
                allocations.frames.iter().map(|frame| format!("{}:{}", frame.filename, frame.line)).collect()
            }
            Sites::Line => allocations
                .frames
                .iter()
                .take(1)
                .map(|frame| format!("{}:{}", frame.filename, frame.line))
                .collect(),
            Sites::File => {
                allocations.frames.iter().take(1).map(|frame| frame.filename.to_string()).collect()
            }
        };
        let sum = sums.entry(place).or_default();
        *sum = (sum.0.saturating_add(allocations.bytes), sum.1.saturating_add(allocations.count));
    }
    sums
}

impl Report {
    fn new(
        pid: u32,
        sites: Sites,
        tables: &Tracemalloc,
        before: Option<(&Tracemalloc, Duration)>,
        options: &Memory,
    ) -> Report {
        let now = sums(tables, sites);
        let earlier = before.map(|(tables, _)| sums(tables, sites));
        let mut places: Vec<&Vec<String>> =
            now.keys().chain(earlier.iter().flat_map(BTreeMap::keys)).collect();
        places.sort_unstable();
        places.dedup();
        let difference = |now: u64, before: u64| now.cast_signed().saturating_sub(before.cast_signed());
        let site = |place: &Vec<String>| {
            let (bytes, count) = now.get(place).copied().unwrap_or_default();
            let before = earlier.as_ref().map(|earlier| earlier.get(place).copied().unwrap_or_default());
            Site {
                place: place.clone(),
                bytes,
                count,
                bytes_change: before.map(|before| difference(bytes, before.0)),
                count_change: before.map(|before| difference(count, before.1)),
            }
        };
        let mut all: Vec<Site> = places.into_iter().map(site).collect();
        let amount = |site: &Site| site.bytes_change.map_or(site.bytes, i64::unsigned_abs);
        all.sort_by_key(|site| std::cmp::Reverse(amount(site)));
        let all_sites = all.len();
        match options.functions.limit {
            Some(0) => {}
            limit => all.truncate(limit.unwrap_or(MOST)),
        }
        Report {
            pid,
            current: tables.current,
            peak: tables.peak,
            max_nframe: tables.max_nframe,
            is_consistent: tables.is_consistent && before.is_none_or(|(before, _)| before.is_consistent),
            seconds: before.map(|(_, pause)| pause.as_secs_f64()),
            sites: all,
            all_sites,
        }
    }

    /// Writes it for people.
    pub fn write(&self, mut page: Page) -> io::Result<()> {
        let megabytes = |bytes: u64| bytes as f64 / 1e6;
        let most = self.peak.map_or_else(String::new, |peak| format!(", {:.1} MB at most", megabytes(peak)));
        page.line(
            Tone::Title,
            &format!(
                "Process {}: {:.1} MB traced{most}; {} frames of each allocation are kept",
                self.pid,
                megabytes(self.current),
                self.max_nframe
            ),
        )?;
        if !self.is_consistent {
            page.line(Tone::Warm, "It went on meanwhile: what was read is not of one moment.")?;
        }
        page.line(Tone::Plain, "")?;
        let changes = if self.seconds.is_some() { "  Change MB     Change" } else { "" };
        page.line(Tone::Quiet, &format!("         MB      Count{changes}  Allocated in"))?;
        for Site { place, bytes, count, bytes_change, count_change } in &self.sites {
            let change = match (bytes_change, count_change) {
                (Some(bytes), Some(count)) => format!(" {:>+10.3} {count:>+10}", *bytes as f64 / 1e6),
                _ => String::new(),
            };
            let (first, rest) = place.split_first().map_or(("?", &[][..]), |(first, rest)| (first, rest));
            page.line(Tone::Plain, &format!("{:>11.3} {count:>10}{change}  {first}", megabytes(*bytes)))?;
            let indent = 22 + change.len();
            for caller in rest {
                page.line(Tone::Quiet, &format!("{:indent$}    {caller}", ""))?;
            }
        }
        if self.all_sites > self.sites.len() {
            page.line(
                Tone::Quiet,
                &format!("{} more sites (--limit 0 shows all)", self.all_sites - self.sites.len()),
            )?;
        }
        page.finish()
    }
}
