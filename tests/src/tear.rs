//! Whether a stack can have existed: the judge of targets made by `churn_source.py`.

use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;

use serde::Deserialize;

use crate::Outcome;
use crate::stacks::{CUT, LOST, Profile, Seen, TRUNCATED};

/// What `law.json` says: which functions there are, and which line of each can call which others.
#[derive(Debug, Deserialize)]
struct Statutes {
    functions: Vec<Function>,
    made: Vec<Function>,
    period: u32,
    roots: HashSet<String>,
}

#[derive(Debug, Deserialize)]
struct Function {
    key: String,
    name: String,
    lines: HashSet<u32>,
    calls: HashMap<u32, HashSet<String>>,
    /// Whether it can be the innermost frame.
    innermost: bool,
    /// Whether it has instructions that belong to no line.
    lineless: bool,
}

/// The law of one target.
pub struct Law {
    statutes: Statutes,
    by_line: HashMap<(String, u32), usize>,
}

/// A judged recording.
#[derive(Debug, Default)]
pub struct Verdict {
    /// Samples whose whole stack is legal.
    pub whole: u64,
    /// Samples whose innermost frames are said to be unknown, the rest legal.
    pub cut: u64,
    /// Those of them of which no frame is known.
    pub bare: u64,
    /// Samples whose stack, or whose root, is said to be unknown.
    pub lost: u64,
    /// Samples that cannot have been, each stack with what is wrong and how often it came.
    pub illegal: Vec<(String, u64)>,
    /// The functions seen.
    pub seen: HashSet<String>,
}

/// A function at one place of a stack.
struct Place<'a> {
    function: &'a Function,
    /// The line as the law counts it.
    line: u32,
    /// Which of the functions made of the same text it is.
    number: Option<u32>,
}

impl Place<'_> {
    fn calls(&self, function: &Function) -> bool {
        self.function.calls.get(&self.line).is_some_and(|called| called.contains(&function.key))
    }
}

impl Law {
    /// Reads `law.json`.
    pub fn parse(text: &str) -> Outcome<Law> {
        let statutes: Statutes = serde_json::from_str(text)?;
        let mut by_line = HashMap::new();
        for (index, function) in statutes.functions.iter().enumerate() {
            for line in &function.lines {
                // Two functions of one name on one line could not be told apart.
                if by_line.insert((function.name.clone(), *line), index).is_some() {
                    return Err(format!("two functions {} at line {line}", function.name).into());
                }
            }
        }
        Ok(Law { statutes, by_line })
    }

    /// Judges every stack of a recording.
    pub fn judge(&self, profile: &Profile, verdict: &mut Verdict) {
        for (stack, count) in &profile.stacks {
            if is_lost(stack) {
                verdict.lost += count;
                continue;
            }
            match self.judge_stack(stack, &mut verdict.seen) {
                Ok(()) if stack[0].name == CUT => {
                    verdict.cut += count;
                    verdict.bare += if stack.len() == 1 { *count } else { 0 };
                }
                Ok(()) => verdict.whole += count,
                Err(reason) => verdict.illegal.push((describe(stack, &reason), *count)),
            }
        }
    }

    /// How many functions can be seen.
    pub fn functions(&self) -> usize {
        let called: HashSet<&String> =
            self.statutes.functions.iter().flat_map(|function| function.calls.values().flatten()).collect();
        called.len()
    }

    fn judge_stack(&self, stack: &[Seen], seen: &mut HashSet<String>) -> Result<(), String> {
        let is_cut = stack.first().is_some_and(|frame| frame.name == CUT);
        let known = &stack[usize::from(is_cut)..];
        let mut places: Vec<Place<'_>> = Vec::new();
        for frame in known.iter().rev() {
            places.push(self.place(frame, places.last())?);
        }
        let (Some(root), Some(innermost)) = (places.first(), places.last()) else {
            return if is_cut { Ok(()) } else { Err("an empty stack".to_owned()) };
        };
        if !self.statutes.roots.contains(&root.function.key) {
            return Err(format!("{} cannot be a root", root.function.key));
        }
        for pair in places.windows(2) {
            let (caller, callee) = (&pair[0], &pair[1]);
            if !caller.calls(callee.function) || (caller.number.is_some() && caller.number != callee.number) {
                let (caller, callee) = (&caller.function.key, &callee.function.key);
                return Err(format!("{caller} does not call {callee} there"));
            }
        }
        if is_cut && !innermost.function.calls.contains_key(&innermost.line) {
            return Err(format!("{} is cut at a line that calls nothing", innermost.function.key));
        }
        if !is_cut && !innermost.function.innermost {
            return Err(format!("{} is never innermost", innermost.function.key));
        }
        seen.extend(places.iter().map(|place| place.function.key.clone()));
        Ok(())
    }

