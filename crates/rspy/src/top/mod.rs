//! `rspy top`: what `record` samples, live.
//!
//! The sampling and the recording thread are those of a recording. Now and then the latter [feeds](feed) what it has to a
//! [state], which a third thread [shows](screen), or writes as [text](once) or [JSON](json) where there is nothing to
//! draw on.

mod feed;
mod json;
mod keys;
mod once;
mod printer;
mod screen;
mod state;
mod ui;
mod view;

use std::io::{self, IsTerminal};
use std::panic::{self, AssertUnwindSafe};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::getpid;
use rspy_profile::Profile;
use rspy_profile::format::Flamegraph;

use self::feed::{Feed, Shared};
use self::once::Rows;
use self::printer::Printer;
use self::screen::Screen;
pub use self::state::Sort;
use self::state::{About, Choice, State};
use self::ui::Ui;
use crate::cli::Top;
use crate::failure::Failure;
use crate::gather::{Whom, end, metadata};
use crate::launch::{Launched, Streams, serve};
use crate::look::Look;
use crate::progress::report;
use crate::recorder::Recorder;
use crate::sampler::Wanted;
use crate::session::{self, End, Live, Plan, Sampled};
use crate::signals::Signals;
use crate::target::Target;
use crate::terminal::{SCREEN, Taken};
use crate::wait::wait;

/// How often a screen is drawn, and text written, unless told otherwise.
const DRAWN: Duration = Duration::from_millis(250);
const WRITTEN: Duration = Duration::from_secs(1);

/// The shortest and longest time from one to the next.
const DELAYS: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(3600));

/// How long what shows has time to end.
const PATIENCE: Duration = Duration::from_secs(2);

/// How often it is looked whether the user has seen enough of what has ended.
const LOOK: Duration = Duration::from_millis(100);

/// How it is shown.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum Shown {
    /// On a terminal.
    Screen,
    /// As text, again and again.
    Text,
    /// As text, once.
    Once,
    /// As JSON, again and again, or once.
    Json { once: bool },
}

/// Shows what a program does until it ends, or the user has seen enough.
pub fn top(options: &Top) -> Result<ExitCode, Failure> {
    let shown = shown(options);
    let pausing = options.stops.pausing();
    // What a user sends to rspy ends it; it ends the program then.
    let mut signals = Signals::collect(false)?;
    let whom = Whom { pid: options.pid, program: &options.program, subprocesses: options.subprocesses };
    let (mut launched, target) = whom.find(Streams::Apart, pausing, &mut signals)?;
    let live = Arc::new(Live::new(options.rate));
    let choice = Choice {
        idle: options.idle,
        gil: options.gil,
        threads: Vec::new(),
        window: options.window.0,
        by_line: false,
    };
    let is_once = matches!(shown, Shown::Once | Shown::Json { once: true });
    let plan = Plan {
        rate: options.rate,
        limit: is_once.then(|| Duration::from_secs(options.window.0.unwrap_or(1))),
        wanted: Wanted { sums: true, ..Wanted::all(pausing) },
        tree: whom.tree(launched.as_ref()),
        live: Some(live.clone()),
    };
    let profile = Profile::for_format(metadata(options.rate, "wall", &target), &Flamegraph);
    let recorder = Recorder::new(profile, None, false, false);
    let state = State { rate: options.rate.hertz(), ..State::new(about(&target)) };
    let shared = Arc::new(Shared::new(state));
    let feed = Arc::new(Mutex::new(Feed::new(shared.clone(), live.clone(), options.full_filenames)));

    let rows = Rows { choice, sort: options.sort, full_filenames: options.full_filenames };
    let front = Front::start(shown, options, rows, shared.clone(), live, &mut signals)?;
    let fed = feed.clone();
    let show = move |_, recorder: &Recorder| {
        fed.lock().unwrap_or_else(PoisonError::into_inner).tell(recorder, false);
    };
    let told = shared.clone();
    let warn = move |failure: Failure| match shown {
        Shown::Screen => told.tell(failure.to_string().replace('\n', " ")),
        _ => report(format_args!("rspy: {failure}")),
    };
    let sampled = session::sample(&plan, target, recorder, launched.as_ref(), &mut signals, show, warn);
    let Sampled { recorder, summary, refused } =
        sampled.map_err(|error| Failure::no_thread_to_record(&error))?;
    let mut feed = feed.lock().unwrap_or_else(PoisonError::into_inner);
    feed.tell(&recorder, true);
    if summary.end == End::Exited && shown == Shown::Screen {
        linger(&front, &shared, &feed, &recorder, launched.as_mut(), &mut signals);
    }
    let written = front.end();
    if shown == Shown::Screen {
        report(summary.in_a_line(recorder.samples(), recorder.lost(), recorder.cut()));
    }
    for failure in refused.iter().take(1) {
        report(format_args!("rspy: {failure}"));
    }
    if let Some(launched) = &mut launched
        && summary.end != End::Exited
    {
        launched.tell_to_end();
    }
    let code = end(&mut launched, summary.end, &mut signals);
    written.map(|()| code)
}

