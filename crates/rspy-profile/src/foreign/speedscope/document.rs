//! The JSON of a speedscope file, as far as it is read. Lists of numbers are kept flat: a file of nothing but small
//! samples takes no more memory than it has bytes, several times over.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, SeqAccess, Visitor};

/// A file.
#[derive(Debug, Deserialize)]
#[serde(expecting = "an object with profiles")]
pub(super) struct Document<'a> {
    #[serde(borrow)]
    pub(super) shared: Shared<'a>,
    #[serde(borrow)]
    pub(super) profiles: Vec<Span<'a>>,
    #[serde(borrow, default)]
    pub(super) name: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    pub(super) exporter: Option<Cow<'a, str>>,
}

/// What its profiles have in common.
#[derive(Debug, Deserialize)]
#[serde(expecting = "an object with frames")]
pub(super) struct Shared<'a> {
    #[serde(borrow)]
    pub(super) frames: Vec<Frame<'a>>,
}

/// A place in the program.
#[derive(Debug, Deserialize)]
#[serde(expecting = "a frame")]
pub(super) struct Frame<'a> {
    #[serde(borrow)]
    pub(super) name: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(super) file: Option<Cow<'a, str>>,
    #[serde(default)]
    pub(super) line: Option<u32>,
    #[serde(default)]
    pub(super) col: Option<u32>,
}

/// One of its profiles: a thread, mostly.
#[derive(Debug, Deserialize)]
#[serde(expecting = "a profile")]
pub(super) struct Span<'a> {
    #[serde(rename = "type")]
    pub(super) kind: Kind,
    #[serde(borrow, default)]
    pub(super) name: Cow<'a, str>,
    pub(super) unit: UnitName,
    /// Of a sampled one.
    #[serde(default)]
    pub(super) samples: Samples,
    #[serde(default)]
    pub(super) weights: Vec<f64>,
    /// Of an evented one.
    #[serde(default)]
    pub(super) events: Vec<Event>,
}

impl Span<'_> {
    /// Whether there is anything in it.
    pub(super) fn has_weight(&self) -> bool {
        !self.weights.is_empty() || !self.events.is_empty()
    }
}

/// How a profile is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Kind {
    /// As stacks and weights.
    Sampled,
    /// As frames that open and close.
    Evented,
}

/// What its numbers are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum UnitName {
    None,
    Nanoseconds,
    Microseconds,
    Milliseconds,
    Seconds,
    Bytes,
}

impl UnitName {
    /// How many of it make a second; `None` if it is no time.
    pub(super) fn seconds(self) -> Option<f64> {
        Some(match self {
            UnitName::Nanoseconds => 1e9,
            UnitName::Microseconds => 1e6,
            UnitName::Milliseconds => 1e3,
            UnitName::Seconds => 1.0,
            UnitName::None | UnitName::Bytes => return None,
        })
    }

    pub(super) fn is_bytes(self) -> bool {
        self == UnitName::Bytes
    }
}

/// A frame that opens or closes.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(expecting = "an event")]
pub(super) struct Event {
    #[serde(rename = "type")]
    pub(super) kind: EventKind,
    pub(super) frame: u32,
    pub(super) at: f64,
}

/// What an event does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub(super) enum EventKind {
    #[serde(rename = "O")]
    Open,
    #[serde(rename = "C")]
    Close,
}

/// The stacks of a profile, one behind the other.
#[derive(Debug, Default)]
pub(super) struct Samples {
    frames: Vec<u32>,
    /// Where each stack ends.
    ends: Vec<usize>,
}

impl Samples {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// The frames of the stack at `index`, the outermost first.
    pub(super) fn get(&self, index: usize) -> Option<&[u32]> {
        let begin = match index.checked_sub(1) {
            Some(before) => *self.ends.get(before)?,
            None => 0,
        };
        self.frames.get(begin..*self.ends.get(index)?)
    }
}

impl<'de> Deserialize<'de> for Samples {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Stacks;
        impl<'de> Visitor<'de> for Stacks {
            type Value = Samples;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a list of lists of frames")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut stacks: A) -> Result<Samples, A::Error> {
                let mut samples = Samples::default();
                while stacks.next_element_seed(Stack(&mut samples.frames))?.is_some() {
                    samples.ends.push(samples.frames.len());
                }
                Ok(samples)
            }
        }
        deserializer.deserialize_seq(Stacks)
    }
}

/// Where the frames of a stack are put.
struct Stack<'s>(&'s mut Vec<u32>);

impl<'de> serde::de::DeserializeSeed<'de> for Stack<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Stack<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a list of frames")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut frames: A) -> Result<(), A::Error> {
        while let Some(frame) = frames.next_element()? {
            self.0.push(frame);
        }
        Ok(())
    }
}
