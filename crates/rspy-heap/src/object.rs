//! Objects: recognised in a block, and what can be told of them without looking at others.

use std::sync::Arc;

use rspy_process::word;

use crate::blocks::{Allocated, DEBUG_HEAD, is_debug_mark};
use crate::image::Image;
use crate::kind::Kind;
use crate::offsets::{Dict, Offsets};
use crate::types::{Known, Type, Types};
use crate::whole::Whole;

/// More bytes than any object has.
pub(crate) const MAX_SIZE: u64 = 1 << 46;
/// From this count of references on an object is immortal (3.12 and later).
const IMMORTAL: u64 = 1 << 30;
/// `_Py_IMMORTAL_REFCNT_LOCAL`.
const NOT_COUNTED: u64 = 0xffff_ffff;

/// A count from here on may be the address of a variable of a program that is not moved when it is loaded.
const LEAST_ADDRESS: u64 = 1 << 16;

/// An object.
#[derive(Clone, Debug)]
pub struct Object<'k> {
    /// Where it is: what `id()` gives.
    pub at: u64,
    /// Its type.
    pub of: &'k Arc<Type>,
    /// What stands before it, in bytes.
    pub preheader: u64,
}

/// What objects are read with.
#[derive(Copy, Clone)]
pub struct Reader<'i> {
    pub(crate) image: &'i Image,
    /// For what is in memory that cannot be written to.
    pub(crate) whole: &'i Whole<'i>,
    pub(crate) offsets: &'i Offsets,
    pub(crate) allocated: &'i Allocated,
}

impl<'i> Reader<'i> {
    /// A word of the object at `at`.
    #[inline]
    pub(crate) fn word(&self, at: u64, offset: usize) -> Option<u64> {
        self.image.word(at.checked_add(offset as u64)?)
    }

    pub(crate) fn byte(&self, at: u64, offset: usize) -> Option<u64> {
        self.image.bytes(at.checked_add(offset as u64)?, 1).and_then(|bytes| word(bytes, 0, 1))
    }

    /// How often what is at `at` is referred to, as the interpreter counts; `None` if it does not any more, since the
    /// object is immortal.
    pub fn count(&self, at: u64) -> Option<u64> {
        let half = |offset: usize| {
            self.image.bytes(at.checked_add(offset as u64)?, 4).and_then(|bytes| word(bytes, 0, 4))
        };
        let count = match (self.offsets.ob_refcnt, self.offsets.ob_ref) {
            (Some(offset), _) => half(offset)?,
            // What other threads count has two flags below it.
            (None, Some((local, shared))) => match half(local)? {
                NOT_COUNTED => return None,
                local => local + (self.word(at, shared)? >> 2),
            },
            (None, None) => return None,
        };
        (count < IMMORTAL).then_some(count)
    }

