//! Reading strings and the names of types out of the target.

use rspy_process::{Address, Memory, ReadError, word};

use crate::layout::{Layout, Text, Unicode};

/// Longest name or path that is read, in code points. What is longer is cut and
/// ends in `…`.
pub const MAX_TEXT: usize = 4096;

/// Why something in the target is not what it should be.
#[derive(Copy, Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ValueError {
    /// It could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// It is no object of the expected kind.
    #[error("{at} is no {expected}")]
    Unexpected {
        /// Where it lies.
        at: Address,
        /// What should be there.
        expected: &'static str,
    },
}

/// The text of the string object at `at`: a `str`, in 2.7 a byte string, whose
/// bytes are taken as UTF-8 where they are and as Latin-1 where not.
pub fn string(memory: &impl Memory, layout: &Layout, at: Address) -> Result<String, ValueError> {
    match &layout.text {
        Text::Bytes => {
            let size = layout.object.ob_size.read(memory, at)?;
            let size =
                usize::try_from(size).map_err(|_| ValueError::Unexpected { at, expected: "byte string" })?;
            let bytes = memory.bytes(at.offset(layout.object.bytes_data.into()), size.min(MAX_TEXT))?;
            let text = match String::from_utf8(bytes) {
                Ok(text) => text,
                Err(error) => error.into_bytes().into_iter().map(char::from).collect(),
            };
            Ok(cut(text, size > MAX_TEXT))
        }
        Text::Unicode(unicode) => self::unicode(memory, unicode, at),
    }
}

fn unicode(memory: &impl Memory, layout: &Unicode, at: Address) -> Result<String, ValueError> {
    let (code_points, length) = code_points(memory, layout, at, MAX_TEXT)?;
    // Lone surrogates and, in torn reads, impossible code points become U+FFFD.
    let text = code_points.iter().map(|code| char::from_u32(*code).unwrap_or(char::REPLACEMENT_CHARACTER));
    Ok(cut(text.collect(), length > MAX_TEXT))
}

/// The first code points of the `str` at `at`, at most `wanted`, and how many it has.
/// Not all need be characters: halves of surrogate pairs are allowed.
pub(crate) fn code_points(
    memory: &impl Memory,
    layout: &Unicode,
    at: Address,
    wanted: usize,
) -> Result<(Vec<u32>, usize), ValueError> {
    let unexpected = ValueError::Unexpected { at, expected: "str" };
    // Most names are short and compact: structure and text in one read.
    let mut head = [0; 128];
    let structure = layout.compact_size.max(layout.ascii_size) as usize;
    if structure > head.len() {
        return Err(unexpected);
    }
    let read = match memory.read(at, &mut head) {
        Ok(()) => head.len(),
        // The object may lie at the end of what is mapped.
        Err(_) => {
            memory.read(at, &mut head[..layout.ascii_size as usize])?;
            layout.ascii_size as usize
        }
    };
    let head = &head[..read];
    let Shape { length, kind, offset } = shape(layout, head).ok_or(unexpected)?;
    let data = match offset {
        Some(offset) => at.offset(offset as u64),
        None => layout.data.ok_or(unexpected)?.read(memory, at)?,
    };
    let size = length.min(wanted.min(MAX_TEXT)) * kind;
    let offset = data.since(at).and_then(|offset| usize::try_from(offset).ok());
    let bytes = match offset.and_then(|offset| head.get(offset..offset.checked_add(size)?)) {
        Some(bytes) => bytes.to_vec(),
        None => memory.bytes(data, size)?,
    };
    Ok((units(&bytes, kind), length))
}

