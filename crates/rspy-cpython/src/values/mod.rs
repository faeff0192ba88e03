//! Reading Python values out of the target: names of threads, and the local variables
//! of frames as text.
//!
//! Everything is bounded: the length of strings, the number of items, the depth, the
//! number of objects that are looked at for one value and for all. What holds itself is shown once. Memory that is no object costs only itself.

mod attribute;
mod dict;
mod integer;
mod kind;
mod literal;
mod number;
mod numpy;
mod reader;
mod set;
mod value;

pub use attribute::attribute;
pub use dict::{DictItem, items};
pub use integer::integer;
pub use reader::ValueReader;
pub use value::{BytesKind, SequenceKind, Value};
