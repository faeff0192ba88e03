//! From looks at a target to a profile: frames, stacks and threads interned.

use std::collections::HashMap;
use std::time::Duration;

use rspy_cpython::frames::ChainEnd;
use rspy_cpython::stack;
use rspy_process::{Process, ReadError};
use rspy_profile::{
    Activity, Frame, FrameId, FrameKind, LostReason, Profile, Sample, StackId, Thread, ThreadId, ThreadState,
};

use crate::columns::columns_of;
use crate::names::ShortNames;
use crate::target::ThreadSample;

/// A profile that is being recorded.
pub struct Recorder {
    profile: Profile,
    names: ShortNames,
    threads: HashMap<(Option<u32>, u64), ThreadId>,
    /// Whether frames that differ in their columns alone are different ones.
    columns: bool,
    looks: u64,
    samples: u64,
    cut: u64,
    missed: u64,
}

impl Recorder {
    /// A recording into `profile`, with or without the columns of frames.
    pub fn new(profile: Profile, columns: bool) -> Recorder {
        Recorder {
            profile,
            names: ShortNames::default(),
            threads: HashMap::new(),
            columns,
            looks: 0,
            samples: 0,
            cut: 0,
            missed: 0,
        }
    }

    /// Adds what one look saw, `at` after the start; `weight` is 1 plus the ticks
    /// missed before it. Threads without Python frames are left out.
    pub fn add(&mut self, process: &Process, at: Duration, weight: u64, look: &[ThreadSample]) {
        self.looks += 1;
        for sample in look {
            if sample.lost {
                self.profile.lost.add(LostReason::Inconsistent, weight);
                continue;
            }
            if sample.frames.is_empty() && !sample.cut {
                continue;
            }
            let stack = self.stack(process, sample);
            let thread = self.thread(process, sample);
            self.samples += weight;
            self.cut += if sample.cut { weight } else { 0 };
            self.profile.add(Sample {
                at: at.as_nanos() as u64,
                thread,
                stack,
                weight,
                state: ThreadState {
                    activity: match sample.active {
                        Some(true) => Activity::Active,
                        Some(false) => Activity::Idle,
                        None => Activity::Unknown,
                    },
                    owns_gil: sample.owns_gil,
                },
            });
        }
    }

    /// Counts a look that failed.
    pub fn lose(&mut self, error: ReadError, weight: u64) {
        let reason = match error {
            ReadError::Gone => LostReason::Exited,
            ReadError::Denied => LostReason::Denied,
            ReadError::Fault { .. } | ReadError::Os(_) => LostReason::Unreadable,
        };
        self.profile.lost.add(reason, weight);
    }

    /// Whether a thread was met whose name is not known yet.
    pub fn has_unnamed(&self) -> bool {
        self.profile.threads.iter().any(|(_, thread)| thread.name.is_none())
    }

    /// Takes over names by `threading.get_ident()`.
    pub fn name_threads(&mut self, names: &HashMap<u64, String>) {
        for thread in self.threads.values() {
            let python_id = self.profile.threads[*thread].python_id;
            if let Some(name) = python_id.and_then(|id| names.get(&id)) {
                let name = self.profile.strings.intern(name);
                self.profile.threads[*thread].name = Some(name);
            }
        }
    }

    /// How often it was looked at the threads.
    pub fn looks(&self) -> u64 {
        self.looks
    }

    /// Samples so far, by weight.
    pub fn samples(&self) -> u64 {
        self.samples
    }

    /// Samples whose innermost frames are unknown.
    pub fn cut(&self) -> u64 {
        self.cut
    }

    /// Counts ticks that passed without a look.
    pub fn miss(&mut self, ticks: u64) {
        self.missed += ticks;
    }

    /// Ticks that passed without a look.
    pub fn missed(&self) -> u64 {
        self.missed
    }

    /// Looks that failed.
    pub fn lost(&self) -> u64 {
        self.profile.lost.total()
    }

    /// The finished profile.
    pub fn finish(mut self, duration: Duration) -> Profile {
        self.profile.metadata.duration = duration;
        self.profile
    }

    fn stack(&mut self, process: &Process, sample: &ThreadSample) -> StackId {
        let mut stack = StackId::EMPTY;
        let unknown_base = match sample.end {
            ChainEnd::Root => None,
            ChainEnd::TooLong => Some(FrameKind::Truncated),
            ChainEnd::Broken => Some(FrameKind::Lost(LostReason::Inconsistent)),
            ChainEnd::Unreadable(_) => Some(FrameKind::Lost(LostReason::Unreadable)),
        };
        if let Some(kind) = unknown_base {
            let frame = self.profile.frames.intern(Frame::unknown(kind));
            stack = self.profile.stacks.intern(stack, frame);
        }
        for frame in sample.frames.iter().rev() {
            let frame = self.frame(process, frame);
            stack = self.profile.stacks.intern(stack, frame);
        }
        if sample.cut {
            let frame = self.profile.frames.intern(Frame::unknown(FrameKind::Cut));
            stack = self.profile.stacks.intern(stack, frame);
        }
        stack
    }

    fn frame(&mut self, process: &Process, frame: &stack::Frame) -> FrameId {
        let frame = match frame {
            stack::Frame::Unknown(_) => Frame::unknown(FrameKind::Lost(LostReason::Inconsistent)),
            stack::Frame::Python { code, .. } => {
                let short = self.names.shorten(process, &code.filename);
                let location = frame.location();
                Frame {
                    short_file: self.profile.strings.intern(short),
                    name: self.profile.strings.intern(&frame.name()),
                    file: self.profile.strings.intern(&code.filename),
                    line: location.line,
                    columns: columns_of(&location).filter(|_| self.columns),
                    first_line: u32::try_from(code.first_line).ok(),
                    kind: FrameKind::Python,
                }
            }
        };
        self.profile.frames.intern(frame)
    }

    fn thread(&mut self, process: &Process, sample: &ThreadSample) -> ThreadId {
        let key = (sample.os_id, sample.python_id);
        if let Some(known) = self.threads.get(&key) {
            return *known;
        }
        let thread = self.profile.threads.add(Thread {
            process: process.pid(),
            os_id: sample.os_id,
            python_id: Some(sample.python_id),
            name: None,
        });
        self.threads.insert(key, thread);
        thread
    }
}
