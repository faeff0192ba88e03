//! MOJO, austin's binary format: a stream of events, in versions 1 to 4, documented at
//! <https://p403n1x87.github.io/austin/4.1/formats/mojo/>.
//!
//! ```text
//! file    = "MOJ", version, event*
//! event   = number of the event (1 byte), its data
//! integer = 6 bits and a sign in the first byte, 7 bits in each that follows, the lowest first; the top bit: more follow
//! string  = bytes, NUL
//! ```
//!
//! A sample is the events from a `Stack` to the next: its frames from the outermost to the innermost, by keys that
//! belong to the process, and what it weighs. From version 4 on `Stack repeat` stands for the frames of the thread's last
//! sample up to the native ones at its end. Samples have no time; austin's are taken one after the other, so each ends where
//! the thread's next begins.
//!
//! Task events (version 4) have the data that `austin-python` 2.4 reads.

mod encoding;
mod event;
mod sample;

use rustc_hash::FxHashMap;

use self::encoding::{integer, position, text};
use self::sample::Sample;
use super::austin::{Mode, Totals};
use super::builder::{Builder, When};
use super::cursor::{Cursor, CursorError};
use super::error::{ForeignError, Position};
use super::labels::{ThreadLabel, thread_of_id};
use super::{Foreign, Import};
use crate::frame::{Columns, Frame, FrameId, FrameKind};
use crate::sample::{Activity, ThreadState};
use crate::stack::StackId;
use crate::strings::StringId;
use crate::thread::ThreadId;

/// The files of `austin --output` (4.0) and `austin --binary` (3).
#[derive(Clone, Copy, Debug)]
pub struct Mojo;

const NAME: &str = "mojo";
const MAGIC: &[u8] = b"MOJ";
const NEWEST: u64 = 4;

/// How many bytes are read between two reports of progress.
const STEP: usize = 1 << 20;

/// The key of the string that austin could not read.
const UNKNOWN: i64 = 1;

impl Foreign for Mojo {
    fn name(&self) -> &'static str {
        NAME
    }

    fn description(&self) -> &'static str {
        "austin's binary format, versions 1 to 4"
    }

    fn recognizes(&self, start: &[u8]) -> bool {
        start.starts_with(MAGIC) && start.get(MAGIC.len()).is_some_and(|version| *version < b' ')
    }

    fn read(&self, bytes: &[u8], progress: &mut dyn FnMut(u64)) -> Result<Import, ForeignError> {
        let Some(events) = bytes.strip_prefix(MAGIC) else {
            let what = "it does not begin with MOJ".into();
            return Err(ForeignError::Another { format: NAME, what });
        };
        let mut reader = Reader::new(events)?;
        let mut reported = 0;
        while !reader.cursor.is_at_end() {
            let begin = reader.cursor.position();
            match reader.event() {
                Ok(()) => {}
                Err(Stop::Cursor(CursorError::Ends)) => {
                    reader.cut_off = true;
                    break;
                }
                Err(Stop::Cursor(CursorError::Overlong)) => {
                    return Err(damaged(begin, "a number is longer than 64 bits".into()));
                }
                Err(Stop::Wrong(what)) => return Err(damaged(begin, what)),
                Err(Stop::Failed(error)) => return Err(error),
            }
            if reader.cursor.position() - reported >= STEP {
                reported = reader.cursor.position();
                progress((MAGIC.len() + reported) as u64);
            }
        }
        progress(bytes.len() as u64);
        reader.finish()
    }
}

fn damaged(begin: usize, what: String) -> ForeignError {
    ForeignError::Damaged { format: NAME, at: Position::Byte((MAGIC.len() + begin) as u64), what }
}

/// Why an event could not be read.
enum Stop {
    Cursor(CursorError),
    Wrong(String),
    Failed(ForeignError),
}

impl From<CursorError> for Stop {
    fn from(error: CursorError) -> Self {
        Stop::Cursor(error)
    }
}

impl From<ForeignError> for Stop {
    fn from(error: ForeignError) -> Self {
        Stop::Failed(error)
    }
}

/// What was read so far.
struct Reader<'a> {
    cursor: Cursor<'a>,
    version: u64,
    builder: Builder,
    mode: Mode,
    totals: Totals,
    /// The process whose keys are used.
    pid: i64,
    strings: FxHashMap<(i64, i64), StringId>,
    frames: FxHashMap<(i64, i64), FrameId>,
    sample: Option<Sample>,
    /// How many of the frames that come next are a task's.
    task_frames: u64,
    /// The stack of each thread's last sample.
    last: FxHashMap<ThreadId, StackId>,
    tasks: bool,
    without_weight: u64,
    cut_off: bool,
}

