//! The text of austin, as austin itself and `mojo2austin` write it: folded stacks with root frames, frames and numbers
//! of their own, documented at <https://github.com/P403n1x87/austin#how-does-it-work>.
//!
//! ```text
//! # mode: wall
//! P11151;T0:11152;/srv/app.py:<module>:22;/srv/app.py:sleep:4 5083
//! ```

use std::borrow::Cow;

use super::Counts;
use crate::ThreadState;
use crate::foreign::Unit;
use crate::foreign::austin::{Mode, Totals};
use crate::foreign::builder::{Builder, When};
use crate::foreign::error::ForeignError;
use crate::foreign::labels::{ThreadLabel, thread_of_id};
use crate::frame::{Frame, FrameId, FrameKind};
use crate::sample::Activity;
use crate::stack::StackId;

/// What is known of the file so far.
#[derive(Debug, Default)]
pub(super) struct Austin {
    mode: Mode,
    totals: Totals,
    samples: u64,
}

/// The root frames of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head<'a> {
    pid: u32,
    interpreter: Option<i64>,
    thread: &'a str,
}

/// The root frames of `stack` and what follows them, if they are of the shape `P123;T0:123`.
pub(super) fn head(stack: &[u8]) -> Option<(Head<'_>, Option<&[u8]>)> {
    let mut parts = stack.strip_prefix(b"P")?.splitn(3, |byte| *byte == b';');
    let pid = std::str::from_utf8(parts.next()?).ok()?.parse().ok()?;
    let thread = std::str::from_utf8(parts.next()?.strip_prefix(b"T")?).ok()?;
    // Bytes that are no text make no head, replaced or not: what is written of a line is read as the line was.
    if thread.contains(char::REPLACEMENT_CHARACTER) {
        return None;
    }
    let (interpreter, thread) = match thread.split_once(':') {
        Some((interpreter, thread)) => (Some(interpreter.parse().ok()?), thread),
        None => (None, thread),
    };
    Some((Head { pid, interpreter, thread }, parts.next()))
}

impl Austin {
    /// Takes note of `# key: value`.
    pub(super) fn comment(&mut self, comment: &[u8], builder: &mut Builder) {
        let text = String::from_utf8_lossy(comment);
        if let Some((key, value)) = text.strip_prefix("# ").and_then(|text| text.split_once(": ")) {
            self.mode.metadata(key, value.trim(), &mut builder.profile.metadata);
        }
    }

    /// Adds the sample that a line is.
    pub(super) fn sample(
        &mut self,
        head: Head<'_>,
        stack: Option<&[u8]>,
        counts: Counts,
        builder: &mut Builder,
    ) -> Result<(), ForeignError> {
        self.samples += 1;
        let process = builder.process(None, head.pid, "")?;
        let label = match head.thread.strip_prefix("0x") {
            Some(hexadecimal) => u64::from_str_radix(hexadecimal, 16).ok(),
            None => head.thread.parse().ok(),
        };
        let named = ThreadLabel { name: Some(head.thread), ..ThreadLabel::default() };
        let thread = builder.thread(process, label.map_or(named, thread_of_id), head.interpreter)?;
        let mut node = StackId::EMPTY;
        for text in stack.into_iter().flat_map(|stack| stack.split(|byte| *byte == b';')) {
            let frame = frame(&String::from_utf8_lossy(text), builder)?;
            node = builder.stack(node, frame)?;
        }
        let (weight, idle) = match counts {
            Counts::One(weight, _) => (weight, None),
            Counts::Full(time, idle) => {
                self.totals.memory_left_out = true;
                (time, Some(idle))
            }
            Counts::Negative(amount) => {
                self.totals.given_back(amount);
                return Ok(());
            }
        };
        let activity = match idle {
            Some(true) => Activity::Idle,
            Some(false) => Activity::Active,
            None => self.mode.activity(),
        };
        let state = ThreadState { activity, ..ThreadState::default() };
        builder.sample(thread, node, weight, state, When::Later(self.mode.nanoseconds(weight)))
    }

    /// What its weights count, if it was austin's text.
    pub(super) fn finish(&self, builder: &mut Builder, notices: &mut Vec<String>) -> Option<Unit> {
        if self.samples == 0 {
            return None;
        }
        self.totals.notices(notices);
        Some(self.mode.finish(&mut builder.profile.metadata))
    }
}

/// The frame that `file:function:line` is; `:GC:` and `:INVALID:` are none.
fn frame(text: &str, builder: &mut Builder) -> Result<FrameId, ForeignError> {
    if text == ":GC:" {
        return builder.frame(Frame::unknown(FrameKind::Collecting));
    }
    let mut parts = text.rsplitn(3, ':');
    let (line, name, file) = (parts.next(), parts.next(), parts.next());
    match (line.map(str::parse::<u32>), name, file) {
        (Some(Ok(line)), Some(name), Some(file)) => {
            builder.function(name, file, Some(line).filter(|line| *line > 0), None)
        }
        _ => builder.function(&Cow::from(text), "", None, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_name_process_interpreter_and_thread() {
        let old = Head { pid: 12, interpreter: None, thread: "0x7f" };
        assert_eq!(head(b"P12;T0x7f"), Some((old, None)));
        let new = Head { pid: 12, interpreter: Some(0), thread: "13" };
        assert_eq!(head(b"P12;T0:13;a.py:f:1;b"), Some((new, Some(&b"a.py:f:1;b"[..]))));
        for other in ["P12", "P;T3", "Px;T3", "P12;3", "main;T3", "P1;T0\u{fffd}38;a", ""] {
            assert_eq!(head(other.as_bytes()), None, "{other}");
        }
    }
}
