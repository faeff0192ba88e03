//! From samples to a profile: frames, stacks and threads interned. Runs in a thread of its own,
//! off the one that samples.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::time::Instant;

use indexmap::IndexMap;
use indexmap::map::Entry;
use rspy_cpython::code::CodeInfo;
use rspy_cpython::lines::Location;
use rspy_cpython::sampling::{Node, NodeId};
use rspy_process::{Process, ReadError, Shares};
use rspy_profile::{
    Account, Activity, Collections, Frame, FrameId, FrameKind, LostReason, MemoryUse, ProcessId, Profile,
    Sample, StackId, Thread, ThreadId, ThreadState,
};

use crate::columns::columns_of;
use crate::figures::{Counted, Figures, ProcessCounted, ProcessFigures, ThreadFigures};
use crate::filter::is_importlib;
use crate::names::ShortNames;
use crate::queue::News;
use crate::sampler::{Holder, Known, Taken};
use crate::sink::{Room, Sink};

/// A profile that is being recorded.
pub struct Recorder {
    profile: Profile,
    /// Where samples go that the profile does not keep.
    sink: Option<Sink>,
    /// What became of the sink.
    failure: Option<io::Error>,
    is_full: bool,
    is_flush_asked: bool,
    begun: Instant,
    /// Whether frames that differ in their columns alone are different ones.
    columns: bool,
    /// Whether frames of the import system are left out.
    hides_importlib: bool,
    /// By number of the process.
    subjects: Vec<Subject>,
    samples: u64,
    cut: u64,
}

/// What is known of one process.
struct Subject {
    id: ProcessId,
    process: Process,
    names: ShortNames,
    codes: Vec<Arc<CodeInfo>>,
    /// By number of the node: its frame, if that is shown, its parent, and the whole stack.
    nodes: Vec<(Option<FrameId>, NodeId, StackId)>,
    /// Stacks with something on top or missing.
    extended: HashMap<Extended, StackId>,
    /// By number of the thread.
    threads: Vec<ThreadId>,
    known_threads: HashMap<(Option<u32>, u64), ThreadId>,
    counted: ProcessCounted,
    /// What was counted of its threads, in the order they were met, and their samples.
    figures: IndexMap<ThreadId, (Counted, u64)>,
    /// What was counted of those that are counted still.
    so_far: Vec<Counted>,
}

/// What is known of a process while it is recorded.
pub struct Live<'r> {
    /// Which it is.
    pub id: ProcessId,
    /// The process.
    pub process: &'r Process,
    /// What was counted of it.
    pub counted: ProcessCounted,
    /// What was counted of each of its threads.
    pub threads: HashMap<ThreadId, Counted>,
}

/// A stack with what is on top of it, or missing.
#[derive(Copy, Clone, PartialEq, Eq, Hash)]
struct Extended {
    stack: NodeId,
    known: Known,
    is_collecting: bool,
    waits_for: Option<Holder>,
}

impl Recorder {
    /// A recording into `profile`, or, with a `sink`, into that: the profile then holds what samples refer to.
    pub fn new(profile: Profile, sink: Option<Sink>, columns: bool, hides_importlib: bool) -> Recorder {
        Recorder {
            profile,
            sink,
            failure: None,
            is_full: false,
            is_flush_asked: false,
            begun: Instant::now(),
            columns,
            hides_importlib,
            subjects: Vec::new(),
            samples: 0,
            cut: 0,
        }
    }

    /// Writes what has waited for it, so many ticks having been `missed`. Answers whether there can be more.
    pub fn flush(&mut self, missed: u64) -> bool {
        self.profile.missed = missed;
        let at_once = std::mem::take(&mut self.is_flush_asked);
        if let Some(sink) = &mut self.sink
            && !self.is_full
            && self.failure.is_none()
        {
            match sink.flush(&self.profile, self.begun.elapsed(), at_once) {
                Ok(room) => self.is_full = room == Room::None,
                Err(error) => self.failure = Some(error),
            }
        }
        !self.is_full && self.failure.is_none()
    }

