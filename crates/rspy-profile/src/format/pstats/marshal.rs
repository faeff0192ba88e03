//! CPython's `marshal` format, as far as `pstats` files need it: tuples, dicts, text and numbers, without
//! references. It is documented in CPython's `Doc/library/marshal.rst` and, to the byte, by
//! `Python/marshal.c`.
//!
//! It is version 2 of the format, which 2.7 and every 3.x load. Text has the type of interned strings
//! (`t`), which is the one that is `str` in both: 2.7 takes it for bytes, 3.x decodes it as UTF-8.

use std::io::{self, Write};

/// The number of bits in a digit of a large integer.
const DIGIT: u32 = 15;

/// Begins a tuple of `length` items, which follow.
pub(super) fn tuple(writer: &mut dyn Write, length: u32) -> io::Result<()> {
    writer.write_all(b"(")?;
    writer.write_all(&length.to_le_bytes())
}

/// Begins a dict, whose keys and values follow in turn.
pub(super) fn begin_dict(writer: &mut dyn Write) -> io::Result<()> {
    writer.write_all(b"{")
}

/// Ends a dict.
pub(super) fn end_dict(writer: &mut dyn Write) -> io::Result<()> {
    writer.write_all(b"0")
}

/// A string; an error if it is longer than the format can say.
pub(super) fn text(writer: &mut dyn Write, text: &str) -> io::Result<()> {
    let length = i32::try_from(text.len()).map_err(io::Error::other)?;
    writer.write_all(b"t")?;
    writer.write_all(&length.to_le_bytes())?;
    writer.write_all(text.as_bytes())
}

/// A float.
pub(super) fn float(writer: &mut dyn Write, number: f64) -> io::Result<()> {
    writer.write_all(b"g")?;
    writer.write_all(&number.to_le_bytes())
}

/// An integer.
pub(super) fn integer(writer: &mut dyn Write, number: u64) -> io::Result<()> {
    if let Ok(small) = i32::try_from(number) {
        writer.write_all(b"i")?;
        return writer.write_all(&small.to_le_bytes());
    }
    let digits = (u64::BITS - number.leading_zeros()).div_ceil(DIGIT);
    writer.write_all(b"l")?;
    writer.write_all(&digits.to_le_bytes())?;
    for digit in 0..digits {
        let bits = (number >> (digit * DIGIT)) as u16 & ((1 << DIGIT) - 1);
        writer.write_all(&bits.to_le_bytes())?;
    }
    Ok(())
}
