//! Recordings that end too early: what was written until then can be read.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rspy_tests::Outcome;
use rspy_tests::interpreters::Interpreter;
use rspy_tests::process::{self, wait_readable};
use rspy_tests::recording::{Recording, folded, record, report, start, unwrapped};
use rspy_tests::rspy::{Run, binary};
use rspy_tests::target::{Target, command};
use rustix::process::{PidfdFlags, Signal, pidfd_open};

/// How many recorders are killed, and how many at a time.
const KILLS: usize = 200;
const AT_ONCE: usize = 20;

/// How long a recorder lives at most, in milliseconds.
const LIFE: u64 = 3500;

/// How old the newest sample in the file may be: a block is written every second, and it is looked ten times a second
/// whether it is time to.
const LATEST: Duration = Duration::from_millis(1200);

/// The same where there are fewer processors than recorders.
const LATEST_UNDER_LOAD: Duration = Duration::from_millis(3000);

/// A recorder that was killed.
struct Killed {
    file: PathBuf,
    /// Since 1970.
    at: Duration,
    /// How long it had lived.
    life: Duration,
}

/// A recorder, and when it is to be killed.
struct Doomed {
    run: Run,
    file: PathBuf,
    begun: Instant,
    until: Instant,
}

impl Doomed {
    fn kill(self) -> Outcome<Killed> {
        let pidfd = pidfd_open(process::pid(self.run.pid()), PidfdFlags::empty())?;
        if wait_readable(&pidfd, self.until).is_ok() {
            return Err(format!("rspy ended by itself: {:?}", self.run.output()?).into());
        }
        // Before it: what is written meanwhile only makes the newest sample newer.
        let (at, life) = (SystemTime::now().duration_since(UNIX_EPOCH)?, self.begun.elapsed());
        self.run.send(Signal::KILL)?;
        self.run.output()?;
        Ok(Killed { file: self.file, at, life })
    }
}

/// The moments are spread over the lives of recorders by a fixed sequence: the same ones in each run.
fn moments() -> impl Iterator<Item = Duration> {
    let step = |seed: &u64| {
        Some(seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407))
    };
    std::iter::successors(Some(42_u64), step).map(|seed| Duration::from_millis((seed >> 33) % LIFE))
}

pub fn killed(interpreter: &Interpreter) -> Outcome {
    let target = Target::start(command(interpreter, "few_stacks.py", &["1"]))?;
    let folder = tempfile::tempdir()?;
    let mut moments = moments();
    let mut all = Vec::new();
    while all.len() < KILLS {
        let mut doomed = Vec::new();
        for number in all.len()..all.len() + AT_ONCE {
            let file = folder.path().join(format!("{number}.rspy"));
            // They would stop each other's stops.
            let run = start(target.pid, &file, &["-r", "1000", "--nonblocking"])?;
            let begun = Instant::now();
            let until = begun + moments.next().ok_or("no moment")?;
            doomed.push(Doomed { run, file, begun, until });
        }
        doomed.sort_by_key(|doomed| doomed.until);
        for doomed in doomed {
            all.push(doomed.kill()?);
        }
    }
    // What was killed before it had begun has nothing that could be read, and says so.
    let mut begun = Vec::new();
    for killed in all {
        let has_block = fs::metadata(&killed.file).is_ok_and(|metadata| metadata.len() > 24);
        if has_block {
            begun.push(killed);
        } else if killed.file.exists() {
            let output = report(&[&killed.file], &["-f", "raw"])?.graceful_failure()?;
            if killed.life > Duration::from_secs(2) {
                return Err(format!("no block after {:?}: {output:?}", killed.life).into());
            }
        }
    }
    let files: Vec<&Path> = begun.iter().map(|killed| killed.file.as_path()).collect();
    let mut late = Vec::new();
    let mut with_samples = 0;
    for (killed, read) in begun.iter().zip(Recording::read_all(&files)?) {
        is_prefix(&read).map_err(|error| format!("{:?}, {:?}: {error}", killed.file, killed.life))?;
        let reported: u64 = folded(&[&killed.file], &["-i"])?.values().sum();
        if reported != read.total() || read.ending == "whole" {
            return Err(format!("{reported} of {} samples, {}", read.weight(), read.ending).into());
        }
        with_samples += usize::from(reported > 0);
        let newest = read.samples.iter().map(|sample| sample.0).max().unwrap_or_default();
        let newest = Duration::from_nanos(read.metadata.start_ns + newest);
        late.push(killed.at.saturating_sub(newest));
    }
    late.sort();
    let (typical, worst) = (late[late.len() * 9 / 10], late[late.len() - 1]);
    eprintln!(
        "{} of {KILLS} had begun, {with_samples} have samples; the newest is older than {typical:?} in one of ten, at most {worst:?}",
        late.len()
    );
    let most = if std::thread::available_parallelism()?.get() > AT_ONCE { LATEST } else { LATEST_UNDER_LOAD };
    if typical <= LATEST && worst <= most && with_samples >= KILLS / 4 {
        return Ok(());
    }
    Err(format!("{late:?}, {with_samples} with samples").into())
}

