//! `rspy heap save`: a heap in a file.

use std::io::{BufWriter, Write};
use std::path::Path;

use rspy_heap::holders::Holders;
use rspy_heap::objects::Objects;
use rspy_heap::snapshot;
use tempfile::NamedTempFile;

use super::captured::Captured;
use super::megabytes;
use crate::cli::HeapSave;
use crate::failure::Failure;
use crate::progress::{during, report};

/// Saves the heap of a process.
pub fn save(options: &HeapSave) -> Result<(), Failure> {
    let captured = Captured::live(&options.copy)?;
    let (heap, pages) = captured.heap_remembering()?;
    // What is read to answer questions is read now, while the process is there.
    during("looking at all objects", || Holders::of(&heap, &Objects::of(&heap)));
    let failed = |error: &std::io::Error| Failure::saving_heap(&options.file, error);
    // Half a heap is of no use: the file gets its name when all is in it.
    let folder = match options.file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let mut file = NamedTempFile::new_in(folder).map_err(|error| failed(&error))?;
    let mut out = BufWriter::new(file.as_file_mut());
    snapshot::write(&mut out, &captured.about, &captured.attached, &captured.maps, &captured.image, &pages)
        .and_then(|()| out.flush())
        .map_err(|error| failed(&error))?;
    drop(out);
    let size = file.as_file().metadata().map_or(0, |metadata| metadata.len());
    file.persist(&options.file).map_err(|error| failed(&error.error))?;
    let name = options.file.display();
    report(format_args!(
        "Wrote {name}: {} MB of memory in {} MB. See what is in it with: rspy heap {name}",
        megabytes(captured.image.bytes),
        megabytes(size)
    ));
    Ok(())
}
