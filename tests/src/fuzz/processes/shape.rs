//! What structures look like, written by hand from the headers of CPython 3.8.18, 3.11.7, 3.13.0 and 3.15.2, so
//! that the layout tables of rspy are not what they are tested with. All numbers are bytes; the names are CPython's.

/// One version's structures, on 64-bit Linux.
pub struct Shape {
    /// Major, minor and patch release.
    pub version: [u8; 3],
    pub runtime: Runtime,
    pub interpreter: Interpreter,
    pub thread: Thread,
    pub frame: Frame,
    pub code: Code,
    pub text: Text,
    pub dict: Dict,
    pub values: Values,
    /// `ht_cached_keys` of `PyHeapTypeObject`.
    pub cached_keys: u64,
    /// `ob_item` of a tuple.
    pub tuple_items: u64,
    /// Whether the number of an int's digits is in `lv_tag`.
    pub has_lv_tag: bool,
    /// The members of `_Py_DebugOffsets` that are used, each with what it says.
    pub debug_offsets: &'static [(u64, u64)],
}

/// `_PyRuntimeState`.
pub struct Runtime {
    pub interpreters_head: u64,
    /// `gilstate.tstate_current`, where the GIL is the runtime's.
    pub tstate_current: Option<u64>,
}

/// `PyInterpreterState`.
pub struct Interpreter {
    pub next: u64,
    pub id: u64,
    pub threads_head: u64,
    pub modules: u64,
    /// `ceval.gil`, where the GIL is the interpreter's.
    pub gil: Option<u64>,
    pub size: usize,
}

/// `PyThreadState`.
pub struct Thread {
    pub next: u64,
    pub interp: u64,
    pub thread_id: u64,
    pub native_thread_id: Option<u64>,
    pub state: Option<u64>,
    pub current: Current,
    /// `datastack_chunk`; `datastack_top` follows.
    pub datastack_chunk: Option<u64>,
    pub size: usize,
}

/// How a thread state leads to its frames.
pub enum Current {
    /// A member that points to the innermost one.
    Frame(u64),
    /// A member that points to the innermost `_PyCFrame`; the outermost of these is a member too.
    Cframe { cframe: u64, root: u64 },
}

/// `PyFrameObject` up to 3.10, then `_PyInterpreterFrame`.
pub struct Frame {
    pub previous: u64,
    pub code: u64,
    /// `f_lasti`, `prev_instr` or `instr_ptr`.
    pub position: u64,
    /// `owner`, where there is one.
    pub owner: Option<u64>,
    /// `is_entry` (3.11).
    pub is_entry: Option<u64>,
    /// `owner` of a frame between C and Python.
    pub shim: Option<u8>,
    /// Set in pointers to code objects.
    pub tag: u64,
    /// Where the variables begin.
    pub variables: u64,
    pub size: usize,
}

/// `PyCodeObject`.
pub struct Code {
    pub first_line: u64,
    pub filename: u64,
    pub name: u64,
    pub qualname: Option<u64>,
    pub line_table: u64,
    pub flags: u64,
    pub argcount: u64,
    pub bytecode: Bytecode,
    pub variables: Variables,
}

/// Where the names of variables are.
pub enum Variables {
    /// In three tuples.
    Apart { varnames: u64, cellvars: u64, freevars: u64 },
    /// In one tuple, with a byte string of what each is.
    Together { names: u64, kinds: u64 },
}

/// Where the instructions are.
pub enum Bytecode {
    /// In a bytes object; the line table is an lnotab.
    Object { co_code: u64 },
    /// Behind the structure; the line table is one of locations.
    Inline { start: u64, first_traceable: u64 },
}

/// Sizes of `PyASCIIObject` and `PyCompactUnicodeObject`.
pub struct Text {
    pub ascii: u64,
    pub compact: u64,
}

/// `PyDictKeysObject`.
pub enum Dict {
    /// Sizes as numbers, entries with hashes (3.8).
    Numbers,
    /// Sizes as logarithms (3.11 and later).
    Logarithms,
}

