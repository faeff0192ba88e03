//! File names as people know them: relative to their package.

use std::collections::HashMap;
use std::path::Path;

use rspy_process::Process;

/// Shortens file names, each once.
#[derive(Default)]
pub struct ShortNames {
    known: HashMap<String, String>,
}

impl ShortNames {
    /// `filename` from its topmost package on: the folders above it count as long
    /// as they hold an `__init__.py` where the target sees them. This is py-spy's
    /// rule. Names that are no paths, such as `<string>`, stay as they are.
    pub fn shorten(&mut self, process: &Process, filename: &str) -> &str {
        // Looked up twice where it is known, since a borrow cannot be handed out
        // and the map changed in one go.
        if !self.known.contains_key(filename) {
            let short = shorten(filename, |folder| is_package(process, folder));
            self.known.insert(filename.to_owned(), short);
        }
        &self.known[filename]
    }
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
}
