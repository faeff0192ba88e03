//! How long a target may stand still for its samples: a share of the time, and never for long where others want its
//! processor.

use std::process::{Child, Stdio};

use rspy_tests::interpreters::{Interpreter, workspace};
use rspy_tests::rspy::{Recording, Run};
use rspy_tests::target::{self, Target, clean_command};
use rspy_tests::{Outcome, on_each, process, run_one_by_one};

/// Loops that want the processor of the target all the time; they end with this.
struct Rivals(Vec<Child>);

impl Rivals {
    fn start(interpreter: &Interpreter, processor: usize, number: usize) -> Outcome<Rivals> {
        let mut rivals = Rivals(Vec::new());
        for _ in 0..number {
            let mut command = clean_command(&interpreter.path);
            command.args(["-c", "while True: pass"]).stdin(Stdio::null());
            rivals.0.push(command.spawn()?);
        }
        for rival in &rivals.0 {
            process::pin(rival.id(), processor)?;
            let ticks = || process::ticks(rival.id(), rival.id());
            process::wait_until("every loop runs", || ticks() > Some(2))?;
        }
        Ok(rivals)
    }
}

impl Drop for Rivals {
    fn drop(&mut self) {
        for rival in &mut self.0 {
            // It runs for ever, unless something else went wrong.
            let _ = rival.kill();
            let _ = rival.wait();
        }
    }
}

/// At 10,000 Hz there is time to stop for one sample in a few tens only; the rest is read from a running thread.
fn budget(interpreter: &Interpreter) -> Outcome {
    let target = Target::start_on(0, target::command(interpreter, "metronome.py", &[]))?;
    let arguments = ["--rate", "10000", "--duration", "3", "--stop-budget", "1"];
    let recording = Recording::of(target.pid, &arguments)?;
    process::pin(recording.run.pid(), 1)?;
    let (_, output) = recording.finish()?;
    let summary = output.summary()?;
    println!("budget on {}: {summary:?}", interpreter.label);
    // One stop may begin within the budget and end beyond it.
    if summary.stops.milliseconds > 15.0 * summary.seconds + summary.stops.longest {
        return Err(format!("stopped for longer than 1.5 % of the time: {summary:?}").into());
    }
    if summary.stops.count == 0 {
        return Err(format!("nothing was stopped: {summary:?}").into());
    }
    Ok(())
}

/// The line that ends a recording has the words that the README says it has.
fn summary_form(interpreter: &Interpreter) -> Outcome {
    let readme = std::fs::read_to_string(workspace().join("README.md"))?;
    let mut shown = readme.lines().filter_map(|line| line.strip_prefix("    "));
    let promised =
        shown.find(|line| line.contains(" samples, ")).map(form).ok_or("the README has no summary")?;
    let target = Target::start_on(0, target::command(interpreter, "metronome.py", &[]))?;
    let (_, output) = Recording::of(target.pid, &["--duration", "1"])?.finish()?;
    let line = output.summary_line()?;
    // What happens seldom is said after that.
    let is_kept = form(line)
        .strip_prefix(&promised)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with([',', ';']));
    if is_kept { Ok(()) } else { Err(format!("the summary should be like {promised:?}: {line:?}").into()) }
}

/// So has every line of `--stats`, at its place.
fn stats_form(interpreter: &Interpreter) -> Outcome {
    let readme = std::fs::read_to_string(workspace().join("README.md"))?;
    let lines = readme.lines().map(|line| line.strip_prefix("    ").unwrap_or_default());
    let begun = lines.skip_while(|line| !line.starts_with("a sample  "));
    let promised: Vec<&str> = begun.take_while(|line| !line.is_empty()).collect();
    if promised.len() < 8 {
        return Err(format!("the README has no --stats: {promised:?}").into());
    }
    let target = Target::start_on(0, target::command(interpreter, "metronome.py", &[]))?;
    let (_, output) = Recording::of(target.pid, &["--duration", "1", "--stats"])?.finish()?;
    let said: Vec<String> = output.stderr.lines().map(form).collect();
    let mut said = said.iter();
    // Between them are lines of what happens seldom.
    match promised.into_iter().find(|promised| !said.any(|line| *line == form(promised))) {
        None => Ok(()),
        Some(missing) => Err(format!("no line like {missing:?} in its place:\n{}", output.stderr).into()),
    }
}

/// `line` with `#` for each number.
fn form(line: &str) -> String {
    let mut text = String::new();
    for word in line.split(' ') {
        let is_number = word.starts_with(|first: char| first.is_ascii_digit());
        text.push_str(if is_number { "#" } else { word });
        text.push(' ');
    }
    text.trim_end().to_owned()
}

/// A thread that is stopped must be scheduled to stop, and to go on: with rivals each takes milliseconds. So rspy
/// stops stopping, and the target's work goes on.
fn rivals(interpreter: &Interpreter) -> Outcome {
    let mut target = Target::start_on(0, target::command(interpreter, "work.py", &["compute"]))?;
    let rivals = Rivals::start(interpreter, 0, 2)?;
    let mut recording = Recording::of(target.pid, &["--duration", "3"])?;
    let mut units = 0_u64;
    while !recording.run.has_ended() {
        target.work()?;
        units += 1;
    }
    let (_, output) = recording.finish()?;
    let (line, summary) = (output.summary_line()?, output.summary()?);
    println!("rivals on {}: {units} units; {line}", interpreter.label);
    drop(rivals);
    if summary.stops.longest > 1.0 && !line.contains("stopping was suspended") {
        return Err(format!("stops were long, and went on: {line}").into());
    }
    target.work()?;
    target.end_unharmed()
}

fn main() {
    let help = Run::start(["record", "--help"]).and_then(Run::output).expect("rspy prints its help").stdout;
    let labels = ["2.7", "3.10", "3.13", "3.15"];
    let mut trials = on_each(&labels, &[("summary-form", summary_form), ("stats-form", stats_form)]);
    if help.contains("--stop-budget") {
        trials.extend(on_each(&labels, &[("budget", budget), ("rivals", rivals)]));
    } else {
        eprintln!("skipped: budget, rivals: this rspy does not have --stop-budget");
    }
    run_one_by_one(trials);
}
