//! Where objects have what, as far as a census needs it: from the layout table of the target's version.

use rspy_cpython::layout::{InstanceValues, Layout};

/// The version has no table with what is needed.
#[derive(Copy, Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the layout table lacks {section}.{name}, which reading a heap needs")]
pub struct Lacking {
    /// Section of the table.
    section: &'static str,
    /// Member in that section.
    name: &'static str,
}

/// Offsets in bytes from the start of the object, and sizes.
#[derive(Clone, Debug)]
pub struct Offsets {
    /// Major and minor version.
    pub(crate) version: (u8, u8),
    pub(crate) ob_refcnt: Option<usize>,
    /// `ob_ref_local` and `ob_ref_shared`, which count where `ob_refcnt` does not.
    pub(crate) ob_ref: Option<(usize, usize)>,
    pub(crate) ob_type: usize,
    pub(crate) ob_size: usize,
    /// Size of `PyObject`: where members begin.
    pub(crate) object_size: u64,
    /// `PyGC_Head` before tracked containers; 0 on free-threaded builds.
    pub(crate) gc_head: u64,
    pub(crate) instance_values: InstanceValues,
    pub(crate) types: TypeOffsets,
    pub(crate) dict: Dict,
    pub(crate) unicode: Option<Unicode>,
    pub(crate) unicode_of_2: Option<UnicodeOf2>,
    pub(crate) list_allocated: usize,
    pub(crate) list_item: usize,
    pub(crate) tuple_item: usize,
    pub(crate) set: Set,
    pub(crate) int: Int,
    pub(crate) type_members: Members,
    pub(crate) function: Members,
    pub(crate) code: Members,
    pub(crate) cell: Members,
    pub(crate) method: Members,
    pub(crate) weakref: Members,
    /// Where a generator has its globals and builtins in the frame within it, without a reference of its own.
    pub(crate) borrowed: Vec<usize>,
    /// Whether types that were never allocated are counted with the head that others have before them (3.11 and 3.12,
    /// `_PySys_GetSizeOf` in `Python/sysmodule.c`).
    pub(crate) counts_head_of_static_types: bool,
    /// Whether a `bytearray` has its bytes in an object (3.15 and later).
    pub(crate) has_bytes_object: bool,
    /// Size of `PyDictObject`: where an `OrderedDict` goes on.
    pub(crate) dict_size: usize,
    /// Generators, where their frame is a part of them.
    pub(crate) running: Option<RunningOffsets>,
    /// Where a `memoryview` has what it is a view of.
    pub(crate) view: usize,
    /// Where a descriptor of a slot has its definition, behind the head.
    pub(crate) descriptor_definition: u64,
    pub(crate) module: Members,
    pub(crate) module_state: Option<ModuleState>,
    pub(crate) deque: Deque,
}

/// A generator, with its frame, and its code (3.11 and later).
#[derive(Copy, Clone, Debug)]
pub(crate) struct RunningOffsets {
    /// Where the frame in it has its code.
    pub code: usize,
    pub nlocalsplus: u64,
    pub stacksize: u64,
}

impl RunningOffsets {
    fn new(layout: &Layout) -> Option<RunningOffsets> {
        let number = |section, name| layout.table.number(section, name);
        let code = number("frame", "executable")?;
        Some(RunningOffsets {
            code: (number("generator", "gi_iframe")? + code) as usize,
            nlocalsplus: number("code", "co_nlocalsplus")?,
            stacksize: number("code", "co_stacksize")?,
        })
    }
}

/// What C code keeps for a module.
#[derive(Copy, Clone, Debug)]
pub(crate) struct ModuleState {
    pub state: usize,
    /// `md_state_size` (3.15 and later).
    pub size: Option<usize>,
    /// `md_def`, which has the size before.
    pub definition: Option<usize>,
}

