//! What rspy says when it fails: each message that `docs/errors.md` promises, brought about for real.

mod analysis;
mod attaching;
mod heaps;
mod output;
mod permission;
mod recordings;
mod scene;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use rspy_tests::documented::{MADE_UP, messages};
use rspy_tests::{Outcome, run, test};

use crate::scene::rspy;

/// A row of the page, what brings it about, and what that takes.
type Case = (&'static str, fn() -> Outcome, Need);

/// What a test cannot do without.
#[derive(Copy, Clone)]
enum Need {
    Nothing,
    /// To be root.
    Root,
    /// To be root, and to see the threads of the kernel.
    Host,
    /// A kernel that runs 32-bit programs.
    ThirtyTwoBits,
    /// To be root on a kernel that has Yama.
    Yama,
}

impl Need {
    /// What is missing.
    fn missing(self) -> Option<&'static str> {
        let is_user = !rustix::process::geteuid().is_root();
        let (is_missing, why) = match self {
            Need::Nothing => return None,
            Need::Root => (is_user, "it takes root"),
            Need::Host => (is_user || !sees_kernel(), "it takes root outside of containers"),
            Need::ThirtyTwoBits => {
                (attaching::start_32_bits().is_err(), "the kernel runs no 32-bit programs")
            }
            Need::Yama => (
                is_user || !Path::new(permission::Yama::FILE).exists(),
                "it takes root and a kernel with Yama",
            ),
        };
        is_missing.then_some(why)
    }
}

fn sees_kernel() -> bool {
    fs::read_to_string("/proc/2/comm").is_ok_and(|name| name.trim() == "kthreadd")
}

