//! `--thread` and `--main-thread`.

use std::fmt::{self, Display, Formatter};
use std::str::FromStr;

use glob::Pattern;

use super::is_glob;

/// One `--thread`.
#[derive(Clone, Debug)]
pub enum ThreadPattern {
    /// The kernel's id of a thread, or what `threading.get_ident()` returns in it.
    Id(u64),
    /// Its name.
    Name {
        /// As it is.
        exact: Box<str>,
        /// With characters that stand for others, if it has any.
        glob: Option<Pattern>,
    },
}

impl FromStr for ThreadPattern {
    type Err = String;

    fn from_str(text: &str) -> Result<ThreadPattern, String> {
        if text.is_empty() {
            return Err("give the name or the id of a thread; `rspy dump --pid PID` shows them".to_owned());
        }
        if text.bytes().all(|byte| byte.is_ascii_digit())
            && let Ok(id) = text.parse()
        {
            return Ok(ThreadPattern::Id(id));
        }
        // A name may have a bracket that is never closed: then that is the name.
        let glob = Pattern::new(text).ok().filter(|_| is_glob(text));
        Ok(ThreadPattern::Name { exact: text.into(), glob })
    }
}

impl Display for ThreadPattern {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        match self {
            ThreadPattern::Id(id) => id.fmt(out),
            ThreadPattern::Name { exact, .. } => crate::printable::printable(exact).fmt(out),
        }
    }
}

impl ThreadPattern {
    fn matches(&self, thread: &Candidate) -> Match {
        match (self, thread.name) {
            (ThreadPattern::Id(id), _) => {
                (thread.os_id.map(u64::from) == Some(*id) || thread.python_id == *id).into()
            }
            (ThreadPattern::Name { .. }, None) => Match::NotYet,
            (ThreadPattern::Name { exact, glob }, Some(name)) => {
                (name == &**exact || glob.as_ref().is_some_and(|glob| glob.matches(name))).into()
            }
        }
    }
}

/// A thread, as far as it is known.
#[derive(Copy, Clone, Debug)]
pub struct Candidate<'a> {
    /// The kernel's id.
    pub os_id: Option<u32>,
    /// What `threading.get_ident()` returns in it.
    pub python_id: u64,
    /// Whether it is the main thread of its process.
    pub is_main: bool,
    /// Its name. `None` as long as none was found: a thread is named after it has begun.
    pub name: Option<&'a str>,
}

/// Whether a thread is wanted.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Match {
    /// It is.
    Yes,
    /// It is not.
    No,
    /// It may be, once its name is known.
    NotYet,
}

impl Match {
    /// Whether it is known to be wanted.
    pub fn is_yes(self) -> bool {
        self == Match::Yes
    }
}

impl From<bool> for Match {
    fn from(is_match: bool) -> Match {
        if is_match { Match::Yes } else { Match::No }
    }
}

/// The threads that are wanted.
#[derive(Clone, Debug)]
pub struct ThreadFilter {
    patterns: Vec<ThreadPattern>,
    main: bool,
}

impl ThreadFilter {
    /// The threads that match one of `patterns`, and with `main` the main thread. `None` if nothing
    /// is said: every thread is wanted then.
    pub fn new(patterns: Vec<ThreadPattern>, main: bool) -> Option<ThreadFilter> {
        (main || !patterns.is_empty()).then_some(ThreadFilter { patterns, main })
    }

    /// Whether `thread` is among them. A name can change: what was said of a thread with another one
    /// does not hold.
    pub fn matches(&self, thread: &Candidate) -> Match {
        let mut best = Match::from(self.main && thread.is_main);
        for pattern in &self.patterns {
            match (best, pattern.matches(thread)) {
                (Match::Yes, _) | (_, Match::Yes) => return Match::Yes,
                (_, Match::NotYet) => best = Match::NotYet,
                (_, Match::No) => {}
            }
        }
        best
    }
}

