//! `--include`, `--exclude` and `--hide-importlib`.

use std::str::FromStr;
use std::sync::Arc;

use glob::Pattern;
use rspy_cpython::sampling::{NodeId, Unwinder};

use super::is_glob;

/// One `--include` or `--exclude`: which files' code.
#[derive(Clone, Debug)]
pub enum StackPattern {
    /// A path, or the end of one from a `/` on.
    File([Pattern; 2]),
    /// A name that is no path, as it is: `<string>`.
    Name(Box<str>),
    /// A module and everything below it, by the parts of its name. What a path is a module of is told
    /// by `sys.path`, which is not asked: every path that can be of it counts.
    Module(Vec<Box<str>>),
}

impl FromStr for StackPattern {
    type Err = String;

    fn from_str(text: &str) -> Result<StackPattern, String> {
        if text.is_empty() {
            return Err("give a file (app.py, '*/django/*') or a module (django.db)".to_owned());
        }
        if text.starts_with('<') && text.ends_with('>') && !is_glob(text) {
            return Ok(StackPattern::Name(text.into()));
        }
        if !text.ends_with(".py") && text.split('.').all(is_identifier) {
            return Ok(StackPattern::Module(text.split('.').map(Into::into).collect()));
        }
        match (Pattern::new(text), Pattern::new(&format!("*/{text}"))) {
            (Ok(whole), Ok(end)) => Ok(StackPattern::File([whole, end])),
            (Err(error), _) | (_, Err(error)) => {
                Err(format!("{}; where [ or * itself is meant, write it in brackets: [[] or [*]", error.msg))
            }
        }
    }
}

fn is_identifier(word: &str) -> bool {
    let is_first = |first: char| first.is_alphabetic() || first == '_';
    word.starts_with(is_first) && word.chars().all(|each| each.is_alphanumeric() || each == '_')
}

impl StackPattern {
    /// Whether code of `filename` is meant.
    pub fn matches(&self, filename: &str) -> bool {
        match self {
            StackPattern::File(globs) => globs.iter().any(|glob| glob.matches(filename)),
            StackPattern::Name(name) => **name == *filename,
            StackPattern::Module(parts) => match frozen(filename) {
                Some(module) => begins(module.split('.'), parts),
                None => has_module(filename, parts),
            },
        }
    }
}

/// The module that is in the interpreter itself.
fn frozen(filename: &str) -> Option<&str> {
    filename.strip_prefix("<frozen ")?.strip_suffix('>')
}

fn begins<'a>(mut of: impl Iterator<Item = &'a str>, with: &[Box<str>]) -> bool {
    with.iter().all(|part| of.next() == Some(part))
}

/// Whether `parts` are folders of `path`, one in the other, or end with its file.
fn has_module(path: &str, parts: &[Box<str>]) -> bool {
    let stem = path.rsplit_once('.').map_or(path, |(stem, extension)| match extension.contains('/') {
        true => path,
        false => stem,
    });
    let mut rest = Some(stem);
    while let Some(at) = rest {
        if begins(at.split('/'), parts) {
            return true;
        }
        rest = at.split_once('/').map(|(_, rest)| rest);
    }
    false
}

/// Whether code of `filename` is import's own, which stands between an import and the module it runs.
pub fn is_importlib(filename: &str) -> bool {
    const MODULES: [&str; 2] = ["importlib._bootstrap", "importlib._bootstrap_external"];
    const FILES: [&str; 2] = ["importlib/_bootstrap.py", "importlib/_bootstrap_external.py"];
    match frozen(filename) {
        Some(module) => MODULES.contains(&module),
        None => FILES.iter().any(|file| match filename.strip_suffix(file) {
            Some(folder) => folder.is_empty() || folder.ends_with('/'),
            None => false,
        }),
    }
}

/// What is known of code, or of a stack.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
struct Matched {
    /// One frame, at least, is of code that is asked for.
    included: bool,
    /// One frame, at least, is of code that is not wanted.
    excluded: bool,
}