    /// Which function `frame` is, and where in it. Without a line the name alone may not tell, but the caller does.
    fn place(&self, frame: &Seen, caller: Option<&Place<'_>>) -> Result<Place<'_>, String> {
        let number = frame.filename.strip_prefix("<made ").and_then(|rest| rest.strip_suffix('>'));
        if let Some(number) = number.and_then(|number| number.parse::<u32>().ok()) {
            return self.made(frame, number);
        }
        if !frame.filename.ends_with("churn.py") {
            return Err(format!("{frame} is in another file"));
        }
        let functions = &self.statutes.functions;
        let function = match frame.line.filter(|line| *line > 0) {
            Some(line) => self.by_line.get(&(frame.name.clone(), line)).map(|index| &functions[*index]),
            None => functions.iter().find(|function| {
                function.name == frame.name
                    && function.lineless
                    && caller.is_none_or(|caller| caller.calls(function))
            }),
        };
        let function = function.ok_or_else(|| format!("{frame} is no line of that function"))?;
        Ok(Place { function, line: frame.line.unwrap_or(0), number: None })
    }

    /// A function of the file `<made NUMBER>`, whose text begins after NUMBER modulo `period` empty lines.
    fn made(&self, frame: &Seen, number: u32) -> Result<Place<'_>, String> {
        let is_named = |function: &&Function| function.name.replace('@', &number.to_string()) == frame.name;
        let function = self.statutes.made.iter().find(is_named);
        let function = function.ok_or_else(|| format!("{frame}: the name belongs to another file"))?;
        let line = frame.line.unwrap_or(0);
        let shifted = line.saturating_sub(number % self.statutes.period);
        // The body of a module stands at its line 0 or 1 before the first statement, however far that is.
        let is_line = function.lines.contains(&shifted)
            || (line == 0 && function.lineless)
            || (line <= 1 && function.name == "<module>");
        if is_line {
            Ok(Place { function, line: shifted, number: Some(number) })
        } else {
            Err(format!("{frame} is no line of that function"))
        }
    }
}

/// Whether the stack says that it is not known: as a whole, or its root.
fn is_lost(stack: &[Seen]) -> bool {
    match stack {
        [only] => only.name.starts_with(LOST) || only.name == TRUNCATED,
        [.., root] => root.name == TRUNCATED,
        [] => false,
    }
}

fn describe(stack: &[Seen], reason: &str) -> String {
    let mut text = format!("{reason}:");
    for frame in stack {
        let _ = write!(text, "\n      {frame}");
    }
    text
}

impl Verdict {
    /// The number of samples judged.
    pub fn samples(&self) -> u64 {
        self.whole + self.cut + self.lost + self.illegal_samples()
    }

    /// The number of samples that cannot have been.
    pub fn illegal_samples(&self) -> u64 {
        self.illegal.iter().map(|(_, count)| count).sum()
    }

    /// A line of numbers, then the illegal stacks that came most often.
    pub fn report(&self) -> String {
        let mut text = format!(
            "{} samples: {} whole, {} cut ({} bare), {} lost, {} illegal; {} functions seen",
            self.samples(),
            self.whole,
            self.cut,
            self.bare,
            self.lost,
            self.illegal_samples(),
            self.seen.len()
        );
        let mut illegal: Vec<_> = self.illegal.iter().collect();
        illegal.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        for (stack, count) in illegal.iter().take(5) {
            let _ = write!(text, "\n  {count} times: {stack}");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LAW: &str = r#"{
        "functions": [
            {"key": "<module>", "name": "<module>", "lines": [1, 9], "calls": {"9": ["main"]},
             "innermost": false, "lineless": false},
            {"key": "main", "name": "main", "lines": [2, 3, 4], "calls": {"3": ["leaf"], "4": ["made:a"]},
             "innermost": true, "lineless": false},
            {"key": "leaf", "name": "leaf", "lines": [5, 6], "calls": {}, "innermost": true, "lineless": true},
            {"key": "other", "name": "leaf", "lines": [7], "calls": {}, "innermost": true, "lineless": true}
        ],
        "made": [
            {"key": "made:a", "name": "made_@_a", "lines": [1, 2], "calls": {"2": ["made:b"]},
             "innermost": true, "lineless": false},
            {"key": "made:b", "name": "made_@_b", "lines": [3], "calls": {}, "innermost": true, "lineless": false}
        ],
        "period": 50,
        "roots": ["<module>"]
    }"#;

    fn judged(stack: &str) -> Verdict {
        let mut verdict = Verdict::default();
        let profile = Profile::parse(&format!("{stack} 1")).expect("a collapsed stack");
        Law::parse(LAW).expect("a law").judge(&profile, &mut verdict);
        verdict
    }

    #[test]
    fn accepts_what_the_law_allows() {
        for stack in [
            "<module> (churn.py:9);main (churn.py:2)",
            "<module> (churn.py:9);main (churn.py:3);leaf (churn.py:6)",
            "<module> (churn.py:9);main (churn.py:3);leaf (churn.py)",
            "<module> (churn.py:9);main (churn.py:4);made_101_a (<made 101>:3);made_101_b (<made 101>:4)",
        ] {
            assert_eq!(judged(stack).whole, 1, "{stack}");
        }
        for (stack, bare) in [("[cut]", 1), ("<module> (churn.py:9);main (churn.py:3);[cut]", 0)] {
            assert_eq!((judged(stack).cut, judged(stack).bare), (1, bare), "{stack}");
        }
        assert_eq!(judged("[lost: gone]").lost, 1);
        assert_eq!(judged("[truncated];leaf (churn.py:6)").lost, 1);
    }

    #[test]
    fn finds_what_cannot_have_been() {
        for stack in [
            "main (churn.py:2)",
            "<module> (churn.py:9)",
            "<module> (churn.py:1);main (churn.py:2)",
            "<module> (churn.py:9);main (churn.py:2);leaf (churn.py:6)",
            "<module> (churn.py:9);main (churn.py:3);leaf (churn.py:7)",
            "<module> (churn.py:9);main (churn.py:2);[cut]",
            "<module> (churn.py:9);main (churn.py:3);leaf (churn.py:6);[cut]",
            "<module> (churn.py:9);main (churn.py:3);[lost: gone]",
            "<module> (churn.py:9);main (churn.py:3);leaf (other.py:6)",
            "<module> (churn.py:9);main (churn.py:4);made_7_a (<made 8>:9)",
            "<module> (churn.py:9);main (churn.py:4);made_7_a (<made 7>:1)",
            "<module> (churn.py:9);main (churn.py:4);made_7_a (<made 7>:9);made_8_b (<made 8>:11)",
        ] {
            assert_eq!(judged(stack).illegal_samples(), 1, "{stack}");
        }
    }
}