/// Where an instance has its attributes.
pub enum Values {
    /// In a dict at `tp_dictoffset`.
    Dict,
    /// In an array that the fourth word before it points to.
    Pointer,
    /// In an array behind it.
    Inline,
}

/// Members that all these versions have in the same places.
pub mod object {
    pub const TYPE: u64 = 8;
    pub const SIZE: u64 = 16;
    pub const TP_NAME: u64 = 24;
    pub const TP_BASICSIZE: u64 = 32;
    pub const TP_FLAGS: u64 = 168;
    pub const TP_DICTOFFSET: u64 = 288;
    pub const STR_LENGTH: u64 = 16;
    pub const STR_STATE: u64 = 32;
    pub const BYTES_DATA: u64 = 32;
    pub const INT_DIGITS: u64 = 24;
    pub const DICT_KEYS: u64 = 32;
    pub const MODULE_DICT: u64 = 16;
}

/// `_PyCFrame` of 3.11.
pub mod cframe {
    pub const CURRENT_FRAME: u64 = 8;
    pub const PREVIOUS: u64 = 16;
    pub const SIZE: usize = 24;
}

/// `_PyStackChunk`.
pub mod chunk {
    pub const PREVIOUS: u64 = 0;
    pub const SIZE: u64 = 8;
    pub const TOP: u64 = 16;
    pub const DATA: u64 = 24;
}

/// `struct _gil_runtime_state`.
pub mod gil {
    pub const LAST_HOLDER: u64 = 8;
    pub const LOCKED: u64 = 16;
    pub const SIZE: usize = 208;
}

