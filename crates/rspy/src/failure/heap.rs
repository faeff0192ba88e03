//! Heaps that cannot be copied, saved or read.

use std::io;
use std::path::Path;

use rspy_heap::image::ImageError;
use rspy_heap::snapshot::SnapshotError;

use super::Failure;
use super::output::reason;

impl Failure {
    /// The heap of a process cannot be copied.
    pub fn copying_heap(pid: u32, error: &ImageError) -> Failure {
        let cause = format!("The heap of process {pid} cannot be copied: {error}.");
        match error {
            ImageError::TooLarge { .. } => {
                Failure::new(cause, "Allow it more with --limit, or free memory first.")
            }
            _ => Failure::new(cause, "Free memory, and see that this user may read /proc/PID/pagemap."),
        }
    }

    /// The saved heap `file` cannot be opened.
    pub fn opening_heap(file: &Path, error: &io::Error) -> Failure {
        Failure::new(
            format!("{} cannot be read: {}.", file.display(), reason(error)),
            "Give the file of a heap: rspy heap save FILE --pid PID makes one.",
        )
    }

    /// The saved heap `file` cannot be made sense of.
    pub fn reading_heap(file: &Path, error: &SnapshotError) -> Failure {
        let advice = match error {
            SnapshotError::Foreign => "Give the file of a heap: rspy heap save FILE --pid PID makes one.",
            SnapshotError::Version(_) => "Read it with the rspy that has saved it, or a newer one.",
            _ => "The file is damaged or not complete: save the heap again.",
        };
        Failure::new(format!("{} cannot be read: {error}.", file.display()), advice)
    }

    /// The picture of a heap cannot be written to `file`.
    pub fn drawing_heap(file: &Path, error: &io::Error) -> Failure {
        Failure::new(
            format!("Writing to {} failed: {}. The picture is not complete.", file.display(), reason(error)),
            "Make room there, or choose another file with -o FILE.",
        )
    }

    /// A table has no column that `key` names.
    pub fn sorting_heap(table: &str, key: &str, keys: impl Iterator<Item = String>) -> Failure {
        Failure::new(
            format!("The table of {table} cannot be sorted by {key}."),
            format!("Sort it by one of these: {}.", keys.collect::<Vec<_>>().join(", ")),
        )
    }

    /// The heap cannot be saved in `file`.
    pub fn saving_heap(file: &Path, error: &io::Error) -> Failure {
        Failure::new(
            format!("The heap cannot be saved in {}: {}.", file.display(), reason(error)),
            "Choose a file in a folder that can be written to and has room.",
        )
    }
}
