//! Reading Python values out of the target: as far as thread names need it.

mod attribute;
mod dict;
mod integer;

pub use attribute::attribute;
pub use dict::{DictItem, items};
pub use integer::integer;
