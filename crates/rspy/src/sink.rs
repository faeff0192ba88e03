//! Recordings that are written while samples are taken: one file, or a row of them.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::{Duration, Instant};

use rspy_profile::recording::Writer;
use rspy_profile::{Account, MemoryUse, Profile, Sample};

/// How long a sample may wait to be written.
const FLUSH: Duration = Duration::from_secs(1);

/// When a recording goes on in a new file, and how much room it may take.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// When the next file begins.
    pub rotate: Option<Rotate>,
    /// How many bytes all files may take together.
    pub max_size: Option<u64>,
}

/// When a recording goes on in a new file.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Rotate {
    /// When it is this long, in bytes.
    Size(u64),
    /// When it has been written to for so long.
    Time(Duration),
}

impl FromStr for Rotate {
    type Err = String;

    /// `10m`, `1h`, `90s`: a time; `64MB`, `64MiB`, `500kB`: a size.
    fn from_str(text: &str) -> Result<Rotate, String> {
        match (parse_time(text), parse_size(text)) {
            (Some(time), _) if !time.is_zero() => Ok(Rotate::Time(time)),
            (_, Some(size)) if size >= LEAST => Ok(Rotate::Size(size)),
            (_, Some(_)) => Err(too_small()),
            _ => Err("give a time (90s, 10m, 1h) or a size (64MB, 1GB)".to_owned()),
        }
    }
}

/// The least that a file is worth beginning for, in bytes.
const LEAST: u64 = 10_000;

fn too_small() -> String {
    format!("a recording takes {} kB at least", LEAST / 1000)
}

/// What `--max-size` takes, in bytes.
pub fn size(text: &str) -> Result<u64, String> {
    match parse_size(text) {
        Some(size) if size >= LEAST => Ok(size),
        Some(_) => Err(too_small()),
        None => Err("give a size: 500kB, 64MB, 1GB, or with KiB, MiB, GiB".to_owned()),
    }
}

/// A time with its unit: `90s`, `1.5m`, `1h 30m`, `1d`.
pub fn parse_time(text: &str) -> Option<Duration> {
    let span: jiff::Span = text.parse().ok()?;
    span.to_duration(jiff::SpanRelativeTo::days_are_24_hours()).ok()?.try_into().ok()
}

/// A size with its unit: `64MB`, `1GiB`.
fn parse_size(text: &str) -> Option<u64> {
    text.parse().ok().map(|size: bytesize::ByteSize| size.as_u64())
}

/// In how many files, at least, what may be kept is: so that only a part of it goes when there must be room.
const PARTS: u64 = 4;

/// Where a recording is written to while it goes on.
pub struct Sink {
    path: PathBuf,
    limits: Limits,
    writer: Option<Writer<File>>,
    begun: Instant,
    flushed: Instant,
    /// How many bytes all files had when they were flushed, and the most by which they have grown lately from one time
    /// to the next.
    grown: (u64, u64),
    /// The number of the file.
    number: u32,
    /// Files that are complete, with their lengths.
    complete: VecDeque<(PathBuf, u64)>,
    /// Files that had to go, to make room.
    dropped: u32,
}

/// How a recording stands after something was added.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Room {
    /// There is some.
    Left,
    /// There is none: it may not become longer.
    None,
}

/// The files that a recording is in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Files {
    /// The oldest one that is there.
    pub first: PathBuf,
    /// The newest one.
    pub last: PathBuf,
    /// How many there are.
    pub count: usize,
    /// How many had to go, to make room.
    pub dropped: u32,
}

impl Files {
    /// The file `path` alone.
    pub fn one(path: &Path) -> Files {
        Files { first: path.to_owned(), last: path.to_owned(), count: 1, dropped: 0 }
    }
}

impl Sink {
    /// Begins the recording that `profile` says what it is of, in `file`, which is at `path`.
    pub fn new(file: File, path: &Path, limits: Limits, profile: &Profile) -> io::Result<Sink> {
        let now = Instant::now();
        Ok(Sink {
            path: path.to_owned(),
            limits,
            writer: Some(Writer::new(file, profile)?),
            begun: now,
            flushed: now,
            grown: (0, 0),
            number: 0,
            complete: VecDeque::new(),
            dropped: 0,
        })
    }

    /// Adds a sample.
    pub fn add(&mut self, sample: Sample, profile: &Profile) -> io::Result<()> {
        let Some(writer) = &mut self.writer else { return Ok(()) };
        let outcome = writer.add(sample, profile);
        self.mended(outcome)
    }

    /// Adds what memory a process had.
    pub fn add_memory(&mut self, row: MemoryUse, profile: &Profile) -> io::Result<()> {
        let Some(writer) = &mut self.writer else { return Ok(()) };
        let outcome = writer.add_memory(row, profile);
        self.mended(outcome)
    }

    /// Adds what is known of the memory of a process.
    pub fn add_account(&mut self, row: Account) {
        if let Some(writer) = &mut self.writer {
            writer.add_account(row);
        }
    }

    /// Writes what has waited long enough, or all of it, the recording having lasted for `elapsed`; and goes on in
    /// another file if it is time to.
    pub fn flush(&mut self, profile: &Profile, elapsed: Duration, at_once: bool) -> io::Result<Room> {
        let now = Instant::now();
        if !at_once && now - self.flushed < FLUSH {
            return Ok(Room::Left);
        }
        self.flushed = now;
        let Some(writer) = &mut self.writer else { return Ok(Room::None) };
        let outcome = writer.flush(profile, elapsed.as_nanos() as u64);
        self.mended(outcome)?;
        let (before, most) = self.grown;
        // Not forgotten at once: a new file begins with all that samples refer to.
        let most = self.bytes().saturating_sub(before).max(most - most / 8);
        let outcome = self.rotate(profile, now);
        self.mended(outcome)?;
        self.grown.1 = most;
        self.make_room();
        self.grown.0 = self.bytes();
        let most = self.limits.max_size;
        let is_full = most.is_some_and(|most| self.bytes().saturating_add(self.ahead()) > most);
        Ok(if is_full && self.limits.rotate.is_none() { Room::None } else { Room::Left })
    }

