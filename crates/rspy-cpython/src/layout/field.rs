//! A member of a CPython structure: where it lies and what it holds.

use std::fmt;
use std::marker::PhantomData;

use rspy_process::{Address, Memory, ReadError, word};

/// What can be read out of foreign memory: fixed-width words for which every
/// bit pattern is a value. Never `bool` or `char`.
pub trait Word: Copy {
    /// Width in bytes: 1, 2, 4 or 8.
    const WIDTH: usize;
    /// From the zero-extended bytes.
    fn from_word(word: u64) -> Self;
}

macro_rules! words {
    ($($type:ty),*) => {$(
        impl Word for $type {
            const WIDTH: usize = size_of::<$type>();
            fn from_word(word: u64) -> Self {
                word as $type
            }
        }
    )*};
}

words!(u8, i8, u16, u32, i32, u64, i64);

impl Word for Address {
    const WIDTH: usize = 8;
    fn from_word(word: u64) -> Self {
        Address(word)
    }
}

/// A member of type `T`, `offset` bytes from the start of its structure.
pub struct Field<T> {
    /// In bytes.
    pub offset: u32,
    value: PhantomData<fn() -> T>,
}

impl<T> Field<T> {
    /// The member at `offset` bytes.
    pub const fn new(offset: u32) -> Self {
        Field { offset, value: PhantomData }
    }

    /// Its address in the structure at `base`.
    pub const fn of(&self, base: Address) -> Address {
        base.offset(self.offset as u64)
    }
}

impl<T: Word> Field<T> {
    /// One past its last byte: how much of the structure must be read to have it.
    pub const fn end(&self) -> usize {
        self.offset as usize + T::WIDTH
    }

    /// Its value in a copy of the structure; `None` where the copy is too short.
    pub fn get(&self, structure: &[u8]) -> Option<T> {
        word(structure, self.offset as usize, T::WIDTH).map(T::from_word)
    }

    /// Reads it from the structure at `base`.
    pub fn read(&self, memory: &impl Memory, base: Address) -> Result<T, ReadError> {
        let mut bytes = [0; 8];
        memory.read(self.of(base), &mut bytes[..T::WIDTH])?;
        Ok(T::from_word(u64::from_le_bytes(bytes)))
    }
}

impl<T> Copy for Field<T> {}

impl<T> Clone for Field<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> fmt::Debug for Field<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "+{}", self.offset)
    }
}
