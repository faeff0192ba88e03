//! `rspy lines`: the shares of lines, compared with the program's own clock and with line_profiler; their source; what is
//! shown of them, and where.

mod kinds;
mod shares;
mod shown;
mod source;

use std::process::Command;

use rspy_tests::{Body, on_each, run_one_by_one};

/// One of each way to find frames and lines.
const INTERPRETERS: &[&str] = &["2.7", "3.8", "3.11", "3.13", "3.15"];

/// Those that line_profiler is installed for.
const WITH_LINE_PROFILER: &[&str] = &["3.8", "3.11", "3.13"];

fn main() {
    let on_all: &[(&str, Body)] = &[
        ("shares-of-a-command", shares::command),
        ("shares-of-a-process", shares::process),
        ("each-kind-of-function", kinds::kinds),
        ("memory", shares::memory),
    ];
    let on_some: &[(&str, Body)] =
        &[("as-line-profiler", shares::as_line_profiler), ("slowdown", shares::slowdown)];
    let on_one: &[(&str, Body)] = &[
        ("archive", source::archive),
        ("newer", source::newer),
        ("moved", source::moved),
        ("missing", source::missing),
        ("no-file", source::no_file),
        ("chosen", shown::chosen),
        ("colours", shown::colours),
        ("widths", shown::widths),
        ("nobody-reads-it", shown::closed_pipe),
        ("exit-code", shown::exit_code),
    ];
    let mut tests = on_each(INTERPRETERS, on_all);
    tests.extend(on_each(WITH_LINE_PROFILER, on_some));
    tests.extend(on_each(&["2.7", "3.13"], &[("relative-path", source::relative)]));
    tests.extend(on_each(&["3.13"], on_one));
    // Mounts of one's own are permitted to root, and in most containers to nobody.
    let made = Command::new("unshare").args(["--mount", "true"]).output();
    match made.is_ok_and(|output| output.status.success()) {
        true => tests.extend(on_each(&["3.13"], &[("own-root", source::own_root)])),
        false => eprintln!("skipped: own-root: making namespaces is not permitted here"),
    }
    // Each wants a processor for itself.
    run_one_by_one(tests);
}
