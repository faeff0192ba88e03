//! The JSON of `rspy lines` and `rspy stats`: every key that there is, and no other.

use std::ffi::OsStr;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::Outcome;
use crate::rspy::{Output, Run};

/// What `rspy lines --json` writes.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lines {
    /// The program.
    pub title: String,
    /// The samples, in a line.
    pub subtitle: String,
    /// How many there are.
    pub samples: u64,
    /// How many could not be taken.
    pub lost: u64,
    /// Of how many the innermost frames are not known.
    pub cut: u64,
    /// What they stand for.
    pub time: f64,
    /// In seconds.
    pub duration: f64,
    /// `s` or `samples`.
    pub unit: String,
    /// The functions that are shown.
    pub functions: Vec<Annotated>,
}

/// A function with its source.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Annotated {
    /// Its qualified name.
    pub name: String,
    /// Its file.
    pub file: String,
    /// The same within its package.
    pub short_file: String,
    /// The line it begins on.
    pub first_line: Option<u32>,
    /// In how many samples it was.
    pub samples: u64,
    /// For how long.
    pub total: f64,
    /// For how long without what it calls.
    pub own: f64,
    /// For how long it ran.
    pub cpu: f64,
    /// For how long it waited.
    pub waiting: f64,
    /// For how long it waited for the GIL.
    pub waiting_for_gil: f64,
    /// By how many bytes memory grew.
    pub grown: Option<f64>,
    /// How many were given back.
    pub released: Option<f64>,
    /// By how much it grew while nothing that it calls was executed, in bytes.
    pub own_grown: Option<f64>,
    /// The most that was resident meanwhile, in bytes.
    pub most: Option<u64>,
    /// How often it was seen to begin.
    pub visits: Option<u64>,
    /// What is said of its source.
    pub note: Option<String>,
    /// Its lines.
    pub lines: Vec<Line>,
}

/// A line of it. What was not seen has a number and its source only.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Line {
    /// Its number.
    pub line: Option<u32>,
    /// Its source.
    pub source: Option<String>,
    /// In how many samples it was.
    #[serde(default)]
    pub samples: u64,
    /// As of the function.
    #[serde(default)]
    pub total: f64,
    /// As of the function.
    #[serde(default)]
    pub own: f64,
    /// As of the function.
    #[serde(default)]
    pub cpu: f64,
    /// As of the function.
    #[serde(default)]
    pub waiting: f64,
    /// As of the function.
    #[serde(default)]
    pub waiting_for_gil: f64,
    /// As of the function.
    pub grown: Option<f64>,
    /// As of the function.
    pub released: Option<f64>,
    /// By how much it grew while nothing that it calls was executed, in bytes.
    pub own_grown: Option<f64>,
    /// The most that was resident meanwhile, in bytes.
    pub most: Option<u64>,
    /// How often it was seen to begin.
    pub visits: Option<u64>,
}

/// What `rspy stats --json` writes.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stats {
    /// The program.
    pub title: String,
    /// The samples, in a line.
    pub subtitle: String,
    /// How many there are.
    pub samples: u64,
    /// How many could not be taken.
    pub lost: u64,
    /// Of how many the innermost frames are not known.
    pub cut: u64,
    /// What they stand for.
    pub time: f64,
    /// In seconds.
    pub duration: f64,
    /// `s` or `samples`.
    pub unit: String,
    /// The functions that are shown, in their order.
    pub functions: Vec<Function>,
}

/// A function.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Function {
    /// Its qualified name.
    pub name: String,
    /// Its file, or `~`.
    pub file: String,
    /// The same within its package.
    pub short_file: String,
    /// The line it begins on.
    pub line: u32,
    /// The calls that were seen to begin.
    pub calls: u64,
    /// Those that were not within another one.
    pub primitive_calls: u64,
    /// The time without what it calls.
    pub own: f64,
    /// The time with it.
    pub total: f64,
    /// Who called it; what is called has neither of both.
    #[serde(default)]
    pub callers: Vec<Function>,
    /// What it called.
    #[serde(default)]
    pub callees: Vec<Function>,
}

impl Lines {
    /// What is shown of the function `name`.
    pub fn of(&self, name: &str) -> Outcome<&Annotated> {
        let found = self.functions.iter().find(|function| function.name.rsplit('.').next() == Some(name));
        found.ok_or_else(|| {
            let names: Vec<&str> = self.functions.iter().map(|function| function.name.as_str()).collect();
            format!("no {name} among {names:?}").into()
        })
    }
}

impl Annotated {
    /// The line that has this number.
    pub fn line(&self, number: u32) -> Outcome<&Line> {
        let found = self.lines.iter().find(|line| line.line == Some(number));
        found.ok_or_else(|| format!("no line {number} of {self:?}").into())
    }

    /// The line whose source has `text`.
    pub fn line_with(&self, text: &str) -> Outcome<&Line> {
        let has_text = |line: &&Line| line.source.as_ref().is_some_and(|source| source.contains(text));
        self.lines.iter().find(has_text).ok_or_else(|| format!("no line with {text:?} of {self:?}").into())
    }
}

/// The JSON that `rspy COMMAND` writes with these `words`.
pub fn json<T: DeserializeOwned>(command: &str, words: &[&str]) -> Outcome<T> {
    Ok(json_and_output(command, words)?.0)
}

/// The same with what it says beside.
pub fn json_and_output<T: DeserializeOwned>(command: &str, words: &[&str]) -> Outcome<(T, Output)> {
    let all = [command, "--json"].into_iter().chain(words.iter().copied());
    let output = Run::start(all.map(OsStr::new))?.output()?.success()?;
    let read = serde_json::from_str(&output.stdout);
    Ok((read.map_err(|error| format!("{error} in {}", output.stdout))?, output))
}
