//! From an address to a [`Value`]: as much of it as there is room for.

use std::collections::HashMap;
use std::rc::Rc;

use rspy_process::{Address, Memory, word};

use super::dict::first_items;
use super::integer::{Integer, any_size, machine_word};
use super::kind::{Kind, TypeInfo};
use super::set::first_members;
use super::value::{BytesKind, SequenceKind, Value, text_len};
use super::{DictItem, numpy};
use crate::layout::{Layout, Text};
use crate::text::{ValueError, code_points, code_points_of_units, string};

/// Objects that are looked at for one value. Containers that hold each other many times
/// over would cost more than their text is worth.
const MAX_OBJECTS: usize = 4096;
/// Objects that are looked at in all: the target may stand still meanwhile.
const MAX_OBJECTS_IN_ALL: usize = 1 << 18;
/// Containers within each other. Python's own `repr` gives up at some thousand.
const MAX_DEPTH: usize = 256;
/// Room, in bytes of text, from which on something else than `...` is shown.
const LEAST_ROOM: usize = 6;

/// Reads values for as long as the target stands still: what it knows of types would
/// be stale afterwards.
pub struct ValueReader<'t, M> {
    pub(crate) memory: &'t M,
    pub(crate) layout: &'t Layout,
    types: HashMap<Address, Option<Rc<TypeInfo>>>,
    /// The containers that the value which is being read lies in.
    inside: Vec<Address>,
    limit: usize,
    left: usize,
    left_in_all: usize,
}

impl<'t, M: Memory> ValueReader<'t, M> {
    /// A reader whose values have texts of about `limit` bytes, escapes not counted.
    pub fn new(memory: &'t M, layout: &'t Layout, limit: usize) -> Self {
        ValueReader {
            memory,
            layout,
            types: HashMap::new(),
            inside: Vec::new(),
            limit,
            left: 0,
            left_in_all: MAX_OBJECTS_IN_ALL,
        }
    }

    /// The object at `at`. What cannot be read is [`Value::Unreadable`].
    pub fn value(&mut self, at: Address) -> Value {
        self.inside.clear();
        let budget = MAX_OBJECTS.min(self.left_in_all);
        self.left = budget;
        let value = self.read(at, self.limit);
        self.left_in_all -= budget - self.left.min(budget);
        value
    }

    /// What the cell at `at` holds, null if nothing; what is no cell holds itself.
    pub(crate) fn content(&mut self, at: Address) -> Result<Address, ValueError> {
        let unexpected = ValueError::Unexpected { at, expected: "cell" };
        if self.type_of(at)?.kind != Kind::Cell {
            return Ok(at);
        }
        let ob_ref = self.layout.table.number("cell", "ob_ref").ok_or(unexpected)?;
        Ok(self.memory.address(at.offset(ob_ref))?)
    }

    /// Whether a dict is at `at`.
    pub(crate) fn is_dict(&mut self, at: Address) -> Result<bool, ValueError> {
        Ok(self.type_of(at)?.kind == Kind::Dict)
    }

    /// The pointers of the tuple at `at`, at most `wanted` of them.
    pub(crate) fn tuple(&mut self, at: Address, wanted: usize) -> Result<Vec<Address>, ValueError> {
        let unexpected = ValueError::Unexpected { at, expected: "tuple" };
        if self.type_of(at)?.kind != Kind::Tuple {
            return Err(unexpected);
        }
        let start = self.layout.table.number("tuple", "ob_item").ok_or(unexpected)?;
        let count = self.layout.object.ob_size.read(self.memory, at)?;
        self.pointers(at.offset(start), count, wanted)
    }

    /// The pointers of the list at `at`, at most `wanted` of them.
    pub(crate) fn list(&mut self, at: Address, wanted: usize) -> Result<Vec<Address>, ValueError> {
        let unexpected = ValueError::Unexpected { at, expected: "list" };
        if self.type_of(at)?.kind != Kind::List {
            return Err(unexpected);
        }
        let ob_item = self.layout.table.number("list", "ob_item").ok_or(unexpected)?;
        let start = self.memory.address(at.offset(ob_item))?;
        let count = self.layout.object.ob_size.read(self.memory, at)?;
        self.pointers(start, count, wanted)
    }

    fn type_of(&mut self, at: Address) -> Result<Rc<TypeInfo>, ValueError> {
        let unexpected = ValueError::Unexpected { at, expected: "object" };
        if !at.is_plausible() || !at.0.is_multiple_of(8) {
            return Err(unexpected);
        }
        let ob_type = self.layout.object.ob_type.read(self.memory, at)?;
        let Self { memory, layout, types, .. } = self;
        let info = types
            .entry(ob_type)
            .or_insert_with(|| TypeInfo::read(*memory, layout, ob_type).ok().map(Rc::new));
        info.clone().ok_or(unexpected)
    }

