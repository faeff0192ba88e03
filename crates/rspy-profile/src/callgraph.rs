//! The samples of a profile by function, and by who called whom.
//!
//! A function is counted once in each stack, however often it is in it, and so is each pair of caller
//! and callee: a recursion takes no more time than its outermost call.

use std::collections::BTreeMap;

use indexmap::IndexMap;
use rustc_hash::{FxBuildHasher, FxHashMap, FxHashSet};

use crate::entries::{self, entries};
use crate::fold::{Folded, fold};
use crate::frame::{FrameId, FrameKind};
use crate::label;
use crate::options::{By, Options};
use crate::process::ProcessId;
use crate::profile::Profile;
use crate::thread::ThreadId;

/// The file of what is not in any, which is what `pstats` calls that of built-in functions.
pub(crate) const NO_FILE: &str = "~";

/// A function, or what stands for one. Text that no line of a table can hold is replaced.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Function {
    /// The source file as its code object says, or [`NO_FILE`].
    pub(crate) file: String,
    /// The line it starts on; 0 if that is unknown.
    pub(crate) first_line: u32,
    /// Its qualified name.
    pub(crate) name: String,
}

/// What the stacks that hold something weigh, in ticks of the sampler, and how often it was called.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cost {
    /// Those that end in it.
    pub(crate) own: u64,
    /// All of them, each counted once.
    pub(crate) total: u64,
    /// How often it was called: an estimate, see [`entries`].
    pub(crate) calls: u64,
    /// How often while no other call of the same was open.
    pub(crate) primitive_calls: u64,
    /// Which stack was the last to be counted.
    counted: usize,
}

/// What is known of a function.
#[derive(Clone, Debug, Default)]
pub(crate) struct FunctionCost {
    /// Its file relative to its top-level package; empty if it has none.
    pub(crate) short_file: String,
    /// What it costs.
    pub(crate) cost: Cost,
    /// The weight of the stacks that end in it, by the line that was executed.
    pub(crate) lines: BTreeMap<Option<u32>, u64>,
}

/// What is known of a function's calls of another one.
#[derive(Clone, Debug, Default)]
pub(crate) struct CallCost {
    /// What they cost.
    pub(crate) cost: Cost,
    /// The same by the caller's line.
    pub(crate) lines: BTreeMap<Option<u32>, LineCost>,
}

/// What is known of the calls that a line makes of a function.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct LineCost {
    /// How many: an estimate.
    pub(crate) calls: u64,
    /// The weight of the stacks in which such a call is the outermost one of the function.
    pub(crate) outermost: u64,
}

/// The functions of a profile and their calls.
#[derive(Clone, Debug, Default)]
pub(crate) struct CallGraph {
    /// Every function, in order.
    pub(crate) functions: Vec<(Function, FunctionCost)>,
    /// The calls, by the indices of caller and callee.
    pub(crate) calls: BTreeMap<(usize, usize), CallCost>,
    /// The functions that stacks begin with.
    pub(crate) outermost: BTreeMap<usize, LineCost>,
}

impl CallGraph {
    /// The samples of `profile` that `options` include, and the lost ones.
    pub(crate) fn new(profile: &Profile, options: &Options) -> Self {
        let mut builder = Builder {
            profile,
            options,
            entries: entries(profile, options),
            of_frames: vec![None; profile.frames.len()],
            entered: FxHashSet::default(),
            functions: IndexMap::default(),
            calls: FxHashMap::default(),
            outermost: BTreeMap::new(),
            stacks: 0,
        };
        let mut steps = Vec::new();
        for folded in fold(profile, options).into_iter().filter(|folded| folded.weight > 0) {
            builder.steps(&folded, &mut steps);
            builder.add(&steps, folded.weight);
        }
        for (reason, weight) in profile.lost.iter().filter(|(_, weight)| *weight > 0) {
            let lost = builder.note(label::lost(reason));
            builder.add(&[lost], weight);
        }
        builder.in_order()
    }
}

/// A frame of a stack.
#[derive(Clone, Copy, Debug)]
struct Step {
    function: usize,
    line: Option<u32>,
    /// Calls to count.
    calls: u64,
}

/// A root that stacks get where processes and threads are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Root {
    Process(ProcessId),
    Thread(ThreadId),
}

struct Builder<'profile> {
    profile: &'profile Profile,
    options: &'profile Options,
    /// The calls that are not counted yet.
    entries: FxHashMap<entries::Call, u64>,
    of_frames: Vec<Option<usize>>,
    entered: FxHashSet<Root>,
    functions: IndexMap<Function, FunctionCost, FxBuildHasher>,
    calls: FxHashMap<(usize, usize), CallCost>,
    outermost: BTreeMap<usize, LineCost>,
    /// How many stacks were counted.
    stacks: usize,
}

