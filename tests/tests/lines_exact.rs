//! Every instruction's place in the source, compared with the interpreter's own answer: for its library, and for code
//! made to be hard (`targets/line_tables.py`).

use std::process::Stdio;

use rspy_cpython::layout::{Layout, LineEncoding};
use rspy_cpython::lines::{Location, location, ranges};
use rspy_cpython::{Abi, Version};
use rspy_tests::interpreters::{self, Interpreter};
use rspy_tests::{Outcome, run, target, test};

/// How many modules of the library there must be.
const MODULES: usize = 150;

/// How many bytes of each bytecode are looked up one place at a time too.
const SEARCHED: i64 = 400;

/// A code object as the interpreter describes it.
struct Code<'a> {
    name: &'a str,
    table: Vec<u8>,
    first_line: i32,
    /// Lengths in bytes, and the place of all instructions therein.
    runs: Vec<(i64, Location)>,
}

impl<'a> Code<'a> {
    fn parse(text: &'a str) -> Option<Code<'a>> {
        let mut words = text.split(' ');
        let (name, table) = (words.next()?, words.next()?);
        let first_line = words.next()?.parse().ok()?;
        let runs = words.filter(|word| !word.is_empty()).map(parse_run).collect::<Option<_>>()?;
        Some(Code { name, table: bytes(table)?, first_line, runs })
    }

    /// Compares the place of every instruction, of `unit` bytes each; the number of instructions.
    fn compare(&self, encoding: LineEncoding, unit: usize) -> Outcome<usize> {
        let mut ranges = ranges(encoding, &self.table, self.first_line).peekable();
        let (mut start, mut count) = (0, 0);
        for (length, expected) in &self.runs {
            for offset in (start..start + length).step_by(unit) {
                while ranges.next_if(|range| range.end <= offset).is_some() {}
                let found = ranges.peek().map_or_else(Location::default, |range| range.location);
                self.check(offset, found, *expected)?;
                count += 1;
            }
            // The same as a sample asks for it. Not of all, since each answer costs the way to it.
            if start < SEARCHED {
                let found = location(encoding, &self.table, self.first_line, start);
                self.check(start, found, *expected)?;
            }
            start += length;
        }
        Ok(count)
    }

    fn check(&self, offset: i64, found: Location, expected: Location) -> Outcome {
        let Code { name, first_line, .. } = self;
        if found == expected {
            return Ok(());
        }
        Err(format!(
            "{name}, begun in line {first_line}: byte {offset} is at\n  {found:?}, not\n  {expected:?}"
        )
        .into())
    }
}

fn bytes(hexadecimal: &str) -> Option<Vec<u8>> {
    let digits = hexadecimal.as_bytes().chunks(2);
    digits.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}

fn parse_run(text: &str) -> Option<(i64, Location)> {
    let mut numbers = text.split(':');
    let length = numbers.next()?.parse().ok()?;
    let mut number = || match numbers.next() {
        None | Some("") => Some(None),
        Some(digits) => digits.parse().ok().map(Some),
    };
    let (line, end_line, column, end_column) = (number()?, number()?, number()?, number()?);
    // Before the code of a module lies line 0, of which a user knows nothing.
    Some((length, Location { line: line.filter(|line| *line > 0), end_line, column, end_column }))
}

fn layout_of(interpreter: &Interpreter) -> Outcome<Layout> {
    let version = Version::from_text(&interpreter.version).ok_or("no version")?;
    let abi =
        Abi { free_threaded: interpreter.is_free_threaded(), debug: interpreter.abiflags.contains('d') };
    Ok(Layout::of(version, abi)?)
}

fn lines_exact(interpreter: &Interpreter) -> Outcome {
    let encoding = layout_of(interpreter)?.lines;
    let unit = if interpreter.minor() < (3, 6) { 1 } else { 2 };
    let output = target::command(interpreter, "line_tables.py", &[]).stderr(Stdio::inherit()).output()?;
    if !output.status.success() {
        return Err(format!("the target failed: {}", output.status).into());
    }
    let text = String::from_utf8(output.stdout)?;
    let (mut modules, mut objects, mut instructions, mut longest) = (0, 0, 0, 0);
    for line in text.lines() {
        if let Some(count) = line.strip_prefix("modules ") {
            modules = count.parse()?;
            continue;
        }
        let code = Code::parse(line).ok_or_else(|| format!("not a code object: {line:.200}"))?;
        instructions += code.compare(encoding, unit)?;
        objects += 1;
        longest = longest.max(code.runs.iter().map(|(length, _)| length).sum());
    }
    if modules < MODULES || longest <= 65536 {
        return Err(format!("only {modules} modules, and at most {longest} bytes of bytecode").into());
    }
    println!("{}: {instructions} places in {objects} code objects", interpreter.label);
    Ok(())
}

fn main() {
    let tests = interpreters::all().into_iter().map(|interpreter| {
        test(format!("lines-exact::{}", interpreter.label), move || lines_exact(&interpreter))
    });
    run(tests.collect());
}
