//! `--rotate` and `--max-size`; and how much memory a recording takes.

use std::fs;
use std::path::{Path, PathBuf};

use rspy_tests::Outcome;
use rspy_tests::interpreters::Interpreter;
use rspy_tests::process::wait_until;
use rspy_tests::recording::{Recording, files_of, folded, report, start};
use rspy_tests::rspy::{Output, Summary};
use rspy_tests::target::{Target, command};
use rustix::process::Signal;

/// What a recording with limits left behind.
struct Limited {
    _folder: tempfile::TempDir,
    files: Vec<PathBuf>,
    read: Vec<Recording>,
    output: Output,
    summary: Summary,
}

/// Records until there is a file of the number `until`, or until rspy ends by itself.
fn recorded(interpreter: &Interpreter, options: &[&str], until: u32) -> Outcome<Limited> {
    let target = Target::start(command(interpreter, "few_stacks.py", &["3"]))?;
    let folder = tempfile::tempdir()?;
    let first = folder.path().join("app.rspy");
    let last = folder.path().join(format!("app.{until}.rspy"));
    let mut run = start(target.pid, &first, &[&["--nonblocking"], options].concat())?;
    wait_until("there are enough files", || last.exists() || run.has_ended())?;
    run.send(Signal::INT)?;
    Limited::of(run.output()?.success()?, folder)
}

fn length(file: &Path) -> u64 {
    fs::metadata(file).map_or(0, |metadata| metadata.len())
}

impl Limited {
    fn of(output: Output, folder: tempfile::TempDir) -> Outcome<Limited> {
        let (files, summary) = (files_of(&folder.path().join("app.rspy"))?, output.summary()?);
        let read = Recording::read_all(&files)?;
        Ok(Limited { _folder: folder, files, read, output, summary })
    }

    /// Every file is whole and can be read alone; one begins where the one before it ends. Gives the sum of samples.
    fn are_whole(&self) -> Outcome<u64> {
        let mut sum = 0;
        let mut last = None;
        for (file, read) in self.files.iter().zip(&self.read) {
            let alone: u64 = folded(&[file], &["-i"])?.values().sum();
            if read.ending != "whole" || alone != read.total() || alone == 0 && self.files.len() == 1 {
                return Err(format!("{}: {}, {alone} samples", file.display(), read.ending).into());
            }
            let times = || read.samples.iter().map(|sample| sample.0);
            if let (Some(first), Some(last)) = (times().min(), last)
                && first < last
            {
                return Err(format!("{} begins at {first}, before {last}", file.display()).into());
            }
            let newest = times().max().or(last).unwrap_or_default();
            if read.metadata.duration_ns < newest
                || read.metadata.duration_ns > read.until.max(newest) + 2_000_000_000
            {
                return Err(
                    format!("{} goes to {newest}, and says {:?}", file.display(), read.metadata).into()
                );
            }
            last = Some(newest);
            sum += read.weight();
        }
        Ok(sum)
    }

    /// All files together are the recording: nothing is missing and nothing twice.
    fn is_all(&self) -> Outcome {
        let sum = self.are_whole()?;
        let merged: u64 = folded(&self.files, &["-i"])?.values().sum();
        let lost: u64 = self.read.iter().flat_map(|read| read.lost.values()).sum();
        let Summary { samples, lost: said, .. } = self.summary;
        if (sum, merged, lost) == (samples, samples + said, said) {
            return Ok(());
        }
        Err(format!("{sum} in {} files, {merged} merged, {lost} lost: {:?}", self.files.len(), self.output)
            .into())
    }

    fn size(&self) -> u64 {
        self.files.iter().map(|file| length(file)).sum()
    }

    fn says(&self, what: &str) -> Outcome {
        let said = [self.output.stdout.as_str(), &self.output.stderr].concat();
        if said.contains(what) { Ok(()) } else { Err(format!("it does not say {what:?}: {said}").into()) }
    }
}

