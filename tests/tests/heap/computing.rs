//! Values that running frames compute with: named where a frame says what it has, and nothing that is only left over.

use std::collections::BTreeMap;
use std::fs;

use rspy_tests::Outcome;
use rspy_tests::interpreters::Interpreter;
use rspy_tests::program::{Program, command};
use rspy_tests::target::scripts;

use super::held::text;

const COMPUTED: &str = ", a value that is being computed -> __main__.Marker";
const SCANNED: &str = ", a value in use or left over -> __main__.Marker";
const UNKNOWN: &str = "(native code, or a value in use) __main__.Marker";

/// What each is said to be held by. How deep its stack is a frame does not say up to 3.10, and up to 3.13 not while C runs that it
/// has called.
pub fn computing(interpreter: &Interpreter) -> Outcome {
    let mut command = command(&interpreter.path);
    command.arg(scripts().join("heap_computing.py")).arg("addresses");
    let mut program = Program::start(command)?;
    program.says("ready")?;
    let addresses: BTreeMap<String, u64> = serde_json::from_slice(&fs::read(program.file("addresses"))?)?;
    let pid = program.pid().to_string();
    let known = |function: &str| format!("frame {function} (");
    let (of_python, of_c, of_sleep) = (known("of_a_call_of_python"), known("of_a_call_of_c"), known("sleep"));
    let minor = if interpreter.version.starts_with('2') { 0 } else { interpreter.minor().1 };
    let expected: [(&str, &str, &str); 3] = match minor {
        0..=10 => [("python", &of_python, SCANNED), ("c", &of_c, SCANNED), ("sleeper", &of_sleep, SCANNED)],
        11..=13 => [("python", &of_python, COMPUTED), ("c", "", UNKNOWN), ("sleeper", "", UNKNOWN)],
        _ => [("python", &of_python, COMPUTED), ("c", &of_c, COMPUTED), ("sleeper", &of_sleep, COMPUTED)],
    };
    let why = |name: &str| -> Outcome<String> {
        text(&["--pid", &pid, "--why", &format!("{:#x}", addresses.get(name).ok_or(name)?)])
    };
    let mut wrong = Vec::new();
    for (name, frame, how) in expected {
        let found = why(name)?;
        if !found.contains(frame) || !found.contains(how) {
            wrong.push(format!("{name} is not held by {frame:?} {how:?}: {found}"));
        }
    }
    // A word that is left over would be a shorter way than by the module.
    let left_over = why("left over")?;
    if minor >= 11 && !left_over.contains("module __main__.last -> __main__.Marker") {
        wrong.push(left_over);
    }
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n").into()) }
}
