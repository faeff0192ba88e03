//! A profile under construction from a file: the same for every format.

use std::time::Duration;

use indexmap::IndexMap;
use rustc_hash::FxBuildHasher;

use super::error::ForeignError;
use super::labels::{PlaceLabel, ThreadLabel, place, stand_in};
use crate::frame::{Columns, Frame, FrameId, FrameKind};
use crate::process::{Process, ProcessId};
use crate::profile::Profile;
use crate::sample::{Sample, ThreadState};
use crate::samples::MOST_WEIGHT;
use crate::stack::StackId;
use crate::strings::StringId;
use crate::thread::{Thread, ThreadId};

/// The most entries that a table of a profile may have: its handles have four bytes.
const MOST_ENTRIES: usize = u32::MAX as usize - 1;

/// A profile under construction.
#[derive(Debug)]
pub(super) struct Builder {
    pub(super) profile: Profile,
    format: &'static str,
    processes: IndexMap<(Option<ProcessId>, u32, StringId), ProcessId, FxBuildHasher>,
    threads: IndexMap<ThreadKey, ThreadId, FxBuildHasher>,
    /// Of each thread, when the last of its samples was taken, in nanoseconds.
    clocks: Vec<u64>,
    weight: u64,
}

/// What sets a thread apart from others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct ThreadKey {
    process: ProcessId,
    os_id: Option<u32>,
    python_id: Option<u64>,
    name: Option<StringId>,
    /// Which interpreter of the process, where the file tells.
    interpreter: Option<i64>,
}

/// When a sample was taken.
#[derive(Clone, Copy, Debug)]
pub(super) enum When {
    /// So many nanoseconds after the thread's last one.
    Later(u64),
    /// Not known.
    Unknown,
}

impl Builder {
    /// An empty profile, for a file of `format`.
    pub(super) fn new(format: &'static str) -> Self {
        let mut profile = Profile::default();
        profile.metadata.rate = 0.0;
        Self {
            profile,
            format,
            processes: IndexMap::default(),
            threads: IndexMap::default(),
            clocks: Vec::new(),
            weight: 0,
        }
    }

    fn room(&self, entries: usize, what: &'static str) -> Result<(), ForeignError> {
        let full = || ForeignError::TooLarge { format: self.format, what };
        (entries < MOST_ENTRIES).then_some(()).ok_or_else(full)
    }

    /// The id of `text`.
    pub(super) fn string(&mut self, text: &str) -> Result<StringId, ForeignError> {
        self.room(self.profile.strings.len(), "it has more than 2³² names")?;
        Ok(self.profile.strings.intern(text))
    }

    /// The id of `frame`.
    pub(super) fn frame(&mut self, frame: Frame) -> Result<FrameId, ForeignError> {
        self.room(self.profile.frames.len(), "it has more than 2³² frames")?;
        Ok(self.profile.frames.intern(frame))
    }

    /// A function, whose file is known by one name only.
    pub(super) fn function(
        &mut self,
        name: &str,
        file: &str,
        line: Option<u32>,
        columns: Option<Columns>,
    ) -> Result<FrameId, ForeignError> {
        let (name, file) = (self.string(name)?, self.string(file)?);
        let columns = columns.filter(|_| line.is_some());
        let known = Frame::unknown(FrameKind::Python);
        self.frame(Frame { name, file, short_file: file, line, columns, ..known })
    }

    /// What `label` stands for: a function, or frames that are not known.
    pub(super) fn labelled(&mut self, label: &str) -> Result<FrameId, ForeignError> {
        if let Some(kind) = stand_in(label) {
            return self.frame(Frame::unknown(kind));
        }
        let PlaceLabel { name, file, line, columns } = place(label);
        self.function(name, file, line, columns)
    }

    /// The stack of `frame` called from `caller`.
    pub(super) fn stack(&mut self, caller: StackId, frame: FrameId) -> Result<StackId, ForeignError> {
        self.room(self.profile.stacks.len(), "it has more than 2³² stacks")?;
        Ok(self.profile.stacks.intern(caller, frame))
    }

    /// A process. Those that agree in all of this are one.
    pub(super) fn process(
        &mut self,
        parent: Option<ProcessId>,
        pid: u32,
        command_line: &str,
    ) -> Result<ProcessId, ForeignError> {
        self.room(self.profile.processes.len(), "it has more than 2³² processes")?;
        let command_line = self.string(command_line)?;
        let processes = &mut self.profile.processes;
        Ok(*self
            .processes
            .entry((parent, pid, command_line))
            .or_insert_with(|| processes.add(Process { pid, parent, command_line })))
    }

    /// The process of which nothing is known.
    pub(super) fn unknown_process(&mut self) -> Result<ProcessId, ForeignError> {
        self.process(None, 0, "")
    }

    /// A thread. Those that agree in all of this are one.
    pub(super) fn thread(
        &mut self,
        process: ProcessId,
        label: ThreadLabel<'_>,
        interpreter: Option<i64>,
    ) -> Result<ThreadId, ForeignError> {
        self.room(self.profile.threads.len(), "it has more than 2³² threads")?;
        let ThreadLabel { os_id, python_id, name } = label;
        let name = name.map(|name| self.string(name)).transpose()?;
        let threads = &mut self.profile.threads;
        let key = ThreadKey { process, os_id, python_id, name, interpreter };
        Ok(*self
            .threads
            .entry(key)
            .or_insert_with(|| threads.add(Thread { process, os_id, python_id, name })))
    }

    /// Adds a sample.
    pub(super) fn sample(
        &mut self,
        thread: ThreadId,
        stack: StackId,
        weight: u64,
        state: ThreadState,
        when: When,
    ) -> Result<(), ForeignError> {
        self.weigh(weight)?;
        if self.clocks.len() <= thread.index() {
            self.clocks.resize(thread.index() + 1, 0);
        }
        let mut at = 0;
        if let Some(clock) = self.clocks.get_mut(thread.index()) {
            let passed = match when {
                When::Later(nanoseconds) => nanoseconds,
                // As if each tick took a microsecond, so that views over time show one after the other.
                When::Unknown => weight.saturating_mul(1000),
            };
            *clock = clock.saturating_add(passed);
            at = *clock;
        }
        self.profile.add(Sample { at, thread, stack, weight, state });
        Ok(())
    }

    /// Takes `weight` into account, of samples whether taken or lost.
    pub(super) fn weigh(&mut self, weight: u64) -> Result<(), ForeignError> {
        let sum = self.weight.checked_add(weight).filter(|sum| *sum <= MOST_WEIGHT);
        let what = "its weights add up to more than 2⁶³";
        self.weight = sum.ok_or(ForeignError::TooLarge { format: self.format, what })?;
        Ok(())
    }

    /// The profile. What it is of is what its only, or topmost, process is; how long it took is when its last sample was taken, if
    /// that is known and nothing else was said.
    pub(super) fn finish(mut self) -> Profile {
        let metadata = &mut self.profile.metadata;
        if let Some((_, process)) = self.profile.processes.iter().next() {
            metadata.pid = process.pid;
            let command_line = &self.profile.strings[process.command_line];
            if metadata.program.is_empty() {
                metadata.program = command_line.to_owned();
            }
        }
        if metadata.duration.is_zero() && metadata.rate > 0.0 {
            metadata.duration = Duration::from_nanos(self.clocks.iter().copied().max().unwrap_or(0));
        }
        self.profile
    }
}
