//! File names as people know them: relative to their package, or the number of a notebook's cell.

use std::collections::HashMap;
use std::path::Path;

use rspy_process::Process;

/// Shortens file names, each once.
#[derive(Default)]
pub struct ShortNames {
    known: HashMap<String, String>,
    cells: HashMap<String, u64>,
}

impl ShortNames {
    /// `filename` from its topmost package on: the folders above it count as long
    /// as they hold an `__init__.py` where the target sees them. This is py-spy's
    /// rule. Names that are no paths, such as `<string>`, stay as they are; a cell of a notebook
    /// is `In [3]`, if its number is known.
    pub fn shorten(&mut self, process: &Process, filename: &str) -> &str {
        // Looked up twice where it is known, since a borrow cannot be handed out
        // and the map changed in one go.
        if !self.known.contains_key(filename) {
            let number = self.cells.get(filename).copied().or_else(|| number_of_input(filename));
            let short = match number {
                Some(number) => format!("In [{number}]"),
                None => shorten(filename, |folder| is_package(process, folder)),
            };
            self.known.insert(filename.to_owned(), short);
        }
        &self.known[filename]
    }

    /// Takes note of the numbers of a notebook's cells, by their files' names: all that there are now.
    /// A cell that is run again with the same code is another number.
    pub fn learn_cells(&mut self, cells: HashMap<String, u64>) {
        let was = &self.cells;
        self.known.retain(|filename, _| cells.get(filename) == was.get(filename));
        self.cells = cells;
    }
}

/// A command line without the directory of its program: where that lies says less than what it runs.
pub fn without_directory(command: &str) -> &str {
    let program = command.split(' ').next().unwrap_or(command);
    &command[program.rfind('/').map_or(0, |slash| slash + 1)..]
}

/// Whether this is what a Jupyter kernel calls the file of a cell: `/tmp/ipykernel_PID/HASH.py`.
pub fn is_cell(filename: &str) -> bool {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let parts = || {
        let (folder, file) = filename.rsplit_once('/')?;
        let (_, folder) = folder.rsplit_once('/')?;
        Some((folder.strip_prefix("ipykernel_")?, file.strip_suffix(".py")?))
    };
    parts().is_some_and(|(process, hash)| is_number(process) && is_number(hash))
}

/// The number in what IPython calls its inputs elsewhere, and older kernels their cells:
/// `<ipython-input-3-9a0364b9e99b>`.
fn number_of_input(filename: &str) -> Option<u64> {
    let (number, _) = filename.strip_prefix("<ipython-input-")?.strip_suffix('>')?.split_once('-')?;
    number.parse().ok()
}

fn is_package(process: &Process, folder: &Path) -> bool {
    // A relative path is relative to where the target was when it compiled the
    // file: most likely where it is now.
    let absolute;
    let folder = if folder.is_absolute() {
        folder
    } else {
        absolute = std::fs::read_link(process.proc_path("cwd")).unwrap_or_default().join(folder);
        &absolute
    };
    process.path_from_here(&folder.join("__init__.py")).exists()
}

fn shorten(filename: &str, is_package: impl Fn(&Path) -> bool) -> String {
    let path = Path::new(filename);
    if filename.starts_with('<') {
        return filename.to_owned();
    }
    let mut top = path.parent();
    while let Some(folder) = top {
        if folder.as_os_str().is_empty() || !is_package(folder) {
            break;
        }
        top = folder.parent();
    }
    let short = top.and_then(|top| path.strip_prefix(top).ok()).unwrap_or(path);
    short.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_begin_at_their_topmost_package() {
        let packages = ["/lib/pkg", "/lib/pkg/sub", "rel"];
        let short = |name| shorten(name, |folder| packages.iter().any(|p| Path::new(p) == folder));
        assert_eq!(short("/lib/pkg/sub/a.py"), "pkg/sub/a.py");
        assert_eq!(short("/lib/pkg/a.py"), "pkg/a.py");
        assert_eq!(short("/lib/a.py"), "a.py");
        assert_eq!(short("rel/a.py"), "rel/a.py");
        assert_eq!(short("a.py"), "a.py");
        assert_eq!(short("<string>"), "<string>");
        assert_eq!(short("<frozen importlib._bootstrap>"), "<frozen importlib._bootstrap>");
        assert_eq!(short(""), "");
    }

    const CELL: &str = "/tmp/ipykernel_4711/1829376001.py";

    #[test]
    fn cells_have_the_file_names_of_kernels() {
        assert!(is_cell(CELL) && is_cell("/var/folders/x/ipykernel_1/2.py"));
        for other in
            ["", "/", "a.py", "/tmp/ipykernel_1/a.py", "/tmp/ipykernel_x/1.py", "/tmp/ipykernel_1/.py"]
        {
            assert!(!is_cell(other), "{other}");
        }
        assert!(!is_cell("/site-packages/ipykernel_launcher.py") && !is_cell("ipykernel_1/1"));
    }

    #[test]
    fn inputs_are_numbered_by_their_names() {
        assert_eq!(number_of_input("<ipython-input-3-9a0364b9e99b>"), Some(3));
        for other in ["<ipython-input-3>", "<ipython-input--3>", "<ipython-input-x-3>", "<string>", ""] {
            assert_eq!(number_of_input(other), None, "{other}");
        }
    }

    #[test]
    fn a_cell_is_its_number() {
        let process = Process::open(std::process::id()).expect("this process is here");
        let mut names = ShortNames::default();
        assert_eq!(names.shorten(&process, "<ipython-input-3-9a0364b9e99b>"), "In [3]");
        // Before its number is known it is a file like others.
        assert_eq!(names.shorten(&process, CELL), "1829376001.py");
        names.learn_cells(HashMap::from([(CELL.to_owned(), 2)]));
        assert_eq!(names.shorten(&process, CELL), "In [2]");
        names.learn_cells(HashMap::from([(CELL.to_owned(), 7)]));
        assert_eq!(names.shorten(&process, CELL), "In [7]");
    }
}
