//! Recordings that are read, and what is made of them.

use std::io;
use std::path::{Path, PathBuf};

use rspy_profile::foreign::ForeignError;
use rspy_profile::recording::RecordingError;

use super::Failure;
use super::output::reason;

impl Failure {
    /// The recording `path` cannot be opened.
    pub fn opening_recording(path: &Path, error: &io::Error) -> Failure {
        let advice = match error.kind() {
            io::ErrorKind::NotFound => "Give the file of a recording: rspy record -o FILE.rspy makes one.",
            io::ErrorKind::PermissionDenied => "Give one that you may read, or run rspy as its owner.",
            _ => "Give the file of a recording.",
        };
        Failure::new(format!("{} cannot be read: {}.", path.display(), reason(error)), advice)
    }

    /// What was given for recordings, of which one cannot be read, looks like a command: `python app.py`.
    pub fn of_command(words: &[PathBuf]) -> Option<Failure> {
        let first = words.first()?;
        let is_script = |word: &PathBuf| word.extension().is_some_and(|extension| extension == "py");
        let is_python = first.file_name()?.to_str()?.starts_with("python");
        if !is_python && !words.iter().any(is_script) {
            return None;
        }
        let mut command = vec!["rspy".to_owned()];
        command.extend(std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned()));
        let at = command.iter().position(|word| Path::new(word) == first)?;
        command.insert(at, "--".to_owned());
        let failure = Failure::new(
            format!("{} is no recording, but looks like a command.", first.display()),
            "Put -- before a command that is to be started:",
        );
        Some(failure.with_command(shlex::try_join(command.iter().map(String::as_str)).ok()?))
    }

    /// The recording `path` cannot be made sense of.
    pub fn reading(path: &Path, error: &RecordingError) -> Failure {
        let path = path.display();
        match error {
            RecordingError::Io(error) => Failure::new(
                format!("{path} cannot be read: {}.", reason(error)),
                "Give the file of a recording.",
            ),
            RecordingError::Foreign => Failure::new(
                format!("{path} is no recording of rspy."),
                "Give the file of a recording: rspy record -o FILE.rspy makes one.",
            ),
            RecordingError::Empty => Failure::new(
                format!("{path} ends before the recording has begun."),
                "There is nothing in it to be shown: record again.",
            ),
            RecordingError::Version { major, minor } => Failure::new(
                format!("{path} is a recording of format {major}.{minor}, which this rspy does not know."),
                "Read it with the rspy that wrote it, or a newer one.",
            ),
            error => Failure::new(
                format!("{path} is damaged: {error}."),
                "Please report this, with the file if you can.",
            ),
        }
    }

    /// The file `path` of another profiler cannot be made sense of.
    pub fn importing(path: &Path, error: &ForeignError) -> Failure {
        let text = error.to_string();
        let (cause, advice) = text.rsplit_once("; ").unwrap_or((&text, "record it again"));
        let (first, rest) = advice.split_at(advice.chars().next().map_or(0, char::len_utf8));
        let advice = format!("{}{rest}.", first.to_uppercase());
        Failure::new(format!("{} cannot be read: {cause}.", path.display()), advice)
    }

    /// Writing a report to the file `place` failed in the midst.
    pub fn writing_report(place: &str, error: &io::Error) -> Failure {
        Failure {
            broken_pipe: error.kind() == io::ErrorKind::BrokenPipe,
            ..Failure::new(
                format!("Writing to {place} failed: {}. What is in there is incomplete.", reason(error)),
                "Make room there, or choose another file with -o FILE; the recording is as it was.",
            )
        }
    }

    /// Writing the recording `place` failed while it went on.
    pub fn recording(place: &str, error: &io::Error) -> Failure {
        Failure {
            broken_pipe: error.kind() == io::ErrorKind::BrokenPipe,
            ..Failure::new(
                format!("Writing to {place} failed: {}. The recording ends there.", reason(error)),
                "What it has can be read with rspy report. Make room, or choose a file on another disk with -o FILE.",
            )
        }
    }
}
