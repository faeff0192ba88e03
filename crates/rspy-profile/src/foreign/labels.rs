//! What the labels that rspy and py-spy write stand for: the `label` module, read backwards.

use crate::frame::{Columns, FrameKind, LostReason};
use crate::label::NO_FRAMES;

/// Every reason that a label can name.
const REASONS: [LostReason; 5] = [
    LostReason::Unreadable,
    LostReason::Inconsistent,
    LostReason::Exited,
    LostReason::Denied,
    LostReason::Dropped,
];

/// The root frame of a thread: `thread (8306): MainThread`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct ThreadLabel<'a> {
    /// The id the operating system gave it.
    pub(super) os_id: Option<u32>,
    /// The id Python gave it.
    pub(super) python_id: Option<u64>,
    /// Its name.
    pub(super) name: Option<&'a str>,
}

/// A place in a program: `name (file:line:columns)`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct PlaceLabel<'a> {
    pub(super) name: &'a str,
    /// Empty if there is none.
    pub(super) file: &'a str,
    pub(super) line: Option<u32>,
    pub(super) columns: Option<Columns>,
}

/// The pid and command line of a root frame such as `process 8306:"python app.py"`.
pub(super) fn process(label: &str) -> Option<(u32, &str)> {
    let (pid, command_line) = label.strip_prefix("process ")?.split_once(":\"")?;
    Some((number(pid)?, command_line.strip_suffix('"')?))
}

/// The thread of a root frame such as `thread (8306): MainThread`.
pub(super) fn thread(label: &str) -> Option<ThreadLabel<'_>> {
    let (id, rest) = label.strip_prefix("thread (")?.split_once(')')?;
    let name = match rest {
        "" => None,
        _ => Some(rest.strip_prefix(": ").filter(|name| !name.is_empty())?),
    };
    let thread = ThreadLabel { name, ..thread_id(id)? };
    Some(thread)
}

/// The thread with an id as labels show it: `8306`, `0x7F00ABCD`, `unknown`.
pub(super) fn thread_id<'a>(id: &str) -> Option<ThreadLabel<'a>> {
    if id == "unknown" {
        return Some(ThreadLabel::default());
    }
    if let Some(os_id) = number(id) {
        return Some(ThreadLabel { os_id: Some(os_id), ..ThreadLabel::default() });
    }
    let python_id = u64::from_str_radix(id.strip_prefix("0x")?, 16).ok()?;
    Some(ThreadLabel { python_id: Some(python_id), ..ThreadLabel::default() })
        .filter(|_| format!("{python_id:#X}") == id)
}

/// The thread with the id `id`, which is the operating system's where it can be: Linux gives none above 2²².
pub(super) fn thread_of_id<'a>(id: u64) -> ThreadLabel<'a> {
    const MOST: u64 = 1 << 22;
    match u32::try_from(id) {
        Ok(os_id) if id <= MOST => ThreadLabel { os_id: Some(os_id), ..ThreadLabel::default() },
        _ => ThreadLabel { python_id: Some(id), ..ThreadLabel::default() },
    }
}

/// Whether `label` is the root of a thread that executes no Python code.
pub(super) fn is_no_frames(label: &str) -> bool {
    label == NO_FRAMES
}

/// What a frame without a file stands for, if it is no function.
pub(super) fn stand_in(label: &str) -> Option<FrameKind> {
    Some(match label {
        "[cut]" => FrameKind::Cut,
        "[truncated]" => FrameKind::Truncated,
        "<gc>" => FrameKind::Collecting,
        "<waits for the GIL>" => FrameKind::WaitsForGil,
        _ => FrameKind::Lost(lost(label)?),
    })
}

/// The reason in `[lost: reason]`.
pub(super) fn lost(label: &str) -> Option<LostReason> {
    let reason = label.strip_prefix("[lost: ")?.strip_suffix(']')?;
    REASONS.into_iter().find(|known| known.to_string() == reason)
}

/// The parts of `name (file:line:columns)`. What is not of that shape is a name.
pub(super) fn place(label: &str) -> PlaceLabel<'_> {
    let whole = PlaceLabel { name: label, ..PlaceLabel::default() };
    let Some((name, inner)) = in_parentheses(label) else { return whole };
    let (file, line, columns) = position(inner);
    let is_part = |text: &str| !text.is_empty() && text.trim() == text;
    if !is_part(name) || !is_part(file) {
        return whole;
    }
    PlaceLabel { name, file, line, columns }
}

/// What is before the last pair of parentheses and a space, and what is in it. Names and files may have
/// parentheses of their own.
fn in_parentheses(label: &str) -> Option<(&str, &str)> {
    let inner = label.strip_suffix(')')?;
    let mut depth = 1;
    for (index, byte) in inner.bytes().enumerate().rev() {
        match byte {
            b')' => depth += 1,
            b'(' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some((label.get(..index)?.strip_suffix(' ')?, inner.get(index + 1..)?));
        }
    }
    None
}

