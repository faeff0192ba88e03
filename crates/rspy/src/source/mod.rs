//! Source files of the target, as far as they can be read here.

mod extent;
mod folders;

use std::collections::HashMap;
use std::io::{self, Read};
use std::path::Path;
use std::time::SystemTime;

use rspy_cpython::Attached;
use rspy_process::Process;

pub use self::extent::last_line;
use self::folders::Folders;

/// The largest file that is read.
const LARGEST: u64 = 8 << 20;

/// The files that were asked for.
#[derive(Debug)]
pub struct Sources {
    folders: Folders,
    /// The process, which may have in its memory what is in no file.
    process: Option<u32>,
    files: HashMap<String, Result<Source, String>>,
}

/// A source file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Its lines.
    pub lines: Vec<String>,
    /// When it was last changed; `None` if unknown.
    pub modified: Option<SystemTime>,
}

impl Source {
    fn new(text: &str, modified: Option<SystemTime>) -> Source {
        // A mark of its encoding is no part of the first line.
        let text = text.trim_start_matches('\u{feff}');
        Source { lines: text.lines().map(|line| line.replace('\t', "    ")).collect(), modified }
    }

    /// A line of it, counted from 1.
    pub fn line(&self, number: u32) -> Option<&str> {
        let index = usize::try_from(number).ok()?.checked_sub(1)?;
        self.lines.get(index).map(String::as_str)
    }
}

impl Sources {
    /// Those of the process `pid`, which may see other files than rspy; also when it has ended.
    pub fn of_process(pid: u32) -> Sources {
        Sources { folders: Folders::of_process(pid), process: Some(pid), files: HashMap::new() }
    }

    /// Those that rspy sees.
    pub fn here() -> Sources {
        Sources { folders: Folders::here(), process: None, files: HashMap::new() }
    }

    /// The file that code objects call `file`; else why it cannot be read.
    pub fn file(&mut self, file: &str) -> Result<&Source, &str> {
        if !self.files.contains_key(file) {
            let source = self.read(file).or_else(|why| self.in_memory(file).ok_or(why));
            self.files.insert(file.to_owned(), source);
        }
        match self.files.get(file) {
            Some(Ok(source)) => Ok(source),
            Some(Err(why)) => Err(why),
            None => Err("it was not read"),
        }
    }

    /// What the process keeps for tracebacks: the cells of a notebook.
    fn in_memory(&self, file: &str) -> Option<Source> {
        let process = Process::open(self.process?).ok()?;
        let lines = Attached::find(&process).ok()?.cached_lines(process.memory(), file)?;
        Some(Source::new(&lines.join("\n"), None))
    }

    fn read(&self, file: &str) -> Result<Source, String> {
        if file.starts_with('<') {
            return Err("its source is in no file".to_owned());
        }
        let Some(source) = open(&self.folders, Path::new(file)) else {
            return Err("its path is relative to a folder that is not known".to_owned());
        };
        source.map_err(|error| match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => "there is no such file here".to_owned(),
            _ => error.to_string(),
        })
    }
}

/// A file, or one within an archive that Python imports from: `/srv/app.zip/app/work.py`; `None` if it is relative to a
/// folder that is not known.
fn open(folders: &Folders, path: &Path) -> Option<io::Result<Source>> {
    let file = match folders.open(path)? {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => return Some(in_archive(folders, path)),
        Err(error) => return Some(Err(error)),
    };
    let source = file.metadata().and_then(|metadata| match metadata.is_file() && metadata.len() <= LARGEST {
        true => read(file, metadata.modified().ok()),
        false => Err(io::Error::other("it is no file of source text")),
    });
    Some(source)
}

fn in_archive(folders: &Folders, path: &Path) -> io::Result<Source> {
    // What is below a file cannot be opened; the first that can is the archive.
    let opened = path.ancestors().skip(1).find_map(|above| Some((above, folders.open(above)?.ok()?)));
    let (archive, file) = opened.ok_or(io::ErrorKind::NotFound)?;
    let name = path.strip_prefix(archive).map_err(io::Error::other)?.to_string_lossy();
    let modified = file.metadata()?.modified().ok();
    let mut archive = zip::ZipArchive::new(file)?;
    read(archive.by_name(&name)?, modified)
}

fn read(file: impl Read, modified: Option<SystemTime>) -> io::Result<Source> {
    let mut bytes = Vec::new();
    file.take(LARGEST).read_to_end(&mut bytes)?;
    Ok(Source::new(&String::from_utf8_lossy(&bytes), modified))
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Write;

    use super::*;

    #[test]
    fn a_file_in_an_archive_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("app.zip");
        let mut archive = zip::ZipWriter::new(File::create(&path).unwrap());
        archive.start_file("app/work.py", zip::write::SimpleFileOptions::default()).unwrap();
        archive.write_all(b"def work():\n\tpass\n").unwrap();
        archive.finish().unwrap();
        let mut sources = Sources::here();
        let inside = |name: &str| path.join(name).display().to_string();
        let source = sources.file(&inside("app/work.py")).unwrap();
        assert_eq!(source.line(2), Some("    pass"));
        assert_eq!((source.line(0), source.line(3)), (None, None));
        assert!(sources.file(&inside("app/none.py")).is_err());
    }

    #[test]
    fn what_is_no_file_is_said_to_be_none() {
        let mut sources = Sources::here();
        assert_eq!(sources.file("<string>"), Err("its source is in no file"));
        assert!(sources.file("app.py").unwrap_err().contains("relative"));
        assert_eq!(sources.file("/no/such/file.py"), Err("there is no such file here"));
        assert!(sources.file("/").is_err());
    }
}
