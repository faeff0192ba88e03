//! What is known, as one JSON object in a line.

use std::io::{self, Write};

use serde::Serialize;

use super::once::Rows;
use super::state::{Shares, State, place, process_rows, rows, thread_rows};

#[derive(Serialize)]
struct Second<'s> {
    seconds: f64,
    window_seconds: f64,
    command: &'s str,
    pid: u32,
    python: &'s str,
    uptime_seconds: Option<f64>,
    rate: Option<f64>,
    samples: u64,
    cut: u64,
    lost: u64,
    missed: u64,
    rspy_cpu_percent: Option<f64>,
    #[serde(flatten)]
    shares: Percents,
    rss: Option<u64>,
    processes: Vec<Process>,
    threads: Vec<Thread>,
    functions: Vec<Function<'s>>,
}

#[derive(Serialize)]
struct Percents {
    cpu_percent: Option<f64>,
    gil_percent: Option<f64>,
    gil_wait_percent: Option<f64>,
    gc_percent: Option<f64>,
}

#[derive(Serialize)]
struct Process {
    pid: u32,
    parent: Option<u32>,
    command_line: String,
    #[serde(flatten)]
    shares: Percents,
    rss: Option<u64>,
    threads: usize,
}

#[derive(Serialize)]
struct Thread {
    pid: u32,
    os_thread_id: Option<u32>,
    name: Option<String>,
    state: &'static str,
    #[serde(flatten)]
    shares: Percents,
    function: Option<String>,
    file: Option<String>,
    line: Option<u32>,
}

#[derive(Serialize)]
struct Function<'s> {
    name: &'s str,
    file: &'s str,
    line: Option<u32>,
    own_percent: f64,
    total_percent: f64,
    own_samples: u64,
    total_samples: u64,
    own_seconds: f64,
    total_seconds: f64,
}

impl From<Shares> for Percents {
    fn from(shares: Shares) -> Percents {
        Percents {
            cpu_percent: shares.cpu.map(rounded),
            gil_percent: shares.gil.map(rounded),
            gil_wait_percent: shares.wait.map(rounded),
            gc_percent: shares.gc.map(rounded),
        }
    }
}

/// More digits than there are samples for say nothing.
fn rounded(figure: f64) -> f64 {
    (figure * 1e3).round() / 1e3
}

/// Writes what is known now.
pub fn write(out: &mut dyn Write, state: &State, shown: &Rows) -> io::Result<()> {
    let Rows { choice, sort, full_filenames } = shown;
    let threads = thread_rows(state);
    let processes = process_rows(state, &threads);
    let pid_of = |index: usize| state.processes.get(index).map(|process| process.pid);
    let rows = rows(state, choice, *sort, false);
    let latest = state.history.latest().copied().unwrap_or_default();
    let line = Second {
        seconds: rounded(state.elapsed.as_secs_f64()),
        window_seconds: rounded(state.sums.window(choice.window).elapsed.as_secs_f64()),
        command: &state.about.command,
        pid: state.about.pid,
        python: &state.about.python,
        uptime_seconds: state.uptime.map(|uptime| rounded(uptime.as_secs_f64())),
        rate: (state.rate > 0.0).then_some(state.rate),
        samples: state.kept.samples,
        cut: state.kept.cut,
        lost: state.kept.lost,
        missed: state.kept.missed,
        rspy_cpu_percent: state.own_cpu.map(rounded),
        shares: latest.shares.into(),
        rss: latest.rss,
        processes: processes
            .into_iter()
            .map(|row| Process {
                pid: row.pid,
                parent: state.processes[row.index].parent.and_then(pid_of),
                command_line: row.command,
                shares: row.shares.into(),
                rss: row.rss,
                threads: row.threads,
            })
            .collect(),
        threads: threads
            .into_iter()
            .map(|row| {
                let here = row.line.map(|line| place(state, true, line, *full_filenames));
                Thread {
                    pid: row.pid,
                    os_thread_id: row.os_id,
                    name: state.threads[row.index].name.clone(),
                    state: row.doing.name(),
                    shares: row.shares.into(),
                    function: here.map(|(name, ..)| name.to_owned()),
                    file: here.map(|(_, file, _)| file.to_owned()),
                    line: here.and_then(|(.., line)| line),
                }
            })
            .collect(),
        functions: rows
            .iter()
            .map(|row| {
                let (name, file, line) = place(state, choice.by_line, row.index, *full_filenames);
                Function {
                    name,
                    file,
                    line,
                    own_percent: rounded(row.own),
                    total_percent: rounded(row.total),
                    own_samples: row.own_samples,
                    total_samples: row.total_samples,
                    own_seconds: rounded(row.own_seconds),
                    total_seconds: rounded(row.total_seconds),
                }
            })
            .collect(),
    };
    serde_json::to_writer(&mut *out, &line)?;
    writeln!(out)?;
    out.flush()
}
