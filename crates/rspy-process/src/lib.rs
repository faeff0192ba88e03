//! A target process as the operating system sees it.
//!
//! Memory ([`Memory`], [`LiveMemory`], [`Batch`]), what is mapped ([`maps`]), the
//! images behind it ([`elf`]), threads, their state ([`threads`]) and [`stacks`], the processes
//! it has started ([`children`], [`tree`]), stopping a thread for the length of one read
//! ([`stop`]).
//!
//! Knows nothing of Python; never writes into the target. Linux on x86-64 only:
//! another system is another set of these modules behind the same names.

mod address;
pub mod child;
pub mod children;
pub mod elf;
mod error;
mod fault;
mod limited;
mod live;
pub mod maps;
mod memory;
pub mod pagemap;
mod process;
mod shares;
pub mod stacks;
mod statm;
pub mod stop;
mod sys;
pub mod threads;
pub mod tree;

pub use address::Address;
pub use error::ProcessError;
pub use fault::FaultInjector;
pub use limited::Limited;
pub use live::{LiveMemory, Usage};
pub use memory::{Batch, Memory, ReadError, word};
pub use process::Process;
pub use shares::{Shares, SharesFiles};
pub use statm::Statm;