/// The stacks of one target that are wanted.
///
/// Each code object and each node is looked at once, when it is new. A copy of one that was not asked yet
/// is for another target.
#[derive(Clone, Debug)]
pub struct StackFilter {
    patterns: Arc<Patterns>,
    /// By number of the code object.
    codes: Vec<Matched>,
    /// By number of the node, from 1 on: what holds for its whole stack.
    nodes: Vec<Matched>,
}

#[derive(Debug)]
struct Patterns {
    include: Vec<StackPattern>,
    exclude: Vec<StackPattern>,
}

impl StackFilter {
    /// Stacks with a frame that matches one of `include`, unless that is empty, and with none that matches
    /// one of `exclude`. `None` if nothing is said: every stack is wanted then.
    pub fn new(include: Vec<StackPattern>, exclude: Vec<StackPattern>) -> Option<StackFilter> {
        let says = !(include.is_empty() && exclude.is_empty());
        let patterns = Arc::new(Patterns { include, exclude });
        says.then(|| StackFilter { patterns, codes: Vec::new(), nodes: Vec::new() })
    }

    /// Whether the stack `node` is wanted, of all that `unwinder` has met: always the same one. Of a stack of
    /// which frames are missing, those that are known count.
    pub fn keeps(&mut self, node: NodeId, unwinder: &Unwinder) -> bool {
        if node.index() > self.nodes.len() {
            for (_, code) in unwinder.codes().since(self.codes.len()) {
                self.learn_code(&code.filename);
            }
            for node in unwinder.nodes_since(self.nodes.len()) {
                self.learn_node(node.parent.index(), node.code.index());
            }
        }
        self.wants(node.index())
    }

    /// Begins anew, with another target.
    pub fn forget(&mut self) {
        self.codes.clear();
        self.nodes.clear();
    }

    fn learn_code(&mut self, filename: &str) {
        let any = |patterns: &[StackPattern]| patterns.iter().any(|pattern| pattern.matches(filename));
        let Patterns { include, exclude } = &*self.patterns;
        self.codes.push(Matched { included: any(include), excluded: any(exclude) });
    }

    fn learn_node(&mut self, parent: usize, code: usize) {
        let callers = self.stack(parent);
        let code = self.codes.get(code).copied().unwrap_or_default();
        self.nodes.push(Matched {
            included: callers.included || code.included,
            excluded: callers.excluded || code.excluded,
        });
    }

    fn stack(&self, node: usize) -> Matched {
        node.checked_sub(1).and_then(|index| self.nodes.get(index)).copied().unwrap_or_default()
    }