/// How it is to be shown, by the options and by what stdout is.
fn shown(options: &Top) -> Shown {
    let is_dumb = std::env::var("TERM").is_ok_and(|term| term == "dumb");
    match (options.json, options.once) {
        (true, once) => Shown::Json { once },
        (false, true) => Shown::Once,
        (false, false) if io::stdout().is_terminal() && !is_dumb => Shown::Screen,
        (false, false) => Shown::Text,
    }
}

fn about(target: &Target) -> About {
    About {
        command: target.process.command_line().join(" "),
        pid: target.process.pid(),
        python: format!("{}{}", target.attached.version(), target.attached.abi()),
    }
}

/// The thread that shows what is known.
struct Front {
    thread: JoinHandle<Result<(), Failure>>,
    is_over: Arc<AtomicBool>,
}

impl Front {
    fn start(
        shown: Shown,
        options: &Top,
        rows: Rows,
        shared: Arc<Shared>,
        live: Arc<Live>,
        signals: &mut Signals,
    ) -> Result<Front, Failure> {
        let is_over = Arc::new(AtomicBool::new(false));
        let over = is_over.clone();
        let given = options.delay.and_then(|delay| Duration::try_from_secs_f64(delay).ok());
        let delay = |usual| given.unwrap_or(usual).clamp(DELAYS.0, DELAYS.1);
        let show: Box<dyn FnOnce() -> Result<(), Failure> + Send> = if shown == Shown::Screen {
            let taken = Taken::take()?;
            signals.mind(SCREEN);
            let ui = Ui::new(Look::of_environment(), rows.choice, rows.sort, rows.full_filenames);
            let delay = delay(DRAWN);
            let mut screen = Screen { taken, ui, held: None, shared, live, delay, is_over: over };
            Box::new(move || {
                if screen.run().is_err() {
                    // The terminal is gone: this ends the sampling as Control-C does.
                    let _ = kill(getpid(), Signal::SIGINT);
                    // There is nothing to give back, and ratatui would complain of that to nobody, and panic.
                    std::mem::forget(screen);
                }
                Ok(())
            })
        } else {
            let is_json = matches!(shown, Shown::Json { .. });
            let once = matches!(shown, Shown::Once | Shown::Json { once: true });
            let printer = Printer { rows, shared, delay: delay(WRITTEN), once, is_json, is_over: over };
            Box::new(move || printer.run())
        };
        let show = || {
            panic::catch_unwind(AssertUnwindSafe(show)).unwrap_or_else(|panic| {
                // It has been told; this ends the sampling, which nobody would see any more.
                let _ = kill(getpid(), Signal::SIGINT);
                panic::resume_unwind(panic)
            })
        };
        let thread = thread::Builder::new().name("rspy-show".to_owned()).spawn(show);
        let thread = thread.map_err(|error| Failure::no_thread_to_record(&error))?;
        Ok(Front { thread, is_over })
    }

    /// Ends it, and gives the terminal back.
    fn end(self) -> Result<(), Failure> {
        self.is_over.store(true, Ordering::Relaxed);
        let asked = Instant::now();
        while !self.thread.is_finished() && asked.elapsed() < PATIENCE {
            thread::sleep(Duration::from_millis(5));
        }
        if !self.thread.is_finished() {
            // The terminal takes nothing, or is gone: nothing is left to be given back.
            return Ok(());
        }
        match self.thread.join() {
            Ok(shown) => shown,
            Err(panic) => panic::resume_unwind(panic),
        }
    }
}

/// What has ended is shown until the user has seen enough.
fn linger(
    front: &Front,
    shared: &Shared,
    feed: &Feed,
    recorder: &Recorder,
    mut launched: Option<&mut Launched>,
    signals: &mut Signals,
) {
    while !front.thread.is_finished() {
        let how = launched.as_mut().and_then(|launched| launched.how());
        let how = how.map_or_else(String::new, |how| format!(" {how}"));
        shared.state().ended = Some(how);
        feed.serve(recorder);
        wait(Instant::now() + LOOK, None, signals);
        if serve(signals, launched.as_deref(), || {}) {
            break;
        }
    }
}