    /// The object in the block at `block`, of which `room` bytes can be the object's and less than `step` are to spare, if one is
    /// there.
    #[inline]
    pub fn in_block<'k>(
        &self,
        types: &Types<'_>,
        known: &'k mut Known,
        block: u64,
        room: u64,
        step: u64,
    ) -> Option<Object<'k>> {
        let bytes = self.image.bytes(block, room as usize)?;
        let (bytes, block, room) = match debugged(bytes) {
            Some((inner, size)) => (inner, block + DEBUG_HEAD, size.next_multiple_of(step)),
            None => (bytes, block, room),
        };
        let head = self.offsets.gc_head;
        // Without anything before it, behind the head of the collector, and behind that and what is managed.
        let befores = [0, head, head + 16, 16];
        let befores = befores.get(..if head == 16 { 3 } else { 4 }).unwrap_or_default();
        for before in befores {
            let at = *before as usize;
            let Some(candidate) = word(bytes, at + self.offsets.ob_type, 8) else { continue };
            if !self.is_alive(|offset, width| word(bytes, at + offset, width)) {
                continue;
            }
            let mut is_at = |candidate: u64, before: u64| {
                let of = types.get(known, candidate);
                of.is_some_and(|of| of.preheader == before && self.fits(of, block + before, room, step))
            };
            if !is_at(candidate, *before) {
                continue;
            }
            let count = self.offsets.ob_refcnt.and_then(|offset| word(bytes, at + offset, 8));
            // An object that waits to be used again has no count, and what is left over in it may look like another.
            let is_left_over = count.is_some_and(|count| count >= LEAST_ADDRESS)
                && befores.iter().filter(|earlier| *earlier < before).any(|earlier| {
                    let candidate = word(bytes, *earlier as usize + self.offsets.ob_type, 8);
                    candidate.is_some_and(|candidate| is_at(candidate, *earlier))
                });
            if is_left_over {
                return None;
            }
            return types.get(known, candidate).map(|of| Object {
                at: block + before,
                of,
                preheader: *before,
            });
        }
        None
    }

    /// Whether something refers to what has this head. What does not live any more may be kept as it was for the next object.
    #[inline]
    fn is_alive(&self, head: impl Fn(usize, usize) -> Option<u64>) -> bool {
        match (self.offsets.ob_refcnt, self.offsets.ob_ref) {
            (Some(count), _) => head(count, 8).is_some_and(is_count),
            (None, Some((local, shared))) => {
                head(local, 4).is_some_and(|count| count != 0)
                    || head(shared, 8).is_some_and(|count| count >> 2 != 0)
            }
            (None, None) => true,
        }
    }

    /// The object at `at`, wherever that is, if one is there.
    pub fn at<'k>(&self, types: &Types<'_>, known: &'k mut Known, at: u64) -> Option<Object<'k>> {
        if !at.is_multiple_of(8) {
            return None;
        }
        let head = self.image.bytes(at, self.offsets.object_size as usize)?;
        if !self.is_alive(|offset, width| word(head, offset, width)) {
            return None;
        }
        let of = types.get(known, self.word(at, self.offsets.ob_type)?)?;
        self.image.bytes(at, of.basicsize as usize)?;
        Some(Object { at, of, preheader: of.preheader })
    }

    /// What equal objects have in common, of those that cannot change: a mark of how it is kept, and the bytes.
    pub fn content(&self, object: &Object<'_>) -> Option<(u64, &[u8])> {
        let Object { at, of, .. } = *object;
        let (start, length) = match of.kind {
            Kind::Unicode => {
                let unicode = self.offsets.unicode.as_ref()?;
                let state = self.word(at, unicode.state)?;
                let (kind, length) = ((state >> unicode.kind_shift) & 7, self.word(at, unicode.length)?);
                let is = |shift: u32| (state >> shift) & 1 != 0;
                let start = match (is(unicode.compact_shift), is(unicode.ascii_shift)) {
                    (true, true) => at.checked_add(unicode.ascii_size)?,
                    (true, false) => at.checked_add(unicode.compact_size)?,
                    _ => return None,
                };
                return Some((
                    kind,
                    self.image.bytes(start, usize::try_from(length.checked_mul(kind)?).ok()?)?,
                ));
            }
            // `ob_shash` and, in 2.7, `ob_sstate` stand before the bytes.
            Kind::Bytes => {
                let state = if self.is_2() { 4 } else { 0 };
                (self.offsets.ob_size as u64 + 16 + state, self.word(at, self.offsets.ob_size)?)
            }
            Kind::Int => {
                let start = self.offsets.int.lv_tag.unwrap_or(self.offsets.ob_size) as u64;
                (start, self.int(at)?.checked_sub(start)?)
            }
            _ if of.name == "float" => (self.offsets.object_size, 8),
            _ => return None,
        };
        Some((0, self.image.bytes(at.checked_add(start)?, usize::try_from(length).ok()?)?))
    }

    /// The keys that instances of the class at `class` share, as of those that a `class` statement made.
    pub(crate) fn cached_keys(&self, class: u64) -> Option<u64> {
        self.offsets.types.cached_keys.and_then(|offset| self.word(class, offset)).filter(|keys| *keys != 0)
    }

    /// How many items, characters or bytes an object has, if it is something that has some.
    pub fn len(&self, object: &Object<'_>) -> Option<u64> {
        let Object { at, of, .. } = *object;
        let member = |offset: u64| self.word(at, (self.offsets.object_size + offset) as usize);
        match of.kind {
            Kind::List | Kind::Tuple | Kind::Bytes | Kind::ByteArray => self.word(at, self.offsets.ob_size),
            Kind::Deque => self.word(at, self.offsets.deque.length),
            // `ma_used`: in 2.7 behind `ma_fill`, as `used` of sets everywhere.
            Kind::Dict => member(if self.is_2() { 8 } else { 0 }),
            Kind::Set => member(8),
            Kind::Unicode => self.word(at, self.offsets.unicode.as_ref()?.length),
            _ => None,
        }
    }

    /// Whether it is Python 2, whose dicts are tables of their own.
    pub(crate) fn is_2(&self) -> bool {
        matches!(self.offsets.dict, Dict::Table { .. })
    }

    /// The size of the head of an object, in bytes.
    pub(crate) fn head(&self) -> u64 {
        self.offsets.object_size
    }

    /// The `__dict__` of the class at `class`.
    pub(crate) fn namespace(&self, class: u64) -> Option<u64> {
        self.word(class, self.offsets.types.dict).filter(|at| *at != 0)
    }

    /// The `__qualname__` of the function at `at`, or its name.
    pub(crate) fn function_name(&self, at: u64) -> Option<u64> {
        let member = |name| self.offsets.function.iter().find(|(_, known)| *known == name);
        let (offset, _) = member("func_qualname").or_else(|| member("func_name"))?;
        self.word(at, *offset).filter(|at| *at != 0)
    }

    /// Whether an object is a string that is interned: most likely it stands in the text of the program. Nothing else ever is.
    pub(crate) fn is_interned(&self, object: &Object<'_>) -> bool {
        match (object.of.kind, &self.offsets.unicode) {
            (Kind::Unicode, Some(unicode)) => {
                self.word(object.at, unicode.state).is_some_and(|state| state & unicode.interned != 0)
            }
            // `ob_sstate` of `str` in 2.7, behind the hash.
            (Kind::Bytes, None) => {
                let state = object.at.saturating_add(self.offsets.ob_size as u64 + 16);
                self.image.bytes(state, 4).is_some_and(|state| state != [0; 4])
            }
            _ => false,
        }
    }

    /// Whether an instance of `of` at `at` is what was allocated `room` bytes for, which is less than `step` more than it takes.
    fn fits(&self, of: &Type, at: u64, room: u64, step: u64) -> bool {
        let fills = |size: u64| room.checked_sub(size).is_some_and(|rest| rest < step);
        let size = match self.own_size(of, at) {
            Some(size) => size,
            // Some say that they have items and have something else in their place.
            None if of.kind == Kind::Other => return fills(of.preheader + of.basicsize),
            None => return false,
        };
        let size = of.preheader + size;
        match of.kind {
            _ if of.has_inline_values() => size <= room,
            Kind::Unicode => fills(size),
            // The pointer to a time zone is the last member (`Modules/_datetimemodule.c`).
            Kind::Clock => fills(size) || fills(size.saturating_sub(8)),
            _ if of.itemsize == 0 => fills(size),
            _ => size <= room,
        }
    }
}

/// What was asked for of a block that debugging allocators gave, and how much.
#[inline]
fn debugged(block: &[u8]) -> Option<(&[u8], u64)> {
    let (size, rest) = block.split_first_chunk()?;
    let (mark, inner) = rest.split_first_chunk::<8>()?;
    let size = u64::from_be_bytes(*size);
    (is_debug_mark(mark) && size <= inner.len() as u64).then_some((inner, size))
}

/// Whether a word can be the head of an object that lives: a count of references, with flags in the highest 16 bits from 3.14
/// on. The address of a block never can, by the bits between.
fn is_count(word: u64) -> bool {
    word & 0xffff_ffff != 0 && word & 0xffff_0000_0000 == 0
}
