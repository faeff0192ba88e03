//! Folded stacks, the text that flame graph tools exchange: a stack a line, from the outermost frame to the innermost,
//! and how often it was seen.
//!
//! ```text
//! thread (8306): MainThread;<module> (app.py:22);sleep (app.py:4) 12
//! ```
//!
//! The format is that of <https://github.com/brendangregg/FlameGraph>; who writes it decides what a frame looks like. What
//! py-spy and rspy write (`process N:"…"`, `thread (N): …`, `name (file:line)`, `[cut]`) is taken apart; so is the
//! text of austin ([`austin`]), which says in comments what its numbers are. Other frames are names.
//!
//! No line says when it was seen: in views over time they follow each other.

mod austin;

use rustc_hash::FxHashMap;

use self::austin::Austin;
use super::builder::{Builder, When};
use super::error::{ForeignError, Position};
use super::labels::{self, ThreadLabel};
use super::{Foreign, Import, Unit};
use crate::frame::FrameId;
use crate::process::ProcessId;
use crate::sample::ThreadState;
use crate::stack::StackId;
use crate::thread::ThreadId;

/// Folded stacks: `main (app.py:3);work (app.py:9) 12`.
#[derive(Clone, Copy, Debug)]
pub struct Collapsed;

const NAME: &str = "collapsed";

/// How many lines have to be folded stacks for a file to be taken for such.
const LINES: usize = 20;

/// How many bytes are read between two reports of progress.
const STEP: usize = 1 << 20;

impl Foreign for Collapsed {
    fn name(&self) -> &'static str {
        NAME
    }

    fn description(&self) -> &'static str {
        "folded stacks, a line each with its count: rspy's and py-spy's raw, austin's text, flame graph tools"
    }

    fn recognizes(&self, start: &[u8]) -> bool {
        if start.contains(&0) {
            return false;
        }
        let lines = start.split_inclusive(|byte| *byte == b'\n');
        let mut lines = lines.filter(|line| !is_comment(line.trim_ascii())).take(LINES).peekable();
        if lines.peek().is_none() {
            // Nothing was seen: who wrote the comments says that they are of this format.
            return start.starts_with(b"# austin: ");
        }
        lines.all(|line| match Line::parse(line.trim_ascii_end()) {
            Some(_) => true,
            // The last one may be longer than the start of the file.
            None => !line.ends_with(b"\n") && line.contains(&b';') && !line.starts_with(b"{"),
        })
    }

    fn read(&self, bytes: &[u8], progress: &mut dyn FnMut(u64)) -> Result<Import, ForeignError> {
        let mut reader = Reader::new();
        let (mut position, mut reported) = (0, 0);
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            position += line.len();
            reader.line(line)?;
            if position - reported >= STEP {
                progress(position as u64);
                reported = position;
            }
        }
        progress(bytes.len() as u64);
        reader.finish(bytes)
    }
}

/// Whether `line` is a comment, or nothing.
fn is_comment(line: &[u8]) -> bool {
    line.is_empty() || line == b"#" || line.starts_with(b"# ")
}

/// A line: the frames, and what is counted.
struct Line<'a> {
    stack: &'a [u8],
    counts: Counts,
}

/// The numbers at the end of a line.
#[derive(Clone, Copy)]
enum Counts {
    /// How often, or how much. Whether it had a fraction, which is left out.
    One(u64, bool),
    /// Less than nothing, as austin says of memory that was given back.
    Negative(u64),
    /// austin's microseconds, whether the thread was idle, and bytes.
    Full(u64, bool),
}

impl<'a> Line<'a> {
    fn parse(line: &'a [u8]) -> Option<Self> {
        let space = line.iter().rposition(|byte| *byte == b' ')?;
        let (stack, numbers) = (line.get(..space)?, line.get(space + 1..)?);
        Some(Self { stack, counts: Counts::parse(numbers)? })
            .filter(|line| !line.stack.trim_ascii().is_empty())
    }
}

