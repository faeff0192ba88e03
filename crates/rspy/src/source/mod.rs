//! Source files of the target, as far as they can be read here.

mod extent;

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rspy_cpython::Attached;
use rspy_process::Process;

pub use self::extent::last_line;

/// The largest file that is read.
const LARGEST: u64 = 8 << 20;

/// The files that were asked for.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// The root folder of the target's own mounts; files are read here where it has none.
    root: Option<PathBuf>,
    /// The folder that paths are relative to; `None` if unknown.
    folder: Option<PathBuf>,
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
        Source { lines: text.lines().map(|line| line.replace('\t', "    ")).collect(), modified }
    }

    /// A line of it, counted from 1.
    pub fn line(&self, number: u32) -> Option<&str> {
        let index = usize::try_from(number).ok()?.checked_sub(1)?;
        self.lines.get(index).map(String::as_str)
    }
}

impl Sources {
    /// Those of the process `pid`, which sees other files than this one, maybe.
    pub fn of_process(pid: u32) -> Sources {
        let place = |name: &str| Some(PathBuf::from(format!("/proc/{pid}/{name}")));
        Sources { root: place("root"), folder: place("cwd"), process: Some(pid), ..Sources::default() }
    }

    /// The same where paths are relative to `folder`, if that is known.
    pub fn below(self, folder: Option<PathBuf>) -> Sources {
        Sources { folder: folder.or(self.folder), ..self }
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
        let path = Path::new(file);
        let source = match (&self.folder, &self.root) {
            (Some(folder), _) if path.is_relative() => open(&folder.join(path)),
            _ if path.is_relative() => {
                return Err("its path is relative to a folder that is not known".to_owned());
            }
            (_, Some(root)) => open(&root.join(file.trim_start_matches('/'))).or_else(|_| open(path)),
            _ => open(path),
        };
        source.map_err(|error| match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => "there is no such file here".to_owned(),
            _ => error.to_string(),
        })
    }
}

/// A file, or one within an archive that Python imports from: `/srv/app.zip/app/work.py`.
fn open(path: &Path) -> io::Result<Source> {
    let metadata = match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => return in_archive(path),
        known => known?,
    };
    if !metadata.is_file() || metadata.len() > LARGEST {
        return Err(io::Error::other("it is no file of source text"));
    }
    let bytes = fs::read(path)?;
    Ok(Source::new(&String::from_utf8_lossy(&bytes), metadata.modified().ok()))
}

fn in_archive(path: &Path) -> io::Result<Source> {
    let archive = path.ancestors().find(|above| above.is_file()).ok_or(io::ErrorKind::NotFound)?;
    let name = path.strip_prefix(archive).map_err(io::Error::other)?.to_string_lossy();
    let file = File::open(archive)?;
    let modified = file.metadata()?.modified().ok();
    let mut archive = zip::ZipArchive::new(file)?;
    let mut bytes = Vec::new();
    archive.by_name(&name)?.take(LARGEST).read_to_end(&mut bytes)?;
    Ok(Source::new(&String::from_utf8_lossy(&bytes), modified))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn a_file_in_an_archive_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("app.zip");
        let mut archive = zip::ZipWriter::new(File::create(&path).unwrap());
        archive.start_file("app/work.py", zip::write::SimpleFileOptions::default()).unwrap();
        archive.write_all(b"def work():\n\tpass\n").unwrap();
        archive.finish().unwrap();
        let mut sources = Sources::default();
        let inside = |name: &str| path.join(name).display().to_string();
        let source = sources.file(&inside("app/work.py")).unwrap();
        assert_eq!(source.line(2), Some("    pass"));
        assert_eq!((source.line(0), source.line(3)), (None, None));
        assert!(sources.file(&inside("app/none.py")).is_err());
    }

    #[test]
    fn what_is_no_file_is_said_to_be_none() {
        let mut sources = Sources::default();
        assert_eq!(sources.file("<string>"), Err("its source is in no file"));
        assert!(sources.file("app.py").unwrap_err().contains("relative"));
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("app.py"), "work()\n").unwrap();
        let mut below = Sources::default().below(Some(folder.path().to_owned()));
        assert_eq!(below.file("app.py").unwrap().line(1), Some("work()"));
        assert_eq!(sources.file("/no/such/file.py"), Err("there is no such file here"));
        assert!(sources.file("/").is_err());
    }
}
