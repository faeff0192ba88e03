//! Objects, written as CPython lays them out.

use rspy_process::Address;

use super::image::{Image, Kind};
use super::shape::{Bytecode, Dict, Shape, Values, Variables, object};

/// Units of bytecode in each function; each of them is on a line of its own.
pub const UNITS: u64 = 6;
/// The variables of each function: the first one is an argument, the last one is never bound.
pub const VARIABLES: [&str; 3] = ["self", "größe", "unbound"];
/// `CO_FAST_LOCAL`.
const LOCAL: u8 = 0x20;
/// `Py_TPFLAGS_INLINE_VALUES`.
const INLINE_VALUES: u64 = 1 << 2;
/// `Py_TPFLAGS_MANAGED_DICT`.
const MANAGED_DICT: u64 = 1 << 4;

/// `Py_TPFLAGS_HEAPTYPE`.
const HEAP_TYPE: u64 = 1 << 9;
/// `Py_TPFLAGS_LONG_SUBCLASS` and so on.
const LONG_SUBCLASS: u64 = 1 << 24;
const TUPLE_SUBCLASS: u64 = 1 << 26;
const BYTES_SUBCLASS: u64 = 1 << 27;
const UNICODE_SUBCLASS: u64 = 1 << 28;
const DICT_SUBCLASS: u64 = 1 << 29;
const TYPE_SUBCLASS: u64 = 1 << 31;
/// `CO_OPTIMIZED`.
const OPTIMIZED: u64 = 1;

/// The types of the objects that are written.
struct Types {
    code: Address,
    str: Address,
    bytes: Address,
    int: Address,
    dict: Address,
    tuple: Address,
    module: Address,
    thread: Address,
}

/// Writes objects into an image.
pub struct Objects<'s> {
    pub image: Image,
    pub shape: &'s Shape,
    types: Types,
}

/// What a code object is made from.
pub struct Function {
    pub name: &'static str,
    pub qualname: &'static str,
    pub filename: &'static str,
    pub first_line: u32,
}