const CASES: &[Case] = &[
    ("no-such-process", attaching::no_such_process, Need::Nothing),
    ("elsewhere", attaching::elsewhere, Need::Root),
    ("from-outside", attaching::from_outside, Need::Root),
    ("hidden", attaching::hidden, Need::Root),
    ("zombie", attaching::zombie, Need::Nothing),
    ("kernel-thread", attaching::kernel_thread, Need::Host),
    ("namesake", attaching::namesake, Need::Host),
    ("not-python", attaching::not_python, Need::Nothing),
    ("child", attaching::child, Need::Nothing),
    ("children", attaching::children, Need::Nothing),
    ("no-python-below", attaching::no_python_below, Need::Nothing),
    ("no-thread", attaching::no_thread, Need::Nothing),
    ("pypy", attaching::pypy, Need::Nothing),
    ("foreign", attaching::foreign, Need::ThirtyTwoBits),
    ("not-ready", attaching::not_ready, Need::Nothing),
    ("version", attaching::version, Need::Nothing),
    ("user", permission::user, Need::Root),
    ("group", permission::group, Need::Root),
    ("no-capability", permission::no_capability, Need::Root),
    ("not-dumpable", permission::not_dumpable, Need::Root),
    ("more-capabilities", permission::more_capabilities, Need::Root),
    ("user-namespace", permission::user_namespace, Need::Root),
    ("yama-1", permission::yama_1, Need::Yama),
    ("yama-2", permission::yama_2, Need::Yama),
    ("traced", permission::traced, Need::Nothing),
    ("ptrace-refused", permission::ptrace_refused, Need::Nothing),
    ("output-folder", output::output_folder, Need::Nothing),
    ("output-no-folder", output::output_no_folder, Need::Nothing),
    ("output-is-folder", output::output_is_folder, Need::Nothing),
    ("output-permission", output::output_permission, Need::Root),
    ("output-read-only", output::output_read_only, Need::Root),
    ("output-full", output::output_full, Need::Root),
    ("output-other", output::output_other, Need::Nothing),
    ("disk-full", output::disk_full, Need::Root),
    ("stdout-full", output::stdout_full, Need::Nothing),
    ("no-program", output::no_program, Need::Nothing),
    ("no-file", output::no_file, Need::Nothing),
    ("not-executable", output::not_executable, Need::Nothing),
    ("no-format", output::no_format, Need::Nothing),
    ("ended", output::ended, Need::Nothing),
    ("killed", output::killed, Need::Nothing),
    ("no-python", output::no_python, Need::Nothing),
    ("interrupted", output::interrupted, Need::Nothing),
    ("contradiction", output::contradiction, Need::Nothing),
    ("recording-missing", recordings::missing, Need::Nothing),
    ("recording-permission", recordings::permission, Need::Root),
    ("recording-unreadable", recordings::unreadable, Need::Nothing),
    ("recording-foreign", recordings::foreign, Need::Nothing),
    ("recording-empty", recordings::empty, Need::Nothing),
    ("recording-version", recordings::version, Need::Nothing),
    ("recording-damaged", recordings::damaged, Need::Nothing),
    ("recording-itself", recordings::itself, Need::Nothing),
    ("recording-full", recordings::full, Need::Nothing),
    ("report-full", recordings::report_full, Need::Root),
    ("foreign-version", recordings::foreign_version, Need::Nothing),
    ("foreign-damaged", recordings::foreign_damaged, Need::Nothing),
    ("foreign-cut", recordings::foreign_cut, Need::Nothing),
    ("no-changes", recordings::no_changes, Need::Nothing),
    ("view-format", recordings::view_format, Need::Nothing),
    ("view-changes", recordings::view_changes, Need::Nothing),
    ("report-exception", recordings::exceptions, Need::Nothing),
    ("limits", recordings::no_recording, Need::Nothing),
    ("looks-like-command", recordings::looks_like_command, Need::Nothing),
    ("heap-limit", heaps::limit, Need::Nothing),
    ("heap-missing", heaps::missing, Need::Nothing),
    ("heap-foreign", heaps::foreign, Need::Nothing),
    ("heap-damaged", heaps::damaged, Need::Nothing),
    ("heap-saving", heaps::saving, Need::Nothing),
    ("heap-address", heaps::address, Need::Nothing),
    ("heap-type", heaps::no_type, Need::Nothing),
    ("heap-sort", heaps::sort, Need::Nothing),
    ("heap-folder", heaps::folder, Need::Nothing),
    ("heap-version", heaps::version, Need::Nothing),
    ("heap-picture", heaps::picture, Need::Nothing),
    ("no-lines", recordings::no_lines, Need::Nothing),
    ("no-such-function", recordings::no_such_function, Need::Nothing),
    ("no-functions", recordings::no_functions, Need::Nothing),
    ("no-match", recordings::no_match, Need::Nothing),
    ("memory-format", recordings::memory_format, Need::Nothing),
    ("memory-none", recordings::memory_none, Need::Nothing),
    ("tracemalloc-off", analysis::tracemalloc_off, Need::Nothing),
    ("tracemalloc-process", analysis::tracemalloc_process, Need::Nothing),
    ("tracemalloc-format", analysis::tracemalloc_format, Need::Nothing),
    ("vs-words", analysis::vs_words, Need::Nothing),
];

/// Every row of the page comes from a test, and what tests expect is on the page.
fn every_row_is_tested() -> Outcome {
    let rows: BTreeSet<String> = messages()?.into_keys().collect();
    let tested = CASES.iter().map(|(id, _, _)| *id).chain(MADE_UP.iter().copied());
    let tested: BTreeSet<String> = tested.map(str::to_owned).collect();
    if rows == tested {
        return Ok(());
    }
    Err(format!("untested: {:?}, not on the page: {:?}", &rows - &tested, &tested - &rows).into())
}

/// What cannot be understood is told apart from what failed.
fn usage() -> Outcome {
    for arguments in [&["dump"][..], &["record"], &["dump", "--pid", "x"], &["dance"]] {
        let status = rspy().args(arguments).output()?.status;
        if status.code() != Some(2) {
            return Err(format!("rspy {arguments:?} ended with {status}").into());
        }
    }
    Ok(())
}

fn main() {
    let mut tests = vec![
        test("every-row-is-tested", every_row_is_tested),
        test("outputs-of-analyses", analysis::outputs),
        test("closed-descriptors", output::closed_descriptors),
        test("reading-refused", permission::reading_refused),
        test("usage", usage),
    ];
    for (id, body, need) in CASES {
        match need.missing() {
            None => tests.push(test(*id, body)),
            Some(why) => eprintln!("skipped: {id}: {why}"),
        }
    }
    run(tests);
}
