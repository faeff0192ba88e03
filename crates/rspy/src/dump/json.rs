//! A dump as JSON.

use std::borrow::Cow;
use std::io::{self, Write};

use rspy_cpython::frames::ChainEnd;
use rspy_cpython::locals::Local;
use rspy_cpython::stack::Frame;
use rspy_profile::Columns;
use serde::Serialize;

use super::Seen;
use crate::cli::Dump;
use crate::columns::columns_of;
use crate::names::ShortNames;
use crate::target::ThreadSample;
use crate::tree::Family;

/// Writes the threads of all processes, in one list.
pub fn write(
    out: &mut impl Write,
    options: &Dump,
    seen: &mut [Seen],
    family: Option<&Family>,
) -> io::Result<()> {
    let mut threads = Vec::new();
    for seen in seen {
        let mut names = std::mem::take(&mut seen.names);
        let pid = seen.target.process.pid();
        for thread in &seen.threads {
            let process = family.and_then(|family| JsonProcess::new(family, pid));
            threads.push(JsonThread::new(seen, &mut names, process, thread, options.columns));
        }
    }
    serde_json::to_writer_pretty(&mut *out, &threads)?;
    writeln!(out)
}

/// A process, and those above it up to the one that was asked for.
#[derive(Serialize)]
struct JsonProcess<'t> {
    pid: u32,
    ppid: u32,
    command_line: &'t str,
    parent: Option<Box<JsonProcess<'t>>>,
}

impl<'t> JsonProcess<'t> {
    fn new(family: &'t Family, pid: u32) -> Option<Self> {
        let mut process = None;
        for kin in family.above(pid) {
            let parent = process.map(Box::new);
            process =
                Some(JsonProcess { pid: kin.pid, ppid: kin.parent, command_line: &kin.command_line, parent });
        }
        process
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
    /// Only with `--subprocesses`; py-spy has it in recordings.
    process_info: Option<JsonProcess<'t>>,
    /// The innermost frames are not known and missing.
    cut: bool,
    /// All frames up to the thread's outermost are here.
    complete: bool,
    /// It waits for the GIL; `null`, like the others, where that cannot be known.
    waits_for_gil: Option<bool>,
    /// It collects garbage.
    collects_garbage: Option<bool>,
    /// It raises or handles an exception.
    handles_exception: Option<bool>,
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
        seen: &'t Seen,
        names: &mut ShortNames,
        process_info: Option<JsonProcess<'t>>,
        thread: &'t ThreadSample,
        columns: bool,
    ) -> Self {
        let Seen { target, thread_names, .. } = seen;
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
            process_info,
            cut: thread.cut,
            complete: thread.end == ChainEnd::Root && !thread.cut && !thread.lost,
            waits_for_gil: thread.waits_for_gil,
            collects_garbage: thread.collects,
            handles_exception: thread.handles_exception,
        }
    }
}
