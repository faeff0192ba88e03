//! Values as a tree of what is shown of them, and their text.
//!
//! The text is py-spy's where py-spy's is right: strings in double quotes, objects as
//! type and address, `...` for what a limit left out. Where that would mislead, it is
//! what Python's own `repr` says: `1.0` is no `1`, `(1,)` no `(1)`. Strings and numbers
//! are literals that Python reads back.

use std::fmt::{self, Display, Formatter, Write};

use rspy_process::Address;

use super::literal::{write_bytes, write_text};
use super::number;

/// As much of a Python value as a limit allows.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `None`.
    None,
    /// `True` or `False`.
    Bool(bool),
    /// An integer of any size, in decimal.
    Int(String),
    /// `float`, and NumPy's of 64 bits.
    Float(f64),
    /// NumPy's `float32`.
    Float32(f32),
    /// NumPy's `float16`, as its bits.
    Float16(u16),
    /// `complex`, and NumPy's of 128 bits.
    Complex {
        /// Its real part.
        real: f64,
        /// Its imaginary part.
        imaginary: f64,
    },
    /// `str`; in 2.7 `unicode`, and `str` whose bytes are UTF-8.
    Text {
        /// The beginning, in code points: a `str` may hold halves of surrogate pairs.
        code_points: Vec<u32>,
        /// Whether there is more.
        more: bool,
        /// Whether it is 2.7's `unicode`.
        unicode: bool,
    },
    /// `bytes`, `bytearray`, and 2.7's `str` whose bytes are not UTF-8.
    Bytes {
        /// Which of them.
        kind: BytesKind,
        /// The beginning.
        bytes: Vec<u8>,
        /// Whether there is more.
        more: bool,
    },
    /// `list`, `tuple`, `set`, `frozenset` and classes made from the first two.
    Sequence {
        /// Which of them.
        kind: SequenceKind,
        /// The first items.
        items: Vec<Value>,
        /// Whether there are more.
        more: bool,
    },
    /// `dict`, `frozendict` and classes made from the first.
    Dict {
        /// Whether it is a `frozendict`.
        frozen: bool,
        /// The first items.
        items: Vec<(Value, Value)>,
        /// Whether there are more.
        more: bool,
    },
    /// Any other object: its type, its address, and what it is called if it has a name.
    Object {
        /// `tp_name`: with the module for types written in C, without for others.
        type_name: String,
        /// The name of a function, class or module; shape and type of an array.
        name: Option<String>,
        /// Where it lies.
        address: Address,
    },
    /// Nothing of it is shown: there was no room left.
    Cut,
    /// It could not be read.
    Unreadable(Address),
}

/// What a [`Value::Bytes`] is.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum BytesKind {
    /// `bytes`.
    Bytes,
    /// `bytearray`.
    ByteArray,
    /// 2.7's `str`.
    ByteString,
}

/// What a [`Value::Sequence`] is.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum SequenceKind {
    /// `list`.
    List,
    /// `tuple`.
    Tuple,
    /// `set`.
    Set,
    /// `frozenset`.
    FrozenSet,
}

impl Display for Value {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Value::None => f.write_str("None"),
            Value::Bool(true) => f.write_str("True"),
            Value::Bool(false) => f.write_str("False"),
            Value::Int(digits) => f.write_str(digits),
            Value::Float(value) => f.write_str(&number::float(*value)),
            Value::Float32(value) => f.write_str(&number::float32(*value)),
            Value::Float16(bits) => f.write_str(&number::float16(*bits)),
            Value::Complex { real, imaginary } => f.write_str(&number::complex(*real, *imaginary)),
            Value::Text { code_points, more, unicode } => {
                f.write_str(if *unicode { "u\"" } else { "\"" })?;
                write_text(f, code_points)?;
                f.write_str(if *more { "...\"" } else { "\"" })
            }
            Value::Bytes { kind, bytes, more } => {
                let (open, close) = match kind {
                    BytesKind::Bytes => ("b\"", ""),
                    BytesKind::ByteArray => ("bytearray(b\"", ")"),
                    BytesKind::ByteString => ("\"", ""),
                };
                f.write_str(open)?;
                write_bytes(f, bytes)?;
                f.write_str(if *more { "...\"" } else { "\"" })?;
                f.write_str(close)
            }
            Value::Sequence { kind, items, more } => sequence(f, *kind, items, *more),
            Value::Dict { frozen, items, more } => {
                f.write_str(if *frozen { "frozendict({" } else { "{" })?;
                for (index, (key, value)) in items.iter().enumerate() {
                    write!(f, "{}{key}: {value}", separator(index))?;
                }
                rest(f, items.len(), *more)?;
                f.write_str(if *frozen { "})" } else { "}" })
            }
            Value::Object { type_name, name: None, address } => write!(f, "<{type_name} at {address}>"),
            Value::Object { type_name, name: Some(name), address } => {
                write!(f, "<{type_name} {name} at {address}>")
            }
            Value::Cut => f.write_str("..."),
            Value::Unreadable(address) => write!(f, "<unreadable at {address}>"),
        }
    }
}

