//! The file format of <https://www.speedscope.app>, whose schema is
//! <https://www.speedscope.app/file-format-schema.json>: py-spy and rspy write it, and many tools of other languages.
//!
//! Each of its profiles is a thread. What py-spy and rspy call them (`Thread 8306 "MainThread"`, after `Process N` where
//! there are several) is taken apart, as are the root frames by which they tell threads and processes. Weights are times, of which
//! the ticks are found again ([`Ticks`]), or anything else, which is counted.

mod document;
mod timeline;

use self::document::{Document, Span};
use super::builder::{Builder, When};
use super::error::{ForeignError, Position};
use super::labels::{self, ThreadLabel};
use super::ticks::Ticks;
use super::{Foreign, Import, Unit};
use crate::frame::{Columns, Frame, FrameId, FrameKind};
use crate::process::ProcessId;
use crate::sample::ThreadState;
use crate::stack::StackId;

/// A file for <https://www.speedscope.app>.
#[derive(Clone, Copy, Debug)]
pub struct Speedscope;

const NAME: &str = "speedscope";
const SCHEMA: &[u8] = b"https://www.speedscope.app/file-format-schema.json";

/// The profile in which rspy puts what it could not take.
const LOST: &str = "Lost samples";

impl Foreign for Speedscope {
    fn name(&self) -> &'static str {
        NAME
    }

    fn description(&self) -> &'static str {
        "speedscope's JSON, sampled and evented: py-spy, rspy and tools of other languages"
    }

    fn recognizes(&self, start: &[u8]) -> bool {
        let has = |part: &[u8]| start.windows(part.len()).any(|window| window == part);
        start.trim_ascii_start().starts_with(b"{")
            && (has(SCHEMA) || (has(b"\"profiles\"") && has(b"\"unit\"")))
    }

    fn read(&self, bytes: &[u8], progress: &mut dyn FnMut(u64)) -> Result<Import, ForeignError> {
        let document: Document<'_> = serde_json::from_slice(bytes).map_err(|error| failed(error, bytes))?;
        progress(bytes.len() as u64 / 2);
        let import = Reader::new(&document)?.read();
        progress(bytes.len() as u64);
        import
    }
}

fn failed(error: serde_json::Error, bytes: &[u8]) -> ForeignError {
    let (line, column) = (error.line(), error.column());
    let at = Position::LineColumn(line as u64, column as u64);
    // A number may be cut off where it is none yet.
    if error.is_eof() || !bytes.trim_ascii_end().ends_with(b"}") {
        let what = "it is a JSON object that does not end".into();
        return ForeignError::Truncated { format: NAME, at, what };
    }
    let what = error.to_string();
    let what = what.strip_suffix(&format!(" at line {line} column {column}")).unwrap_or(&what).to_owned();
    ForeignError::Damaged { format: NAME, at, what }
}

/// What one of the file's frames is.
#[derive(Clone, Copy)]
enum Place<'a> {
    Frame(FrameId),
    /// A root frame that says whose stack it is.
    Process(u32, &'a str),
    Thread(ThreadLabel<'a>),
    NoFrames,
}

/// A document, and what was made of it so far.
struct Reader<'a> {
    document: &'a Document<'a>,
    builder: Builder,
    places: Vec<Place<'a>>,
    by_process: bool,
    by_thread: bool,
    notices: Vec<String>,
}

impl<'a> Reader<'a> {
    fn new(document: &'a Document<'a>) -> Result<Self, ForeignError> {
        let mut builder = Builder::new(NAME);
        let mut places = Vec::with_capacity(document.shared.frames.len());
        for frame in &document.shared.frames {
            let (name, file) = (&*frame.name, frame.file.as_deref().unwrap_or_default());
            let column = |first: u32| Some(Columns { first, end_line: None, last: first.checked_sub(1)? });
            let has_no_place = file.is_empty() && frame.line.unwrap_or(0) == 0;
            places.push(match has_no_place.then(|| stand_in(name)).flatten() {
                Some(StandIn::Process(pid, command_line)) => Place::Process(pid, command_line),
                Some(StandIn::Thread(label)) => Place::Thread(label),
                Some(StandIn::NoFrames) => Place::NoFrames,
                Some(StandIn::Frames(kind)) => Place::Frame(builder.frame(Frame::unknown(kind))?),
                None => Place::Frame(builder.function(name, file, frame.line, frame.col.and_then(column))?),
            });
        }
        Ok(Self { document, builder, places, by_process: false, by_thread: false, notices: Vec::new() })
    }

