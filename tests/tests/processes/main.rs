//! Recordings of whole process trees (`record --subprocesses`): every process of pools, servers, shells and launchers is
//! in them once, below the one that started it, with its own figures and stacks.
//!
//! Workers meet the test, work once they are recorded, and end when the test hangs up, however it ends.

mod crew;
mod ends;
mod pools;
mod recorded;
mod server;
mod shells;
mod stops;

use rspy_tests::{Body, on_each, run};

fn main() {
    // Each has another way to be found, and another way that pools start their workers.
    let labels = ["3.8", "3.11", "3.13", "3.15"];
    let tests: &[(&str, Body)] = &[
        ("pool-fork", |interpreter| pools::by_pid(interpreter, "fork")),
        ("pool-spawn", |interpreter| pools::by_pid(interpreter, "spawn")),
        ("pool-forkserver", |interpreter| pools::by_pid(interpreter, "forkserver")),
        ("executor", |interpreter| pools::by_pid(interpreter, "executor")),
        ("launched-pool-fork", |interpreter| pools::launched(interpreter, "fork")),
        ("launched-pool-spawn", |interpreter| pools::launched(interpreter, "spawn")),
        ("launched-pool-forkserver", |interpreter| pools::launched(interpreter, "forkserver")),
        ("launched-executor", |interpreter| pools::launched(interpreter, "executor")),
        ("shell-becomes-python", shells::becomes_python),
        ("shell-starts-python", shells::starts_python),
        ("launched-shell", shells::launched),
        ("shell-below-python", shells::below_python),
        ("replaced", ends::replaced),
        ("killed", ends::killed),
        ("traced", stops::traced),
        ("gunicorn", server::gunicorn),
    ];
    run(on_each(&labels, tests));
}