impl<'a> Reader<'a> {
    fn new(events: &'a [u8]) -> Result<Self, ForeignError> {
        let mut cursor = Cursor::new(events);
        let version = integer(&mut cursor).map_err(|_| damaged(0, "it has no version".into()))?;
        let version = u64::try_from(version).unwrap_or(0);
        if !(1..=NEWEST).contains(&version) {
            return Err(ForeignError::Version { format: NAME, found: version, known: "1 to 4" });
        }
        Ok(Self {
            cursor,
            version,
            builder: Builder::new(NAME),
            mode: Mode::default(),
            totals: Totals::default(),
            pid: 0,
            strings: FxHashMap::default(),
            frames: FxHashMap::default(),
            sample: None,
            task_frames: 0,
            last: FxHashMap::default(),
            tasks: false,
            without_weight: 0,
            cut_off: false,
        })
    }

    fn event(&mut self) -> Result<(), Stop> {
        let event = self.cursor.byte()?;
        match event {
            event::METADATA => {
                let key = text(&mut self.cursor)?;
                let value = text(&mut self.cursor)?;
                self.mode.metadata(&key, &value, &mut self.builder.profile.metadata);
            }
            event::STACK => self.stack()?,
            event::FRAME => self.frame()?,
            event::FRAME_INVALID => {
                let frame = self.builder.function(":INVALID:", "", None, None)?;
                self.current()?.frames.push(frame);
            }
            event::FRAME_REFERENCE => {
                let key = integer(&mut self.cursor)?;
                let known = self.frames.get(&(self.pid, key)).copied();
                let frame = known.ok_or_else(|| Stop::Wrong(format!("frame {key} was not defined")))?;
                if self.task_frames > 0 {
                    self.task_frames -= 1;
                } else {
                    self.current()?.frames.push(frame);
                }
            }
            event::FRAME_KERNEL => {
                let scope = text(&mut self.cursor)?;
                let frame = self.builder.function(&scope, "kernel", None, None)?;
                self.current()?.frames.push(frame);
            }
            event::GC => self.current()?.collecting = true,
            event::IDLE => self.current()?.idle = true,
            event::TIME => {
                let time = integer(&mut self.cursor)?;
                // What cannot be a time leaves the sample without one.
                self.current()?.time = u64::try_from(time).ok();
            }
            event::MEMORY => {
                let memory = integer(&mut self.cursor)?;
                self.current()?.memory = Some(memory);
            }
            event::STRING => {
                let key = integer(&mut self.cursor)?;
                let text = text(&mut self.cursor)?;
                let id = self.builder.string(&text)?;
                self.strings.insert((self.pid, key), id);
            }
            event::STRING_REFERENCE => {
                integer(&mut self.cursor)?;
            }
            event::STACK_REPEAT if self.version >= 4 => {
                let sample = self.current()?;
                let thread = sample.thread;
                let last = self.last.get(&thread).copied().unwrap_or(StackId::EMPTY);
                let outer = self.without_native(last);
                self.current()?.outer = outer;
            }
            event::TASK_STACK if self.version >= 4 => {
                self.tasks = true;
                for _ in 0..2 {
                    integer(&mut self.cursor)?;
                }
                let frames = integer(&mut self.cursor)?;
                self.task_frames = u64::try_from(frames)
                    .map_err(|_| Stop::Wrong("a task has fewer frames than none".into()))?;
            }
            event::TASK_WAITER if self.version >= 4 => {
                self.tasks = true;
                for _ in 0..2 {
                    integer(&mut self.cursor)?;
                }
            }
            event::TASK_RUNNING if self.version >= 4 => {
                integer(&mut self.cursor)?;
            }
            other => {
                return Err(Stop::Wrong(format!("there is no event {other} in version {}", self.version)));
            }
        }
        Ok(())
    }

    /// The sample that is being read.
    fn current(&mut self) -> Result<&mut Sample, Stop> {
        self.sample.as_mut().ok_or_else(|| Stop::Wrong("it belongs to no stack".into()))
    }

    /// The beginning of a sample, and so the end of the one before.
    fn stack(&mut self) -> Result<(), Stop> {
        let pid = integer(&mut self.cursor)?;
        let interpreter = if self.version >= 3 { Some(integer(&mut self.cursor)?) } else { None };
        let thread = text(&mut self.cursor)?;
        self.end_sample()?;
        self.pid = pid;
        self.task_frames = 0;
        let process = self.builder.process(None, u32::try_from(pid).unwrap_or(0), "")?;
        let named = ThreadLabel { name: Some(&thread), ..ThreadLabel::default() };
        let label = match u64::from_str_radix(&thread, 16) {
            Ok(id) => thread_of_id(id),
            Err(_) => named,
        };
        let thread = self.builder.thread(process, label, interpreter)?;
        self.sample = Some(Sample::of(thread));
        Ok(())
    }

