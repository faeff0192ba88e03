//! Threads that could not be stopped: nothing fails, but some stacks may be lost.

use std::path::Path;

use rspy_process::stop::StopStats;

use super::Failure;
use super::circumstances::Calls;
use super::proc_status::{Status, command_line};

/// What to tell of stops that were refused, with the reason as far as it is known;
/// `None` if none was, or only some for a moment's reason.
pub fn refused_stops(pid: u32, stops: &StopStats) -> Option<Failure> {
    if stops.refused == 0 {
        return None;
    }
    let proc = Path::new("/proc");
    let tracer = Status::read(proc, &pid.to_string()).map_or(0, |status| status.tracer);
    let name = if tracer == 0 { String::new() } else { command_line(proc, tracer) };
    let calls = Calls::probe();
    let is_lasting = tracer != 0 || calls.traces_refused || stops.count == 0;
    is_lasting.then(|| described(pid, tracer, &name, calls))
}

pub(super) fn described(pid: u32, tracer: u32, name: &str, calls: Calls) -> Failure {
    let consequence = "was read without stopping it: stacks of running threads may be lost";
    if tracer != 0 {
        return Failure::new(
            format!(
                "Process {pid} is traced by process {tracer} ({name}), and a process can have one tracer \
                 only. So it {consequence}."
            ),
            "Let that tracer go of it to see every stack.",
        );
    }
    if calls.traces_refused {
        return Failure::new(
            format!(
                "A seccomp filter that rspy runs under refuses the system call ptrace. So process {pid} \
                 {consequence}."
            ),
            "Run rspy without that filter to see every stack.",
        );
    }
    Failure::new(
        format!("The kernel did not permit to stop process {pid}. So it {consequence}."),
        "Run rspy as root to see every stack.",
    )
}