impl Counts {
    fn parse(numbers: &[u8]) -> Option<Self> {
        if let Some(count) = number(numbers) {
            return Some(Counts::One(count, false));
        }
        if let Some(amount) = numbers.strip_prefix(b"-").and_then(number) {
            return Some(Counts::Negative(amount));
        }
        if let Some(point) = numbers.iter().position(|byte| *byte == b'.') {
            let fraction = numbers.get(point + 1..)?;
            let is_fraction = !fraction.is_empty() && fraction.iter().all(u8::is_ascii_digit);
            return number(numbers.get(..point)?)
                .filter(|_| is_fraction)
                .map(|whole| Counts::One(whole, true));
        }
        let mut parts = numbers.splitn(3, |byte| *byte == b',');
        let (time, idle, memory) = (parts.next()?, parts.next()?, parts.next()?);
        number(memory.strip_prefix(b"-").unwrap_or(memory))?;
        Some(Counts::Full(number(time)?, idle == b"1"))
    }
}

/// The decimal number that `digits` are.
fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |number, byte| {
        let digit = u64::from(byte.wrapping_sub(b'0'));
        (digit < 10).then_some(())?;
        number.checked_mul(10)?.checked_add(digit)
    })
}

/// Whose stacks follow.
#[derive(Clone, Copy, Default)]
struct Owner {
    process: Option<ProcessId>,
    thread: Option<ThreadId>,
}

