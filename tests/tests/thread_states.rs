//! What threads are doing besides standing somewhere, as the interpreter and the kernel tell: handling an exception,
//! holding the GIL, waiting for it, collecting garbage. On targets that bring themselves there and say so.

use std::process::Command;

use rspy_cpython::Attached;
use rspy_cpython::interpreter::{GilState, ThreadState};
use rspy_cpython::sampling::Heads;
use rspy_process::threads::Waits;
use rspy_process::{Address, Batch, Memory, Process};
use rspy_tests::interpreters::{self, Interpreter};
use rspy_tests::process::wait_until;
use rspy_tests::target::{self, Target};
use rspy_tests::{Body, Outcome, run, test};

/// A target and everything that tells what its threads do.
struct Looked {
    target: Target,
    process: Process,
    attached: Attached,
    heads: Heads,
    threads: Vec<ThreadState>,
}

/// What all threads have in common.
#[derive(Debug)]
struct Common {
    gil: GilState,
    collecting: Option<bool>,
    collector: Option<Address>,
    frame: Option<Address>,
}

/// What one thread does.
#[derive(Debug)]
struct Doing {
    /// Its position in the testimony.
    place: usize,
    state: Address,
    exception: Option<bool>,
    waits_for_gil: Option<bool>,
}

impl Looked {
    fn start(interpreter: &Interpreter, script: &str, mode: &str) -> Outcome<Looked> {
        Looked::at(Target::start(target::command(interpreter, script, &[mode]))?)
    }

    fn at(target: Target) -> Outcome<Looked> {
        let process = Process::open(target.pid)?;
        let attached = Attached::find(&process)?;
        let threads = attached.threads(process.memory())?;
        let mut heads = Heads::default();
        heads.learn(process.memory(), &attached, threads.iter())?;
        Ok(Looked { target, process, attached, heads, threads })
    }

    fn look(&self) -> Outcome<(Common, Vec<Doing>)> {
        let Looked { target, process, attached, heads, threads } = self;
        let (memory, layout) = (process.memory(), &attached.layout);
        let mut batch = Batch::new();
        let asked = heads.ask(&mut batch);
        let words: Vec<_> = threads.iter().map(|thread| thread.ask_words(layout, &mut batch)).collect();
        memory.read_many(&mut batch);
        let mut gil = GilState::Unknown;
        heads.gil_state(attached, &batch, asked, &mut gil);
        let common = Common {
            gil,
            collecting: heads.collecting(&batch, asked, 0),
            collector: heads.collector(attached, &batch, asked, 0),
            frame: heads.collecting_frame(attached, &batch, asked, 0),
        };
        let mut doing = Vec::new();
        for (state, words) in threads.iter().zip(words) {
            let place = target.testimony.threads.iter().position(|told| told.thread_id == state.thread_id);
            let place = place.ok_or("a thread that the target did not tell of")?;
            let told = target.testimony.threads.get(place).ok_or("no such thread")?;
            let kernel = target.kernel_thread(told).ok_or("no such thread")?;
            let futex = Waits::open(target.pid, kernel)?.futex()?;
            let by_futex = match futex {
                Some(futex) => heads.is_gil_futex(futex, state.interpreter_index),
                None => Some(false),
            };
            doing.push(Doing {
                place,
                state: state.address,
                exception: words.exception(memory, attached, &batch),
                waits_for_gil: match words.gil_requested(layout, &batch) {
                    Some(requested) if Some(requested) != by_futex => {
                        return Err(format!("requested: {requested}, by futex: {by_futex:?}").into());
                    }
                    _ => by_futex,
                },
            });
        }
        doing.sort_by_key(|doing| doing.place);
        Ok((common, doing))
    }
}

fn exceptions(interpreter: &Interpreter) -> Outcome {
    let looked = Looked::start(interpreter, "activities.py", "exceptions")?;
    let (common, doing) = looked.look()?;
    let (mut handling, mut wrong) = (0, Vec::new());
    for (told, doing) in looked.target.testimony.threads.iter().zip(&doing) {
        let expected = match told.name.as_deref() {
            Some("handling") => true,
            Some("not handling") => false,
            other => return Err(format!("a thread named {other:?}").into()),
        };
        handling += usize::from(expected);
        let alone = looked.threads.iter().find(|state| state.thread_id == told.thread_id);
        let alone = alone.and_then(|state| state.exception(looked.process.memory(), &looked.attached));
        if doing.exception != Some(expected) || alone != Some(expected) || doing.waits_for_gil != Some(false)
        {
            wrong.push(format!("{doing:?}, alone {alone:?}: {:?}", told.stacks));
        }
    }
    if common.collecting != Some(false) || doing.len() != looked.target.testimony.threads.len() {
        wrong.push(format!("{common:?}"));
    }
    if handling < 4 || !wrong.is_empty() {
        return Err(format!("{handling} handle; {}", wrong.join("\n")).into());
    }
    Ok(())
}

fn raising(interpreter: &Interpreter) -> Outcome {
    let looked = Looked::start(interpreter, "activities.py", "raising")?;
    let layout = &looked.attached.layout;
    let raised = layout.activity.exceptions.ok_or("the layout has no exceptions")?.raised;
    let memory = looked.process.memory();
    // The thread that raises is the only one that runs.
    let main =
        looked.threads.iter().find(|thread| thread.thread_id != looked.target.testimony.threads[0].thread_id);
    let main = main.ok_or("no such thread")?;
    let (mut seen, mut not_seen) = (false, false);
    wait_until("an exception that is being raised, and none", || {
        let mut batch = Batch::new();
        let words = main.ask_words(layout, &mut batch);
        memory.read_many(&mut batch);
        let before = raised.read(memory, main.address);
        match words.exception(memory, &looked.attached, &batch) {
            Some(true) => seen |= before.is_ok_and(|raised| !raised.is_null()),
            Some(false) => not_seen = true,
            None => {}
        }
        seen && not_seen
    })
}

