//! The text by which frames and threads appear in outputs: `name (file:line)`.
//!
//! Names come from the sampled program and may hold anything. Labels are made safe for every text
//! format at once, so that all outputs agree:
//!
//! - a semicolon, which separates the frames of a folded stack, becomes a colon;
//! - white space such as a newline becomes a space; other control characters and the two code
//!   points that XML cannot hold become U+FFFD;
//! - white space around a name is dropped, and a frame without a name is `[unnamed]`;
//! - where readers of folded stacks would take a name for a comment (`# name`) or its end for a
//!   count (`name 12`, without a file), a full-width number sign or a no-break space takes the
//!   place of the culprit.

use std::fmt::Write;

use crate::frame::{Frame, LostReason};
use crate::options::{By, Options};
use crate::process::Process;
use crate::profile::Profile;
use crate::thread::Thread;

/// The root of a sample whose thread executes no Python code.
pub(crate) const NO_FRAMES: &str = "[no frames]";

/// The name of a function that has none.
pub(crate) const UNNAMED: &str = "[unnamed]";

const NO_BREAK_SPACE: &str = "\u{a0}";
const FULL_WIDTH_NUMBER_SIGN: &str = "\u{ff03}";

/// The label of a frame.
pub(crate) fn frame(profile: &Profile, frame: &Frame, options: &Options) -> String {
    match frame.kind.mark() {
        Some(mark) => mark.into(),
        None if options.by == By::Module => module(profile, frame, options),
        None => function(profile, frame, options),
    }
}

/// The label of a frame's file.
pub(crate) fn module(profile: &Profile, frame: &Frame, options: &Options) -> String {
    let file = if options.full_filenames { frame.file } else { frame.short_file };
    let label = folded(&profile.strings[file]);
    if label.is_empty() { UNNAMED.into() } else { without_count(without_comment(label)) }
}

/// The label of samples that were lost.
pub(crate) fn lost(reason: LostReason) -> String {
    format!("[lost: {reason}]")
}

/// The label of a thread: `thread (8306): MainThread`, by the id of the operating system or, where
/// that is unknown, Python's in hexadecimal.
pub(crate) fn thread(profile: &Profile, thread: &Thread) -> String {
    let mut label = match (thread.os_id, thread.python_id) {
        (Some(id), _) => format!("thread ({id})"),
        (None, Some(id)) => format!("thread ({id:#X})"),
        (None, None) => "thread (unknown)".into(),
    };
    let name = thread.name.map(|name| folded(&profile.strings[name])).unwrap_or_default();
    if !name.is_empty() {
        write!(label, ": {name}").expect("writing to a String");
    }
    label
}

/// The label of a process, as py-spy words it: `process 8306:"python app.py"`.
pub(crate) fn process(profile: &Profile, process: &Process) -> String {
    format!("process {}:\"{}\"", process.pid, folded(&profile.strings[process.command_line]))
}

/// `text` without the characters that no text output can hold.
pub(crate) fn printable(text: &str) -> String {
    text.chars().map(printable_character).collect()
}

fn function(profile: &Profile, frame: &Frame, options: &Options) -> String {
    let mut label = folded(&profile.strings[frame.name]);
    if label.is_empty() {
        label = UNNAMED.into();
    }
    label = without_comment(label);
    let file = if options.full_filenames { frame.file } else { frame.short_file };
    let file = folded(&profile.strings[file]);
    let is_function = options.by == By::Function;
    let line = if is_function { frame.first_line } else { frame.line };
    let columns = frame.columns.filter(|_| !is_function);
    match (line.filter(|_| options.line_numbers), columns) {
        _ if file.is_empty() => return without_count(label),
        (Some(line), Some(columns)) => write!(label, " ({file}:{line}:{columns})"),
        (Some(line), None) => write!(label, " ({file}:{line})"),
        (None, _) => write!(label, " ({file})"),
    }
    .expect("writing to a String");
    label
}

/// `text` as part of a line of folded stacks.
fn folded(text: &str) -> String {
    let text: String = text.chars().map(printable_character).collect();
    text.trim().replace(';', ":")
}

/// `label` so that it is not taken for a comment.
fn without_comment(mut label: String) -> String {
    if label == "#" || label.starts_with("# ") {
        label.replace_range(..1, FULL_WIDTH_NUMBER_SIGN);
    }
    label
}