    /// Takes note of what samples of process number `subject` will refer to.
    pub fn learn(&mut self, subject: u32, news: News) {
        if let News::Process { process, parent } = news {
            self.begin(process, parent);
            return;
        }
        if let News::Flush = news {
            self.is_flush_asked = true;
            return;
        }
        if let News::Lost(reason, count) = news {
            self.lose(subject, reason, count);
            return;
        }
        if let News::Below(parent) = news {
            let id = |number| Some(self.subjects.get(number as usize)?.id);
            if let (Some(child), Some(parent)) = (id(subject), id(parent)) {
                self.profile.processes.put_below(child, parent);
            }
            return;
        }
        if let News::Memory { at, resident } = news {
            self.add_memory(subject, at, resident);
            return;
        }
        if let News::Account { at, shares, arenas, collections } = news {
            self.add_account(subject, at, shares, arenas, collections);
            return;
        }
        let Recorder { profile, subjects, columns, hides_importlib, .. } = self;
        let Some(subject) = subjects.get_mut(subject as usize) else { return };
        match news {
            News::Process { .. }
            | News::Lost(..)
            | News::Below(_)
            | News::Flush
            | News::Memory { .. }
            | News::Account { .. } => {}
            News::Threads(all) => {
                subject.so_far.clear();
                subject.count(&all);
            }
            News::Counted(counted) => subject.counted = counted,
            News::SoFar(threads, process) => {
                subject.so_far = threads;
                subject.counted = process;
            }
            News::Thread { os_id, python_id } => subject.meet(profile, os_id, python_id),
            News::Code(info) => subject.codes.push(info),
            News::Node(node) => subject.grow(profile, &node, *columns, *hides_importlib),
            News::Cells(cells) => subject.names.learn_cells(cells),
            News::Names(names) => subject.name_threads(profile, &names),
            News::Renewed(_) => {
                subject.codes.clear();
                subject.nodes.clear();
                subject.extended.clear();
                subject.threads.clear();
            }
        }
    }

    /// Adds a sample.
    pub fn add(&mut self, taken: &Taken) {
        if taken.known == Known::Lost {
            self.lose(taken.process, LostReason::Inconsistent, 1);
            return;
        }
        let Recorder { profile, subjects, .. } = self;
        let Some(subject) = subjects.get_mut(taken.process as usize) else { return };
        let Some(thread) = subject.threads.get(taken.thread as usize).copied() else { return };
        let extended = Extended {
            stack: taken.stack,
            known: taken.known,
            is_collecting: taken.is_collecting,
            waits_for: taken.waits_for,
        };
        let stack = subject.extended_stack(profile, extended);
        if let Some((_, samples)) = subject.figures.get_mut(&thread) {
            *samples += u64::from(taken.weight);
        }
        let weight = u64::from(taken.weight);
        self.samples += weight;
        self.cut += if taken.known == Known::Cut { weight } else { 0 };
        let sample = Sample {
            at: taken.at,
            thread,
            stack,
            weight: taken.weight.into(),
            state: ThreadState {
                activity: match taken.active {
                    Some(true) => Activity::Active,
                    Some(false) => Activity::Idle,
                    None => Activity::Unknown,
                },
                owns_gil: taken.owns_gil,
                waits_for_gil: taken.waits_for_gil,
                in_kernel: taken.in_kernel,
                collects: taken.collects,
            },
        };
        match &mut self.sink {
            None => self.profile.add(sample),
            Some(sink) if self.failure.is_none() => {
                self.failure = sink.add(sample, &self.profile).err();
            }
            Some(_) => {}
        }
    }

    fn add_memory(&mut self, subject: u32, at: u64, resident: u64) {
        let Some(subject) = self.subjects.get(subject as usize) else { return };
        let row = MemoryUse { at, process: subject.id, resident };
        match &mut self.sink {
            None => self.profile.memory.push(row),
            Some(sink) if self.failure.is_none() => {
                self.failure = sink.add_memory(row, &self.profile).err();
            }
            Some(_) => {}
        }
    }

    fn add_account(
        &mut self,
        subject: u32,
        at: u64,
        shares: Shares,
        arenas: Option<u64>,
        collections: (Vec<Collections>, Option<u64>),
    ) {
        let Some(subject) = self.subjects.get(subject as usize) else { return };
        let Shares { proportional, private, shared_dirty, swapped, faults, .. } = shares;
        let row = Account {
            at,
            process: subject.id,
            proportional,
            private,
            shared_dirty,
            swapped,
            faults,
            collections: collections.0,
            collecting: collections.1,
            arenas,
        };
        match &mut self.sink {
            None => self.profile.accounts.push(row),
            Some(sink) => sink.add_account(row),
        }
    }

    /// Samples so far.
    pub fn samples(&self) -> u64 {
        self.samples
    }

    /// Samples whose innermost frames are unknown.
    pub fn cut(&self) -> u64 {
        self.cut
    }

    /// Samples that could not be taken.
    pub fn lost(&self) -> u64 {
        self.profile.lost.total()
    }

    /// The profile so far.
    pub fn profile(&self) -> &Profile {
        &self.profile
    }