/// Members of a frame in a generator that its function has references to (3.11 and later).
fn borrowed(layout: &Layout) -> Vec<usize> {
    let number = |section, name| layout.table.number(section, name).map(|number| number as usize);
    let frame = number("generator", "gi_iframe");
    let within = ["f_globals", "f_builtins"].map(|name| number("frame", name));
    frame.map(|frame| within.into_iter().flatten().map(|member| frame + member).collect()).unwrap_or_default()
}

/// `dequeobject` and its blocks.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Deque {
    pub length: usize,
    pub leftblock: usize,
    pub leftindex: usize,
    /// How many blocks it holds back (3.11 and later).
    pub spare: Option<usize>,
    /// In a block: where its items begin, and the link to the next.
    pub data: u64,
    pub rightlink: usize,
    pub block_items: u64,
}

impl Deque {
    /// Of versions whose deques have a size, and of 2.7 (`Modules/_collectionsmodule.c`).
    fn new(version: (u8, u8), ob_size: usize) -> Deque {
        match version {
            (2, _) => Deque {
                length: 48,
                leftblock: 16,
                leftindex: 32,
                spare: None,
                data: 0,
                rightlink: 496,
                block_items: 62,
            },
            _ => Deque {
                spare: (version >= (3, 11)).then_some(ob_size + 56),
                length: ob_size,
                leftblock: ob_size + 8,
                leftindex: ob_size + 24,
                data: 8,
                rightlink: 520,
                block_items: 64,
            },
        }
    }
}

/// Members that refer to objects: where they are, and what they are called.
pub(crate) type Members = Vec<(usize, &'static str)>;

/// Those of each kind, as far as a version has them.
const TYPE: &[&str] =
    &["tp_dict", "tp_bases", "tp_mro", "tp_base", "ht_module", "ht_name", "ht_qualname", "ht_slots"];
const FUNCTION: &[&str] = &[
    "func_code",
    "func_globals",
    "func_builtins",
    "func_defaults",
    "func_kwdefaults",
    "func_closure",
    "func_doc",
    "func_name",
    "func_dict",
    "func_module",
    "func_annotations",
    "func_qualname",
];
const CODE: &[&str] = &[
    "co_code",
    "co_consts",
    "co_names",
    "co_varnames",
    "co_freevars",
    "co_cellvars",
    "co_filename",
    "co_name",
    "co_qualname",
    "co_linetable",
    "co_lnotab",
    "co_exceptiontable",
    "co_localsplusnames",
    "co_localspluskinds",
];

/// `PyTypeObject` and `PyHeapTypeObject`.
#[derive(Copy, Clone, Debug)]
pub(crate) struct TypeOffsets {
    pub name: usize,
    pub basicsize: usize,
    pub itemsize: usize,
    pub flags: usize,
    pub base: usize,
    pub dict: usize,
    pub dictoffset: usize,
    pub weaklistoffset: usize,
    pub qualname: Option<usize>,
    pub cached_keys: Option<usize>,
    pub size: usize,
    pub heap_size: u64,
}

/// `PyDictObject`, and what it owns.
#[derive(Copy, Clone, Debug)]
pub(crate) enum Dict {
    /// 2.7: a hash table of its own, a small one inside the object.
    Table { mask: usize, table: usize, size: u64, entry: u64 },
    /// Keys apart, from 3.3 on.
    Keys { keys: usize, values: usize, of: Keys },
}

/// `PyDictKeysObject`.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Keys {
    pub refcnt: usize,
    pub shape: KeysShape,
    pub nentries: usize,
    /// Where its indices begin: the size of what is before.
    pub indices: u64,
    /// Size of an entry with its hash, and where key and value are in it.
    pub entry: (u64, usize, usize),
    /// The same of one without, where all keys are strings.
    pub unicode_entry: Option<(u64, usize, usize)>,
    /// What is before the values of an instance.
    pub values_header: u64,
    /// Where values say whether they are a part of an instance.
    pub embedded: Option<usize>,
}

