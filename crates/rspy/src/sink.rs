//! Recordings that are written while samples are taken: one file, or a row of them.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::{Duration, Instant};

use rspy_profile::recording::Writer;
use rspy_profile::{Profile, Sample};

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

/// A number with a unit of `units`.
fn scaled(text: &str, units: &[(&str, f64)]) -> Option<f64> {
    let digits = text.find(|character: char| !character.is_ascii_digit() && character != '.')?;
    let (number, unit) = text.split_at(digits);
    let (_, scale) = units.iter().find(|(name, _)| *name == unit.trim())?;
    number.parse::<f64>().ok().map(|number| number * scale)
}

/// A time with its unit: `90s`, `1.5m`, `1h`.
pub fn parse_time(text: &str) -> Option<Duration> {
    let seconds = scaled(text, &[("s", 1.0), ("m", 60.0), ("min", 60.0), ("h", 3600.0), ("d", 86400.0)])?;
    Duration::try_from_secs_f64(seconds).ok()
}

fn parse_size(text: &str) -> Option<u64> {
    let units = [
        ("B", 1.0),
        ("K", 1e3),
        ("kB", 1e3),
        ("KB", 1e3),
        ("M", 1e6),
        ("MB", 1e6),
        ("G", 1e9),
        ("GB", 1e9),
        ("KiB", 1024.0),
        ("MiB", 1_048_576.0),
        ("GiB", 1_073_741_824.0),
    ];
    scaled(text, &units).map(|bytes| bytes as u64)
}

/// Where a recording is written to while it goes on.
pub struct Sink {
    path: PathBuf,
    limits: Limits,
    writer: Option<Writer<File>>,
    begun: Instant,
    flushed: Instant,
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
        self.rotate(profile, now)?;
        let all = self.bytes();
        match self.limits.max_size {
            Some(most) if all >= most => {
                if self.limits.rotate.is_none() {
                    return Ok(Room::None);
                }
                self.make_room(most);
                Ok(Room::Left)
            }
            _ => Ok(Room::Left),
        }
    }

    /// Ends it. Answers how many files there are, and how many had to go.
    pub fn finish(mut self, profile: &Profile) -> io::Result<(usize, u32)> {
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
        if let Some(most) = self.limits.max_size.filter(|_| self.limits.rotate.is_some()) {
            self.make_room(most);
        }
        Ok((self.complete.len() + 1, self.dropped))
    }

    fn bytes(&self) -> u64 {
        let complete: u64 = self.complete.iter().map(|(_, bytes)| bytes).sum();
        complete + self.writer.as_ref().map_or(0, Writer::bytes)
    }

    fn rotate(&mut self, profile: &Profile, now: Instant) -> io::Result<()> {
        let Some(writer) = &self.writer else { return Ok(()) };
        let is_time = match self.limits.rotate {
            Some(Rotate::Size(size)) => writer.bytes() >= size,
            Some(Rotate::Time(time)) => now - self.begun >= time,
            None => false,
        };
        if !is_time {
            return Ok(());
        }
        let next = File::create(numbered(&self.path, self.number + 1))?;
        let next = Writer::new(next, profile)?;
        if let Some(writer) = self.writer.replace(next) {
            let path = numbered(&self.path, self.number);
            let mut file = writer.finish(profile)?;
            file.flush()?;
            let length = file.metadata().map_or(0, |metadata| metadata.len());
            self.complete.push_back((path, length));
        }
        self.number += 1;
        self.begun = now;
        Ok(())
    }

    /// Takes the oldest files away, as far as it needs.
    fn make_room(&mut self, most: u64) {
        while self.bytes() >= most
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