    /// What was counted of each process so far, where the recording was [asked](crate::session::Plan::live) to tell.
    pub fn live(&self) -> impl Iterator<Item = Live<'_>> {
        self.subjects.iter().map(|subject| {
            let settled = subject.figures.iter().map(|(id, (counted, _))| (*id, *counted));
            let mut threads: HashMap<ThreadId, Counted> = settled.collect();
            for (id, counted) in subject.threads.iter().zip(&subject.so_far) {
                threads.entry(*id).or_default().add(counted);
            }
            Live { id: subject.id, process: &subject.process, counted: subject.counted, threads }
        })
    }

    /// The profile as it is, and the figures of its processes and threads; and where its samples went, unless it
    /// has them itself.
    pub fn into_profile(self) -> (Profile, Figures, Option<io::Result<Sink>>) {
        let Recorder { profile, subjects, sink, failure, .. } = self;
        let sink = sink.map(|sink| failure.map_or(Ok(sink), Err));
        let text = |id| profile.strings[id].to_owned();
        let mut processes: IndexMap<(u32, u64), ProcessFigures> = IndexMap::new();
        for subject in &subjects {
            // A thread state without ids has no thread yet: that is met again when it has one.
            let has_begun = |id: ThreadId| {
                let thread = &profile.threads[id];
                thread.os_id.is_some() || thread.python_id.is_some_and(|id| id != 0)
            };
            let begun = subject.figures.iter().filter(|(id, (_, samples))| *samples > 0 || has_begun(**id));
            let threads = begun.map(|(id, (counted, samples))| {
                let thread = &profile.threads[*id];
                let ids = (thread.os_id, thread.python_id);
                ThreadFigures::new(ids, thread.name.map(text), counted, *samples)
            });
            let threads: Vec<ThreadFigures> = threads.collect();
            // It had ended, or become another program, before it was looked at.
            if threads.is_empty() && subjects.len() > 1 {
                continue;
            }
            let process = &profile.processes[subject.id];
            let parent = process.parent.map(|parent| profile.processes[parent].pid);
            let command_line = text(process.command_line);
            let lost = profile.lost.by_process().filter(|(process, ..)| *process == Some(subject.id));
            let lost = lost.map(|(_, reason, count)| (reason.to_string(), count)).collect();
            let ids = (process.pid, parent);
            let figures = ProcessFigures::new(ids, command_line, &subject.counted, lost, threads);
            // A process that replaced itself by another program was met again.
            match processes.entry((process.pid, subject.process.start_time())) {
                Entry::Vacant(entry) => drop(entry.insert(figures)),
                Entry::Occupied(mut entry) => entry.get_mut().go_on_as(figures),
            }
        }
        let figures = Figures { processes: processes.into_values().collect() };
        (profile, figures, sink)
    }

    /// Counts samples of process number `subject` that could not be taken.
    fn lose(&mut self, subject: u32, reason: LostReason, count: u64) {
        // Of what did not fit into the queue it is not known whose it was.
        let subject = self.subjects.get(subject as usize).filter(|_| reason != LostReason::Dropped);
        match subject {
            Some(subject) => self.profile.lost.add_of(subject.id, reason, count),
            None => self.profile.lost.add(reason, count),
        }
    }

    fn begin(&mut self, process: Process, parent: Option<u32>) {
        let command_line = self.profile.strings.intern(&process.command_line().join(" "));
        let parent = parent.and_then(|parent| Some(self.subjects.get(parent as usize)?.id));
        let known = rspy_profile::Process { pid: process.pid(), parent, command_line };
        self.subjects.push(Subject {
            id: self.profile.processes.add(known),
            process,
            names: ShortNames::default(),
            codes: Vec::new(),
            nodes: Vec::new(),
            extended: HashMap::new(),
            threads: Vec::new(),
            known_threads: HashMap::new(),
            counted: ProcessCounted::default(),
            figures: IndexMap::new(),
            so_far: Vec::new(),
        });
    }
}

impl Subject {
    fn meet(&mut self, profile: &mut Profile, os_id: Option<u32>, python_id: u64) {
        // A thread that is listed anew, or whose process runs another Python now, is the same.
        let process = self.id;
        let id = *self.known_threads.entry((os_id, python_id)).or_insert_with(|| {
            profile.threads.add(Thread { process, os_id, python_id: Some(python_id), name: None })
        });
        self.figures.entry(id).or_default();
        self.threads.push(id);
    }

    fn count(&mut self, all: &[Counted]) {
        for (id, counted) in self.threads.iter().zip(all) {
            self.figures.entry(*id).or_default().0.add(counted);
        }
    }

    fn name_threads(&mut self, profile: &mut Profile, names: &HashMap<u64, String>) {
        for id in &self.threads {
            let python_id = profile.threads[*id].python_id;
            if let Some(name) = python_id.and_then(|id| names.get(&id)) {
                let name = profile.strings.intern(name);
                profile.threads[*id].name = Some(name);
            }
        }
    }

