//! One run of a command, and what it used.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ffi::OsString;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rspy_process::Statm;
use rspy_process::child::Resources;
use rspy_process::tree::Tree;
use rustix::event::{PollFd, PollFlags, poll};
use serde::Serialize;

use crate::failure::Failure;
use crate::launch::{Launched, Streams, serve};
use crate::signals::Signals;
use crate::wait::exit_of;

/// How often the processes of a command are looked through, and their memory added up.
const LOOK: Duration = Duration::from_millis(20);

/// How often at most, by what a look costs: a twentieth of the time.
const REST: u32 = 20;

/// A run that goes on.
pub struct Running {
    /// The command.
    pub launched: Launched,
    start: Instant,
    /// What rspy had resident at most when it was started.
    own: u64,
    exit: mpsc::Receiver<Instant>,
    watch: Option<Watch>,
}

/// A run that has ended.
pub struct Finished {
    /// How.
    pub status: ExitStatus,
    /// What it used.
    pub used: Used,
    /// Whether somebody pressed Control-C meanwhile, or asked rspy to end.
    pub is_interrupted: bool,
}

/// What a run used. Times are in seconds, sizes in bytes.
#[derive(Clone, Debug, Serialize)]
pub struct Used {
    /// From just before it was started to its end.
    pub real: f64,
    /// On CPUs in its own code, those below it that it waited for included.
    pub user: f64,
    /// On CPUs in the kernel.
    pub system: f64,
    /// Both, in per cent of the real time.
    pub cpu_percent: f64,
    /// The most that one of its processes had resident.
    pub max_rss: u64,
    /// Whether that may have been less: the kernel counts rspy's own memory for a process until it runs its program.
    pub max_rss_is_bound: bool,
    /// The most that all of them had at once, as far as that was seen: pages that several have are counted in each.
    pub max_tree_rss: Option<u64>,
    /// How many processes there were at most, as far as that was seen.
    pub processes: Option<usize>,
    /// Page faults that needed no disk.
    pub minor_faults: u64,
    /// Page faults that did.
    pub major_faults: u64,
    /// How often it waited for something.
    pub voluntary_switches: u64,
    /// How often it had to give a CPU up.
    pub involuntary_switches: u64,
    /// Its exit code, if it ended by itself.
    pub exit_code: Option<i32>,
    /// The signal that ended it, if one did.
    pub signal: Option<i32>,
}

impl Running {
    /// Starts `program`. `looks`: whether the memory of all its processes is looked at meanwhile.
    pub fn start(program: &[OsString], streams: Streams, looks: bool) -> Result<Running, Failure> {
        let start = Instant::now();
        let launched = Launched::start(program, streams)?;
        let own = crate::costs::max_rss().unwrap_or(0);
        let (told, exit) = mpsc::channel();
        // A thread of its own, so that whatever else is done does not lengthen the time.
        if let Some(process) = exit_of(launched.pid()) {
            let wait = move || {
                let mut ready = [PollFd::new(&process, PollFlags::IN)];
                while poll(&mut ready, None) == Err(rustix::io::Errno::INTR) {}
                let _ = told.send(Instant::now());
            };
            let thread = thread::Builder::new().name("rspy-exit".to_owned()).spawn(wait);
            thread.map_err(|error| Failure::no_thread_to_record(&error))?;
        }
        let watch = if looks { Watch::start(launched.pid()) } else { None };
        Ok(Running { launched, start, own, exit, watch })
    }

    /// Waits until it has ended by itself, or an interrupt has made it end; then tells what it used.
    pub fn finish(mut self, signals: &mut Signals) -> Result<Finished, Failure> {
        let status = self.launched.collect(signals);
        let now = Instant::now();
        let ended = self.exit.recv_timeout(Duration::from_millis(100)).unwrap_or(now);
        let (Some(status), Some(used)) = (status, self.launched.used) else {
            return Err(Failure::endless_command());
        };
        let most = self.watch.map(Watch::finish);
        // Control-C, which the terminal sends to the command as well, may have ended that first.
        let is_interrupted = self.launched.is_asked_to_end() || serve(signals, None, || {});
        let used = Used::new(ended - self.start, used, self.own, most, status);
        Ok(Finished { status, used, is_interrupted })
    }
}

impl Used {
    fn new(real: Duration, used: Resources, own: u64, most: Option<Most>, status: ExitStatus) -> Used {
        let (real, user, system) = (real.as_secs_f64(), used.user.as_secs_f64(), used.system.as_secs_f64());
        Used {
            real,
            user,
            system,
            cpu_percent: (user + system) / real.max(1e-9) * 100.0,
            max_rss: used.max_rss,
            max_rss_is_bound: used.max_rss <= own,
            // A look may have missed what the kernel counts exactly.
            max_tree_rss: most.map(|most| most.rss.max(used.max_rss)),
            processes: most.map(|most| most.processes.max(1)),
            minor_faults: used.minor_faults,
            major_faults: used.major_faults,
            voluntary_switches: used.voluntary_switches,
            involuntary_switches: used.involuntary_switches,
            exit_code: status.code(),
            signal: status.signal(),
        }
    }
}

/// The most that was seen at once.
#[derive(Copy, Clone, Debug, Default)]
struct Most {
    rss: u64,
    processes: usize,
}

/// A thread that looks at the memory of a process and of all below it.
struct Watch {
    is_over: Arc<AtomicBool>,
    thread: JoinHandle<Most>,
}

impl Watch {
    fn start(root: u32) -> Option<Watch> {
        let is_over = Arc::new(AtomicBool::new(false));
        let over = is_over.clone();
        let tree = Tree::new(root).ok()?;
        let thread =
            thread::Builder::new().name("rspy-tree".to_owned()).spawn(move || look(tree, &over)).ok()?;
        Some(Watch { is_over, thread })
    }

    fn finish(self) -> Most {
        self.is_over.store(true, Ordering::Relaxed);
        self.thread.thread().unpark();
        self.thread.join().unwrap_or_default()
    }
}

fn look(mut tree: Tree, is_over: &AtomicBool) -> Most {
    let mut most = Most::default();
    let mut files: HashMap<(u32, u64), Statm> = HashMap::new();
    while !is_over.load(Ordering::Relaxed) {
        let start = Instant::now();
        tree.look();
        let (mut rss, mut processes) = (0, 0);
        for member in tree.members().iter().filter(|member| member.lives) {
            let file = match files.entry((member.pid, member.start_time)) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(new) => {
                    let Ok(file) = Statm::open(member.pid) else { continue };
                    new.insert(file)
                }
            };
            if let Some(resident) = file.resident() {
                (rss, processes) = (rss + resident, processes + 1);
            }
        }
        most = Most { rss: most.rss.max(rss), processes: most.processes.max(processes) };
        thread::park_timeout(LOOK.max(start.elapsed() * REST));
    }
    most
}