/// The parts of `file:12:5-14:3`, of `file:12:5-18`, `file:12:5`, `file:12` or `file`.
fn position(inner: &str) -> (&str, Option<u32>, Option<Columns>) {
    let Some((before, last)) = inner.rsplit_once(':') else { return (inner, None, None) };
    let with_columns = |text: &str, columns| -> Option<(usize, u32, Option<Columns>)> {
        let (file, line) = text.rsplit_once(':')?;
        Some((file.len(), number(line)?, Some(columns))).filter(|_| !file.is_empty())
    };
    let found = if let Some((first, last)) = last.split_once('-') {
        number(first)
            .zip(number(last))
            .filter(|(first, last)| last >= first)
            .and_then(|(first, last)| with_columns(before, Columns { first, end_line: None, last }))
    } else {
        number(last).and_then(|last| {
            let on_two_lines = before.rsplit_once(':').and_then(|(before, middle)| {
                let (first, end_line) = middle.split_once('-')?;
                let (first, end_line) = (number(first)?, Some(number(end_line)?));
                with_columns(before, Columns { first, end_line, last })
            });
            let nothing = last
                .checked_sub(1)
                .and_then(|end| with_columns(before, Columns { first: last, end_line: None, last: end }));
            on_two_lines.or(nothing).or(Some((before.len(), last, None)))
        })
    };
    match found {
        Some((length, line, columns)) => (inner.get(..length).unwrap_or(inner), Some(line), columns),
        None => (inner, None, None),
    }
}

/// A number as labels have it: digits, none of them a leading zero.
fn number(text: &str) -> Option<u32> {
    let is_written_so =
        text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    text.parse().ok().filter(|_| is_written_so)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_have_their_parts_back() {
        let columns = |first, end_line, last| Some(Columns { first, end_line, last });
        for (label, name, file, line, expected) in [
            ("f (x.py:12)", "f", "x.py", Some(12), None),
            ("f (x.py)", "f", "x.py", None, None),
            ("f (x.py:12:5-18)", "f", "x.py", Some(12), columns(5, None, 18)),
            ("f (x.py:12:5-14:3)", "f", "x.py", Some(12), columns(5, Some(14), 3)),
            ("f (x.py:12:1)", "f", "x.py", Some(12), columns(1, None, 0)),
            ("<module> (<frozen runpy>:198)", "<module>", "<frozen runpy>", Some(198), None),
            ("f (/My (dir)/x.py:3)", "f", "/My (dir)/x.py", Some(3), None),
            ("f (int) (x.cpp:3)", "f (int)", "x.cpp", Some(3), None),
            ("f (C:\\x.py:3)", "f", "C:\\x.py", Some(3), None),
            ("f (x.py:012)", "f", "x.py:012", None, None),
            ("f (x.py:12:9-8)", "f", "x.py:12:9-8", None, None),
            ("f(x.py:12)", "f(x.py:12)", "", None, None),
            ("f ()", "f ()", "", None, None),
            ("(x.py:1)", "(x.py:1)", "", None, None),
            ("f", "f", "", None, None),
            (")", ")", "", None, None),
            ("", "", "", None, None),
        ] {
            assert_eq!(place(label), PlaceLabel { name, file, line, columns: expected }, "{label}");
        }
    }

    #[test]
    fn roots_are_processes_and_threads() {
        assert_eq!(process("process 8306:\"python \"app.py\"\""), Some((8306, "python \"app.py\"")));
        assert_eq!(process("process x:\"python\""), None);
        assert_eq!(process("process 8306"), None);
        let main = ThreadLabel { os_id: Some(8306), python_id: None, name: Some("MainThread") };
        assert_eq!(thread("thread (8306): MainThread"), Some(main));
        let nameless = ThreadLabel { python_id: Some(0x7f00_abcd), ..ThreadLabel::default() };
        assert_eq!(thread("thread (0x7F00ABCD)"), Some(nameless));
        assert_eq!(thread("thread (unknown)"), Some(ThreadLabel::default()));
        for other in ["thread (8306): ", "thread (8306) x", "thread (0x7f)", "thread (x)", "thread"] {
            assert_eq!(thread(other), None, "{other}");
        }
    }

    #[test]
    fn what_stands_for_frames_is_known() {
        for reason in REASONS {
            assert_eq!(stand_in(&crate::label::lost(reason)), Some(FrameKind::Lost(reason)));
        }
        assert_eq!(stand_in("[cut]"), Some(FrameKind::Cut));
        assert_eq!(stand_in("[lost: whatever]"), None);
        assert_eq!(stand_in("work"), None);
    }
}