    fn grow(&mut self, profile: &mut Profile, node: &Node, columns: bool, hides_importlib: bool) {
        let frame = self.frame(profile, node, columns, hides_importlib);
        let below = self.stack(node.parent);
        let stack = frame.map_or(below, |frame| profile.stacks.intern(below, frame));
        self.nodes.push((frame, node.parent, stack));
    }

    fn stack(&self, node: NodeId) -> StackId {
        let known = node.index().checked_sub(1).and_then(|index| self.nodes.get(index));
        known.map_or(StackId::EMPTY, |(_, _, stack)| *stack)
    }

    /// The stack that is shown: with a frame that stands for what is missing, and what is on top.
    fn extended_stack(&mut self, profile: &mut Profile, wanted: Extended) -> StackId {
        if wanted.known == Known::Whole && !wanted.is_collecting && wanted.waits_for.is_none() {
            return self.stack(wanted.stack);
        }
        if let Some(stack) = self.extended.get(&wanted) {
            return *stack;
        }
        let mut stack = self.put_on(profile, StackId::EMPTY, wanted.stack, wanted.known);
        let mut mark = |kind, stack| {
            let frame = profile.frames.intern(Frame::unknown(kind));
            profile.stacks.intern(stack, frame)
        };
        if wanted.is_collecting {
            stack = mark(FrameKind::Collecting, stack);
        }
        if let Some(holder) = wanted.waits_for {
            stack = mark(FrameKind::WaitsForGil, stack);
            if let Some((node, known)) = holder.stack {
                stack = self.put_on(profile, stack, node, known);
            }
            if holder.is_collecting {
                let frame = profile.frames.intern(Frame::unknown(FrameKind::Collecting));
                stack = profile.stacks.intern(stack, frame);
            }
        }
        self.extended.insert(wanted, stack);
        stack
    }

    /// The frames of `node` on top of `base`, with one that stands for what is missing.
    fn put_on(&self, profile: &mut Profile, base: StackId, node: NodeId, known: Known) -> StackId {
        let missing = match known {
            Known::Whole => None,
            Known::Cut => Some(FrameKind::Cut),
            Known::Truncated => Some(FrameKind::Truncated),
            Known::Unreadable => Some(FrameKind::Lost(LostReason::Unreadable)),
            Known::Lost => Some(FrameKind::Lost(LostReason::Inconsistent)),
        };
        let missing = missing.map(|kind| profile.frames.intern(Frame::unknown(kind)));
        let mut frames = Vec::new();
        let mut at = node;
        while let Some((frame, parent, _)) = at.index().checked_sub(1).and_then(|index| self.nodes.get(index))
        {
            frames.extend(*frame);
            at = *parent;
        }
        // What is missing is the innermost frames of a stack that is cut, else the outermost.
        let (outermost, innermost) = if known == Known::Cut { (None, missing) } else { (missing, None) };
        let all = outermost.into_iter().chain(frames.into_iter().rev()).chain(innermost);
        all.fold(base, |stack, frame| profile.stacks.intern(stack, frame))
    }

    /// The frame of a node; `None` if it is one that is left out.
    fn frame(
        &mut self,
        profile: &mut Profile,
        node: &Node,
        columns: bool,
        hides_importlib: bool,
    ) -> Option<FrameId> {
        let Some(code) = self.codes.get(node.code.index()).cloned() else {
            let unknown = Frame::unknown(FrameKind::Lost(LostReason::Inconsistent));
            return Some(profile.frames.intern(unknown));
        };
        if hides_importlib && is_importlib(&code.filename) {
            return None;
        }
        let location = node.offset.map_or_else(Location::default, |offset| code.location(offset));
        let strings = &mut profile.strings;
        let name = match &node.class {
            Some(class) => strings.intern(&format!("{class}.{}", code.name)),
            None => strings.intern(&code.name),
        };
        let file = strings.intern(&code.filename);
        let short_file = strings.intern(self.names.shorten(&self.process, &code.filename));
        Some(profile.frames.intern(Frame {
            name,
            file,
            short_file,
            line: location.line,
            columns: columns_of(&location).filter(|_| columns),
            first_line: u32::try_from(code.first_line).ok(),
            kind: FrameKind::Python,
        }))
    }
}

/// Why a pass that failed is lost.
pub fn lost_reason(error: ReadError) -> LostReason {
    match error {
        ReadError::Gone => LostReason::Exited,
        ReadError::Denied => LostReason::Denied,
        ReadError::Fault { .. } | ReadError::Os(_) => LostReason::Unreadable,
    }
}
