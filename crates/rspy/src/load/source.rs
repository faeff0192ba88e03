//! What is read: recordings, and files of other profilers, which are made into recordings first.

use std::fs::File;
use std::io::{self, Cursor, Read};
use std::path::Path;

use rspy_profile::Format;
use rspy_profile::foreign::{self, Foreign, Import};
use rspy_profile::format::Recording;
use rspy_profile::recording::{HEADER, Reader, is_recording};

use crate::failure::Failure;
use crate::progress::report as say;

/// A file that is read.
pub struct Source {
    /// What is in it.
    pub reader: Reader<Box<dyn Read>>,
    /// Whether it says itself which processes and which threads there are.
    pub by: (bool, bool),
    /// How long it is, in bytes.
    pub size: u64,
}

impl Source {
    /// Opens the file `path`.
    pub fn open(path: &Path) -> Result<Source, Failure> {
        let unreadable = |error: io::Error| Failure::opening_recording(path, &error);
        let mut file = File::open(path).map_err(unreadable)?;
        let size = file.metadata().map_or(0, |metadata| metadata.len());
        let mut start = Vec::new();
        file.by_ref().take(HEADER as u64).read_to_end(&mut start).map_err(unreadable)?;
        if !is_recording(&start) {
            file.by_ref().take(foreign::START as u64).read_to_end(&mut start).map_err(unreadable)?;
            if let Some(foreign) = foreign::recognize(&start) {
                file.read_to_end(&mut start).map_err(unreadable)?;
                return imported(path, foreign, &start);
            }
        }
        let file: Box<dyn Read> = Box::new(Cursor::new(start).chain(file));
        let reader = Reader::new(file).map_err(|error| Failure::reading(path, &error))?;
        Ok(Source { reader, by: (false, false), size })
    }
}

/// The recording that a file of another profiler comes to.
fn imported(path: &Path, foreign: &dyn Foreign, bytes: &[u8]) -> Result<Source, Failure> {
    let import = foreign.read(bytes, &mut |_| {}).map_err(|error| Failure::importing(path, &error))?;
    for notice in &import.notices {
        say(format_args!("rspy: {}: {notice}", path.display()));
    }
    let options = import.options();
    let Import { mut profile, by_process, by_thread, .. } = import;
    // What was chosen when it was made is shown, whatever it is.
    profile.metadata.mode = Some(foreign.name().to_owned());
    let mut recording = Vec::new();
    Recording
        .write(&profile, &options, &mut recording)
        .map_err(|error| Failure::opening_recording(path, &io::Error::other(error)))?;
    let size = recording.len() as u64;
    let recording: Box<dyn Read> = Box::new(Cursor::new(recording));
    let reader = Reader::new(recording).map_err(|error| Failure::reading(path, &error))?;
    Ok(Source { reader, by: (by_process, by_thread), size })
}
