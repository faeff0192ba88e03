//! Code objects: names, file and line table, read once and checked at every use.
//!
//! A code object can be freed and its memory given to another one: generated
//! code does so all the time. The cache therefore keeps, beside what it read, the
//! bytes that tell one code object from another (its members, and the length
//! and beginning of its names and line table), and compares them at every use.

use std::collections::HashMap;
use std::sync::Arc;

use rspy_process::{Address, Batch, Limited, Memory};

use crate::class_names::{self, Receiver};
use crate::layout::{Bytecode, Layout, LineEncoding};
use crate::lines::{Location, location};
use crate::text::{self, ValueError};

/// Largest line table that is read, in bytes. CPython's longest in its own
/// library has some 100 KB.
const MAX_LINE_TABLE: usize = 16 << 20;

/// Most that is read of the code objects in one stack that were not known before, in
/// bytes. What is left then is said to be unreadable.
const MAX_NEW: u64 = 512 << 20;

/// How much of each name and of the line table is read to identify a code
/// object, in bytes: the structure with its length, and the beginning of the text.
const PROBE: usize = 128;
/// Objects probed for each code object: name, qualified name, file, line table.
const PROBES: usize = 4;
const LINE_TABLE_PROBE: usize = 3;

/// What is known of a code object.
#[derive(Debug)]
pub struct CodeInfo {
    /// `co_qualname` where there is one, else `co_name`.
    pub name: Arc<str>,
    /// `co_filename`: the path as the compiler was told.
    pub filename: Arc<str>,
    /// `co_firstlineno`.
    pub first_line: i32,
    /// `co_flags`.
    pub flags: i32,
    /// Length of the bytecode in bytes.
    pub code_len: u64,
    /// First byte of bytecode after the instructions that set the frame up.
    pub first_traceable: u64,
    /// Where its frames have what it is a method of, in versions without `co_qualname`.
    pub(crate) receiver: Option<Receiver>,
    encoding: LineEncoding,
    line_table: Box<[u8]>,
}

impl CodeInfo {
    /// Where the instruction at byte `offset` stands; a negative offset is a
    /// frame that has not begun.
    pub fn location(&self, offset: i64) -> Location {
        location(self.encoding, &self.line_table, self.first_line, offset)
    }

    /// Whether its frames always have a caller: a generator's, a coroutine's, an
    /// asynchronous generator's (`CO_GENERATOR`, `CO_COROUTINE`, `CO_ASYNC_GENERATOR`).
    pub fn is_generator(&self) -> bool {
        self.flags & (0x20 | 0x80 | 0x200) != 0
    }

    /// Code of CPython's own, no code of the program's, named after itself in a file
    /// that cannot be: what calls `__init__` after `__new__` (`_Py_InitCleanup`, 3.12
    /// and later) and what stands between C and Python (`interpreter_trampoline`).
    pub fn is_interpreters_own(&self) -> bool {
        matches!((&*self.filename, &*self.name), ("__init__", "__init__") | ("<shim>", _))
    }
}

struct Cached {
    signature: Box<[u8]>,
    info: Arc<CodeInfo>,
}

/// The code objects of one target.
#[derive(Default)]
pub struct CodeCache {
    known: HashMap<Address, Cached>,
    /// Kept between uses for its storage.
    heads: Batch,
    probes: Batch,
    signature: Vec<u8>,
}

impl CodeCache {
    /// What the code objects at `addresses` are, in that order; several equal
    /// ones are read once each, in two system calls where all are known already.
    ///
    /// Where the thread whose frames refer to them stands still, the answer is
    /// exact; else the caller reads the frames again afterwards.
    pub fn resolve(
        &mut self,
        memory: &impl Memory,
        layout: &Layout,
        addresses: &[Address],
    ) -> Vec<Result<Arc<CodeInfo>, ValueError>> {
        let code = &layout.code;
        let mut heads = std::mem::take(&mut self.heads);
        let mut probes = std::mem::take(&mut self.probes);
        heads.clear();
        probes.clear();
        for address in addresses {
            heads.push(*address, code.len);
        }
        memory.read_many(&mut heads);
        for index in 0..addresses.len() {
            let head = heads.get(index).unwrap_or_default();
            for field in [Some(code.name), code.qualname, Some(code.filename), Some(code.line_table)] {
                let at = field.and_then(|field| field.get(head)).unwrap_or(Address::NULL);
                probes.push(at, PROBE);
            }
        }
        memory.read_many(&mut probes);
        let limited = &Limited::new(memory, MAX_NEW);
        let resolved = addresses
            .iter()
            .enumerate()
            .map(|(index, address)| {
                let head = heads.get(index)?;
                self.sign(layout, head, &probes, index * PROBES);
                if let Some(cached) = self.known.get(address)
                    && *cached.signature == *self.signature
                {
                    return Ok(cached.info.clone());
                }
                let info = Arc::new(read(limited, layout, *address, head)?);
                let signature = self.signature.as_slice().into();
                self.known.insert(*address, Cached { signature, info: info.clone() });
                Ok(info)
            })
            .collect();
        self.heads = heads;
        self.probes = probes;
        resolved
    }

