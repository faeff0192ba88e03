//! What samples refer to: how each table is written where it grows, and read into a profile that may hold
//! more than this recording.

use rustc_hash::FxHashMap;

use super::error::Malformed;
use super::section::{Tag, push as push_section};
use super::varint::{Bytes, push, push_text};
use crate::frame::{Columns, Frame, FrameId, FrameKind, LostReason};
use crate::process::{Process, ProcessId};
use crate::profile::Profile;
use crate::stack::StackId;
use crate::strings::StringId;
use crate::thread::{Thread, ThreadId};

/// The reasons by their numbers in the file.
const REASONS: [LostReason; 5] = [
    LostReason::Unreadable,
    LostReason::Inconsistent,
    LostReason::Exited,
    LostReason::Denied,
    LostReason::Dropped,
];

/// The number of the first kind of frame that stands for a lost stack.
const LOST: u8 = 16;

fn reason_number(reason: LostReason) -> u8 {
    REASONS.iter().position(|known| *known == reason).unwrap_or_default() as u8
}

fn reason(number: u8) -> Result<LostReason, Malformed> {
    REASONS.get(usize::from(number)).copied().ok_or(Malformed::Meaningless)
}

fn kind_number(kind: FrameKind) -> u8 {
    match kind {
        FrameKind::Python => 0,
        FrameKind::Cut => 1,
        FrameKind::Truncated => 2,
        FrameKind::Collecting => 3,
        FrameKind::WaitsForGil => 4,
        FrameKind::Lost(reason) => LOST + reason_number(reason),
    }
}

fn kind(number: u8) -> Result<FrameKind, Malformed> {
    Ok(match number {
        0 => FrameKind::Python,
        1 => FrameKind::Cut,
        2 => FrameKind::Truncated,
        3 => FrameKind::Collecting,
        4 => FrameKind::WaitsForGil,
        _ => FrameKind::Lost(reason(number.checked_sub(LOST).ok_or(Malformed::Meaningless)?)?),
    })
}

/// `None` as 0.
pub(super) fn push_optional(into: &mut Vec<u8>, value: Option<impl Into<u64>>) {
    push(into, value.map_or(0, |value| value.into().saturating_add(1)));
}

pub(super) fn optional(bytes: &mut Bytes) -> Result<Option<u64>, Malformed> {
    Ok(bytes.number()?.checked_sub(1))
}

fn optional_small(bytes: &mut Bytes) -> Result<Option<u32>, Malformed> {
    optional(bytes)?.map(|value| u32::try_from(value).map_err(|_| Malformed::TooLarge)).transpose()
}

/// How much of each table is in the file.
#[derive(Debug)]
pub(super) struct Written {
    strings: usize,
    frames: usize,
    stacks: usize,
    /// By index of the stack its number among those that samples have, counted from 1; 0 if it has none. Most stacks
    /// are only callers of others.
    sampled: Vec<u32>,
    /// Stacks that have a number which is not in the file yet; and how many have one.
    newly_sampled: Vec<StackId>,
    sampled_count: u32,
    processes: Vec<Process>,
    threads: Vec<Thread>,
    lost: Vec<((Option<ProcessId>, LostReason), u64)>,
}

impl Written {
    /// Nothing but what every table holds from the beginning.
    pub(super) fn new() -> Written {
        Written {
            strings: 1,
            frames: 0,
            stacks: 0,
            sampled: Vec::new(),
            newly_sampled: Vec::new(),
            sampled_count: 0,
            processes: Vec::new(),
            threads: Vec::new(),
            lost: Vec::new(),
        }
    }

    /// Takes it as said what was lost before, in another file.
    pub(super) fn go_on_from(&mut self, other: &Written) {
        self.lost.clone_from(&other.lost);
    }