pub fn by_time(interpreter: &Interpreter) -> Outcome {
    let limited = recorded(interpreter, &["-r", "500", "--rotate", "1s"], 3)?;
    limited.is_all()?;
    limited.says(&format!("It is in {} files", limited.files.len()))?;
    // None is much longer than it should be: it is looked each second.
    let lengths: Vec<u64> = limited.read.iter().map(|read| read.metadata.duration_ns / 1_000_000).collect();
    let is_right = limited.files.len() >= 4
        && lengths[..3].windows(2).all(|pair| (500..8000).contains(&(pair[1] - pair[0])));
    if is_right { Ok(()) } else { Err(format!("the files end at {lengths:?}").into()) }
}

pub fn by_size(interpreter: &Interpreter) -> Outcome {
    let limited = recorded(interpreter, &["-r", "5k", "--rotate", "12kB"], 2)?;
    limited.is_all()?;
    let lengths: Vec<u64> = limited.files.iter().map(|file| length(file)).collect();
    let (_, before) = lengths.split_last().ok_or("no file")?;
    let is_right = before.len() >= 2 && before.iter().all(|length| *length >= 12_000);
    if is_right { Ok(()) } else { Err(format!("{lengths:?}").into()) }
}

pub fn limited(interpreter: &Interpreter) -> Outcome {
    // It ends by itself.
    let target = Target::start(command(interpreter, "few_stacks.py", &["3"]))?;
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("app.rspy");
    let run = start(target.pid, &file, &["--nonblocking", "-r", "5k", "--max-size", "60kB"])?;
    let limited = Limited::of(run.output()?.success()?, folder)?;
    limited.is_all()?;
    limited.says("the recording takes no more")?;
    if (15_000..=60_000).contains(&limited.size()) {
        Ok(())
    } else {
        Err(format!("{} bytes", limited.size()).into())
    }
}

pub fn limited_and_rotated(interpreter: &Interpreter) -> Outcome {
    let limited = recorded(interpreter, &["-r", "2k", "--rotate", "1h", "--max-size", "60kB"], 6)?;
    let sum = limited.are_whole()?;
    let first = limited.files.first().and_then(|file| file.file_name()).ok_or("no file")?;
    let dropped = limited.read.first().and_then(|read| read.samples.first()).ok_or("no sample")?.0;
    limited.says("Older ones that made room: ")?;
    // The beginning is not there any more, and what is there is as large as it may be.
    if first != "app.rspy"
        && dropped > 0
        && sum < limited.summary.samples
        && (20_000..=60_000).contains(&limited.size())
    {
        return Ok(());
    }
    Err(format!("{first:?} begins at {dropped}, {} bytes: {:?}", limited.size(), limited.output).into())
}

/// A process's resident memory, in bytes.
fn resident(process: u32) -> Outcome<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").trim().parse::<u64>()? * 1024)
}

/// What rspy takes after some hundred kilobytes of recording is what it takes after four times as much, although the
/// samples, kept, would take many times that.
fn memory_of(interpreter: &Interpreter, first: u64) -> Outcome<(u64, u64)> {
    let target = Target::start(command(interpreter, "few_stacks.py", &["3"]))?;
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("app.rspy");
    let mut run = start(target.pid, &file, &["-r", "10k", "--nonblocking"])?;
    let mut at = |size: u64| -> Outcome<u64> {
        wait_until("the recording is long enough", || length(&file) >= size || run.has_ended())?;
        resident(run.pid())
    };
    let before = at(first)?;
    let after = at(4 * first)?;
    run.send(Signal::INT)?;
    let samples = run.output()?.success()?.summary()?.samples;
    let taken = samples * 40;
    eprintln!("{samples} samples: {before} bytes of memory, then {after}; kept, they would take {taken}");
    report(&[&file], &["-f", "raw"])?.success()?;
    if taken < 4_000_000 {
        Err(format!("{samples} samples show nothing").into())
    } else {
        Ok((before, after))
    }
}

pub fn memory(interpreter: &Interpreter) -> Outcome {
    let (before, after) = memory_of(interpreter, 100_000)?;
    if after <= before + 1_500_000 { Ok(()) } else { Err(format!("{before} bytes, then {after}").into()) }
}
