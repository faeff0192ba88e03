//! Where CPython keeps what, as data.
//!
//! A [`Layout`] is made once at attach: the file for the version, variants for
//! patch release and ABI laid over, then the target's own `_Py_DebugOffsets`
//! (3.13 and later). It is checked as a whole here; what walks memory trusts it.
//! Encodings that differ by version are enums of this module: nothing outside
//! asks for a version number.

pub mod activity;
mod field;
mod from_table;
mod table;

pub use activity::Activity;
pub use field::{Field, Word};
pub use table::{Table, known_versions, newest_known};

use rspy_process::{Address, Memory};

use crate::operations::Opcodes;
use crate::version::{Abi, Version};

/// Why there is no layout for a target.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum LayoutError {
    /// No file for that version, and nothing in the target that describes it.
    #[error("CPython {version} is not supported (supported: {known})")]
    UnknownVersion {
        /// What the target runs.
        version: Version,
        /// What there are tables for.
        known: String,
    },
    /// The file lacks something the walk cannot do without.
    #[error("the layout table lacks {section}.{name}")]
    Missing {
        /// Section of the file.
        section: &'static str,
        /// Member in that section.
        name: &'static str,
    },
    /// The file names a rule this rspy does not know.
    #[error("the layout table has no usable rule {0}")]
    Rule(&'static str),
    /// The file is no valid table.
    #[error("the layout table is damaged: {0}")]
    Damaged(String),
    /// The target's debug offsets could not be read or make no sense.
    #[error("the target's debug offsets are unusable: {0}")]
    DebugOffsets(&'static str),
}

/// Where the chain of structures begins.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Roots {
    /// Static variables `interp_head` and `_PyThreadState_Current` (2.7, 3.6).
    Statics,
    /// `_PyRuntime` (3.7 and later).
    Runtime,
}

/// `_PyRuntimeState`.
#[derive(Copy, Clone, Debug)]
pub struct Runtime {
    /// The newest interpreter.
    pub interpreters_head: Field<Address>,
}

/// `PyInterpreterState`.
#[derive(Copy, Clone, Debug)]
pub struct Interpreter {
    /// The next older interpreter.
    pub next: Field<Address>,
    /// Unique number, 0 for the main interpreter; absent before 3.7.
    pub id: Option<Field<i64>>,
    /// Its newest thread state (`tstate_head` before 3.11).
    pub threads_head: Field<Address>,
    /// `sys.modules`.
    pub modules: Field<Address>,
}

/// `PyThreadState`.
#[derive(Copy, Clone, Debug)]
pub struct Thread {
    /// The next older thread state of the same interpreter.
    pub next: Field<Address>,
    /// The interpreter it belongs to.
    pub interp: Field<Address>,
    /// What `threading.get_ident()` returns: the `pthread_t`.
    pub thread_id: Field<u64>,
    /// The kernel's thread id, from 3.11.
    pub native_thread_id: Option<Field<u64>>,
    /// Unique number of this thread state within its interpreter.
    pub id: Option<Field<u64>>,
    /// 1 while the thread may run bytecode, from 3.13.
    pub state: Option<Field<i32>>,
    /// Where the innermost frame is found.
    pub current_frame: CurrentFrame,
    /// The chunk the innermost frames lie in, from 3.11.
    pub datastack_chunk: Option<Field<Address>>,
    /// One past the innermost frame in that chunk, from 3.11.
    pub datastack_top: Option<Field<Address>>,
    /// The frame of the interpreter's own that all others stand on, from 3.15.
    pub base_frame: Option<Field<Address>>,
    /// Not 0 while a trace or profile function or a callback of `sys.monitoring` runs, which
    /// any instruction can have called.
    pub tracing: Option<Field<i32>>,
    /// How much of the structure is read, in bytes.
    pub len: usize,
    /// Its whole size, in bytes.
    pub size: u64,
}

/// How a thread state leads to its innermost frame.
#[derive(Copy, Clone, Debug)]
pub enum CurrentFrame {
    /// A member of the thread state: `frame` up to 3.10, `current_frame` from 3.13.
    Thread(Field<Address>),
    /// By way of `cframe`, a structure on the C stack (3.11, 3.12).
    Cframe {
        /// Member of the thread state.
        cframe: Field<Address>,
        /// Member of that structure.
        current_frame: Field<Address>,
        /// The structure of the evaluation loop below, another member.
        previous: Field<Address>,
    },
}

