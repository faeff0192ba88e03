//! The interpreters that were met: another process that runs the same file needs no search.

use rspy_cpython::{Attached, FindError};
use rspy_process::Process;
use rspy_process::maps::loaded_files;

/// One interpreter of each file.
#[derive(Default)]
pub struct Interpreters {
    known: Vec<Attached>,
}

impl Interpreters {
    /// Learns of one that was found.
    pub fn learn(&mut self, attached: &Attached) {
        if !self.known.iter().any(|known| known.is_of_file_of(attached)) {
            self.known.push(attached.again());
        }
    }

    /// The interpreter of `process`.
    pub fn find(&self, process: &Process) -> Result<Attached, FindError> {
        if !self.known.is_empty() {
            let maps = process.maps()?;
            let files = loaded_files(&maps);
            for known in &self.known {
                if let Some(attached) = known.in_file(process, &files)? {
                    return Ok(attached);
                }
            }
        }
        Attached::find(process)
    }
}
