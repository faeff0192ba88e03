//! Every scenario on every interpreter: `SCENARIO::INTERPRETER::dump`, `…::record` and some `…::text`.

use rspy_tests::interpreters::{self, Interpreter};
use rspy_tests::rspy::{self, Recording};
use rspy_tests::stacks::{compare_dump, compare_profile, compare_text};
use rspy_tests::target::{self, Target};
use rspy_tests::{Outcome, run, test};

/// A target, what it is started with, and what more is known of it.
struct Scenario {
    name: &'static str,
    script: &'static str,
    arguments: &'static [&'static str],
    options: &'static [&'static str],
    applies: fn(&Interpreter) -> bool,
    /// Whether the thread that runs, or the one that reads stdin, holds the GIL; None if that can be either way.
    holder: Option<Holder>,
    records: bool,
}

#[derive(Clone, Copy)]
enum Holder {
    Nobody,
    TheRunning,
    TheReader,
}

const fn scenario(name: &'static str, script: &'static str, arguments: &'static [&'static str]) -> Scenario {
    Scenario {
        name,
        script,
        arguments,
        options: &[],
        applies: everywhere,
        holder: Some(Holder::Nobody),
        records: true,
    }
}

fn everywhere(_: &Interpreter) -> bool {
    true
}

fn python3(interpreter: &Interpreter) -> bool {
    interpreter.minor() >= (3, 6)
}

fn with_columns(interpreter: &Interpreter) -> bool {
    interpreter.minor() >= (3, 11)
}

fn with_gil(interpreter: &Interpreter) -> bool {
    !interpreter.is_free_threaded()
}

fn with_subinterpreters(interpreter: &Interpreter) -> bool {
    interpreter.minor() >= (3, 8)
}

fn with_a_gil_each(interpreter: &Interpreter) -> bool {
    interpreter.minor() >= (3, 12)
}

fn scenarios() -> Vec<Scenario> {
    use Holder::{TheReader, TheRunning};
    let everywhere = [
        scenario("recursion-200", "recursion.py", &["200"]),
        scenario("recursion-10000", "recursion.py", &["10000"]),
        scenario("threads", "threads.py", &[]),
        scenario("names", "names.py", &[]),
        Scenario { records: false, ..scenario("odd-names", "names.py", &["odd"]) },
        scenario("calls", "calls.py", &[]),
        scenario("callbacks", "callbacks.py", &[]),
        scenario("generators", "generators.py", &[]),
        scenario("lines", "lines.py", &[]),
        scenario("innermost-lines", "innermost_lines.py", &[]),
        scenario("traced-call", "tracing.py", &["trace", "call"]),
        scenario("traced-line", "tracing.py", &["trace", "line"]),
        scenario("traced-return", "tracing.py", &["trace", "return"]),
        scenario("profiled-call", "tracing.py", &["profile", "call"]),
        scenario("profiled-c-call", "tracing.py", &["profile", "c_call"]),
        scenario("sleeping", "states.py", &["sleeping"]),
    ];
    let running = [
        scenario("computing-in-python", "states.py", &["computing-in-python"]),
        scenario("computing-in-c", "states.py", &["computing-in-c"]),
        scenario("sorting", "states.py", &["sorting"]),
        scenario("runs-and-waits", "states.py", &["runs-and-waits"]),
    ];
    let some = [
        Scenario { holder: Some(TheReader), applies: with_gil, ..scenario("gil", "states.py", &["gil"]) },
        Scenario {
            applies: with_columns,
            options: &["-X", "no_debug_ranges"],
            ..scenario("lines-without-columns", "lines.py", &[])
        },
        Scenario { applies: python3, ..scenario("coroutines", "coroutines.py", &["by-hand"]) },
        Scenario { applies: python3, ..scenario("asyncio", "coroutines.py", &["asyncio"]) },
        Scenario { applies: python3, ..scenario("idle-loop", "coroutines.py", &["idle-loop"]) },
        Scenario {
            applies: with_subinterpreters,
            ..scenario("subinterpreter", "subinterpreters.py", &["nested"])
        },
        Scenario {
            applies: with_subinterpreters,
            ..scenario("subinterpreter-thread", "subinterpreters.py", &["thread"])
        },
        Scenario {
            applies: with_subinterpreters,
            ..scenario("subinterpreter-inner-thread", "subinterpreters.py", &["inner-thread"])
        },
        Scenario {
            applies: with_a_gil_each,
            holder: None,
            ..scenario("two-gils", "subinterpreters.py", &["two-gils"])
        },
    ];
    let running = running.into_iter().map(|scenario| Scenario { holder: Some(TheRunning), ..scenario });
    everywhere.into_iter().chain(running).chain(some).collect()
}

impl Scenario {
    fn start(&self, interpreter: &Interpreter) -> Outcome<Target> {
        let mut command = target::clean_command(&interpreter.path);
        command.args(self.options).arg(target::scripts().join(self.script)).args(self.arguments);
        Target::start(command)
    }

    fn dump(&self, interpreter: &Interpreter) -> Outcome {
        let target = self.start(interpreter)?;
        let dump = rspy::dump(target.pid)?;
        compare_dump(&target, &dump)?;
        let Some(holder) = self.holder.filter(|_| target.testimony.gil) else { return Ok(()) };
        if matches!(holder, Holder::TheRunning) && interpreter.minor() == (2, 7) {
            return Ok(()); // it lets go of the GIL for an instant every hundred instructions
        }
        for (index, thread) in target.testimony.threads.iter().enumerate() {
            let holds = match holder {
                Holder::Nobody => false,
                Holder::TheRunning => !thread.idle,
                Holder::TheReader => index == 0,
            };
            let seen = dump.iter().find(|seen| seen.thread_id == thread.thread_id);
            if seen.is_none_or(|seen| seen.owns_gil != holds) {
                return Err(format!("owns_gil of thread {index} should be {holds}: {seen:?}").into());
            }
        }
        Ok(())
    }

    fn record(&self, interpreter: &Interpreter) -> Outcome {
        let target = self.start(interpreter)?;
        let only_idle = target.testimony.threads.iter().all(|thread| thread.idle);
        // Without --idle only what runs is recorded.
        let options: &[&str] = if only_idle { &["--duration", "1", "--idle"] } else { &["--duration", "1"] };
        let (profile, _) = Recording::of(target.pid, options)?.finish()?;
        compare_profile(&target, &profile, only_idle)
    }

    fn text(&self, interpreter: &Interpreter) -> Outcome {
        let target = self.start(interpreter)?;
        compare_text(&target, &rspy::dump_text(target.pid)?)
    }
}

fn main() {
    let interpreters = interpreters::all();
    let mut tests = Vec::new();
    for scenario in scenarios() {
        let scenario: &'static Scenario = Box::leak(Box::new(scenario));
        for interpreter in interpreters.iter().filter(|interpreter| (scenario.applies)(interpreter)) {
            let mut add = |kind: &str, body: fn(&Scenario, &Interpreter) -> Outcome| {
                let (name, interpreter) =
                    (format!("{}::{}::{kind}", scenario.name, interpreter.label), interpreter.clone());
                tests.push(test(name, move || body(scenario, &interpreter)));
            };
            add("dump", Scenario::dump);
            if scenario.records {
                add("record", Scenario::record);
            }
            if matches!(scenario.name, "threads" | "names") {
                add("text", Scenario::text);
            }
        }
    }
    run(tests);
}
