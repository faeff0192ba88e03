//! From samples to a profile: frames, stacks and threads interned. Runs in a thread of its own,
//! off the one that samples.

use std::collections::HashMap;
use std::sync::Arc;

use rspy_cpython::code::CodeInfo;
use rspy_cpython::lines::Location;
use rspy_cpython::sampling::{Node, NodeId};
use rspy_process::{Process, ReadError};
use rspy_profile::{
    Activity, Frame, FrameId, FrameKind, LostReason, Profile, Sample, StackId, Thread, ThreadId, ThreadState,
};

use crate::columns::columns_of;
use crate::names::ShortNames;
use crate::queue::News;
use crate::sampler::{Known, Taken};

/// A profile that is being recorded.
pub struct Recorder {
    profile: Profile,
    process: Process,
    names: ShortNames,
    /// Whether frames that differ in their columns alone are different ones.
    columns: bool,
    codes: Vec<Arc<CodeInfo>>,
    /// By number of the node: its frame, its parent, and the whole stack.
    nodes: Vec<(FrameId, NodeId, StackId)>,
    /// Stacks of which something is missing.
    partial: HashMap<(NodeId, Known), StackId>,
    /// By number of the thread.
    threads: Vec<ThreadId>,
    known_threads: HashMap<(Option<u32>, u64), ThreadId>,
    samples: u64,
    cut: u64,
}

impl Recorder {
    /// A recording of `process` into `profile`, with or without the columns of frames.
    pub fn new(profile: Profile, process: Process, columns: bool) -> Recorder {
        Recorder {
            profile,
            process,
            names: ShortNames::default(),
            columns,
            codes: Vec::new(),
            nodes: Vec::new(),
            partial: HashMap::new(),
            threads: Vec::new(),
            known_threads: HashMap::new(),
            samples: 0,
            cut: 0,
        }
    }

    /// Takes note of what samples will refer to.
    pub fn learn(&mut self, news: News) {
        match news {
            News::Thread { os_id, python_id } => self.meet(os_id, python_id),
            News::Code(info) => self.codes.push(info),
            News::Node(node) => self.grow(&node),
            News::Names(names) => self.name_threads(&names),
            News::Lost(reason, count) => self.profile.lost.add(reason, count),
            News::Renewed(_) => {
                self.codes.clear();
                self.nodes.clear();
                self.partial.clear();
                self.threads.clear();
            }
        }
    }

    /// Adds a sample.
    pub fn add(&mut self, taken: &Taken) {
        if taken.known == Known::Lost {
            self.profile.lost.add(LostReason::Inconsistent, 1);
            return;
        }
        let Some(thread) = self.threads.get(taken.thread as usize).copied() else { return };
        let stack = match taken.known {
            Known::Whole => self.stack(taken.stack),
            known => self.partial_stack(taken.stack, known),
        };
        self.samples += 1;
        self.cut += u64::from(taken.known == Known::Cut);
        self.profile.add(Sample {
            at: taken.at,
            thread,
            stack,
            weight: 1,
            state: ThreadState {
                activity: match taken.active {
                    Some(true) => Activity::Active,
                    Some(false) => Activity::Idle,
                    None => Activity::Unknown,
                },
                owns_gil: taken.owns_gil,
            },
        });
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

    /// The profile as it is.
    pub fn into_profile(self) -> Profile {
        self.profile
    }

    fn meet(&mut self, os_id: Option<u32>, python_id: u64) {
        // A thread that is listed anew, or whose process runs another Python now, is the same.
        let (profile, process) = (&mut self.profile, self.process.pid());
        let id = *self.known_threads.entry((os_id, python_id)).or_insert_with(|| {
            profile.threads.add(Thread { process, os_id, python_id: Some(python_id), name: None })
        });
        self.threads.push(id);
    }

    fn name_threads(&mut self, names: &HashMap<u64, String>) {
        for id in &self.threads {
            let python_id = self.profile.threads[*id].python_id;
            if let Some(name) = python_id.and_then(|id| names.get(&id)) {
                let name = self.profile.strings.intern(name);
                self.profile.threads[*id].name = Some(name);
            }
        }
    }

    fn grow(&mut self, node: &Node) {
        let frame = self.frame(node);
        let stack = self.stack(node.parent);
        let stack = self.profile.stacks.intern(stack, frame);
        self.nodes.push((frame, node.parent, stack));
    }

    fn stack(&self, node: NodeId) -> StackId {
        let known = node.index().checked_sub(1).and_then(|index| self.nodes.get(index));
        known.map_or(StackId::EMPTY, |(_, _, stack)| *stack)
    }

    /// The stack of `node`, with a frame that stands for what is missing.
    fn partial_stack(&mut self, node: NodeId, known: Known) -> StackId {
        if let Some(stack) = self.partial.get(&(node, known)) {
            return *stack;
        }
        let missing = match known {
            Known::Whole => None,
            Known::Cut => Some(FrameKind::Cut),
            Known::Truncated => Some(FrameKind::Truncated),
            Known::Unreadable => Some(FrameKind::Lost(LostReason::Unreadable)),
            Known::Lost => Some(FrameKind::Lost(LostReason::Inconsistent)),
        };
        let missing = missing.map(|kind| self.profile.frames.intern(Frame::unknown(kind)));
        let stack = match (missing, known) {
            (None, _) => self.stack(node),
            (Some(frame), Known::Cut) => {
                let stack = self.stack(node);
                self.profile.stacks.intern(stack, frame)
            }
            (Some(frame), _) => {
                let mut frames = Vec::new();
                let mut at = node;
                while let Some((frame, parent, _)) =
                    at.index().checked_sub(1).and_then(|index| self.nodes.get(index))
                {
                    frames.push(*frame);
                    at = *parent;
                }
                let base = self.profile.stacks.intern(StackId::EMPTY, frame);
                frames.iter().rev().fold(base, |stack, frame| self.profile.stacks.intern(stack, *frame))
            }
        };
        self.partial.insert((node, known), stack);
        stack
    }

    fn frame(&mut self, node: &Node) -> FrameId {
        let Some(code) = self.codes.get(node.code.index()).cloned() else {
            return self.profile.frames.intern(Frame::unknown(FrameKind::Lost(LostReason::Inconsistent)));
        };
        let location = node.offset.map_or_else(Location::default, |offset| code.location(offset));
        let strings = &mut self.profile.strings;
        let name = match &node.class {
            Some(class) => strings.intern(&format!("{class}.{}", code.name)),
            None => strings.intern(&code.name),
        };
        let file = strings.intern(&code.filename);
        let short_file = strings.intern(self.names.shorten(&self.process, &code.filename));
        self.profile.frames.intern(Frame {
            name,
            file,
            short_file,
            line: location.line,
            columns: columns_of(&location).filter(|_| self.columns),
            first_line: u32::try_from(code.first_line).ok(),
            kind: FrameKind::Python,
        })
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
