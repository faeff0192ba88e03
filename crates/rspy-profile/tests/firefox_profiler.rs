//! Our files in the Firefox Profiler: its own code, which npm ships as `profiler-cli`, loads them and says what is in them.
//!
//! It is installed into the user's cache by npm when it is not there. Without npm this fails where `CI` is `true`, and
//! elsewhere says that it was skipped.

mod fixture;
mod packages;

use std::io::{BufRead, BufReader};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::{env, fs, process};

use fixture::{Recorder, bytes, metadata, shop};
use rspy_profile::format::Gecko;
use rspy_profile::{Activity, FrameKind, Options, Profile, StackId};
use serde_json::Value;

const PROFILER: &str = "@firefox-devtools/profiler-cli@0.10.0";

/// What the Profiler calls one that has loaded a profile.
const SESSION: &str = "test";

/// The Profiler with a profile loaded: a process that ends with this.
struct Session {
    program: PathBuf,
    folder: PathBuf,
    process: Child,
    /// What it says, kept so that it can go on saying it.
    _log: BufReader<ChildStderr>,
}

impl Session {
    /// The Profiler with `profile`; `None` if it cannot be had and need not.
    fn load(test: &str, profile: &Profile, options: &Options) -> Option<Self> {
        let program = packages::npm(test, PROFILER)?.join("dist/profiler-cli.js");
        // Its socket is in it, and paths of sockets are short.
        let folder = env::temp_dir().join(format!("rspy-{test}-{}", process::id()));
        fs::create_dir_all(&folder).expect("a writable folder for temporary files");
        let file = folder.join("profile.json.gz");
        fs::write(&file, bytes(&Gecko, profile, options)).expect("a writable folder");
        // Its log, which says when the profile is loaded.
        symlink("/dev/stderr", folder.join(format!("{SESSION}.log"))).expect("a writable folder");
        let mut process = command(&program, &folder)
            .arg("--daemon")
            .arg(&file)
            .args(["--session", SESSION])
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("node starts");
        let mut log = BufReader::new(process.stderr.take().expect("a pipe"));
        let mut said = String::new();
        let loaded = loop {
            let from = said.len();
            match log.read_line(&mut said) {
                Ok(length) if length > 0 && !said[from..].contains("ERROR") => {}
                _ => break false,
            }
            if said[from..].contains("Profile loaded successfully") {
                break true;
            }
        };
        let session = Self { program, folder, process, _log: log };
        assert!(loaded, "the Profiler refuses the file: {said}");
        Some(session)
    }

    /// What it answers.
    fn ask(&self, words: &[&str]) -> Value {
        let mut command = command(&self.program, &self.folder);
        let answer = packages::run(command.args(words).args(["--json", "--session", SESSION]));
        serde_json::from_str(&answer).unwrap_or_else(|error| panic!("{words:?}: {error}: {answer}"))
    }

    fn threads(&self) -> Vec<Thread> {
        let list = self.ask(&["thread", "list"]);
        let of = |thread: &Value, key: &str| thread[key].as_str().expect("text").to_owned();
        let threads = list["threads"].as_array().expect("a list").iter().map(|thread| {
            let handle = of(thread, "threadHandle");
            let samples = self.ask(&["thread", "samples", "--include-idle", "--thread", &handle]);
            let categories = samples["categoryBreakdown"]["categories"].as_array().into_iter().flatten();
            let categories = categories
                .map(|category| (of(category, "name"), category["samples"].as_u64().expect("a number")))
                .collect();
            (of(thread, "pid"), of(thread, "tid"), of(thread, "name"), categories)
        });
        threads.collect()
    }

