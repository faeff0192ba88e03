//! Types: recognised wherever something that may be an object points to one, and read once.

use std::sync::{Arc, Mutex, PoisonError};

use rspy_cpython::layout::{InstanceValues, Layout};
use rspy_cpython::text::string;
use rspy_cpython::values::items;
use rspy_process::{Address, Memory, word};
use rustc_hash::FxHashMap;

use crate::image::Image;
use crate::kind::Kind;
use crate::offsets::Offsets;
use crate::whole::Whole;

/// `Py_TPFLAGS_…`.
const INLINE_VALUES: u64 = 1 << 2;
const MANAGED_WEAKREF: u64 = 1 << 3;
const MANAGED_DICT: u64 = 1 << 4;
const HEAP_TYPE: u64 = 1 << 9;
const READY: u64 = 1 << 12;
const HAVE_GC: u64 = 1 << 14;
const TYPE_SUBCLASS: u64 = 1 << 31;

/// What stands before an object beside the head of the collector, if it has a managed `__dict__` or weak references, in bytes.
const MANAGED: u64 = 16;

/// Longest name that is read, in bytes.
const MAX_NAME: usize = 512;
/// Larger than any object's fixed part, and any item.
const MAX_BASIC_SIZE: u64 = 1 << 24;
const MAX_ITEM_SIZE: u64 = 1 << 16;
/// More bases, or metatypes of metatypes, than there are above any type.
const MAX_DEPTH: usize = 64;
/// How many addresses that are no types are remembered.
const MAX_STRANGERS: usize = 1 << 20;

/// A type.
#[derive(Debug)]
pub struct Type {
    /// Its number, by which it was recognised first.
    pub id: u32,
    /// Where it is.
    pub at: u64,
    /// Its name with its module, as in `collections.deque` or `app.models.User`; that of a builtin without.
    pub name: String,
    /// How its instances are read.
    pub kind: Kind,
    /// `tp_basicsize`, in bytes.
    pub basicsize: u64,
    /// Whether instances are `collections.OrderedDict`s.
    pub is_ordered: bool,
    /// Where what it adds to the type that its `kind` stands for begins, in bytes from the start of an instance.
    pub own_from: u64,
    /// `tp_itemsize`, in bytes: not 0 where instances differ in size.
    pub itemsize: u64,
    /// The type it derives from.
    pub base: u64,
    /// Where instances have their `__dict__`: from their end if negative, nowhere if 0.
    pub dictoffset: i64,
    /// Where instances have the list of weak references to them.
    pub weaklistoffset: i64,
    /// What stands before each instance, in bytes.
    pub preheader: u64,
    flags: u64,
}

impl Type {
    /// Whether it was made at run time, most likely by a `class` statement.
    pub fn is_heap_type(&self) -> bool {
        self.flags & HEAP_TYPE != 0
    }

    /// Whether the collector may track its instances.
    pub fn has_gc(&self) -> bool {
        self.flags & HAVE_GC != 0
    }

    /// Whether values of attributes stand behind each instance.
    pub fn has_inline_values(&self) -> bool {
        self.flags & (MANAGED_DICT | INLINE_VALUES) == MANAGED_DICT | INLINE_VALUES
    }

    /// Whether instances have their `__dict__` before them.
    pub fn has_managed_dict(&self) -> bool {
        self.preheader > 0 && self.flags & MANAGED_DICT != 0
    }

    /// Whether its instances are types.
    pub fn is_metatype(&self) -> bool {
        self.flags & TYPE_SUBCLASS != 0
    }
}

/// All types that were recognised so far. Several threads can use it; each should keep its own [`Known`] before it.
pub struct Types<'i> {
    /// The image, and all else.
    memory: &'i Whole<'i>,
    image: &'i Image,
    layout: &'i Layout,
    offsets: &'i Offsets,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    known: FxHashMap<u64, Option<Arc<Type>>>,
    all: Vec<Arc<Type>>,
}

/// How many addresses are looked up without a search: a power of two.
const RECENT: usize = 64;

/// What was asked for before.
#[derive(Default)]
pub struct Known {
    types: Vec<Arc<Type>>,
    /// Places in `types`; of what is no type as well.
    places: FxHashMap<u64, Option<u32>>,
    /// Addresses that were asked for just now, by a few of their bits, with the places of their types.
    recent: Recent,
}

struct Recent([(u64, u32); RECENT]);

impl Default for Recent {
    fn default() -> Recent {
        Recent([(0, 0); RECENT])
    }
}

