//! Integers in as few bytes as they need (LEB128: seven bits a byte, the lowest first), and text.

use super::error::Malformed;

/// Appends `value`.
pub(super) fn push(into: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        into.push(value as u8 | 0x80);
        value >>= 7;
    }
    into.push(value as u8);
}

/// Appends a difference, small ones of either sign in few bytes.
pub(super) fn push_signed(into: &mut Vec<u8>, value: i64) {
    push(into, ((value << 1) ^ (value >> 63)) as u64);
}

/// Appends text with its length.
pub(super) fn push_text(into: &mut Vec<u8>, text: &str) {
    push(into, text.len() as u64);
    into.extend_from_slice(text.as_bytes());
}

/// Reads what was appended, from the first byte on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bytes<'a> {
    rest: &'a [u8],
}

impl<'a> Bytes<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Bytes { rest: bytes }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// How many are left.
    pub(super) fn len(&self) -> usize {
        self.rest.len()
    }

    pub(super) fn byte(&mut self) -> Result<u8, Malformed> {
        let (first, rest) = self.rest.split_first().ok_or(Malformed::TooShort)?;
        self.rest = rest;
        Ok(*first)
    }

    pub(super) fn take(&mut self, length: u64) -> Result<&'a [u8], Malformed> {
        let length = usize::try_from(length).map_err(|_| Malformed::TooShort)?;
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(Malformed::TooShort)?;
        self.rest = rest;
        Ok(taken)
    }

    #[inline]
    pub(super) fn number(&mut self) -> Result<u64, Malformed> {
        // Most are of one byte, nearly all of eight at most.
        if let Some((first, rest)) = self.rest.split_first()
            && *first < 0x80
        {
            self.rest = rest;
            return Ok(u64::from(*first));
        }
        if let Some(word) = self.rest.first_chunk::<8>() {
            let word = u64::from_le_bytes(*word);
            let ends = !word & 0x8080_8080_8080_8080;
            if ends != 0 {
                let length = ends.trailing_zeros() / 8 + 1;
                self.rest = &self.rest[length as usize..];
                return Ok(value_of(word & (u64::MAX >> (64 - 8 * length))));
            }
        }
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                return Err(Malformed::TooLarge);
            }
            value |= bits << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(Malformed::TooLarge)
    }

    #[inline]
    pub(super) fn signed(&mut self) -> Result<i64, Malformed> {
        let value = self.number()?;
        Ok((value >> 1) as i64 ^ -((value & 1) as i64))
    }

    /// A number of four bytes at most.
    pub(super) fn small(&mut self) -> Result<u32, Malformed> {
        u32::try_from(self.number()?).map_err(|_| Malformed::TooLarge)
    }

    /// A number of things that follow, each of which takes a byte at least.
    pub(super) fn count(&mut self) -> Result<usize, Malformed> {
        let count = usize::try_from(self.number()?).map_err(|_| Malformed::TooLarge)?;
        if count > self.rest.len() { Err(Malformed::TooShort) } else { Ok(count) }
    }

    pub(super) fn text(&mut self) -> Result<&'a str, Malformed> {
        let length = self.number()?;
        std::str::from_utf8(self.take(length)?).map_err(|_| Malformed::NotText)
    }
}

/// The number whose groups of seven bits stand in the bytes of `word`.
fn value_of(word: u64) -> u64 {
    let word = word & 0x7f7f_7f7f_7f7f_7f7f;
    // Two bytes become one group of 14 bits, two of these one of 28, two of these one of 56.
    let word = (word & 0x007f_007f_007f_007f) | (word & 0x7f00_7f00_7f00_7f00) >> 1;
    let word = (word & 0x0000_3fff_0000_3fff) | (word & 0x3fff_0000_3fff_0000) >> 2;
    (word & 0x0fff_ffff) | (word & 0x0fff_ffff_0000_0000) >> 4
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_written_is_read(numbers: Vec<u64>, differences: Vec<i64>, text: String) {
            let mut bytes = Vec::new();
            numbers.iter().for_each(|number| push(&mut bytes, *number));
            differences.iter().for_each(|difference| push_signed(&mut bytes, *difference));
            push_text(&mut bytes, &text);
            let mut read = Bytes::new(&bytes);
            for number in numbers {
                prop_assert_eq!(read.number(), Ok(number));
            }
            for difference in differences {
                prop_assert_eq!(read.signed(), Ok(difference));
            }
            prop_assert_eq!(read.text(), Ok(text.as_str()));
            prop_assert!(read.is_empty());
        }

        #[test]
        fn any_bytes_are_read_without_harm(bytes: Vec<u8>) {
            let mut read = Bytes::new(&bytes);
            while read.number().is_ok() && read.text().is_ok() {}
        }
    }

    #[test]
    fn numbers_that_do_not_fit_are_refused() {
        assert_eq!(Bytes::new(&[0xff; 10]).number(), Err(Malformed::TooLarge));
        assert_eq!(Bytes::new(&[0x80; 3]).number(), Err(Malformed::TooShort));
        assert_eq!(Bytes::new(&[0xff, 0xff, 0xff, 0xff, 0x1f]).small(), Err(Malformed::TooLarge));
    }
}