impl Builder<'_> {
    /// Puts the frames of a stack, outermost first, in place of what `steps` holds. At least one.
    fn steps(&mut self, folded: &Folded, steps: &mut Vec<Step>) {
        steps.clear();
        let mut stack = folded.stack;
        while let Some((prefix, frame)) = self.profile.stacks.split(stack) {
            let function = self.function(frame);
            let calls = self.entries.remove(&(folded.process, folded.thread, stack)).unwrap_or(0);
            steps.push(Step { function, line: self.line(frame), calls });
            stack = prefix;
        }
        if steps.is_empty() {
            steps.push(self.note(label::NO_FRAMES.into()));
        }
        if let Some(thread) = folded.thread {
            let text = label::thread(self.profile, &self.profile.threads[thread]);
            steps.push(self.root(Root::Thread(thread), text));
        }
        if let Some(process) = folded.process {
            for process in self.profile.processes.upwards(process) {
                let text = label::process(self.profile, &self.profile.processes[process]);
                steps.push(self.root(Root::Process(process), text));
            }
        }
        steps.reverse();
    }

    fn line(&self, frame: FrameId) -> Option<u32> {
        let frame = &self.profile.frames[frame];
        let line = if self.options.by == By::Line { frame.line } else { frame.first_line };
        line.filter(|_| self.options.line_numbers)
    }

    fn function(&mut self, id: FrameId) -> usize {
        if let Some(known) = self.of_frames[id.index()] {
            return known;
        }
        let frame = &self.profile.frames[id];
        let index = match frame.kind {
            FrameKind::Python => {
                let text = |id| label::printable(&self.profile.strings[id]);
                let (name, file) = (text(frame.name), text(frame.file));
                let function = Function {
                    file: if file.trim().is_empty() { NO_FILE.into() } else { file },
                    first_line: frame.first_line.unwrap_or(0),
                    name: if name.trim().is_empty() { label::UNNAMED.into() } else { name },
                };
                self.intern(function, text(frame.short_file))
            }
            _ => self.note(label::frame(self.profile, frame, self.options)).function,
        };
        self.of_frames[id.index()] = Some(index);
        index
    }

    /// What is no function, of which no calls are known.
    fn note(&mut self, name: String) -> Step {
        let function = Function { file: NO_FILE.into(), first_line: 0, name };
        Step { function: self.intern(function, String::new()), line: None, calls: 0 }
    }

    /// A process or a thread, which is entered once.
    fn root(&mut self, root: Root, name: String) -> Step {
        let calls = u64::from(self.entered.insert(root));
        Step { calls, ..self.note(name) }
    }

    fn intern(&mut self, function: Function, short_file: String) -> usize {
        let entry = self.functions.entry(function);
        let index = entry.index();
        let known = entry
            .or_insert_with(|| FunctionCost { short_file: short_file.clone(), ..FunctionCost::default() });
        // One file has one short name; should there be more, the choice must not depend on the order.
        if short_file < known.short_file {
            known.short_file = short_file;
        }
        index
    }

    /// Counts a stack.
    fn add(&mut self, steps: &[Step], weight: u64) {
        self.stacks += 1;
        let mut caller: Option<Step> = None;
        for (position, step) in steps.iter().enumerate() {
            let is_leaf = position + 1 == steps.len();
            let own = if is_leaf { weight } else { 0 };
            let function = &mut self.functions[step.function];
            let is_outermost = function.cost.add(step.calls, own, weight, self.stacks);
            if is_leaf {
                *function.lines.entry(step.line).or_default() += weight;
            }
            let line = match caller {
                Some(caller) => {
                    let call = self.calls.entry((caller.function, step.function)).or_default();
                    call.cost.add(step.calls, own, weight, self.stacks);
                    call.lines.entry(caller.line).or_default()
                }
                None => self.outermost.entry(step.function).or_default(),
            };
            line.calls += step.calls;
            line.outermost += if is_outermost { weight } else { 0 };
            caller = Some(*step);
        }
    }

    /// All of it, in an order that does not depend on when what was seen.
    fn in_order(self) -> CallGraph {
        let mut functions: Vec<(usize, (Function, FunctionCost))> =
            self.functions.into_iter().enumerate().collect();
        functions.sort_unstable_by(|(_, (one, _)), (_, (other, _))| one.cmp(other));
        let mut ranks = vec![0; functions.len()];
        for (rank, (index, _)) in functions.iter().enumerate() {
            ranks[*index] = rank;
        }
        let calls =
            self.calls.into_iter().map(|((caller, callee), cost)| ((ranks[caller], ranks[callee]), cost));
        let outermost = self.outermost.into_iter().map(|(function, cost)| (ranks[function], cost));
        CallGraph {
            calls: calls.collect(),
            outermost: outermost.collect(),
            functions: functions.into_iter().map(|(_, function)| function).collect(),
        }
    }
}

impl Cost {
    /// Counts one more place in a stack, and says whether it is the outermost one there.
    fn add(&mut self, calls: u64, own: u64, weight: u64, stack: usize) -> bool {
        let is_outermost = self.counted != stack;
        self.counted = stack;
        self.calls += calls;
        self.own += own;
        if is_outermost {
            self.primitive_calls += calls;
            self.total += weight;
        }
        is_outermost
    }
}