/// How large keys are.
#[derive(Copy, Clone, Debug)]
pub(crate) enum KeysShape {
    /// `dk_size`: the number of indices (3.6 to 3.10).
    Size(usize),
    /// `dk_log2_size`, `dk_log2_index_bytes` and `dk_kind`, a byte each (3.11 and later).
    Logarithms { size: usize, index_bytes: usize, kind: usize },
}

/// `PyUnicodeObject` of 3.3 and later.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Unicode {
    pub length: usize,
    pub state: usize,
    /// The bits of `state.interned`.
    pub interned: u64,
    pub kind_shift: u32,
    pub compact_shift: u32,
    pub ascii_shift: u32,
    pub ascii_size: u64,
    pub compact_size: u64,
    pub size: u64,
    pub utf8: usize,
    pub utf8_length: usize,
    pub data: usize,
}

/// `PyUnicodeObject` of 2.7.
#[derive(Copy, Clone, Debug)]
pub(crate) struct UnicodeOf2 {
    pub length: usize,
    pub str: usize,
    pub size: u64,
    pub character_size: u64,
}

impl UnicodeOf2 {
    fn new(layout: &Layout) -> Option<UnicodeOf2> {
        let number = |name| layout.table.number("unicode", name);
        Some(UnicodeOf2 {
            character_size: number("character_size")?,
            length: number("length")? as usize,
            str: number("str")? as usize,
            size: number("size")?,
        })
    }
}

/// `PySetObject`.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Set {
    pub mask: usize,
    pub table: usize,
    pub smalltable: usize,
    pub entry: u64,
    pub key: usize,
}

/// `PyLongObject`.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Int {
    /// Where the number of digits is a tag (3.12 and later): above three bits, and at least one.
    pub lv_tag: Option<usize>,
    pub digit: u64,
    /// How many digits are counted at least: one, from 3.11 on, though 0 has none.
    pub least_digits: u64,
    pub digit_size: u64,
}

