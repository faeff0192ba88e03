//! The stacks of a profile in the order of time, and what each weighs, whichever way it is written.

use super::document::{EventKind, Kind, Span};
use super::wrong;
use crate::foreign::error::ForeignError;

/// What each step of `span` weighs, in seconds where it has times: each sample of a sampled profile, and of an evented one the
/// time from each event to the next.
pub(super) fn weights(span: &Span<'_>) -> Result<Vec<f64>, ForeignError> {
    let per_second = span.unit.seconds().unwrap_or(1.0);
    let weight = |value: f64| {
        let value = value / per_second;
        if value.is_finite() && value >= 0.0 {
            return Ok(value);
        }
        Err(wrong(&span.name, "a weight is less than nothing: events are not in the order of time".into()))
    };
    match span.kind {
        Kind::Sampled if span.samples.len() != span.weights.len() => {
            let what = format!("there are {} samples and {} weights", span.samples.len(), span.weights.len());
            Err(wrong(&span.name, what))
        }
        Kind::Sampled => span.weights.iter().map(|value| weight(*value)).collect(),
        Kind::Evented => span
            .events
            .windows(2)
            .map(|pair| match pair {
                [event, next] => weight(next.at - event.at),
                _ => Ok(0.0),
            })
            .collect(),
    }
}

/// What a step does to the stack.
pub(super) struct Change<'s> {
    /// How many of its outermost frames stay.
    pub(super) kept: usize,
    /// Those that come after them.
    pub(super) added: &'s [u32],
    /// Whether it is a sample then.
    pub(super) is_sample: bool,
}

/// The stacks of a profile, one for each of its [`weights`].
pub(super) struct Stacks<'s, 'd> {
    span: &'s Span<'d>,
    step: usize,
    /// The frames that are open, of an evented profile.
    open: Vec<u32>,
}

impl<'s, 'd> Stacks<'s, 'd> {
    pub(super) fn new(span: &'s Span<'d>) -> Self {
        Self { span, step: 0, open: Vec::new() }
    }

    /// The next step; `None` if there is none.
    pub(super) fn next(&mut self) -> Result<Option<Change<'s>>, ForeignError> {
        let step = self.step;
        self.step += 1;
        if self.span.kind == Kind::Sampled {
            return Ok(self.span.samples.get(step).map(|added| Change { kept: 0, added, is_sample: true }));
        }
        let Some(event) = self.span.events.get(step) else { return Ok(None) };
        let kept = self.open.len();
        Ok(Some(match event.kind {
            EventKind::Open => {
                self.open.push(event.frame);
                Change { kept, added: std::slice::from_ref(&event.frame), is_sample: true }
            }
            EventKind::Close => {
                if self.open.pop() != Some(event.frame) {
                    let what = format!("frame {} ends, and is not the innermost one", event.frame);
                    return Err(wrong(&self.span.name, what));
                }
                // Nothing runs where nothing is open.
                Change { kept: self.open.len(), added: &[], is_sample: !self.open.is_empty() }
            }
        }))
    }
}