    fn read(&mut self, at: Address, room: usize) -> Value {
        if room < LEAST_ROOM || self.inside.len() == MAX_DEPTH || self.left == 0 {
            return Value::Cut;
        }
        self.left -= 1;
        self.try_read(at, room).unwrap_or(Value::Unreadable(at))
    }

    fn try_read(&mut self, at: Address, room: usize) -> Result<Value, ValueError> {
        let (memory, layout) = (self.memory, self.layout);
        let info = self.type_of(at)?;
        let object = |name| Value::Object { type_name: info.name.clone(), name, address: at };
        let number = |section, name| {
            layout.table.number(section, name).ok_or(ValueError::Unexpected { at, expected: "known object" })
        };
        let double = |at: Address| Ok::<f64, ValueError>(f64::from_bits(memory.u64(at)?));
        Ok(match info.kind {
            Kind::None => Value::None,
            Kind::Bool => Value::Bool(
                match layout.text {
                    Text::Bytes => machine_word(memory, layout, at)?,
                    Text::Unicode(_) => any_size(memory, layout, at)?,
                } != Integer::Decimal("0".to_owned()),
            ),
            Kind::MachineWord => self.integer(machine_word(memory, layout, at)?, at),
            Kind::Int => self.integer(any_size(memory, layout, at)?, at),
            Kind::Float => Value::Float(double(at.offset(number("float", "ob_fval")?))?),
            Kind::Complex => {
                let start = at.offset(number("complex", "cval")?);
                Value::Complex { real: double(start)?, imaginary: double(start.offset(8))? }
            }
            Kind::Unicode => {
                let wanted = room.saturating_sub(5);
                let (code_points, length) = match &layout.text {
                    Text::Bytes => code_points_of_units(memory, layout, at, wanted)?,
                    Text::Unicode(unicode) => code_points(memory, unicode, at, wanted)?,
                };
                let more = length > code_points.len();
                Value::Text { code_points, more, unicode: layout.text.is_bytes() }
            }
            Kind::Bytes if layout.text.is_bytes() => self.byte_string(at, room)?,
            Kind::Bytes => {
                let start = at.offset(layout.object.bytes_data.into());
                self.bytes(BytesKind::Bytes, at, start, room)?
            }
            Kind::ByteArray => {
                let start = at.offset(number("bytearray", "start")?);
                let size = layout.object.ob_size.read(memory, at)?;
                // An empty one may have no buffer.
                let start = if size == 0 { at } else { memory.address(start)? };
                self.bytes(BytesKind::ByteArray, at, start, room)?
            }
            Kind::List => {
                let start = memory.address(at.offset(number("list", "ob_item")?))?;
                let count = layout.object.ob_size.read(memory, at)?;
                let items = self.pointers(start, count, most_items(room))?;
                self.sequence(SequenceKind::List, at, &items, count, room)
            }
            Kind::Tuple => {
                let start = at.offset(number("tuple", "ob_item")?);
                let count = layout.object.ob_size.read(memory, at)?;
                let items = self.pointers(start, count, most_items(room))?;
                self.sequence(SequenceKind::Tuple, at, &items, count, room)
            }
            Kind::Set | Kind::FrozenSet => {
                let kind = if info.kind == Kind::Set { SequenceKind::Set } else { SequenceKind::FrozenSet };
                let count = memory.u64(at.offset(number("set", "used")?))? as i64;
                let items = first_members(memory, layout, at, most_items(room), &mut self.left)?;
                self.sequence(kind, at, &items, count, room)
            }
            Kind::Dict | Kind::FrozenDict => {
                let count = memory.u64(at.offset(number("dict", "ma_used")?))? as i64;
                let items = first_items(memory, layout, at, most_items(room), &mut self.left)?;
                self.dict(info.kind == Kind::FrozenDict, at, &items, count, room)
            }
            Kind::Scalar(scalar) => {
                numpy::scalar(memory, layout, at, scalar)?.unwrap_or_else(|| object(None))
            }
            Kind::Array => object(numpy::array(memory, layout, at).ok()),
            Kind::Cell | Kind::Other => object(None),
            Kind::Type => object(TypeInfo::read(memory, layout, at).ok().map(|named| named.name)),
            Kind::Function
            | Kind::BuiltinFunction
            | Kind::Method
            | Kind::Module
            | Kind::Code
            | Kind::Generator => object(self.name(info.kind, at)),
        })
    }

