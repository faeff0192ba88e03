//! From the recording thread to what is shown: a few times a second the state learns what has been recorded since.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rspy_profile::{Activity, FormatError, Options, Profile, Sample, format};

use super::state::{Function, Line, Moment, Process, Run, Shares, State, Thread};
use crate::costs::cpu_time;
use crate::figures::{Counted, percent};
use crate::output::Output;
use crate::recorder::Recorder;
use crate::session::Live;

/// How often the state learns of samples, and of what threads and processes do.
const SAMPLES: Duration = Duration::from_millis(200);
const FIGURES: Duration = Duration::from_millis(990);

/// The shortest time of which figures say something: what is counted comes some times a second.
const LEAST: Duration = Duration::from_millis(500);

/// What the one who looks on shares with the recording thread.
#[derive(Default)]
pub struct Shared {
    state: Mutex<State>,
    wish: Mutex<Option<Wish>>,
    told: Mutex<Option<String>>,
}

/// What is to be written.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Wish {
    /// A flame graph.
    Picture,
    /// A recording, of which `rspy report` makes anything else.
    Recording,
}

impl Shared {
    /// Begins with `state`.
    pub fn new(state: State) -> Shared {
        Shared { state: Mutex::new(state), ..Shared::default() }
    }

    /// What is known now.
    pub fn state(&self) -> MutexGuard<'_, State> {
        locked(&self.state)
    }

    /// Has something written soon.
    pub fn wish(&self, wish: Wish) {
        *locked(&self.wish) = Some(wish);
    }

    /// Has something said at the bottom.
    pub fn tell(&self, message: String) {
        *locked(&self.told) = Some(message);
    }

    /// What is to be said, once.
    pub fn told(&self) -> Option<String> {
        locked(&self.told).take()
    }
}

/// Whoever held it has panicked, which ends rspy; until then what is there is good.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What the recording thread knows of the state that it feeds.
pub struct Feed {
    shared: Arc<Shared>,
    live: Arc<Live>,
    begun: Instant,
    samples: Instant,
    passes: u64,
    figures: Figures,
    full_filenames: bool,
    /// The line of each frame.
    lines: Vec<usize>,
}

/// When the figures were asked for last, and what they were.
struct Figures {
    at: Instant,
    passes: u64,
    own_cpu: Duration,
    /// By index of the thread.
    threads: Vec<Counted>,
    /// By index of the process: its time on CPUs.
    processes: Vec<Option<Duration>>,
}

impl Feed {
    /// Feeds `shared` from now on.
    pub fn new(shared: Arc<Shared>, live: Arc<Live>, full_filenames: bool) -> Feed {
        let now = Instant::now();
        let figures =
            Figures { at: now, passes: 0, own_cpu: cpu_time(), threads: Vec::new(), processes: Vec::new() };
        Feed { shared, live, begun: now, samples: now, passes: 0, figures, full_filenames, lines: Vec::new() }
    }

    /// Tells what is new, if it is time to or `at_once`.
    pub fn tell(&mut self, recorder: &Recorder, at_once: bool) {
        let now = Instant::now();
        if at_once || now - self.samples >= SAMPLES {
            let shared = self.shared.clone();
            let mut state = shared.state();
            self.tell_samples(&mut state, recorder, now);
            if now - self.figures.at >= if at_once { LEAST } else { FIGURES } {
                self.tell_figures(&mut state, recorder, now);
            }
        }
        self.serve(recorder);
    }

    /// Writes what is wished for.
    pub fn serve(&self, recorder: &Recorder) {
        let Some(wish) = locked(&self.shared.wish).take() else { return };
        let told = self.write(recorder.profile(), wish);
        self.shared.tell(told);
    }

    fn tell_samples(&mut self, state: &mut State, recorder: &Recorder, now: Instant) {
        let profile = recorder.profile();
        self.tell_tables(state, profile);
        for run in profile.samples().iter().skip(state.sums.runs.len()) {
            state.sums.runs.push(run_of(&run.sample));
        }
        let passes = self.live.passes();
        let weights = profile.samples().iter().map(rspy_profile::Run::weight);
        state.sums.add(now - self.samples, passes - self.passes, weights);
        (self.samples, self.passes) = (now, passes);
        state.elapsed = now - self.begun;
        state.rate = self.live.rate().hertz();
        state.kept.samples = recorder.samples();
        state.kept.cut = recorder.cut();
        state.kept.lost = recorder.lost();
        state.kept.missed = profile.missed;
    }

    /// What samples refer to.
    fn tell_tables(&mut self, state: &mut State, profile: &Profile) {
        let text = |id| profile.strings[id].to_owned();
        for (_, frame) in profile.frames.iter().skip(self.lines.len()) {
            let function = match frame.kind.mark() {
                Some(mark) => Function {
                    name: mark.into_owned(),
                    file: String::new(),
                    short_file: String::new(),
                    first_line: None,
                },
                None => Function {
                    name: text(frame.name),
                    file: text(frame.file),
                    short_file: text(frame.short_file),
                    first_line: frame.first_line,
                },
            };
            let function = state.functions.insert_full(function).0;
            self.lines.push(state.lines.insert_full(Line { function, line: frame.line }).0);
        }
        for (_, caller, frame) in profile.stacks.iter().skip(state.stacks.len() - 1) {
            state.stacks.push((caller.index(), self.lines[frame.index()]));
        }
        state.processes.resize_with(profile.processes.len(), Process::default);
        state.threads.resize_with(profile.threads.len(), Thread::default);
        for (known, (id, thread)) in state.threads.iter_mut().zip(profile.threads.iter()) {
            known.process = thread.process.index();
            known.os_id = thread.os_id;
            if known.name.is_none() {
                known.name = thread.name.map(text);
            }
            known.latest = profile.latest(id);
        }
    }

