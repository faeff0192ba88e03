//! Source files of the target, as far as they can be read here.

use std::collections::HashMap;
use std::path::PathBuf;

use super::state::State;

/// The largest file that is read.
const LARGEST: u64 = 8 << 20;

/// The files that were asked for.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    files: HashMap<String, Vec<String>>,
}

impl Sources {
    /// A line of a file of the target's, counted from 1; `None` if it cannot be read.
    pub fn line(&mut self, state: &State, file: &str, line: u32) -> Option<String> {
        if !self.files.contains_key(file) {
            // The target's own files, which may be others than those of that name here.
            let own = PathBuf::from(format!("/proc/{}/root{file}", state.about.pid));
            let lines =
                if file.starts_with('/') { read(own).or_else(|| read(PathBuf::from(file))) } else { None };
            self.files.insert(file.to_owned(), lines.unwrap_or_default());
        }
        let index = usize::try_from(line).ok()?.checked_sub(1)?;
        self.files.get(file)?.get(index).cloned()
    }
}

fn read(path: PathBuf) -> Option<Vec<String>> {
    let metadata = std::fs::metadata(&path).ok()?;
    if !metadata.is_file() || metadata.len() > LARGEST {
        return None;
    }
    let bytes = std::fs::read(&path).ok()?;
    Some(String::from_utf8_lossy(&bytes).lines().map(|line| line.replace('\t', "    ")).collect())
}
