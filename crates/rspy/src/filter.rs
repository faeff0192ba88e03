//! Which samples are recorded: by their thread, and by the code in their stack.
//!
//! Both are decided where samples are taken, so that what is left out costs nothing after.

mod stacks;
mod threads;

use globset::{GlobBuilder, GlobMatcher};

pub use self::stacks::{StackFilter, StackPattern, is_importlib};
pub use self::threads::{Candidate, Match, ThreadFilter, ThreadPattern};

/// Whether `text` has what stands for other characters.
fn is_glob(text: &str) -> bool {
    text.contains(['*', '?', '[', '{'])
}

/// What matches `glob`, where `*` stands for any text, with `/` or without.
fn matcher(glob: &str) -> Result<GlobMatcher, String> {
    let built = GlobBuilder::new(glob).literal_separator(false).empty_alternates(true).build();
    Ok(built.map_err(|error| error.kind().to_string())?.compile_matcher())
}
