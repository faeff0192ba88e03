//! Recordings (`rspy record -o FILE.rspy`): making them, and what is in them by a reader that has nothing from rspy,
//! `tests/readers/recording.py`.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;

use crate::Outcome;
use crate::interpreters::{self, Interpreter, in_ci, workspace};
use crate::rspy::{Output, Run, Summary};

/// Everything that is in a recording.
#[derive(Debug, Deserialize)]
pub struct Recording {
    /// What it says of itself.
    pub metadata: Metadata,
    /// The frames that stacks are made of.
    pub frames: Vec<Frame>,
    /// Of each stack its caller and its innermost frame; the first is the empty one.
    pub stacks: Vec<Option<(usize, usize)>>,
    /// The processes.
    pub processes: Vec<Process>,
    /// The threads.
    pub threads: Vec<Thread>,
    /// The samples, in the order of the file.
    pub samples: Vec<Sample>,
    /// Samples that could not be taken, by reason.
    pub lost: BTreeMap<String, u64>,
    /// The same in the order of the file: the index of the process, if it is known, the reason and the number.
    pub lost_of: Vec<(Option<usize>, String, u64)>,
    /// The memory of processes: when, in nanoseconds, the index of the process, bytes.
    pub memory: Vec<(u64, usize, u64)>,
    /// Ticks of the sampler that passed unused.
    pub missed: u64,
    /// Up to when it goes, in nanoseconds since its start.
    pub until: u64,
    /// `whole`, `unfinished` or `broken`.
    pub ending: String,
    /// How many blocks it has.
    pub blocks: usize,
}

/// What a recording says of itself.
#[derive(Debug, Deserialize)]
pub struct Metadata {
    /// When it began, in nanoseconds since 1970.
    pub start_ns: u64,
    /// How long it went on, in nanoseconds.
    pub duration_ns: u64,
    /// Samples a second.
    pub rate: f64,
}

/// A frame.
#[derive(Debug, Deserialize)]
pub struct Frame {
    /// What it stands for, unless it is a Python function.
    pub kind: Option<String>,
    /// The function.
    #[serde(default)]
    pub name: String,
    /// The whole file name.
    #[serde(default)]
    pub file: String,
    /// The line.
    pub line: Option<u32>,
    /// The line that the function begins on.
    pub first_line: Option<u32>,
}

/// A process.
#[derive(Debug, Deserialize)]
pub struct Process {
    /// Its id.
    pub pid: u32,
    /// The index of the one above it.
    pub parent: Option<usize>,
    /// Its command line.
    pub command_line: String,
}

/// A thread.
#[derive(Debug, Deserialize)]
pub struct Thread {
    /// The index of its process.
    pub process: usize,
    /// The kernel's id.
    pub os_id: Option<u32>,
    /// What `threading.get_ident()` returns.
    pub python_id: Option<u64>,
    /// Its name.
    pub name: Option<String>,
}

/// A sample: when, the indices of thread and stack, four times whether it was so (active, held the GIL, waited for it,
/// collected garbage), and its weight.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Sample(
    pub u64,
    pub usize,
    pub usize,
    pub Option<bool>,
    pub Option<bool>,
    pub Option<bool>,
    pub Option<bool>,
    pub u64,
);

impl Recording {
    /// Reads `files`.
    pub fn read_all<P: AsRef<Path>>(files: &[P]) -> Outcome<Vec<Recording>> {
        let reader = reader().ok_or("there is no CPython 3.14; tools/pythons 3.14 provides it")?;
        let mut command = Command::new(&reader.path);
        command.arg(workspace().join("tests/readers/recording.py"));
        let output = command.args(files.iter().map(AsRef::as_ref)).output()?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into());
        }
        let read = |line: &str| serde_json::from_str(line).map_err(Into::into);
        String::from_utf8(output.stdout)?.lines().map(read).collect()
    }

    /// Reads `file`.
    pub fn read(file: &Path) -> Outcome<Recording> {
        Self::read_all(&[file])?.pop().ok_or_else(|| "it says nothing".into())
    }

    /// The frames of a stack, innermost first.
    pub fn frames_of(&self, stack: usize) -> impl Iterator<Item = &Frame> {
        let at = |stack: usize| self.stacks.get(stack).copied().flatten();
        std::iter::successors(at(stack), move |(caller, _)| at(*caller)).map(|(_, frame)| &self.frames[frame])
    }

    /// How often each stack was seen among the samples that are `chosen`, as lines of folded stacks have it. Frames
    /// that `label` has nothing to say of are left out.
    pub fn folded(
        &self,
        chosen: impl Fn(&Sample) -> bool,
        label: impl Fn(&Frame) -> Option<String>,
    ) -> BTreeMap<String, u64> {
        let mut folded = BTreeMap::new();
        for sample in self.samples.iter().filter(|sample| chosen(sample)) {
            let mut labels: Vec<String> = self.frames_of(sample.2).filter_map(&label).collect();
            labels.reverse();
            let stack = if labels.is_empty() { "[no frames]".to_owned() } else { labels.join(";") };
            *folded.entry(stack).or_default() += sample.7;
        }
        folded
    }

    /// Of each sample of a thread that waits for the GIL the stack of the one that holds it, or nothing if none
    /// is known; by the index of the sample.
    pub fn holders(&self) -> BTreeMap<usize, Option<usize>> {
        let moment = |sample: &Sample| (self.threads[sample.1].process, sample.0);
        let mut holding: BTreeMap<(usize, u64), usize> = BTreeMap::new();
        for sample in self.samples.iter().filter(|sample| sample.4 == Some(true)) {
            holding.insert(moment(sample), sample.2);
        }
        let waiting = self.samples.iter().enumerate().filter(|(_, sample)| sample.5 == Some(true));
        waiting.map(|(index, sample)| (index, holding.get(&moment(sample)).copied())).collect()
    }

    /// The weight of all samples.
    pub fn weight(&self) -> u64 {
        self.samples.iter().map(|sample| sample.7).sum()
    }

    /// Samples that could not be taken, as lines of folded stacks have them, whatever is chosen.
    pub fn lost_stacks(&self) -> impl Iterator<Item = (String, u64)> {
        let some = self.lost.iter().filter(|(_, count)| **count > 0);
        some.map(|(reason, count)| (format!("[lost: {reason}]"), *count))
    }

    /// What a report of all of it adds up to: its samples, and those that could not be taken.
    pub fn total(&self) -> u64 {
        self.weight() + self.lost.values().sum::<u64>()
    }
}

