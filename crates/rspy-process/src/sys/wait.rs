//! Collecting a child, with what it used.

use std::io;
use std::mem::MaybeUninit;

use nix::libc;

/// The status of child `pid` and what it used, if it has ended: it is collected then.
pub(crate) fn wait4(pid: i32) -> io::Result<Option<(i32, libc::rusage)>> {
    let mut status = 0;
    let mut usage = MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: both pointers are to memory of this frame, of the types that the kernel writes.
    let collected = unsafe { libc::wait4(pid, &raw mut status, libc::WNOHANG, usage.as_mut_ptr()) };
    match collected {
        0 => Ok(None),
        // SAFETY: a structure of integers alone, which was zero before the kernel wrote it.
        _ if collected > 0 => Ok(Some((status, unsafe { usage.assume_init() }))),
        _ => Err(io::Error::last_os_error()),
    }
}
