//! Interned text: each distinct string is kept once and named by a [`StringId`].

use std::ops::Index;

use indexmap::IndexSet;
use rustc_hash::FxBuildHasher;

use crate::handle::handle;

handle! {
    /// A string of a profile. Equal strings have equal ids.
    StringId
}

impl StringId {
    /// The empty string, present in every table.
    pub const EMPTY: StringId = StringId(0);
}

/// The strings of a profile, indexed by [`StringId`].
#[derive(Clone, Debug)]
pub struct Strings {
    entries: IndexSet<Box<str>, FxBuildHasher>,
}

impl Strings {
    /// A table that holds only the empty string.
    pub fn new() -> Self {
        Self { entries: IndexSet::from_iter([Box::from("")]) }
    }

    /// The id of `text`, which is copied only when it is seen for the first time.
    pub fn intern(&mut self, text: &str) -> StringId {
        let index =
            self.entries.get_index_of(text).unwrap_or_else(|| self.entries.insert_full(text.into()).0);
        StringId::from_index(index)
    }

    /// Those after the first `count`, in the order of arrival.
    pub(crate) fn since(&self, count: usize) -> impl Iterator<Item = &str> {
        self.entries.iter().skip(count).map(|text| &**text)
    }

    /// How many distinct strings there are, the empty one included.
    #[expect(clippy::len_without_is_empty, reason = "it always holds the empty string")]
    pub fn len(&self) -> usize {
        self.entries.len()
    }
}

impl Default for Strings {
    fn default() -> Self {
        Self::new()
    }
}

impl Index<StringId> for Strings {
    type Output = str;

    fn index(&self, id: StringId) -> &str {
        &self.entries[id.index()]
    }
}