/// `label` so that its last word is not taken for a count.
fn without_count(mut label: String) -> String {
    if let Some(space) = label.rfind(' ')
        && label[space + 1..].chars().all(|character| character.is_ascii_digit() || character == '.')
    {
        label.replace_range(space..=space, NO_BREAK_SPACE);
    }
    label
}

fn printable_character(character: char) -> char {
    match character {
        '\t' | '\n' | '\u{b}' | '\u{c}' | '\r' | '\u{85}' | '\u{2028}' | '\u{2029}' => ' ',
        '\u{fffe}' | '\u{ffff}' => char::REPLACEMENT_CHARACTER,
        other if other.is_control() => char::REPLACEMENT_CHARACTER,
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Columns, FrameKind, StringId};

    fn label_of(name: &str, file: &str) -> String {
        let mut profile = Profile::default();
        let name = profile.strings.intern(name);
        let file = profile.strings.intern(file);
        let place = Frame {
            name,
            file,
            short_file: file,
            line: Some(3),
            columns: None,
            first_line: Some(1),
            kind: FrameKind::Python,
        };
        frame(&profile, &place, &Options::default())
    }

    #[test]
    fn hostile_names_keep_to_one_frame_of_one_line() {
        assert_eq!(label_of("a;b\nc\0d\u{ffff}", "x;y.py"), "a:b c\u{fffd}d\u{fffd} (x:y.py:3)");
        assert_eq!(label_of(" \n", "x.py"), "[unnamed] (x.py:3)");
        assert_eq!(label_of("# f", "x.py"), "\u{ff03} f (x.py:3)");
        assert_eq!(label_of(" #\n", ""), "\u{ff03}");
        assert_eq!(label_of("#f", ""), "#f");
        assert_eq!(label_of("f 12", ""), "f\u{a0}12");
        assert_eq!(label_of("f 1.5", ""), "f\u{a0}1.5");
        assert_eq!(label_of("f x", ""), "f x");
        assert_eq!(label_of("λ.größe", "文件.py"), "λ.größe (文件.py:3)");
    }

    #[test]
    fn columns_follow_the_line_that_is_executed() {
        let mut profile = Profile::default();
        let name = profile.strings.intern("f");
        let file = profile.strings.intern("x.py");
        let label = |columns, options: &Options| {
            let place = Frame {
                file,
                short_file: file,
                line: Some(12),
                first_line: Some(9),
                columns,
                name,
                ..Frame::unknown(FrameKind::Python)
            };
            frame(&profile, &place, options)
        };
        let on_one_line = Some(Columns { first: 5, end_line: None, last: 18 });
        let default = Options::default();
        assert_eq!(label(on_one_line, &default), "f (x.py:12:5-18)");
        assert_eq!(
            label(Some(Columns { first: 5, end_line: Some(14), last: 3 }), &default),
            "f (x.py:12:5-14:3)"
        );
        assert_eq!(label(Some(Columns { first: 1, end_line: None, last: 0 }), &default), "f (x.py:12:1)");
        assert_eq!(label(None, &default), "f (x.py:12)");
        assert_eq!(label(on_one_line, &Options { by: By::Function, ..default.clone() }), "f (x.py:9)");
        assert_eq!(label(on_one_line, &Options { line_numbers: false, ..default }), "f (x.py)");
    }

    #[test]
    fn unknown_frames_and_threads_have_names() {
        let mut profile = Profile::default();
        let options = Options::default();
        let of = |kind| frame(&profile, &Frame::unknown(kind), &options);
        assert_eq!(of(FrameKind::Cut), "[cut]");
        assert_eq!(of(FrameKind::Truncated), "[truncated]");
        assert_eq!(of(FrameKind::Lost(LostReason::Denied)), "[lost: permission denied]");
        let process = Process { pid: 1, parent: None, command_line: StringId::EMPTY };
        let process = profile.processes.add(process);
        let mut worker = Thread { process, os_id: Some(7), python_id: Some(0x7f00_abcd), name: None };
        assert_eq!(thread(&profile, &worker), "thread (7)");
        worker.os_id = None;
        assert_eq!(thread(&profile, &worker), "thread (0x7F00ABCD)");
        worker.python_id = None;
        worker.name = Some(StringId::EMPTY);
        assert_eq!(thread(&profile, &worker), "thread (unknown)");
    }
}
