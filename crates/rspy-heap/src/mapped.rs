//! How many arenas a process has mapped, asked again and again.

use rspy_cpython::Attached;
use rspy_process::maps::Mapping;
use rspy_process::{Address, Batch, Memory};

use crate::obmalloc::{ARENA_OBJECT, Arena, Geometry};
use crate::roots::roots;

/// No array of arenas is shorter (`INITIAL_ARENA_OBJECTS`).
const FIRST: usize = 16;
/// How many entries of an array are read at a time.
const ENTRIES: usize = 1024;
/// How many pointers are followed at a time.
const POINTERS: usize = 512;
/// Larger arrays are not read to their end.
const MAX_ENTRIES: usize = 1 << 20;
/// Larger parts of what may have pointers are not looked through, in bytes.
const MAX_ROOT: u64 = 16 << 20;

/// The arenas of the interpreters of a process, found once.
#[derive(Clone, Debug)]
pub struct MappedArenas {
    arrays: Vec<Array>,
}

#[derive(Clone, Debug)]
struct Array {
    /// The variable that points to it.
    variable: Address,
    geometry: Geometry,
}

impl MappedArenas {
    /// Looks for them; empty where the process has another allocator.
    pub fn find(memory: &impl Memory, attached: &Attached, maps: &[Mapping]) -> MappedArenas {
        let mut found = MappedArenas { arrays: Vec::new() };
        let mut known: Vec<u64> = Vec::new();
        let writable = |at: u64| {
            let index = maps.partition_point(|mapping| mapping.end.0 <= at);
            maps.get(index).is_some_and(|mapping| mapping.start.0 <= at && mapping.writable)
        };
        for root in roots(memory, attached, maps) {
            let length = root.end.saturating_sub(root.start).min(MAX_ROOT);
            let Ok(bytes) = memory.bytes(Address(root.start), length as usize) else { continue };
            let pointers = bytes.as_chunks().0.iter().map(|word| u64::from_le_bytes(*word)).enumerate();
            let may_lead: Vec<(usize, u64)> =
                pointers.filter(|(_, at)| at % 8 == 0 && writable(*at)).collect();
            let mut batch = Batch::new();
            for group in may_lead.chunks(POINTERS) {
                batch.clear();
                let handles: Vec<usize> =
                    group.iter().map(|(_, at)| batch.push(Address(*at), FIRST * ARENA_OBJECT)).collect();
                memory.read_many(&mut batch);
                for ((index, at), handle) in group.iter().zip(handles) {
                    let mut objects =
                        batch.get(handle).unwrap_or_default().chunks_exact(ARENA_OBJECT).enumerate();
                    let geometry = objects.find_map(|(index, object)| Geometry::find(memory, object, index));
                    if let Some(geometry) = geometry.filter(|_| !known.contains(at)) {
                        known.push(*at);
                        let variable = Address(root.start).offset(*index as u64 * 8);
                        found.arrays.push(Array { variable, geometry });
                    }
                }
            }
        }
        found
    }

    /// How many bytes are mapped now; `None` if there is no such allocator, or the process is gone.
    pub fn bytes(&self, memory: &impl Memory) -> Option<u64> {
        let mut bytes: Option<u64> = None;
        for array in &self.arrays {
            let at = memory.address(array.variable).ok()?;
            bytes = Some(bytes.unwrap_or(0) + array.arenas(memory, at) * array.geometry.arena);
        }
        bytes
    }
}

impl Array {
    /// How many entries are in use of the array at `at`.
    fn arenas(&self, memory: &impl Memory, at: Address) -> u64 {
        let mut count = 0;
        let mut index = 0;
        while index < MAX_ENTRIES {
            let from = at.offset((index * ARENA_OBJECT) as u64);
            // Arrays are as long as powers of two, and end anywhere in a mapping.
            let part = (FIRST.max(index)).min(ENTRIES);
            let Ok(objects) = memory.bytes(from, part * ARENA_OBJECT) else { break };
            for object in objects.chunks_exact(ARENA_OBJECT) {
                let is_unused = object.starts_with(&[0; 8]);
                match Arena::of(object, index, self.geometry.arena, self.geometry.pool) {
                    Some(_) => count += 1,
                    None if is_unused => {}
                    None => return count,
                }
                index += 1;
            }
        }
        count
    }
}
