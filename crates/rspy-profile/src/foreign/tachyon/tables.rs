//! The tables of strings and frames.

use super::Wrong;
use super::layout::Layout;
use crate::foreign::builder::Builder;
use crate::foreign::cursor::Cursor;
use crate::foreign::error::{ForeignError, Position};
use crate::frame::{Columns, Frame, FrameId, FrameKind};
use crate::strings::StringId;

/// The file of frames that are in none.
const NO_FILE: &str = "~";
/// The function that stands for the garbage collector.
const COLLECTOR: &str = "<GC>";

/// The names of functions and files.
pub(super) fn strings(layout: &Layout<'_>, builder: &mut Builder) -> Result<Vec<StringId>, ForeignError> {
    let mut cursor = Cursor::new(layout.strings);
    let mut read = |cursor: &mut Cursor<'_>| -> Result<StringId, Wrong> {
        let length = usize::try_from(cursor.leb128()?).unwrap_or(usize::MAX);
        let text = String::from_utf8_lossy(cursor.take(length)?);
        Ok(builder.string(&text)?)
    };
    // Each takes a byte at least, so that a table is no longer than the file.
    (0..layout.string_count)
        .map(|_| {
            let begin = layout.strings_at + cursor.position();
            read(&mut cursor).map_err(|wrong| wrong.at(Position::Byte(begin as u64)))
        })
        .collect()
}

/// The frames, made of `strings`.
pub(super) fn frames(
    layout: &Layout<'_>,
    strings: &[StringId],
    builder: &mut Builder,
) -> Result<Vec<FrameId>, ForeignError> {
    let mut cursor = Cursor::new(layout.frames);
    (0..layout.frame_count)
        .map(|_| {
            let begin = layout.frames_at + cursor.position();
            frame(&mut cursor, strings, builder).map_err(|wrong| wrong.at(Position::Byte(begin as u64)))
        })
        .collect()
}

fn frame(cursor: &mut Cursor<'_>, strings: &[StringId], builder: &mut Builder) -> Result<FrameId, Wrong> {
    let string = |cursor: &mut Cursor<'_>| -> Result<StringId, Wrong> {
        let index = cursor.leb128()?;
        let known = usize::try_from(index).ok().and_then(|index| strings.get(index));
        known.copied().ok_or_else(|| Wrong::Value(format!("there is no string {index}")))
    };
    let (mut file, name) = (string(cursor)?, string(cursor)?);
    let (line, lines) = (cursor.zigzag()?, cursor.zigzag()?);
    let (column, width) = (cursor.zigzag()?, cursor.zigzag()?);
    // The instruction is of no use without the code it is of.
    cursor.byte()?;
    let counted = |number: i64| u32::try_from(number).ok().filter(|number| *number > 0);
    let end = line.checked_add(lines).and_then(counted).filter(|end| i64::from(*end) != line);
    // Columns are counted from 0 and the end is behind the last, so that the last counts from 1.
    let first = column.checked_add(1).and_then(counted);
    let last = column.checked_add(width).and_then(|last| u32::try_from(last).ok());
    let line = counted(line);
    let columns = first.zip(last).map(|(first, last)| Columns { first, end_line: end, last });
    let columns =
        columns.filter(|columns| line.is_some() && (end.is_some() || columns.last + 1 >= columns.first));
    let strings = &builder.profile.strings;
    if &strings[file] == NO_FILE {
        if &strings[name] == COLLECTOR {
            return Ok(builder.frame(Frame::unknown(FrameKind::Collecting))?);
        }
        file = StringId::EMPTY;
    }
    let known = Frame::unknown(FrameKind::Python);
    Ok(builder.frame(Frame { name, file, short_file: file, line, columns, ..known })?)
}