/// Who holds the GIL, and how that is known.
#[derive(Copy, Clone, Debug)]
pub enum Gil {
    /// The static `_PyThreadState_Current` (2.7, 3.6).
    Statics,
    /// A member of the runtime, null while nobody holds it (3.7–3.11).
    Runtime {
        /// `gilstate.tstate_current`.
        tstate_current: Field<Address>,
    },
    /// Each interpreter points to its GIL (3.12 and later).
    Interpreter {
        /// `ceval.gil` of the interpreter.
        gil: Field<Address>,
        /// 1 while somebody holds it.
        locked: Field<i32>,
        /// Who did last: stale unless `locked`.
        last_holder: Field<Address>,
        /// Free-threaded builds: whether there is a GIL at all.
        enabled: Option<Field<i32>>,
    },
}

/// Frames, in either of the two shapes CPython has had.
#[derive(Copy, Clone, Debug)]
pub enum Frames {
    /// `PyFrameObject` on the heap, linked by `f_back` (up to 3.10).
    Object(FrameObject),
    /// `_PyInterpreterFrame` on the thread's data stack (3.11 and later).
    Interpreter(InterpreterFrame),
}

/// `PyFrameObject` up to 3.10.
#[derive(Copy, Clone, Debug)]
pub struct FrameObject {
    /// The caller's frame.
    pub f_back: Field<Address>,
    /// Its code object.
    pub f_code: Field<Address>,
    /// The last instruction executed, −1 before the first.
    pub f_lasti: Field<i32>,
    /// Bytes to a unit of `f_lasti`: 1, in 3.10 2.
    pub lasti_unit: u64,
    /// References to it; 0 once it is freed, or kept for the next call of its function.
    pub ob_refcnt: Field<i64>,
    /// Whether it runs or has called what runs, which a suspended generator has not.
    pub executing: Executing,
    /// The names of code that is no function.
    pub f_locals: Field<Address>,
    /// The names of its module.
    pub f_globals: Field<Address>,
    /// First variable.
    pub localsplus: Field<Address>,
    /// How much of the structure is read, in bytes.
    pub len: usize,
}

/// How a frame object says that it is one of a running thread's.
#[derive(Copy, Clone, Debug)]
pub enum Executing {
    /// Not at all (2.7).
    Unknown,
    /// By a flag (3.6–3.9).
    Flag(Field<u8>),
    /// By its state, `FRAME_EXECUTING` or `FRAME_UNWINDING` (3.10).
    State(Field<i8>),
}

/// `_PyInterpreterFrame` from 3.11.
#[derive(Copy, Clone, Debug)]
pub struct InterpreterFrame {
    /// The caller's frame.
    pub previous: Field<Address>,
    /// Its code object, or something else in frames that are not Python's.
    pub executable: Field<Address>,
    /// Tag bits to clear in `executable` and in variables.
    pub executable_mask: u64,
    /// Pointer into the bytecode.
    pub instr: Field<Address>,
    /// Whose memory the frame lies in.
    pub owner: Field<u8>,
    /// The `owner` of a generator's or coroutine's frame.
    pub owner_generator: u8,
    /// `owner` from this value on means a frame of the interpreter's own, which
    /// is no Python code (3.12 and later).
    pub owner_shim: Option<u8>,
    /// Whether the frame was entered from C (3.11 only).
    pub is_entry: Option<Field<u8>>,
    /// How many values are on its stack while it is suspended in a call of Python
    /// code, −1 while it runs (3.11–3.13; later only assert builds reset it).
    pub stacktop: Option<Field<i32>>,
    /// How far behind `instr` a frame goes on that is suspended in a call of Python code;
    /// 0 while it is not (3.12 and later).
    pub return_offset: Option<Field<u16>>,
    /// Which of the code's per-thread copies `instr` points into (free-threaded 3.14).
    pub tlbc_index: Option<Field<i32>>,
    /// What the generator that a frame is part of says of itself, where that is known.
    pub generator: Option<GeneratorState>,
    /// The names of code that is no function.
    pub f_locals: Field<Address>,
    /// The names of its module.
    pub f_globals: Field<Address>,
    /// First variable.
    pub localsplus: Field<Address>,
    /// The chunks of the data stack.
    pub chunk: StackChunk,
    /// How much of the structure is read, in bytes.
    pub len: usize,
}