    /// How many samples are in each function itself, of the thread called so.
    fn functions(&self, thread: &str) -> Counts {
        let functions =
            self.ask(&["thread", "functions", "--include-idle", "--limit", "0", "--thread", thread]);
        let functions = functions["functions"].as_array().expect("a list").iter();
        let functions = functions.map(|function| {
            let name = function["name"].as_str().expect("text").to_owned();
            (name, function["selfSamples"].as_u64().expect("a number"))
        });
        functions.collect()
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// The Profiler's program, which keeps what it has to keep in `folder`.
fn command(program: &Path, folder: &Path) -> Command {
    let mut command = Command::new("node");
    command.arg(program).env("PROFILER_CLI_SESSION_DIR", folder).env("PROFILER_CLI_NO_SYMBOLICATE", "1");
    command
}

/// A thread: its process, id, name, and how many samples have each category.
type Thread = (String, String, String, Counts);

/// Names, each with a number of samples.
type Counts = Vec<(String, u64)>;

fn named(counts: &[(&str, u64)]) -> Counts {
    counts.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect()
}

fn thread(pid: &str, tid: &str, name: &str, categories: &[(&str, u64)]) -> Thread {
    (pid.to_owned(), tid.to_owned(), name.to_owned(), named(categories))
}

#[test]
fn it_shows_threads_functions_lines_and_what_is_unknown() {
    let Some(session) = Session::load("gecko-shop", &shop(), &Options { idle: true, ..Options::default() })
    else {
        return;
    };
    assert_eq!(
        session.threads(),
        [
            thread("8306", "8306", "MainThread", &[("Python", 819), ("Unknown", 3)]),
            thread("8306", "8308", "worker 1", &[("Idle", 210), ("Python", 145)]),
            thread("8306", "8309", "Thread 8309", &[("Other", 5), ("Unknown", 2)]),
            thread("8306", "lost samples", "Lost samples", &[("Unknown", 1)]),
        ]
    );
    let functions = session.functions("t-0");
    assert_eq!(functions.iter().map(|(_, samples)| samples).sum::<u64>(), 822);
    for function in named(&[("tax", 215), ("block_body", 150), ("[cut]", 3), ("dispatch", 0)]) {
        assert!(functions.contains(&function), "{function:?}: {functions:?}");
    }
    assert_eq!(session.functions("t-3"), named(&[("[lost: exited while read]", 1)]));

    // A function's file, and how many samples are on each of its lines.
    let list = session.ask(&["thread", "functions", "--search", "tax", "--thread", "t-0"]);
    let tax = list["functions"][0]["functionHandle"].as_str().expect("a handle");
    let source = &session.ask(&["function", "annotate", tax])["srcAnnotation"];
    assert_eq!(source["filename"], "/srv/shop/shop/money.py");
    let lines: Vec<(u64, u64)> = source["lines"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|line| Some((line["lineNumber"].as_u64()?, line["selfSamples"].as_u64()?)))
        .filter(|(_, samples)| *samples > 0)
        .collect();
    assert_eq!(lines, [(12, 143), (14, 72)]);

    let meta = session.ask(&["profile", "meta"]).to_string();
    for text in
        ["python -m shop serve --port 8080", "rspy 0.1.0", "3.13.0", "web-1", "[lost: exited while read]"]
    {
        assert!(meta.contains(text), "{text}: {meta}");
    }
}

#[test]
fn it_opens_a_profile_without_samples() {
    let Some(session) = Session::load("gecko-empty", &Profile::new(metadata()), &Options::default()) else {
        return;
    };
    assert_eq!(session.threads(), [thread("8306", "no samples", "No samples", &[])]);
}

#[test]
fn it_tells_garbage_collection_and_waits_for_the_gil() {
    let mut recorder = Recorder { profile: Profile::new(metadata()), ..Recorder::default() };
    recorder.profile.metadata.rate = 0.0;
    let main = recorder.thread(8306, "");
    let hostile = recorder.thread(8307, "na\nme\0;\u{ffff}");
    let collects = recorder.unknown(FrameKind::Collecting);
    let waits = recorder.unknown(FrameKind::WaitsForGil);
    let outer = recorder.stack(StackId::EMPTY, &[("outer\n;\0\u{202e}", "a.py", 1, 1)]);
    let collecting = recorder.profile.stacks.intern(outer, collects);
    let finalizer = recorder.stack(collecting, &[("__del__", "a.py", 9, 8)]);
    let waiting = recorder.profile.stacks.intern(outer, waits);
    let holder = recorder.stack(waiting, &[("holder", "b.py", 5, 4)]);
    recorder.active(main, collecting, 1);
    recorder.active(main, finalizer, 20);
    recorder.sample(hostile, holder, 300, Activity::Idle);
    recorder.active(hostile, outer, 4000);
    let options = Options { idle: true, ..Options::default() };
    let Some(session) = Session::load("gecko-kinds", &recorder.profile, &options) else { return };
    assert_eq!(
        session.threads(),
        [
            thread("8306", "8306", "Thread 8306", &[("Garbage collection", 21)]),
            thread("8306", "8307", "na\nme\0;\u{ffff}", &[("Python", 4000), ("Waiting for the GIL", 300)]),
        ]
    );
    let mut functions = session.functions("t-1");
    functions.sort();
    assert_eq!(
        functions,
        named(&[("<waits for the GIL>", 0), ("holder", 300), ("outer\n;\0\u{202e}", 4000)])
    );
}
