//! What rspy says, compared with what the target says.

use std::fmt::{self, Write as _};

use serde::Deserialize;

use crate::Outcome;
use crate::target::{Frame, Target, Thread, Variable};

/// The frame that stands for innermost frames that are not known.
pub const CUT: &str = "[cut]";

/// How the frame begins that stands for a whole stack that could not be read.
pub const LOST: &str = "[lost";

/// The frame that stands for outermost frames that are not known.
pub const TRUNCATED: &str = "[truncated]";

/// A thread in the JSON of `rspy dump`.
#[derive(Debug, Deserialize)]
pub struct DumpThread {
    /// The interpreter's id.
    pub thread_id: u64,
    /// The name in `threading`.
    pub thread_name: Option<String>,
    /// The kernel's id, as seen from here.
    pub os_thread_id: Option<u32>,
    /// Whether it was running.
    pub active: bool,
    /// Whether it held the GIL.
    pub owns_gil: bool,
    /// Its frames, innermost first.
    pub frames: Vec<Seen>,
}

/// A frame that rspy saw.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq, Hash)]
pub struct Seen {
    /// The function.
    pub name: String,
    /// The whole file name.
    pub filename: String,
    /// The line, None if it is not known.
    pub line: Option<u32>,
    /// Its variables, if they were asked for.
    #[serde(default)]
    pub locals: Option<Vec<Variable>>,
}

impl fmt::Display for Seen {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} ({}:{})", self.name, self.filename, self.line.unwrap_or(0))
    }
}

impl fmt::Display for Frame {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines = if self.lines.is_empty() { vec![self.line.unwrap_or(0)] } else { self.lines.clone() };
        let lines: Vec<String> = lines.iter().map(u32::to_string).collect();
        write!(formatter, "{} ({}:{})", self.name, self.filename, lines.join("|"))
    }
}

impl Frame {
    fn is(&self, seen: &Seen) -> bool {
        self.name == seen.name && self.filename == seen.filename && self.allows(seen.line)
    }
}

/// Whether the stack `seen` is exactly `expected`; both innermost frame first.
fn is_same(expected: &[Frame], seen: &[Seen]) -> bool {
    expected.len() == seen.len() && expected.iter().zip(seen).all(|(expected, seen)| expected.is(seen))
}

/// Whether `seen`, innermost first, is `expected` without some innermost frames, said to be so.
fn is_cut(expected: &[Frame], seen: &[Seen]) -> bool {
    let Some((first, rest)) = seen.split_first() else { return false };
    first.name == CUT
        && rest.len() < expected.len()
        && is_same(&expected[expected.len() - rest.len()..], rest)
}

/// Where two stacks part, with a few frames around, as they are: innermost first.
fn difference(expected: &[Frame], seen: &[Seen]) -> String {
    const AROUND: usize = 3;
    // Most differences are in the innermost frames, so the outer ends are laid over each other.
    let from_root =
        expected.iter().rev().zip(seen.iter().rev()).take_while(|(expected, seen)| expected.is(seen)).count();
    let mut text = format!(
        "{} frames expected, {} seen, the outermost {from_root} agree; then, from outside:\n",
        expected.len(),
        seen.len()
    );
    let first = from_root.saturating_sub(AROUND);
    for index in first..(from_root + AROUND).min(expected.len().max(seen.len())) {
        let expected = expected.iter().rev().nth(index);
        let seen = seen.iter().rev().nth(index);
        let mark = if index < from_root { ' ' } else { '!' };
        let expected = expected.map_or("nothing".to_owned(), Frame::to_string);
        let seen = seen.map_or("nothing".to_owned(), Seen::to_string);
        let _ = writeln!(text, "  {mark} expected {expected}");
        if index >= from_root {
            let _ = writeln!(text, "  {mark} seen     {seen}");
        }
    }
    text
}

/// The legal stack that agrees longest with `seen`, from the root.
fn nearest<'a>(thread: &'a Thread, seen: &[Seen]) -> &'a [Frame] {
    let agreement = |stack: &&Vec<Frame>| {
        stack.iter().rev().zip(seen.iter().rev()).take_while(|(frame, seen)| frame.is(seen)).count()
    };
    thread.stacks.iter().max_by_key(agreement).map_or(&[], Vec::as_slice)
}

/// Compares a dump with the testimony: the threads, their names and ids, whether they run, every frame.
pub fn compare_dump(target: &Target, dump: &[DumpThread]) -> Outcome {
    let mut problems = String::new();
    for thread in &target.testimony.threads {
        let id = target.kernel_thread(thread);
        let seen: Vec<_> = dump.iter().filter(|seen| seen.os_thread_id == id).collect();
        let [seen] = seen[..] else {
            let _ = writeln!(problems, "thread {id:?} ({:?}) is shown {} times", thread.name, seen.len());
            continue;
        };
        note_differences(thread, seen, &mut problems);
    }
    if dump.len() != target.testimony.threads.len() {
        let ids: Vec<_> = dump.iter().map(|thread| thread.os_thread_id).collect();
        let expected = target.testimony.threads.len();
        let _ = writeln!(problems, "{} threads are shown, {expected} exist: {ids:?}", dump.len());
    }
    if problems.is_empty() { Ok(()) } else { Err(problems.into()) }
}