    /// The number by which samples refer to `stack`, counted from 0. A new one has to be pushed before them.
    pub(super) fn sampled(&mut self, stack: StackId) -> u32 {
        if self.sampled.len() <= stack.index() {
            self.sampled.resize((stack.index() + 1).next_power_of_two(), 0);
        }
        let number = &mut self.sampled[stack.index()];
        if *number == 0 {
            self.newly_sampled.push(stack);
            self.sampled_count += 1;
            *number = self.sampled_count;
        }
        *number - 1
    }

    /// Appends the section of the stacks that got a number.
    pub(super) fn push_sampled(&mut self, into: &mut Vec<u8>) {
        let mut body = Vec::new();
        for stack in self.newly_sampled.drain(..) {
            push(&mut body, stack.index() as u64);
        }
        push_section(into, Tag::Sampled, &body);
    }

    /// Appends the section of what was lost.
    pub(super) fn push_lost(&mut self, profile: &Profile, into: &mut Vec<u8>) {
        let mut body = Vec::new();
        for (process, reason, count) in profile.lost.by_process() {
            let known = self.lost.iter_mut().find(|(known, _)| *known == (process, reason));
            let before = known.map_or(0, |(_, written)| std::mem::replace(written, count));
            if before == 0 {
                self.lost.push(((process, reason), count));
            }
            if count > before {
                push_optional(&mut body, process.map(|process| process.index() as u64));
                body.push(reason_number(reason));
                push(&mut body, count - before);
            }
        }
        push_section(into, Tag::Lost, &body);
    }

    /// Appends sections of all that is new in the tables of `profile`.
    pub(super) fn push_news(&mut self, profile: &Profile, into: &mut Vec<u8>) {
        let mut body = Vec::new();
        for text in profile.strings.since(self.strings) {
            push_text(&mut body, text);
        }
        self.strings = profile.strings.len();
        push_section(into, Tag::Strings, &body);

        body.clear();
        for (_, frame) in profile.frames.iter().skip(self.frames) {
            push_frame(&mut body, frame);
        }
        self.frames = profile.frames.len();
        push_section(into, Tag::Frames, &body);

        body.clear();
        for index in self.stacks..profile.stacks.len() {
            let Some((caller, frame)) = profile.stacks.split(StackId::from_index(index + 1)) else { break };
            push(&mut body, (index + 1 - caller.index()) as u64);
            push(&mut body, frame.index() as u64);
        }
        self.stacks = profile.stacks.len();
        push_section(into, Tag::Stacks, &body);
        self.push_processes(profile, into);
        self.push_threads(profile, into);
    }

    fn push_processes(&mut self, profile: &Profile, into: &mut Vec<u8>) {
        let (mut changes, mut news) = (Vec::new(), Vec::new());
        for (id, process) in profile.processes.iter() {
            match self.processes.get_mut(id.index()) {
                Some(written) if written == process => continue,
                Some(written) => {
                    push(&mut changes, id.index() as u64);
                    push_process(&mut changes, process);
                    *written = *process;
                }
                // A child may be met before its parent, and no section refers to what stands behind.
                None if process.parent >= Some(id) => {
                    push_process(&mut news, &Process { parent: None, ..*process });
                    push(&mut changes, id.index() as u64);
                    push_process(&mut changes, process);
                    self.processes.push(*process);
                }
                None => {
                    push_process(&mut news, process);
                    self.processes.push(*process);
                }
            }
        }
        push_section(into, Tag::Processes, &news);
        push_section(into, Tag::ProcessChanges, &changes);
    }

    fn push_threads(&mut self, profile: &Profile, into: &mut Vec<u8>) {
        let (mut changes, mut news) = (Vec::new(), Vec::new());
        for (id, thread) in profile.threads.iter() {
            match self.threads.get_mut(id.index()) {
                Some(written) if written == thread => continue,
                Some(written) => {
                    push(&mut changes, id.index() as u64);
                    push_thread(&mut changes, thread);
                    *written = *thread;
                }
                None => {
                    push_thread(&mut news, thread);
                    self.threads.push(*thread);
                }
            }
        }
        push_section(into, Tag::Threads, &news);
        push_section(into, Tag::ThreadChanges, &changes);
    }
}