    fn read(mut self) -> Result<Import, ForeignError> {
        let spans: Vec<&Span<'a>> = self.document.profiles.iter().collect();
        let first = spans.iter().find(|span| span.has_weight()).map(|span| &span.unit);
        let is_time = first.is_some_and(|unit| unit.seconds().is_some());
        let is_bytes = first.is_some_and(|unit| unit.is_bytes());
        let mut kept = Vec::with_capacity(spans.len());
        for span in spans {
            if span.has_weight()
                && (span.unit.seconds().is_some(), span.unit.is_bytes()) != (is_time, is_bytes)
            {
                self.notices.push(format!(
                    "The profile {:?} has another unit than the first; it is left out.",
                    span.name
                ));
            } else {
                kept.push((span, timeline::weights(span)?));
            }
        }
        let ticks = is_time.then(|| Ticks::of(kept.iter().flat_map(|(_, weights)| weights.iter().copied())));
        let metadata = &mut self.builder.profile.metadata;
        metadata.rate = ticks.map_or(0.0, Ticks::rate);
        metadata.program = self.document.name.as_deref().unwrap_or_default().to_owned();
        let exporter = self.document.exporter.as_deref().unwrap_or_default();
        let version = exporter.strip_prefix("rspy@");
        metadata.rspy_version = version.unwrap_or_default().to_owned();
        let mut fractions = 0_u64;
        for (span, weights) in kept {
            let weights = weights.into_iter().map(|weight| {
                fractions += u64::from(!is_time && weight.fract() != 0.0);
                ticks.map_or(weight.round() as u64, |ticks| ticks.count(weight))
            });
            if version.is_some() && span.name == LOST {
                self.lost(span, weights)?;
            } else {
                self.thread(span, weights)?;
            }
        }
        if fractions > 0 {
            self.notices.push(format!("Weights with a fraction, which are rounded: {fractions}."));
        }
        let unit = match (is_time, is_bytes) {
            (true, _) => Unit::Time,
            (_, true) => Unit::Bytes,
            _ => Unit::Samples,
        };
        let (by_process, by_thread) = (self.by_process, self.by_thread);
        Ok(Import { profile: self.builder.finish(), unit, by_process, by_thread, notices: self.notices })
    }

