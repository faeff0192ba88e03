//! The memory of a live process, read with `process_vm_readv`, or where a sandbox
//! refuses that call through `/proc/PID/mem`.

use std::cell::Cell;
use std::io::IoSliceMut;

use nix::errno::Errno;
use nix::sys::uio::{RemoteIoVec, process_vm_readv};
use read_process_memory::{CopyAddress, ProcessHandle};

use crate::memory::Batch;
use crate::{Address, Memory, ReadError};

/// The kernel's limit on ranges in one call (`UIO_MAXIOV`).
const MAX_RANGES: usize = 1024;

/// The memory of a running process. Nothing is held open: a read of a process
/// that has exited says [`ReadError::Gone`].
pub struct LiveMemory {
    pid: nix::unistd::Pid,
    handle: ProcessHandle,
    usage: Cell<Usage>,
}

/// What reading has cost so far.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// System calls.
    pub calls: u64,
    /// Bytes asked for.
    pub bytes: u64,
}

impl LiveMemory {
    /// The memory of process `pid`. Does not check that it exists.
    pub fn new(pid: u32) -> std::io::Result<LiveMemory> {
        let raw = i32::try_from(pid).map_err(|_| Errno::ESRCH)?;
        Ok(LiveMemory {
            pid: nix::unistd::Pid::from_raw(raw),
            handle: ProcessHandle::try_from(raw)?,
            usage: Cell::default(),
        })
    }

    /// What all reads so far have cost.
    pub fn usage(&self) -> Usage {
        self.usage.get()
    }

    fn count(&self, bytes: usize) {
        let Usage { calls, bytes: before } = self.usage.get();
        self.usage.set(Usage { calls: calls + 1, bytes: before.wrapping_add(bytes as u64) });
    }
}

fn read_error(errno: i32, at: Address, len: usize) -> ReadError {
    match Errno::from_raw(errno) {
        // EINVAL: `/proc/PID/mem` has no such offset.
        Errno::EFAULT | Errno::EIO | Errno::EINVAL => ReadError::Fault { at, len },
        Errno::EPERM | Errno::EACCES => ReadError::Denied,
        // The second comes of `/proc/PID/mem`.
        Errno::ESRCH | Errno::ENOENT => ReadError::Gone,
        _ => ReadError::Os(errno),
    }
}

impl Memory for LiveMemory {
    fn read(&self, at: Address, into: &mut [u8]) -> Result<(), ReadError> {
        if into.is_empty() {
            return Ok(());
        }
        self.count(into.len());
        self.handle.copy_address(at.0 as usize, into).map_err(|error| match error.raw_os_error() {
            Some(errno) => read_error(errno, at, into.len()),
            // A short read has no errno: the range runs into an unmapped page.
            None => ReadError::Fault { at, len: into.len() },
        })
    }

    fn read_many(&self, batch: &mut Batch) {
        let mut next = 0;
        while next < batch.ranges.len() {
            next = self.read_from(batch, next);
        }
    }
}

impl LiveMemory {
    /// One system call over the ranges from `first` on. The kernel stops at the
    /// first bad range, which is marked; the answer is the range to go on with.
    fn read_from(&self, batch: &mut Batch, first: usize) -> usize {
        let last = batch.ranges.len().min(first + MAX_RANGES);
        let Batch { ranges, bytes, remote, .. } = batch;
        let ranges = &mut ranges[first..last];
        remote.clear();
        remote.extend(ranges.iter().map(|r| RemoteIoVec { base: r.at.0 as usize, len: r.len }));
        let from = ranges[0].start;
        let to = ranges.last().map_or(from, |r| r.start + r.len);
        self.count(to - from);
        let mut local = [IoSliceMut::new(&mut bytes[from..to])];
        let (mut got, errno) = match process_vm_readv(self.pid, &mut local, remote) {
            Ok(count) => (count, Errno::EFAULT as i32),
            Err(Errno::EPERM | Errno::ENOSYS) => return self.read_singly(batch, first),
            Err(errno) => (0, errno as i32),
        };
        for (index, range) in ranges.iter_mut().enumerate() {
            if got < range.len {
                range.outcome = Err(read_error(errno, range.at, range.len));
                return first + index + 1;
            }
            got -= range.len;
            range.outcome = Ok(());
        }
        last
    }

    /// Reads the ranges from `first` on in the way of a single read, which goes to
    /// `/proc/PID/mem` where the system call is refused: slower, but a filter that
    /// knows only the call (as Docker's once did) does not know the file. Where the
    /// process itself may not be read the first range shows it, for all.
    fn read_singly(&self, batch: &mut Batch, first: usize) -> usize {
        let Batch { ranges, bytes, .. } = batch;
        let mut denied = false;
        for range in ranges.iter_mut().skip(first) {
            let into = bytes.get_mut(range.start..range.start + range.len).unwrap_or_default();
            range.outcome = if denied { Err(ReadError::Denied) } else { self.read(range.at, into) };
            denied |= range.outcome == Err(ReadError::Denied);
        }
        ranges.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_itself_and_reports_faults_by_range() {
        let memory = LiveMemory::new(std::process::id()).unwrap();
        let known = *b"a string to be read back";
        let at = Address(known.as_ptr() as u64);
        assert_eq!(memory.array(at), Ok(known));
        assert!(matches!(memory.u64(Address(8)), Err(ReadError::Fault { at: Address(8), len: 8 })));

        let mut batch = Batch::new();
        let handles: Vec<usize> = (0..3000)
            .map(|n| if n % 100 == 50 { batch.push(Address(16), 4) } else { batch.push(at, 8) })
            .collect();
        memory.read_many(&mut batch);
        for (n, handle) in handles.into_iter().enumerate() {
            match batch.get(handle) {
                Ok(bytes) => assert!(n % 100 != 50 && bytes == &known[..8]),
                Err(error) => assert!(n % 100 == 50 && matches!(error, ReadError::Fault { .. })),
            }
        }
    }

    #[test]
    fn a_process_that_does_not_exist_is_gone() {
        let memory = LiveMemory::new(0x3fff_fff0).unwrap();
        assert_eq!(memory.u64(Address(4096)), Err(ReadError::Gone));
    }
}
