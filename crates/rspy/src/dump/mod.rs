//! `rspy dump`: every thread's stack, now.

use std::borrow::Cow;
use std::collections::HashMap;
use std::io::{self, Write};
use std::process::ExitCode;

use rspy_cpython::frames::ChainEnd;
use rspy_cpython::locals::Local;
use rspy_cpython::stack::Frame;
use rspy_process::threads::kernel_name;
use rspy_profile::Columns;
use serde::Serialize;

use crate::attach::attach;
use crate::cli::Dump;
use crate::columns::columns_of;
use crate::failure::{Failure, refused_stops};
use crate::names::ShortNames;
use crate::printable::printable;
use crate::progress::report;
use crate::target::{Pausing, Target, ThreadSample};

/// How long the text of a local variable may be for each `-l`, in bytes; as in py-spy.
const LOCAL_LENGTH: usize = 128;

/// Looks at the process once and prints what it saw.
pub fn dump(options: &Dump) -> Result<ExitCode, Failure> {
    let pid = options.pid.ok_or_else(|| Failure::new("No process was given.", "Give one with --pid PID."))?;
    let mut target = attach(pid, if options.nonblocking { Pausing::Never } else { Pausing::Always })?;
    if options.class_names {
        target.read_class_names();
    }
    if options.locals > 0 {
        target.read_locals(usize::from(options.locals) * LOCAL_LENGTH);
    }
    let mut threads = target.look().map_err(|error| Failure::attaching(pid, &error.into()))?;
    if let Some(failure) = refused_stops(pid, &target.stops()) {
        report(format_args!("rspy: {failure}"));
    }
    let thread_names = target.thread_names();
    let mut names = ShortNames::default();
    let mut out = io::BufWriter::new(io::stdout().lock());
    let written = if options.json {
        let threads: Vec<JsonThread> = threads
            .iter()
            .map(|thread| JsonThread::new(&target, &mut names, &thread_names, thread, options.columns))
            .collect();
        serde_json::to_writer_pretty(&mut out, &threads).map_err(io::Error::from).and_then(|()| writeln!(out))
    } else {
        threads.sort_by_key(|thread| thread.os_id);
        text(&mut out, options, &target, &mut names, &thread_names, &threads)
    };
    written.and_then(|()| out.flush()).map_err(|error| Failure::printing(&error))?;
    Ok(ExitCode::SUCCESS)
}

fn text(
    out: &mut impl Write,
    options: &Dump,
    target: &Target,
    names: &mut ShortNames,
    thread_names: &HashMap<u64, String>,
    threads: &[ThreadSample],
) -> io::Result<()> {
    writeln!(
        out,
        "Process {}: {}",
        target.process.pid(),
        printable(&target.process.command_line().join(" "))
    )?;
    let executable = target.process.executable().unwrap_or_default();
    writeln!(out, "Python v{} ({})", target.attached.version(), executable.display())?;
    writeln!(out)?;
    for thread in threads {
        match thread.os_id {
            Some(tid) => write!(out, "Thread {tid} ({})", state(thread))?,
            None => write!(out, "Thread {:#X} ({})", thread.python_id, state(thread))?,
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

/// The state as py-spy words it.
fn state(thread: &ThreadSample) -> &'static str {
    match (thread.active, thread.owns_gil) {
        (Some(false), _) => "idle",
        (_, Some(true)) => "active+gil",
        _ => "active",
    }
}

/// py-spy's JSON, key by key; what is ours comes after.
#[derive(Serialize)]
struct JsonThread<'t> {
    pid: u32,
    thread_id: u64,
    thread_name: Option<&'t str>,
    os_thread_id: Option<u32>,
    active: bool,
    owns_gil: bool,
    frames: Vec<JsonFrame<'t>>,
    process_info: Option<()>,
    /// The innermost frames are not known and missing.
    cut: bool,
    /// All frames up to the thread's outermost are here.
    complete: bool,
}

#[derive(Serialize)]
struct JsonFrame<'t> {
    name: Cow<'t, str>,
    filename: &'t str,
    module: Option<&'t str>,
    short_filename: String,
    /// 0 where the line is not known, as py-spy has it.
    line: u32,
    locals: Option<Vec<JsonLocal<'t>>>,
    is_entry: bool,
    is_shim_entry: bool,
    #[serde(flatten)]
    columns: Option<JsonColumns>,
}

/// Counted as in the text: from 1, in bytes of UTF-8, the last one included.
#[derive(Serialize)]
struct JsonColumns {
    column: u32,
    end_line: u32,
    end_column: u32,
}

impl JsonColumns {
    fn new(frame: &Frame) -> Option<Self> {
        let location = frame.location();
        let Columns { first, last, .. } = columns_of(&location)?;
        Some(JsonColumns { column: first, end_line: location.end_line?, end_column: last })
    }
}

#[derive(Serialize)]
struct JsonLocal<'t> {
    name: &'t str,
    /// The address of the object.
    addr: u64,
    arg: bool,
    repr: String,
}

impl<'t> JsonLocal<'t> {
    fn new(local: &'t Local) -> Self {
        JsonLocal {
            name: &local.name,
            addr: local.address.0,
            arg: local.is_argument,
            repr: local.value.to_string(),
        }
    }
}

impl<'t> JsonThread<'t> {
    fn new(
        target: &Target,
        names: &mut ShortNames,
        thread_names: &'t HashMap<u64, String>,
        thread: &'t ThreadSample,
        columns: bool,
    ) -> Self {
        let known = if thread.lost { &[] } else { thread.frames.as_slice() };
        let frames = known.iter().map(|frame| match frame {
            Frame::Python { code, raw, is_shim_entry, locals, .. } => JsonFrame {
                name: frame.name(),
                filename: &code.filename,
                module: None,
                short_filename: names.shorten(&target.process, &code.filename).to_owned(),
                line: frame.location().line.unwrap_or(0),
                locals: locals.as_ref().map(|locals| locals.iter().map(JsonLocal::new).collect()),
                is_entry: raw.is_entry,
                is_shim_entry: *is_shim_entry,
                columns: JsonColumns::new(frame).filter(|_| columns),
            },
            Frame::Unknown(_) => JsonFrame {
                name: frame.name(),
                filename: "",
                module: None,
                short_filename: String::new(),
                line: 0,
                locals: None,
                is_entry: false,
                is_shim_entry: false,
                columns: None,
            },
        });
        JsonThread {
            pid: target.process.pid(),
            thread_id: thread.python_id,
            thread_name: thread_names.get(&thread.python_id).map(String::as_str),
            os_thread_id: thread.os_id,
            active: thread.active != Some(false),
            owns_gil: thread.owns_gil == Some(true),
            frames: frames.collect(),
            process_info: None,
            cut: thread.cut,
            complete: thread.end == ChainEnd::Root && !thread.cut && !thread.lost,
        }
    }
}