/// Whether the samples are what was taken from the beginning on, without a hole: each thread's follow each other, and
/// weigh as many ticks as there were.
fn is_prefix(read: &Recording) -> Outcome {
    let period = 1e9 / read.metadata.rate;
    for number in 0..read.threads.len() {
        let mine: Vec<_> = read.samples.iter().filter(|sample| sample.1 == number).collect();
        let (Some(first), Some(last)) = (mine.first(), mine.last()) else { continue };
        if mine.windows(2).any(|pair| pair[0].0 > pair[1].0) {
            return Err("samples are not in the order of time".into());
        }
        let ticks = (last.0 - first.0) as f64 / period;
        let weight: u64 = mine.iter().skip(1).map(|sample| sample.7).sum();
        let lost: u64 = read.lost.values().sum();
        // Ticks that were missed are so for every thread.
        let covered = (weight + lost + read.missed) as f64;
        // A tick is anywhere in its period, and a sample a little after its tick.
        if covered < ticks * 0.97 - 5.0 || weight as f64 > ticks * 1.03 + 5.0 {
            return Err(
                format!("{weight} samples, {lost} lost, {} missed in {ticks} ticks", read.missed).into()
            );
        }
    }
    Ok(())
}

/// A recording of a second in some blocks.
fn recorded(interpreter: &Interpreter, file: &Path, options: &[&str]) -> Outcome<Vec<u8>> {
    let target = Target::start(command(interpreter, "few_stacks.py", &["2"]))?;
    record(target.pid, file, &[&["-r", "500"], options].concat())?;
    Ok(fs::read(file)?)
}

/// Cut at many places, with and without something else behind.
pub fn cut(interpreter: &Interpreter) -> Outcome {
    let folder = tempfile::tempdir()?;
    let whole = folder.path().join("whole.rspy");
    let bytes = recorded(interpreter, &whole, &["-d", "3"])?;
    let all = Recording::read(&whole)?;
    let mut files = Vec::new();
    for number in 0..60 {
        let length = bytes.len() * number / 60;
        let file = folder.path().join(format!("{number}.rspy"));
        let behind: &[u8] =
            if number % 2 == 0 { b"" } else { b"\x89PNG and something else, as a disk leaves it" };
        fs::write(&file, [&bytes[..length], behind].concat())?;
        files.push(file);
    }
    let mut kept = Vec::new();
    for file in &files {
        let output = report(&[file], &["-f", "raw", "-i"])?;
        if !output.status.success() {
            output.graceful_failure()?;
            continue;
        }
        let read = Recording::read(file)?;
        let is_prefix = read
            .samples
            .iter()
            .zip(&all.samples)
            .all(|(one, other)| (one.0, one.1, one.2, one.7) == (other.0, other.1, other.2, other.7));
        let says_so = output.stderr.contains("was not ended by the rspy that wrote it");
        let reported: u64 = folded(&[file], &["-i"])?.values().sum();
        if !is_prefix || !says_so || reported != read.total() {
            return Err(format!("{}: {output:?}, {} samples", file.display(), read.samples.len()).into());
        }
        kept.push(read.samples.len());
    }
    // The longer a file, the more samples, block by block; behind the last one it is only ended.
    let (is_more, some) = (kept.is_sorted(), kept.iter().any(|kept| (1..all.samples.len()).contains(kept)));
    if is_more && some { Ok(()) } else { Err(format!("{kept:?} of {} samples", all.samples.len()).into()) }
}

