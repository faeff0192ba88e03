//! A dump as text.

use std::io::{self, Write};

use rspy_cpython::frames::ChainEnd;
use rspy_cpython::locals::Local;
use rspy_cpython::stack::Frame;
use rspy_process::threads::kernel_name;
use textwrap::core::display_width;

use super::Seen;
use crate::cli::Dump;
use crate::columns::columns_of;
use crate::printable::printable;
use crate::target::ThreadSample;
use crate::tree::Family;

/// How long a line of the tree is where no terminal says.
const WIDTH: usize = 100;

/// Writes the tree: those that run Python, and those above them.
pub fn tree(out: &mut impl Write, family: &Family) -> io::Result<()> {
    let width = rustix::termios::tcgetwinsize(io::stdout())
        .map_or(WIDTH, |size| usize::from(size.ws_col))
        .max(WIDTH.min(40));
    for kin in family.kin.iter().filter(|kin| kin.has_python) {
        let note = if kin.target.is_none() { "  (not Python)" } else { "" };
        let line = format!("{:indent$}{}: ", "", kin.pid, indent = kin.depth.min(10) * 4);
        let room = width.saturating_sub(line.len() + note.len());
        writeln!(out, "{line}{}{note}", shortened(&printable(&kin.command_line), room))?;
    }
    writeln!(out)
}

/// As much of `text` as fits into `room` columns.
fn shortened(text: &str, room: usize) -> String {
    if display_width(text) <= room {
        return text.to_owned();
    }
    let mut short = String::new();
    let mut used = 1;
    for character in text.chars() {
        used += display_width(character.encode_utf8(&mut [0; 4]));
        if used > room {
            break;
        }
        short.push(character);
    }
    short.push('…');
    short
}

/// Writes the stacks of one process.
pub fn process(out: &mut impl Write, options: &Dump, seen: &mut Seen) -> io::Result<()> {
    let Seen { target, threads, thread_names, names, .. } = seen;
    threads.sort_by_key(|thread| thread.os_id);
    writeln!(
        out,
        "Process {}: {}",
        target.process.pid(),
        printable(&target.process.command_line().join(" "))
    )?;
    let is_two = target.attached.version().major < 3;
    let executable = target.process.executable().unwrap_or_default();
    writeln!(out, "Python v{} ({})", target.attached.version(), executable.display())?;
    writeln!(out)?;
    for thread in threads {
        match thread.os_id {
            Some(tid) => write!(out, "Thread {tid} ({})", state(thread, is_two))?,
            None => write!(out, "Thread {:#X} ({})", thread.python_id, state(thread, is_two))?,
        }
        let kernel_name = || thread.os_id.and_then(|tid| own_kernel_name(target.process.pid(), tid));
        match thread_names.get(&thread.python_id).cloned().or_else(kernel_name) {
            Some(name) => writeln!(out, ": \"{}\"", printable(&name))?,
            None => writeln!(out)?,
        }
        if thread.lost {
            writeln!(out, "    [lost: it ran while it was read]")?;
            continue;
        }
        if thread.cut {
            writeln!(out, "    [cut]")?;
        }
        for frame in &thread.frames {
            match frame {
                Frame::Python { code, locals, .. } => {
                    let file = match options.full_filenames {
                        true => &code.filename,
                        false => names.shorten(&target.process, &code.filename),
                    };
                    write!(out, "    {} ({}", printable(&frame.name()), printable(file))?;
                    let location = frame.location();
                    match (location.line, columns_of(&location).filter(|_| options.columns)) {
                        (Some(line), Some(columns)) => writeln!(out, ":{line}:{columns})")?,
                        (Some(line), None) => writeln!(out, ":{line})")?,
                        (None, _) => writeln!(out, ")")?,
                    }
                    text_of_locals(out, locals.as_deref().unwrap_or_default())?;
                }
                Frame::Unknown(error) => writeln!(out, "    [unknown: {error}]")?,
            }
        }
        match thread.end {
            ChainEnd::Root | ChainEnd::Broken => {}
            ChainEnd::TooLong => writeln!(out, "    [truncated]")?,
            ChainEnd::Unreadable(error) => writeln!(out, "    [lost: {error}]")?,
        }
    }
    Ok(())
}

/// The name that a thread was given by other means than Python's. Those that were not
/// given one have the process's.
fn own_kernel_name(pid: u32, tid: u32) -> Option<String> {
    kernel_name(pid, tid).filter(|name| tid != pid && Some(name) != kernel_name(pid, pid).as_ref())
}

fn text_of_locals(out: &mut impl Write, locals: &[Local]) -> io::Result<()> {
    for (heading, is_argument) in [("Arguments", true), ("Locals", false)] {
        let mut heading = Some(heading);
        for local in locals.iter().filter(|local| local.is_argument == is_argument) {
            if let Some(heading) = heading.take() {
                writeln!(out, "        {heading}:")?;
            }
            writeln!(out, "            {}: {}", local.name, local.value)?;
        }
    }
    Ok(())
}

/// The state as py-spy words it, and what else is known of it.
fn state(thread: &ThreadSample, is_two: bool) -> String {
    let mut state = match (thread.active, thread.owns_gil) {
        (Some(false), _) => "idle",
        (_, Some(true)) => "active+gil",
        _ => "active",
    }
    .to_owned();
    for (is_so, what) in [
        (thread.waits_for_gil, ", waits for the GIL"),
        (thread.collects, ", collects garbage"),
        // In 2.7 until the function returns that has handled it: most threads would.
        (thread.handles_exception.filter(|_| !is_two), ", handles an exception"),
    ] {
        if is_so == Some(true) {
            state.push_str(what);
        }
    }
    state
}