impl Display for ThreadFilter {
    /// Whose name or id a thread has to have: `worker-* or 41`.
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        for (index, pattern) in self.patterns.iter().enumerate() {
            let before = if index == 0 { "" } else { " or " };
            write!(out, "{before}{pattern}")?;
        }
        match (self.main, self.patterns.is_empty()) {
            (true, true) => write!(out, "of the main thread"),
            (true, false) => write!(out, " or of the main thread"),
            (false, _) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn filter(patterns: &[&str], main: bool) -> ThreadFilter {
        let patterns = patterns.iter().map(|text| text.parse().unwrap()).collect();
        ThreadFilter::new(patterns, main).expect("something is said")
    }

    fn thread(name: Option<&str>) -> Candidate<'_> {
        Candidate { os_id: Some(41), python_id: 140_000_000_000_001, is_main: false, name }
    }

    #[test]
    fn a_name_is_exact_or_a_glob() {
        let is = |pattern, name| filter(&[pattern], false).matches(&thread(Some(name))) == Match::Yes;
        assert!(is("worker", "worker") && !is("worker", "worker-1") && !is("worker", "my worker"));
        assert!(is("worker-*", "worker-1") && is("worker-?", "worker-1") && !is("worker-?", "worker-10"));
        assert!(is("*pool*", "a/pool/b") && is("*", ".x") && is("*", ""));
        // What looks like a glob is a name as well, and nothing else if it is none.
        assert!(is("w[1]", "w[1]") && is("w[1]", "w1") && is("w[1", "w[1") && !is("w[1", "w1"));
        assert!(!is("Worker", "worker"));
    }

    #[test]
    fn an_id_is_the_kernels_or_pythons() {
        let matches = |pattern| filter(&[pattern], false).matches(&thread(None));
        assert_eq!(matches("41"), Match::Yes);
        assert_eq!(matches("140000000000001"), Match::Yes);
        assert_eq!(matches("42"), Match::No);
        let unknown = Candidate { os_id: None, ..thread(Some("42")) };
        assert_eq!(filter(&["42"], false).matches(&unknown), Match::No);
        // No id is that large.
        let long = "1".repeat(30);
        assert_eq!(filter(&[&long], false).matches(&thread(Some(&long))), Match::Yes);
    }

    #[test]
    fn a_name_may_come_later() {
        assert_eq!(filter(&["worker"], false).matches(&thread(None)), Match::NotYet);
        assert_eq!(filter(&["worker", "41"], false).matches(&thread(None)), Match::Yes);
        assert_eq!(filter(&["worker", "42"], false).matches(&thread(None)), Match::NotYet);
        assert_eq!(filter(&["worker", "42"], false).matches(&thread(Some("x"))), Match::No);
    }

    #[test]
    fn the_main_thread_is_one_more() {
        let main = Candidate { is_main: true, ..thread(None) };
        assert_eq!(filter(&[], true).matches(&main), Match::Yes);
        assert_eq!(filter(&["worker"], true).matches(&main), Match::Yes);
        assert_eq!(filter(&[], true).matches(&thread(None)), Match::No);
        assert_eq!(filter(&["worker"], true).matches(&thread(Some("worker"))), Match::Yes);
        assert_eq!(
            filter(&["worker"], false).matches(&Candidate { name: Some("MainThread"), ..main }),
            Match::No
        );
        assert!(ThreadFilter::new(Vec::new(), false).is_none());
    }

    #[test]
    fn what_is_asked_for_is_said() {
        assert_eq!(filter(&["worker"], false).to_string(), "worker");
        assert_eq!(filter(&["w-*", "41"], true).to_string(), "w-* or 41 or of the main thread");
        assert_eq!(filter(&[], true).to_string(), "of the main thread");
    }

    proptest! {
        #[test]
        fn any_name_is_its_own_pattern(name in ".+") {
            let pattern: ThreadPattern = name.parse().unwrap();
            let is_own = pattern.matches(&thread(Some(&name))) == Match::Yes;
            prop_assert!(is_own || matches!(pattern, ThreadPattern::Id(_)));
        }
    }
}
