//! A position in foreign bytes: each read says what is missing instead of reaching beyond the end.

/// Bytes, and how many of them were read.
#[derive(Clone, Debug)]
pub(super) struct Cursor<'a> {
    bytes: &'a [u8],
    position: usize,
}

/// Why something could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CursorError {
    /// The bytes end before it does.
    Ends,
    /// An integer has more bits than there is room for.
    Overlong,
}

impl<'a> Cursor<'a> {
    /// At the beginning of `bytes`.
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, position: 0 }
    }

    /// How many bytes were read.
    pub(super) fn position(&self) -> usize {
        self.position
    }

    /// Whether all were.
    pub(super) fn is_at_end(&self) -> bool {
        self.position >= self.bytes.len()
    }

    fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.position..).unwrap_or_default()
    }

    /// The next `length` bytes.
    pub(super) fn take(&mut self, length: usize) -> Result<&'a [u8], CursorError> {
        let taken = self.rest().get(..length).ok_or(CursorError::Ends)?;
        self.position += length;
        Ok(taken)
    }

    /// The next `N` bytes.
    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], CursorError> {
        let (array, _) = self.rest().split_first_chunk::<N>().ok_or(CursorError::Ends)?;
        self.position += N;
        Ok(*array)
    }

    /// The next byte.
    pub(super) fn byte(&mut self) -> Result<u8, CursorError> {
        self.array::<1>().map(|[byte]| byte)
    }

    /// The bytes up to the next NUL, which is passed over.
    pub(super) fn until_nul(&mut self) -> Result<&'a [u8], CursorError> {
        let length = self.rest().iter().position(|byte| *byte == 0).ok_or(CursorError::Ends)?;
        let taken = self.take(length)?;
        self.position += 1;
        Ok(taken)
    }

    /// A LEB128 integer: seven bits a byte, the least significant first, the top bit set in all but the last.
    pub(super) fn leb128(&mut self) -> Result<u64, CursorError> {
        self.varint(0, 0)
    }

    /// A LEB128 integer whose lowest bit is its sign (0, -1, 1, -2 ...).
    pub(super) fn zigzag(&mut self) -> Result<i64, CursorError> {
        let number = self.leb128()?;
        Ok((number >> 1) as i64 ^ -((number & 1) as i64))
    }

    /// The bytes of an integer from the one with `shift` on, added to what came before it.
    pub(super) fn varint(&mut self, mut number: u64, mut shift: u32) -> Result<u64, CursorError> {
        loop {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            let shifted = bits.checked_shl(shift).filter(|shifted| shifted >> shift == bits);
            number |= shifted.ok_or(CursorError::Overlong)?;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
            shift += 7;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_read_and_bounded() {
        let leb128 = |bytes: &[u8]| Cursor::new(bytes).leb128();
        assert_eq!(leb128(&[0x7f]), Ok(127));
        assert_eq!(leb128(&[0x80, 1]), Ok(128));
        assert_eq!(leb128(&[0xff; 9].iter().copied().chain([1]).collect::<Vec<_>>()), Ok(u64::MAX));
        assert_eq!(leb128(&[0xff; 20]), Err(CursorError::Overlong));
        assert_eq!(leb128(&[0x80]), Err(CursorError::Ends));
        for (byte, number) in [(0, 0), (1, -1), (2, 1), (3, -2), (4, 2)] {
            assert_eq!(Cursor::new(&[byte]).zigzag(), Ok(number));
        }
        let mut lowest = vec![0xff; 9];
        lowest.push(1);
        assert_eq!(Cursor::new(&lowest).zigzag(), Ok(i64::MIN));
    }

    #[test]
    fn what_is_not_there_is_not_read() {
        let mut cursor = Cursor::new(b"ab\0c");
        assert_eq!(cursor.until_nul(), Ok(&b"ab"[..]));
        assert_eq!(cursor.until_nul(), Err(CursorError::Ends));
        assert_eq!(cursor.array::<2>(), Err(CursorError::Ends));
        assert_eq!((cursor.byte(), cursor.is_at_end()), (Ok(b'c'), true));
        assert_eq!(cursor.take(usize::MAX), Err(CursorError::Ends));
    }
}