    /// A frame that others refer to.
    fn frame(&mut self) -> Result<(), Stop> {
        let key = integer(&mut self.cursor)?;
        let file = integer(&mut self.cursor)?;
        let name = integer(&mut self.cursor)?;
        let line = position(integer(&mut self.cursor)?);
        let mut columns = None;
        if self.version >= 2 {
            let end_line = position(integer(&mut self.cursor)?).filter(|end| Some(*end) != line);
            let first = position(integer(&mut self.cursor)?);
            // Columns are counted from 1, and the last is one behind the end.
            let last = position(integer(&mut self.cursor)?);
            columns = first.zip(last).map(|(first, last)| Columns { first, end_line, last: last - 1 });
            columns = columns.filter(|columns| end_line.is_some() || columns.last + 1 >= columns.first);
        }
        let (name, file) = (self.string(name)?, self.string(file)?);
        let columns = columns.filter(|_| line.is_some());
        let known = Frame::unknown(FrameKind::Python);
        let frame = self.builder.frame(Frame { name, file, short_file: file, line, columns, ..known })?;
        self.frames.insert((self.pid, key), frame);
        Ok(())
    }

    fn string(&mut self, key: i64) -> Result<StringId, Stop> {
        if let Some(known) = self.strings.get(&(self.pid, key)) {
            return Ok(*known);
        }
        match key {
            UNKNOWN => Ok(self.builder.string("<unknown>")?),
            _ => Err(Stop::Wrong(format!("string {key} was not defined"))),
        }
    }

    /// `stack` without the native frames at its end, which are those of files that are no Python source.
    fn without_native(&self, mut stack: StackId) -> StackId {
        let profile = &self.builder.profile;
        while let Some((caller, frame)) = profile.stacks.split(stack) {
            let frame = &profile.frames[frame];
            let file = &profile.strings[frame.file];
            let is_python = file.ends_with(".py") || (file.starts_with('<') && file.ends_with('>'));
            if is_python && frame.kind == FrameKind::Python {
                break;
            }
            stack = caller;
        }
        stack
    }

    fn end_sample(&mut self) -> Result<(), ForeignError> {
        let Some(sample) = self.sample.take() else { return Ok(()) };
        let mut stack = sample.outer;
        for frame in sample.frames {
            stack = self.builder.stack(stack, frame)?;
        }
        self.last.insert(sample.thread, stack);
        if sample.collecting {
            let frame = self.builder.frame(Frame::unknown(FrameKind::Collecting))?;
            stack = self.builder.stack(stack, frame)?;
        }
        let weight = match (self.mode, sample.time, sample.memory) {
            (Mode::Memory, _, Some(memory)) if memory < 0 => {
                self.totals.given_back(memory.unsigned_abs());
                return Ok(());
            }
            (Mode::Memory, _, memory) => memory.map(i64::unsigned_abs),
            (_, time, memory) => {
                self.totals.memory_left_out |= memory.is_some();
                time
            }
        };
        let Some(weight) = weight else {
            self.without_weight += 1;
            return Ok(());
        };
        let activity = match self.mode {
            Mode::Full if sample.idle => Activity::Idle,
            Mode::Full => Activity::Active,
            mode => mode.activity(),
        };
        let state =
            ThreadState { activity, collects: sample.collecting.then_some(true), ..ThreadState::default() };
        self.builder.sample(sample.thread, stack, weight, state, When::Later(self.mode.nanoseconds(weight)))
    }

    fn finish(mut self) -> Result<Import, ForeignError> {
        let mut notices = Vec::new();
        let is_half =
            self.sample.as_ref().is_some_and(|sample| sample.time.or(sample.memory.map(|_| 0)).is_none());
        if self.cut_off || is_half {
            self.cut_off = true;
            // What it weighs may be what is missing.
            if is_half {
                self.sample = None;
            }
            notices.push("The file is cut off in the middle of an event: it is read up to there.".into());
        }
        self.end_sample()?;
        self.totals.notices(&mut notices);
        if self.without_weight > 0 {
            notices.push(format!(
                "Samples that do not say what they weigh are left out: {}.",
                self.without_weight
            ));
        }
        if self.tasks {
            notices.push("What asyncio's tasks wait for is left out.".into());
        }
        let unit = self.mode.finish(&mut self.builder.profile.metadata);
        Ok(Import { profile: self.builder.finish(), unit, by_process: false, by_thread: false, notices })
    }
}
