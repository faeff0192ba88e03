//! What a recording is of: which threads, in which states, with which code.

use std::time::Duration;

use clap::{Args, ValueEnum};
use glob::Pattern;

use super::pid;
use crate::filter::{StackFilter, StackPattern, ThreadFilter, ThreadPattern};

const FILTERS: &str = "Filters";

/// In which states threads are recorded.
#[derive(Args, Clone, Debug, Default)]
pub struct Modes {
    /// Include only the threads that hold the GIL
    #[arg(short, long)]
    pub gil: bool,

    /// Include threads that are idle: asleep, or waiting for a lock or for data
    #[arg(short, long)]
    pub idle: bool,

    /// Which threads to include [default: cpu]
    #[arg(long, value_enum, value_name = "MODE", conflicts_with_all = ["gil", "idle"], display_order = 100)]
    mode: Option<ModeName>,

    /// Include the threads that wait for the GIL, each with the stack of the thread that holds it: who keeps others
    /// from running
    #[arg(long, conflicts_with_all = ["mode", "gil", "idle"], display_order = 101)]
    gil_wait: bool,

    /// Mark what runs while garbage is collected with a frame <gc>
    #[arg(long, display_order = 102)]
    pub gc: bool,
}

#[derive(ValueEnum, Copy, Clone, Debug, PartialEq, Eq)]
enum ModeName {
    /// Every thread, also those that are idle
    Wall,
    /// Those on a CPU or waiting for one
    Cpu,
    /// Those that hold the GIL
    Gil,
    /// Those that raise or handle an exception
    Exception,
}

/// In which states threads are shown by a dump.
#[derive(Args, Clone, Debug, Default)]
pub struct DumpModes {
    /// Which threads to show [default: wall]
    #[arg(long, value_enum, value_name = "MODE", display_order = 100)]
    mode: Option<ModeName>,

    /// Show the threads that wait for the GIL, and those that hold it
    #[arg(long, conflicts_with = "mode", display_order = 101)]
    gil_wait: bool,
}

impl DumpModes {
    /// What they come to.
    pub fn mode(&self) -> Mode {
        match self.mode {
            _ if self.gil_wait => Mode::GilWait,
            None | Some(ModeName::Wall) => Mode::Wall,
            Some(ModeName::Cpu) => Mode::Cpu,
            Some(ModeName::Gil) => Mode::Gil { idle: true },
            Some(ModeName::Exception) => Mode::Exception,
        }
    }
}

/// Which threads samples are of.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Every thread.
    Wall,
    /// Those on a CPU or waiting for one.
    Cpu,
    /// Those that hold the GIL, on a CPU or, with `idle`, wherever they are.
    Gil {
        /// Whether also those that are idle.
        idle: bool,
    },
    /// Those that raise or handle an exception, idle or not.
    Exception,
    /// Those that wait for the GIL, with the stack of the one that holds it.
    GilWait,
}

impl Modes {
    /// What they come to; `default` if none is given.
    pub fn mode_or(&self, default: Mode) -> Mode {
        let is_given = self.gil_wait || self.gil || self.idle || self.mode.is_some();
        if is_given { self.mode() } else { default }
    }

    /// What they come to.
    pub fn mode(&self) -> Mode {
        if self.gil_wait {
            return Mode::GilWait;
        }
        match (self.mode, self.gil, self.idle) {
            (Some(ModeName::Wall), ..) => Mode::Wall,
            (Some(ModeName::Cpu), ..) => Mode::Cpu,
            (Some(ModeName::Gil), ..) => Mode::Gil { idle: false },
            (Some(ModeName::Exception), ..) => Mode::Exception,
            (None, true, idle) => Mode::Gil { idle },
            (None, false, true) => Mode::Wall,
            (None, false, false) => Mode::Cpu,
        }
    }
}

impl Mode {
    /// Whether threads that sleep can be among them.
    pub fn includes_idle(self) -> bool {
        match self {
            Mode::Wall | Mode::Exception | Mode::GilWait | Mode::Gil { idle: true } => true,
            Mode::Cpu | Mode::Gil { idle: false } => false,
        }
    }

    /// Whether only a thread that holds the GIL can be among them.
    pub fn is_gil(self) -> bool {
        matches!(self, Mode::Gil { .. })
    }
}

/// Which threads.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = FILTERS)]
pub struct ThreadChoice {
    /// Only the threads of this name (* and ? stand for any text, any character), or of this id, as the
    /// kernel or as threading.get_ident() counts. Can be given again: for more threads
    #[arg(long, value_name = "NAME|TID", display_order = 110)]
    pub thread: Vec<ThreadPattern>,

    /// Only the main thread of a process; with --thread, it as well
    #[arg(long, display_order = 111)]
    pub main_thread: bool,
}

impl ThreadChoice {
    /// What they come to; none if every thread is wanted.
    pub fn filter(&self) -> Option<ThreadFilter> {
        ThreadFilter::new(self.thread.clone(), self.main_thread)
    }
}

/// With which code.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = FILTERS)]
pub struct StackChoice {
    /// Only samples with a frame of this code: a file (app.py, '*/django/*') or a module with all below
    /// it (django.db, which is every file .../django/db.py and .../django/db/...). Can be given again:
    /// one of them is enough
    #[arg(long, value_name = "PATTERN", display_order = 120)]
    pub include: Vec<StackPattern>,

