//! How instances of a type are read: what determines their size, and what they refer to.

use crate::apart::{Apart, TYPES};

/// `Py_TPFLAGS_…_SUBCLASS`.
const SUBCLASSES: [(u64, Kind); 7] = [
    (1 << 24, Kind::Int),
    (1 << 25, Kind::List),
    (1 << 26, Kind::Tuple),
    (1 << 27, Kind::Bytes),
    (1 << 28, Kind::Unicode),
    (1 << 29, Kind::Dict),
    (1 << 31, Kind::Type),
];

/// `Py_TPFLAGS_HEAPTYPE`.
const HEAP_TYPE: u64 = 1 << 9;

/// A builtin type that instances derive from, if rspy knows it.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `int` of 3, `long` of 2.7.
    Int,
    /// `list`.
    List,
    /// `tuple`.
    Tuple,
    /// `bytes`, in 2.7 `str`.
    Bytes,
    /// `str`, in 2.7 `unicode`.
    Unicode,
    /// `dict`.
    Dict,
    /// `type`.
    Type,
    /// `set` and `frozenset`.
    Set,
    /// `bytearray`.
    ByteArray,
    /// A function made by `def` or `lambda`.
    Function,
    /// A code object.
    Code,
    /// A variable that inner functions use.
    Cell,
    /// A bound method.
    Method,
    /// A weak reference.
    Weakref,
    /// A frame, generator, coroutine: variables stand in it, or behind it.
    Running,
    /// `module`.
    Module,
    /// `collections.deque`.
    Deque,
    /// An entry of `functools.lru_cache`.
    CacheEntry,
    /// `array.array`.
    Numbers,
    /// `io.BytesIO`.
    BytesIO,
    /// `io.BufferedReader` and its like.
    Buffered,
    /// `struct.Struct`.
    Struct,
    /// `functools.lru_cache`.
    Cache,
    /// `memoryview`.
    MemoryView,
    /// `numpy.ndarray`.
    Array,
    /// A type that is written in C and keeps these blocks apart from its instances.
    Apart(&'static [Apart]),
    /// `datetime.datetime` and `datetime.time`: without a time zone there is no room for one.
    Clock,
    /// `float`, `complex`, `int` of 2.7: they refer to nothing, whatever their bits look like.
    Number,
    /// Any other: its size is what its type says.
    Other,
}

impl Kind {
    /// What a type called `name` with these `flags` is, which derives from what is `above`.
    pub fn of(name: &str, flags: u64, above: Option<Kind>) -> Kind {
        if let Some((_, kind)) = SUBCLASSES.iter().find(|(flag, _)| flags & flag != 0) {
            return *kind;
        }
        // Types of extension modules have the module in their name, which classes do not.
        match name {
            "collections.deque" => return Kind::Deque,
            "array.array" => return Kind::Numbers,
            "_io.BytesIO" => return Kind::BytesIO,
            "_io.BufferedReader" | "_io.BufferedWriter" | "_io.BufferedRandom" => return Kind::Buffered,
            "_struct.Struct" => return Kind::Struct,
            "functools._lru_cache_wrapper" => return Kind::Cache,
            "functools._lru_list_elem" => return Kind::CacheEntry,
            "numpy.ndarray" => return Kind::Array,
            "datetime.datetime" | "datetime.time" => return Kind::Clock,
            _ => {}
        }
        if let Some((_, blocks)) = TYPES.iter().find(|(known, _)| *known == name) {
            return Kind::Apart(blocks);
        }
        // Only a type of the interpreter's own is what its name says.
        if flags & HEAP_TYPE != 0 {
            return above.unwrap_or(Kind::Other);
        }
        match name {
            "set" | "frozenset" => Kind::Set,
            "frozendict" => Kind::Dict,
            "bytearray" => Kind::ByteArray,
            "function" => Kind::Function,
            "code" => Kind::Code,
            "float" | "complex" | "int" => Kind::Number,
            "Struct" => Kind::Struct,
            "module" => Kind::Module,
            "memoryview" => Kind::MemoryView,
            "cell" => Kind::Cell,
            "method" | "instancemethod" => Kind::Method,
            "weakref" | "weakref.ReferenceType" | "weakproxy" | "weakcallableproxy" => Kind::Weakref,
            "frame" | "generator" | "coroutine" | "async_generator" => Kind::Running,
            _ => above.unwrap_or(Kind::Other),
        }
    }

    /// Whether every word of an instance is looked at for references, those that subclasses add included.
    pub(crate) fn is_scanned(self) -> bool {
        use Kind::{Apart, Buffered, BytesIO, Other, Running, Struct};
        matches!(self, Running | Buffered | BytesIO | Struct | Apart(_) | Other)
    }
}
