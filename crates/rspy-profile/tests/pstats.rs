//! `pstats` files in what they are made for: the module itself, of several Pythons, and what is built on it.
//!
//! The Pythons are those that `RSPY_PYTHONS` lists (`tools/pythons --json`), else `python3` and pyenv's. snakeviz and
//! gprof2dot are installed into the user's cache by pip when they are not there.

mod fixture;
mod packages;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use fixture::{Recorder, bytes, metadata, shop};
use rspy_profile::format::Pstats;
use rspy_profile::{LostReason, Metadata, Options, Profile, Sample, StackId, ThreadState};

/// A file of `profile`, for as long as it is held.
struct File(PathBuf);

impl File {
    fn new(test: &str, profile: &Profile) -> Self {
        let path =
            Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{test}-{}.pstats", std::process::id()));
        fs::write(&path, bytes(&Pstats, profile, &Options::default())).expect("a writable target directory");
        File(path)
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// What is there of Python; an empty list only where it need not be there.
fn interpreters(test: &str) -> Vec<PathBuf> {
    if let Some(list) = env::var_os("RSPY_PYTHONS") {
        let list = fs::read_to_string(list).expect("the list that RSPY_PYTHONS names");
        let list: serde_json::Value = serde_json::from_str(&list).expect("JSON");
        let found = list.as_object().expect("an object").values();
        return found.filter_map(|python| Some(python["path"].as_str()?.into())).collect();
    }
    let mut found = Vec::new();
    if packages::has("python3", test) {
        found.push("python3".into());
    }
    let versions = env::var_os("HOME").map(|home| Path::new(&home).join(".pyenv/versions"));
    for version in versions.and_then(|folder| fs::read_dir(folder).ok()).into_iter().flatten().flatten() {
        found.push(version.path().join("bin/python"));
    }
    found
}

/// What `script` prints with `file` as its argument, in each Python.
fn printed(test: &str, script: &str, file: &File) -> Vec<(PathBuf, String)> {
    let mut printed = Vec::new();
    for python in interpreters(test) {
        let mut command = Command::new(&python);
        command.args(["-c", script]).arg(&file.0).env("PYTHONIOENCODING", "utf-8");
        printed.push((python, packages::run(&mut command)));
    }
    printed
}

const PRINT: &str = "
import pstats, sys
stats = pstats.Stats(sys.argv[1]).strip_dirs().sort_stats('cumulative', 'name')
stats.print_stats()
stats.print_callers('subtree')
stats.print_callees('genexpr')
stats = pstats.Stats(sys.argv[1], sys.argv[1]).print_stats('dispatch')
";

#[test]
fn every_python_prints_the_times() {
    for (python, text) in printed("prints", PRINT, &File::new("prints", &shop())) {
        for row in [
            " 34 function calls (29 primitive calls) in 9.750 seconds\n",
            "\n        1    0.000    0.000    8.220    8.220 server.py:60(dispatch)\n",
            "\n        1    0.980    0.980    3.160    3.160 models.py:55(Cart.total.<locals>.<genexpr>)\n",
            "\n        1    2.150    2.150    2.150    2.150 money.py:8(tax)\n",
            "\n      6/1    0.900    0.150    0.900    0.900 models.py:131(Category.subtree)\n",
            "\n        0    0.030             0.030          [cut]\n",
            "\n        0    0.050             0.050          [no frames]\n",
            "\n        0    0.020             0.020          [lost: memory unreadable]\n",
            "\n        0    0.010             0.010          [lost: exited while read]\n",
            "\n        0    0.000             0.000          [sampled: calls are estimates]\n",
            "models.py:131(Category.subtree)  <-     5/1    0.750    0.750  models.py:131(Category.subtree)\n",
            "                                          1    0.150    0.900  views.py:190(CategoryView.tree)\n",
            "->       1    2.150    2.150  money.py:8(tax)\n",
            "       0    0.030    0.030  [cut]\n",
            // The file added to itself.
            "\n        2    0.000    0.000   16.440    8.220 /srv/shop/shop/server.py:60(dispatch)\n",
        ] {
            assert!(text.contains(row), "{}: no {row:?} in\n{text}", python.display());
        }
    }
}

#[test]
fn every_python_opens_a_profile_without_samples() {
    for (python, text) in printed("empty", PRINT, &File::new("empty", &Profile::new(metadata()))) {
        assert!(text.contains(" 0 function calls in 0.000 seconds\n"), "{}: {text}", python.display());
    }
}

/// A number of more than 64 bits would be none to begin with; text, of 2.7 too, is `str`.
#[test]
fn every_python_reads_large_numbers_and_odd_names() {
    let mut recorder =
        Recorder { profile: Profile::new(Metadata { rate: 0.0, ..metadata() }), ..Recorder::default() };
    let thread = recorder.thread(1, "");
    let name = "größe\n\0\"'% (<λ>";
    let stack = recorder.stack(StackId::EMPTY, &[(name, "/srv/文件;.py", 7, u32::MAX)]);
    let state = ThreadState::default();
    recorder.profile.add(Sample { at: 1, thread, stack, weight: 1 << 40, state });
    recorder.profile.lost.add(LostReason::Denied, 1);
    let script = "
import json, pstats, sys
stats = pstats.Stats(sys.argv[1])
stats.sort_stats('time').print_stats()
for (file, line, name), row in sorted(stats.stats.items()):
    assert type(file) is str and type(name) is str, (file, name)
    print(json.dumps([file, line, name, row[2]]))
";
    for (python, text) in printed("odd", script, &File::new("odd", &recorder.profile)) {
        let about = format!("{}: {text}", python.display());
        assert!(text.contains(" 1 function calls in 1099511627777.000 seconds\n"), "{about}");
        assert!(text.contains("/srv/文件;.py:4294967295(größe \u{fffd}\"'% (<λ>)\n"), "{about}");
        let row = r#"["/srv/\u6587\u4ef6;.py", 4294967295, "gr\u00f6\u00dfe \ufffd\"'% (<\u03bb>", 1099511627776.0]"#;
        assert!(text.contains(row), "{about}");
        assert!(text.contains("[sampled without a rate: times are numbers of samples, calls are estimates]"));
        assert!(text.contains("[lost: permission denied]"), "{about}");
    }
}

/// Its server, asked for the page of a file.
const SNAKEVIZ: &str = "
import asyncio, sys
from urllib.parse import quote
from snakeviz import main
from tornado.httpclient import AsyncHTTPClient
from tornado.httpserver import HTTPServer
from tornado.testing import bind_unused_port
from tornado.web import Application

async def page(file):
    socket, port = bind_unused_port()
    server = HTTPServer(Application(main.handlers, **dict(main.settings, debug=False)))
    server.add_socket(socket)
    url = 'http://127.0.0.1:%d/snakeviz/%s' % (port, quote(file, safe=''))
    return (await AsyncHTTPClient().fetch(url)).body.decode()

print(asyncio.run(page(sys.argv[1])))
";

#[test]
fn snakeviz_shows_the_table_and_the_calls() {
    let Some(python) = packages::python("snakeviz", "snakeviz==2.2.2") else { return };
    let page = |file: &File| packages::run(Command::new(&python).args(["-c", SNAKEVIZ]).arg(&file.0));
    let text = page(&File::new("snakeviz", &shop()));
    for part in [
        "[['1', 1], '2.15', '2.15', '2.15', '2.15', 'money.py:8(tax)', '/srv/shop/shop/money.py:8(tax)']",
        "[['6/1', 6], '0.9', '0.9', '0.9', '0.9', 'models.py:131(Category.subtree)',",
        "[['0', 0], '0.03', 0, '0.03', 0, '~:0([cut])', '~:0([cut])']",
        "'callers': {'/srv/shop/shop/models.py:131(Category.subtree)': [5, 1, 0.75, 0.75], \
         '/srv/shop/shop/views.py:190(CategoryView.tree)': [1, 1, 0.15, 0.9]}",
    ] {
        assert!(text.contains(part), "no {part} in\n{text}");
    }
    let text = page(&File::new("snakeviz-empty", &Profile::new(metadata())));
    assert!(text.contains("[['0', 0], '0', 0, '0', 0, '~:0([sampled: calls are estimates])'"), "{text}");
}

#[test]
fn gprof2dot_draws_the_shares() {
    let Some(python) = packages::python("gprof2dot-pstats", "gprof2dot==2025.4.14") else { return };
    let whole = ["-m", "gprof2dot", "-f", "pstats", "-n", "0", "-e", "0"];
    let drawn = |file: &File| packages::run(Command::new(&python).args(whole).arg(&file.0));
    let text = drawn(&File::new("gprof2dot", &shop()));
    for label in [
        r"server:60:dispatch\n84.31%\n(0.00%)\n1×",
        r"money:8:tax\n22.05%\n(22.05%)\n1×",
        r"models:131:Category.subtree\n9.23%\n(9.23%)\n6×",
        r"~:0:[cut]\n0.31%\n(0.31%)\n0×",
        r"~:0:[lost: memory unreadable]\n0.21%\n(0.21%)\n0×",
    ] {
        assert!(text.contains(&format!("label=\"{label}\"")), "no {label} in\n{text}");
    }
    assert!(drawn(&File::new("gprof2dot-empty", &Profile::new(metadata()))).contains("[sampled: calls"));
}