/// Runs `script` with a file system of its own on `$1`, so large; the binary is `$2`.
fn on_small_disk(size: &str, folder: &Path, script: &str, words: &[&str]) -> Outcome<(i32, String)> {
    let script = format!("mount -t tmpfs -o size={size} none \"$1\" && {script}");
    let output = Command::new("unshare")
        .args(["--mount", "sh", "-c", &script, "sh"])
        .arg(folder)
        .arg(binary())
        .args(words)
        .stdin(Stdio::null())
        .output()?;
    let said = unwrapped(&String::from_utf8_lossy(&[output.stdout, output.stderr].concat()));
    Ok((output.status.code().ok_or("a signal ended it")?, said))
}

/// File systems can be mounted by root alone.
fn can_mount() -> bool {
    let is_root = rustix::process::geteuid().is_root();
    if !is_root {
        eprintln!("skipped: a small disk takes root");
    }
    is_root
}

pub fn disk_full(interpreter: &Interpreter) -> Outcome {
    if !can_mount() {
        return Ok(());
    }
    let target = Target::start(command(interpreter, "few_stacks.py", &["3"]))?;
    let (disk, kept) = (tempfile::tempdir()?, tempfile::tempdir()?);
    let copy = kept.path().join("copy.rspy");
    // As long as it takes to fill it.
    let script = r#"{ "$2" record -r 10k --nonblocking -o "$1/app.rspy" --pid "$3"; code=$?; cp "$1/app.rspy" "$4"; exit $code; }"#;
    let words = [&target.pid.to_string(), copy.to_str().ok_or("no name")?];
    let (code, said) = on_small_disk("64k", disk.path(), script, &words)?;
    let is_said = said.contains("no space is left there. The recording ends there.");
    if code != 1 || !is_said || said.contains("panicked") {
        return Err(format!("{code}: {said}").into());
    }
    let read = Recording::read(&copy)?;
    let reported: u64 = folded(&[&copy], &["-i"])?.values().sum();
    let length = fs::metadata(&copy)?.len();
    // It ends with a whole block.
    if read.ending != "unfinished" || reported != read.total() || reported < 1000 || length > 65536 {
        return Err(format!("{}, {reported} samples, {length} bytes", read.ending).into());
    }
    Ok(())
}

pub fn report_on_full_disk(interpreter: &Interpreter) -> Outcome {
    let (folder, disk) = (tempfile::tempdir()?, tempfile::tempdir()?);
    let file = folder.path().join("app.rspy");
    let before = recorded(interpreter, &file, &["-d", "0.5"])?;
    let file = file.to_str().ok_or("no name")?;
    if can_mount() {
        let script = r#""$2" report "$3" -o "$1/profile.svg""#;
        let (code, said) = on_small_disk("4k", disk.path(), script, &[file])?;
        if code != 1 || !said.contains("no space is left there. What is in there is incomplete.") {
            return Err(format!("{code}: {said}").into());
        }
    }
    for format in ["raw", "table", "flamegraph", "rspy"] {
        let mut command = Command::new(binary());
        command
            .args(["report", file, "-f", format])
            .stdout(fs::File::options().write(true).open("/dev/full")?);
        let output = command.stderr(Stdio::piped()).output()?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        if output.status.code() != Some(1) || !said.contains("Writing to the standard output failed") {
            return Err(format!("{format}: {} {said}", output.status).into());
        }
    }
    if fs::read(file)? == before { Ok(()) } else { Err("the recording is not what it was".into()) }
}
