//! What was found of an interpreter, to be kept with a copy of its memory and used without the process.

use std::path::PathBuf;

use rspy_process::Address;
use serde::{Deserialize, Serialize};

use super::{Attached, Found};
use crate::layout::{Layout, LayoutError, Table};
use crate::thread_id::ThreadIds;
use crate::version::{Abi, Version};

/// An interpreter that was found, without the process.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Saved {
    version: Version,
    abi: Abi,
    table: Table,
    binary: PathBuf,
    base: Address,
    inode: u64,
    roots: Found,
    is_glibc: bool,
    none: Option<Address>,
}

impl Attached {
    /// What is to be kept.
    pub fn saved(&self) -> Saved {
        Saved {
            version: self.version(),
            abi: self.abi(),
            table: self.layout.table.clone(),
            binary: self.binary.clone(),
            base: self.base,
            inode: self.inode,
            roots: self.roots,
            is_glibc: self.is_glibc,
            none: self.none,
        }
    }
}

impl TryFrom<Saved> for Attached {
    type Error = LayoutError;

    /// The interpreter as it was found, if its table is one.
    fn try_from(saved: Saved) -> Result<Attached, LayoutError> {
        let Saved { version, abi, table, binary, base, inode, roots, is_glibc, none } = saved;
        let layout = Layout::from_table(table, version, abi)?;
        Ok(Attached { layout, binary, base, inode, roots, is_glibc, none, thread_ids: ThreadIds::default() })
    }
}