    /// Collects what tells the code object with this `head` from others into
    /// `self.signature`. Members that CPython changes while code runs (reference
    /// counts, counters, caches) are left out.
    fn sign(&mut self, layout: &Layout, head: &[u8], probes: &Batch, first_probe: usize) {
        let code = &layout.code;
        let signature = &mut self.signature;
        signature.clear();
        let bytecode = match code.bytecode {
            Bytecode::Bytes(field) => field.get(head).map(|at| at.0),
            Bytecode::Inline { units, .. } => units.get(head).map(|units| units as u64),
        };
        let name = code.name.get(head).map(|at| at.0);
        let filename = code.filename.get(head).map(|at| at.0);
        let line_table = code.line_table.get(head).map(|at| at.0);
        let first_line = code.first_line.get(head).map(|line| line as u64);
        for word in [name, filename, line_table, first_line, bytecode] {
            signature.extend(word.unwrap_or(0).to_le_bytes());
        }
        for index in 0..PROBES {
            // An object right at the end of a mapping has no probe: its address has to do.
            let Ok(probe) = probes.get(first_probe + index) else { continue };
            let visible = if index == LINE_TABLE_PROBE {
                text::visible_bytes(layout, probe)
            } else {
                text::visible(layout, probe)
            };
            if let Some((length, content)) = visible {
                signature.extend(length.to_le_bytes());
                signature.extend(content);
            }
        }
    }
}

/// Whether there is a code object at `at`.
pub(crate) fn is_code(memory: &impl Memory, layout: &Layout, at: Address) -> bool {
    text::type_name(memory, layout, at).is_ok_and(|name| name == b"code")
}

/// Reads a code object for the first time.
fn read(memory: &impl Memory, layout: &Layout, at: Address, head: &[u8]) -> Result<CodeInfo, ValueError> {
    let unexpected = ValueError::Unexpected { at, expected: "code object" };
    if !is_code(memory, layout, at) {
        return Err(unexpected);
    }
    let code = &layout.code;
    let name_at = code.qualname.unwrap_or(code.name).get(head).ok_or(unexpected)?;
    let filename_at = code.filename.get(head).ok_or(unexpected)?;
    let line_table_at = code.line_table.get(head).ok_or(unexpected)?;
    let code_len = match code.bytecode {
        Bytecode::Bytes(field) => layout.object.ob_size.read(memory, field.get(head).ok_or(unexpected)?)?,
        Bytecode::Inline { units, .. } => units.get(head).ok_or(unexpected)?.saturating_mul(2),
    };
    let first_traceable = code.first_traceable.and_then(|field| field.get(head)).unwrap_or(0);
    Ok(CodeInfo {
        name: text::string(memory, layout, name_at)?.into(),
        filename: text::string(memory, layout, filename_at)?.into(),
        first_line: code.first_line.get(head).ok_or(unexpected)?,
        flags: code.flags.get(head).ok_or(unexpected)?,
        code_len: u64::try_from(code_len).map_err(|_| unexpected)?,
        first_traceable: u64::try_from(first_traceable).unwrap_or(0) * 2,
        receiver: class_names::receiver(memory, layout, at),
        encoding: layout.lines,
        line_table: bytes_object(memory, layout, line_table_at)?.into(),
    })
}

/// The content of a bytes object (2.7: `str`).
fn bytes_object(memory: &impl Memory, layout: &Layout, at: Address) -> Result<Vec<u8>, ValueError> {
    let size = layout.object.ob_size.read(memory, at)?;
    match usize::try_from(size) {
        Ok(size) if size <= MAX_LINE_TABLE => {
            Ok(memory.bytes(at.offset(layout.object.bytes_data.into()), size)?)
        }
        _ => Err(ValueError::Unexpected { at, expected: "bytes object" }),
    }
}
