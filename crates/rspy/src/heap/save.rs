//! `rspy heap save`: a heap in a file.

use std::io::{self, BufWriter, Write};
use std::path::Path;

use rspy_heap::holders::Holders;
use rspy_heap::objects::Objects;
use rspy_heap::snapshot;
use signal_hook::consts::SIGINT;
use signal_hook::low_level::emulate_default_handler;
use tempfile::NamedTempFile;

use super::captured::Captured;
use super::megabytes;
use crate::cli::HeapSave;
use crate::failure::Failure;
use crate::progress::{during, report};
use crate::signals::{Received, Signals};

/// Saves the heap of a process.
pub fn save(options: &HeapSave) -> Result<(), Failure> {
    let captured = Captured::live(&options.copy)?;
    let (heap, pages) = captured.heap_remembering()?;
    // What is read to answer questions is read now, while the process is there.
    during("looking at all objects", || Holders::of(&heap, &Objects::of(&heap)));
    captured.whole(&heap, ())?;
    let failed = |error: &std::io::Error| Failure::saving_heap(&options.file, error);
    // Half a heap is of no use: the file gets its name when all is in it.
    let folder = match options.file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    // Until then whoever interrupts finds nothing of it left.
    let mut interrupted = Interrupted { signals: Signals::collect(false)?, is: false };
    let mut file = NamedTempFile::new_in(folder).map_err(|error| failed(&error))?;
    let mut out = BufWriter::new(Interruptible { file: file.as_file_mut(), interrupted: &mut interrupted });
    let written = snapshot::write(
        &mut out,
        &captured.about,
        &captured.attached,
        &captured.maps,
        &captured.image,
        &pages,
    )
    .and_then(|()| out.flush());
    drop(out);
    if interrupted.is {
        drop(file);
        // This ends rspy, as it cannot fail for a signal that exists.
        let _ = emulate_default_handler(SIGINT);
        return written.map_err(|error| failed(&error));
    }
    written.map_err(|error| failed(&error))?;
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

/// Whether the user wants no more of it.
struct Interrupted {
    signals: Signals,
    is: bool,
}

/// A file that is written to until somebody interrupts.
struct Interruptible<'f, W> {
    file: W,
    interrupted: &'f mut Interrupted,
}

impl<W: Write> Write for Interruptible<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.interrupted.signals.next() {
            Some(Received::Interrupt) => self.interrupted.is = true,
            Some(Received::Suspend) => self.interrupted.signals.suspend(),
            Some(Received::Flush | Received::PassOn(_)) | None => {}
        }
        if self.interrupted.is {
            // Not `Interrupted`, after which writers go on.
            return Err(io::Error::other("interrupted"));
        }
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
