//! Which samples are recorded: by their thread, and by the code in their stack.
//!
//! Both are decided where samples are taken, so that what is left out costs nothing after.

mod stacks;
mod threads;

pub use self::stacks::{StackFilter, StackPattern, is_importlib};
pub use self::threads::{Candidate, Match, ThreadFilter, ThreadPattern};

/// Whether `text` has what stands for other characters. `*` stands for `/` as well.
fn is_glob(text: &str) -> bool {
    text.contains(['*', '?', '['])
}