    fn tell_figures(&mut self, state: &mut State, recorder: &Recorder, now: Instant) {
        let last = &mut self.figures;
        let seconds = (now - last.at).as_secs_f64();
        let passes = self.passes - last.passes;
        let own_cpu = cpu_time();
        state.own_cpu = Some(percent(own_cpu.saturating_sub(last.own_cpu).as_secs_f64(), seconds));
        let mut all = Moment::default();
        last.threads.resize(state.threads.len(), Counted::default());
        last.processes.resize(state.processes.len(), None);
        let profile = recorder.profile();
        for live in recorder.live() {
            let (id, info) = (live.id.index(), &profile.processes[live.id]);
            let mut shares = Shares::default();
            for (thread, counted) in &live.threads {
                let before = std::mem::replace(&mut last.threads[thread.index()], *counted);
                let known = &mut state.threads[thread.index()];
                known.is_alive = counted.looks > before.looks;
                known.shares = shares_of(&before, counted);
                // Of the looks of all, so that what began late does not weigh more.
                let looks = ((counted.looks - before.looks) as f64 / passes.max(1) as f64).min(1.0);
                let part = |share: Option<f64>| share.map(|share| share * looks);
                shares.gil = sum(shares.gil, part(known.shares.gil));
                shares.wait = sum(shares.wait, part(known.shares.wait));
                shares.gc = sum(shares.gc, part(known.shares.gc));
            }
            let before = std::mem::replace(&mut last.processes[id], live.counted.cpu);
            let cpu = live.counted.cpu.map(|cpu| cpu.saturating_sub(before.unwrap_or_default()));
            shares.cpu = cpu.map(|cpu| percent(cpu.as_secs_f64(), seconds));
            let process = &mut state.processes[id];
            process.pid = info.pid;
            process.parent = info.parent.map(|parent| parent.index());
            process.command = profile.strings[info.command_line].to_owned();
            process.is_alive = live.process.is_same();
            process.rss = live.process.rss();
            process.shares = shares;
            all.shares.cpu = sum(all.shares.cpu, shares.cpu);
            all.shares.gil = sum(all.shares.gil, shares.gil);
            all.shares.wait = sum(all.shares.wait, shares.wait);
            all.shares.gc = sum(all.shares.gc, shares.gc);
            all.rss = match (all.rss, process.rss) {
                (Some(one), Some(other)) => Some(one + other),
                (one, other) => one.or(other),
            };
            if id == 0 {
                state.uptime = live.process.age();
            }
        }
        state.history.add(all);
        (last.at, last.passes, last.own_cpu) = (now, self.passes, own_cpu);
    }

    /// Writes what was gathered since the reset. Answers what to say of it.
    fn write(&self, profile: &Profile, wish: Wish) -> String {
        let format: &dyn rspy_profile::Format = match wish {
            Wish::Picture => &format::Flamegraph,
            Wish::Recording => &format::Recording,
        };
        let state = self.shared.state();
        let mut gathered = profile.clone();
        gathered.retain(|_, _| false);
        let since = profile.samples().iter().zip(&state.sums.runs).filter(|(_, known)| known.weight > 0);
        for (run, known) in since {
            gathered.add(Sample { weight: known.weight, at: run.until, ..run.sample });
        }
        gathered.metadata.duration = state.sums.window(None).elapsed;
        let several = state.processes.len() > 1;
        drop(state);
        let options =
            Options { full_filenames: self.full_filenames, by_process: several, ..Options::default() };
        let path = Output::default_path(profile.metadata.pid, format.about().extension);
        match write_new(&path, format, &gathered, &options) {
            Ok(()) => format!("Wrote {}", path.display()),
            Err(error) => {
                format!("Not written: {}: {error}. Start rspy where you may write.", path.display())
            }
        }
    }
}

fn write_new(
    path: &Path,
    format: &dyn rspy_profile::Format,
    profile: &Profile,
    options: &Options,
) -> io::Result<()> {
    let mut out = BufWriter::new(File::create(path)?);
    match format.write(profile, options, &mut out) {
        Ok(()) => out.flush(),
        Err(FormatError::Write(error)) => Err(error),
        Err(error) => Err(io::Error::other(error)),
    }
}

fn run_of(sample: &Sample) -> Run {
    let state = sample.state;
    Run {
        thread: sample.thread.index(),
        stack: sample.stack.index(),
        is_idle: state.activity == Activity::Idle,
        owns_gil: state.owns_gil == Some(true),
        waits_for_gil: state.waits_for_gil == Some(true),
        collects: state.collects == Some(true),
        told: 0,
        weight: 0,
        seconds: 0.0,
    }
}

fn sum(one: Option<f64>, other: Option<f64>) -> Option<f64> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one + other),
        (one, other) => one.or(other),
    }
}

/// What a thread did between two times that it was counted.
fn shares_of(before: &Counted, now: &Counted) -> Shares {
    let looks = now.looks.saturating_sub(before.looks) as f64;
    let share = |before: Option<u64>, now: Option<u64>| {
        let count = now?.saturating_sub(before.unwrap_or(0)) as f64;
        Some(percent(count.min(looks), looks))
    };
    let cpu = now.cpu.map(|cpu| cpu.saturating_sub(before.cpu.unwrap_or_default()));
    let seen = now.seen.saturating_sub(before.seen).as_secs_f64();
    Shares {
        cpu: cpu.map(|cpu| percent(cpu.as_secs_f64(), seen)),
        gil: share(before.holds_gil, now.holds_gil),
        wait: share(before.waits_for_gil, now.waits_for_gil),
        gc: share(before.collects, now.collects),
    }
}