    fn integer(&self, value: Integer, at: Address) -> Value {
        match value {
            Integer::Decimal(digits) if digits.len() <= self.limit => Value::Int(digits),
            Integer::Decimal(digits) => {
                self.too_long(at, format!("of {} digits", digits.trim_start_matches('-').len()))
            }
            Integer::Bits(bits) => self.too_long(at, format!("of about {bits} bits")),
        }
    }

    fn too_long(&self, at: Address, how_long: String) -> Value {
        Value::Object { type_name: "int".to_owned(), name: Some(how_long), address: at }
    }

    fn bytes(&self, kind: BytesKind, at: Address, start: Address, room: usize) -> Result<Value, ValueError> {
        let size = self.layout.object.ob_size.read(self.memory, at)?;
        let size = usize::try_from(size).map_err(|_| ValueError::Unexpected { at, expected: "bytes" })?;
        let bytes = self.memory.bytes(start, size.min(room.saturating_sub(5)))?;
        Ok(Value::Bytes { kind, more: size > bytes.len(), bytes })
    }

    /// 2.7's `str`: text where its bytes are UTF-8.
    fn byte_string(&self, at: Address, room: usize) -> Result<Value, ValueError> {
        let start = at.offset(self.layout.object.bytes_data.into());
        let size = self.layout.object.ob_size.read(self.memory, at)?;
        let size = usize::try_from(size).map_err(|_| ValueError::Unexpected { at, expected: "str" })?;
        let wanted = room.saturating_sub(5);
        // As many bytes as that many characters can have, and one more character.
        let bytes = self.memory.bytes(start, size.min(wanted.saturating_add(1).saturating_mul(4)))?;
        let text = match std::str::from_utf8(&bytes) {
            Ok(text) => text,
            // The last character is there in part, since only a part was read.
            Err(error) if error.error_len().is_none() && bytes.len() < size => {
                std::str::from_utf8(&bytes[..error.valid_up_to()]).unwrap_or_default()
            }
            Err(_) => return self.bytes(BytesKind::ByteString, at, start, room),
        };
        let code_points: Vec<u32> = text.chars().take(wanted).map(u32::from).collect();
        let more = bytes.len() < size || text.chars().nth(wanted).is_some();
        Ok(Value::Text { code_points, more, unicode: false })
    }

    /// The pointers in the array of `count` at `at`, at most `wanted` of them.
    fn pointers(&self, at: Address, count: i64, wanted: usize) -> Result<Vec<Address>, ValueError> {
        let count = usize::try_from(count).map_err(|_| ValueError::Unexpected { at, expected: "array" })?;
        let bytes = self.memory.bytes(at, count.min(wanted) * 8)?;
        Ok(bytes.chunks_exact(8).map(|pointer| Address(word(pointer, 0, 8).unwrap_or(0))).collect())
    }

    /// The items of a container that has `count`, as far as they fit.
    fn sequence(
        &mut self,
        kind: SequenceKind,
        at: Address,
        items: &[Address],
        count: i64,
        room: usize,
    ) -> Value {
        let mut shown = Vec::new();
        if !self.inside.contains(&at) {
            self.inside.push(at);
            let mut left = room.saturating_sub(2);
            for item in items {
                let value = self.read(*item, left);
                let Some(rest) = left.checked_sub(text_len(&value) + 2).filter(|rest| *rest >= LEAST_ROOM)
                else {
                    break;
                };
                left = rest;
                shown.push(value);
            }
            self.inside.pop();
        }
        let more = count > shown.len() as i64;
        Value::Sequence { kind, items: shown, more }
    }

    fn dict(&mut self, frozen: bool, at: Address, items: &[DictItem], count: i64, room: usize) -> Value {
        let mut shown = Vec::new();
        if !self.inside.contains(&at) {
            self.inside.push(at);
            let mut left = room.saturating_sub(2);
            for item in items {
                let (key, value) = (self.read(item.key, left), self.read(item.value, left));
                let used = text_len(&key) + text_len(&value) + 4;
                let Some(rest) = left.checked_sub(used).filter(|rest| *rest >= LEAST_ROOM) else { break };
                left = rest;
                shown.push((key, value));
            }
            self.inside.pop();
        }
        let more = count > shown.len() as i64;
        Value::Dict { frozen, items: shown, more }
    }

