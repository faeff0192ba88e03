//! The handles by which tables refer to each other: an index in four bytes, `Copy`, and of a type
//! of its own so that a frame cannot be taken for a stack.

/// Defines a handle type: a `u32` index with conversions that only this crate can make.
macro_rules! handle {
    ($(#[$attribute:meta])* $name:ident) => {
        $(#[$attribute])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(u32);

        impl $name {
            /// The handle of the entry at `index`.
            pub(crate) fn from_index(index: usize) -> Self {
                Self(u32::try_from(index).expect("a profile holds fewer than 2^32 entries per table"))
            }

            /// The position in the table, counted from 0 in the order of arrival.
            pub fn index(self) -> usize {
                self.0 as usize
            }
        }
    };
}

pub(crate) use handle;