    /// Leave out the samples with a frame of this code; also of what --include includes
    #[arg(long, value_name = "PATTERN", display_order = 121)]
    pub exclude: Vec<StackPattern>,

    /// Leave out the frames of importlib._bootstrap, between an import and the module it runs
    #[arg(long, display_order = 122)]
    pub hide_importlib: bool,
}

impl StackChoice {
    /// What --include and --exclude come to; none if every sample is wanted.
    pub fn filter(&self) -> Option<StackFilter> {
        StackFilter::new(self.include.clone(), self.exclude.clone())
    }
}

/// Which samples of a recording.
#[derive(Args, Clone, Debug, Default)]
pub struct Filters {
    /// Samples of which states
    #[command(flatten)]
    pub modes: Modes,

    /// Only samples from this time on, since the recording began: 90, 90s, 1.5m, 1h
    #[arg(long, value_name = "TIME", value_parser = time, help_heading = FILTERS)]
    pub from: Option<Duration>,

    /// Only samples before this time
    #[arg(long, value_name = "TIME", value_parser = time, help_heading = FILTERS)]
    pub to: Option<Duration>,

    /// Only this process. Can be given again: for more processes
    #[arg(long, value_name = "PID", value_parser = pid, help_heading = FILTERS)]
    pub process: Vec<u32>,

    /// Only samples with a frame of this function (* and ? stand for any text, any character), as
    /// 'Session.*'. Can be given again: one of them is enough
    #[arg(long = "with", value_name = "FUNCTION", help_heading = FILTERS)]
    pub with: Vec<Pattern>,

    /// Which threads
    #[command(flatten)]
    pub thread_choice: ThreadChoice,

    /// Which code
    #[command(flatten)]
    pub stack_choice: StackChoice,
}

/// A time since the beginning.
fn time(text: &str) -> Result<Duration, String> {
    let plain = || text.parse().ok().and_then(|seconds: f64| Duration::try_from_secs_f64(seconds).ok());
    crate::sink::parse_time(text).or_else(plain).ok_or_else(|| "give a time: 90, 90s, 1.5m, 1h".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        modes: Modes,
        #[command(flatten)]
        threads: ThreadChoice,
        #[command(flatten)]
        stacks: StackChoice,
    }

    fn line(arguments: &[&str]) -> Result<Line, String> {
        let words = ["rspy"].iter().chain(arguments);
        Line::try_parse_from(words).map_err(|error| error.to_string())
    }

    #[test]
    fn each_way_to_say_it_is_one_mode() {
        let mode = |arguments: &[&str]| line(arguments).map(|line| line.modes.mode());
        assert_eq!(mode(&[]), Ok(Mode::Cpu));
        assert_eq!(mode(&["-i"]), Ok(Mode::Wall));
        assert_eq!(mode(&["-g"]), Ok(Mode::Gil { idle: false }));
        assert_eq!(mode(&["-gi"]), Ok(Mode::Gil { idle: true }));
        assert_eq!(mode(&["--gil-wait"]), Ok(Mode::GilWait));
        assert_eq!(mode(&["--gil-wait", "--gc"]), Ok(Mode::GilWait));
        assert_eq!(mode(&["--mode", "wall"]), Ok(Mode::Wall));
        assert_eq!(mode(&["--mode", "cpu"]), Ok(Mode::Cpu));
        assert_eq!(mode(&["--mode", "gil"]), Ok(Mode::Gil { idle: false }));
        assert_eq!(mode(&["--mode", "exception"]), Ok(Mode::Exception));
    }

    #[test]
    fn two_ways_at_once_are_refused_by_name() {
        let refused = [
            (&["--mode", "wall", "-g"], "'--mode <MODE>' cannot be used with '--gil'"),
            (&["--mode", "gil", "-i"], "'--mode <MODE>' cannot be used with '--idle'"),
            (&["--gil-wait", "--mode", "cpu"], "'--gil-wait' cannot be used with '--mode <MODE>'"),
        ];
        for (arguments, message) in refused {
            let error = line(arguments).err().expect("they contradict each other");
            assert!(error.contains(message), "{error}");
        }
        for option in ["-g", "-i"] {
            assert!(line(&["--gil-wait", option]).is_err());
        }
        assert!(line(&["--mode", "all"]).is_err());
    }

    #[test]
    fn without_filters_there_is_none() {
        let none = line(&["--hide-importlib"]).unwrap();
        assert!(none.threads.filter().is_none() && none.stacks.filter().is_none());
        let threads = |arguments: &[&str]| line(arguments).unwrap().threads.filter();
        assert!(threads(&["--main-thread"]).is_some());
        assert!(threads(&["--thread", "a", "--thread", "b"]).is_some());
        let stacks = |arguments: &[&str]| line(arguments).unwrap().stacks.filter();
        assert!(stacks(&["--include", "a.py"]).is_some());
        assert!(stacks(&["--exclude", "a", "--exclude", "b"]).is_some());
    }

    #[test]
    fn a_pattern_that_is_none_is_the_command_lines_fault() {
        let error = line(&["--include", "a[b"]).err().expect("the bracket is open");
        assert!(error.contains("a[b") && error.contains("[[]"), "{error}");
        assert!(line(&["--exclude", ""]).is_err());
        assert!(line(&["--thread", ""]).is_err());
    }
}
