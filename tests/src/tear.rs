//! Whether a stack can have existed: the judge of targets made by `churn_source.py`.

use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;

use serde::Deserialize;

use crate::Outcome;
use crate::stacks::{CUT, Profile, Seen};

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
    innermost: bool,
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
            match self.judge_stack(stack, &mut verdict.seen) {
                Ok(()) if stack[0].name == CUT => verdict.cut += count,
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
        let places: Vec<Place<'_>> = known.iter().map(|frame| self.place(frame)).collect::<Result<_, _>>()?;
        let (Some(innermost), Some(root)) = (places.first(), places.last()) else {
            return if is_cut { Ok(()) } else { Err("an empty stack".to_owned()) };
        };
        if !self.statutes.roots.contains(&root.function.key) {
            return Err(format!("{} cannot be a root", root.function.key));
        }
        for pair in places.windows(2) {
            let (callee, caller) = (&pair[0], &pair[1]);
            let called = caller.function.calls.get(&caller.line);
            let is_legal = called.is_some_and(|called| called.contains(&callee.function.key))
                && (caller.number.is_none() || caller.number == callee.number);
            if !is_legal {
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

    fn place(&self, frame: &Seen) -> Result<Place<'_>, String> {
        let line = frame.line.ok_or_else(|| format!("{frame} has no line"))?;
        let number = frame.filename.strip_prefix("<made ").and_then(|rest| rest.strip_suffix('>'));
        if let Some(number) = number.and_then(|number| number.parse::<u32>().ok()) {
            return self.made(frame, line, number);
        }
        if !frame.filename.ends_with("churn.py") {
            return Err(format!("{frame} is in another file"));
        }
        let index = self.by_line.get(&(frame.name.clone(), line));
        let index = index.ok_or_else(|| format!("{frame} is no line of that function"))?;
        Ok(Place { function: &self.statutes.functions[*index], line, number: None })
    }

    /// A function of the file `<made NUMBER>`, whose text begins after NUMBER modulo `period` empty lines.
    fn made(&self, frame: &Seen, line: u32, number: u32) -> Result<Place<'_>, String> {
        let is_named = |function: &&Function| function.name.replace('@', &number.to_string()) == frame.name;
        let function = self.statutes.made.iter().find(is_named);
        let function = function.ok_or_else(|| format!("{frame}: the name belongs to another file"))?;
        match line.checked_sub(number % self.statutes.period) {
            Some(line) if function.lines.contains(&line) => {
                Ok(Place { function, line, number: Some(number) })
            }
            // The body of a module stands at line 1 before its first statement, however far that is.
            _ if function.name == "<module>" && line <= 1 => {
                Ok(Place { function, line, number: Some(number) })
            }
            _ => Err(format!("{frame} is no line of that function")),
        }
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
        self.whole + self.cut + self.illegal_samples()
    }

    /// The number of samples that cannot have been.
    pub fn illegal_samples(&self) -> u64 {
        self.illegal.iter().map(|(_, count)| count).sum()
    }

    /// A line of numbers, then the illegal stacks that came most often.
    pub fn report(&self) -> String {
        let mut text = format!(
            "{} samples: {} whole, {} cut, {} illegal; {} functions seen",
            self.samples(),
            self.whole,
            self.cut,
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