impl Offsets {
    /// Those of a version.
    ///
    /// # Errors
    ///
    /// If its table lacks one.
    pub fn new(layout: &Layout) -> Result<Offsets, Lacking> {
        let table = &layout.table;
        let optional = |section: &'static str, name: &'static str| {
            table.number(section, name).map(|number| number as usize)
        };
        let required = |section: &'static str, name: &'static str| {
            optional(section, name).ok_or(Lacking { section, name })
        };
        let size = |section, name| required(section, name).map(|size| size as u64);
        let dict = match optional("dict", "ma_keys") {
            None => Dict::Table {
                mask: required("dict", "ma_mask")?,
                table: required("dict", "ma_table")?,
                size: size("dict", "size")?,
                entry: size("dict_entry", "size")?,
            },
            Some(keys) => Dict::Keys {
                keys,
                values: required("dict", "ma_values")?,
                of: Keys {
                    refcnt: required("dict_keys", "dk_refcnt")?,
                    shape: match optional("dict_keys", "dk_size") {
                        Some(size) => KeysShape::Size(size),
                        None => KeysShape::Logarithms {
                            size: required("dict_keys", "dk_log2_size")?,
                            index_bytes: required("dict_keys", "dk_log2_index_bytes")?,
                            kind: required("dict_keys", "dk_kind")?,
                        },
                    },
                    nentries: required("dict_keys", "dk_nentries")?,
                    indices: size("dict_keys", "dk_indices")?,
                    entry: (
                        size("dict_entry", "size")?,
                        required("dict_entry", "me_key")?,
                        required("dict_entry", "me_value")?,
                    ),
                    unicode_entry: match optional("dict_unicode_entry", "size") {
                        None => None,
                        Some(size) => Some((
                            size as u64,
                            required("dict_unicode_entry", "me_key")?,
                            required("dict_unicode_entry", "me_value")?,
                        )),
                    },
                    values_header: optional("dict_values", "values").unwrap_or(0) as u64,
                    embedded: optional("dict_values", "embedded"),
                },
            },
        };
        let unicode = match optional("unicode", "state") {
            None => None,
            Some(state) => Some(Unicode {
                length: required("unicode", "length")?,
                state,
                interned: ((1 << optional("unicode", "state.interned.bits").unwrap_or(0).min(16)) - 1)
                    << optional("unicode", "state.interned.shift").unwrap_or(0).min(32),
                kind_shift: required("unicode", "state.kind.shift")? as u32,
                compact_shift: required("unicode", "state.compact.shift")? as u32,
                ascii_shift: required("unicode", "state.ascii.shift")? as u32,
                ascii_size: size("unicode", "ascii_size")?,
                compact_size: size("unicode", "compact_size")?,
                size: size("unicode", "size")?,
                utf8: required("unicode", "utf8")?,
                utf8_length: required("unicode", "utf8_length")?,
                data: required("unicode", "data")?,
            }),
        };
        let members = |section: &'static str, names: &[&'static str]| -> Members {
            let there = names.iter().filter_map(|name| Some((optional(section, name)?, *name)));
            there.collect()
        };
        let (is_2, ob_size) = (layout.version.major == 2, required("var_object", "ob_size")?);
        let version = (layout.version.major, layout.version.minor);
        Ok(Offsets {
            version,
            ob_refcnt: optional("object", "ob_refcnt"),
            ob_ref: optional("object", "ob_ref_local").zip(optional("object", "ob_ref_shared")),
            ob_type: required("object", "ob_type")?,
            ob_size,
            object_size: required("object", "size").or_else(|_| required("var_object", "ob_size"))? as u64,
            gc_head: if layout.abi.free_threaded { 0 } else { size("gc_head", "size")? },
            instance_values: layout.instance_values,
            types: TypeOffsets {
                name: required("type", "tp_name")?,
                basicsize: required("type", "tp_basicsize")?,
                itemsize: required("type", "tp_itemsize")?,
                flags: required("type", "tp_flags")?,
                base: required("type", "tp_base")?,
                dict: required("type", "tp_dict")?,
                dictoffset: required("type", "tp_dictoffset")?,
                weaklistoffset: required("type", "tp_weaklistoffset")?,
                qualname: optional("type", "ht_qualname"),
                cached_keys: optional("type", "ht_cached_keys"),
                size: required("type", "size")?,
                heap_size: size("type", "heap_size")?,
            },
            dict,
            unicode,
            unicode_of_2: UnicodeOf2::new(layout),
            list_allocated: required("list", "allocated")?,
            list_item: required("list", "ob_item")?,
            tuple_item: required("tuple", "ob_item")?,
            set: Set {
                mask: required("set", "mask")?,
                table: required("set", "table")?,
                smalltable: required("set", "smalltable")?,
                entry: size("set_entry", "size")?,
                key: required("set_entry", "key")?,
            },
            int: Int {
                lv_tag: optional("int", "lv_tag"),
                digit: size("int", "ob_digit")?,
                least_digits: u64::from(version >= (3, 11)),
                digit_size: if table.number("int", "digit_bits") == Some(15) { 2 } else { 4 },
            },
            type_members: members("type", TYPE),
            function: members("function", FUNCTION),
            code: members("code", CODE),
            cell: members("cell", &["ob_ref"]),
            method: members("method", &["im_func", "im_self", "im_class"]),
            weakref: members("weakref", &["wr_callback"]),
            borrowed: borrowed(layout),
            counts_head_of_static_types: matches!(version, (3, 11 | 12)),
            has_bytes_object: version >= (3, 15),
            dict_size: required("dict", "size")?,
            running: RunningOffsets::new(layout),
            view: if is_2 { 16 } else { ob_size + 8 },
            descriptor_definition: if is_2 { 16 } else { 24 },
            module: members("module", &["md_dict"]),
            module_state: optional("module", "md_state").map(|state| ModuleState {
                state,
                size: optional("module", "md_state_size"),
                definition: optional("module", "md_def"),
            }),
            deque: Deque::new(version, ob_size),
        })
    }
}
