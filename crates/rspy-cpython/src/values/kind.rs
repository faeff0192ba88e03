//! What a type is to the reader of values.

use rspy_process::{Address, Memory};

use crate::layout::{Field, Layout, Text};
use crate::text::ValueError;

/// Longest name of a type that is read, in bytes.
const MAX_NAME: usize = 128;

/// `Py_TPFLAGS_HEAPTYPE`: the type was made at run time, most likely by a `class` statement.
const HEAP_TYPE: u64 = 1 << 9;
/// `Py_TPFLAGS_INT_SUBCLASS` (2.7).
const INT_SUBCLASS: u64 = 1 << 23;
const LONG_SUBCLASS: u64 = 1 << 24;
const LIST_SUBCLASS: u64 = 1 << 25;
const TUPLE_SUBCLASS: u64 = 1 << 26;
/// `Py_TPFLAGS_BYTES_SUBCLASS`, in 2.7 `Py_TPFLAGS_STRING_SUBCLASS`.
const BYTES_SUBCLASS: u64 = 1 << 27;
const UNICODE_SUBCLASS: u64 = 1 << 28;
const DICT_SUBCLASS: u64 = 1 << 29;
const TYPE_SUBCLASS: u64 = 1 << 31;

/// How the value of an object is read.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    None,
    Bool,
    /// 2.7's `int`.
    MachineWord,
    Int,
    Float,
    Complex,
    Unicode,
    Bytes,
    ByteArray,
    List,
    Tuple,
    Set,
    FrozenSet,
    Dict,
    FrozenDict,
    Type,
    Function,
    BuiltinFunction,
    Method,
    Module,
    Code,
    Generator,
    Cell,
    Scalar(Scalar),
    Array,
    Other,
}

/// NumPy's scalars, by what they hold.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Scalar {
    Bool,
    /// Of so many bytes.
    Signed(usize),
    /// Of so many bytes.
    Unsigned(usize),
    Float16,
    Float32,
    Float64,
    /// `long double`: the x87's 80 bits.
    Extended,
    Complex64,
    Complex128,
}

/// A type.
#[derive(Clone, Debug)]
pub(super) struct TypeInfo {
    /// `tp_name`.
    pub(super) name: String,
    pub(super) kind: Kind,
}

impl TypeInfo {
    /// Reads the type at `at`; an error if there is none.
    pub(super) fn read(memory: &impl Memory, layout: &Layout, at: Address) -> Result<TypeInfo, ValueError> {
        let unexpected = ValueError::Unexpected { at, expected: "type" };
        let number = |name| layout.table.number("type", name).ok_or(unexpected);
        let flags: Field<u64> = Field::new(number("tp_flags")? as u32);
        let head = memory.bytes(at, flags.end().max(layout.object.tp_name.end()))?;
        let flags = flags.get(&head).ok_or(unexpected)?;
        let name = layout.object.tp_name.get(&head).ok_or(unexpected)?;
        // The type of a type is one that makes types. This is what keeps memory that
        // is no object from being taken for one.
        let metatype = layout.object.ob_type.get(&head).ok_or(unexpected)?;
        let metaflags = memory.u64(metatype.offset(number("tp_flags")?))?;
        if metaflags & TYPE_SUBCLASS == 0 {
            return Err(unexpected);
        }
        let name = memory.c_string(name, MAX_NAME)?;
        let kind = Kind::of(layout, flags, &name);
        Ok(TypeInfo { name: String::from_utf8_lossy(&name).into_owned(), kind })
    }
}

impl Kind {
    fn of(layout: &Layout, flags: u64, name: &[u8]) -> Kind {
        let has = |bit: u64| flags & bit != 0;
        // Only a type of the interpreter's or an extension's own is what its name says.
        if !has(HEAP_TYPE)
            && let Some(kind) = Kind::of_name(name)
        {
            return kind;
        }
        if has(INT_SUBCLASS) && matches!(layout.text, Text::Bytes) {
            return Kind::MachineWord;
        }
        let by_flag = [
            (LONG_SUBCLASS, Kind::Int),
            (LIST_SUBCLASS, Kind::List),
            (TUPLE_SUBCLASS, Kind::Tuple),
            (BYTES_SUBCLASS, Kind::Bytes),
            (UNICODE_SUBCLASS, Kind::Unicode),
            (DICT_SUBCLASS, Kind::Dict),
            (TYPE_SUBCLASS, Kind::Type),
        ];
        by_flag.into_iter().find(|(bit, _)| has(*bit)).map_or(Kind::Other, |(_, kind)| kind)
    }

    fn of_name(name: &[u8]) -> Option<Kind> {
        Some(match name {
            b"NoneType" => Kind::None,
            b"bool" => Kind::Bool,
            b"float" => Kind::Float,
            b"complex" => Kind::Complex,
            b"bytearray" => Kind::ByteArray,
            b"set" => Kind::Set,
            b"frozenset" => Kind::FrozenSet,
            b"frozendict" => Kind::FrozenDict,
            b"function" => Kind::Function,
            b"builtin_function_or_method" => Kind::BuiltinFunction,
            b"method" | b"instancemethod" => Kind::Method,
            b"module" => Kind::Module,
            b"code" => Kind::Code,
            b"generator" | b"coroutine" | b"async_generator" => Kind::Generator,
            b"cell" => Kind::Cell,
            _ => match name.strip_prefix(b"numpy.")? {
                b"ndarray" => Kind::Array,
                scalar => Kind::Scalar(Scalar::of_name(scalar)?),
            },
        })
    }
}

impl Scalar {
    fn of_name(name: &[u8]) -> Option<Scalar> {
        Some(match name {
            // NumPy 2 dropped the underscore.
            b"bool" | b"bool_" => Scalar::Bool,
            b"int8" => Scalar::Signed(1),
            b"int16" => Scalar::Signed(2),
            b"int32" | b"intc" => Scalar::Signed(4),
            b"int64" | b"longlong" => Scalar::Signed(8),
            b"uint8" => Scalar::Unsigned(1),
            b"uint16" => Scalar::Unsigned(2),
            b"uint32" | b"uintc" => Scalar::Unsigned(4),
            b"uint64" | b"ulonglong" => Scalar::Unsigned(8),
            b"float16" => Scalar::Float16,
            b"float32" => Scalar::Float32,
            b"float64" => Scalar::Float64,
            b"longdouble" | b"float128" => Scalar::Extended,
            b"complex64" => Scalar::Complex64,
            b"complex128" => Scalar::Complex128,
            _ => return None,
        })
    }
}
