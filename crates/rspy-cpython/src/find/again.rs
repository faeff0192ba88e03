//! An interpreter that is known, found again in another process.
//!
//! A forked child has everything where its parent has it; another process that has
//! mapped the same file has everything as far from where that begins. Either is believed only
//! if the chain holds, as ever.

use rspy_process::maps::{LoadedFile, Mapping};
use rspy_process::{Address, Process};

use super::{Attached, FindError, Found, inode, validate};
use crate::thread_id::ThreadIds;

impl Attached {
    /// The interpreter of `process`, if that is a fork of this one's process: at the same
    /// addresses. For one that runs the same executable, which is the caller's to know.
    pub fn in_fork(&self, process: &Process) -> Option<Attached> {
        self.moved(process, self.base).ok()
    }

    /// The interpreter of `process`, whose files are `files`, if it has mapped the same file.
    pub fn in_file(&self, process: &Process, files: &[LoadedFile]) -> Result<Option<Attached>, FindError> {
        let same = |file: &&LoadedFile| {
            file.path == self.binary && inode(file) == self.inode && file.mappings.iter().any(is_code)
        };
        let Some(file) = files.iter().find(same) else { return Ok(None) };
        match self.moved(process, file.base) {
            Ok(attached) => Ok(Some(attached)),
            Err(validate::Broken::NotReady) => Err(FindError::NotReady),
            // Perhaps another file with that name and inode after all.
            Err(validate::Broken::Wrong(_)) => Ok(None),
        }
    }

    fn moved(&self, process: &Process, base: Address) -> Result<Attached, validate::Broken> {
        let moved = |at: Address| Address(at.0.wrapping_sub(self.base.0).wrapping_add(base.0));
        let roots = Found {
            interpreters: moved(self.roots.interpreters),
            runtime: self.roots.runtime.map(moved),
            holder: self.roots.holder.map(moved),
            statics: self.roots.statics.map(moved),
        };
        validate::chain(process.memory(), &self.layout, roots.interpreters)?;
        // It may be in another file, which may lie elsewhere now.
        let none = self.none.filter(|_| base == self.base);
        Ok(Attached { base, roots, none, ..self.again() })
    }

    /// Whether both were found in the same file.
    pub fn is_of_file_of(&self, other: &Attached) -> bool {
        self.binary == other.binary && self.inode == other.inode
    }

    /// The same, to be kept beside it: it learns of the threads by itself.
    pub fn again(&self) -> Attached {
        Attached {
            layout: self.layout.clone(),
            binary: self.binary.clone(),
            base: self.base,
            inode: self.inode,
            roots: self.roots,
            is_glibc: self.is_glibc,
            none: self.none,
            thread_ids: ThreadIds::default(),
        }
    }
}

fn is_code(mapping: &Mapping) -> bool {
    mapping.executable
}