    /// The samples of a thread.
    fn thread(&mut self, span: &'a Span<'a>, weights: impl Iterator<Item = u64>) -> Result<(), ForeignError> {
        let period = 1e9 / self.builder.profile.metadata.rate;
        let (pid, named) = thread_name(&span.name);
        let mut stacks = timeline::Stacks::new(span);
        let mut open: Vec<StackId> = Vec::new();
        let mut owner: Option<(Option<ProcessId>, ThreadLabel<'a>)> = None;
        let mut thread = None;
        let mut stack = Vec::new();
        // Since the thread's last sample, in nanoseconds.
        let mut pause = 0_u64;
        for weight in weights {
            let Some(change) = stacks.next()? else { break };
            // The stack goes on from what it shares with the one before.
            stack.truncate(change.kept);
            open.truncate(change.kept);
            for index in change.added {
                let place = usize::try_from(*index).ok().and_then(|index| self.places.get(index)).copied();
                let Some(place) = place else {
                    return Err(wrong(&span.name, format!("there is no frame {index}")));
                };
                stack.push(place);
                let caller = open.last().copied().unwrap_or(StackId::EMPTY);
                open.push(match place {
                    Place::Frame(frame) => self.builder.stack(caller, frame)?,
                    Place::NoFrames | Place::Process(..) | Place::Thread(_) => caller,
                });
            }
            let time = (weight as f64 * period) as u64;
            if !change.is_sample {
                pause = pause.saturating_add(time);
                continue;
            }
            let of = self.owner(&stack)?;
            if thread.is_none() || owner != of {
                let process = match (of.and_then(|(process, _)| process), pid) {
                    (Some(process), _) => process,
                    (None, Some(pid)) => self.builder.process(None, pid, "")?,
                    (None, None) => self.builder.unknown_process()?,
                };
                thread = Some(self.builder.thread(process, named, None)?);
                owner = of;
            }
            let time = pause.saturating_add(time);
            let when = if period.is_finite() { When::Later(time) } else { When::Unknown };
            pause = 0;
            if let Some(thread) = thread {
                let leaf = open.last().copied().unwrap_or(StackId::EMPTY);
                self.builder.sample(thread, leaf, weight, ThreadState::default(), when)?;
            }
        }
        Ok(())
    }

    /// Whose stack it is, by its root frames.
    fn owner(
        &mut self,
        stack: &[Place<'a>],
    ) -> Result<Option<(Option<ProcessId>, ThreadLabel<'a>)>, ForeignError> {
        let (mut process, mut thread) = (None, None);
        for place in stack {
            match place {
                Place::Process(pid, command_line) => {
                    process = Some(self.builder.process(process, *pid, command_line)?);
                    self.by_process = true;
                }
                Place::Thread(label) => {
                    thread = Some(*label);
                    self.by_thread = true;
                    break;
                }
                Place::Frame(_) | Place::NoFrames => break,
            }
        }
        Ok((process.is_some() || thread.is_some()).then(|| (process, thread.unwrap_or_default())))
    }

    /// The samples that rspy could not take.
    fn lost(&mut self, span: &Span<'_>, weights: impl Iterator<Item = u64>) -> Result<(), ForeignError> {
        let mut stacks = timeline::Stacks::new(span);
        for weight in weights {
            let Some(change) = stacks.next()? else { break };
            let index = change.added.first().and_then(|index| usize::try_from(*index).ok());
            let frame = index.and_then(|index| self.document.shared.frames.get(index));
            let Some(reason) = frame.and_then(|frame| labels::lost(&frame.name)) else {
                return Err(wrong(&span.name, "a lost sample does not say why".into()));
            };
            self.builder.weigh(weight)?;
            self.builder.profile.lost.add(reason, weight);
        }
        Ok(())
    }
}

/// What a frame without a place in a file is, if it is no function.
enum StandIn<'a> {
    Process(u32, &'a str),
    Thread(ThreadLabel<'a>),
    NoFrames,
    Frames(FrameKind),
}

fn stand_in(name: &str) -> Option<StandIn<'_>> {
    if labels::is_no_frames(name) {
        return Some(StandIn::NoFrames);
    }
    let process = labels::process(name).map(|(pid, command_line)| StandIn::Process(pid, command_line));
    process
        .or_else(|| labels::thread(name).map(StandIn::Thread))
        .or_else(|| labels::stand_in(name).map(StandIn::Frames))
}

/// The pid and the thread that `Process 8300 Thread 8306 "MainThread"` names.
fn thread_name(name: &str) -> (Option<u32>, ThreadLabel<'_>) {
    let other = ThreadLabel { name: Some(name).filter(|name| !name.is_empty()), ..ThreadLabel::default() };
    let parts = || {
        let (pid, thread) = match name.strip_prefix("Process ") {
            Some(rest) => {
                let (pid, thread) = rest.split_once(' ')?;
                (Some(pid.parse().ok()?), thread)
            }
            None => (None, name),
        };
        let rest = thread.strip_prefix("Thread")?;
        let (id, name) = match rest.split_once(" \"") {
            Some((id, name)) => (id, Some(name.strip_suffix('"')?)),
            None => (rest, None),
        };
        let label = match id.strip_prefix(' ') {
            Some(id) => labels::thread_id(id)?,
            None if id.is_empty() => ThreadLabel::default(),
            None => return None,
        };
        Some((pid, ThreadLabel { name, ..label }))
    };
    parts().unwrap_or((None, other))
}

fn wrong(profile: &str, what: String) -> ForeignError {
    ForeignError::Damaged { format: NAME, at: Position::Profile(profile.to_owned()), what }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn profiles_are_named_after_threads() {
        let main = ThreadLabel { os_id: Some(8306), python_id: None, name: Some("MainThread") };
        assert_eq!(thread_name("Thread 8306 \"MainThread\""), (None, main));
        assert_eq!(thread_name("Process 8300 Thread 8306 \"MainThread\""), (Some(8300), main));
        assert_eq!(thread_name("Thread 8306"), (None, ThreadLabel { name: None, ..main }));
        let hexadecimal = ThreadLabel { os_id: None, python_id: Some(0x7f00), name: Some("") };
        assert_eq!(thread_name("Thread 0x7F00 \"\""), (None, hexadecimal));
        assert_eq!(thread_name("Thread"), (None, ThreadLabel::default()));
        for other in ["main", "Thread x", "Process Thread 1", "Threads"] {
            let named = ThreadLabel { name: Some(other), ..ThreadLabel::default() };
            assert_eq!(thread_name(other), (None, named), "{other}");
        }
    }
}