/// `gi_frame_state`: whether a generator runs.
#[derive(Copy, Clone, Debug)]
pub struct GeneratorState {
    /// How many bytes before its frame it lies.
    pub before: u32,
    /// What it is while the generator runs, or what it has called (`FRAME_EXECUTING`).
    pub executing: u8,
}

impl GeneratorState {
    /// How far before a frame at most, in bytes.
    pub const REACH: usize = 16;
}

/// `_PyStackChunk`: a piece of a thread's data stack.
#[derive(Copy, Clone, Debug)]
pub struct StackChunk {
    /// The chunk below.
    pub previous: Field<Address>,
    /// Its whole size in bytes.
    pub size: Field<u64>,
    /// How many words of it are used, once there is a newer one.
    pub top: Field<u64>,
    /// Offset of its first frame.
    pub data: u32,
    /// How much of the structure is read, in bytes.
    pub len: usize,
}

/// `PyCodeObject`.
#[derive(Copy, Clone, Debug)]
pub struct Code {
    /// The function's name.
    pub name: Field<Address>,
    /// The name with its classes and functions, from 3.11.
    pub qualname: Option<Field<Address>>,
    /// The source file as the compiler was told.
    pub filename: Field<Address>,
    /// First line of the function.
    pub first_line: Field<i32>,
    /// The line table (`co_lnotab` before 3.10).
    pub line_table: Field<Address>,
    /// Where the bytecode is.
    pub bytecode: Bytecode,
    /// Instructions before this one (in code units) set the frame up, from 3.11.
    pub first_traceable: Option<Field<i32>>,
    /// Per-thread copies of the bytecode (free-threaded 3.14).
    pub tlbc: Option<Field<Address>>,
    /// A number that no other code object has, 0 once they have run out (3.12 and later).
    pub version: Option<Field<u32>>,
    /// `CO_OPTIMIZED` and the like.
    pub flags: Field<i32>,
    /// How many positional arguments it takes.
    pub argcount: Field<i32>,
    /// The names of its variables.
    pub slots: Slots,
    /// How much of the structure is read, in bytes.
    pub len: usize,
}

/// Where a code object has the names of its variables.
#[derive(Copy, Clone, Debug)]
pub enum Slots {
    /// In three tuples (up to 3.10).
    Apart {
        /// Arguments and other locals.
        varnames: Field<Address>,
        /// Those that functions within it use as well.
        cellvars: Field<Address>,
        /// Those of functions around it.
        freevars: Field<Address>,
    },
    /// In one tuple (3.11 and later).
    Together {
        /// `co_localsplusnames`.
        names: Field<Address>,
        /// `co_localspluskinds`: a byte for each.
        kinds: Field<Address>,
    },
}

/// Where a code object has its instructions.
#[derive(Copy, Clone, Debug)]
pub enum Bytecode {
    /// In a bytes object (up to 3.10).
    Bytes(Field<Address>),
    /// Behind the structure itself, `ob_size` code units of two bytes (3.11 and later).
    Inline {
        /// Offset of the first instruction.
        start: u32,
        /// Number of code units.
        units: Field<i64>,
    },
}

/// `PyObject` and the few builtin types every walk needs.
#[derive(Copy, Clone, Debug)]
pub struct Object {
    /// Its type.
    pub ob_type: Field<Address>,
    /// Number of items of an object of variable size.
    pub ob_size: Field<i64>,
    /// Name of a type, a C string.
    pub tp_name: Field<Address>,
    /// First byte of a bytes object (2.7: `str`).
    pub bytes_data: u32,
    /// Hash of a bytes object, −1 while unknown, right before its data.
    pub bytes_hash: Field<i64>,
}

/// How names are stored.
#[derive(Copy, Clone, Debug)]
pub enum Text {
    /// As byte strings (2.7).
    Bytes,
    /// As `str` of PEP 393 (3.6 and later).
    Unicode(Unicode),
}

impl Text {
    /// Whether names are byte strings.
    pub fn is_bytes(&self) -> bool {
        matches!(self, Text::Bytes)
    }
}