impl<'s> Objects<'s> {
    /// An image with the interpreter's variables at its beginning and the types that objects need.
    pub fn new(shape: &'s Shape, data: usize) -> Objects<'s> {
        let mut image = Image::new();
        image.reserve(Kind::Data, data);
        // A type is one because its own type has this flag.
        let metatype = image.reserve(Kind::Heap, object::TP_FLAGS as usize + 8);
        image.word(metatype.offset(object::TP_FLAGS), TYPE_SUBCLASS);
        let mut named = |name: &str, flags: u64| {
            let at = image.reserve(Kind::Heap, shape.cached_keys as usize + 8);
            image.word(at.offset(object::TYPE), metatype.0);
            image.word(at.offset(object::TP_FLAGS), flags);
            let text = image.reserve(Kind::Heap, name.len() + 1);
            image.write(text, name.as_bytes());
            image.word(at.offset(object::TP_NAME), text.0);
            at
        };
        let types = Types {
            code: named("code", 0),
            str: named("str", UNICODE_SUBCLASS),
            bytes: named("bytes", BYTES_SUBCLASS),
            int: named("int", LONG_SUBCLASS),
            dict: named("dict", DICT_SUBCLASS),
            tuple: named("tuple", TUPLE_SUBCLASS),
            module: named("module", 0),
            thread: named("Thread", 0),
        };
        let mut objects = Objects { image, shape, types };
        objects.thread_type();
        objects
    }

    fn thread_type(&mut self) {
        let (flags, dictoffset) = match self.shape.values {
            Values::Dict => (0, 16),
            Values::Pointer => (MANAGED_DICT, 0),
            Values::Inline => (MANAGED_DICT | INLINE_VALUES, 0),
        };
        let at = self.types.thread;
        self.image.word(at.offset(object::TP_BASICSIZE), 16);
        self.image.word(at.offset(object::TP_FLAGS), flags | HEAP_TYPE);
        self.image.word(at.offset(object::TP_DICTOFFSET), dictoffset);
        if flags != 0 {
            let keys = ["_target", "_name", "_args"].map(|key| (self.str(key), Address::NULL));
            let keys = self.unicode_keys(&keys, 2);
            self.image.word(at.offset(self.shape.cached_keys), keys.0);
        }
    }

    fn object(&mut self, ob_type: Address, size: u64) -> Address {
        let at = self.image.reserve(Kind::Heap, size as usize);
        self.image.word(at.offset(object::TYPE), ob_type.0);
        at
    }

    /// A `str`, as compact as it can be.
    pub fn str(&mut self, text: &str) -> Address {
        let (ascii, widest) = (text.is_ascii(), text.chars().map(u32::from).max().unwrap_or(0));
        let kind: usize = match widest {
            0..=0xff => 1,
            0x100..=0xffff => 2,
            _ => 4,
        };
        let start = if ascii { self.shape.text.ascii } else { self.shape.text.compact };
        let length = text.chars().count();
        let at = self.object(self.types.str, start + ((length + 1) * kind) as u64);
        self.image.word(at.offset(object::STR_LENGTH), length as u64);
        // kind from bit 2, compact bit 5, ascii bit 6.
        let state = (kind as u64) << 2 | 1 << 5 | u64::from(ascii) << 6;
        self.image.put(at.offset(object::STR_STATE), 4, state);
        for (index, letter) in text.chars().enumerate() {
            let bytes = u32::from(letter).to_le_bytes();
            self.image.write(at.offset(start + (index * kind) as u64), &bytes[..kind]);
        }
        at
    }

    /// A `bytes`.
    pub fn bytes(&mut self, content: &[u8]) -> Address {
        let at = self.object(self.types.bytes, object::BYTES_DATA + content.len() as u64 + 1);
        self.image.word(at.offset(object::SIZE), content.len() as u64);
        self.image.write(at.offset(object::BYTES_DATA), content);
        at
    }

    /// An `int` of at most two digits.
    pub fn int(&mut self, number: u64) -> Address {
        let digits = [number & 0x3fff_ffff, number >> 30];
        let at = self.object(self.types.int, object::INT_DIGITS + 8);
        let size = if self.shape.has_lv_tag { 2 << 3 } else { 2 };
        self.image.word(at.offset(object::SIZE), size);
        for (index, digit) in digits.into_iter().enumerate() {
            self.image.put(at.offset(object::INT_DIGITS + index as u64 * 4), 4, digit);
        }
        at
    }

    /// A `tuple`.
    pub fn tuple(&mut self, items: &[Address]) -> Address {
        let start = self.shape.tuple_items;
        let at = self.object(self.types.tuple, start + items.len() as u64 * 8);
        self.image.word(at.offset(object::SIZE), items.len() as u64);
        for (index, item) in items.iter().enumerate() {
            self.image.word(at.offset(start + index as u64 * 8), item.0);
        }
        at
    }

    /// A `dict` of at most eight items.
    pub fn dict(&mut self, items: &[(Address, Address)]) -> Address {
        let keys = match self.shape.dict {
            Dict::Numbers => self.hashed_keys(items),
            // Keys that are all text have smaller entries.
            Dict::Logarithms => self.general_keys(items),
        };
        self.dict_of(keys)
    }

    /// The same with keys that are all text.
    pub fn dict_of_names(&mut self, items: &[(Address, Address)]) -> Address {
        let keys = match self.shape.dict {
            Dict::Numbers => self.hashed_keys(items),
            Dict::Logarithms => self.unicode_keys(items, 1),
        };
        self.dict_of(keys)
    }

    fn dict_of(&mut self, keys: Address) -> Address {
        let at = self.object(self.types.dict, 48);
        self.image.word(at.offset(object::DICT_KEYS), keys.0);
        at
    }

    /// `PyDictKeysObject` up to 3.10: 40 bytes, one of index for each of 8 slots, entries with hashes.
    fn hashed_keys(&mut self, items: &[(Address, Address)]) -> Address {
        let at = self.image.reserve(Kind::Heap, 40 + 8 + items.len() * 24);
        self.image.word(at.offset(8), 8);
        self.image.word(at.offset(32), items.len() as u64);
        self.entries(at.offset(48), items, 24);
        at
    }

    /// `PyDictKeysObject` from 3.11 on, for keys of any type.
    fn general_keys(&mut self, items: &[(Address, Address)]) -> Address {
        let at = self.keys(0, items.len(), 24);
        self.entries(at.offset(40), items, 24);
        at
    }

    /// The same for keys that are text, of a dict of its own (1) or of instances (2).
    fn unicode_keys(&mut self, items: &[(Address, Address)], kind: u64) -> Address {
        let at = self.keys(kind, items.len(), 16);
        self.entries(at.offset(40), items, 16);
        at
    }

    fn keys(&mut self, kind: u64, len: usize, entry: usize) -> Address {
        let at = self.image.reserve(Kind::Heap, 32 + 8 + len * entry);
        // dk_log2_size, dk_log2_index_bytes, dk_kind, dk_nentries
        self.image.put(at.offset(8), 1, 3);
        self.image.put(at.offset(9), 1, 3);
        self.image.put(at.offset(10), 1, kind);
        self.image.word(at.offset(24), len as u64);
        at
    }

    fn entries(&mut self, at: Address, items: &[(Address, Address)], size: u64) {
        for (index, (key, value)) in items.iter().enumerate() {
            // Key and value are the last two words of an entry.
            let entry = at.offset((index as u64 + 1) * size - 16);
            self.image.word(entry, key.0);
            self.image.word(entry.offset(8), value.0);
        }
    }

    /// A module with these names.
    pub fn module(&mut self, names: &[(Address, Address)]) -> Address {
        let dict = self.dict_of_names(names);
        let at = self.object(self.types.module, 48);
        self.image.word(at.offset(object::MODULE_DICT), dict.0);
        at
    }

    /// A `threading.Thread` of this name.
    pub fn thread(&mut self, name: &str) -> Address {
        let name = self.str(name);
        if let Values::Dict = self.shape.values {
            let key = self.str("_name");
            let dict = self.dict_of_names(&[(key, name)]);
            let at = self.object(self.types.thread, 32);
            self.image.word(at.offset(16), dict.0);
            return at;
        }
        // Four words stand before the object; three values and their header behind it.
        let at = self.image.reserve(Kind::Heap, 32 + 16 + 8 + 3 * 8).offset(32);
        self.image.word(at.offset(object::TYPE), self.types.thread.0);
        let values = match self.shape.values {
            Values::Pointer => {
                let values = at.offset(16);
                self.image.word(Address(at.0 - 32), values.0);
                values
            }
            _ => at.offset(16 + 8),
        };
        self.image.word(values.offset(8), name.0);
        at
    }

    /// A code object.
    pub fn code(&mut self, function: &Function) -> Address {
        let shape = &self.shape.code;
        let instructions = [0u8; 2 * UNITS as usize];
        let (name, filename) = (self.str(function.name), self.str(function.filename));
        let qualname = shape.qualname.map(|_| self.str(function.qualname));
        let table: Vec<u8> = match shape.bytecode {
            // Two bytes further, a line further.
            Bytecode::Object { .. } => (1..UNITS).flat_map(|_| [2, 1]).collect(),
            // Entries of one unit, without columns: the line steps by 0, then by 1 (2 with its sign behind).
            Bytecode::Inline { .. } => {
                (0..UNITS).flat_map(|unit| [0x80 | 13 << 3, u8::from(unit > 0) << 1]).collect()
            }
        };
        let table = self.bytes(&table);
        let names = VARIABLES.map(|name| self.str(name));
        let names = self.tuple(&names);
        let (none, kinds) = (self.tuple(&[]), self.bytes(&[LOCAL; VARIABLES.len()]));
        let at = match shape.bytecode {
            Bytecode::Object { co_code } => {
                let code = self.bytes(&instructions);
                let at = self.object(self.types.code, 176);
                self.image.word(at.offset(co_code), code.0);
                at
            }
            Bytecode::Inline { start, first_traceable } => {
                let at = self.object(self.types.code, start + instructions.len() as u64);
                self.image.word(at.offset(object::SIZE), UNITS);
                self.image.put(at.offset(first_traceable), 4, 1);
                at
            }
        };
        self.image.put(at.offset(shape.first_line), 4, function.first_line.into());
        self.image.word(at.offset(shape.name), name.0);
        self.image.word(at.offset(shape.filename), filename.0);
        self.image.word(at.offset(shape.line_table), table.0);
        self.image.put(at.offset(shape.flags), 4, OPTIMIZED);
        self.image.put(at.offset(shape.argcount), 4, 1);
        match shape.variables {
            Variables::Apart { varnames, cellvars, freevars } => {
                self.image.word(at.offset(varnames), names.0);
                self.image.word(at.offset(cellvars), none.0);
                self.image.word(at.offset(freevars), none.0);
            }
            Variables::Together { names: field, kinds: of } => {
                self.image.word(at.offset(field), names.0);
                self.image.word(at.offset(of), kinds.0);
            }
        }
        if let (Some(field), Some(qualname)) = (shape.qualname, qualname) {
            self.image.word(at.offset(field), qualname.0);
        }
        at
    }
}