    /// How many bytes have to be free: twice what was written at once lately, since there may be more the next time, and
    /// what ends a file.
    fn ahead(&self) -> u64 {
        const END: u64 = 2000;
        self.grown.1.saturating_mul(2).saturating_add(END)
    }

    /// Ends it. Answers what files there are.
    pub fn finish(mut self, profile: &Profile) -> io::Result<Files> {
        if let Some(writer) = self.writer.take() {
            let whole = writer.bytes();
            let file = writer.file().try_clone();
            if let Err(error) = writer.finish(profile) {
                if let Ok(file) = file {
                    cut(&file, whole);
                }
                return Err(error);
            }
        }
        let last = numbered(&self.path, self.number);
        let first = self.complete.front().map_or(&last, |(path, _)| path).clone();
        Ok(Files { first, last, count: self.complete.len() + 1, dropped: self.dropped })
    }

    fn bytes(&self) -> u64 {
        let complete: u64 = self.complete.iter().map(|(_, bytes)| bytes).sum();
        complete + self.writer.as_ref().map_or(0, Writer::bytes)
    }

    fn rotate(&mut self, profile: &Profile, now: Instant) -> io::Result<()> {
        let (Some(writer), Some(rotate)) = (&mut self.writer, self.limits.rotate) else { return Ok(()) };
        let is_time = match rotate {
            Rotate::Size(size) => writer.bytes() >= size,
            Rotate::Time(time) => now - self.begun >= time,
        };
        let is_large = self.limits.max_size.is_some_and(|most| writer.bytes() >= most / PARTS);
        if !is_time && !is_large {
            return Ok(());
        }
        let next = numbered(&self.path, self.number + 1);
        let ended = File::create(&next).and_then(|file| writer.go_on_in(file, profile));
        let file = ended.inspect_err(|_| {
            // There is nothing in it, if it is there at all.
            let _ = std::fs::remove_file(&next);
        })?;
        let length = file.metadata().map_or(0, |metadata| metadata.len());
        self.complete.push_back((numbered(&self.path, self.number), length));
        self.number += 1;
        self.begun = now;
        Ok(())
    }

    /// Takes the oldest files away, as far as there must be room.
    fn make_room(&mut self) {
        let (Some(most), true) = (self.limits.max_size, self.limits.rotate.is_some()) else { return };
        while self.bytes().saturating_add(self.ahead()) > most
            && let Some((path, _)) = self.complete.pop_front()
        {
            // One that somebody else took away is gone as well.
            let _ = std::fs::remove_file(path);
            self.dropped += 1;
        }
    }

    /// After a failure the file ends with its last whole block, and nothing more is written.
    fn mended<T>(&mut self, outcome: io::Result<T>) -> io::Result<T> {
        if outcome.is_err()
            && let Some(writer) = self.writer.take()
        {
            cut(writer.file(), writer.bytes());
        }
        outcome
    }
}

/// Takes what is behind the last whole block off a file; readers pass it over where that fails.
fn cut(file: &File, length: u64) {
    if file.metadata().is_ok_and(|metadata| metadata.is_file()) {
        let _ = file.set_len(length);
    }
}

/// The name of file `number`: `app.rspy`, `app.1.rspy`, …
fn numbered(path: &Path, number: u32) -> PathBuf {
    if number == 0 {
        return path.to_owned();
    }
    let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let extension = path.extension().map(|extension| extension.to_string_lossy().into_owned());
    path.with_file_name(match extension {
        Some(extension) => format!("{stem}.{number}.{extension}"),
        None => format!("{stem}.{number}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_have_units() {
        assert_eq!("90s".parse(), Ok(Rotate::Time(Duration::from_secs(90))));
        assert_eq!("1.5h".parse(), Ok(Rotate::Time(Duration::from_secs(5400))));
        assert_eq!("64MB".parse(), Ok(Rotate::Size(64_000_000)));
        assert_eq!("1d".parse(), Ok(Rotate::Time(Duration::from_secs(86_400))));
        assert_eq!("10m".parse(), Ok(Rotate::Time(Duration::from_secs(600))));
        assert_eq!("10M".parse(), Ok(Rotate::Size(10_000_000)));
        assert_eq!("1MiB".parse(), Ok(Rotate::Size(1 << 20)));
        for wrong in ["", "10", "0s", "MB", "-1MB", "1 parsec", "1kB", "1.2.3MB"] {
            assert!(wrong.parse::<Rotate>().is_err(), "{wrong}");
        }
        assert_eq!(size("500kB"), Ok(500_000));
        assert!(size("10").is_err() && size("1B").is_err());
    }

    #[test]
    fn files_are_numbered_before_their_extension() {
        assert_eq!(numbered(Path::new("/tmp/a.b.rspy"), 0), Path::new("/tmp/a.b.rspy"));
        assert_eq!(numbered(Path::new("/tmp/a.b.rspy"), 12), Path::new("/tmp/a.b.12.rspy"));
        assert_eq!(numbered(Path::new("log"), 1), Path::new("log.1"));
    }
}
