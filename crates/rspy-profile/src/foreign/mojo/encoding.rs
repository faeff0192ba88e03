//! How numbers and text stand in a MOJO stream.

use std::borrow::Cow;

use crate::foreign::cursor::{Cursor, CursorError};

/// An integer of the format. austin writes some negative ones as if they had no sign, with all 64 bits: they are taken
/// for what they were.
pub(super) fn integer(cursor: &mut Cursor<'_>) -> Result<i64, CursorError> {
    let first = cursor.byte()?;
    let lowest = u64::from(first & 0x3f);
    let number = if first & 0x80 == 0 { lowest } else { cursor.varint(lowest, 6)? };
    let number = number.cast_signed();
    Ok(if first & 0x40 == 0 { number } else { number.wrapping_neg() })
}

/// A line or column, counted from 1; `None` where it is not known.
pub(super) fn position(number: i64) -> Option<u32> {
    u32::try_from(number).ok().filter(|number| *number > 0)
}

/// A string. What is no UTF-8 in it is replaced.
pub(super) fn text<'a>(cursor: &mut Cursor<'a>) -> Result<Cow<'a, str>, CursorError> {
    Ok(String::from_utf8_lossy(cursor.until_nul()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_have_a_sign_in_the_first_byte() {
        for (bytes, number) in [(&[0xc3, 2][..], -131), (&[0x3f], 63), (&[0x80, 1], 64), (&[0x41], -1)] {
            assert_eq!(integer(&mut Cursor::new(bytes)), Ok(number));
        }
        assert_eq!(integer(&mut Cursor::new(&[0xff; 12])), Err(CursorError::Overlong));
        assert_eq!(integer(&mut Cursor::new(&[0x80])), Err(CursorError::Ends));
        let unsigned = [0xbf, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 3];
        assert_eq!(integer(&mut Cursor::new(&unsigned)), Ok(-1));
    }
}