/// The versions that processes are made of.
pub static SHAPES: [Shape; 4] = [
    Shape {
        version: [3, 8, 18],
        runtime: Runtime { interpreters_head: 32, tstate_current: Some(1368) },
        interpreter: Interpreter { next: 0, id: 16, threads_head: 8, modules: 56, gil: None, size: 2720 },
        thread: Thread {
            next: 8,
            interp: 16,
            thread_id: 176,
            native_thread_id: None,
            state: None,
            current: Current::Frame(24),
            datastack_chunk: None,
            size: 264,
        },
        frame: Frame {
            previous: 24,
            code: 32,
            position: 104,
            owner: None,
            is_entry: None,
            shim: None,
            tag: 0,
            variables: 360,
            size: 384,
        },
        code: Code {
            first_line: 40,
            filename: 104,
            name: 112,
            qualname: None,
            line_table: 120,
            flags: 36,
            argcount: 16,
            variables: Variables::Apart { varnames: 72, cellvars: 80, freevars: 88 },
            bytecode: Bytecode::Object { co_code: 48 },
        },
        text: Text { ascii: 48, compact: 72 },
        dict: Dict::Numbers,
        values: Values::Dict,
        cached_keys: 872,
        tuple_items: 24,
        has_lv_tag: false,
        debug_offsets: &[],
    },
    Shape {
        version: [3, 11, 7],
        runtime: Runtime { interpreters_head: 40, tstate_current: Some(576) },
        interpreter: Interpreter { next: 0, id: 48, threads_head: 16, modules: 888, gil: None, size: 1024 },
        thread: Thread {
            next: 8,
            interp: 16,
            thread_id: 152,
            native_thread_id: Some(160),
            state: None,
            current: Current::Cframe { cframe: 56, root: 336 },
            datastack_chunk: Some(296),
            size: 360,
        },
        frame: Frame {
            previous: 48,
            code: 32,
            position: 56,
            owner: Some(69),
            is_entry: Some(68),
            shim: None,
            tag: 0,
            variables: 72,
            size: 96,
        },
        code: Code {
            first_line: 72,
            filename: 112,
            name: 120,
            qualname: Some(128),
            line_table: 136,
            flags: 48,
            argcount: 56,
            variables: Variables::Together { names: 96, kinds: 104 },
            bytecode: Bytecode::Inline { start: 184, first_traceable: 168 },
        },
        text: Text { ascii: 48, compact: 72 },
        dict: Dict::Logarithms,
        values: Values::Pointer,
        cached_keys: 872,
        tuple_items: 24,
        has_lv_tag: false,
        debug_offsets: &[],
    },
    Shape {
        version: [3, 13, 0],
        runtime: Runtime { interpreters_head: 632, tstate_current: None },
        interpreter: Interpreter {
            next: 7264,
            id: 7272,
            threads_head: 7344,
            modules: 7656,
            gil: Some(16),
            size: 7792,
        },
        thread: Thread {
            next: 8,
            interp: 16,
            thread_id: 152,
            native_thread_id: Some(160),
            state: Some(40),
            current: Current::Frame(72),
            datastack_chunk: Some(232),
            size: 336,
        },
        frame: Frame {
            previous: 8,
            code: 0,
            position: 56,
            owner: Some(70),
            is_entry: None,
            shim: Some(3),
            tag: 0,
            variables: 72,
            size: 96,
        },
        code: Code {
            first_line: 68,
            filename: 112,
            name: 120,
            qualname: Some(128),
            line_table: 136,
            flags: 48,
            argcount: 52,
            variables: Variables::Together { names: 96, kinds: 104 },
            bytecode: Bytecode::Inline { start: 200, first_traceable: 184 },
        },
        text: Text { ascii: 40, compact: 56 },
        dict: Dict::Logarithms,
        values: Values::Inline,
        cached_keys: 880,
        tuple_items: 24,
        has_lv_tag: true,
        debug_offsets: &[
            // runtime_state: size, finalizing, interpreters_head
            (24, 283_320),
            (32, 608),
            (40, 632),
            // interpreter_state: size, id, next, threads_head, gc, imports_modules, sysdict, builtins, ceval_gil
            (48, 194_968),
            (56, 7272),
            (64, 7264),
            (72, 7344),
            (80, 7400),
            (88, 7656),
            (96, 7640),
            (104, 7648),
            (112, 16),
            // gil_runtime_state, _enabled, _locked, _holder
            (120, 7752),
            (128, 0),
            (136, 7768),
            (144, 7760),
            // thread_state: size, prev, next, interp, current_frame, thread_id, native_thread_id,
            // datastack_chunk, status
            (152, 304),
            (160, 0),
            (168, 8),
            (176, 16),
            (184, 72),
            (192, 152),
            (200, 160),
            (208, 232),
            (216, 32),
            // interpreter_frame: size, previous, executable, instr_ptr, localsplus, owner
            (224, 80),
            (232, 8),
            (240, 0),
            (248, 56),
            (256, 72),
            (264, 70),
            // code_object: size, filename, name, qualname, linetable, firstlineno, argcount, localsplusnames,
            // localspluskinds, co_code_adaptive
            (272, 208),
            (280, 112),
            (288, 120),
            (296, 128),
            (304, 136),
            (312, 68),
            (320, 52),
            (328, 96),
            (336, 104),
            (344, 200),
            // pyobject: size, ob_type; type_object: size, tp_name, tp_repr, tp_flags
            (352, 16),
            (360, 8),
            (368, 416),
            (376, 24),
            (384, 88),
            (392, 168),
            // tuple_object: size, ob_item, ob_size
            (400, 32),
            (408, 24),
            (416, 16),
            // dict_object: size, ma_keys, ma_values
            (448, 48),
            (456, 32),
            (464, 40),
            // long_object: size, lv_tag, ob_digit; bytes_object: size, ob_size, ob_sval
            (488, 32),
            (496, 16),
            (504, 24),
            (512, 40),
            (520, 16),
            (528, 32),
            // unicode_object: size, state, length, asciiobject_size
            (536, 64),
            (544, 32),
            (552, 16),
            (560, 40),
        ],
    },
    Shape {
        version: [3, 15, 2],
        runtime: Runtime { interpreters_head: 936, tstate_current: None },
        interpreter: Interpreter {
            next: 7264,
            id: 7272,
            threads_head: 7336,
            modules: 7592,
            gil: Some(16),
            size: 7776,
        },
        thread: Thread {
            next: 8,
            interp: 16,
            thread_id: 176,
            native_thread_id: Some(184),
            state: Some(48),
            current: Current::Frame(72),
            datastack_chunk: Some(256),
            size: 888,
        },
        frame: Frame {
            previous: 8,
            code: 0,
            position: 56,
            owner: Some(74),
            is_entry: None,
            shim: Some(3),
            tag: 1,
            variables: 80,
            size: 104,
        },
        code: Code {
            first_line: 68,
            filename: 112,
            name: 120,
            qualname: Some(128),
            line_table: 136,
            flags: 48,
            argcount: 52,
            variables: Variables::Together { names: 96, kinds: 104 },
            bytecode: Bytecode::Inline { start: 208, first_traceable: 192 },
        },
        text: Text { ascii: 40, compact: 56 },
        dict: Dict::Logarithms,
        values: Values::Inline,
        cached_keys: 888,
        tuple_items: 32,
        has_lv_tag: true,
        debug_offsets: &[
            // runtime_state: size, finalizing, interpreters_head
            (24, 346_560),
            (32, 912),
            (40, 936),
            // interpreter_state: size, id, next, threads_head, threads_main, gc, imports_modules, sysdict,
            // builtins, ceval_gil, gil_runtime_state, _enabled, _locked, _holder
            (48, 226_232),
            (56, 7272),
            (64, 7264),
            (72, 7336),
            (80, 7352),
            (88, 7400),
            (96, 7592),
            (104, 7576),
            (112, 7584),
            (120, 16),
            (128, 7736),
            (144, 7752),
            (152, 7744),
            // thread_state: size, prev, next, interp, current_frame, base_frame, last_profiled_frame (2),
            // thread_id, native_thread_id, datastack_chunk, status, holds_gil, gil_requested
            (176, 888),
            (184, 0),
            (192, 8),
            (200, 16),
            (208, 72),
            (216, 80),
            (224, 88),
            (232, 96),
            (240, 176),
            (248, 184),
            (256, 256),
            (264, 32),
            (272, 36),
            (280, 40),
            // interpreter_frame: size, previous, executable, instr_ptr, localsplus, owner, stackpointer
            (312, 88),
            (320, 8),
            (328, 0),
            (336, 56),
            (344, 80),
            (352, 74),
            (360, 64),
            // code_object: size, filename, name, qualname, linetable, firstlineno, argcount, localsplusnames,
            // localspluskinds, co_code_adaptive
            (376, 216),
            (384, 112),
            (392, 120),
            (400, 128),
            (408, 136),
            (416, 68),
            (424, 52),
            (432, 96),
            (440, 104),
            (448, 208),
            // pyobject: size, ob_type; type_object: size, tp_name, tp_repr, tp_flags, tp_basicsize,
            // tp_dictoffset; heap_type_object: size, ht_cached_keys
            (464, 16),
            (472, 8),
            (480, 424),
            (488, 24),
            (496, 88),
            (504, 168),
            (512, 32),
            (520, 288),
            (528, 944),
            (536, 888),
            // tuple_object: size, ob_item, ob_size
            (544, 40),
            (552, 32),
            (560, 16),
            // dict_object: size, ma_keys, ma_values
            (624, 48),
            (632, 32),
            (640, 40),
            // long_object: size, lv_tag, ob_digit; bytes_object: size, ob_size, ob_sval
            (664, 32),
            (672, 16),
            (680, 24),
            (688, 40),
            (696, 16),
            (704, 32),
            // unicode_object: size, state, length, asciiobject_size, compactunicodeobject_size
            (712, 64),
            (720, 32),
            (728, 16),
            (736, 40),
            (744, 56),
        ],
    },
];