impl Frame {
    /// Its line in folded stacks with `--full-filenames`.
    pub fn at_line(&self) -> String {
        self.label(self.line)
    }

    /// The same with this line, or with none.
    pub fn label(&self, line: Option<u32>) -> String {
        match (&self.kind, line) {
            (Some(kind), _) => kind.clone(),
            (None, Some(line)) => format!("{} ({}:{line})", self.name, self.file),
            (None, None) => format!("{} ({})", self.name, self.file),
        }
    }
}

/// The Python that reads recordings without rspy: the only ones with zstd are 3.14 and later.
pub fn reader() -> Option<Interpreter> {
    let found = interpreters::all().into_iter().find(|interpreter| interpreter.label == "3.14");
    if found.is_none() {
        assert!(!in_ci(), "CPython 3.14 is missing, which reads recordings");
    }
    found
}

/// A recording of process `pid` into `file`, with `options`, to its end.
pub fn record(pid: u32, file: &Path, options: &[&str]) -> Outcome<(Output, Summary)> {
    let output = start(pid, file, options)?.output()?.success()?;
    let summary = output.summary()?;
    Ok((output, summary))
}

/// The same, that goes on.
pub fn start(pid: u32, file: &Path, options: &[&str]) -> Outcome<Run> {
    let pid = pid.to_string();
    let words = ["record", "--pid", &pid].into_iter().chain(options.iter().copied());
    Run::start(words.map(OsStr::new).chain([OsStr::new("-o"), file.as_os_str()]))
}

/// `text` on one line: messages are broken into lines where the names of files have it.
pub fn unwrapped(text: &str) -> String {
    text.split_whitespace().collect::<Vec<&str>>().join(" ")
}

/// `rspy report` of `files` with `options`.
pub fn report<P: AsRef<Path>>(files: &[P], options: &[&str]) -> Outcome<Output> {
    let words = ["report"].iter().chain(options).map(OsStr::new);
    Run::start(words.chain(files.iter().map(|file| file.as_ref().as_os_str())))?.output()
}

/// The folded stacks of `files` as a report with `options` gives them.
pub fn folded<P: AsRef<Path>>(files: &[P], options: &[&str]) -> Outcome<BTreeMap<String, u64>> {
    let output = report(files, &[&["-f", "raw", "--full-filenames"], options].concat())?.success()?;
    let parse = |line: &str| {
        let (stack, count) = line.rsplit_once(' ').ok_or("no count")?;
        Ok((stack.to_owned(), count.parse()?))
    };
    output.stdout.lines().map(parse).collect()
}

/// All the files in `folder` that belong to the recording `first`, in the order of their numbers.
pub fn files_of(first: &Path) -> Outcome<Vec<PathBuf>> {
    let folder = first.parent().ok_or("no folder")?;
    let stem = first.file_stem().and_then(OsStr::to_str).ok_or("no name")?;
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let name = entry?.file_name().into_string().map_err(|_| "no name")?;
        let Some(middle) = name.strip_prefix(stem).and_then(|rest| rest.strip_suffix(".rspy")) else {
            continue;
        };
        let number: u32 = if middle.is_empty() { 0 } else { middle.trim_start_matches('.').parse()? };
        found.push((number, folder.join(name)));
    }
    found.sort();
    Ok(found.into_iter().map(|(_, path)| path).collect())
}