/// Compares one thread of a dump with what a thread said.
pub fn compare_thread(thread: &Thread, seen: &DumpThread) -> Outcome {
    let mut problems = String::new();
    note_differences(thread, seen, &mut problems);
    if problems.is_empty() { Ok(()) } else { Err(problems.into()) }
}

fn note_differences(thread: &Thread, seen: &DumpThread, problems: &mut String) {
    let name = format!("thread {:?} ({:?})", thread.native_id, thread.name);
    if !thread.stacks.iter().any(|stack| is_same(stack, &seen.frames)) {
        let _ = write!(problems, "{name}: {}", difference(nearest(thread, &seen.frames), &seen.frames));
    }
    if seen.thread_name != thread.name {
        let _ = writeln!(problems, "{name}: is called {:?}", seen.thread_name);
    }
    if seen.thread_id != thread.thread_id {
        let _ = writeln!(problems, "{name}: has id {:#x}, not {:#x}", thread.thread_id, seen.thread_id);
    }
    if seen.active == thread.idle {
        let _ = writeln!(problems, "{name}: active is {}", seen.active);
    }
}

/// Compares the text of a dump with the testimony: each thread's heading, and a line for each frame.
pub fn compare_text(target: &Target, text: &str) -> Outcome {
    for thread in &target.testimony.threads {
        let id = target.kernel_thread(thread).ok_or("a thread of the target is gone")?;
        let state = if thread.idle { "idle" } else { "active" };
        let mut heading = format!("Thread {id} ({state})");
        if let Some(name) = &thread.name {
            let _ = write!(heading, ": \"{name}\"");
        }
        let mut lines = text.lines().skip_while(|line| !line.starts_with(&format!("Thread {id} ")));
        let seen = lines.next().ok_or_else(|| format!("no thread {id} in\n{text}"))?;
        if seen != heading {
            return Err(format!("the heading should be\n{heading}\nit is\n{seen}").into());
        }
        for frame in thread.stacks.first().ok_or("a thread without a stack")? {
            let line = lines.next().unwrap_or_default();
            let is_right = line
                .strip_prefix(&format!("    {} (", frame.name))
                .and_then(|rest| rest.strip_suffix(&format!(":{})", frame.line.unwrap_or(0))))
                .is_some_and(|file| !file.is_empty() && frame.filename.ends_with(file));
            if !is_right {
                return Err(format!("expected {frame}, found {line:?} in\n{text}").into());
            }
        }
    }
    Ok(())
}

/// A recording in collapsed form.
#[derive(Debug)]
pub struct Profile {
    /// The stacks, innermost frame first, with the number of their samples.
    pub stacks: Vec<(Vec<Seen>, u64)>,
}

impl Profile {
    /// Reads `frame;frame;… count` lines.
    pub fn parse(text: &str) -> Outcome<Profile> {
        let mut stacks = Vec::new();
        for line in text.lines() {
            let (stack, count) = line.rsplit_once(' ').ok_or_else(|| format!("no count in {line:?}"))?;
            let count = count.parse().map_err(|_| format!("no count in {line:?}"))?;
            stacks.push((stack.split(';').rev().map(parse_frame).collect(), count));
        }
        Ok(Profile { stacks })
    }

    /// The number of all samples.
    pub fn samples(&self) -> u64 {
        self.stacks.iter().map(|(_, count)| count).sum()
    }
}

/// Reads `name (file:line)`, or `name (file)` where the line is not known; anything else is all name.
fn parse_frame(text: &str) -> Seen {
    let Some((name, place)) = text.strip_suffix(')').and_then(|text| text.rsplit_once(" (")) else {
        return Seen { name: text.to_owned(), ..Seen::default() };
    };
    let line = place.rsplit_once(':').and_then(|(file, line)| Some((file, line.parse().ok()?)));
    let (filename, line) = line.map_or((place, None), |(file, line)| (file, Some(line)));
    Seen { name: name.to_owned(), filename: filename.to_owned(), line, locals: None }
}

/// Compares a recording with the testimony: every stack is one of the target's, every thread was seen. Idle threads
/// must be in it exactly if `with_idle`.
pub fn compare_profile(target: &Target, profile: &Profile, with_idle: bool) -> Outcome {
    let expected: Vec<&Thread> =
        target.testimony.threads.iter().filter(|thread| with_idle || !thread.idle).collect();
    let mut problems = String::new();
    for (seen, count) in &profile.stacks {
        let is_legal = |thread: &&Thread| {
            let mut stacks = thread.stacks.iter();
            stacks.any(|stack| is_same(stack, seen) || (!thread.idle && is_cut(stack, seen)))
        };
        if !expected.iter().any(is_legal) {
            let near = expected.iter().map(|thread| nearest(thread, seen));
            let near = near.min_by_key(|stack| stack.len().abs_diff(seen.len())).unwrap_or_default();
            let _ = write!(problems, "{count} samples with another stack: {}", difference(near, seen));
        }
    }
    for thread in &expected {
        let was_seen = |stack: &Vec<Frame>| profile.stacks.iter().any(|(seen, _)| is_same(stack, seen));
        if !thread.stacks.iter().any(was_seen) {
            let _ = writeln!(problems, "thread {} ({:?}) was never seen", thread.native_id, thread.name);
        }
    }
    if problems.is_empty() { Ok(()) } else { Err(problems.into()) }
}
