//! Who held the GIL that a thread waited for: in a recording, another sample of the same moment.

use std::collections::HashMap;

use rspy_profile::{Frame, FrameKind, Profile, Sample, StackId};

/// Puts the stack of the holder on that of each thread that waits, as `rspy record --gil-wait` does.
#[derive(Default)]
pub struct Holders {
    /// The samples of one process at one moment.
    moment: Vec<Sample>,
    /// What was made of the stacks of a waiting thread and of the holder, where that is known.
    known: HashMap<(StackId, Option<StackId>), StackId>,
}

impl Holders {
    /// Takes the next sample. Samples of one moment follow each other.
    pub fn add(&mut self, sample: Sample, profile: &mut Profile) {
        let process = |sample: &Sample| profile.threads[sample.thread].process;
        let is_other = |last: &Sample| (last.at, process(last)) != (sample.at, process(&sample));
        if self.moment.last().is_some_and(is_other) {
            self.hand_over(profile);
        }
        self.moment.push(sample);
    }

    /// Hands over what was taken last.
    pub fn finish(mut self, profile: &mut Profile) {
        self.hand_over(profile);
    }

    fn hand_over(&mut self, profile: &mut Profile) {
        let mut holding = self.moment.iter().filter(|sample| sample.state.owns_gil == Some(true));
        // Of several interpreters, each with a GIL, it is not known which is waited for.
        let holder = match (holding.next(), holding.next()) {
            (Some(holder), None) => Some(holder.stack),
            _ => None,
        };
        for mut sample in self.moment.drain(..) {
            if sample.state.waits_for_gil == Some(true) {
                let stacks = (sample.stack, holder);
                sample.stack = *self.known.entry(stacks).or_insert_with(|| on_top(stacks, profile));
            }
            profile.add(sample);
        }
    }
}

/// The stack of a waiting thread, what it waits for, and the stack of the holder.
fn on_top((waiting, holder): (StackId, Option<StackId>), profile: &mut Profile) -> StackId {
    let mark = profile.frames.intern(Frame::unknown(FrameKind::WaitsForGil));
    let mut frames = Vec::new();
    profile.stacks.root_first(holder.unwrap_or(StackId::EMPTY), &mut frames);
    let base = profile.stacks.intern(waiting, mark);
    frames.into_iter().fold(base, |stack, frame| profile.stacks.intern(stack, frame))
}
