//! The processes of a tree are found, each once, whatever becomes of them.

use std::collections::HashMap;
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rspy::sampling::{Event, Finder, Found, Pausing, Target};
use rspy_tests::family::Family;
use rspy_tests::interpreters::{self, Interpreter};
use rspy_tests::{process, target};

/// Each has another way to be found, and to be read.
const INTERPRETERS: &[&str] = &["2.7", "3.6", "3.8", "3.11", "3.11-debian", "3.12", "3.13", "3.13t", "3.14"];

/// What is open is counted: one test at a time.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn open_files() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

fn interpreters() -> Vec<Interpreter> {
    let wanted = |interpreter: &Interpreter| INTERPRETERS.contains(&interpreter.label.as_str());
    let found: Vec<Interpreter> = interpreters::all().into_iter().filter(wanted).collect();
    assert!(!found.is_empty());
    found
}

/// What a finder has told so far.
#[derive(Default)]
struct Told {
    found: HashMap<u32, Found>,
    failed: Vec<String>,
    is_over: bool,
}

impl Told {
    /// Listens until `enough`.
    fn until(&mut self, finder: &Finder, what: &str, enough: impl Fn(&Told) -> bool) {
        let awaited = process::wait_until(what, || {
            for event in finder.events() {
                assert!(!self.is_over, "something after the end");
                match event {
                    Event::Found(found) => {
                        let pid = found.process.pid();
                        assert!(self.found.insert(pid, *found).is_none(), "{pid} was found twice");
                    }
                    Event::Failed { pid, failure } => self.failed.push(format!("{pid}: {failure}")),
                    Event::Over => self.is_over = true,
                }
            }
            enough(self)
        });
        awaited.unwrap_or_else(|error| panic!("{error}"));
    }

    fn has(&self, pids: &[u32]) -> bool {
        pids.iter().all(|pid| self.found.contains_key(pid))
    }
}

fn stacks(found: Found) -> Vec<String> {
    let threads = found.into_target(Pausing::Always).look().unwrap();
    threads.iter().flat_map(|thread| thread.frames.iter().map(|frame| frame.name().into_owned())).collect()
}

#[test]
fn children_and_theirs_are_found_through_a_shell_and_in_every_thread() {
    let _alone = alone();
    for interpreter in interpreters() {
        let mut command = Command::new("sh");
        let script = target::scripts().join("family.py");
        command.args(["-c", r#""$0" "$1" generations; true"#]).arg(&interpreter.path).arg(script);
        let mut family = Family::start(command).unwrap();
        let shell = family.started();
        let said: HashMap<String, u32> = [family.line().unwrap(), family.line().unwrap()].into();
        let (grandchild, by_thread) = (said["grandchild"], said["by-thread"]);

        let finder = Finder::start(shell, []).unwrap();
        let mut told = Told::default();
        told.until(&finder, "four processes", |told| told.found.len() >= 4);
        assert!(told.has(&[family.root, grandchild, by_thread]), "{}", interpreter.label);
        assert_eq!(told.found[&family.root].parent, shell);
        assert_eq!(told.found[&by_thread].parent, family.root);
        let child = told.found[&grandchild].parent;
        assert_eq!(told.found[&child].parent, family.root);
        assert!(told.found[&child].command_line.ends_with("family.py generations"));
        for pid in [grandchild, by_thread, child] {
            let names = stacks(told.found.remove(&pid).unwrap());
            assert!(names.iter().any(|name| name == "wait_until_closed"), "{names:?}");
        }
        family.go_on().unwrap();
        told.until(&finder, "the end", |told| told.is_over);
        assert_eq!(told.failed, [""; 0]);
        assert!(told.found.keys().eq([&family.root]), "the others were taken away, none came");
    }
}

#[test]
fn what_is_known_is_not_found_again() {
    let _alone = alone();
    for interpreter in interpreters() {
        let mut family = Family::of(&interpreter, &["zombie"]).unwrap();
        family.said("zombie").unwrap();
        let known = Target::attach(family.root, Pausing::Always).unwrap();
        let finder = Finder::start(family.root, [&known]).unwrap();
        family.go_on().unwrap();
        let mut told = Told::default();
        told.until(&finder, "the end", |told| told.is_over);
        assert!(told.found.is_empty() && told.failed.is_empty(), "{}", interpreter.label);
    }
}

#[test]
fn a_process_that_becomes_python_is_found() {
    let _alone = alone();
    for interpreter in interpreters() {
        let mut family = Family::of(&interpreter, &["become"]).unwrap();
        let shell = family.said("shell").unwrap();
        let finder = Finder::start(family.root, []).unwrap();
        let mut told = Told::default();
        told.until(&finder, "the root", |told| told.has(&[family.root]));
        family.go_on().unwrap();
        assert_eq!(family.said("root").unwrap(), shell);
        told.until(&finder, "what the shell has become", |told| told.has(&[shell]));
        assert_eq!(told.found[&shell].parent, family.root);
        assert_eq!(told.found.len(), 2);
        // Were it told that it is something else by now, it would be looked at anew.
        let first = told.found.remove(&shell).unwrap();
        finder.look_again(shell);
        told.until(&finder, "the same again", |told| told.has(&[shell]));
        assert_eq!(told.found[&shell].process.start_time(), first.process.start_time());
    }
}

#[test]
fn what_an_orphan_starts_is_found() {
    let _alone = alone();
    for interpreter in interpreters() {
        let mut family = Family::of(&interpreter, &["orphan"]).unwrap();
        let left = family.said("left").unwrap();
        let finder = Finder::start(family.root, []).unwrap();
        let mut told = Told::default();
        told.until(&finder, "who will be an orphan", |told| told.has(&[left]));
        family.go_on().unwrap();
        let late = family.said("late").unwrap();
        told.until(&finder, "what it started", |told| told.has(&[late]));
        assert_eq!(told.found[&late].parent, left);
    }
}

#[test]
fn many_short_lives_leave_nothing_behind() {
    let _alone = alone();
    let before = open_files();
    for interpreter in
        interpreters().iter().filter(|one| ["2.7", "3.11", "3.13"].contains(&one.label.as_str()))
    {
        let mut family = Family::of(interpreter, &["storm", "3"]).unwrap();
        let finder = Finder::start(family.root, []).unwrap();
        let last = family.said("last").unwrap();
        let mut told = Told::default();
        told.until(&finder, "the last one", |told| told.has(&[last]));
        println!("{}: {} processes met", interpreter.label, told.found.len());
        assert_eq!(told.failed, [""; 0]);
        drop(family);
        told.until(&finder, "the end", |told| told.is_over);
    }
    assert_eq!(open_files(), before);
}
