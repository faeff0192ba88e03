//! The only place of the project with `unsafe`: system calls that no safe wrapper
//! covers, each behind a safe function.

pub(crate) mod ptrace;
pub(crate) mod wait;
