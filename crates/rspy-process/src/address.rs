//! Addresses of the target. Never pointers of ours.

use std::fmt;

/// An address in the target's memory, in bytes. It is a number to us: nothing
/// in rspy ever dereferences one, it can only be handed to [`Memory`](crate::Memory).
#[derive(
    Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, serde::Serialize, serde::Deserialize,
)]
pub struct Address(pub u64);

impl Address {
    /// The null pointer, which CPython uses for "none".
    pub const NULL: Address = Address(0);

    /// Whether this is the null pointer.
    pub const fn is_null(self) -> bool {
        self.0 == 0
    }

    /// `self + offset`, or the null address where that leaves the address
    /// space: reading it then fails like any other bad address.
    pub const fn offset(self, offset: u64) -> Address {
        match self.0.checked_add(offset) {
            Some(sum) => Address(sum),
            None => Address::NULL,
        }
    }

    /// The distance from `base` in bytes, if `self` is not below it.
    pub const fn since(self, base: Address) -> Option<u64> {
        self.0.checked_sub(base.0)
    }

    /// Whether this could be a user-space pointer to an object: not in the
    /// first page, below the canonical limit of x86-64.
    pub const fn is_plausible(self) -> bool {
        self.0 >= 4096 && self.0 < 0x0000_8000_0000_0000
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}