/// The same of a `unicode` of 2.7, whose units have four bytes or, in builds that say
/// so nowhere in memory, two.
pub(crate) fn code_points_of_units(
    memory: &impl Memory,
    layout: &Layout,
    at: Address,
    wanted: usize,
) -> Result<(Vec<u32>, usize), ValueError> {
    let unexpected = ValueError::Unexpected { at, expected: "unicode" };
    let number = |name| layout.table.number("unicode", name).ok_or(unexpected);
    let length = usize::try_from(memory.u64(at.offset(number("length")?))?).map_err(|_| unexpected)?;
    let text = memory.address(at.offset(number("str")?))?;
    let count = length.min(wanted.min(MAX_TEXT));
    // Two units of two bytes, read as one of four, are no character unless the second is
    // a control character; and the text ends with a zero where the last unit ends.
    let mut wide = units(&memory.bytes(text, (count + 1) * 4)?, 4);
    let is_ended = count < length || wide.last() == Some(&0);
    wide.truncate(count);
    if is_ended && wide.iter().all(|code| *code <= 0x10_ffff) {
        return Ok((wide, length));
    }
    let narrow = units(&memory.bytes(text, count * 2)?, 2);
    let narrow = narrow.into_iter().map(|unit| unit as u16);
    let joined = char::decode_utf16(narrow)
        .map(|unit| unit.map_or_else(|half| u32::from(half.unpaired_surrogate()), u32::from));
    let code_points: Vec<u32> = joined.collect();
    // Its length counts units; of what was not read it is not known how many pairs there are.
    let length = length - count + code_points.len();
    Ok((code_points, length))
}

/// The little-endian words of `width` bytes.
fn units(bytes: &[u8], width: usize) -> Vec<u32> {
    (0..bytes.len() / width)
        .filter_map(|index| word(bytes, index * width, width))
        .map(|unit| unit as u32)
        .collect()
}

/// How a `str` is stored.
struct Shape {
    /// Code points.
    length: usize,
    /// Bytes to a code point.
    kind: usize,
    /// Where its text begins in the structure; `None` where it lies elsewhere.
    offset: Option<usize>,
}

fn shape(layout: &Unicode, head: &[u8]) -> Option<Shape> {
    let state = layout.state.get(head)?;
    let length = usize::try_from(layout.length.get(head)?).ok()?;
    let kind = (state >> layout.kind_shift & 7) as usize;
    let compact = state >> layout.compact_shift & 1 == 1;
    let ascii = state >> layout.ascii_shift & 1 == 1;
    if !matches!(kind, 1 | 2 | 4) || length > isize::MAX as usize / 4 {
        return None;
    }
    let offset = match (compact, ascii) {
        (true, true) => Some(layout.ascii_size as usize),
        (true, false) => Some(layout.compact_size as usize),
        (false, _) => None,
    };
    Some(Shape { length, kind, offset })
}

/// The bytes of a string object's text as far as `head`, the beginning of the
/// object, holds them, with its full length: what tells it from another string.
pub(crate) fn visible<'h>(layout: &Layout, head: &'h [u8]) -> Option<(usize, &'h [u8])> {
    let (length, offset) = match &layout.text {
        Text::Bytes => return visible_bytes(layout, head),
        Text::Unicode(unicode) => {
            let shape = shape(unicode, head)?;
            (shape.length * shape.kind, shape.offset?)
        }
    };
    let end = head.len().min(offset.checked_add(length)?);
    Some((length, head.get(offset..end)?))
}

/// The same for a bytes object.
pub(crate) fn visible_bytes<'h>(layout: &Layout, head: &'h [u8]) -> Option<(usize, &'h [u8])> {
    let length = usize::try_from(layout.object.ob_size.get(head)?).ok()?;
    let offset = layout.object.bytes_data as usize;
    Some((length, head.get(offset..head.len().min(offset.checked_add(length)?))?))
}

fn cut(mut text: String, is_longer: bool) -> String {
    if is_longer {
        text.push('…');
    }
    text
}

/// The name of the type of the object at `at`, such as `code`; for classes
/// written in Python without their module.
pub fn type_name(memory: &impl Memory, layout: &Layout, at: Address) -> Result<Vec<u8>, ReadError> {
    let ob_type = layout.object.ob_type.read(memory, at)?;
    let name = layout.object.tp_name.read(memory, ob_type)?;
    memory.c_string(name, 128)
}
