//! How often each call was seen to begin. Samples tell of calls only what lies between two of them, so
//! these numbers are estimates, and as far as they go lower bounds:
//!
//! - a call that is in two neighbouring samples of its thread is one, also where they are far apart: a
//!   thread that was idle in between may have slept in it;
//! - it goes on where its own line has changed. Where a caller's line, or part of a line, has changed,
//!   what the caller calls is another call: a frame does not move on while it waits for the one above;
//! - what was open before a lost or a cut sample may be so behind it;
//! - of a stack whose outermost frames are `[truncated]` nobody knows which calls they are. What was
//!   seen of such stacks counts once for each place.
//!
//! A generator or coroutine that is resumed is called again, as for `cProfile`.
//!
//! No calls are known of what stands for other frames: `[cut]`, `[truncated]` and lost stacks. Frames
//! above `<waits for the GIL>` are calls of another thread, and count there.

use rustc_hash::FxHashMap;

use crate::frame::{Frame, FrameKind};
use crate::options::Options;
use crate::process::ProcessId;
use crate::profile::Profile;
use crate::stack::StackId;
use crate::thread::ThreadId;
use crate::timeline::timelines;

/// Whose stack it is, as [`fold`](crate::fold()) tells them apart, and the stack that ends with the call.
pub(crate) type Call = (Option<ProcessId>, Option<ThreadId>, StackId);

/// How often each call was seen to begin, in the samples of `profile` that `options` include.
pub(crate) fn entries(profile: &Profile, options: &Options) -> FxHashMap<Call, u64> {
    let mut entries: FxHashMap<Call, u64> = FxHashMap::default();
    let mut counts = Counts::new(profile);
    for timeline in timelines(profile, options) {
        let process = options.by_process.then(|| profile.threads[timeline.thread].process);
        let thread = options.by_thread.then_some(timeline.thread);
        let mut open = StackId::EMPTY;
        for run in &timeline.runs {
            open = counts.next(open, run.sample.stack);
        }
        counts.take(|stack, count| *entries.entry((process, thread, stack)).or_default() += count);
    }
    entries
}

/// What a stack tells of its thread's calls.
#[derive(Clone, Copy, Debug)]
struct Facts {
    /// The stack of its caller.
    caller: StackId,
    /// The part of the stack that consists of the thread's own calls and is known.
    own: StackId,
    /// Whether more calls, which are not known, may be above.
    is_cut: bool,
    /// Whether the outermost calls are not known.
    is_truncated: bool,
    /// Whether nothing is known.
    is_lost: bool,
}

/// The facts of every stack, by its index.
fn facts(profile: &Profile) -> Vec<Facts> {
    let empty = StackId::EMPTY;
    let mut facts =
        vec![Facts { caller: empty, own: empty, is_cut: false, is_truncated: false, is_lost: false }];
    for (stack, caller, frame) in profile.stacks.iter() {
        let below = Facts { caller, ..facts[caller.index()] };
        let of_caller = profile.stacks.split(caller).map(|(_, frame)| profile.frames[frame].kind);
        let is_foreign = of_caller == Some(FrameKind::WaitsForGil) || below.own != caller;
        facts.push(match profile.frames[frame].kind {
            FrameKind::Lost(_) => Facts { is_lost: true, ..below },
            _ if is_foreign => below,
            FrameKind::Cut => Facts { is_cut: true, ..below },
            FrameKind::Truncated => Facts { own: stack, is_truncated: true, ..below },
            _ => Facts { own: stack, ..below },
        });
    }
    facts
}

/// How often each stack's innermost call began, in one thread at a time.
struct Counts<'profile> {
    profile: &'profile Profile,
    facts: Vec<Facts>,
    /// By stack: how often it and its callers began that were not open, less how often these callers belong to a
    /// stack that was. So the sum over a stack and all that it calls is how often its innermost call began, and
    /// a sample changes two numbers, however deep its stack is.
    changes: Vec<i64>,
    /// The stacks that have numbers.
    seen: Vec<StackId>,
    /// Whether a stack is among them.
    is_seen: Vec<bool>,
}

impl<'profile> Counts<'profile> {
    fn new(profile: &'profile Profile) -> Self {
        let facts = facts(profile);
        let (changes, is_seen) = (vec![0; facts.len()], vec![false; facts.len()]);
        Counts { profile, facts, changes, seen: Vec::new(), is_seen }
    }

    /// Counts what began in `stack` since `open`, and says what is open now.
    fn next(&mut self, open: StackId, stack: StackId) -> StackId {
        let Facts { own, is_cut, is_truncated, is_lost, .. } = self.facts[stack.index()];
        if is_lost {
            return open;
        }
        // Down to what both have in common. Callers have lower ids than what they call.
        let (mut old, mut new) = (open, own);
        let (mut ended, mut begun) = (None, None);
        while old != new {
            if old > new {
                ended = Some(old);
                old = self.facts[old.index()].caller;
            } else {
                begun = Some(new);
                new = self.facts[new.index()].caller;
            }
        }
        let Some(begun) = begun else { return if is_cut { open } else { own } };
        if is_truncated {
            self.change(own, 0);
            return own;
        }
        let goes_on = ended.is_some_and(|ended| is_same_function(self.profile, begun, ended));
        self.change(own, 1);
        self.change(if goes_on { begun } else { new }, -1);
        own
    }

    fn change(&mut self, stack: StackId, by: i64) {
        self.changes[stack.index()] += by;
        if !std::mem::replace(&mut self.is_seen[stack.index()], true) {
            self.seen.push(stack);
        }
    }

    /// Gives each stack whose innermost call began to `visit`, with how often, and forgets it.
    fn take(&mut self, mut visit: impl FnMut(StackId, u64)) {
        let mut position = 0;
        while let Some(stack) = self.seen.get(position) {
            self.change(self.facts[stack.index()].caller, 0);
            position += 1;
        }
        self.seen.sort_unstable();
        while let Some(stack) = self.seen.pop() {
            let Facts { caller, is_truncated, .. } = self.facts[stack.index()];
            let sum = std::mem::take(&mut self.changes[stack.index()]);
            self.is_seen[stack.index()] = false;
            let Some((_, frame)) = self.profile.stacks.split(stack) else { continue };
            self.changes[caller.index()] += sum;
            match self.profile.frames[frame].kind {
                FrameKind::Truncated => {}
                _ if is_truncated => visit(stack, 1),
                _ if sum > 0 => visit(stack, sum.unsigned_abs()),
                _ => {}
            }
        }
    }
}

/// Whether the innermost frames of two stacks are in the same function.
fn is_same_function(profile: &Profile, one: StackId, other: StackId) -> bool {
    let function = |stack| {
        let (_, frame) = profile.stacks.split(stack)?;
        let Frame { kind, name, file, first_line, .. } = profile.frames[frame];
        Some((kind, name, file, first_line))
    };
    function(one) == function(other)
}
