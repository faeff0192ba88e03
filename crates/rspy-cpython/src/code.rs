//! Code objects: names, file and line table, read once and checked at every use.
//!
//! A code object can be freed and its memory given to another one: generated
//! code does so all the time. The cache therefore keeps, beside what it read, the
//! bytes that tell one code object from another, and compares them: its members with
//! the number that the interpreter gives each (3.12 and later), or its members and the
//! length and beginning of its names and line table.

use std::collections::hash_map::Entry;
use std::mem;
use std::sync::Arc;

use rspy_process::{Address, Batch, Limited, Memory};
use rustc_hash::FxHashMap;

use crate::class_names::{self, Receiver};
use crate::layout::{Bytecode, Layout, LineEncoding};
use crate::lines::{Location, location};
use crate::operations::{Opcodes, Operation, Operations};
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
    operations: Operations,
}

impl CodeInfo {
    /// Where the instruction at byte `offset` stands; a negative offset is a
    /// frame that has not begun.
    pub fn location(&self, offset: i64) -> Location {
        location(self.encoding, &self.line_table, self.first_line, offset)
    }

    /// What the instruction at byte `offset` can call.
    pub fn operation(&self, offset: i64) -> Operation {
        self.operations.at(offset)
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

#[cfg(test)]
impl CodeInfo {
    /// Code of `code_len` bytes, of which the first ones set the frame up.
    pub(crate) fn made(name: &str, filename: &str, code_len: u64, first_traceable: u64) -> CodeInfo {
        CodeInfo {
            name: name.into(),
            filename: filename.into(),
            first_line: 1,
            flags: 0,
            code_len,
            first_traceable,
            receiver: None,
            encoding: LineEncoding::Locations,
            line_table: Box::default(),
            operations: Operations::unknown(),
        }
    }
}

#[cfg(test)]
impl CodeId {
    /// The one that was met as number `index`.
    pub(crate) fn made(index: u32) -> CodeId {
        CodeId(index)
    }
}

/// A code object that was met. Another one at the same address has another id.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CodeId(u32);

impl CodeId {
    /// Its place among all that were met, from 0.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

struct Known {
    address: Address,
    /// What tells it from others, see [`CodeCache::sign`].
    signature: Box<[u8]>,
    /// The objects whose beginnings are part of the signature; none if the interpreter
    /// numbers its code objects, so that the structure itself tells.
    probes: Option<[Address; PROBES]>,
    info: Arc<CodeInfo>,
    /// How often it was found to be where it was.
    verified: u32,
}

/// A code object that was there still so often stays for longer: code that is made for the
/// moment does not get as old.
const TRUSTED: u32 = 20;

/// Who was last met at an address.
#[derive(Copy, Clone)]
struct Occupant {
    id: CodeId,
    /// There was another one before: there may be another one soon.
    is_volatile: bool,
}

/// The code objects of one target.
#[derive(Default)]
pub struct CodeCache {
    at: FxHashMap<Address, Occupant>,
    known: Vec<Known>,
    /// Kept between uses for its storage.
    batch: Batch,
    signature: Vec<u8>,
}

impl CodeCache {
    /// What the code objects at `addresses` are, in that order; several equal
    /// ones are read once each, in one system call where all are known already.
    ///
    /// Where the thread whose frames refer to them stands still, the answer is
    /// exact; else the caller reads the frames again afterwards.
    pub fn resolve(
        &mut self,
        memory: &impl Memory,
        layout: &Layout,
        addresses: &[Address],
    ) -> Vec<Result<Arc<CodeInfo>, ValueError>> {
        let mut distinct: FxHashMap<Address, Result<CodeId, ValueError>> = FxHashMap::default();
        let mut known = Vec::new();
        for address in addresses {
            if let Entry::Vacant(entry) = distinct.entry(*address) {
                let id = self.occupant(*address);
                known.extend(id);
                entry.insert(id.ok_or(ValueError::Unexpected { at: *address, expected: "code object" }));
            }
        }
        let mut refuted = Vec::new();
        self.verify(memory, layout, &known, &mut refuted);
        let limited = &Limited::new(memory, MAX_NEW);
        for (address, id) in &mut distinct {
            let is_sound = id.as_ref().is_ok_and(|id| !refuted.contains(id));
            if !is_sound {
                *id = self.meet(limited, layout, *address);
            }
        }
        let info = |address| match distinct.get(address) {
            Some(Ok(id)) => Ok(self.info(*id).clone()),
            Some(Err(error)) => Err(*error),
            None => Err(ValueError::Unexpected { at: *address, expected: "code object" }),
        };
        addresses.iter().map(info).collect()
    }

    /// Who was last met at `address`, without a look whether it is there still.
    pub fn occupant(&self, address: Address) -> Option<CodeId> {
        self.at.get(&address).map(|occupant| occupant.id)
    }

    /// Whether `id` may give its address away soon: it is new, or different ones were met there.
    pub fn is_volatile(&self, id: CodeId) -> bool {
        self.known.get(id.index()).is_none_or(|known| {
            known.verified < TRUSTED
                || self.at.get(&known.address).is_none_or(|occupant| occupant.is_volatile)
        })
    }

    /// Whether different code objects were met at the address of `id`.
    pub fn is_shared(&self, id: CodeId) -> bool {
        let occupant = self.known.get(id.index()).and_then(|known| self.at.get(&known.address));
        occupant.is_none_or(|occupant| occupant.is_volatile)
    }

    /// What is known of `id`, which must be this cache's.
    pub fn info(&self, id: CodeId) -> &Arc<CodeInfo> {
        &self.known[id.index()].info
    }

    /// Where `id`, which must be this cache's, lies or lay.
    pub fn address(&self, id: CodeId) -> Address {
        self.known[id.index()].address
    }

    /// All that were met from the number `first` on, in the order of their ids.
    pub fn since(&self, first: usize) -> impl Iterator<Item = (CodeId, &Arc<CodeInfo>)> {
        let met = self.known.iter().enumerate().skip(first);
        met.map(|(index, known)| (CodeId(index as u32), &known.info))
    }

    /// Adds those of `ids` to `refuted` that are not where they were any more: whoever is
    /// there now is another one, and that address is not trusted again.
    pub fn verify(
        &mut self,
        memory: &impl Memory,
        layout: &Layout,
        ids: &[CodeId],
        refuted: &mut Vec<CodeId>,
    ) {
        let mut batch = mem::take(&mut self.batch);
        batch.clear();
        for id in ids {
            self.ask(layout, *id, &mut batch);
        }
        memory.read_many(&mut batch);
        let mut at = 0;
        for id in ids {
            let (is_same, next) = self.is_same(layout, *id, &batch, at);
            at = next;
            if is_same {
                let known = &mut self.known[id.index()];
                known.verified = known.verified.saturating_add(1);
            } else {
                self.refute(*id);
                refuted.push(*id);
            }
        }
        self.batch = batch;
    }

    /// Asks for what [`is_same`](CodeCache::is_same) compares. Answers the first range.
    pub fn ask(&self, layout: &Layout, id: CodeId, batch: &mut Batch) -> usize {
        let known = &self.known[id.index()];
        let first = batch.push(known.address, layout.code.len);
        for probe in known.probes.into_iter().flatten() {
            batch.push(probe, PROBE);
        }
        first
    }

    /// Whether what was read into `batch` from range `first` on is `id`; and the range
    /// behind that.
    pub fn is_same(&mut self, layout: &Layout, id: CodeId, batch: &Batch, first: usize) -> (bool, usize) {
        let mut signature = mem::take(&mut self.signature);
        let known = &self.known[id.index()];
        let probes = known.probes.map_or(0, |probes| probes.len());
        sign(layout, batch.get(first).unwrap_or_default(), batch, (first + 1, probes), &mut signature);
        let is_same = batch.get(first).is_ok() && *known.signature == *signature;
        self.signature = signature;
        (is_same, first + 1 + probes)
    }

    /// Forgets that `id` is where it was.
    pub fn refute(&mut self, id: CodeId) {
        let address = self.address(id);
        if let Some(occupant) = self.at.get_mut(&address) {
            occupant.is_volatile = true;
        }
    }

    /// Reads the code object that is at `address` now.
    pub fn meet(
        &mut self,
        memory: &impl Memory,
        layout: &Layout,
        address: Address,
    ) -> Result<CodeId, ValueError> {
        let mut batch = mem::take(&mut self.batch);
        let met = self.meet_with(memory, layout, address, &mut batch);
        self.batch = batch;
        met
    }

    fn meet_with(
        &mut self,
        memory: &impl Memory,
        layout: &Layout,
        address: Address,
        batch: &mut Batch,
    ) -> Result<CodeId, ValueError> {
        let code = &layout.code;
        batch.clear();
        batch.push(address, code.len);
        memory.read_many(batch);
        let head = batch.get(0)?;
        let is_numbered = code.version.and_then(|field| field.get(head)).is_some_and(|version| version != 0);
        let fields = [Some(code.name), code.qualname, Some(code.filename), Some(code.line_table)];
        let probes = fields.map(|field| field.and_then(|field| field.get(head)).unwrap_or(Address::NULL));
        let probes = (!is_numbered).then_some(probes);
        let head = head.to_vec();
        batch.clear();
        batch.push(address, code.len);
        for probe in probes.into_iter().flatten() {
            batch.push(probe, PROBE);
        }
        memory.read_many(batch);
        let mut signature = Vec::new();
        sign(layout, &head, batch, (1, batch.len() - 1), &mut signature);
        let occupant = self.at.get(&address).copied();
        if let Some(occupant) = occupant
            && *self.known[occupant.id.index()].signature == *signature
        {
            return Ok(occupant.id);
        }
        let info = Arc::new(read(memory, layout, address, &head)?);
        let number = u32::try_from(self.known.len());
        let id = CodeId(number.map_err(|_| ValueError::Unexpected { at: address, expected: "code object" })?);
        self.known.push(Known { address, signature: signature.into(), probes, info, verified: 0 });
        self.at.insert(address, Occupant { id, is_volatile: occupant.is_some() });
        Ok(id)
    }
}

/// Collects what tells the code object with this `head` from others. Members that CPython
/// changes while code runs (reference counts, counters, caches) are left out. `probes` are
/// the first range of `batch` with the beginning of a name, and how many there are.
fn sign(layout: &Layout, head: &[u8], batch: &Batch, probes: (usize, usize), signature: &mut Vec<u8>) {
    let code = &layout.code;
    signature.clear();
    let bytecode = match code.bytecode {
        Bytecode::Bytes(field) => field.get(head).map(|at| at.0),
        Bytecode::Inline { units, .. } => units.get(head).map(|units| units as u64),
    };
    let name = code.name.get(head).map(|at| at.0);
    let filename = code.filename.get(head).map(|at| at.0);
    let line_table = code.line_table.get(head).map(|at| at.0);
    let first_line = code.first_line.get(head).map(|line| line as u64);
    let version = code.version.and_then(|field| field.get(head)).map(u64::from);
    for word in [name, filename, line_table, first_line, bytecode, version] {
        signature.extend(word.unwrap_or(0).to_le_bytes());
    }
    let (first, count) = probes;
    for index in 0..count {
        // An object right at the end of a mapping has no probe: its address has to do.
        let Ok(probe) = batch.get(first + index) else { continue };
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
        operations: Opcodes::read(memory, layout, at, head),
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
