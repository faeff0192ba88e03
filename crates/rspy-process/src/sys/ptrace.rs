//! The ptrace request for which no safe wrapper will do.

use nix::errno::Errno;
use nix::libc;

/// Lets the stopped tracee `tid` go on, delivering `signal` to it (0: none).
///
/// `nix::sys::ptrace::detach` knows the standard signals only; a real-time
/// signal has to be passed on as well.
pub(crate) fn detach(tid: i32, signal: i32) -> Result<(), Errno> {
    let no_address = std::ptr::null_mut::<libc::c_void>();
    let signal = std::ptr::without_provenance_mut::<libc::c_void>(signal as usize);
    // SAFETY: PTRACE_DETACH reads and writes no memory of this process: the address is ignored and
    // the data is the signal's number. On a thread that is no stopped tracee of ours it fails.
    let result = unsafe { libc::ptrace(libc::PTRACE_DETACH, tid, no_address, signal) };
    Errno::result(result).map(drop)
}