fn separator(index: usize) -> &'static str {
    if index == 0 { "" } else { ", " }
}

fn rest(f: &mut Formatter<'_>, shown: usize, more: bool) -> fmt::Result {
    if more { write!(f, "{}...", separator(shown)) } else { Ok(()) }
}

fn sequence(f: &mut Formatter<'_>, kind: SequenceKind, items: &[Value], more: bool) -> fmt::Result {
    let is_empty = items.is_empty() && !more;
    let (open, close) = match kind {
        SequenceKind::List => ("[", "]"),
        // A comma makes the tuple, not the parentheses.
        SequenceKind::Tuple if items.len() == 1 && !more => ("(", ",)"),
        SequenceKind::Tuple => ("(", ")"),
        SequenceKind::Set if is_empty => return f.write_str("set()"),
        SequenceKind::Set => ("{", "}"),
        SequenceKind::FrozenSet if is_empty => return f.write_str("frozenset()"),
        SequenceKind::FrozenSet => ("frozenset({", "})"),
    };
    f.write_str(open)?;
    for (index, item) in items.iter().enumerate() {
        f.write_str(separator(index))?;
        write!(f, "{item}")?;
    }
    rest(f, items.len(), more)?;
    f.write_str(close)
}

/// How long a value's text is, in bytes, without making it.
pub(super) fn text_len(value: &impl Display) -> usize {
    struct Length(usize);
    impl Write for Length {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            self.0 += text.len();
            Ok(())
        }
    }
    let mut length = Length(0);
    // Counting cannot fail.
    let _ = write!(length, "{value}");
    length.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(items: Vec<Value>, more: bool) -> Value {
        Value::Sequence { kind: SequenceKind::List, items, more }
    }

    fn sequence(kind: SequenceKind, items: Vec<Value>) -> String {
        Value::Sequence { kind, items, more: false }.to_string()
    }

    #[test]
    fn sequences_are_told_apart() {
        let one = || vec![Value::Int("1".into())];
        let two = || vec![Value::Int("1".into()), Value::None];
        assert_eq!(sequence(SequenceKind::List, Vec::new()), "[]");
        assert_eq!(sequence(SequenceKind::Tuple, Vec::new()), "()");
        assert_eq!(sequence(SequenceKind::Tuple, one()), "(1,)");
        assert_eq!(sequence(SequenceKind::Tuple, two()), "(1, None)");
        assert_eq!(sequence(SequenceKind::Set, Vec::new()), "set()");
        assert_eq!(sequence(SequenceKind::Set, two()), "{1, None}");
        assert_eq!(sequence(SequenceKind::FrozenSet, Vec::new()), "frozenset()");
        assert_eq!(sequence(SequenceKind::FrozenSet, one()), "frozenset({1})");
    }

    #[test]
    fn what_is_left_out_is_said() {
        assert_eq!(list(Vec::new(), true).to_string(), "[...]");
        assert_eq!(list(vec![Value::Bool(true)], true).to_string(), "[True, ...]");
        let dict = |items, more| Value::Dict { frozen: false, items, more }.to_string();
        assert_eq!(dict(Vec::new(), true), "{...}");
        assert_eq!(dict(vec![(Value::None, Value::Cut)], true), "{None: ..., ...}");
        let text = Value::Text { code_points: vec![0x61], more: true, unicode: true };
        assert_eq!(text.to_string(), "u\"a...\"");
    }

    #[test]
    fn objects_are_type_name_and_address() {
        let object = |name| Value::Object { type_name: "function".into(), name, address: Address(0x7f10) };
        assert_eq!(object(None).to_string(), "<function at 0x7f10>");
        assert_eq!(object(Some("run".into())).to_string(), "<function run at 0x7f10>");
        assert_eq!(Value::Unreadable(Address(16)).to_string(), "<unreadable at 0x10>");
    }

    #[test]
    fn lengths_are_those_of_the_text() {
        let value = list(vec![Value::Float(1.0), Value::Int("中".into())], true);
        assert_eq!(text_len(&value), value.to_string().len());
    }
}
