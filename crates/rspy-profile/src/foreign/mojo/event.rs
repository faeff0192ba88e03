//! The numbers of the events.

/// A key and a value, both strings.
pub(super) const METADATA: u8 = 1;
/// The beginning of a sample: process, interpreter (from version 3 on), thread (a string).
pub(super) const STACK: u8 = 2;
/// A frame: its key, the keys of its file and function, its line; from version 2 on its last line, column and end.
pub(super) const FRAME: u8 = 3;
/// A frame that could not be read.
pub(super) const FRAME_INVALID: u8 = 4;
/// The key of a frame of the sample.
pub(super) const FRAME_REFERENCE: u8 = 5;
/// A function of the kernel, by its name.
pub(super) const FRAME_KERNEL: u8 = 6;
/// The sample was taken while garbage was collected.
pub(super) const GC: u8 = 7;
/// The thread was idle.
pub(super) const IDLE: u8 = 8;
/// What the sample weighs, in microseconds.
pub(super) const TIME: u8 = 9;
/// By how many bytes memory grew or shrank.
pub(super) const MEMORY: u8 = 10;
/// A string: its key and what it is.
pub(super) const STRING: u8 = 11;
/// The key of a string.
pub(super) const STRING_REFERENCE: u8 = 12;
/// The outer frames are those of the thread's last sample. From version 4 on, as all that follow.
pub(super) const STACK_REPEAT: u8 = 13;
/// The frames of an asyncio task: its key, that of its name, and how many references to frames follow.
pub(super) const TASK_STACK: u8 = 14;
/// The keys of a task and of one that awaits it.
pub(super) const TASK_WAITER: u8 = 15;
/// The key of the task that the thread runs.
pub(super) const TASK_RUNNING: u8 = 16;