/// What was read so far.
struct Reader<'a> {
    builder: Builder,
    austin: Austin,
    frames: FxHashMap<&'a [u8], FrameId>,
    /// What the root frames of a line are, by their text: threads count with the process they are of.
    processes: FxHashMap<(Option<ProcessId>, &'a [u8]), Option<ProcessId>>,
    threads: FxHashMap<(Option<ProcessId>, &'a [u8]), Option<ThreadId>>,
    nobody: Option<ThreadId>,
    by_process: bool,
    by_thread: bool,
    lines: u64,
    stacks: u64,
    /// The first of the lines that are no folded stack, and how many they are.
    others: (u64, u64),
    fractions: u64,
    texts_replaced: bool,
}

impl<'a> Reader<'a> {
    fn new() -> Self {
        Self {
            builder: Builder::new(NAME),
            austin: Austin::default(),
            frames: FxHashMap::default(),
            processes: FxHashMap::default(),
            threads: FxHashMap::default(),
            nobody: None,
            by_process: false,
            by_thread: false,
            lines: 0,
            stacks: 0,
            others: (0, 0),
            fractions: 0,
            texts_replaced: false,
        }
    }

    fn line(&mut self, line: &'a [u8]) -> Result<(), ForeignError> {
        self.lines += 1;
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if is_comment(line.trim_ascii()) {
            self.austin.comment(line, &mut self.builder);
            return Ok(());
        }
        let Some(line) = Line::parse(line) else {
            if self.others.1 == 0 {
                self.others.0 = self.lines;
            }
            self.others.1 += 1;
            return Ok(());
        };
        self.stacks += 1;
        if let Some((head, stack)) = austin::head(line.stack) {
            return self.austin.sample(head, stack, line.counts, &mut self.builder);
        }
        let weight = match line.counts {
            Counts::One(weight, has_fraction) => {
                self.fractions += u64::from(has_fraction);
                weight
            }
            // Nothing but austin writes these.
            Counts::Negative(_) | Counts::Full(..) => {
                self.stacks -= 1;
                self.others =
                    (if self.others.1 == 0 { self.lines } else { self.others.0 }, self.others.1 + 1);
                return Ok(());
            }
        };
        self.stack(line.stack, weight)
    }

    fn stack(&mut self, stack: &'a [u8], weight: u64) -> Result<(), ForeignError> {
        let mut owner = Owner::default();
        let mut node = StackId::EMPTY;
        let mut frames = stack.split(|byte| *byte == b';').peekable();
        while let Some(frame) = frames.peek() {
            if !self.owner(frame, &mut owner)? {
                break;
            }
            frames.next();
        }
        while let Some(frame) = frames.next() {
            let is_last = frames.peek().is_none();
            if node == StackId::EMPTY && is_last && frame.starts_with(b"[") {
                let label = self.text(frame);
                if labels::is_no_frames(&label) {
                    break;
                }
                if let (Some(reason), None, None) = (labels::lost(&label), owner.thread, owner.process) {
                    self.builder.weigh(weight)?;
                    self.builder.profile.lost.add(reason, weight);
                    return Ok(());
                }
            }
            let frame = self.frame(frame)?;
            node = self.builder.stack(node, frame)?;
        }
        let thread = match (owner.thread, owner.process) {
            (Some(thread), _) => thread,
            (None, Some(process)) => self.builder.thread(process, ThreadLabel::default(), None)?,
            (None, None) => self.nobody()?,
        };
        self.builder.sample(thread, node, weight, ThreadState::default(), When::Unknown)
    }

    /// Whether `frame` is a root that says whose stack it is. Processes are in processes, and threads in them.
    fn owner(&mut self, frame: &'a [u8], owner: &mut Owner) -> Result<bool, ForeignError> {
        if owner.thread.is_some() {
            return Ok(false);
        }
        if frame.starts_with(b"thread (") {
            let key = (owner.process, frame);
            if !self.threads.contains_key(&key) {
                let label = self.text(frame);
                let thread = match labels::thread(&label) {
                    Some(label) => {
                        let process = owner.process.map_or_else(|| self.builder.unknown_process(), Ok)?;
                        Some(self.builder.thread(process, label, None)?)
                    }
                    None => None,
                };
                self.threads.insert(key, thread);
            }
            owner.thread = self.threads.get(&key).copied().flatten();
            self.by_thread |= owner.thread.is_some();
            return Ok(owner.thread.is_some());
        }
        if frame.starts_with(b"process ") {
            let key = (owner.process, frame);
            if !self.processes.contains_key(&key) {
                let label = self.text(frame);
                let process = match labels::process(&label) {
                    Some((pid, command_line)) => {
                        Some(self.builder.process(owner.process, pid, command_line)?)
                    }
                    None => None,
                };
                self.processes.insert(key, process);
            }
            let process = self.processes.get(&key).copied().flatten();
            self.by_process |= process.is_some();
            owner.process = process.or(owner.process);
            return Ok(process.is_some());
        }
        Ok(false)
    }

    fn nobody(&mut self) -> Result<ThreadId, ForeignError> {
        if let Some(nobody) = self.nobody {
            return Ok(nobody);
        }
        let process = self.builder.unknown_process()?;
        let nobody = self.builder.thread(process, ThreadLabel::default(), None)?;
        self.nobody = Some(nobody);
        Ok(nobody)
    }

    fn frame(&mut self, text: &'a [u8]) -> Result<FrameId, ForeignError> {
        if let Some(known) = self.frames.get(text) {
            return Ok(*known);
        }
        let label = self.text(text);
        let frame = self.builder.labelled(&label)?;
        self.frames.insert(text, frame);
        Ok(frame)
    }

    fn text(&mut self, text: &'a [u8]) -> std::borrow::Cow<'a, str> {
        let text = String::from_utf8_lossy(text);
        self.texts_replaced |= matches!(text, std::borrow::Cow::Owned(_));
        text
    }

    fn finish(mut self, bytes: &[u8]) -> Result<Import, ForeignError> {
        let mut notices = Vec::new();
        let (first, others) = self.others;
        if others > 0 && self.stacks == 0 {
            let what = "it has no line that ends with a blank and a count".into();
            return Err(ForeignError::Damaged { format: NAME, at: Position::Line(first), what });
        }
        if others > 0 {
            notices.push(format!(
                "Lines that are no folded stack are left out: {others}, the first is line {first}."
            ));
        }
        if self.fractions > 0 {
            notices.push(format!("Counts with a fraction, which is left out: {}.", self.fractions));
        }
        if self.texts_replaced {
            notices
                .push("Some names are not UTF-8; what cannot be read of them is shown as \u{fffd}.".into());
        }
        if !bytes.is_empty() && !bytes.ends_with(b"\n") {
            notices.push("The last line has no end: the file may be cut off in its count.".into());
        }
        let unit = self.austin.finish(&mut self.builder, &mut notices);
        Ok(Import {
            profile: self.builder.finish(),
            unit: unit.unwrap_or(Unit::Samples),
            by_process: self.by_process,
            by_thread: self.by_thread,
            notices,
        })
    }
}
