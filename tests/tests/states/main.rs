//! What every thread is doing, as a recording tells it: the figures of `--summary` and the samples of each mode,
//! compared with what the target has measured itself.

mod gil;
mod many;
mod measured;
mod shares;

use rspy_tests::interpreters::{self, Interpreter};
use rspy_tests::run_one_by_one;

/// The interpreters that differ in this. That the others tell the same at all, `thread_states` shows.
fn interpreters() -> Vec<Interpreter> {
    const DIFFERENT: [&str; 8] = ["2.7", "3.6", "3.8", "3.11", "3.12", "3.13", "3.13t", "3.15"];
    let mut all = interpreters::all();
    all.retain(|interpreter| DIFFERENT.contains(&interpreter.label.as_str()));
    all
}

fn main() {
    // Most want the processors for themselves.
    run_one_by_one([shares::tests(), gil::tests(), many::tests()].into_iter().flatten().collect());
}