    fn wants(&self, node: usize) -> bool {
        let Matched { included, excluded } = self.stack(node);
        (included || self.patterns.include.is_empty()) && !excluded
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rspy_cpython::Attached;
    use rspy_cpython::sampling::Watch;
    use rspy_process::{Batch, Memory, Process};
    use rspy_tests::target::{self, Target};
    use rspy_tests::{interpreters, process};

    use super::*;

    fn pattern(text: &str) -> StackPattern {
        text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    fn matches(text: &str, filename: &str) -> bool {
        pattern(text).matches(filename)
    }

    #[test]
    fn a_file_is_the_end_of_a_path() {
        assert!(matches("app.py", "/srv/app.py") && matches("app.py", "app.py"));
        assert!(!matches("app.py", "/srv/myapp.py") && !matches("app.py", "/srv/app.pyc"));
        assert!(matches("srv/app.py", "/srv/app.py") && !matches("v/app.py", "/srv/app.py"));
        assert!(matches("/srv/app.py", "/srv/app.py") && !matches("/app.py", "/srv/app.py"));
        assert!(matches("my-script", "/usr/bin/my-script"));
    }

    #[test]
    fn a_glob_crosses_folders() {
        assert!(matches("*/django/*", "/lib/django/db/models.py"));
        assert!(matches("django/*", "/lib/django/db/models.py"));
        assert!(!matches("*/django/*", "/lib/mydjango/db.py"));
        assert!(matches("test_*.py", "/x/test_a.py") && !matches("test_*.py", "/x/my_test_a.py"));
        assert!(matches("db/model?.py", "/lib/db/models.py"));
        assert!(matches("[ab].py", "/x/b.py") && !matches("[ab].py", "/x/c.py"));
        assert!(matches("**/b.py", "/x/a/b.py") && "a**.py".parse::<StackPattern>().is_err());
        assert!(matches("<ipython-input-*>", "<ipython-input-3-5d8>"));
        assert!(matches("a[[]1].py", "/x/a[1].py"));
    }

    #[test]
    fn the_longest_names_are_no_harder() {
        // Each `*` could stand for any of 4,096 places: tried in turn, this would not end.
        let filename = "a/".repeat(2048);
        assert!(!matches(&format!("{}b", "*a".repeat(12)), &filename));
        assert!(!matches("a.b.c", &filename) && matches("a.a.a", &filename));
    }

    #[test]
    fn a_module_is_all_below_it() {
        assert!(
            matches("django", "/lib/django/db/models.py") && matches("django", "/lib/django/__init__.py")
        );
        assert!(matches("django.db", "/lib/django/db/models.py"));
        assert!(matches("django.db.models", "/lib/django/db/models.py"));
        assert!(matches("json.decoder", "json/decoder.py") && matches("app", "app.py"));
        assert!(matches("pandas._libs.lib", "pandas/_libs/lib.pyx"));
        assert!(!matches("django.db", "/lib/django/dbx/models.py"));
        assert!(!matches("django.db", "/lib/db/models.py"));
        assert!(!matches("django", "/lib/mydjango/db.py"));
        assert!(!matches("v1", "/srv/v1.d/app.py"), "only the file has an extension");
        assert!(matches("manage", "/srv/manage"));
    }

    #[test]
    fn names_that_are_no_paths_are_what_they_are() {
        assert!(matches("<string>", "<string>") && !matches("<string>", "/x/<string>"));
        assert!(matches("<frozen runpy>", "<frozen runpy>"));
        assert!(matches("importlib", "<frozen importlib._bootstrap>"));
        assert!(matches("importlib._bootstrap", "<frozen importlib._bootstrap>"));
        assert!(!matches("_bootstrap", "<frozen importlib._bootstrap>"));
        assert!(!matches("string", "<string>"));
    }

    #[test]
    fn import_machinery_is_hidden_by_its_files() {
        assert!(is_importlib("<frozen importlib._bootstrap>"));
        assert!(is_importlib("<frozen importlib._bootstrap_external>"));
        assert!(is_importlib("/usr/lib/python3.6/importlib/_bootstrap.py"));
        assert!(is_importlib("importlib/_bootstrap_external.py"));
        // What a program calls itself stays.
        assert!(!is_importlib("/usr/lib/python3.6/importlib/__init__.py"));
        assert!(!is_importlib("<frozen runpy>"));
        assert!(!is_importlib("/srv/myimportlib/_bootstrap.py"));
        assert!(!is_importlib(""));
    }

    /// A filter that has met these files, and these nodes: parent and code.
    fn filter(include: &[&str], exclude: &[&str], files: &[&str], nodes: &[(usize, usize)]) -> StackFilter {
        let patterns = |texts: &[&str]| texts.iter().map(|text| pattern(text)).collect();
        let mut filter = StackFilter::new(patterns(include), patterns(exclude)).expect("something is said");
        files.iter().for_each(|file| filter.learn_code(file));
        nodes.iter().for_each(|(parent, code)| filter.learn_node(*parent, *code));
        filter
    }

    #[test]
    fn a_frame_anywhere_decides() {
        // a → b → c, a → c, c
        let files = ["/x/a.py", "/x/b.py", "/x/c.py"];
        let nodes = [(0, 0), (1, 1), (2, 2), (1, 2), (0, 2)];
        let kept = |include: &[&str], exclude: &[&str]| -> Vec<usize> {
            let filter = filter(include, exclude, &files, &nodes);
            (0..=nodes.len()).filter(|node| filter.wants(*node)).collect()
        };
        assert_eq!(kept(&["b.py"], &[]), [2, 3]);
        assert_eq!(kept(&["a.py"], &[]), [1, 2, 3, 4]);
        assert_eq!(kept(&[], &["b.py"]), [0, 1, 4, 5]);
        assert_eq!(kept(&["a"], &["c"]), [1, 2]);
        assert_eq!(kept(&["b", "c"], &[]), [2, 3, 4, 5]);
        assert_eq!(kept(&["none"], &[]), [0; 0]);
    }

    #[test]
    fn nodes_that_cannot_be_are_stacks_without_frames() {
        let filter = filter(&[], &["a"], &["a.py"], &[(7, 0), (0, 9)]);
        assert!(!filter.wants(1) && filter.wants(2) && filter.wants(3) && filter.wants(usize::MAX));
    }

    #[test]
    fn stacks_of_a_process_are_told_by_their_files() {
        for interpreter in interpreters::all() {
            let target = Target::start(target::command(&interpreter, "known_names.py", &[])).unwrap();
            let waits = || process::system_call(target.pid, target.pid) == Some((0, 0));
            process::wait_until("it reads its input", waits).unwrap();
            let process = Process::open(target.pid).unwrap();
            let attached = Attached::find(&process).unwrap();
            let (memory, layout) = (process.memory(), &attached.layout);
            let mut watch = Watch::new(attached.threads(memory).unwrap().remove(0));
            let mut unwinder = Unwinder::default();
            let mut batch = Batch::new();
            let asked = unwinder.ask(memory, layout, &mut watch, &mut batch, false);
            memory.read_many(&mut batch);
            let sampled = unwinder.standing(memory, layout, &mut watch, asked, &batch, NodeId::ROOT);
            let keeps = |include: &[&str], exclude: &[&str]| {
                let mut filter = filter(include, exclude, &[], &[]);
                assert_eq!(filter.keeps(NodeId::ROOT, &unwinder), include.is_empty());
                let keeps = filter.keeps(sampled.stack, &unwinder);
                assert_eq!(filter.keeps(sampled.stack, &unwinder), keeps, "as the first time");
                keeps
            };
            assert!(keeps(&["targets/known_*.py"], &[]) && keeps(&["known_names"], &["none"]));
            assert!(keeps(&["<string>"], &[]) && !keeps(&[], &["<string>"]), "{}", interpreter.label);
            assert!(!keeps(&["none.py"], &[]) && !keeps(&["<string>"], &["known_names.py"]));
        }
    }

    proptest! {
        #[test]
        fn what_is_remembered_is_what_the_frames_say(
            files in prop::collection::vec("[a-c]", 1..5),
            nodes in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 1..40),
        ) {
            let files: Vec<&str> = files.iter().map(String::as_str).collect();
            let nodes: Vec<(usize, usize)> = nodes.iter().enumerate()
                .map(|(index, (parent, code))| (parent.index(index + 1), code.index(files.len()))).collect();
            let filter = filter(&["a"], &["b"], &files, &nodes);
            for node in 0..=nodes.len() {
                let (mut at, mut stack) = (node, Vec::new());
                while at > 0 {
                    let (parent, code) = nodes[at - 1];
                    stack.push(files[code]);
                    at = parent;
                }
                prop_assert_eq!(filter.wants(node), stack.contains(&"a") && !stack.contains(&"b"));
            }
        }

        #[test]
        fn a_path_is_its_own_pattern(path in "(/?[a-z]{1,3}){1,4}\\.py", above in "(/[a-z]{1,3}){0,3}/") {
            prop_assert!(matches(&path, &path));
            let below = format!("{above}{path}");
            prop_assert!(path.starts_with('/') || matches(&path, &below));
        }

        #[test]
        fn no_text_is_too_strange(text in ".{0,20}", filename in ".{0,40}") {
            if let Ok(pattern) = text.parse::<StackPattern>() {
                pattern.matches(&filename);
            }
            is_importlib(&filename);
        }
    }
}
