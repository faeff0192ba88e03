//! `rspy dump`: every thread's stack, now.

mod json;
mod text;

use std::collections::HashMap;
use std::io::{self, Write};
use std::process::ExitCode;

use rspy_cpython::stack::Frame;
use rspy_process::ReadError;

use crate::attach::attach;
use crate::cli::{Dump, Mode};
use crate::failure::{Failure, refused_stops};
use crate::filter::Candidate;
use crate::names::{ShortNames, is_cell};
use crate::progress::report;
use crate::target::{Pausing, Target, ThreadSample};
use crate::tree::Family;

/// How long the text of a local variable may be for each `-l`, in bytes; as in py-spy.
const LOCAL_LENGTH: usize = 128;

/// A process that was looked at.
struct Seen {
    target: Target,
    threads: Vec<ThreadSample>,
    /// By `threading.get_ident()`.
    thread_names: HashMap<u64, String>,
    names: ShortNames,
    /// Threads that were not asked for: their ids and names.
    passed_over: Vec<(u64, Option<String>)>,
    /// Whether there is one that was asked for, whatever it does.
    has_wanted: bool,
}

/// Looks at the process once and prints what it saw.
pub fn dump(options: &Dump) -> Result<ExitCode, Failure> {
    let pid = options.pid.ok_or_else(|| Failure::new("No process was given.", "Give one with --pid PID."))?;
    let pausing = if options.nonblocking { Pausing::Never } else { Pausing::Always };
    match options.subprocesses {
        true => dump_family(options, Family::find(pid, pausing)?)?,
        false => {
            let look = look(options, attach(pid, pausing)?);
            let mut seen = [look.map_err(|error| Failure::attaching(pid, &error.into()))?];
            some_are_wanted(options, &seen)?;
            print(|out| match options.json {
                true => json::write(out, options, &mut seen, None),
                false => seen.iter_mut().try_for_each(|seen| text::process(out, options, seen)),
            })?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The same with the processes that it has started. Each is printed when it was looked at; one
/// that cannot be is said to be missing, and the others go on.
fn dump_family(options: &Dump, mut family: Family) -> Result<(), Failure> {
    if !options.json {
        print(|out| text::tree(out, &family))?;
    }
    let mut all = Vec::new();
    let mut unwanted = Vec::new();
    let mut is_first = true;
    for target in family.take_targets() {
        let pid = target.process.pid();
        match look(options, target) {
            Ok(seen) if !seen.has_wanted => unwanted.push(seen),
            Ok(seen) if options.json => all.push(seen),
            Ok(mut seen) => print(|out| {
                if !std::mem::take(&mut is_first) {
                    writeln!(out)?;
                }
                text::process(out, options, &mut seen)
            })?,
            Err(error) => report(format_args!("rspy: {}", Failure::left_out(pid, &error.into()))),
        }
    }
    if is_first && all.is_empty() {
        some_are_wanted(options, &unwanted)?;
    }
    match options.json {
        true => print(|out| json::write(out, options, &mut all, Some(&family))),
        false => Ok(()),
    }
}

/// Fails if all of these processes were looked at for threads that none of them has.
fn some_are_wanted(options: &Dump, all: &[Seen]) -> Result<(), Failure> {
    let Some(filter) = options.thread_choice.filter() else { return Ok(()) };
    if all.is_empty() || all.iter().any(|seen| seen.has_wanted) {
        return Ok(());
    }
    let pids: Vec<u32> = all.iter().map(|seen| seen.target.process.pid()).collect();
    let threads: Vec<_> = all.iter().flat_map(|seen| seen.passed_over.iter().cloned()).collect();
    Err(Failure::no_thread(&pids, &filter, &threads))
}

/// Looks at one process.
fn look(options: &Dump, mut target: Target) -> Result<Seen, ReadError> {
    if options.class_names {
        target.read_class_names();
    }
    if options.locals > 0 {
        target.read_locals(usize::from(options.locals) * LOCAL_LENGTH);
    }
    let mut threads = target.look()?;
    if let Some(failure) = refused_stops(target.process.pid(), &target.stops()) {
        report(format_args!("rspy: {failure}"));
    }
    let thread_names = target.thread_names();
    let mut passed_over = Vec::new();
    if let Some(filter) = options.thread_choice.filter() {
        let pid = target.process.pid();
        threads.retain(|thread| {
            let name = thread_names.get(&thread.python_id);
            let candidate = Candidate {
                os_id: thread.os_id,
                python_id: thread.python_id,
                is_main: thread.os_id == Some(pid),
                name: name.map(String::as_str),
            };
            let is_wanted = filter.matches(&candidate).is_yes();
            if !is_wanted {
                passed_over.push((thread.os_id.map_or(thread.python_id, u64::from), name.cloned()));
            }
            is_wanted
        });
    }
    let has_wanted = passed_over.is_empty() || !threads.is_empty();
    threads.retain(|thread| is_in(options.modes.mode(), thread));
    let mut names = ShortNames::default();
    let mut files = threads.iter().flat_map(|thread| &thread.frames).filter_map(Frame::filename);
    if files.any(is_cell) {
        names.learn_cells(target.attached.notebook_cells(target.process.memory()));
    }
    Ok(Seen { target, threads, thread_names, names, passed_over, has_wanted })
}

/// Whether `thread` is one of those that `mode` asks for.
fn is_in(mode: Mode, thread: &ThreadSample) -> bool {
    match mode {
        Mode::Wall => true,
        Mode::Cpu => thread.active != Some(false),
        Mode::Gil { .. } => thread.owns_gil == Some(true),
        Mode::Exception => thread.handles_exception == Some(true),
        Mode::GilWait => thread.waits_for_gil == Some(true) || thread.owns_gil == Some(true),
    }
}

fn print(
    write: impl FnOnce(&mut io::BufWriter<io::StdoutLock<'static>>) -> io::Result<()>,
) -> Result<(), Failure> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    write(&mut out).and_then(|()| out.flush()).map_err(|error| Failure::printing(&error))
}