impl<'i> Types<'i> {
    /// None yet.
    pub(crate) fn new(
        memory: &'i Whole<'i>,
        image: &'i Image,
        layout: &'i Layout,
        offsets: &'i Offsets,
    ) -> Types<'i> {
        Types { memory, image, layout, offsets, inner: Mutex::default() }
    }

    /// The type at `at`, if there is one.
    #[inline]
    pub fn get<'k>(&self, known: &'k mut Known, at: u64) -> Option<&'k Arc<Type>> {
        let recent = known.recent.0[(at >> 4) as usize % RECENT];
        let place = if recent.0 == at && at != 0 { recent.1 } else { self.place(known, at)? };
        known.types.get(place as usize)
    }

    /// The place in `known` of the type at `at`.
    fn place(&self, known: &mut Known, at: u64) -> Option<u32> {
        // What is no pointer into the image is asked for far too often to be remembered.
        if !at.is_multiple_of(8) || !self.image.covers(at) {
            return None;
        }
        if known.places.len() > MAX_STRANGERS {
            known.places.retain(|_, place| place.is_some());
        }
        let types = &mut known.types;
        let place = *known.places.entry(at).or_insert_with(|| {
            let found = self.resolve(at)?;
            types.push(found);
            u32::try_from(types.len() - 1).ok()
        });
        known.recent.0[(at >> 4) as usize % RECENT] = (at, place?);
        place
    }

    /// Those known so far, by number.
    pub fn all(&self) -> Vec<Arc<Type>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).all.clone()
    }

    /// All of them, by number.
    pub fn into_all(self) -> Vec<Arc<Type>> {
        self.inner.into_inner().unwrap_or_else(PoisonError::into_inner).all
    }

    fn resolve(&self, at: u64) -> Option<Arc<Type>> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        self.find(&mut inner, at, 0)
    }

    fn find(&self, inner: &mut Inner, at: u64, depth: usize) -> Option<Arc<Type>> {
        if let Some(found) = inner.known.get(&at) {
            return found.clone();
        }
        let found = self.read(inner, at, depth);
        if let Some(found) = &found {
            inner.all.push(Arc::clone(found));
        } else if inner.known.len() > MAX_STRANGERS {
            inner.known.retain(|_, found| found.is_some());
        }
        inner.known.insert(at, found.clone());
        found
    }

    fn read(&self, inner: &mut Inner, at: u64, depth: usize) -> Option<Arc<Type>> {
        let offsets = &self.offsets.types;
        let head = self.image.bytes(at, offsets.size)?;
        let number = |offset| word(head, offset, 8);
        let (flags, basicsize, itemsize) =
            (number(offsets.flags)?, number(offsets.basicsize)?, number(offsets.itemsize)?);
        // The same bits have meant something else in 2.7.
        let flags = match self.offsets.instance_values {
            InstanceValues::None => flags & !(INLINE_VALUES | MANAGED_WEAKREF | MANAGED_DICT),
            _ => flags,
        };
        let is_sane = flags & READY != 0
            && (16..=MAX_BASIC_SIZE).contains(&basicsize)
            && itemsize <= MAX_ITEM_SIZE
            && depth < MAX_DEPTH;
        if !is_sane || !self.is_made_by_type(at) {
            return None;
        }
        let plain = self.memory.c_string(Address(number(offsets.name)?), MAX_NAME).ok()?;
        let plain = String::from_utf8(plain).ok().filter(|name| !name.is_empty())?;
        let name = if flags & HEAP_TYPE == 0 { None } else { self.qualified(at, &plain) };
        let base = number(offsets.base)?;
        let above = if base == 0 { None } else { Some(self.find(inner, base, depth + 1)?) };
        let kind = Kind::of(&plain, flags, above.as_ref().map(|above| above.kind));
        let same = above.as_ref().filter(|above| above.kind == kind && kind != Kind::Other);
        let is_ordered =
            plain == "collections.OrderedDict" || above.as_ref().is_some_and(|above| above.is_ordered);
        Some(Arc::new(Type {
            id: u32::try_from(inner.all.len()).ok()?,
            at,
            name: name.unwrap_or(plain),
            kind,
            basicsize,
            is_ordered,
            own_from: same.map_or(basicsize, |above| above.own_from),
            itemsize,
            base,
            dictoffset: number(offsets.dictoffset)?.cast_signed(),
            weaklistoffset: number(offsets.weaklistoffset)?.cast_signed(),
            preheader: self.preheader(flags),
            flags,
        }))
    }

    /// Whether its type, and the type of that, make types: up to `type`, which is its own.
    fn is_made_by_type(&self, at: u64) -> bool {
        let above = |at: &u64| self.image.word(at.checked_add(self.offsets.ob_type as u64)?);
        let mut at = at;
        for _ in 0..MAX_DEPTH {
            let Some(metatype) = above(&at) else { return false };
            let flags = self.image.word(metatype.saturating_add(self.offsets.types.flags as u64));
            if flags.is_none_or(|flags| flags & (TYPE_SUBCLASS | READY) != TYPE_SUBCLASS | READY) {
                return false;
            }
            if metatype == at {
                return true;
            }
            at = metatype;
        }
        false
    }

    fn preheader(&self, flags: u64) -> u64 {
        let head = if flags & HAVE_GC == 0 { 0 } else { self.offsets.gc_head };
        let is_managed = self.offsets.instance_values != InstanceValues::None
            && flags & (MANAGED_DICT | MANAGED_WEAKREF) != 0;
        head + if is_managed { MANAGED } else { 0 }
    }

    /// Module and qualified name of a type made at run time.
    fn qualified(&self, at: u64, plain: &str) -> Option<String> {
        if plain.contains('.') {
            return None;
        }
        let memory = self.memory;
        let pointer = |offset: usize| memory.address(Address(at + offset as u64)).ok();
        let text = |at| string(memory, self.layout, at).ok();
        let name = self.offsets.types.qualname.and_then(pointer).and_then(text);
        let name = name.unwrap_or_else(|| plain.to_owned());
        let attributes = items(memory, self.layout, pointer(self.offsets.types.dict)?).ok()?;
        let is_module = |key| text(key).is_some_and(|key| key == "__module__");
        let module = attributes.iter().find(|item| is_module(item.key)).and_then(|item| text(item.value));
        match module.as_deref() {
            None | Some("builtins" | "__builtin__") => Some(name),
            Some(module) => Some(format!("{module}.{name}")),
        }
    }
}