/// `PyASCIIObject`, `PyCompactUnicodeObject` and `PyUnicodeObject`.
#[derive(Copy, Clone, Debug)]
pub struct Unicode {
    /// Number of code points.
    pub length: Field<i64>,
    /// Hash, −1 while unknown.
    pub hash: Field<i64>,
    /// Kind and flags.
    pub state: Field<u32>,
    /// Lowest bit of `kind` (3 bits: 1, 2 or 4 bytes a code point).
    pub kind_shift: u32,
    /// Bit of `compact`: the data follow the structure.
    pub compact_shift: u32,
    /// Bit of `ascii`.
    pub ascii_shift: u32,
    /// Size of a compact ASCII string's structure.
    pub ascii_size: u32,
    /// Size of another compact string's structure.
    pub compact_size: u32,
    /// Pointer to the data where they do not follow the structure.
    pub data: Option<Field<Address>>,
}

/// How a code object's line table is encoded.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum LineEncoding {
    /// Pairs of bytes, both unsigned (2.7).
    LnotabUnsigned,
    /// Pairs of bytes, the line step signed (3.6–3.9).
    LnotabSigned,
    /// Pairs of bytes, with ranges that have no line (3.10).
    Linetable,
    /// Variable-length entries with columns (3.11 and later).
    Locations,
}

/// Where instances of classes written in Python keep their attributes when not in
/// a dict at `tp_dictoffset`.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum InstanceValues {
    /// Always in a dict (up to 3.10).
    None,
    /// In an array that a word before the object points to (3.11).
    Pointer,
    /// In an array or a dict that one tagged word before the object points to (3.12).
    Tagged,
    /// In an array behind the object (3.13 and later).
    Inline,
}

/// Everything the walk needs to know about one target's CPython.
#[derive(Clone, Debug)]
pub struct Layout {
    /// The version the layout is for.
    pub version: Version,
    /// The build it is for.
    pub abi: Abi,
    /// Where the chain begins.
    pub roots: Roots,
    /// The runtime; `None` where there is none (2.7, 3.6).
    pub runtime: Option<Runtime>,
    /// Interpreters.
    pub interpreter: Interpreter,
    /// Thread states.
    pub thread: Thread,
    /// The GIL.
    pub gil: Gil,
    /// What tells what threads are doing.
    pub activity: Activity,
    /// Frames.
    pub frames: Frames,
    /// Code objects.
    pub code: Code,
    /// Objects.
    pub object: Object,
    /// Names.
    pub text: Text,
    /// Line tables.
    pub lines: LineEncoding,
    /// Instructions.
    pub opcodes: Opcodes,
    /// Attributes of instances.
    pub instance_values: InstanceValues,
    /// The tables it was made from, for readers of values.
    pub table: Table,
}

impl Layout {
    /// The layout for this version and ABI as the files have it.
    pub fn of(version: Version, abi: Abi) -> Result<Layout, LayoutError> {
        Layout::from_table(Table::of(version, abi)?, version, abi)
    }

    /// The layout the target describes itself (3.13 and later): the version's
    /// table, or for a version newer than any known the newest table, overlaid
    /// with the `_Py_DebugOffsets` at `runtime`.
    pub fn described(
        memory: &impl Memory,
        runtime: Address,
        version: Version,
        abi: Abi,
    ) -> Result<Layout, LayoutError> {
        let known = match newest_known() {
            Some((major, minor)) if (version.major, version.minor) > (major, minor) => {
                Version { major, minor, patch: u8::MAX }
            }
            _ => version,
        };
        let mut table = Table::of(known, abi)?;
        from_table::overlay(&mut table, memory, runtime)?;
        if (known.major, known.minor) != (version.major, version.minor) {
            // Every version numbers its instructions anew.
            table.forget("opcodes");
        }
        Layout::from_table(table, version, abi)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_known_version_has_a_valid_layout() {
        for name in known_versions().split(", ") {
            let version = Version::from_text(&format!("{name}.0 ")).unwrap();
            Layout::of(version, Abi::default()).unwrap_or_else(|error| panic!("{name}: {error}"));
        }
    }

    #[test]
    fn an_unknown_version_is_named_with_the_known_ones() {
        let version = Version { major: 3, minor: 5, patch: 2 };
        let error = Layout::of(version, Abi::default()).unwrap_err();
        assert!(matches!(error, LayoutError::UnknownVersion { .. }), "{error}");
    }
}