fn push_frame(into: &mut Vec<u8>, frame: &Frame) {
    into.push(kind_number(frame.kind));
    if frame.kind != FrameKind::Python {
        return;
    }
    for text in [frame.name, frame.file, frame.short_file] {
        push(into, text.index() as u64);
    }
    push_optional(into, frame.line);
    push_optional(into, frame.first_line);
    push_optional(into, frame.columns.map(|columns| columns.first));
    if let Some(columns) = frame.columns {
        push_optional(into, columns.end_line);
        push(into, columns.last.into());
    }
}

fn push_process(into: &mut Vec<u8>, process: &Process) {
    push(into, process.pid.into());
    push_optional(into, process.parent.map(|parent| parent.index() as u64));
    push(into, process.command_line.index() as u64);
}

fn push_thread(into: &mut Vec<u8>, thread: &Thread) {
    push(into, thread.process.index() as u64);
    push_optional(into, thread.os_id);
    push(into, u64::from(thread.python_id.is_some()));
    push(into, thread.python_id.unwrap_or_default());
    push_optional(into, thread.name.map(|name| name.index() as u64));
}

/// What the numbers of a recording are in the profile that it is read into.
#[derive(Debug)]
pub(super) struct Read {
    strings: Vec<StringId>,
    frames: Vec<FrameId>,
    stacks: Vec<StackId>,
    pub(super) sampled: Vec<StackId>,
    pub(super) processes: Vec<ProcessId>,
    pub(super) threads: Vec<ThreadId>,
    /// Processes and threads that the profile had before, by what makes them the same.
    known_processes: FxHashMap<(u32, StringId), ProcessId>,
    known_threads: FxHashMap<Identity, ThreadId>,
    /// Where the processes are, if that is not where the profile is of.
    elsewhere: Option<String>,
}

impl Read {
    /// Of processes on the machine `host` into `profile`.
    pub(super) fn new(profile: &Profile, host: Option<&str>) -> Read {
        let processes =
            profile.processes.iter().map(|(id, process)| ((process.pid, process.command_line), id));
        let threads = profile.threads.iter().map(|(id, thread)| (identity(thread), id));
        let is_other = |host: &&str| Some(*host) != profile.metadata.host.as_deref();
        Read {
            strings: vec![StringId::EMPTY],
            frames: Vec::new(),
            stacks: vec![StackId::EMPTY],
            sampled: Vec::new(),
            processes: Vec::new(),
            threads: Vec::new(),
            known_processes: processes.collect(),
            known_threads: threads.collect(),
            elsewhere: host.filter(is_other).map(str::to_owned),
        }
    }

