//! Runs rspy against real interpreters and compares what it reports with what they say of themselves.
//!
//! A test starts a **target** (`tests/targets/*.py`), which brings its threads into known states and then prints,
//! as one line of JSON, the stacks that the interpreter itself gives for them. No test sleeps to wait for another
//! process: a target says when it is ready, and everything else is looked up in `/proc` until a deadline.
//!
//! - [`documented`]: the messages that the documentation promises
//! - [`interpreters`]: which CPythons there are
//! - [`target`]: starting a target, its testimony, its end
//! - [`rspy`]: the binary under test
//! - [`recording`]: its recordings, read without it
//! - [`analysis`]: what it says in JSON of lines and functions
//! - [`stacks`]: its output, compared with the testimony
//! - [`statistics`]: how far a count may be off by chance
//! - [`tear`]: whether a sampled stack can have existed
//! - [`packages`]: what tests need from PyPI
//! - [`program`], [`environment`]: real programs, and the packages they are made of
//! - [`meeting`], [`load`]: what a test has to do with them
//! - [`fuzz`]: what rspy does with hostile memory, without any interpreter
//! - [`family`]: targets that start processes
//! - [`figures`]: what a recording counts of processes and threads
//! - [`process`]: what `/proc` tells, waiting with a deadline
//!
//! The environment variables `RSPY` (the binary; else the workspace is built), `RSPY_PYTHONS` (a file with the output of
//! `tools/pythons --json`; else the tool is asked), `RSPY_TEAR_SAMPLES` and `CI` change what is tested.

pub mod analysis;
pub mod documented;
pub mod environment;
pub mod family;
pub mod figures;
pub mod fuzz;
pub mod interpreters;
pub mod load;
pub mod meeting;
pub mod packages;
pub mod process;
pub mod program;
pub mod recording;
pub mod rspy;
pub mod stacks;
pub mod statistics;
pub mod target;
pub mod tear;
pub mod terminal;

use interpreters::Interpreter;
use libtest_mimic::{Arguments, Failed, Trial};

/// What a test and everything it is made of returns; the error says what is wrong in a sentence or a few lines.
pub type Outcome<T = ()> = Result<T, Box<dyn std::error::Error>>;

/// A test named `name`.
pub fn test(name: impl Into<String>, body: impl FnOnce() -> Outcome + Send + 'static) -> Trial {
    Trial::test(name, move || body().map_err(|error| Failed::from(error.to_string())))
}

/// What is tested on several interpreters.
pub type Body = fn(&Interpreter) -> Outcome;

/// Each of `tests` on each of the interpreters with these `labels`, named `TEST::INTERPRETER`.
pub fn on_each(labels: &[&str], tests: &[(&str, Body)]) -> Vec<Trial> {
    let mut trials = Vec::new();
    let all = interpreters::all();
    for interpreter in all.iter().filter(|interpreter| labels.contains(&interpreter.label.as_str())) {
        for (name, body) in tests {
            let (body, interpreter) = (*body, interpreter.clone());
            trials.push(test(format!("{name}::{}", interpreter.label), move || body(&interpreter)));
        }
    }
    trials
}

/// Runs `tests` as the command line says, and exits.
pub fn run(tests: Vec<Trial>) -> ! {
    libtest_mimic::run(&Arguments::from_args(), tests).exit()
}

/// What holds of a measurement: where others want the processors too, one may be off, but not all of three.
pub fn in_one_of_three(measure: impl Fn() -> Outcome) -> Outcome {
    let first = measure();
    let Err(why) = &first else { return first };
    println!("once more: {why}");
    measure().or_else(|_| measure())
}

/// Like [`run`], one test after the other: for tests that need the processors for themselves.
pub fn run_one_by_one(tests: Vec<Trial>) -> ! {
    let mut arguments = Arguments::from_args();
    arguments.test_threads = Some(1);
    libtest_mimic::run(&arguments, tests).exit()
}
