//! rspy on real programs: whole stacks through frameworks, workers and packed programs, none of which may notice.
//!
//! Where the subject is a whole stack, the program meets the test in the middle of its work and says itself what it
//! stands in. Where it is a recording, the program is under load and every answer of it is looked at.

mod bundles;
mod jobs;
mod recorded;
mod servers;

use rspy_tests::{Body, on_each, run};

fn main() {
    // Old and stripped, static and stripped, new, free-threaded: as far as there are packages for it.
    let every = ["3.8", "3.11-debian", "3.13"];
    let new = ["3.11-debian", "3.13"];
    let mut tests = Vec::new();
    tests.extend(on_each(&[&every[..], &["3.13t"]].concat(), &[("gunicorn", servers::gunicorn)]));
    tests.extend(on_each(&["3.11-debian", "3.13", "3.13t"], &[("flask", servers::flask)]));
    tests.extend(on_each(
        &every,
        &[("django", servers::django), ("uvicorn-asyncio", servers::uvicorn_asyncio)],
    ));
    tests.extend(on_each(&new, &[("uvicorn-uvloop", servers::uvicorn_uvloop), ("uwsgi", servers::uwsgi)]));
    tests.extend(on_each(&["3.8", "3.13t", "3.15"], &[("http-server", servers::http_server)]));
    tests.extend(on_each(
        &new,
        &[("celery", jobs::celery), ("jupyter", jobs::jupyter), ("pandas", jobs::pandas)],
    ));
    let pools: &[(&str, Body)] = &[("pool-fork", jobs::pool_fork), ("pool-spawn", jobs::pool_spawn)];
    tests.extend(on_each(&["3.8", "3.11-debian", "3.13", "3.13t", "3.15"], pools));
    tests.extend(on_each(&["3.8", "3.13", "3.15"], &[("compileall", bundles::compileall)]));
    tests.extend(on_each(&["3.8", "3.11-debian", "3.15"], &[("zipapp", bundles::zipapp)]));
    tests.extend(on_each(&new, &[("pyinstaller", bundles::pyinstaller)]));
    run(tests);
}