    /// Reads a section that is a table's.
    pub(super) fn section(
        &mut self,
        tag: Tag,
        mut body: Bytes,
        profile: &mut Profile,
    ) -> Result<(), Malformed> {
        while !body.is_empty() {
            match tag {
                Tag::Strings => self.strings.push(profile.strings.intern(body.text()?)),
                Tag::Frames => {
                    let frame = self.frame(&mut body)?;
                    self.frames.push(profile.frames.intern(frame));
                }
                Tag::Stacks => {
                    let back = usize::try_from(body.number()?).map_err(|_| Malformed::Dangling)?;
                    let caller = self.stacks.len().checked_sub(back).filter(|_| back > 0);
                    let caller = get(&self.stacks, caller.ok_or(Malformed::Dangling)? as u64)?;
                    let frame = get(&self.frames, body.number()?)?;
                    // Within a recording each is there once.
                    let has_others = profile.stacks.len() + 1 != self.stacks.len();
                    self.stacks.push(match has_others {
                        true => profile.stacks.intern(caller, frame),
                        false => profile.stacks.append(caller, frame),
                    });
                }
                Tag::Sampled => self.sampled.push(get(&self.stacks, body.number()?)?),
                Tag::Lost => {
                    let process =
                        optional(&mut body)?.map(|process| get(&self.processes, process)).transpose()?;
                    let (reason, count) = (reason(body.byte()?)?, body.number()?);
                    match process {
                        Some(process) => profile.lost.add_of(process, reason, count),
                        None => profile.lost.add(reason, count),
                    }
                }
                Tag::Processes => {
                    let process = self.process(&mut body, profile)?;
                    let known = self.known_processes.get(&(process.pid, process.command_line)).copied();
                    self.processes.push(known.unwrap_or_else(|| profile.processes.add(process)));
                }
                Tag::Threads => {
                    let thread = self.thread(&mut body)?;
                    let known = self.known_threads.get(&identity(&thread)).copied();
                    if let Some(known) = known {
                        profile.threads[known] = thread;
                    }
                    self.threads.push(known.unwrap_or_else(|| profile.threads.add(thread)));
                }
                Tag::ProcessChanges => {
                    let id = get(&self.processes, body.number()?)?;
                    if let Some(parent) = self.process(&mut body, profile)?.parent {
                        profile.processes.put_below(id, parent);
                    }
                }
                Tag::ThreadChanges => {
                    let id = get(&self.threads, body.number()?)?;
                    profile.threads[id] = self.thread(&mut body)?;
                }
                Tag::Metadata | Tag::Samples | Tag::Memory | Tag::Accounts | Tag::Progress => return Ok(()),
            }
        }
        Ok(())
    }

    fn frame(&self, body: &mut Bytes) -> Result<Frame, Malformed> {
        let kind = kind(body.byte()?)?;
        if kind != FrameKind::Python {
            return Ok(Frame::unknown(kind));
        }
        let name = get(&self.strings, body.number()?)?;
        let file = get(&self.strings, body.number()?)?;
        let short_file = get(&self.strings, body.number()?)?;
        let line = optional_small(body)?;
        let first_line = optional_small(body)?;
        let columns = match optional_small(body)? {
            Some(first) => Some(Columns { first, end_line: optional_small(body)?, last: body.small()? }),
            None => None,
        };
        Ok(Frame { name, file, short_file, line, columns, first_line, kind })
    }

    fn process(&self, body: &mut Bytes, profile: &mut Profile) -> Result<Process, Malformed> {
        let pid = body.small()?;
        let parent = optional(body)?.map(|parent| get(&self.processes, parent)).transpose()?;
        let mut command_line = get(&self.strings, body.number()?)?;
        if let Some(host) = &self.elsewhere {
            let told = format!("{host}: {}", &profile.strings[command_line]);
            command_line = profile.strings.intern(&told);
        }
        Ok(Process { pid, parent, command_line })
    }

    fn thread(&self, body: &mut Bytes) -> Result<Thread, Malformed> {
        let process = get(&self.processes, body.number()?)?;
        let os_id = optional_small(body)?;
        let (has_python_id, python_id) = (body.number()? == 1, body.number()?);
        let name = optional(body)?.map(|name| get(&self.strings, name)).transpose()?;
        Ok(Thread { process, os_id, python_id: has_python_id.then_some(python_id), name })
    }
}

fn get<T: Copy>(table: &[T], index: u64) -> Result<T, Malformed> {
    usize::try_from(index).ok().and_then(|index| table.get(index)).copied().ok_or(Malformed::Dangling)
}

/// What a thread has in every recording of it: its numbers, or the name where others' files tell no more.
type Identity = (ProcessId, Option<u32>, Option<u64>, Option<StringId>);

fn identity(thread: &Thread) -> Identity {
    let has_number = thread.os_id.is_some() || thread.python_id.is_some();
    (thread.process, thread.os_id, thread.python_id, thread.name.filter(|_| !has_number))
}
