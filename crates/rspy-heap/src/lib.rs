//! The objects of a live heap, read from outside: what there is, how large it is, and what keeps it.
//!
//! Enumeration goes by the allocator's arenas first, since the collector's lists have only the containers it tracks; by those lists
//! second; and by references third, for what lies in neither.

#![forbid(unsafe_code)]

pub mod advice;
pub mod alternatives;
pub mod apart;
pub mod blocks;
pub mod census;
mod computing;
pub mod duplicates;
pub mod fill;
pub mod graph;
pub mod heap;
pub mod holders;
pub mod holdings;
pub mod image;
pub mod kind;
pub mod mapped;
pub mod mimalloc;
pub mod object;
pub mod objects;
pub mod obmalloc;
pub mod offsets;
pub mod packages;
pub mod pages;
pub mod pins;
pub mod references;
pub mod residence;
mod roots;
pub mod running;
pub mod size;
pub mod snapshot;
pub mod trails;
pub mod types;
mod whole;
