//! A thousand threads, most of which sleep for ever. Who has slept for long is looked at now and then only, by chance,
//! and then counts for as much: what each thread is said to do must be what it does.

use std::time::{Duration, Instant};

use libtest_mimic::Trial;

use rspy_tests::interpreters::Interpreter;
use rspy_tests::statistics::SIGMAS;
use rspy_tests::target::{Target, command};
use rspy_tests::{Outcome, on_each, process};

use crate::measured::record;

/// What a sample of who has slept for long may count for, at most: `MOST_SELDOM` in `roster.rs`.
const HEAVIEST: f64 = 16.0;

/// So much may all of them together be off beyond what chance does.
const POINTS: f64 = 0.02;

/// How long a thread was on a processor, and how long it waited for one.
fn ran(target: &Target, thread: u32) -> [Duration; 2] {
    process::scheduled(target.pid, thread).map_or([Duration::ZERO; 2], |(on, waited)| [on, waited])
}

/// Threads that sleep long and then work for some milliseconds get as many samples as they take time.
fn bursts(interpreter: &Interpreter, (rate, seconds): (u32, u32)) -> Outcome {
    let target = Target::start_on(0, command(interpreter, "bursts.py", &["900", "100"]))?;
    let ids: Vec<u32> = target.testimony.threads.iter().map(|thread| thread.native_id).collect();
    let begun = Instant::now();
    let before: Vec<[Duration; 2]> = ids.iter().map(|id| ran(&target, *id)).collect();
    let (_, figures, output) = record(&target, rate, seconds, &["--mode", "cpu"])?;
    let summary = output.summary()?;
    let elapsed = begun.elapsed().as_secs_f64();
    let looks = f64::from(rate) * summary.seconds - summary.missed as f64;
    let process = figures.processes.first().ok_or("no process in the figures")?;
    let (mut on_of_all, mut waited_of_all, mut samples_of_all) = (0.0, 0.0, 0.0);
    for (id, before) in ids.iter().zip(before) {
        let after = ran(&target, *id);
        let looked =
            |index: usize| after[index].saturating_sub(before[index]).as_secs_f64() / elapsed * looks;
        let (on, waited) = (looked(0), looked(1));
        let figure = process.threads.iter().find(|thread| thread.os_thread_id == Some(*id));
        let samples = figure.ok_or_else(|| format!("thread {id} is not in the figures"))?.samples as f64;
        on_of_all += on;
        waited_of_all += waited;
        samples_of_all += samples;
        // One sample is heavy: of few the distribution is not yet the normal one.
        let tolerance = 4.0 * HEAVIEST + SIGMAS * (HEAVIEST * (on + waited)).sqrt();
        if samples < on - tolerance || samples > on + waited + tolerance {
            return Err(
                format!("thread {id}: {samples} samples, {on:.1} to {:.1} expected", on + waited).into()
            );
        }
    }
    // The wait after a sleep shows in no figure of the scheduler until it is over: it may count or not.
    let most = on_of_all + waited_of_all;
    let tolerance = POINTS * most + SIGMAS * (HEAVIEST * most).sqrt();
    let said = format!(
        "{} at {rate} Hz: {samples_of_all} samples, {on_of_all:.0} to {most:.0} ± {tolerance:.0} expected; {summary:?}",
        interpreter.label
    );
    println!("{said}");
    let is_right = samples_of_all >= on_of_all - tolerance && samples_of_all <= most + tolerance;
    if is_right { Ok(()) } else { Err(said.into()) }
}

pub fn tests() -> Vec<Trial> {
    on_each(
        &["3.8", "3.11", "3.13", "3.15"],
        &[
            ("a-thousand-at-100", |interpreter| bursts(interpreter, (100, 10))),
            ("a-thousand-at-1000", |interpreter| bursts(interpreter, (1000, 10))),
        ],
    )
}