    /// What the object at `at` is called, if it is.
    fn name(&mut self, kind: Kind, at: Address) -> Option<String> {
        let (memory, layout) = (self.memory, self.layout);
        let pointer = |section, name| layout.table.optional::<Address>(section, name)?.read(memory, at).ok();
        let text = match kind {
            Kind::Function => {
                pointer("function", "func_qualname").or_else(|| pointer("function", "func_name"))?
            }
            Kind::Generator => pointer("generator", "gi_qualname")?,
            Kind::Code => layout.code.qualname.unwrap_or(layout.code.name).read(memory, at).ok()?,
            Kind::Method => {
                let function = pointer("method", "im_func")?;
                let kind = self.type_of(function).ok()?.kind;
                return if kind == Kind::Function { self.name(kind, function) } else { None };
            }
            Kind::Module => {
                // It is one of the first things that a module is given; in 2.7 dicts have no order.
                let dict = pointer("module", "md_dict")?;
                let items = first_items(memory, layout, dict, 1024, &mut self.left).ok()?;
                let named =
                    |item: &DictItem| string(memory, layout, item.key).is_ok_and(|key| key == "__name__");
                items.iter().find(|item| named(item))?.value
            }
            Kind::BuiltinFunction => {
                let definition = pointer("builtin_function", "m_ml")?;
                let name = layout.table.number("method_def", "ml_name")?;
                let name = memory.c_string(memory.address(definition.offset(name)).ok()?, 128).ok()?;
                return String::from_utf8(name).ok();
            }
            _ => return None,
        };
        self.type_of(text).ok().filter(|info| matches!(info.kind, Kind::Unicode | Kind::Bytes))?;
        string(memory, layout, text).ok()
    }
}

/// No more items than this can fit: each takes three bytes at least.
fn most_items(room: usize) -> usize {
    room / 3 + 1
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use proptest::prelude::*;
    use rspy_process::ReadError;

    use super::*;
    use crate::layout::{Layout, known_versions};
    use crate::version::{Abi, Version};

    /// Memory made of a seed: pointers into itself, small numbers, or anything. Counts what is read.
    struct Hostile {
        seed: u64,
        read: Cell<usize>,
    }

    impl Hostile {
        fn word(&self, at: u64) -> u64 {
            let mut mixed = (at ^ self.seed).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            mixed ^= mixed >> 29;
            mixed = mixed.wrapping_mul(0xbf58_476d_1ce4_e5b9);
            mixed ^= mixed >> 32;
            match mixed % 16 {
                // Few places, so that objects hold each other.
                0..10 => 0x10_0000 + (mixed >> 8) % 64 * 8,
                10..12 => (mixed >> 8) % 40,
                12 => 0,
                // Flags with every kind among them.
                13 => 1 << 31 | 1 << (24 + (mixed >> 8) % 8) | (mixed >> 16) & 0x200,
                _ => mixed,
            }
        }
    }

    impl Memory for Hostile {
        fn read(&self, at: Address, into: &mut [u8]) -> Result<(), ReadError> {
            self.read.set(self.read.get() + into.len());
            if !at.is_plausible() || at.0 % 4099 == 7 {
                return Err(ReadError::Fault { at, len: into.len() });
            }
            for (index, byte) in into.iter_mut().enumerate() {
                let at = at.0.wrapping_add(index as u64);
                *byte = self.word(at & !7).to_le_bytes()[(at & 7) as usize];
            }
            Ok(())
        }
    }

    /// The hostile memory is one that gets past the checks.
    #[test]
    fn hostile_memory_is_taken_for_values() {
        let layout = Layout::of(Version::from_text("3.13.0 ").unwrap(), Abi::default()).unwrap();
        let mut starts = std::collections::BTreeSet::new();
        for seed in 0..3000 {
            let memory = Hostile { seed, read: Cell::new(0) };
            let mut reader = ValueReader::new(&memory, &layout, 100);
            starts.extend(reader.value(Address(0x10_0000)).to_string().chars().next());
        }
        assert!("[({b<0".chars().all(|start| starts.contains(&start)), "{starts:?}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn anything_may_be_in_memory(seed in any::<u64>(), limit in 1usize..1000, free_threaded in any::<bool>()) {
            for name in known_versions().split(", ") {
                let version = Version::from_text(&format!("{name}.0 ")).unwrap();
                let layout = Layout::of(version, Abi { free_threaded, debug: false }).unwrap();
                let memory = Hostile { seed, read: Cell::new(0) };
                let mut reader = ValueReader::new(&memory, &layout, limit);
                for at in 0..8 {
                    let text = reader.value(Address(0x10_0000 + at * 8)).to_string();
                    // Each byte of a string may become an escape of ten.
                    prop_assert!(text.len() <= 10 * limit + 300, "{} of {limit}: {text}", text.len());
                }
                // What is read is bounded by the objects, not by what they claim to hold.
                prop_assert!(memory.read.get() < 8 * MAX_OBJECTS * 16_384, "{} bytes", memory.read.get());
            }
        }
    }
}
