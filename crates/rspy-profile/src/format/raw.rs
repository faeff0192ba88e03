//! Folded stacks, the text that flame graph tools exchange: a line for each distinct stack, with
//! its frames from the outermost to the innermost, and how often it was seen.
//!
//! ```text
//! <module> (app.py:22);Session.send (requests/sessions.py:703);sleep (app.py:4) 12
//! ```
//!
//! The text is py-spy's to the byte, except that lines are in a fixed order (by label, stacks with
//! common callers together), that characters which would break a line are replaced (see the
//! `label` module), and that what is not known has a line: `[lost: …]`, `[no frames]`. Stacks are
//! never shortened.

use std::io::{self, BufWriter, Write};

use super::{About, Format, FormatError};
use crate::options::Options;
use crate::profile::Profile;
use crate::tree::Tree;

/// Folded stacks: `main (app.py:3);work (app.py:9) 12`.
#[derive(Clone, Copy, Debug)]
pub struct Raw;

impl Format for Raw {
    fn about(&self) -> About {
        About {
            name: "raw",
            extension: "txt",
            description: "folded stacks, a line each with its count, for flamegraph.pl, speedscope or grep",
            content: "raw flamegraph data",
            how_to_open: Some(
                "You can use the flamegraph.pl script from https://github.com/brendangregg/flamegraph to generate a SVG",
            ),
            is_for_terminals: true,
            ..About::default()
        }
    }

    fn write(
        &self,
        profile: &Profile,
        options: &Options,
        writer: &mut dyn io::Write,
    ) -> Result<(), FormatError> {
        let mut writer = BufWriter::new(writer);
        let mut tree = Tree::new(profile, options, None);
        tree.prune_by(options);
        tree.visit(|stack, weight| writeln!(writer, "{stack} {weight}"))?;
        writer.flush()?;
        Ok(())
    }
}