fn collecting(interpreter: &Interpreter) -> Outcome {
    let looked = Looked::start(interpreter, "activities.py", "collecting")?;
    let (common, _) = looked.look()?;
    let main = looked.threads.first().ok_or("no threads")?;
    let memory = looked.process.memory();
    // A finalizer runs while the others of a free-threaded build do.
    let collector = (common.gil != GilState::Disabled).then_some(main.address);
    if common.collecting != Some(true)
        || looked.attached.collecting(memory, main.interpreter) != Some(true)
        || common.collector != collector
        || (interpreter.minor() >= (3, 15)) != common.frame.is_some_and(|frame| !frame.is_null())
    {
        return Err(format!("{common:?}, main {:?}", main.address).into());
    }
    Ok(())
}

fn collecting_again(interpreter: &Interpreter) -> Outcome {
    let looked = Looked::start(interpreter, "activities.py", "collecting-again")?;
    let other = looked.target.testimony.threads.first().ok_or("no threads")?.thread_id;
    let main = looked.threads.iter().find(|thread| thread.thread_id != other).ok_or("no such thread")?;
    let mut wrong = None;
    let (mut seen, mut not_seen) = (false, false);
    wait_until("a collection, and none", || {
        match looked.look() {
            Err(error) => wrong = Some(error.to_string()),
            Ok((common, _)) => match (common.collecting, common.collector) {
                (Some(true), Some(collector)) if collector == main.address => seen = true,
                (Some(true), None) => {}
                (Some(false), _) => not_seen = true,
                _ => wrong = Some(format!("{common:?}, main {:?}", main.address)),
            },
        }
        wrong.is_some() || seen && not_seen
    })?;
    wrong.map_or(Ok(()), |wrong| Err(wrong.into()))
}

fn waiting(interpreter: &Interpreter) -> Outcome {
    let mut command = target::command(interpreter, "activities.py", &["waiting"]);
    if interpreter.is_free_threaded() {
        command.env("PYTHON_GIL", "1");
    }
    let looked = Looked::at(Target::start(command)?)?;
    let mut seen = Err("nothing was seen".to_owned());
    // They reach the wait by themselves, and wake every few milliseconds, up to when they are none that wait.
    let waited = wait_until("two threads that wait for the GIL", || {
        seen = looked.look().map_err(|error| error.to_string());
        seen.as_ref().is_ok_and(|(common, doing)| {
            let holders: Vec<_> = doing.first().map(|holder| holder.state).into_iter().collect();
            let waits: Vec<_> = doing.iter().map(|doing| doing.waits_for_gil).collect();
            common.gil == (GilState::Held { holders, free: 0 })
                && waits == [Some(false), Some(true), Some(true)]
        })
    });
    waited.map_err(|error| format!("{error}; last {seen:?}").into())
}

fn free_gil(interpreter: &Interpreter) -> Outcome {
    let looked = Looked::start(interpreter, "threads.py", "")?;
    let (common, doing) = looked.look()?;
    let expected = if looked.target.testimony.gil {
        GilState::Held { holders: Vec::new(), free: 1 }
    } else {
        GilState::Disabled
    };
    if common.gil != expected || doing.iter().any(|doing| doing.waits_for_gil != Some(false)) {
        return Err(format!("{common:?}, {doing:?}").into());
    }
    Ok(())
}

/// Without symbols 2.7 and 3.6 do not tell what is a static variable of theirs; others tell the same as with them.
fn stripped(interpreter: &Interpreter) -> Outcome {
    let Some(library) = interpreter.shared_library() else { return Ok(()) };
    let folder = tempfile::tempdir()?;
    let copy = folder.path().join(library.file_name().ok_or("a library without a name")?);
    let status = Command::new("strip").arg("--strip-all").arg(&library).arg("-o").arg(&copy).status()?;
    if !status.success() {
        return Err(format!("strip: {status}").into());
    }
    // It comes instead of the one that the executable asks for, since both are called the same.
    let mut command = target::command(interpreter, "activities.py", &["collecting"]);
    command.env("LD_PRELOAD", &copy);
    let looked = Looked::at(Target::start(command)?)?;
    if looked.attached.binary != copy {
        return Err(format!("it runs {}", looked.attached.binary.display()).into());
    }
    let (common, doing) = looked.look()?;
    let tells = interpreter.minor() >= (3, 7);
    if common.collecting != tells.then_some(true)
        || looked.heads.is_gil_futex(Address(4096), 0) != tells.then_some(false)
        || doing.iter().any(|doing| doing.exception != Some(false))
    {
        return Err(format!("{common:?}, {doing:?}").into());
    }
    Ok(())
}

fn main() {
    let bodies: [(&str, Body); 7] = [
        ("exceptions", exceptions),
        ("raising", raising),
        ("collecting", collecting),
        ("collecting-again", collecting_again),
        ("waiting", waiting),
        ("free-gil", free_gil),
        ("stripped", stripped),
    ];
    let interpreters = interpreters::all();
    let tests = interpreters.into_iter().flat_map(|interpreter| {
        bodies.map(|(name, body)| {
            let interpreter = interpreter.clone();
            test(format!("{name}::{}", interpreter.label), move || body(&interpreter))
        })
    });
    run(tests.collect());
}
